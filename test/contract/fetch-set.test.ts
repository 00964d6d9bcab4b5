import { describe, expect, it } from 'vitest';
import { fetchSet } from '../../src/repository/fetch-set.ts';
import type { SetFile } from '../../src/repository/fetch-set.ts';
import { offeredFiles } from '../../src/repository/offered-files.ts';
import type { OfferedFile } from '../../src/repository/offered-files.ts';
import type { ProjectName } from '../../src/packaging/names.ts';
import { stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';

const MANY = Array.from({ length: 12 }, (_, at) =>
  writeWheel({ name: 'many', version: `1.${at}`, paddingBytes: 200_000 + at }),
);
const SDIST = writeSdist({ name: 'many', version: '0.9' });
const FILES = [...MANY, SDIST];
const NEVER = new AbortController().signal;

async function offered(mirror: TestMirror): Promise<OfferedFile[]> {
  return await offeredFiles(mirror.mirror, 'many' as ProjectName, {
    signal: NEVER,
    networkMode: 'normal',
  });
}

async function fetchAll(
  mirror: TestMirror,
  options: Partial<Parameters<typeof fetchSet>[2]> = {},
): Promise<SetFile[]> {
  const files = await offered(mirror);
  const wanted = files.map(({ path, entry: { filename, sizeBytes } }) => ({
    path,
    filename,
    sizeBytes,
  }));
  return await fetchSet(mirror.mirror.repository, wanted, { signal: NEVER, ...options });
}

const outcomes = (files: readonly SetFile[]): string[] => files.map(({ outcome }) => outcome);

describe('fetching a set', () => {
  it('holds every file and the core metadata of every wheel afterwards', async () => {
    const upstream = await stageUpstream({ projects: { many: FILES } });
    const mirror = await startMirror({ upstreams: [upstream] });
    let bytes = 0;
    const seen: string[] = [];
    const result = await fetchAll(mirror, {
      onBytes: (more) => (bytes += more),
      onFile: ({ filename }) => seen.push(filename),
    });
    expect(outcomes(result)).toEqual(FILES.map(() => 'fetched'));
    expect(bytes).toBe(FILES.reduce((sum, { content }) => sum + content.length, 0));
    expect(seen.toSorted()).toEqual(FILES.map(({ filename }) => filename).toSorted());
    const { catalog } = mirror.mirror.store;
    for (const { path, entry, isHeld } of await offered(mirror)) {
      expect(isHeld, path).toBe(true);
      const sidecar = catalog.findFile('pypi', `${path}.metadata`);
      expect(sidecar !== undefined, path).toBe(entry.filename.endsWith('.whl'));
    }
  });

  it('asks the upstream for nothing when all is held', async () => {
    const upstream = await stageUpstream({ projects: { many: FILES } });
    const mirror = await startMirror({ upstreams: [upstream] });
    await fetchAll(mirror);
    upstream.forget();
    const again = await fetchAll(mirror);
    expect(outcomes(again)).toEqual(FILES.map(() => 'held'));
    expect(again.every(({ bytes }) => bytes === 0)).toBe(true);
    expect(upstream.requests).toEqual([]);
  });

  it('fetches so many at a time and no more', async () => {
    const upstream = await stageUpstream({ projects: { many: FILES } });
    const mirror = await startMirror({ upstreams: [upstream] });
    let most = 0;
    const isFull = /\/packages\//;
    upstream.fault(isFull, { delayMs: 40 });
    const timer = setInterval(() => {
      const underWay = upstream.requests.filter(
        ({ path, status }) => isFull.test(path) && !path.endsWith('.metadata') && status === 0,
      );
      most = Math.max(most, underWay.length);
    }, 2);
    await fetchAll(mirror, { atATime: 3 });
    clearInterval(timer);
    expect(most).toBe(3);
  });

  it('says of each file why it failed, and fetches the others', async () => {
    const upstream = await stageUpstream({ projects: { many: FILES } });
    const mirror = await startMirror({ upstreams: [upstream] });
    const [gone, wrong] = [MANY[3], MANY[4]];
    upstream.fault(upstream.filePath(gone?.filename ?? ''), { status: 404 });
    upstream.fault(upstream.filePath(wrong?.filename ?? ''), { flipByteAt: 100 });
    const result = await fetchAll(mirror);
    const failed = result.filter(({ outcome }) => outcome === 'failed');
    expect(failed.map(({ filename }) => filename)).toEqual([gone?.filename, wrong?.filename]);
    expect(failed.map(({ error }) => (error as Error).name)).toEqual([
      'NotFoundError',
      'IntegrityError',
    ]);
    expect(outcomes(result).filter((outcome) => outcome === 'fetched')).toHaveLength(11);
  });

  it('begins no further fetch after its signal', async () => {
    const upstream = await stageUpstream({ projects: { many: FILES } });
    const mirror = await startMirror({ upstreams: [upstream] });
    const stop = new AbortController();
    const result = await fetchAll(mirror, {
      atATime: 2,
      signal: stop.signal,
      onFile: () => stop.abort(new Error('enough')),
    });
    expect(result.at(0)).toBeDefined();
    expect(result).toHaveLength(FILES.length);
    const failed = result.filter(({ outcome }) => outcome === 'failed');
    expect(failed.length).toBeGreaterThanOrEqual(FILES.length - 3);
    expect(upstream.count(/\.whl$/)).toBeLessThan(5);
  });

  it('works where the upstream tells neither sizes nor metadata', async () => {
    const bare = FILES.map(({ filename, content }) => ({ filename, content }));
    const upstream = await stageUpstream({
      projects: { many: bare },
      mode: 'html',
      legacyJson: false,
    });
    const mirror = await startMirror({ upstreams: [upstream] });
    expect(outcomes(await fetchAll(mirror))).toEqual(FILES.map(() => 'fetched'));
  });
});
