import { ensureImageTools, missingForImages } from './image-tools.ts';

/** Vitest calls this once before the image tests. Where they are skipped there is nothing to make. */
export async function setup(): Promise<void> {
  if (missingForImages() === undefined) await ensureImageTools();
}
