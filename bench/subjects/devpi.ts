import { join } from 'node:path';
import { runCommand } from '../../test/support/run-command.ts';
import { freePort, logFile, untilItAnswers } from './listening.ts';
import { FORM_HEADERS } from './subject.ts';
import type { RunningSubject, SubjectContext } from './subject.ts';

/** devpi-server with one mirror index of the replay, made new in the folder. */
export async function startDevpi(context: SubjectContext): Promise<RunningSubject> {
  const { children, replay, tools, folder } = context;
  const programs = tools.pythonPeers;
  if (programs === null) throw new Error('not asked for or not installed; see --peers');
  const serverDir = join(folder, 'devpi');
  const env = { PATH: `${programs}:${process.env['PATH']}`, HOME: folder, LC_ALL: 'C.UTF-8' };
  // Without root/pypi: nothing here is to know the official index.
  const init = await runCommand(
    join(programs, 'devpi-init'),
    ['--serverdir', serverDir, '--no-root-pypi'],
    { env },
  );
  if (init.code !== 0) throw new Error(`devpi-init: ${init.stderr}${init.stdout}`);
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const logPath = join(folder, 'devpi.log');
  const log = logFile(logPath);
  const child = children.start(
    join(programs, 'devpi-server'),
    ['--serverdir', serverDir, '--host', '127.0.0.1', '--port', String(port)],
    { stdio: ['ignore', log.fd, log.fd], cwd: folder, env },
  );
  log.close();
  await untilItAnswers(child, origin, logPath);
  await makeMirrorIndex(origin, replay.indexUrl);
  const indexUrl = `${origin}/root/pypi/+simple/`;
  return {
    name: 'devpi',
    pid: child.pid ?? 0,
    indexUrl,
    page: (project, form) => ({ url: `${indexUrl}${project}/`, headers: FORM_HEADERS[form] }),
    stop: () => children.stop(child),
  };
}

async function makeMirrorIndex(origin: string, mirrorUrl: string): Promise<void> {
  const send = async (
    path: string,
    method: string,
    body: object,
    auth?: string,
  ): Promise<string> => {
    const response = await fetch(origin + path, {
      method,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        ...(auth === undefined ? {} : { 'x-devpi-auth': auth }),
      },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`devpi ${method} ${path}: ${response.status} ${text}`);
    return text;
  };
  const login = JSON.parse(await send('/+login', 'POST', { user: 'root', password: '' })) as {
    readonly result: { readonly password: string };
  };
  const auth = Buffer.from(`root:${login.result.password}`).toString('base64');
  const index = { type: 'mirror', mirror_url: mirrorUrl, mirror_cache_expiry: 7_200 };
  await send('/root/pypi', 'PUT', index, auth);
}
