import { Agent } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { download } from '../support/download.ts';
import type { TargetFile } from './bad-weather.ts';
import { Verdict } from './verdict.ts';
import type { Counts } from './verdict.ts';

const JSON_ACCEPT = 'application/vnd.pypi.simple.v1+json';

/** What a request is, and how many of a hundred are like it. */
const MIX: readonly (readonly [share: number, kind: RequestKind])[] = [
  [30, 'page'],
  [20, 'same page'],
  [5, 'unknown page'],
  [25, 'file'],
  [10, 'range'],
  [3, 'slow file'],
  [5, 'quitter'],
  [2, 'health'],
];

type RequestKind =
  | 'page'
  | 'same page'
  | 'unknown page'
  | 'file'
  | 'range'
  | 'slow file'
  | 'quitter'
  | 'health';

/** More at a time would only queue. */
const MOST_UNDER_WAY = 96;

/** Low numbers far more often than high ones, as with packages. */
const popular = (count: number): number => Math.floor(count * Math.random() ** 3);

/** What the load is put on. */
export interface LoadOptions {
  readonly origin: () => string;
  /** May change while the load runs. */
  readonly targets: TargetFile[];
  readonly requestsPerSecond: number;
}

/** Requests of all kinds at an even rate, whatever the answers; every complete body is looked at. */
export class MixedLoad {
  readonly #options: LoadOptions;
  readonly #verdict = new Verdict();
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 32 });
  readonly #pageTags = new Map<string, string>();
  readonly requests: Record<string, number> = {};
  /** Not sent, because too many were under way. */
  skipped = 0;
  #underWay = 0;
  #unknown = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  get counts(): Counts {
    return this.#verdict.counts;
  }

  /** Sends until `isOver`, then waits for the answers. */
  async run(isOver: () => boolean): Promise<void> {
    const startedAt = performance.now();
    let sent = 0;
    while (!isOver()) {
      const due = ((performance.now() - startedAt) / 1_000) * this.#options.requestsPerSecond;
      for (; sent < due; sent++) this.#send();
      await pause(5);
    }
    while (this.#underWay > 0) await pause(20);
    this.#agent.destroy();
  }

  #send(): void {
    if (this.#underWay >= MOST_UNDER_WAY) {
      this.skipped++;
      return;
    }
    const kind = this.#kind();
    this.requests[kind] = (this.requests[kind] ?? 0) + 1;
    this.#underWay++;
    void this.#ask(kind).finally(() => this.#underWay--);
  }

  #kind(): RequestKind {
    let left = Math.random() * 100;
    return MIX.find(([share]) => (left -= share) < 0)?.[1] ?? 'page';
  }

  async #ask(kind: RequestKind): Promise<void> {
    const { targets, origin } = this.#options;
    const target = targets[popular(targets.length)]!;
    const { length } = target.content;
    const url = origin() + target.path;
    switch (kind) {
      case 'page':
      case 'same page':
        return await this.#askPage(target.project, kind === 'same page');
      case 'unknown page':
        return await this.#askPlainly(`${origin()}/simple/nobody-${this.#unknown++}/`);
      case 'health':
        return await this.#askPlainly(`${origin()}/-/health`);
      case 'file':
        return this.#verdict.file(target, url, await download(url), null);
      case 'slow file':
        return this.#verdict.slowFile(
          target,
          url,
          await download(url, { bytesPerSecond: 300_000 }),
        );
      case 'quitter':
        return this.#verdict.quitter(url, await download(url, { quitAfterBytes: length / 3 }));
      case 'range': {
        const start = Math.floor(Math.random() * length);
        const last = Math.min(length - 1, start + Math.floor(Math.random() * length));
        const headers = { range: `bytes=${start}-${last}` };
        return this.#verdict.file(target, url, await download(url, { headers }), { start, last });
      }
    }
  }

  async #askPage(project: string, withTag: boolean): Promise<void> {
    const url = `${this.#options.origin()}/simple/${project}/`;
    const tag = withTag ? this.#pageTags.get(project) : undefined;
    let text = '';
    const answer = await download(url, {
      agent: this.#agent,
      headers: { accept: JSON_ACCEPT, ...(tag === undefined ? {} : { 'if-none-match': tag }) },
      onBody: (body) => (text = body.toString()),
    });
    if (answer.headers.etag !== undefined) this.#pageTags.set(project, answer.headers.etag);
    this.#verdict.page(project, url, answer, text);
  }

  async #askPlainly(url: string): Promise<void> {
    this.#verdict.plain(url, await download(url, { agent: this.#agent }));
  }
}
