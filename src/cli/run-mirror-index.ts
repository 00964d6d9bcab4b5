import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMirror, serveMirror } from '../compose.ts';
import type { Mirror } from '../compose.ts';
import type { Config, UpstreamConfig } from '../config/config.ts';
import type { MirrorSettings } from '../config/mirror-file.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { IndexAtWork } from '../mirror/surroundings.ts';
import { environmentOf } from './serve.ts';
import type { Io, VerbContext } from './verb.ts';

/**
 * The settings with the index of this mirror first, and a quiet log: cron mails what is said.
 *
 * @throws ConfigurationError for an upstream that is not configured
 */
export function settingsFor(mirror: MirrorSettings, { config, io }: VerbContext): Config {
  const settings = config();
  const isChosen = (io.env['WHEELCELLAR_LOG_LEVEL'] ?? '') !== '' || settings.log.level !== 'info';
  const log = isChosen ? settings.log : { ...settings.log, level: 'warn' as const };
  return { ...settings, log, upstreams: upstreamsFor(mirror, settings.upstreams) };
}

/** A mirror in this process, on a free port of 127.0.0.1 and on a Unix socket. */
export async function withIndex<T>(
  settings: Config,
  io: Io,
  work: (index: IndexAtWork, mirror: Mirror, log: Logger) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'wheelcellar-index-'));
  const socketPath = join(folder, 'socket');
  const env = environmentOf(settings, io);
  const mirror = await createMirror(settings, env);
  try {
    const watched = watching(mirror);
    const server = await serveMirror(
      { ...mirror, repository: watched.repository },
      { ...settings, listen: [{ host: '127.0.0.1', port: 0 }], unix: socketPath, basePath: '/' },
      env,
    );
    try {
      const { store } = mirror;
      const indexUrl = `${server.origins[0] ?? ''}/simple/`;
      const { repository } = mirror;
      const index = { repository, store, indexUrl, socketPath, watch: watched.watch };
      return await work(index, mirror, env.log);
    } finally {
      await server.close(0);
    }
  } finally {
    await mirror.close(0);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Notes which files are asked for over HTTP. */
function watching(mirror: Mirror): Pick<IndexAtWork, 'repository' | 'watch'> {
  const { repository } = mirror;
  let paths: string[] | null = null;
  return {
    repository: {
      projectList: (context) => repository.projectList(context),
      projectDetail: (project, context) => repository.projectDetail(project, context),
      file: (path, context) => {
        paths?.push(path);
        return repository.file(path, context);
      },
    },
    watch: async (work) => {
      const seen: string[] = [];
      paths = seen;
      try {
        return { result: await work(), paths: seen };
      } finally {
        paths = null;
      }
    },
  };
}

function upstreamsFor(
  { name, url, upstream }: MirrorSettings,
  configured: readonly UpstreamConfig[],
): readonly UpstreamConfig[] {
  if (url !== null) {
    const withSlash = url.endsWith('/') ? url : `${url}/`;
    const known = configured.find((each) => each.url === withSlash);
    if (known !== undefined) return [known, ...configured.filter((each) => each !== known)];
    const plain = name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '');
    const own: UpstreamConfig = {
      name: `mirror-${plain}`,
      url: withSlash,
      fileHosts: null,
      layout: 'simple',
      projects: null,
      username: null,
      password: null,
    };
    return [own, ...configured];
  }
  if (upstream === null) return configured;
  const chosen = configured.find((each) => each.name === upstream);
  if (chosen !== undefined) return [chosen, ...configured.filter((each) => each !== chosen)];
  const names = configured.map((each) => each.name).join(', ');
  throw new ConfigurationError([
    `mirror ${name}: there is no upstream ${upstream}; configured are ${names}.`,
  ]);
}
