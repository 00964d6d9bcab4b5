/** What came of a build, in the words of the table. */
import type { BuiltImage } from '../images/build-image.ts';

/** The probe's reports, in the order of the table. */
const INSTALLERS = ['pip', 'image-pip', 'uv'] as const;

/** Whose elements: this project's, or those that come with diskimage-builder. */
export type Pair = 'ours' | 'upstream';

/** Where files can come from: the start of their URL → a word for it. */
export type Origins = Readonly<Record<string, string>>;

/** One cell: time, then each installer with what it got from where, those alike together. */
export async function outcomeOf(image: BuiltImage, origins: Origins): Promise<string> {
  const time = `${Math.round(image.seconds)} s`;
  if (image.code !== 0) return `${time}; the build fails: ${lastError(image.log)}`;
  const groups = new Map<string, string[]>();
  for (const installer of INSTALLERS) {
    const words = await gotBy(image, installer, origins);
    groups.set(words, [...(groups.get(words) ?? []), installer]);
  }
  const parts = [...groups].map(([words, installers]) => `${installers.join(', ')}: ${words}`);
  return [time, ...parts].join('; ');
}

async function gotBy(image: BuiltImage, installer: string, origins: Origins): Promise<string> {
  if (image.log.includes(`probe: ${installer} fails`)) {
    return `**fails** (${lastError(logOf(image.log, installer))})`;
  }
  const urls = Object.values(await image.sources(installer));
  const counts = new Map<string, number>();
  for (const url of urls) {
    const origin = Object.keys(origins).find((start) => url.startsWith(start));
    const word = origin === undefined ? 'elsewhere' : (origins[origin] ?? '');
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].map(([word, count]) => `${count} from ${word}`).join(' and ');
}

/** What an installer wrote. */
function logOf(log: string, installer: string): string {
  const from = log.indexOf(`probe: ${installer} installs`);
  return log.slice(from, log.indexOf(`probe: ${installer} fails`, from));
}

/** The line that says why. uv draws its chain of causes, of which the last one is it. */
function lastError(log: string): string {
  const lines = log
    .split('\n')
    .map((line) => line.replace(/^\S+ \S+ \| /, '').trim())
    .filter((line) => /error|because|caused by|failed|no such file/i.test(line));
  return (lines.at(-1) ?? 'no reason found').replaceAll('|', '/').slice(0, 160);
}
