import { ConfigurationError } from '../core/errors.ts';
import { parseInterpreter } from '../packaging/environment.ts';
import { platformTags } from '../packaging/platforms.ts';
import { TagRanking, supportedTags } from '../packaging/tags.ts';
import type { MirrorTarget } from './closure-files.ts';

/** This machine, as its Python describes it. */
export interface LocalMachine {
  readonly python: string;
  readonly platform: string;
}

/**
 * Every Python on every platform; where none is named, that of this machine.
 *
 * @throws ConfigurationError when this machine is meant and has no Python
 */
export function targetsOf(
  pythons: readonly string[],
  platforms: readonly string[],
  local: LocalMachine | undefined,
): MirrorTarget[] {
  if (local === undefined && (pythons.length === 0 || platforms.length === 0)) {
    throw new ConfigurationError(['There is no python3 here to mirror for.'], {
      hint: 'Name both in mirror.yaml: python: ["3.12"] and platforms: [manylinux_2_28_x86_64].',
    });
  }
  const chosenPythons = pythons.length > 0 ? pythons : [local?.python ?? ''];
  const chosenPlatforms = platforms.length > 0 ? platforms : [null];
  return chosenPythons.flatMap((python) =>
    chosenPlatforms.map((platform) => targetOf(python, platform, local)),
  );
}

function targetOf(
  python: string,
  platform: string | null,
  local: LocalMachine | undefined,
): MirrorTarget {
  const interpreter = parseInterpreter(python);
  if (interpreter === undefined) throw new ConfigurationError([`${python} is no Python.`]);
  const tags = platformTags(platform ?? local?.platform ?? '');
  // This machine by its own name is this machine, which can build.
  const isHere = platform === null || platform === local?.platform;
  const ranking = new TagRanking(supportedTags(interpreter, tags));
  return { python, platform: isHere ? null : platform, interpreter, ranking };
}
