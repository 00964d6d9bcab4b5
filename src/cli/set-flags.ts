import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../config/config.ts';
import { ConfigurationError } from '../core/errors.ts';
import { readDemand } from '../prefetch/demand.ts';
import type { Demand } from '../prefetch/demand.ts';
import { installedDemand } from '../prefetch/installed.ts';
import { parsePlatforms, parsePythons, targetsOf } from '../prefetch/targets.ts';
import type { Target } from '../prefetch/targets.ts';
import { findLocalPython } from './local-python.ts';
import type { LocalPython } from './local-python.ts';
import type { VerbContext } from './verb.ts';

/** Adds the flags by which a set is named: what it holds, and for which machines. */
export function addSetFlags(command: Command): void {
  command
    .argument('[requirements...]', 'such as flask, "numpy>=2", "flask[async]"')
    .option('-r, --requirement <file>', 'requirements.txt or pyproject.toml (repeatable)', gather)
    .option('--constraint <file>', 'constraints for what is resolved (repeatable)', gather)
    .option(
      '--lock <file>',
      'pylock.toml, uv.lock, poetry.lock, pdm.lock or Pipfile.lock (repeatable)',
      gather,
    )
    .option('--environment <dir>', 'what is installed in this environment (repeatable)', gather)
    .option('--group <name>', 'dependency groups of locks and projects, or all', gather)
    .option('--extra <name>', 'extras of locks and projects, or all', gather)
    .option(
      '--python <versions>',
      "3.12 or 3.10,3.12 or 3.9..3.13 (default: this machine's)",
      gather,
    )
    .option(
      '--platform <tags>',
      "newest tags of machines, such as manylinux_2_28_x86_64,win_amd64 (default: this machine's)",
      gather,
    )
    .option('--only-binary', 'take wheels alone, build nothing');
}

/** What the command line asks for. @throws ConfigurationError when it asks for nothing */
export function demandOf({ io, args, options }: VerbContext): Demand {
  const paths = (name: string): string[] =>
    listAt(options, name).map((path) => resolve(io.cwd, path));
  const demand = readDemand(
    {
      requirements: args,
      requirementFiles: paths('requirement'),
      constraintFiles: paths('constraint'),
      lockFiles: paths('lock'),
      selection: selectionOf(options),
      installed: paths('environment').map(installedDemand),
    },
    { readText: (path) => readFileSync(path, 'utf8'), variables: io.env },
  );
  if (demand.requirements.length + demand.locked.length === 0) {
    throw new ConfigurationError(['Nothing is asked for.'], {
      hint: 'Name requirements, or files: -r requirements.txt, --lock uv.lock, --environment .venv',
    });
  }
  return demand;
}

/** The machines that the command line asks for. @throws ConfigurationError */
export async function targetsFor(
  context: VerbContext,
): Promise<{ readonly targets: Target[]; readonly local: LocalPython | undefined }> {
  const { io, options } = context;
  const pythons = parsePythons(listAt(options, 'python'));
  const platforms = parsePlatforms(listAt(options, 'platform'));
  const local = await findLocalPython(io);
  if (local === undefined && (pythons.length === 0 || platforms.length === 0)) {
    throw new ConfigurationError(['There is no python3 here to take version and platform from.'], {
      hint: 'Give both: --python 3.12 --platform manylinux_2_28_x86_64',
    });
  }
  const targets = targetsOf(
    pythons.length > 0 ? pythons : [local?.python ?? ''],
    platforms.length > 0 ? platforms : [local?.platform ?? ''],
  );
  return { targets, local };
}

/** The values of a repeatable flag. */
export function listAt(options: Readonly<Record<string, unknown>>, name: string): string[] {
  const value = options[name];
  return Array.isArray(value) ? value.map(String) : [];
}

/** Settings with the log of a verb that reports by itself: its warnings only, unless told otherwise. */
export function quietly(settings: Config, { io }: Pick<VerbContext, 'io'>): Config {
  const isChosen = (io.env['WHEELCELLAR_LOG_LEVEL'] ?? '') !== '' || settings.log.level !== 'info';
  return isChosen ? settings : { ...settings, log: { ...settings.log, level: 'warn' } };
}

function selectionOf(options: Readonly<Record<string, unknown>>): {
  groups?: readonly string[] | 'all';
  extras?: readonly string[] | 'all';
} {
  const names = (flag: string): readonly string[] | 'all' | undefined => {
    const given = listAt(options, flag).flatMap((text) => text.split(','));
    if (given.length === 0) return undefined;
    return given.includes('all') ? 'all' : given.map((name) => name.trim());
  };
  const groups = names('group');
  const extras = names('extra');
  return {
    ...(groups === undefined ? {} : { groups }),
    ...(extras === undefined ? {} : { extras }),
  };
}

function gather(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
