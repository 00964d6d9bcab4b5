import { compareVersions } from '../packaging/versions.ts';
import type { DownloadedFile } from './download-folders.ts';
import type { LedgerPin } from './ledger.ts';

/**
 * A lock of exact versions and all their files: `pylock.toml` (PEP 751) when `filename` is named so, else
 * requirements with hashes.
 */
export function lockText(
  filename: string,
  pins: readonly LedgerPin[],
  files: readonly DownloadedFile[],
): string {
  const locked = pins
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((pin) => ({ pin, files: filesOf(pin, files) }));
  const isPylock = /(?:^|\/)pylock(?:\.[^./]+)?\.toml$/.test(filename);
  return isPylock ? pylock(locked) : hashedRequirements(locked);
}

/** What `pip freeze` would say. */
export function freezeText(pins: readonly LedgerPin[]): string {
  const lines = pins.map(({ name, version }) => `${name}==${version}`).toSorted();
  return lines.map((line) => `${line}\n`).join('');
}

/** The path of a file that is written for each branch, or for the last one. */
export function pathFor(template: string, project: string, branch: string): string {
  const plain = (text: string): string => text.replace(/[^A-Za-z0-9._-]+/g, '-');
  const short = branch.replace(/^(?:remotes\/)?origin\//, '');
  return template.replaceAll('{project}', plain(project)).replaceAll('{branch}', plain(short));
}

interface LockedPin {
  readonly pin: LedgerPin;
  readonly files: readonly DownloadedFile[];
}

function filesOf(pin: LedgerPin, files: readonly DownloadedFile[]): DownloadedFile[] {
  return files
    .filter(
      ({ project, version }) => project === pin.name && compareVersions(version, pin.version) === 0,
    )
    .toSorted((a, b) => (a.filename < b.filename ? -1 : 1));
}

function hashedRequirements(locked: readonly LockedPin[]): string {
  return locked
    .map(({ pin, files }) => {
      const hashes = files.map(({ sha256 }) => ` \\\n    --hash=sha256:${sha256}`);
      return `${pin.name}==${pin.version}${hashes.join('')}\n`;
    })
    .join('');
}

function pylock(locked: readonly LockedPin[]): string {
  const packages = locked.map(({ pin, files }) => {
    const head = `[[packages]]\nname = ${quoted(pin.name)}\nversion = ${quoted(pin.version)}\n`;
    const sdist = files.find(({ kind }) => kind === 'sdist');
    const wheels = files.filter(({ kind }) => kind === 'wheel');
    return [
      head,
      sdist === undefined ? '' : `sdist = ${fileTable(sdist)}\n`,
      wheels.length === 0
        ? ''
        : `wheels = [\n${wheels.map((wheel) => `    ${fileTable(wheel)},\n`).join('')}]\n`,
    ].join('');
  });
  return ['lock-version = "1.0"\ncreated-by = "wheelcellar"\n', ...packages].join('\n');
}

/** Where the index has it; what people dropped or built lies on this machine alone. */
function fileTable({ filename, url, path, sizeBytes, sha256 }: DownloadedFile): string {
  const place = url === null ? `path = ${quoted(path)}` : `url = ${quoted(url)}`;
  const name = `name = ${quoted(filename)}`;
  return `{ ${name}, ${place}, size = ${sizeBytes}, hashes = { sha256 = ${quoted(sha256)} } }`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
