import type { MirrorFile, MirrorSettings } from '../config/mirror-file.ts';
import { downloadDir, wheelhouseDir } from './download-folders.ts';
import { shownUrl } from './git.ts';
import type { RunOptions } from './surroundings.ts';

/** What a run would do, line by line; nothing is looked at for it. */
export function planOf(file: MirrorFile, options: RunOptions): string[] {
  return file.mirrors.flatMap((mirror) => [
    `${mirror.name}:`,
    ...(options.withDownload ? downloadLines(file, mirror, options) : []),
    ...(options.withProcess ? processLines(file, mirror) : []),
  ]);
}

function downloadLines(
  { cacheRoot }: MirrorFile,
  mirror: MirrorSettings,
  options: RunOptions,
): string[] {
  const branches =
    options.branch ?? (mirror.branches.length > 0 ? mirror.branches.join(', ') : 'every branch');
  const files =
    options.requirementFiles.length > 0
      ? options.requirementFiles.join(', ')
      : 'its requirement files';
  const update = options.withUpdate ? '' : ', as the work tree is';
  const lines = mirror.projects.map(
    (url) => `  clone or fetch ${shownUrl(url)}; read ${files} of ${branches}${update}`,
  );
  for (const path of mirror.requirements) lines.push(`  read ${path}`);
  if (mirror.packages.length > 0) lines.push(`  take ${mirror.packages.join(', ')}`);
  if (!options.withPip) return [...lines, '  resolve nothing (--no-pip)'];
  const wheels = {
    fetch: 'wheels of the index, and builds of what it has none of',
    build: 'wheels that are built here',
    none: 'no wheels',
  }[mirror.wheels];
  return [
    ...lines,
    `  resolve for ${listOr(mirror.pythons, "this machine's Python")} on ${listOr(mirror.platforms, 'this machine')}`,
    ...(mirror.vcs === 'build' ? ['  build sdists of the commits that git URLs name'] : []),
    `  fetch sdists to ${downloadDir(cacheRoot, mirror.name)}`,
    `  fetch ${wheels} to ${wheelhouseDir(cacheRoot, mirror.name)}`,
  ];
}

function processLines({ cacheRoot }: MirrorFile, mirror: MirrorSettings): string[] {
  const kept = mirror.keep === 'listed' ? ', and take out what nobody asks for any more' : '';
  return [
    `  write the index ${mirror.output} from ${downloadDir(cacheRoot, mirror.name)} and the wheelhouse${kept}`,
  ];
}

function listOr(values: readonly string[], otherwise: string): string {
  return values.length > 0 ? values.join(', ') : otherwise;
}
