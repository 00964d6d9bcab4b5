import type { WheelTags } from './filenames.ts';
import type { Interpreter } from './environment.ts';

/** `python-abi-platform`, as in `cp312-abi3-manylinux_2_28_x86_64`. */
export type Tag = string;

/** abi3 came with Python 3.2 (PEP 384). */
const FIRST_ABI3_MINOR = 2;

/**
 * Every tag whose wheels an interpreter installs, best first (packaging.python.org, "Platform
 * compatibility tags"; the order of PyPA's `packaging`, which pip goes by).
 */
export function supportedTags(interpreter: Interpreter, platforms: readonly string[]): Tag[] {
  const specific =
    interpreter.implementation === 'cpython'
      ? cpythonTags(interpreter, platforms)
      : genericTags(interpreter, platforms);
  return [...specific, ...compatibleTags(interpreter, platforms)];
}

function cpythonTags(interpreter: Interpreter, platforms: readonly string[]): Tag[] {
  const { major, minor, isFreeThreaded, tag } = interpreter;
  const hasStableAbi = major > 3 || (major === 3 && minor >= FIRST_ABI3_MINOR);
  // Free-threaded builds have a stable ABI of their own (PEP 803).
  const stableAbi = isFreeThreaded ? 'abi3t' : 'abi3';
  const abis = [interpreter.abi, ...(hasStableAbi ? [stableAbi] : []), 'none'];
  const tags = abis.flatMap((abi) => platforms.map((platform) => `${tag}-${abi}-${platform}`));
  if (!hasStableAbi) return tags;
  for (let older = minor - 1; older >= FIRST_ABI3_MINOR; older--) {
    for (const platform of platforms) tags.push(`cp${major}${older}-${stableAbi}-${platform}`);
  }
  return tags;
}

function genericTags({ tag, abi }: Interpreter, platforms: readonly string[]): Tag[] {
  return [abi, 'none'].flatMap((each) => platforms.map((platform) => `${tag}-${each}-${platform}`));
}

function compatibleTags(interpreter: Interpreter, platforms: readonly string[]): Tag[] {
  const { major, minor, tag } = interpreter;
  const older = Array.from({ length: minor }, (_, at) => `py${major}${minor - 1 - at}`);
  const pythons = [`py${major}${minor}`, `py${major}`, ...older];
  return [
    ...pythons.flatMap((python) => platforms.map((platform) => `${python}-none-${platform}`)),
    `${tag}-none-any`,
    ...pythons.map((python) => `${python}-none-any`),
  ];
}

/** Which tags an interpreter supports, for looking up many wheels. */
export class TagRanking {
  readonly #ranks: ReadonlyMap<Tag, number>;

  constructor(tags: readonly Tag[]) {
    // Of a tag that comes twice the last place counts in pip (a dictionary by tag); the order of the
    // others is the same.
    this.#ranks = new Map(tags.map((tag, rank) => [tag, rank]));
  }

  /** The place of the wheel's best tag, 0 the best; `null` when none is supported. */
  rankOf(wheel: WheelTags): number | null {
    let best: number | null = null;
    for (const tag of expandTags(wheel)) {
      const rank = this.#ranks.get(tag);
      if (rank !== undefined && (best === null || rank < best)) best = rank;
    }
    return best;
  }
}

/** A file's compressed tag set, taken apart and in lower case (PEP 425, "Compressed Tag Sets"). */
function expandTags({ python, abi, platform }: WheelTags): Tag[] {
  return python.flatMap((eachPython) =>
    abi.flatMap((eachAbi) =>
      platform.map((eachPlatform) => `${eachPython}-${eachAbi}-${eachPlatform}`.toLowerCase()),
    ),
  );
}
