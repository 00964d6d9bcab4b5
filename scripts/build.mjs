/**
 * Checks src and bundles it to dist. The new folder is made beside the old one and takes its place at the end, so
 * that a failed build changes nothing and a server that runs meanwhile never sees half of one.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, relative, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { bundle } from './bundle.mjs';

const STAMP = 'build-stamp';

/** Whether `dist` of the project at `root` was built from what `src` is now. */
export function isBuilt(root) {
  const stamp = join(root, 'dist', STAMP);
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === sourceDigest(root);
}

/** Builds the project at `root`; the exit status of the compiler. */
export async function build(root) {
  const digest = sourceDigest(root);
  const next = join(root, `dist.${process.pid}`);
  try {
    const status = compile(root, next);
    if (status !== 0) return status;
    if (!(await bundle(root, next))) return 1;
    cpSync(join(root, 'src'), next, { recursive: true, filter: isNoSource });
    writeFileSync(join(next, STAMP), digest);
    replaceFolder(join(root, 'dist'), next);
    return 0;
  } finally {
    rmSync(next, { recursive: true, force: true });
  }
}

function compile(root, outDir) {
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  // The compiler's words go to standard error: standard output belongs to what runs after the build.
  const { status } = spawnSync(
    process.execPath,
    [compiler, '-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', outDir],
    { cwd: root, stdio: ['ignore', 2, 2] },
  );
  return status === null ? 1 : status;
}

/** Folders, and the files that are no sources. */
function isNoSource(path) {
  return statSync(path).isDirectory() || !path.endsWith('.ts');
}

function replaceFolder(folder, next) {
  const old = `${next}.old`;
  if (existsSync(folder)) renameSync(folder, old);
  renameSync(next, folder);
  rmSync(old, { recursive: true, force: true });
}

/** By content, not by time: a checkout of another branch and back changes every time. */
function sourceDigest(root) {
  const hash = createHash('sha256');
  const files = [
    'tsconfig.json',
    'tsconfig.build.json',
    // Libraries are in the bundle.
    'package-lock.json',
    ...filesBelow(join(root, 'src')),
    ...filesBelow(join(root, 'scripts')),
  ];
  for (const file of files) {
    const path = resolve(root, file);
    hash
      .update(`${relative(root, path)}\0`)
      .update(readFileSync(path))
      .update('\0');
  }
  return `${hash.digest('hex')}\n`;
}

function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? filesBelow(path) : [path];
    });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await build(fileURLToPath(new URL('..', import.meta.url)));
}
