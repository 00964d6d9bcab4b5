import { distance } from 'fastest-levenshtein';

/**
 * The candidate that `word` was most likely meant to be; `undefined` when less than half of it agrees
 * with any of them, since a far-fetched suggestion misleads. Candidates may be dotted: `maxsize` is as near to `cache.max_size` as to `max_size`.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const wanted = plain(word);
  const wantedLeaf = leafOf(wanted);
  const ranked = candidates.map((candidate) => {
    const known = plain(candidate);
    return {
      candidate,
      whole: distance(wanted, known),
      best: Math.min(distance(wanted, known), distance(wantedLeaf, leafOf(known))),
    };
  });
  ranked.sort((a, b) => a.best - b.best || a.whole - b.whole);
  const [first] = ranked;
  const farthest = Math.max(2, Math.ceil(wantedLeaf.length / 2));
  return first !== undefined && first.best <= farthest ? first.candidate : undefined;
}

/** camelCase, kebab-case and snake_case are the same word to whoever mistyped one for another. */
function plain(word: string): string {
  return word
    .replace(/(?<=[a-z])(?=[A-Z])/g, '_')
    .toLowerCase()
    .replaceAll('-', '_');
}

function leafOf(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1);
}

/** The end of a sentence about an unknown word: a suggestion, or where all known ones are listed. */
export function suggestion(candidate: string | undefined): string {
  return candidate === undefined
    ? '; "wheelcellar config show" lists the known ones.'
    : `; did you mean ${candidate}?`;
}
