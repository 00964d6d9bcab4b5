/** The index inside a bundle: pages made from its manifest, and held against it. */
import { IntegrityError, messageOf } from '../core/errors.ts';
import type { ProjectName } from '../packaging/names.ts';
import { decodePathSegment, relativeLink } from '../simple/link.ts';
import type { DistributionFile, ProjectDetail } from '../simple/model.ts';
import { readHtmlPage } from '../simple/read-html.ts';
import { readJsonPage } from '../simple/read-json.ts';
import { writeHtmlList, writeHtmlPage } from '../simple/write-html.ts';
import { writeJsonList, writeJsonPage } from '../simple/write-json.ts';
import { filenameOf, filesOfSet, isMetadata } from './manifest.ts';
import type { BundledFile, Manifest } from './manifest.ts';

/** Where the index begins. */
export const INDEX_FOLDER = 'simple';

/** Folders between the bundle's top and a project's page. */
const DEPTH = 2;

/** Stands for the bundle's top while links are resolved; nobody is asked. */
const NOWHERE = 'http://bundle.invalid/';

/** Every page of an index over these files, by its path. */
export function bundlePages(set: Pick<Manifest, 'files' | 'needs'>): Map<string, string> {
  const pages = new Map<string, string>();
  const projects = projectsOf(set);
  const root = [...projects.keys()];
  pages.set(`${INDEX_FOLDER}/index.html`, writeHtmlList(root));
  pages.set(`${INDEX_FOLDER}/index.json`, writeJsonList(root));
  for (const [project, files] of projects) {
    const detail = detailOf(project, files);
    const paths = new Map(files.map((file) => [filenameOf(file), file.path]));
    const writing = {
      linkTo: ({ filename }: DistributionFile) =>
        relativeLink(DEPTH, paths.get(filename) ?? filename),
      withOldMetadataName: false,
    };
    pages.set(`${INDEX_FOLDER}/${project}/index.html`, writeHtmlPage(detail, writing));
    pages.set(`${INDEX_FOLDER}/${project}/index.json`, writeJsonPage(detail, writing));
  }
  return pages;
}

/**
 * Holds the pages against the manifest: the same projects, files, digests, Pythons and core metadata, no
 * more and no less, in both forms.
 *
 * @param pages by path
 * @throws IntegrityError that names the page and what it says
 */
export function checkPages(manifest: Manifest, pages: ReadonlyMap<string, Uint8Array>): void {
  const projects = projectsOf(manifest);
  checkRoot(pages, [...projects.keys()]);
  const expected = new Set(['index.html', 'index.json'].map((name) => `${INDEX_FOLDER}/${name}`));
  for (const [project, files] of projects) {
    const wanted = detailOf(project, files);
    const paths = new Map(files.map((file) => [filenameOf(file), file.path]));
    for (const form of ['html', 'json'] as const) {
      const path = `${INDEX_FOLDER}/${project}/index.${form}`;
      expected.add(path);
      const page = pages.get(path);
      if (page === undefined) throw new IntegrityError(`The bundle has no page ${path}.`);
      checkPage(path, form, page, wanted, paths);
    }
  }
  for (const path of pages.keys())
    if (!expected.has(path)) throw new IntegrityError(`${path} is the page of no project here.`);
}

/** Distribution files by project, both sorted; one file of each name. */
function projectsOf(
  set: Pick<Manifest, 'files' | 'needs'>,
): ReadonlyMap<ProjectName, readonly BundledFile[]> {
  const projects = new Map<ProjectName, BundledFile[]>();
  for (const file of filesOfSet(set)) {
    const files = projects.get(file.project);
    if (files === undefined) projects.set(file.project, [file]);
    else files.push(file);
  }
  return new Map([...projects].toSorted(([one], [other]) => (one < other ? -1 : 1)));
}

