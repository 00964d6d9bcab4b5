import { WheelcellarError, messageOf } from '../core/errors.ts';
import type { WheelChoice } from '../config/mirror-file.ts';
import { judgeFiles } from '../packaging/candidates.ts';
import type { Interpreter } from '../packaging/environment.ts';
import { parseFilename } from '../packaging/filenames.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { TagRanking } from '../packaging/tags.ts';
import { compareVersions, isValidVersion } from '../packaging/versions.ts';
import type { Repository, RequestContext } from '../repository/repository.ts';
import type { DistributionFile } from '../simple/model.ts';
import type { LedgerPin } from './ledger.ts';

/** An interpreter on a machine that a mirror is made for. */
export interface MirrorTarget {
  /** As a resolver is told it: a version. */
  readonly python: string;
  /** A platform tag; `null` for this machine. */
  readonly platform: string | null;
  readonly interpreter: Interpreter;
  readonly ranking: TagRanking;
}

/** The exact versions that a resolver found for one target. */
export interface TargetPins {
  readonly target: MirrorTarget;
  readonly pins: readonly LedgerPin[];
}

/** A file of the closure, as its index lists it. */
export interface ClosureFile {
  readonly project: ProjectName;
  readonly version: string;
  readonly kind: 'wheel' | 'sdist';
  /** Its mirror path. */
  readonly path: string;
  readonly entry: DistributionFile;
}

/** A wheel that has to be built. */
export interface WantedBuild {
  readonly pin: LedgerPin;
  readonly target: MirrorTarget;
  readonly sdist: ClosureFile;
}

/** What a closure consists of. */
export interface Closure {
  readonly files: readonly ClosureFile[];
  readonly builds: readonly WantedBuild[];
}

/**
 * The files of exact versions: every sdist, and of the wheels what `choice` says: of the index those that
 * installers take (`fetch`), or the build of each sdist (`build`). What the index has no wheel of for this
 * machine is to be built in both cases.
 *
 * @throws WheelcellarError when some version has no file that could be mirrored
 */
export async function closureOf(
  repository: Repository,
  resolved: readonly TargetPins[],
  choice: WheelChoice,
  context: RequestContext,
): Promise<Closure> {
  const files = new Map<string, ClosureFile>();
  const builds: WantedBuild[] = [];
  const missing: string[] = [];
  for (const { pin, targets } of byPin(resolved)) {
    const listed = await filesOfPin(repository, pin, context);
    const sdist = preferredSdist(listed);
    if (sdist !== undefined) files.set(sdist.path, sdist);
    const wheels = listed.filter(({ kind }) => kind === 'wheel');
    for (const target of targets) {
      const wheel = choice === 'none' ? undefined : bestWheel(wheels, pin, target);
      const isBuilt = choice === 'build' && sdist !== undefined && target.platform === null;
      if (wheel !== undefined && !isBuilt) files.set(wheel.path, wheel);
      else if (sdist !== undefined && choice !== 'none' && target.platform === null)
        builds.push({ pin, target, sdist });
      else if (sdist === undefined) missing.push(sentenceFor(pin, target, choice));
    }
  }
  if (missing.length > 0) throw new WheelcellarError(missing.join(' '));
  return { files: [...files.values()], builds };
}

function sentenceFor(
  pin: LedgerPin,
  { python, platform }: MirrorTarget,
  choice: WheelChoice,
): string {
  const name = `${pin.name}==${pin.version}`;
  if (choice === 'none') return `${name} has no sdist, and wheels are not wanted.`;
  return `${name} has no sdist, and no wheel for Python ${python} on ${platform ?? 'this machine'}.`;
}

function byPin(
  resolved: readonly TargetPins[],
): Iterable<{ pin: LedgerPin; targets: MirrorTarget[] }> {
  const found = new Map<string, { pin: LedgerPin; targets: MirrorTarget[] }>();
  for (const { target, pins } of resolved) {
    for (const pin of pins) {
      const key = `${pin.name}==${pin.version}`;
      const entry = found.get(key) ?? { pin, targets: [] };
      entry.targets.push(target);
      found.set(key, entry);
    }
  }
  return found.values();
}

async function filesOfPin(
  repository: Repository,
  pin: LedgerPin,
  context: RequestContext,
): Promise<ClosureFile[]> {
  const snapshot = await repository.projectDetail(pin.name, context).catch((error: unknown) => {
    throw new WheelcellarError(`${pin.name}==${pin.version}: ${messageOf(error)}`, {
      cause: error,
    });
  });
  const { detail, pathOf } = await snapshot.load();
  return detail.files.flatMap((entry) => {
    const parsed = parseFilename(entry.filename, pin.name);
    if (parsed?.project !== pin.name || !isValidVersion(parsed.version)) return [];
    if (parsed.kind !== 'wheel' && parsed.kind !== 'sdist') return [];
    if (compareVersions(parsed.version, pin.version) !== 0) return [];
    const { name: project, version } = pin;
    return [{ project, version, kind: parsed.kind, path: pathOf(entry), entry }];
  });
}

/** The form that every installer reads stands before those of old days. */
function preferredSdist(files: readonly ClosureFile[]): ClosureFile | undefined {
  const sdists = files.filter(({ kind }) => kind === 'sdist');
  return (
    sdists.find(({ entry }) => entry.filename.endsWith('.tar.gz')) ??
    sdists.find(({ entry }) => entry.filename.endsWith('.zip')) ??
    sdists[0]
  );
}

function bestWheel(
  wheels: readonly ClosureFile[],
  { name, version }: LedgerPin,
  { interpreter, ranking }: MirrorTarget,
): ClosureFile | undefined {
  const target = { project: name, specifier: `==${version}`, interpreter, ranking };
  const verdicts = judgeFiles(
    wheels.map(({ entry }) => entry),
    target,
  );
  const taken = verdicts.find(({ rejection }) => rejection === null)?.file;
  return wheels.find(({ entry }) => entry === taken);
}
