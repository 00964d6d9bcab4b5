import { createHash } from 'node:crypto';
import { open, readFile, readdir } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** What the reader of the static mirror counts. */
export interface WalkCounts {
  pages: number;
  links: number;
  /** Links of a page read less than two seconds ago that led nowhere: must stay 0. */
  dead: number;
  /** The reader itself was too slow for the grace time. */
  late: number;
  wrong: number;
  readonly deadLinks: string[];
}

/** A link holds for the grace time of the servers; this is less. */
const LINK_HOLDS_MS = 2_000;

/** Reads `mirror/` like a web server would: every link of a page just read leads to the bytes it names. */
export async function walkMirror(
  mirrorDir: string,
  counts: WalkCounts,
  isOver: () => boolean,
): Promise<void> {
  while (!isOver()) {
    const names = await readdir(mirrorDir).catch(() => []);
    for (const name of names.filter((entry) => entry.startsWith('torture-'))) {
      await walkPage(join(mirrorDir, name, 'index.html'), counts);
      if (isOver()) return;
    }
    await pause(20);
  }
}

async function walkPage(page: string, counts: WalkCounts): Promise<void> {
  const readAt = performance.now();
  const text = await readFile(page, 'utf8').catch(() => null);
  if (text === null) return;
  counts.pages++;
  const links = [...text.matchAll(/href="([^"#]+)#sha256=([0-9a-f]{64})"/g)];
  for (const [, href = '', sha256 = ''] of links) {
    counts.links++;
    const handle = await open(join(dirname(page), decodeURIComponent(href))).catch(() => null);
    const ageMs = performance.now() - readAt;
    if (handle === null && ageMs > LINK_HOLDS_MS) counts.late++;
    else if (handle === null) {
      counts.dead++;
      counts.deadLinks.push(`${page} ${href} after ${Math.round(ageMs)} ms`);
    } else if ((await digestOf(handle)) !== sha256) counts.wrong++;
  }
}

async function digestOf(handle: FileHandle): Promise<string> {
  try {
    return createHash('sha256')
      .update(await handle.readFile())
      .digest('hex');
  } finally {
    await handle.close();
  }
}
