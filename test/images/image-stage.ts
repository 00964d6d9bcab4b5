import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { sampleSet } from '../support/sample-set.ts';
import type { SampleSet } from '../support/sample-set.ts';
import { startServer } from '../support/server-process.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { buildImage } from './build-image.ts';
import type { BuildOptions, BuiltImage } from './build-image.ts';

/** An index, a cache folder for images and for the mirror in it, and a decoy of the index. */
export interface ImageStage {
  readonly set: SampleSet;
  /** What the mirror asks. */
  readonly upstream: FakeUpstream;
  /**
   * Another index with the same files. Whatever is taken from it was not taken from the mirror, though the
   * image is as good as any.
   */
  readonly decoy: FakeUpstream;
  readonly folder: string;
  readonly imageCache: string;
  readonly serve: (options?: {
    readonly flags?: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
  }) => Promise<ServerProcess>;
  readonly build: (
    options: Partial<BuildOptions> & { readonly name: string },
  ) => Promise<BuiltImage>;
  /** Files served by a mirror since the last call. */
  readonly servedFiles: (server: ServerProcess) => Promise<number>;
}

export interface ImageStageOptions {
  /** Builds are not told where the image cache is: it is `~/.cache/image-create`. */
  readonly hasDefaultCache?: boolean;
}

/** Sets the stage for one test and clears it when the test is over. */
export async function setImageStage(options: ImageStageOptions = {}): Promise<ImageStage> {
  const { hasDefaultCache = false } = options;
  const set = sampleSet();
  const folder = await makeTempFolder('wheelcellar-images-');
  onTestFinished(() => folder.remove());
  const upstream = await startFakeUpstream({ projects: set.projects });
  onTestFinished(() => upstream.close());
  const decoy = await startFakeUpstream({ projects: set.projects });
  onTestFinished(() => decoy.close());
  const imageCache = join(folder.path, hasDefaultCache ? '.cache/image-create' : 'image-create');
  await mkdir(imageCache, { recursive: true });
  let servedBefore = 0;
  return {
    set,
    upstream,
    decoy,
    folder: folder.path,
    imageCache,
    serve: async ({ flags = [], env = {} } = {}) => {
      const args = ['--index-url', upstream.indexUrl, ...flags];
      const server = await startServer({
        cacheDir: join(imageCache, 'pypi'),
        args,
        env,
        ahead: true,
      });
      onTestFinished(async () => void (await server.stop()));
      return server;
    },
    build: (build) =>
      buildImage({
        folder: folder.path,
        ...(hasDefaultCache ? {} : { imageCache }),
        requirements: set.requirements,
        ...build,
      }),
    servedFiles: async (server) => {
      const answer = await fetch(`${server.baseUrl}/-/stats`);
      const { fileHits, fileMisses } = (await answer.json()) as Record<string, number>;
      const now = (fileHits ?? 0) + (fileMisses ?? 0);
      const since = now - servedBefore;
      servedBefore = now;
      return since;
    },
  };
}

/** The origins (`file://` for files) of all URLs, each once. */
export function originsOf(sources: Readonly<Record<string, string>>): string[] {
  const origins = Object.values(sources).map((url) => {
    const { protocol, host } = new URL(url);
    return `${protocol}//${host}`;
  });
  return [...new Set(origins)].toSorted();
}

/** Has the mirror fetch every file of the set, so that its upstream can go. */
export async function fillMirror(set: SampleSet, server: ServerProcess): Promise<void> {
  for (const project of Object.keys(set.projects)) {
    const pageUrl = `${server.indexUrl}${project}/`;
    const accept = 'application/vnd.pypi.simple.v1+json';
    const page = await fetch(pageUrl, { headers: { accept } });
    const { files } = (await page.json()) as {
      readonly files: readonly { readonly url: string }[];
    };
    for (const { url } of files) {
      const file = await fetch(new URL(url, pageUrl));
      await file.arrayBuffer();
      if (!file.ok) throw new Error(`${url}: ${file.status}`);
    }
  }
}

/** A new folder below `parent` with these files. */
export async function makeOverlay(
  parent: string,
  files: Readonly<Record<string, string>>,
): Promise<string> {
  const folder = await mkdtemp(join(parent, 'overlay-'));
  await chmod(folder, 0o755);
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}
