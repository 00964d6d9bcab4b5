import { candidateProjects } from '../packaging/filenames.ts';
import { parseProjectName } from '../packaging/names.ts';
import { decodePathSegment } from '../simple/link.ts';
import { LOCAL_UPSTREAM, OFFICIAL_UPSTREAM } from '../store/layout.ts';
import { mirrorPathOf, upstreamOfPath } from '../store/mirror-path.ts';
import type { PageFiles } from '../store/page-files.ts';

/** What must be known of an upstream to turn addresses back. */
export interface AddressedUpstream {
  readonly name: string;
  /** With `/` at its end. */
  readonly url: string;
  readonly layout: 'simple' | 'find-links';
  /** Hosts of files beside the index's own; `null` for none. */
  readonly fileHosts: readonly string[] | null;
}

/** The official index, for configurations in which its name has another URL or none. */
export interface OfficialIndex {
  readonly indexUrl: string;
  readonly fileHost: string;
}

/** An address that was turned back, or why it could not be. */
export type TurnedBack = { readonly url: string } | { readonly reason: string };

const BY_HAND = 'it was put into this mirror by hand and lies on no index';

/**
 * Says what stands upstream under addresses of this mirror: by the upstream's pages where they are
 * stored here, else by the rule that the paths were made by (`store/mirror-path.ts`).
 */
export class OfficialAddresses {
  readonly #upstreams: readonly AddressedUpstream[];
  readonly #official: OfficialIndex;
  readonly #pages: Pick<PageFiles, 'read'> | null;

  /** @param pages `null` when nothing is stored on this machine */
  constructor(
    upstreams: readonly AddressedUpstream[],
    official: OfficialIndex,
    pages: Pick<PageFiles, 'read'> | null,
  ) {
    this.#upstreams = upstreams;
    this.#official = official;
    this.#pages = pages;
  }

  /** The URL of a file by its encoded path in the mirror. */
  async fileUrl(path: string): Promise<TurnedBack> {
    const segments = path.split('/').map(decodePathSegment);
    if (!segments.every((segment) => segment !== undefined))
      return { reason: 'its path is none of this mirror' };
    const decoded = segments.join('/');
    const name = upstreamOfPath(decoded);
    if (name === LOCAL_UPSTREAM) return { reason: BY_HAND };
    const upstream = this.#upstreams.find((each) => each.name === name);
    if (upstream === undefined)
      return name === OFFICIAL_UPSTREAM
        ? { url: `https://${this.#official.fileHost}/${path}` }
        : { reason: `no upstream is called ${name} in the configuration` };
    return (await this.#storedUrl(upstream, decoded)) ?? this.#urlByRule(upstream, path, segments);
  }

  /**
   * The URL of an index, or of something below it.
   *
   * @param owner the upstream that is meant, as mirror paths name it; `null` for the first one that has the
   *   project
   */
  async indexUrl(
    owner: string | null,
    project: string | null,
    { rest, endsInSlash }: { readonly rest: string; readonly endsInSlash: boolean },
  ): Promise<TurnedBack> {
    const name = owner ?? (project === null ? null : await this.#holderOf(project));
    if (name === LOCAL_UPSTREAM) return { reason: BY_HAND };
    const upstream =
      name === null ? this.#upstreams[0] : this.#upstreams.find((each) => each.name === name);
    if (upstream === undefined && name !== null && name !== OFFICIAL_UPSTREAM)
      return { reason: `no upstream is called ${name} in the configuration` };
    const url = upstream?.url ?? this.#official.indexUrl;
    if (upstream?.layout === 'find-links')
      return { reason: `${upstream.name} is a page of links, and no index` };
    const bare = url.replace(/\/$/, '');
    if (rest !== '') return { url: `${bare}/${rest}` };
    // Tools write the official index without a slash when nobody names it.
    return { url: endsInSlash && url !== this.#official.indexUrl ? url : bare };
  }

  async #holderOf(project: string): Promise<string | null> {
    const name = parseProjectName(project);
    if (name === undefined || this.#pages === null) return null;
    for (const upstream of this.#upstreams) {
      const page = await this.#pages.read(upstream.name, name);
      if (page?.indexUrl === upstream.url) return upstream.name;
    }
    return null;
  }

  /** As the index itself writes it, if its page is stored. */
  async #storedUrl(upstream: AddressedUpstream, path: string): Promise<TurnedBack | undefined> {
    if (this.#pages === null) return undefined;
    for (const project of candidateProjects(path.slice(path.lastIndexOf('/') + 1))) {
      const page = await this.#pages.read(upstream.name, project);
      if (page === undefined || page.indexUrl !== upstream.url) continue;
      const entry = page.detail.files.find(
        ({ url }) => mirrorPathOf(upstream.name, page.indexUrl, url) === path,
      );
      if (entry !== undefined) return { url: entry.url };
    }
    return undefined;
  }

  #urlByRule(upstream: AddressedUpstream, path: string, segments: readonly string[]): TurnedBack {
    const { origin, protocol } = new URL(upstream.url);
    if (segments[1] !== '-') {
      if (upstream.url === this.#official.indexUrl)
        return { url: `https://${this.#official.fileHost}/${path}` };
      if (upstream.fileHosts === null) return { url: `${origin}/${path}` };
      return {
        reason: `${upstream.name} has files on several hosts, and its page is not stored here`,
      };
    }
    const raw = path.split('/').slice(3);
    const host = /^@(.+)$/.exec(segments[3] ?? '')?.[1];
    return {
      url:
        host === undefined
          ? `${origin}/${raw.join('/')}`
          : `${protocol}//${host}/${raw.slice(1).join('/')}`,
    };
  }
}
