import { isValidSpecifier, matchesSpecifier } from '../versions.ts';

/**
 * Whether a constraint in poetry's words admits a Python version: specifier sets, `*`, `^3.8`, `~3.8`,
 * `3.8.*`, a bare version, and alternatives by `||`. What cannot be read hinders nothing.
 */
export function admitsPython(constraint: string | null, version: string): boolean {
  if (constraint === null) return true;
  return constraint.split(/\|\|?/).some((alternative) => {
    const parts = alternative
      .trim()
      // A space may stand for a comma, but not the one behind an operator.
      .split(/\s*,\s*|(?<=[\w*])\s+(?=[<>=!~^])/)
      .filter((part) => part !== '');
    const specifier = parts.map(specifierOf).filter((part) => part !== '');
    const joined = specifier.join(',');
    if (joined === '' || !isValidSpecifier(joined)) return true;
    return matchesSpecifier(version, joined, { prereleases: true });
  });
}

/** The same in the words of PEP 440; empty for no bound. */
function specifierOf(part: string): string {
  const [, op = '', version = ''] = /^(\^|~(?!=)|[<>=!~]=?=?)?\s*(.*)$/.exec(part.trim()) ?? [];
  if (version === '*' || version === '') return '';
  if (op === '^' || op === '~') return `>=${version},<${nextOf(version, op)}`;
  return op === '' || op === '=' ? `==${version}` : `${op}${version}`;
}

/** The first version that `^` (next at the first number that is not 0) or `~` (next minor) leaves out. */
function nextOf(version: string, op: '^' | '~'): string {
  const numbers = version.split('.').map((part) => Number.parseInt(part, 10) || 0);
  const first = numbers.findIndex((number) => number !== 0);
  const caretPlace = first === -1 ? numbers.length - 1 : first;
  const place = op === '^' ? caretPlace : Math.min(1, numbers.length - 1);
  return [...numbers.slice(0, place), (numbers[place] ?? 0) + 1].join('.');
}
