import type { TestProject } from 'vitest/node';
import { ensureImageTools, missingForImages } from './image-tools.ts';

declare module 'vitest' {
  /** What the setup tells the tests. */
  export interface ProvidedContext {
    /** Why images cannot be built here; empty when they can. */
    missingForImages: string;
  }
}

/** Vitest calls this once before the image tests. Where they are skipped there is nothing to make. */
export async function setup(project: TestProject): Promise<void> {
  project.provide('missingForImages', missingForImages() ?? (await makeTools()));
}

async function makeTools(): Promise<string> {
  try {
    await ensureImageTools();
    return '';
  } catch (error) {
    // In one line, since it becomes part of the tests' names.
    return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').trim();
  }
}
