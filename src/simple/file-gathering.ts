import { fileBelongsTo, isDistributionFilename } from '../packaging/filenames.ts';
import { hashesAgree, hashesContradict, parseFragment } from './hashes.ts';
import type { DistributionFile, Hashes } from './model.ts';
import type { DropCounts, DropReason, PageContext } from './page-reading.ts';

/** Where an entry's link leads. */
export interface FileLink {
  /** Absolute, without fragment and credentials. */
  readonly url: string;
  /** The last path segment, decoded once. */
  readonly filename: string;
  /** Out of the fragment. */
  readonly hashes: Hashes;
}

/**
 * Collects the entries of one page: resolves links, refuses what cannot be a file of the project, and
 * settles filenames that are listed twice.
 */
export class FileGathering {
  readonly #context: PageContext;
  readonly #dropped = new Map<DropReason, number>();
  /** `null` where the listings of one filename contradict each other. */
  readonly #files = new Map<string, DistributionFile | null>();
  #baseUrl: string;
  #sawDistribution = false;

  constructor(context: PageContext) {
    this.#context = context;
    this.#baseUrl = context.pageUrl;
  }

  /** Resolves further links against `href` (HTML `<base>`); ignored unless it is http or https. */
  rebase(href: string): void {
    const url = parseHttpUrl(href, this.#context.pageUrl);
    if (url !== undefined) this.#baseUrl = url.href;
  }

  /** An absolute http or https URL without credentials, or `undefined`. */
  resolve(href: string): string | undefined {
    const url = parseHttpUrl(href, this.#baseUrl);
    if (url === undefined) return undefined;
    withoutCredentials(url);
    return url.href;
  }

  /** The link to a file of this project, or `undefined` after counting why it is none. */
  follow(href: string): FileLink | undefined {
    const url = parseHttpUrl(href, this.#baseUrl);
    if (url === undefined) return this.drop('bad-url');
    const filename = decodeSegment(url.pathname.slice(url.pathname.lastIndexOf('/') + 1));
    if (filename === undefined) return this.drop('bad-url');
    if (!isDistributionFilename(filename)) return this.drop('not-a-distribution');
    this.#sawDistribution = true;
    if (!fileBelongsTo(filename, this.#context.project)) return this.drop('other-project');
    const hashes = parseFragment(url.hash.slice(1));
    if (hashes === undefined) return this.drop('bad-hash');
    withoutCredentials(url);
    return { url: url.href, filename, hashes };
  }

  /** Counts an entry that is left out. */
  drop(reason: DropReason): undefined {
    this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + 1);
    return undefined;
  }

  /**
   * Takes a file. Of two listings with the same digests the first stays; when they differ, or nothing
   * shows that they are the same file, neither does: choosing would be guessing which one is genuine.
   */
  add(file: DistributionFile): void {
    const known = this.#files.get(file.filename);
    if (known === undefined) {
      this.#files.set(file.filename, file);
    } else if (known !== null && isSameFile(known, file)) {
      this.drop('duplicate');
    } else {
      if (known !== null) this.drop('conflict');
      this.drop('conflict');
      this.#files.set(file.filename, null);
    }
  }

  /** All files without contradiction, in the page's order. */
  files(): readonly DistributionFile[] {
    return [...this.#files.values()].filter((file) => file !== null);
  }

  /** Filenames whose listings contradict each other. */
  conflicts(): readonly string[] {
    return [...this.#files].filter(([, file]) => file === null).map(([filename]) => filename);
  }

  /** How many entries were left out, and why. */
  dropped(): DropCounts {
    return Object.fromEntries(this.#dropped);
  }

  /** Whether any link, of whatever project, led to a distribution file. */
  get sawDistribution(): boolean {
    return this.#sawDistribution;
  }
}

/** Listings without a common digest are the same file only under the same URL. */
function isSameFile(left: DistributionFile, right: DistributionFile): boolean {
  if (hashesContradict(left.hashes, right.hashes)) return false;
  return left.url === right.url || hashesAgree(left.hashes, right.hashes);
}

function parseHttpUrl(href: string, baseUrl: string): URL | undefined {
  try {
    const url = new URL(href, baseUrl);
    return url.protocol === 'https:' || url.protocol === 'http:' ? url : undefined;
  } catch {
    return undefined;
  }
}

function withoutCredentials(url: URL): void {
  if (url.hash !== '') url.hash = '';
  if (url.username !== '') url.username = '';
  if (url.password !== '') url.password = '';
}

function decodeSegment(segment: string): string | undefined {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
