import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { WheelcellarError } from '../core/errors.ts';
import { lastWords, takeOut } from './build-result.ts';
import type { Sandbox } from './sandbox.ts';
import type { Builder } from './wheel-build.ts';

/** A source tree that an sdist is to be made of. */
export interface SdistRequest {
  /** Writes the tree into this folder, which is not there yet. */
  readonly writeSource: (folder: string) => Promise<void>;
  /** Where in it the project lies; empty for its top. */
  readonly subdirectory: string;
  /** What files that have no time of their own get. */
  readonly committedAt: Date;
  readonly timeoutMs: number;
  /** Hears what the build writes. */
  readonly onOutput: (text: string) => void;
}

const MOST_SDIST_BYTES = 256 * 1024 * 1024;

/**
 * What pip has no command for (PEP 517): arguments are the source, the folder for the sdist, and one for
 * what the build needs.
 */
const SDIST_WITH_PIP = `
import importlib, os, subprocess, sys
source, out, site = sys.argv[1:4]
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
document = {}
if os.path.exists(os.path.join(source, "pyproject.toml")):
    with open(os.path.join(source, "pyproject.toml"), "rb") as file:
        document = tomllib.load(file)
system = document.get("build-system", {"requires": ["setuptools>=40.8.0"]})


def install(requirements):
    if requirements:
        subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", site, *requirements])


os.chdir(source)
install(system["requires"])
sys.path[:0] = [*(os.path.join(source, path) for path in system.get("backend-path", [])), site]
os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:1 + len(system.get("backend-path", []))])
module, _, attribute = system.get("build-backend", "setuptools.build_meta:__legacy__").partition(":")
backend = importlib.import_module(module)
for name in filter(None, attribute.split(".")):
    backend = getattr(backend, name)
if hasattr(backend, "get_requires_for_build_sdist"):
    install(backend.get_requires_for_build_sdist())
backend.build_sdist(out)
`;

/**
 * Makes the sdist of a source tree in the sandbox; what its build needs comes from the mirror.
 *
 * @returns its bytes, as the build has made them
 * @throws WheelcellarError with the last words of the build
 */
export async function buildSdist(
  sandbox: Sandbox,
  builder: Builder,
  request: SdistRequest,
): Promise<Uint8Array> {
  const folder = await sandbox.makeFolder();
  const outDir = join(folder, 'sdist');
  await request.writeSource(join(folder, 'source'));
  await mkdir(outDir);
  const source = join(folder, 'source', request.subdirectory);
  const command = await sandbox.toolFor(builder.command, builder.kind === 'uv');
  const words =
    builder.kind === 'uv'
      ? [command, 'build', '--sdist', '--out-dir', outDir, source]
      : [command, '-c', SDIST_WITH_PIP, source, outDir, join(folder, 'site')];
  const epoch = `SOURCE_DATE_EPOCH=${Math.floor(request.committedAt.getTime() / 1000)}`;
  const { code, stdout, stderr } = await sandbox.run({
    words: ['env', epoch, ...words],
    folder,
    timeoutMs: request.timeoutMs,
    onOutput: request.onOutput,
  });
  const sdists = (await readdir(outDir)).filter((name) => name.endsWith('.tar.gz'));
  const [sdist] = sdists;
  if (code === 0 && sdist !== undefined && sdists.length === 1) {
    const taken = join(await sandbox.makeFolder(), 'sdist.tar.gz');
    await takeOut(join(outDir, sdist), taken, MOST_SDIST_BYTES);
    return await readFile(taken);
  }
  throw new WheelcellarError(`no sdist could be made: ${lastWords(stderr || stdout, code)}`);
}
