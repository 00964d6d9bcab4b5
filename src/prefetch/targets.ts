import { ConfigurationError } from '../core/errors.ts';
import { markerEnvironment, parseInterpreter } from '../packaging/environment.ts';
import type { Interpreter, MarkerEnvironment } from '../packaging/environment.ts';
import { platformTags } from '../packaging/platforms.ts';
import { supportedTags, TagRanking } from '../packaging/tags.ts';

/** One interpreter on one machine that a set is for. */
export interface Target {
  /** As given, such as `3.11`. */
  readonly python: string;
  /** Newest platform tag of the machine. */
  readonly platform: string;
  readonly interpreter: Interpreter;
  readonly ranking: TagRanking;
  readonly environment: MarkerEnvironment;
}

/** Tags that a platform may be written with; anything else is a slip of the pen. */
const PLATFORM =
  /^(?:manylinux(?:1|2010|2014|_\d+_\d+)_\w+|musllinux_\d+_\d+_\w+|macosx_\d+_\d+_\w+|linux_\w+|win32|win_\w+)$/;

/** Ends of a range are minor versions of Python 3. */
const RANGE = /^3\.(\d{1,2})\.\.3\.(\d{1,2})$/;

/**
 * Python versions out of lists (`3.10,3.12`) and ranges (`3.9..3.13`), each once.
 *
 * @throws ConfigurationError for anything else
 */
export function parsePythons(texts: readonly string[]): readonly string[] {
  const pythons = new Set<string>();
  for (const text of wordsOf(texts)) {
    const [, first, last] = RANGE.exec(text) ?? [];
    if (first !== undefined && Number(first) <= Number(last)) {
      for (let minor = Number(first); minor <= Number(last); minor++) pythons.add(`3.${minor}`);
    } else if (parseInterpreter(text) !== undefined) pythons.add(text);
    else {
      throw new ConfigurationError([`--python: ${JSON.stringify(text)} is no Python version.`], {
        hint: 'Give versions such as 3.12 or 3.13t, or a range such as 3.9..3.13.',
      });
    }
  }
  return [...pythons];
}

/** Platform tags out of lists, each once. @throws ConfigurationError for what is none */
export function parsePlatforms(texts: readonly string[]): readonly string[] {
  const platforms = new Set(wordsOf(texts).map((text) => text.toLowerCase().replace(/[-.]/g, '_')));
  for (const platform of platforms) {
    if (PLATFORM.test(platform)) continue;
    throw new ConfigurationError(
      [`--platform: ${JSON.stringify(platform)} is no platform tag of wheels.`],
      {
        hint: 'Such as manylinux_2_28_x86_64, macosx_11_0_arm64, musllinux_1_2_x86_64, win_amd64.',
      },
    );
  }
  return [...platforms];
}

/** Every Python on every platform. @throws ConfigurationError for a Python that is none */
export function targetsOf(pythons: readonly string[], platforms: readonly string[]): Target[] {
  return pythons.flatMap((python) =>
    platforms.map((platform) => {
      const interpreter = parseInterpreter(python);
      if (interpreter === undefined)
        throw new ConfigurationError([`${JSON.stringify(python)} is no Python version.`]);
      return {
        python,
        platform,
        interpreter,
        ranking: new TagRanking(supportedTags(interpreter, platformTags(platform))),
        environment: markerEnvironment(interpreter, platform),
      };
    }),
  );
}

/** `3.11 on manylinux_2_28_x86_64`. */
export function nameOfTarget({ python, platform }: Pick<Target, 'python' | 'platform'>): string {
  return `Python ${python} on ${platform}`;
}

function wordsOf(texts: readonly string[]): string[] {
  return texts.flatMap((text) => text.split(',')).flatMap((word) => word.trim() || []);
}
