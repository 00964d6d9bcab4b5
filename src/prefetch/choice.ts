import { judgeFiles } from '../packaging/candidates.ts';
import type { Verdict } from '../packaging/candidates.ts';
import type { ProjectName } from '../packaging/names.ts';
import { compareVersions, isValidVersion } from '../packaging/versions.ts';
import { offeredFiles } from '../repository/offered-files.ts';
import type { OfferedFile } from '../repository/offered-files.ts';
import type { RequestContext } from '../repository/repository.ts';
import type { DistributionFile } from '../simple/model.ts';
import { nameOfTarget } from './targets.ts';
import type { Target } from './targets.ts';
import type { WantedPackage } from './wanted-package.ts';

/** Which file stands for a package on a target. */
export interface Choice {
  readonly wanted: WantedPackage;
  readonly target: Target;
  /** `null` when there is none. */
  readonly file: OfferedFile | null;
  readonly kind: 'wheel' | 'sdist' | null;
  /** Why there is no file, or why no wheel; `null` for a wheel. */
  readonly reason: string | null;
  /** What went wrong with the page, when that is the reason. */
  readonly error: unknown;
}

type Page = readonly OfferedFile[] | { readonly error: unknown };

/** Chooses files as pip would, from pages that are each asked for once. */
export class FileChooser {
  readonly #mirror: Parameters<typeof offeredFiles>[0];
  readonly #context: RequestContext;
  readonly #onlyBinary: boolean;
  readonly #pages = new Map<ProjectName, Promise<Page>>();

  constructor(
    mirror: Parameters<typeof offeredFiles>[0],
    context: RequestContext,
    onlyBinary: boolean,
  ) {
    this.#mirror = mirror;
    this.#context = context;
    this.#onlyBinary = onlyBinary;
  }

  /** The file for one package on one target; never throws. */
  async choose(wanted: WantedPackage, target: Target): Promise<Choice> {
    const nothing = { wanted, target, file: null, kind: null } as const;
    const page = await this.#page(wanted.project);
    if ('error' in page) {
      const reason = page.error instanceof Error ? page.error.message : String(page.error);
      return { ...nothing, reason, error: page.error };
    }
    const ofVersion = page.filter(({ entry }) => isAllowed(entry, wanted));
    const verdicts = judgeFiles(
      ofVersion.map(({ entry }) => entry),
      { project: wanted.project, specifier: exactly(wanted.version), ...target },
    );
    const usable = verdicts.filter(
      ({ file }) => !this.#onlyBinary || file.filename.endsWith('.whl'),
    );
    const best = usable.find(({ rejection }) => rejection === null)?.file;
    const file = ofVersion.find(({ entry }) => entry === best);
    const reason = reasonOf(verdicts, page, wanted, this.#onlyBinary);
    if (file === undefined) return { ...nothing, reason, error: null };
    const isWheel = file.entry.filename.endsWith('.whl');
    return {
      wanted,
      target,
      file,
      kind: isWheel ? 'wheel' : 'sdist',
      reason: isWheel ? null : `no wheel for ${nameOfTarget(target)}`,
      error: null,
    };
  }

  #page(project: ProjectName): Promise<Page> {
    const known = this.#pages.get(project);
    if (known !== undefined) return known;
    const asked = offeredFiles(this.#mirror, project, this.#context).catch((error: unknown) => ({
      error,
    }));
    this.#pages.set(project, asked);
    return asked;
  }
}

/** Versions of before PEP 440 are compared as texts. */
function exactly(version: string): string {
  return isValidVersion(version) ? `==${version}` : `===${version}`;
}

/** Whether the lock lets this file be taken. */
function isAllowed(entry: DistributionFile, { filenames, sha256s }: WantedPackage): boolean {
  const sha256 = entry.hashes['sha256'] ?? null;
  if (filenames !== null) {
    const locked = filenames.get(entry.filename);
    if (locked === undefined) return false;
    if (locked !== null && sha256 !== null && locked !== sha256) return false;
  }
  return sha256s === null || (sha256 !== null && sha256s.has(sha256));
}

function reasonOf(
  verdicts: readonly Verdict<DistributionFile>[],
  page: readonly OfferedFile[],
  { filenames, sha256s, project, version }: WantedPackage,
  onlyBinary: boolean,
): string {
  if (verdicts.length === 0 && (filenames !== null || sha256s !== null))
    return `the page of ${project} has none of the files that the lock names`;
  const ofVersion = verdicts.filter(
    (verdict) => verdict.version !== null && compareVersions(verdict.version, version) === 0,
  );
  if (ofVersion.length === 0) {
    return page.length === 0
      ? `the page of ${project} has no file`
      : `the page of ${project} has no file of ${version}`;
  }
  if (onlyBinary && ofVersion.some(({ rejection }) => rejection === null))
    return 'there is an sdist only, and wheels alone are wanted';
  const kinds = new Set(ofVersion.map(({ rejection }) => rejection?.kind));
  const [first] = ofVersion;
  if (kinds.has('requires-python')) {
    const words = ofVersion.find(({ rejection }) => rejection?.kind === 'requires-python');
    return words?.rejection?.reason ?? 'requires another Python';
  }
  if (kinds.has('tags')) return `its ${ofVersion.length} files are for other machines or Pythons`;
  return first?.rejection?.reason ?? 'nothing fits';
}
