import { existsSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { asksForOffline, dibEnvironment } from '../build/dib-environment.ts';
import { servedBetween } from '../build/served-files.ts';
import type { ServedFiles } from '../build/served-files.ts';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load-config.ts';
import { ConfigurationError } from '../core/errors.ts';
import { elementsPath } from '../paths.ts';
import type { Statistics } from '../repository/statistics.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag, addUpstreamFlags } from './flags.ts';
import { formatBytes } from './format.ts';
import { mirrorAtWork } from './mirror-at-work.ts';
import type { MirrorAtWork } from './mirror-at-work.ts';
import { environmentOf } from './serve.ts';
import { runBuild } from './running-build.ts';
import { printJson } from './verb.ts';
import type { Io, Verb, VerbContext } from './verb.ts';

/** Counters that stand still for so long are final: they lag behind the client that has read its answer. */
const SETTLED_MS = 200;

/** Other clients of a server may never pause. */
const LOOKS_AT_COUNTERS = 10;

/** `wheelcellar dib -- disk-image-create …`: one image build through the mirror. */
export const verb: Verb = {
  name: 'dib',
  summary: 'Run an image build (disk-image-create …) that installs through the mirror',
  configure: (command) => {
    command.argument('<command...>', 'what to run; write it after "--"');
    addUpstreamFlags(command);
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, args, options } = context;
    const isOffline = context.config().offline || asksForOffline(args, io.env);
    const settings = settingsOf(context, isOffline);
    const mirror = await mirrorAtWork(settings, environmentOf(settings, io));
    try {
      tell(
        io,
        `mirror ${mirror.indexUrl} (${mirror.isFound ? 'was running' : 'started for this build'}${isOffline ? ', offline' : ''})`,
      );
      warnAboutOtherUrl(io, mirror.indexUrl);
      const before = await mirror.statistics();
      const status = await build(context, mirror.indexUrl, isOffline);
      const served = servedBetween(before, await settledStatistics(mirror));
      report(io, options['json'] === true, status, mirror, served);
      return status === 0 ? EXIT.ok : EXIT.buildFailed;
    } finally {
      await mirror.close();
    }
  },
};

/** The server's own log would be lost among the build's words: only its warnings are shown. */
function settingsOf({ config, configInput, io }: VerbContext, isOffline: boolean): Config {
  if (!existsSync(elementsPath())) {
    throw new ConfigurationError([`The folder of the elements is missing: ${elementsPath()}.`]);
  }
  const settings = isOffline
    ? loadConfig({ ...configInput, flags: { ...configInput.flags, offline: true } })
    : config();
  const isChosen = (io.env['WHEELCELLAR_LOG_LEVEL'] ?? '') !== '' || settings.log.level !== 'info';
  return isChosen ? settings : { ...settings, log: { ...settings.log, level: 'warn' } };
}

async function settledStatistics(mirror: MirrorAtWork): Promise<Statistics> {
  let last = await mirror.statistics();
  for (let look = 0; look < LOOKS_AT_COUNTERS; look++) {
    await wait(SETTLED_MS);
    const now = await mirror.statistics();
    const { bytesServed, bytesFetched } = servedBetween(last, now);
    if (now.fillsUnderWay === 0 && bytesServed === 0 && bytesFetched === 0) return now;
    last = now;
  }
  return last;
}

/** A password of the caller's own URL is not repeated. */
function warnAboutOtherUrl(io: Io, indexUrl: string): void {
  const given = io.env['DIB_PYPI_MIRROR_URL'] ?? '';
  if (given !== '' && given !== indexUrl) tell(io, 'DIB_PYPI_MIRROR_URL of the caller is replaced');
}

async function build(context: VerbContext, indexUrl: string, isOffline: boolean): Promise<number> {
  const { io, args } = context;
  const variables = io.env;
  const env = dibEnvironment({ variables, elementsPath: elementsPath(), indexUrl, isOffline });
  return await runBuild(context, args, env);
}

function report(
  io: Io,
  isJson: boolean,
  status: number,
  { indexUrl, isFound }: MirrorAtWork,
  served: ServedFiles,
): void {
  if (isJson) printJson(io, { status, indexUrl, wasRunning: isFound, ...served });
  if (status !== 0) tell(io, `the build failed with status ${status}`);
  const { fileHits, fileMisses } = served;
  tell(io, `${fileHits + fileMisses} files served, ${formatBytes(served.bytesServed)}`);
  tell(io, `  from the cache  ${fileHits}`);
  tell(io, `  from upstream   ${fileMisses}, ${formatBytes(served.bytesFetched)}`);
  tell(io, `  saved           ${formatBytes(served.bytesSaved)}`);
  if (isFound) tell(io, '  (other clients of that server included)');
  if (fileHits + fileMisses === 0 && status === 0) {
    tell(io, 'nothing was asked for: is the element pypi among those of the image?');
    tell(io, '  (with pip-cache, an unchanged build asks for no file at all)');
  }
}

function tell(io: Io, line: string): void {
  io.stderr.write(`wheelcellar: ${line}\n`);
}
