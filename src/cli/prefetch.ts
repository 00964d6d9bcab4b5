import { InvalidArgumentError } from 'commander';
import { createMirror } from '../compose.ts';
import type { Mirror } from '../compose.ts';
import { messageOf } from '../core/errors.ts';
import { parseProjectName } from '../packaging/names.ts';
import { Prefetch } from '../prefetch/prefetch.ts';
import type { SetReport } from '../prefetch/report.ts';
import { addJsonFlag, addUpstreamFlags } from './flags.ts';
import { formatBytes } from './format.ts';
import { lazyResolver, stopOnSignal } from './lazy-resolver.ts';
import { startProgress } from './progress.ts';
import { environmentOf } from './serve.ts';
import { addSetFlags, demandOf, quietly, targetsFor } from './set-flags.ts';
import { EXIT_OF, reportLines } from './set-report.ts';
import { printJson, printLine } from './verb.ts';
import type { Verb } from './verb.ts';

/** `wheelcellar prefetch`: everything that requirements or locks come to, ahead of time. */
export const verb: Verb = {
  name: 'prefetch',
  summary: 'Fetch what requirements or lock files come to, ahead of time',
  configure: (command) => {
    addSetFlags(command);
    command
      .option('--with-build-deps', 'what the builds of sdists need as well')
      .option('--keep', 'never evict the versions of the set')
      .option('--dry-run', 'tell what would be fetched, with sizes')
      .option('-j, --jobs <count>', 'files at a time', readJobs, 8);
    addUpstreamFlags(command);
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, options, config } = context;
    const demand = demandOf(context);
    const { targets } = await targetsFor(context);
    const settings = quietly(config(), context);
    const env = environmentOf(settings, io);
    const stop = stopOnSignal(io);
    const mirror = await createMirror(settings, env);
    const bar = startProgress(io, 'fetching');
    const onlyBinary = options['onlyBinary'] === true;
    const resolver = lazyResolver(mirror, settings, env, io, stop.signal, { onlyBinary });
    try {
      const prefetch = new Prefetch(
        { repository: mirror.repository, store: mirror.store, ask: resolver.ask },
        {
          onlyBinary,
          withBuildDependencies: options['withBuildDeps'] === true,
          isDryRun: options['dryRun'] === true,
          networkMode: settings.offline ? 'offline' : 'normal',
          atATime: options['jobs'] as number,
          signal: stop.signal,
          onProgress: (done, total) => bar.update(done, total),
          onFile: ({ filename, outcome, bytes, error }) => {
            if (io.isTty || outcome === 'held') return;
            const words = outcome === 'failed' ? `failed: ${messageOf(error)}` : formatBytes(bytes);
            io.stderr.write(`wheelcellar: ${filename} ${words}\n`);
          },
        },
      );
      const report = await prefetch.gather(demand, targets);
      bar.stop();
      if (options['keep'] === true && options['dryRun'] !== true) await keep(mirror, report);
      await mirror.store.flushStaticPages();
      if (options['json'] === true) printJson(io, report);
      else for (const line of reportLines(report, options['dryRun'] === true)) printLine(io, line);
      return EXIT_OF[report.shortfall];
    } finally {
      bar.stop();
      stop.forget();
      await resolver.close();
      await mirror.close(0);
    }
  },
};

async function keep(mirror: Mirror, { files }: SetReport): Promise<void> {
  const versions = new Set(files.map(({ project, version }) => `${project} ${version}`));
  for (const each of versions) {
    const [name = '', version = ''] = each.split(' ');
    const project = parseProjectName(name);
    if (project !== undefined) await mirror.store.records.pins.add(project, `==${version}`);
  }
  await mirror.store.kept.mirror();
}

function readJobs(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= 64) return count;
  throw new InvalidArgumentError('Give a number from 1 to 64.');
}
