/**
 * Puts the program and the libraries it uses into a few files: node finds, reads and compiles those in half
 * the time that the several hundred single ones take, at every start of a server and every verb.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What is loaded from outside; modules that are imported lazily become files of their own. */
const ENTRIES = ['cli/main.ts', 'cli/process-io.ts', 'index.ts', 'paths.ts'];

/** Native code, and what finds its own files beside itself. */
const LEFT_OUTSIDE = ['better-sqlite3', 'pino-pretty'];

/** Libraries in the older module form ask for node's own modules by `require`. */
const BANNER =
  "import { createRequire as requireFrom } from 'node:module';\nconst require = requireFrom(import.meta.url);";

const NOTICES = 'THIRD-PARTY-NOTICES.txt';

/** Bundles the sources of the project at `root` into `outDir`; `false` after an error, which was printed. */
export async function bundle(root, outDir) {
  // Not there yet when the scripts start in a new checkout.
  const { build } = await import('esbuild');
  try {
    const { metafile } = await build({
      absWorkingDir: root,
      entryPoints: ENTRIES.map((entry) => join('src', entry)).filter((entry) =>
        existsSync(join(root, entry)),
      ),
      outdir: outDir,
      outbase: 'src',
      bundle: true,
      splitting: true,
      // At the top, where paths beside the package's root are the same from every file.
      chunkNames: '[name]-[hash]',
      format: 'esm',
      platform: 'node',
      target: 'node20.19',
      external: LEFT_OUTSIDE,
      banner: { js: BANNER },
      sourcemap: true,
      sourcesContent: false,
      metafile: true,
      logLevel: 'warning',
    });
    writeFileSync(join(outDir, NOTICES), noticesOf(root, Object.keys(metafile.inputs)));
    return true;
  } catch {
    return false;
  }
}

/** Name, version and licence of every library of which something is in the bundle. */
function noticesOf(root, inputs) {
  const folders = inputs.flatMap(
    (input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input)?.[0] ?? [],
  );
  return [...new Set(folders.toSorted())]
    .map((folder) => noticeOf(join(root, folder)))
    .join(`\n${'-'.repeat(100)}\n\n`);
}

function noticeOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const texts = readdirSync(folder)
    .filter((file) => /^(?:licen[cs]e|notice|copying)/i.test(file))
    .map((file) => readFileSync(join(folder, file), 'utf8').trim());
  return [`${name} ${version} (${license})`, ...texts].join('\n\n') + '\n';
}
