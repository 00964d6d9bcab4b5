import { isWanted } from '../../packaging/markers.ts';
import { parseRequirement } from '../../packaging/requirement.ts';
import type { Requirement } from '../../packaging/requirement.ts';
import type { FollowedProject, Session } from './session.ts';

/**
 * Of what core metadata requires, so much is read: it comes from anybody, and may name extras of its own
 * that lead to each other. Large real projects stay below.
 */
const MOST_REQUIREMENTS = 1_000;
const LONGEST_REQUIREMENT = 1_000;
const MOST_EXTRAS = 16;
const MOST_SPECIFIERS = 32;

/** Notes extras that a requirement names. */
export function addExtras(project: FollowedProject, extras: readonly string[]): void {
  for (const extra of extras) if (project.extras.size < MOST_EXTRAS) project.extras.add(extra);
}

/** Notes a specifier of one that requires the project. */
export function addSpecifier({ specifiers }: FollowedProject, specifier: string): void {
  if (specifiers.size < MOST_SPECIFIERS) specifiers.add(specifier);
}

/** The requirements that hold for the client's machine and the extras that somebody has named. */
export function requiredHere(
  { installer: { machine } }: Session,
  { extras }: FollowedProject,
  requires: readonly string[],
): Requirement[] {
  return requires.slice(0, MOST_REQUIREMENTS).flatMap((text) => {
    const requirement = text.length > LONGEST_REQUIREMENT ? undefined : parseRequirement(text);
    if (requirement === undefined || requirement.url !== null) return [];
    const { marker } = requirement;
    // Without a machine everything may be wanted but extras that nobody has named.
    const holds =
      machine === null
        ? !/\bextra\b/.test(marker)
        : isWanted(marker, machine.environment, [...extras]);
    return holds ? [requirement] : [];
  });
}
