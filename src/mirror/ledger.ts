import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, messageOf, WheelcellarError } from '../core/errors.ts';
import type { ProjectName } from '../packaging/names.ts';
import { writeAtomically } from '../store/atomic-file.ts';

/** How a file came into the download folders: `dropped` by a person. */
export type LedgerOrigin = 'fetched' | 'built' | 'dropped';

/** What is known of a file of the download folders, by its name. */
export interface LedgerFile {
  readonly filename: string;
  readonly project: ProjectName;
  readonly version: string;
  readonly kind: 'wheel' | 'sdist';
  readonly origin: LedgerOrigin;
  readonly sha256: string;
  readonly sizeBytes: number;
  /** Whole milliseconds since the epoch; with the size it tells whether the file was changed. */
  readonly mtimeMs: number;
  readonly requiresPython: string | null;
  readonly yanked: false | string;
  readonly uploadTime: string | null;
  /** Where its index has it. */
  readonly url: string | null;
  /** Repository, commit and folder that it was made of; only of sdists of commits. */
  readonly source?: string;
  /** Names of the files that its build took from the mirror; only of built ones. */
  readonly builtWith?: readonly string[];
}

/** One exact version. */
export interface LedgerPin {
  readonly name: ProjectName;
  readonly version: string;
}

/** What one branch asked for when it was resolved last. */
export interface LedgerSet {
  readonly pins: readonly LedgerPin[];
  /** Names of files. */
  readonly files: readonly string[];
}

/** What a mirror remembers between runs. */
export interface Ledger {
  readonly files: Map<string, LedgerFile>;
  /** By source and branch, see {@link setKey}. */
  readonly sets: Map<string, LedgerSet>;
  /** Pins of the cache folder that this mirror has set: `name==version`. */
  readonly pinned: Set<string>;
}

interface WrittenLedger {
  readonly format: 1;
  readonly files: readonly LedgerFile[];
  readonly sets: Readonly<Record<string, LedgerSet>>;
  readonly pinned: readonly string[];
}

/** The key of a branch's set. */
export function setKey(source: string, branch: string): string {
  return `${source} ${branch}`;
}

/** Reads a mirror's ledger; an absent one is empty. @throws WheelcellarError when it cannot be read */
export async function readLedger(cacheRoot: string, mirror: string): Promise<Ledger> {
  const path = pathOf(cacheRoot, mirror);
  try {
    const written = JSON.parse(await readFile(path, 'utf8')) as WrittenLedger;
    if (written.format !== 1) throw new WheelcellarError('it is of another version');
    return {
      files: new Map(written.files.map((file) => [file.filename, file])),
      sets: new Map(Object.entries(written.sets)),
      pinned: new Set(written.pinned),
    };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { files: new Map(), sets: new Map(), pinned: new Set() };
    throw new WheelcellarError(`${path} cannot be read: ${messageOf(error)}.`, {
      cause: error,
      hint: 'Move it away: the next run makes a new one from the files in the download folders.',
    });
  }
}

/** Replaces a mirror's ledger as a whole. */
export async function writeLedger(
  cacheRoot: string,
  mirror: string,
  ledger: Ledger,
): Promise<void> {
  const path = pathOf(cacheRoot, mirror);
  await mkdir(dirname(path), { recursive: true });
  const written: WrittenLedger = {
    format: 1,
    files: [...ledger.files.values()],
    sets: Object.fromEntries(ledger.sets),
    pinned: [...ledger.pinned].toSorted(),
  };
  const text = `${JSON.stringify(written, null, 1)}\n`;
  await writeAtomically(path, dirname(path), text, { mode: 0o644, durable: true });
}

function pathOf(cacheRoot: string, mirror: string): string {
  return join(cacheRoot, 'state', `${mirror}.json`);
}
