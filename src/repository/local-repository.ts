import { NotFoundError } from '../core/errors.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile, ProjectList } from '../simple/model.ts';
import { LOCAL_UPSTREAM } from '../store/layout.ts';
import type { Store } from '../store/store.ts';
import { heldProject } from './held-project.ts';
import { openHeldSource } from './held-source.ts';
import type {
  FileSource,
  Repository,
  RequestContext,
  ServedProject,
  Snapshot,
} from './repository.ts';

/**
 * Files that people added. A project with one of them is theirs alone: no upstream is asked for it, so
 * that a private name can never be answered by a public index.
 */
export class LocalRepository implements Repository {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async projectList(): Promise<ProjectList> {
    return { projects: this.#store.catalog.heldProjects() };
  }

  async projectDetail(project: ProjectName): Promise<Snapshot> {
    const served = localProject(this.#store, project, 'added');
    if (served === undefined) throw new NotFoundError(`No file of ${project} was added here.`);
    return {
      revision: `local-${this.#store.catalog.revisionOf(project)}`,
      freshness: { status: 'hit', detail: LOCAL_UPSTREAM, freshForMs: Infinity },
      load: async () => served,
    };
  }

  async file(path: string): Promise<FileSource> {
    const held = this.#store.catalog.findFile(LOCAL_UPSTREAM, path);
    const source = held === undefined ? undefined : await openHeldSource(this.#store, held);
    if (source === undefined) throw new NotFoundError(`There is no local file ${path}.`);
    return source;
  }
}

/**
 * Files that lay in the mirror folder before Wheelcellar came: listed beside what the wrapped index has,
 * whose own entry wins where both know a filename. Unlike added files they claim no name.
 */
export class AdoptedRepository implements Repository {
  readonly #inner: Repository;
  readonly #store: Store;

  constructor(inner: Repository, store: Store) {
    this.#inner = inner;
    this.#store = store;
  }

  async projectList(context: RequestContext): Promise<ProjectList> {
    return await this.#inner.projectList(context);
  }

  async projectDetail(project: ProjectName, context: RequestContext): Promise<Snapshot> {
    const adopted = localProject(this.#store, project, 'adopted');
    if (adopted === undefined) return await this.#inner.projectDetail(project, context);
    const revision = this.#store.catalog.revisionOf(project);
    try {
      const snapshot = await this.#inner.projectDetail(project, context);
      return {
        ...snapshot,
        revision: `${snapshot.revision}-adopted-${revision}`,
        standIn: undefined,
        load: async () => union(await snapshot.load(), adopted),
      };
    } catch (error) {
      // Only a definite "not there": after a failure a short list would look like the whole.
      if (!(error instanceof NotFoundError) && context.networkMode !== 'offline') throw error;
      return {
        revision: `adopted-${revision}`,
        freshness: { status: 'hit', detail: LOCAL_UPSTREAM, freshForMs: 0 },
        load: async () => adopted,
      };
    }
  }

  async file(path: string, context: RequestContext): Promise<FileSource> {
    return await this.#inner.file(path, context);
  }
}

function localProject(
  store: Store,
  project: ProjectName,
  origin: 'added' | 'adopted',
): ServedProject | undefined {
  // On the way of every page: the rows are read only when there are some.
  if (!store.catalog.hasLocalFiles(project, origin)) return undefined;
  return heldProject(store.catalog, project, LOCAL_UPSTREAM, (file) => file.origin === origin);
}

function union(first: ServedProject, second: ServedProject): ServedProject {
  const known = new Set(first.detail.files.map((file) => file.filename));
  const added = second.detail.files.filter((file) => !known.has(file.filename));
  const isAdded = new Set<DistributionFile>(added);
  const { versions } = first.detail;
  return {
    // Versions are derived from the filenames again when files were added to them.
    detail: {
      ...first.detail,
      versions: added.length === 0 ? versions : null,
      files: [...first.detail.files, ...added],
    },
    pathOf: (file) => (isAdded.has(file) ? second.pathOf(file) : first.pathOf(file)),
  };
}
