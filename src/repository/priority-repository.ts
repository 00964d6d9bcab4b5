import { NotFoundError, NotHeldOfflineError } from '../core/errors.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { ProjectList } from '../simple/model.ts';
import { upstreamOfPath } from '../store/mirror-path.ts';
import type { FileSource, Repository, RequestContext, Snapshot } from './repository.ts';

/**
 * Several indexes in an order: the first that has a project wins, wholly. Only a definite "not there"
 * lets the next one be asked; a failure ends the search, since a private name must not fall through to a
 * public index because the private one is down.
 */
export class PriorityRepository implements Repository {
  /** By the name that stands in the mirror paths of their files; in the order in which they are asked. */
  readonly #members: ReadonlyMap<string, Repository>;

  constructor(members: ReadonlyMap<string, Repository>) {
    this.#members = members;
  }

  async projectList(context: RequestContext): Promise<ProjectList> {
    const names = new Set<ProjectName>();
    for (const member of this.#members.values()) {
      for (const name of (await member.projectList(context)).projects) names.add(name);
    }
    return { projects: [...names].sort() };
  }

  async projectDetail(project: ProjectName, context: RequestContext): Promise<Snapshot> {
    for (const member of this.#members.values()) {
      try {
        return await member.projectDetail(project, context);
      } catch (error) {
        if (!(error instanceof NotFoundError)) throw error;
      }
    }
    if (context.networkMode === 'offline') {
      throw new NotHeldOfflineError(
        `No file of ${project} is in the cache, and no index is asked (offline).`,
        { hint: 'Install it once while online.' },
      );
    }
    throw new NotFoundError(`No index has a project ${project}.`);
  }

  async file(path: string, context: RequestContext): Promise<FileSource> {
    const member = this.#members.get(upstreamOfPath(path) ?? '');
    if (member === undefined)
      throw new NotFoundError(`No index of this mirror has a file ${path}.`);
    return await member.file(path, context);
  }
}
