import type { ProjectName } from '../packaging/names.ts';

/** One glob over normalized names: `*` is any run of characters, `?` any one. */
function matcherOf(glob: string): RegExp {
  const pattern = glob
    .toLowerCase()
    .replace(/[-_.]+/g, '-')
    .replace(/\*+/g, '*')
    .replace(/[^a-z0-9*?-]/g, (character) => `\\${character}`)
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${pattern}$`);
}

/**
 * Whether a project is one of those an upstream may be asked for. Without globs: every project.
 *
 * @example projectFilter(['torch*', 'nvidia-*'])
 */
export function projectFilter(
  globs: readonly string[] | undefined,
): (project: ProjectName) => boolean {
  if (globs === undefined) return () => true;
  const matchers = globs.map(matcherOf);
  return (project) => matchers.some((matcher) => matcher.test(project));
}
