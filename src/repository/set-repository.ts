import { IntegrityError, NotFoundError } from '../core/errors.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile, ProjectList } from '../simple/model.ts';
import type { RecordedFile, RecordedSet } from '../store/set-table.ts';
import { servedFiles } from './held-project.ts';
import { etagOf } from './held-source.ts';
import type {
  FileSource,
  Repository,
  RequestContext,
  ServedProject,
  Snapshot,
} from './repository.ts';

const METADATA_SUFFIX = '.metadata';

/**
 * Any index restricted to a recorded set: pages list the set's files and no others, as they were described
 * when the set was recorded, and only their bytes can be had. The wrapped index gives the bytes; what its own
 * pages say by now does not matter.
 */
export class SetRepository implements Repository {
  readonly #inner: Repository;
  readonly #set: RecordedSet;
  /** Every project that the build asked for; some had no file for it. */
  readonly #projects = new Map<ProjectName, RecordedFile[]>();
  /** Digests by mirror path. */
  readonly #sha256s = new Map<string, string>();

  constructor(inner: Repository, set: RecordedSet) {
    this.#inner = inner;
    this.#set = set;
    for (const { project } of set.pages) this.#projects.set(project, []);
    for (const file of set.files) {
      this.#projects.set(file.project, [...(this.#projects.get(file.project) ?? []), file]);
      this.#sha256s.set(file.path, file.sha256);
      if (file.metadataSha256 !== null)
        this.#sha256s.set(`${file.path}${METADATA_SUFFIX}`, file.metadataSha256);
    }
  }

  /** The projects of which the set has a file. */
  async projectList(): Promise<ProjectList> {
    return { projects: [...new Set(this.#set.files.map(({ project }) => project))].toSorted() };
  }

  /** @throws NotFoundError for a project that the build did not ask for */
  async projectDetail(project: ProjectName): Promise<Snapshot> {
    const files = this.#projects.get(project);
    if (files === undefined)
      throw new NotFoundError(`The set ${this.#set.name} has nothing of ${project}.`, {
        hint: 'The recorded build did not ask for it.',
      });
    return {
      revision: `set-${this.#set.name}-${this.#set.recordedAt}`,
      freshness: { status: 'held', detail: 'recorded', freshForMs: Infinity },
      load: async () => servedProject(project, files),
    };
  }

  /** @throws NotFoundError for a file outside of the set, IntegrityError when its bytes are others by now */
  async file(path: string, context: RequestContext): Promise<FileSource> {
    const sha256 = this.#sha256s.get(path);
    if (sha256 === undefined)
      throw new NotFoundError(`The set ${this.#set.name} has no file ${path}.`);
    const source = await this.#inner.file(path, context);
    if (source.etag === etagOf(sha256)) return source;
    await source.close();
    throw new IntegrityError(`${path} has other bytes than when ${this.#set.name} was recorded.`);
  }
}

function servedProject(project: ProjectName, files: readonly RecordedFile[]): ServedProject {
  const paths = new Map<DistributionFile, string>();
  for (const { path, entry, sha256, sizeBytes, metadataSha256 } of files) {
    const file: DistributionFile = {
      ...entry,
      hashes: { ...entry.hashes, sha256 },
      sizeBytes,
      coreMetadata: metadataSha256 === null ? false : { sha256: metadataSha256 },
    };
    paths.set(file, path);
  }
  return servedFiles(project, paths);
}