function detailOf(project: ProjectName, all: readonly BundledFile[]): ProjectDetail {
  const metadata = new Map(all.filter(isMetadata).map(({ path, sha256 }) => [path, sha256]));
  const files = all.flatMap(({ path, sizeBytes, sha256, entry }): DistributionFile[] => {
    if (entry === null) return [];
    const digest = metadata.get(`${path}.metadata`);
    return [
      {
        ...entry,
        hashes: { sha256 },
        sizeBytes,
        coreMetadata: digest === undefined ? false : { sha256: digest },
      },
    ];
  });
  return {
    name: project,
    status: 'active',
    statusReason: null,
    versions: null,
    files: files.toSorted((a, b) => (a.filename < b.filename ? -1 : 1)),
    lastSerial: null,
    extra: {},
  };
}

function checkPage(
  path: string,
  form: 'html' | 'json',
  page: Uint8Array,
  wanted: ProjectDetail,
  paths: ReadonlyMap<string, string>,
): void {
  const refuse = (what: string): never => {
    throw new IntegrityError(`${path} ${what}`);
  };
  const found = read(path, form, page, wanted.name);
  const listed = new Map(found.files.map((file) => [file.filename, file]));
  if (found.status !== wanted.status) refuse(`says that ${wanted.name} is ${found.status}.`);
  for (const file of wanted.files) {
    const other = listed.get(file.filename);
    if (other === undefined) return refuse(`does not list ${file.filename}.`);
    if (other.hashes['sha256'] !== file.hashes['sha256'])
      refuse(`lists ${file.filename} with another sha256 than the file has.`);
    if (linkOf(other.url) !== paths.get(file.filename))
      refuse(`leads ${file.filename} to another place.`);
    if (other.requiresPython !== file.requiresPython || other.yanked !== file.yanked)
      refuse(`says other things of ${file.filename} than the manifest.`);
    if (metadataOf(other) !== metadataOf(file))
      refuse(`lists other core metadata for ${file.filename}.`);
    listed.delete(file.filename);
  }
  for (const filename of listed.keys()) refuse(`lists ${filename}, which is not in the bundle.`);
}

function read(
  path: string,
  form: 'html' | 'json',
  page: Uint8Array,
  project: ProjectName,
): ProjectDetail {
  const text = new TextDecoder().decode(page);
  const context = { project, pageUrl: `${NOWHERE}${path}` };
  try {
    const reading = form === 'json' ? readJsonPage(text, context) : readHtmlPage(text, context);
    const dropped = Object.keys(reading.dropped);
    if (dropped.length === 0) return reading.detail;
    throw new IntegrityError(`it has entries that cannot be used (${dropped.join(', ')})`);
  } catch (cause) {
    throw new IntegrityError(`${path} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

/** The path below the bundle's top, or `undefined` for a link that leads elsewhere. */
function linkOf(url: string): string | undefined {
  if (!url.startsWith(NOWHERE)) return undefined;
  const segments = new URL(url).pathname.slice(1).split('/').map(decodePathSegment);
  return segments.includes(undefined) ? undefined : segments.join('/');
}

function metadataOf({ coreMetadata }: DistributionFile): string | boolean {
  return typeof coreMetadata === 'object' ? (coreMetadata['sha256'] ?? true) : coreMetadata;
}

function checkRoot(pages: ReadonlyMap<string, Uint8Array>, projects: readonly ProjectName[]): void {
  const wanted = projects.join(' ');
  for (const form of ['html', 'json'] as const) {
    const path = `${INDEX_FOLDER}/index.${form}`;
    const page = pages.get(path);
    if (page === undefined) throw new IntegrityError(`The bundle has no page ${path}.`);
    const text = new TextDecoder().decode(page);
    const names = form === 'html' ? namesInHtml(text) : namesInJson(path, text);
    if (names.join(' ') !== wanted)
      throw new IntegrityError(`${path} lists other projects than the manifest.`);
  }
}

function namesInHtml(text: string): string[] {
  return [...text.matchAll(/<a\s[^>]*?href="([^"]*?)\/?"/gi)].map(([, name = '']) => name);
}

function namesInJson(path: string, text: string): string[] {
  try {
    const { projects } = JSON.parse(text) as { projects: { name: string }[] };
    return projects.map(({ name }) => String(name));
  } catch (cause) {
    throw new IntegrityError(`${path} cannot be read.`, { cause });
  }
}
