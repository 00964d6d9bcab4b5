import type { IncomingHttpHeaders } from 'node:http';
import type { Fault } from './fake-upstream-faults.ts';
import type { FakeFile } from './fake-upstream-pages.ts';

/** How the fake index behaves when nothing is broken. Can be changed while it runs. */
export interface FakeBehaviour {
  /** Forms of the pages: one only, or by `Accept` (default). */
  mode: 'json' | 'html' | 'negotiate';
  /** Whether pages have an ETag and are answered with 304 (default true). */
  pageEtags: boolean;
  /** Whether pages have `Last-Modified` (default false, as the official index). */
  pageLastModified: boolean;
  /** `Cache-Control: max-age` of pages in seconds; `null` sends none (default 600). */
  maxAgeSeconds: number | null;
  /** The whole `Cache-Control` of pages, instead of `max-age`. */
  pageCacheControl: string | null;
  /** `X-PyPI-Last-Serial` of pages; `null` sends none (default 1). */
  serial: number | null;
  /** Whether pages are gzipped for those who accept it (default true). */
  gzip: boolean;
  /** Whether `/pypi/<project>/json` answers (default true). */
  legacyJson: boolean;
  /** Whether files have an ETag (default true). */
  fileEtags: boolean;
  /** Whether files can be had in parts (default true). */
  ranges: boolean;
  /** Put before the paths of files in pages: `../..` (default), or an origin. */
  filePrefix: string;
  /** User and password that every request must carry. */
  credentials: { readonly username: string; readonly password: string } | null;
}

export interface FakeUpstreamOptions extends Partial<FakeBehaviour> {
  /** Files by normalized project name. */
  readonly projects?: Readonly<Record<string, readonly FakeFile[]>>;
  /** PEM texts; with them the index speaks TLS. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Port to listen on; 0 (default) takes a free one. */
  readonly port?: number;
}

/** One request as it came in. */
export interface SeenRequest {
  readonly method: string;
  /** Path with query, as sent. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Body bytes sent so far. */
  bytesSent: number;
  /** Status sent; 0 before the headers. */
  status: number;
}

/** Which requests: an exact path, all that match, or `*` for every one. */
export type Where = string | RegExp;

/** An answer that replaces whatever the index would say at a path. */
export interface RawAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

export interface FakeUpstream {
  /** `http://127.0.0.1:<port>`, or https. */
  readonly origin: string;
  readonly port: number;
  /** The index URL: `<origin>/simple/`. */
  readonly indexUrl: string;
  /** A find-links page with every file of every project: `<origin>/links/`. */
  readonly linksUrl: string;
  /** Switches that take effect with the next request. */
  readonly behaviour: FakeBehaviour;
  /** Every request since the start or the last `forget()`, oldest first. */
  readonly requests: readonly SeenRequest[];
  /** Sockets accepted since the start or the last `forget()`. */
  readonly connections: number;
  /** Adds or replaces a project; its serial, if any, goes up by one. `null` removes it. */
  setProject(name: string, files: readonly FakeFile[] | null): void;
  /** PEP 792. */
  setStatus(name: string, status: string, reason?: string): void;
  /** Serves something of its own at a path; `null` takes it away. */
  setRaw(path: string, answer: RawAnswer | null): void;
  /** Path of the file; throws when no project has it. */
  filePath(filename: string): string;
  /** Absolute URL of the file. */
  fileUrl(filename: string): string;
  /** Switches a fault on; the result switches it off. Several that fit are merged, the latest winning. */
  fault(where: Where, fault: Fault): () => void;
  /** Switches all faults off. */
  clearFaults(): void;
  /** Number of requests, all methods or one. */
  count(where: Where, method?: string): number;
  /** Body bytes sent. */
  bytesSent(where: Where): number;
  /** Sets all counters to zero. */
  forget(): void;
  /** Closes the port and breaks every connection: connecting is refused from now on. */
  down(): Promise<void>;
  /** Opens the same port again. */
  up(): Promise<void>;
  /** Accept connections and never answer (`false`: answer again; requests that hang go on hanging). */
  blackhole(on?: boolean): void;
  close(): Promise<void>;
}
