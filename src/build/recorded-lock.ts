import type { ProjectName } from '../packaging/names.ts';
import type { RecordedFile, RecordedSet } from '../store/set-table.ts';

/**
 * A recorded set as a lock file (`pylock.toml`, PEP 751) with the addresses that its indexes gave. A lock has
 * one version of a project; where a build has used several, it is the one asked for last, and the others
 * are named below `[tool.wheelcellar]`.
 *
 * @param indexUrls of the upstreams, by name
 */
export function recordedLock(set: RecordedSet, indexUrls: ReadonlyMap<string, string>): string {
  const projects = new Map<ProjectName, RecordedFile[]>();
  for (const file of set.files)
    projects.set(file.project, [...(projects.get(file.project) ?? []), file]);
  const packages: string[] = [];
  const others: string[] = [];
  for (const [project, files] of projects) {
    const last = files.reduce((a, b) => (b.lastUsed > a.lastUsed ? b : a));
    const isChosen = ({ version }: RecordedFile): boolean => version === last.version;
    packages.push(packageText(project, files.filter(isChosen), indexUrls));
    others.push(...files.filter((file) => !isChosen(file)).map(otherText));
  }
  const tool = [
    '[tool.wheelcellar]',
    `set = ${quoted(set.name)}`,
    `recorded-at = ${new Date(set.recordedAt).toISOString()}`,
    `command = [${set.command.map(quoted).join(', ')}]`,
    ...(others.length === 0 ? [] : [`also-used = [\n${others.join('')}]`]),
  ];
  const head = 'lock-version = "1.0"\ncreated-by = "wheelcellar"\n';
  return [head, ...packages, `${tool.join('\n')}\n`].join('\n');
}

function packageText(
  project: ProjectName,
  files: readonly RecordedFile[],
  indexUrls: ReadonlyMap<string, string>,
): string {
  const [first] = files;
  const index = indexUrls.get(first?.upstream ?? '');
  const wheels = files.filter(({ entry }) => entry.filename.endsWith('.whl'));
  // PEP 751 has room for one: the format that PEP 625 wants, if there is a choice.
  const sdists = files.filter(({ entry }) => !entry.filename.endsWith('.whl'));
  const sdist = sdists.find(({ entry }) => entry.filename.endsWith('.tar.gz')) ?? sdists[0];
  return [
    '[[packages]]',
    `name = ${quoted(project)}`,
    ...(first?.version === null || first === undefined
      ? []
      : [`version = ${quoted(first.version)}`]),
    ...(index === undefined ? [] : [`index = ${quoted(index)}`]),
    ...(sdist === undefined ? [] : [`sdist = ${fileText(sdist)}`]),
    ...(wheels.length === 0
      ? []
      : [`wheels = [\n${wheels.map((file) => `  ${fileText(file)},\n`).join('')}]`]),
    '',
  ].join('\n');
}

function fileText({ entry, sizeBytes, sha256 }: RecordedFile): string {
  const { filename, url, uploadTime } = entry;
  const time =
    uploadTime === null || !DATE_TIME.test(uploadTime) ? [] : [`upload-time = ${uploadTime}`];
  const parts = [
    `name = ${quoted(filename)}`,
    ...time,
    `url = ${quoted(url)}`,
    `size = ${sizeBytes}`,
    `hashes = {sha256 = ${quoted(sha256)}}`,
  ];
  return `{${parts.join(', ')}}`;
}

/** As TOML has it. */
const DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

function otherText({ entry, sha256 }: RecordedFile): string {
  return `  {name = ${quoted(entry.filename)}, sha256 = ${quoted(sha256)}},\n`;
}

/** A TOML basic string; JSON's escapes are among TOML's. */
function quoted(text: string): string {
  return JSON.stringify(text).replaceAll('\u007F', '\\u007F');
}
