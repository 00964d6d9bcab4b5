import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile } from '../simple/model.ts';
import type { HeldFile } from '../store/catalog.ts';
import { LOCAL_UPSTREAM } from '../store/layout.ts';
import { mirrorPathOf } from '../store/mirror-path.ts';
import type { Store } from '../store/store.ts';
import type { Answerer, ExplainRules } from './explain-index.ts';

/** A file of the page that answers, and what the mirror has against it. */
export interface ExplainableFile {
  readonly filename: string;
  readonly requiresPython: string | null;
  readonly yanked: false | string;
  readonly sizeBytes: number | null;
  readonly upstream: string;
  /** Relative to `mirror/`; empty when it can have no place there. */
  readonly path: string;
  readonly isHeld: boolean;
  /** Why the mirror does not offer it. */
  readonly obstacle: { readonly kind: 'refused' | 'not-held'; readonly reason: string } | null;
}

/** The files that an installer is shown or would be, and the status of the project (PEP 792). */
export async function listedFiles(
  store: Pick<Store, 'catalog' | 'pages'>,
  answerer: Answerer | null,
  rules: ExplainRules,
  project: ProjectName,
): Promise<{ files: readonly ExplainableFile[]; status: string | null }> {
  const held = store.catalog.filesOf(project).filter(({ kind }) => kind === 'distribution');
  const adopted = held.filter(({ origin }) => origin === 'adopted').map(fileOfRow);
  if (answerer === null) return { files: adopted, status: null };
  const { name, upstream, row } = answerer;
  const page = row === undefined ? undefined : await store.pages.read(name, project);
  if (page === undefined || upstream === null) {
    const own = held.filter((file) => file.upstream === name && file.listed).map(fileOfRow);
    return { files: withMore(own, adopted), status: null };
  }
  const { status } = page.detail;
  const files = page.detail.files.map((entry): ExplainableFile => {
    const path = mirrorPathOf(name, page.indexUrl, entry.url) ?? '';
    const isHeld = held.some((file) => file.upstream === name && file.path === path);
    const { filename, requiresPython, yanked, sizeBytes } = entry;
    const obstacle = obstacleOf(entry, path, isHeld);
    return { filename, requiresPython, yanked, sizeBytes, upstream: name, path, isHeld, obstacle };
  });
  return { files: withMore(files, adopted), status };

  function obstacleOf(
    entry: DistributionFile,
    path: string,
    isHeld: boolean,
  ): ExplainableFile['obstacle'] {
    const refused = (reason: string): ExplainableFile['obstacle'] => ({ kind: 'refused', reason });
    if (status === 'quarantined') return refused(`the project is quarantined by ${name}`);
    if (rules.hideYanked === 'always' && entry.yanked !== false)
      return refused('yanked, and hidden (index.hide_yanked)');
    if (isHeld) return null;
    if (path === '') return refused('its URL can be no path of the mirror');
    if (answerer?.isHeldOnly === true)
      return { kind: 'not-held', reason: `not held, and ${name} is not asked` };
    if (upstream?.mayFetch(entry.url) === false)
      return refused(`its host ${hostOf(entry.url)} is not one of the file hosts of ${name}`);
    if (rules.withoutDigest === 'refuse' && Object.keys(entry.hashes).length === 0)
      return refused('listed without a digest (index.without_digest)');
    return null;
  }
}

function fileOfRow(row: HeldFile): ExplainableFile {
  return {
    filename: row.filename,
    requiresPython: row.entry?.requiresPython ?? null,
    yanked: row.entry?.yanked ?? false,
    sizeBytes: row.sizeBytes,
    upstream: row.upstream,
    path: row.path,
    isHeld: true,
    obstacle: null,
  };
}

/** Adopted files stand beside those of the index, whose own entry wins. */
function withMore(
  files: readonly ExplainableFile[],
  more: readonly ExplainableFile[],
): readonly ExplainableFile[] {
  const known = new Set(files.map(({ filename }) => filename));
  return [
    ...files,
    ...more.filter(({ filename, upstream }) => upstream === LOCAL_UPSTREAM && !known.has(filename)),
  ];
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}
