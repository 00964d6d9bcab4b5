import { describe, expect, it } from 'vitest';
import { IntegrityError, NotFoundError } from '../../src/core/errors.ts';
import type { ProjectName } from '../../src/packaging/names.ts';
import { NotedRepository } from '../../src/repository/noted-repository.ts';
import type { RequestContext } from '../../src/repository/repository.ts';
import { SetRepository } from '../../src/repository/set-repository.ts';
import type { RecordedFile, RecordedSet } from '../../src/store/set-table.ts';
import { FakeRepository } from '../support/fake-repository.ts';

const SHA256 = 'ab'.repeat(32);
const METADATA_SHA256 = 'cd'.repeat(32);
const OLD = 'packages/aa/bb/flask-1.0-py3-none-any.whl';
const NEW = 'packages/aa/bb/flask-2.0-py3-none-any.whl';
const FLASK = 'flask' as ProjectName;
const CONTEXT: RequestContext = {
  signal: new AbortController().signal,
  networkMode: 'normal',
};

async function chain(): Promise<FakeRepository> {
  const fake = new FakeRepository();
  fake.setProject(
    'flask',
    [OLD, NEW].map((path) => path.slice(path.lastIndexOf('/') + 1)),
  );
  fake.setProject('other', ['other-1.0-py3-none-any.whl']);
  for (const path of [OLD, NEW, 'packages/aa/bb/other-1.0-py3-none-any.whl'])
    fake.setFile(path, { content: Buffer.from('wheel'), etag: `"sha256-${SHA256}"` });
  fake.setFile(`${OLD}.metadata`, {
    content: Buffer.from('metadata'),
    etag: `"sha256-${METADATA_SHA256}"`,
  });
  return fake;
}

async function recorded(
  inner: FakeRepository,
  changes: Partial<RecordedFile> = {},
): Promise<RecordedSet> {
  const { detail, pathOf } = await (await inner.projectDetail(FLASK)).load();
  const entry = detail.files.find((file) => pathOf(file) === OLD)!;
  const file: RecordedFile = {
    upstream: 'pypi',
    path: OLD,
    project: FLASK,
    version: '1.0',
    sha256: SHA256,
    sizeBytes: 5,
    metadataSha256: METADATA_SHA256,
    lastUsed: 1,
    entry: { ...entry, requiresPython: '>=3.8', yanked: false },
    ...changes,
  };
  const pages = [
    { project: FLASK, upstream: 'pypi', filenames: [entry.filename] },
    { project: 'looked-at' as ProjectName, upstream: null, filenames: [] },
  ];
  return { name: 'web', recordedAt: 0, command: ['make'], pages, files: [file] };
}

describe('an index restricted to a set', () => {
  it('lists the files of the set alone, as they were described', async () => {
    const inner = await chain();
    const set = new SetRepository(inner, await recorded(inner));
    // What the chain has come to since.
    inner.setProject('flask', ['flask-3.0-py3-none-any.whl']);
    const { detail, pathOf } = await (await set.projectDetail(FLASK)).load();
    expect(detail.files).toMatchObject([
      {
        filename: 'flask-1.0-py3-none-any.whl',
        requiresPython: '>=3.8',
        sizeBytes: 5,
        hashes: { sha256: SHA256 },
        coreMetadata: { sha256: METADATA_SHA256 },
      },
    ]);
    expect(pathOf(detail.files[0]!)).toBe(OLD);
    expect((await set.projectList()).projects).toEqual(['flask']);
  });

  it('has an empty page where the build saw one without taking anything, and none elsewhere', async () => {
    const inner = await chain();
    const set = new SetRepository(inner, await recorded(inner));
    const seen = await (await set.projectDetail('looked-at' as ProjectName)).load();
    expect(seen.detail.files).toEqual([]);
    const other = set.projectDetail('other' as ProjectName);
    await expect(other).rejects.toThrow(NotFoundError);
  });

  it('gives bytes and core metadata of its files, and of no other', async () => {
    const inner = await chain();
    const set = new SetRepository(inner, await recorded(inner));
    for (const path of [OLD, `${OLD}.metadata`])
      expect((await set.file(path, CONTEXT)).filename).toBe(path.slice(path.lastIndexOf('/') + 1));
    for (const path of [NEW, `${NEW}.metadata`, 'packages/aa/bb/other-1.0-py3-none-any.whl'])
      await expect(set.file(path, CONTEXT), path).rejects.toThrow(NotFoundError);
    const plain = new SetRepository(inner, await recorded(inner, { metadataSha256: null }));
    await expect(plain.file(`${OLD}.metadata`, CONTEXT)).rejects.toThrow(NotFoundError);
    const page = await (await plain.projectDetail(FLASK)).load();
    expect(page.detail.files[0]?.coreMetadata).toBe(false);
  });

  it('gives no bytes that have changed, and lets go of them', async () => {
    const inner = await chain();
    const set = new SetRepository(inner, await recorded(inner, { sha256: 'ef'.repeat(32) }));
    await expect(set.file(OLD, CONTEXT)).rejects.toThrow(IntegrityError);
    expect(inner.counts.closed).toBe(1);
  });
});

describe('an index that notes what is asked of it', () => {
  it('notes pages that are read and files that are opened, not those that are only looked at', async () => {
    const inner = await chain();
    const noted = new NotedRepository(inner);
    await noted.projectDetail('other' as ProjectName, CONTEXT);
    await (await noted.projectDetail(FLASK, CONTEXT)).load();
    const looked = await noted.file(NEW, CONTEXT);
    expect(looked.sizeBytes).toBe(5);
    await looked.close();
    await (await noted.file(`${NEW}.metadata`, CONTEXT).catch(() => undefined))?.close();
    await (await noted.file(`${OLD}.metadata`, CONTEXT)).open(null, CONTEXT);
    await (await noted.file(OLD, CONTEXT)).open(null, CONTEXT);
    expect(noted.pages.map(({ project }) => project)).toEqual(['flask']);
    expect([...(noted.pages[0]?.files.keys() ?? [])]).toEqual([OLD, NEW]);
    expect([...noted.files]).toEqual([[OLD, 2]]);
    expect([...noted.described]).toEqual([[OLD, 1]]);
  });
});
