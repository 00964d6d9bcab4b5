import { join } from 'node:path';
import { freePort, logFile, untilItAnswers } from './listening.ts';
import { FORM_HEADERS } from './subject.ts';
import type { RunningSubject, SubjectContext } from './subject.ts';

/** proxpi under gunicorn, as its image runs it, with threads enough for every client here. */
export async function startProxpi(context: SubjectContext): Promise<RunningSubject> {
  const { children, replay, tools, folder } = context;
  const programs = tools.pythonPeers;
  if (programs === null) throw new Error('not asked for or not installed; see --peers');
  const port = await freePort();
  const logPath = join(folder, 'proxpi.log');
  const log = logFile(logPath);
  const child = children.start(
    join(programs, 'gunicorn'),
    ['--workers', '1', '--threads', '32', '--bind', `127.0.0.1:${port}`]
      .concat('--timeout', '300', '--log-level', 'error')
      .concat('proxpi.server:app'),
    {
      stdio: ['ignore', log.fd, log.fd],
      cwd: folder,
      env: {
        PATH: `${programs}:${process.env['PATH']}`,
        HOME: folder,
        LC_ALL: 'C.UTF-8',
        PROXPI_INDEX_URL: replay.indexUrl,
        PROXPI_INDEX_TTL: '7200',
        PROXPI_CACHE_DIR: join(folder, 'files'),
        PROXPI_CACHE_SIZE: '50000000000',
        // It sends clients to the upstream when a file takes longer; here it is to serve them.
        PROXPI_DOWNLOAD_TIMEOUT: '60',
        PROXPI_LOGGING_LEVEL: 'ERROR',
      },
    },
  );
  log.close();
  const origin = `http://127.0.0.1:${port}`;
  await untilItAnswers(child, origin, logPath);
  const indexUrl = `${origin}/index/`;
  return {
    name: 'proxpi',
    pid: child.pid ?? 0,
    indexUrl,
    page: (project, form) => ({ url: `${indexUrl}${project}/`, headers: FORM_HEADERS[form] }),
    stop: () => children.stop(child),
  };
}
