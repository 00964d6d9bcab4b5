/** Everything that the replayed index has, made when it is first asked for and the same on every run. */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { FakeFile } from '../../test/support/fake-upstream-pages.ts';
import {
  htmlPage,
  jsonPage,
  legacyJson,
  pathOfFile,
} from '../../test/support/fake-upstream-pages.ts';
import { writeWheel } from '../../test/support/wheel-writer.ts';
import type { BigWheel } from './big-wheel.ts';
import { bigWheel } from './big-wheel.ts';
import { setProjects, wheelsOf } from './package-sets.ts';

/** A page that is ready to be sent. */
export interface ReadyBody {
  readonly plain: Buffer;
  readonly gzip: Buffer;
  readonly etag: string;
}

/** One project, ready to be served. */
export interface ReplayProject {
  readonly html: ReadyBody;
  readonly json: ReadyBody;
  readonly legacy: Buffer;
  /** Path → content. */
  readonly files: ReadonlyMap<string, Buffer | BigWheel>;
}

/** Names of projects whose pages are measured: so many files. */
export const pageName = (files: number): string => `page-of-${files}`;
/** Names of projects with one large wheel; `copy` tells apart those of equal size. */
export const blobName = (megabytes: number, copy: number): string => `blob-${megabytes}-${copy}`;
/** A project with one real wheel of some 11 kB. */
export const SMALL_WHEEL = 'small-wheel';

/** The project of this name; `undefined` when there is none. */
export function makeProject(name: string): ReplayProject | undefined {
  const [, pageFiles] = /^page-of-(\d{1,5})$/.exec(name) ?? [];
  if (pageFiles !== undefined) return assembled(name, listedFiles(name, Number(pageFiles)));
  const [, megabytes] = /^blob-(\d{1,4})-\d{1,3}$/.exec(name) ?? [];
  if (megabytes !== undefined) return blobProject(name, Number(megabytes));
  const wheels =
    name === SMALL_WHEEL
      ? [writeWheel({ name, version: '1.0', paddingBytes: 10_000 })]
      : wheelsOf(name);
  return wheels === undefined ? undefined : assembled(name, wheels);
}

/** Names for the root page: some mirrors ask it before they believe in a project. */
export function rootNames(): string[] {
  const pages = [10, 100, 300, 1_000, 5_400, 10_000, 30_000].map(pageName);
  const blobs = [32, 100, 1024].flatMap((size) =>
    Array.from({ length: 20 }, (_, copy) => blobName(size, copy)),
  );
  const cold = Array.from({ length: 20 }, (_, copy) => pageName(301 + copy));
  return [...pages, ...cold, ...blobs, SMALL_WHEEL, ...setProjects()].toSorted();
}

/** Wheels and sdists by turns, as on a page of the official index; nobody asks for their bytes. */
function listedFiles(name: string, count: number): FakeFile[] {
  const stem = name.replaceAll('-', '_');
  return Array.from({ length: count }, (_, at) => {
    const version = `${Math.floor(at / 20)}.${Math.floor(at / 2) % 10}.0`;
    const isWheel = at % 2 === 0;
    const filename = isWheel ? `${stem}-${version}-py3-none-any.whl` : `${stem}-${version}.tar.gz`;
    const metadata = isWheel ? { metadata: `Name: ${name}\nVersion: ${version}\n` } : {};
    const listedSize = 10_000 + ((at * 7_919) % 900_000);
    const content = Buffer.from(filename);
    return { filename, content, requiresPython: '>=3.8', listedSize, ...metadata };
  });
}

function assembled(name: string, files: readonly FakeFile[]): ReplayProject {
  const project = { name, files, serial: 1 };
  const contents = new Map<string, Buffer>();
  for (const file of files) {
    const path = decodeURIComponent(pathOfFile(file));
    contents.set(path, file.content);
    if (file.metadata !== undefined) contents.set(`${path}.metadata`, Buffer.from(file.metadata));
  }
  return { ...documents(project), files: contents };
}

function blobProject(name: string, megabytes: number): ReplayProject {
  const wheel = bigWheel(name, megabytes);
  const path = `/packages/00/00/${wheel.sha256.slice(0, 60)}/${wheel.filename}`;
  const file = {
    filename: wheel.filename,
    content: Buffer.alloc(0),
    listedSha256: wheel.sha256,
    listedSize: wheel.sizeBytes,
    metadata: wheel.metadata,
    path,
  };
  const files = new Map<string, Buffer | BigWheel>([
    [path, wheel],
    [`${path}.metadata`, Buffer.from(wheel.metadata)],
  ]);
  return { ...documents({ name, files: [file], serial: 1 }), files };
}

function documents(project: Parameters<typeof htmlPage>[0]): Omit<ReplayProject, 'files'> {
  return {
    html: ready(htmlPage(project, '../..')),
    json: ready(jsonPage(project, '../..')),
    legacy: Buffer.from(legacyJson(project, '') ?? ''),
  };
}

function ready(text: string): ReadyBody {
  const plain = Buffer.from(text);
  const digest = createHash('sha256').update(plain).digest('hex').slice(0, 32);
  return { plain, gzip: gzipSync(plain), etag: `"${digest}"` };
}
