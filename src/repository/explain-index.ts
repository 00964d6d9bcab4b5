import type { ProjectName } from '../packaging/names.ts';
import type { PageRow } from '../store/catalog.ts';
import { LOCAL_UPSTREAM } from '../store/layout.ts';
import type { Store } from '../store/store.ts';
import type { Upstream } from '../upstream/upstream.ts';

/** The rules of the mirror that the answer depends on; times in milliseconds. */
export interface ExplainRules {
  readonly offline: boolean;
  readonly preferOffline: boolean;
  readonly ttlMs: number;
  readonly negativeTtlMs: number;
  readonly hideYanked: 'never' | 'setuptools' | 'always';
  readonly withoutDigest: 'first-use' | 'refuse';
  /** Names of upstreams that running servers cannot reach, if then only held files are listed. */
  readonly cutOff: readonly string[];
}

/**
 * How an index stands to a name: `answers`; `absent` (it said that it has no such project); `never-asked`;
 * `not-asked` (its `projects` leave the name out); `not-reached` (an earlier one answers);
 * `nothing-held` (it may not be asked, and no file of it is here).
 */
export type IndexState =
  | 'answers'
  | 'absent'
  | 'never-asked'
  | 'not-asked'
  | 'not-reached'
  | 'nothing-held';

/** One index and a name. */
export interface ExplainedIndex {
  readonly name: string;
  readonly url: string;
  readonly state: IndexState;
}

/** Whose page is served. */
export interface Answerer {
  readonly name: string;
  /** `null` for one's own files. */
  readonly upstream: Upstream | null;
  readonly row: PageRow | undefined;
  /** Only held files are listed: offline by choice, forbidden, or cut off. */
  readonly isHeldOnly: boolean;
}

/** Which index answers for a name, told from what is stored: as `PriorityRepository` decides. */
export function findAnswerer(
  store: Pick<Store, 'catalog'>,
  upstreams: readonly Upstream[],
  rules: ExplainRules,
  project: ProjectName,
): { indexes: readonly ExplainedIndex[]; answerer: Answerer | null } {
  const held = store.catalog.filesOf(project).filter(({ kind }) => kind === 'distribution');
  const isOwn = held.some((file) => file.upstream === LOCAL_UPSTREAM && file.origin === 'added');
  let answerer: Answerer | null = isOwn
    ? { name: LOCAL_UPSTREAM, upstream: null, row: undefined, isHeldOnly: true }
    : null;
  let isDecided = isOwn;
  const indexes = upstreams.map((upstream): ExplainedIndex => {
    const { name, url } = upstream;
    const is = (state: IndexState): ExplainedIndex => ({ name, url, state });
    if (!upstream.serves(project)) return is('not-asked');
    if (isDecided) return is('not-reached');
    const row = store.catalog.findPage(name, project, url);
    const isHeldOnly = rules.offline || !upstream.mayFetch(url) || rules.cutOff.includes(name);
    if (isHeldOnly) {
      if (!held.some((file) => file.upstream === name)) return is('nothing-held');
    } else {
      if (row?.absent === true) return is('absent');
      // What it will say decides; nobody knows that now.
      isDecided = true;
      if (row === undefined) return is('never-asked');
    }
    isDecided = true;
    answerer = { name, upstream, row: row?.absent === true ? undefined : row, isHeldOnly };
    return is('answers');
  });
  return { indexes, answerer };
}
