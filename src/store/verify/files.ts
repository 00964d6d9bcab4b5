import { createHash } from 'node:crypto';
import { chmod } from 'node:fs/promises';
import { sleep } from '../../core/sleep.ts';
import { readWheelMetadata } from '../../packaging/wheel-metadata.ts';
import type { HeldFile } from '../held-file.ts';
import { setAside } from './set-aside.ts';
import type { Store } from '../store.ts';
import { lookAtFile } from './file.ts';
import type { FileDamage } from './file.ts';
import type { Finding, VerifyOptions } from './report.ts';

/** What of a store the look at files needs. */
export type FilesOfStore = Pick<
  Store,
  'layout' | 'catalog' | 'held' | 'records' | 'finishStaticPages'
>;

/** So many rows are read at once, and so many files looked at at a time. */
const BATCH = 500;
const AT_A_TIME = 8;
/** Whoever has just read a page that names a damaged file comes for it within this time. */
const READERS_MS = 1_000;

/** What the look at all rows has shown. */
export interface FilesLook {
  readonly files: number;
  readonly digested: number;
  readonly bytes: number;
  readonly findings: readonly Finding[];
}

/**
 * Looks at every held file. Damaged ones leave the index at once and are set aside: page first, then
 * the bytes, so that no link is ever dead. `random` draws the sample.
 */
export async function verifyFiles(
  store: FilesOfStore,
  options: VerifyOptions,
  onFile: () => void,
  random: () => number,
): Promise<FilesLook> {
  const sums = { files: 0, digested: 0, bytes: 0 };
  const damaged: { file: HeldFile; damage: FileDamage }[] = [];
  const findings: Finding[] = [];
  const look = async (file: HeldFile): Promise<void> => {
    const digest = random() < options.sample;
    const seen = await lookAtFile(store.layout, file, { digest, signal: options.signal });
    sums.files++;
    if (seen.isDigested) {
      sums.digested++;
      sums.bytes += file.sizeBytes;
    }
    onFile();
    const damage = seen.damage ?? (digest ? await metadataDamage(store, file) : null);
    if (damage === null) {
      if (seen.newMtimeMs !== null)
        await store.catalog.addFile({ ...file, mtimeMs: seen.newMtimeMs }, () => {});
      return;
    }
    if (!isStillSo(store, file)) return;
    if (damage.problem !== 'wrong-mode') return void damaged.push({ file, damage });
    if (options.repair) await chmod(store.layout.fileAt(file.path), 0o444);
    findings.push(findingOf(file, damage, options.repair ? 'mended' : 'found'));
  };
  for (let last: HeldFile | undefined; !options.signal.aborted;) {
    const batch = store.catalog.holdings.filesAfter(last ?? null, BATCH);
    if (batch.length === 0) break;
    last = batch.at(-1);
    await eachOf(batch, AT_A_TIME, look);
  }
  await takeOut(
    store,
    damaged.map(({ file }) => file),
  );
  for (const { file, damage } of damaged) findings.push(findingOf(file, damage, 'left-out'));
  return { ...sums, findings };
}

/** Takes damaged files out of the index, and their bytes out of the mirror once no reader comes for them. */
export async function takeOut(store: FilesOfStore, files: readonly HeldFile[]): Promise<void> {
  if (files.length === 0) return;
  await Promise.all(files.map((file) => store.catalog.forgetFile(file)));
  await store.finishStaticPages();
  await sleep(READERS_MS);
  for (const { upstream, path } of files) {
    // Fetched anew by a server meanwhile: then the bytes are good ones.
    if (store.catalog.findFile(upstream, path) === undefined) await setAside(store.layout, path);
  }
}

/** Runs `work` on each, so many at a time. */
async function eachOf<T>(
  items: readonly T[],
  atATime: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const runner = async (): Promise<void> => {
    while (next < items.length) {
      const item = items[next++];
      if (item !== undefined) await work(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atATime, items.length) }, runner));
}

/** Servers go on meanwhile: a file that was evicted or fetched anew since its row was read is not damaged. */
function isStillSo(store: FilesOfStore, file: HeldFile): boolean {
  const row = store.catalog.findFile(file.upstream, file.path);
  return row?.sha256 === file.sha256 && row.mtimeMs === file.mtimeMs;
}

/** Whether core metadata is what its wheel holds, when that is held too. */
async function metadataDamage(store: FilesOfStore, file: HeldFile): Promise<FileDamage | null> {
  if (file.kind !== 'metadata') return null;
  const wheel = store.catalog.findFile(file.upstream, file.path.slice(0, -'.metadata'.length));
  if (wheel === undefined || !wheel.filename.endsWith('.whl')) return null;
  const bytes = await store.held
    .readIn(wheel, (access) => readWheelMetadata(wheel.filename, access))
    .catch(() => undefined);
  if (bytes === undefined) return null;
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 === file.sha256) return null;
  const detail = `sha256 ${file.sha256}, but the wheel holds ${sha256}`;
  return { problem: 'wrong-metadata', detail };
}

function findingOf(file: HeldFile, damage: FileDamage, outcome: Finding['outcome']): Finding {
  return {
    problem: damage.problem,
    path: file.path,
    project: file.project,
    upstream: file.upstream,
    detail: damage.detail,
    outcome,
  };
}
