/** pip and uv for the machines that a bundle is for, so that a bare Python can begin there. */
import { messageOf } from '../core/errors.ts';
import { judgeFiles } from '../packaging/candidates.ts';
import type { ProjectName } from '../packaging/names.ts';
import { fetchSet } from '../repository/fetch-set.ts';
import { offeredFiles } from '../repository/offered-files.ts';
import type { OfferedFile } from '../repository/offered-files.ts';
import type { Repository, RequestContext } from '../repository/repository.ts';
import type { Store } from '../store/store.ts';
import type { Interpreter } from '../packaging/environment.ts';
import type { TagRanking } from '../packaging/tags.ts';

/** What every bundle brings along. */
const TOOLS: readonly ProjectName[] = ['pip' as ProjectName, 'uv' as ProjectName];

/** A machine that the bundle is for. */
export interface ToolTarget {
  readonly python: string;
  readonly platform: string;
  readonly interpreter: Interpreter;
  readonly ranking: TagRanking;
}

/** What was found. */
export interface ToolWheels {
  /** Mirror paths of wheels that are held now. */
  readonly paths: readonly string[];
  /** What was not to be had, a sentence each. */
  readonly problems: readonly string[];
}

/** Fetches the newest wheels of pip and uv that run on each target, or says why there are none. */
export async function fetchToolWheels(
  place: { readonly repository: Repository; readonly store: Store },
  targets: readonly ToolTarget[],
  context: RequestContext,
): Promise<ToolWheels> {
  const wanted = new Map<string, OfferedFile>();
  const problems: string[] = [];
  for (const project of TOOLS) {
    try {
      const files = await offeredFiles(place, project, context);
      const isHeldOnly = context.networkMode === 'offline';
      for (const target of targets) {
        const { python, platform, interpreter, ranking } = target;
        const wheels = files.filter(
          ({ entry, isHeld }) => entry.filename.endsWith('.whl') && (isHeld || !isHeldOnly),
        );
        const verdicts = judgeFiles(
          wheels.map(({ entry }) => entry),
          { project, specifier: '', interpreter, ranking },
        );
        const chosen = verdicts.find(({ rejection }) => rejection === null)?.file;
        const file = wheels.find(({ entry }) => entry === chosen);
        if (file === undefined)
          problems.push(`There is no wheel of ${project} for Python ${python} on ${platform}.`);
        else wanted.set(file.path, file);
      }
    } catch (error) {
      context.signal.throwIfAborted();
      problems.push(`${project} is not in the bundle: ${messageOf(error)}`);
    }
  }
  const fetched = await fetchSet(
    place.repository,
    [...wanted.values()].map(({ path, entry }) => ({
      path,
      filename: entry.filename,
      sizeBytes: entry.sizeBytes,
    })),
    { signal: context.signal, networkMode: context.networkMode },
  );
  for (const { filename, outcome, error } of fetched)
    if (outcome === 'failed')
      problems.push(`${filename} is not in the bundle: ${messageOf(error)}`);
  const paths = fetched.filter(({ outcome }) => outcome !== 'failed').map(({ path }) => path);
  return { paths, problems };
}
