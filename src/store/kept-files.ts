import { parseFilename } from '../packaging/filenames.ts';
import type { ProjectName } from '../packaging/names.ts';
import { isValidVersion, matchesSpecifier } from '../packaging/versions.ts';
import type { Catalog, HeldFile } from './catalog.ts';
import type { Pin } from './pin-table.ts';
import type { Records } from './records.ts';

const METADATA_SUFFIX = '.metadata';

/** The version that a held file's name says; of core metadata, that of its wheel. */
export function versionOfFile(
  file: Pick<HeldFile, 'filename' | 'kind' | 'project'>,
): string | undefined {
  const filename =
    file.kind === 'metadata' ? file.filename.slice(0, -METADATA_SUFFIX.length) : file.filename;
  return parseFilename(filename, file.project)?.version;
}

/**
 * Whether a file's version fulfils the specifier set; the empty one fits every file, pre-releases
 * match like any other version.
 */
export function fitsSpecifier(
  file: Pick<HeldFile, 'filename' | 'kind' | 'project'>,
  specifier: string,
): boolean {
  if (specifier === '') return true;
  const version = versionOfFile(file);
  if (version === undefined || !isValidVersion(version)) return false;
  return matchesSpecifier(version, specifier, { prereleases: true });
}

/**
 * Files that are never evicted because people said so, or a recorded set needs them. Pins and sets in the records
 * are the truth; the catalog's mark is derived from them and brought up to date by `mirror`, before every eviction at the
 * latest, so that files stored after the pin are kept too.
 */
export class KeptFiles {
  readonly #catalog: Catalog;
  readonly #records: Records;

  constructor(catalog: Catalog, records: Records) {
    this.#catalog = catalog;
    this.#records = records;
  }

  /** Pins files of a project. @returns the held files that the pin fits */
  async keep(project: ProjectName, specifier: string): Promise<HeldFile[]> {
    await this.#records.pins.add(project, specifier);
    await this.mirror();
    return this.#catalog.filesOf(project).filter((file) => fitsSpecifier(file, specifier));
  }

  /**
   * Takes one pin back, or with `null` all pins of the project.
   *
   * @returns how many pins there were
   */
  async unkeep(project: ProjectName, specifier: string | null): Promise<number> {
    const removed = await this.#records.pins.remove(project, specifier);
    await this.mirror();
    return removed;
  }

  /** Makes the catalog's marks equal to the pins and sets. */
  async mirror(): Promise<void> {
    const wanted = new Map<string, Pick<HeldFile, 'upstream' | 'path'>>();
    for (const [project, pins] of groupByProject(this.#records.pins.all())) {
      for (const file of this.#catalog.filesOf(project)) {
        if (pins.some((pin) => fitsSpecifier(file, pin.specifier))) wanted.set(keyOf(file), file);
      }
    }
    for (const { upstream, path } of this.#records.sets.paths()) {
      for (const each of [path, `${path}${METADATA_SUFFIX}`]) {
        const held = this.#catalog.findFile(upstream, each);
        if (held !== undefined) wanted.set(keyOf(held), held);
      }
    }
    const marked = this.#catalog.pinnedFiles();
    const markedKeys = new Set(marked.map(keyOf));
    const toMark = [...wanted].filter(([key]) => !markedKeys.has(key)).map(([, file]) => file);
    const toClear = marked.filter((file) => !wanted.has(keyOf(file)));
    if (toMark.length > 0) await this.#catalog.setPinned(toMark, true);
    if (toClear.length > 0) await this.#catalog.setPinned(toClear, false);
  }
}

function keyOf(file: Pick<HeldFile, 'upstream' | 'path'>): string {
  return `${file.upstream}\n${file.path}`;
}

function groupByProject(pins: readonly Pin[]): Map<ProjectName, Pin[]> {
  const groups = new Map<ProjectName, Pin[]>();
  for (const pin of pins) groups.set(pin.project, [...(groups.get(pin.project) ?? []), pin]);
  return groups;
}
