import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import type { ProjectName } from '../../src/packaging/names.ts';
import type { FillRequest } from '../../src/store/fill/byte-source.ts';
import { openFill } from '../../src/store/fill/reader.ts';
import type { OpenedFill } from '../../src/store/fill/reader.ts';
import { fillKey, layoutOf } from '../../src/store/layout.ts';
import type { Layout } from '../../src/store/layout.ts';
import { mirrorPathOf } from '../../src/store/mirror-path.ts';
import { Store } from '../../src/store/store.ts';
import type { StoreOptions } from '../../src/store/store.ts';
import { createTransport, createUpstream } from '../../src/upstream/upstream.ts';
import { startFakeUpstream } from './fake-upstream.ts';
import type { FakeFile, FakeUpstream } from './fake-upstream.ts';
import { sha256Of } from './fake-upstream-pages.ts';
import { makeTempFolder } from './temp-folder.ts';

/** A cache folder, any number of stores on it, and a real upstream over HTTP behind them. */
export interface FillStage {
  readonly upstream: FakeUpstream;
  readonly layout: Layout;
  readonly file: FakeFile;
  /** Another "process": shares nothing with the others but the folder. */
  openStore(options?: Partial<StoreOptions>): Promise<Store>;
  /** What the layer above would ask for, with changes. */
  request(changes?: Partial<FillRequest>): FillRequest;
  /** GETs of the file so far. */
  gets(): number;
  /** What is in `partial/` and `locks/`. */
  litter(): string[];
}

/** How one reader fared. */
export interface Outcome {
  /** `whole`: all bytes, and the right ones; `wrong`: a complete body that is not the file; else what was thrown. */
  readonly end: string;
  readonly bytes: number;
  readonly totalBytes: number | null;
}

/** Bytes that no compressor and no accident makes. */
export function noise(sizeBytes: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let at = 0; at + 4 <= sizeBytes; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeInt32LE(state | 0, at);
  }
  return bytes;
}

/** Sets the stage for one test and clears it when the test is over. */
export async function setFillStage(
  content: Buffer = noise(1_000_000),
  filename = 'demo-1.0-py3-none-any.whl',
): Promise<FillStage> {
  const folder = await makeTempFolder('wheelcellar-fill-');
  onTestFinished(() => folder.remove());
  const file: FakeFile = { filename, content };
  const upstream = await startFakeUpstream({ projects: { demo: [file] } });
  onTestFinished(() => upstream.close());
  const transport = createTransport({ headersTimeoutMs: 1_000, idleTimeoutMs: 1_000 });
  const env = { clock: systemClock, log: silentLogger };
  const index = createUpstream(
    { name: 'pypi', url: upstream.indexUrl, layout: 'simple', retries: 0 },
    transport,
    env,
  );
  onTestFinished(async () => {
    index.close();
    await transport.close();
  });
  const layout = layoutOf(join(folder.path, 'cache'));
  const url = upstream.fileUrl(filename);
  const path = mirrorPathOf('pypi', upstream.indexUrl, url) ?? '';
  return {
    upstream,
    layout,
    file,
    openStore: async (options = {}) => {
      const store = await Store.open(
        { ...STORE_OPTIONS, cacheDir: layout.cacheDir, ...options },
        env,
      );
      onTestFinished(() => store.close(0));
      return store;
    },
    request: (changes = {}) => ({
      upstream: 'pypi',
      path,
      project: 'demo' as ProjectName,
      filename,
      kind: 'distribution',
      hashes: { sha256: sha256Of(content) },
      sizeBytes: content.length,
      maxBytes: 1 << 30,
      entry: null,
      source: {
        open: ({ offset, lastByte, ifRange, signal }) =>
          index.openFile(url, {
            ...(offset > 0 || lastByte !== undefined ? { firstByte: offset } : {}),
            ...(lastByte === undefined ? {} : { lastByte }),
            ...(ifRange === undefined ? {} : { ifRange }),
            signal,
          }),
      },
      ...changes,
    }),
    gets: () => upstream.count(upstream.filePath(filename), 'GET'),
    litter: () => [...readdirSync(layout.partialDir), ...readdirSync(layout.locksDir)],
  };
}

const STORE_OPTIONS: Omit<StoreOptions, 'cacheDir'> = {
  maxSizeBytes: 1 << 40,
  maxAgeMs: null,
  graceMs: 60_000,
  reserveBytes: 0,
  retries: 3,
};

/** The key under which the fill of a request is known on the disk. */
export function keyOf(request: FillRequest): string {
  return fillKey(request.upstream, request.path);
}

/** Attaches one reader. */
export function attach(
  store: Store,
  request: FillRequest,
  range: { start: number; end: number | null } = { start: 0, end: null },
  options: { signal?: AbortSignal; holdAll?: boolean } = {},
): Promise<OpenedFill> {
  return openFill(store.fills.fetch(request), range, {
    signal: new AbortController().signal,
    ...options,
  });
}

/** Reads to the end. Never throws. */
export async function outcomeOf(opening: Promise<OpenedFill>, expected: Buffer): Promise<Outcome> {
  const chunks: Uint8Array[] = [];
  let totalBytes: number | null = null;
  try {
    const opened = await opening;
    totalBytes = opened.totalBytes;
    for await (const chunk of opened.body) chunks.push(chunk);
    const end = Buffer.concat(chunks).equals(expected) ? 'whole' : 'wrong';
    return { end, bytes: sizeOf(chunks), totalBytes };
  } catch (error) {
    return { end: (error as Error).name, bytes: sizeOf(chunks), totalBytes };
  }
}

function sizeOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}

/** Resolves when the fill of this process has ended, however. */
export async function settled(store: Store, request: FillRequest): Promise<void> {
  await store.fills.find(request.upstream, request.path)?.done.catch(() => {});
}
