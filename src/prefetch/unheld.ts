import { readFile } from 'node:fs/promises';
import { metadataFacts } from '../packaging/core-metadata.ts';
import { isWanted } from '../packaging/markers.ts';
import type { ProjectName } from '../packaging/names.ts';
import { parseRequirement } from '../packaging/requirement.ts';
import type { Store } from '../store/store.ts';
import type { Target } from './targets.ts';

/** More projects than any set has; a bound on the walk. */
const MOST_PROJECTS = 20_000;

/**
 * Projects that requirements lead to and of which nothing is held, for people who wonder why a resolver
 * found nothing: the walk looks at every held version, so that it may name more than one resolver needs.
 */
export async function unheldProjects(
  store: Pick<Store, 'catalog' | 'layout'>,
  requirements: readonly string[],
  target: Target,
): Promise<ProjectName[]> {
  const seen = new Set<string>();
  const unheld = new Set<ProjectName>();
  const queue = requirements.map((text) => ({ text, extras: [] as readonly string[] }));
  for (let at = 0; at < queue.length && seen.size < MOST_PROJECTS; at++) {
    const { text, extras } = queue[at] ?? { text: '', extras: [] };
    const requirement = parseRequirement(text);
    if (requirement === undefined || requirement.url !== null) continue;
    if (!isWanted(requirement.marker, target.environment, extras)) continue;
    const key = `${requirement.name} ${requirement.extras.join(',')}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const files = store.catalog.filesOf(requirement.name);
    if (!files.some(({ kind }) => kind === 'distribution')) unheld.add(requirement.name);
    for (const file of files) {
      if (file.kind !== 'metadata') continue;
      const bytes = await readFile(store.layout.fileAt(file.path)).catch(() => undefined);
      if (bytes === undefined) continue;
      for (const each of metadataFacts(bytes).requiresDist)
        queue.push({ text: each, extras: requirement.extras });
    }
  }
  return [...unheld].toSorted();
}
