/** Far upstreams, and installers made by hand that ask a mirror for what they like, in the order they like. */
import { expect } from 'vitest';
import type { FakeFile, FakeUpstream, FakeUpstreamOptions } from './fake-upstream.ts';
import { JSON_PAGE, stageUpstream } from './mirror.ts';
import type { TestMirror } from './mirror.ts';
import type { Answer } from './http-client.ts';
import { PIP_USER_AGENT } from './user-agents.ts';
import { writeWheel } from './wheel-writer.ts';
import type { WheelOptions, WrittenWheel } from './wheel-writer.ts';

/** What each answer of a far upstream waits for; well above the distance from which on it counts as far. */
const FAR_MS = 30;

/** A wheel `name` 1.0 unless `options` say otherwise. */
export function wheelOf(name: string, options: Partial<WheelOptions> = {}): WrittenWheel {
  return writeWheel({ name, version: '1.0', ...options });
}

/** Projects by name, each with its wheels. */
export type Projects = Readonly<Record<string, readonly FakeFile[]>>;

/** Projects with one wheel each, by what that requires. */
export function projectsOf(requires: Readonly<Record<string, readonly string[]>>): Projects {
  return Object.fromEntries(
    Object.entries(requires).map(([name, each]) => [name, [wheelOf(name, { requires: each })]]),
  );
}

/** An upstream whose every answer takes a while. */
export async function stageFarUpstream(
  projects: Projects,
  options: FakeUpstreamOptions = {},
): Promise<FakeUpstream> {
  const upstream = await stageUpstream({ projects, ...options });
  upstream.fault('*', { delayMs: FAR_MS });
  return upstream;
}

/**
 * What an upstream was asked for, in order and in few words: `page x`, `facts x`, `metadata x-1.0`,
 * `wheel x-1.0`; anything else as it came.
 */
export function askedOf(upstream: FakeUpstream): string[] {
  return upstream.requests.map(({ method, path }) => {
    const page = /^\/simple\/([^/]+)\/$/.exec(path)?.[1];
    const facts = /^\/pypi\/([^/]+)\/json$/.exec(path)?.[1];
    const [, stem, , metadata] = /\/([^/-]+-[^/-]+)(-[^/]*)?\.whl(\.metadata)?$/.exec(path) ?? [];
    const word =
      (page && `page ${page}`) ??
      (facts && `facts ${facts}`) ??
      (stem && `${metadata === undefined ? 'wheel' : 'metadata'} ${stem}`) ??
      path;
    return method === 'GET' ? word : `${method} ${word}`;
  });
}

/** As {@link askedOf}, sorted, and without the documents that only say what a newest version requires. */
export function askedSet(upstream: FakeUpstream): string[] {
  return askedOf(upstream)
    .filter((word) => !word.startsWith('facts '))
    .toSorted();
}

/** One installer: an address and a User-Agent. */
export class HandmadeInstaller {
  readonly #mirror: TestMirror;
  readonly #userAgent: string;
  readonly #urls = new Map<string, string>();

  constructor(mirror: TestMirror, userAgent: string = PIP_USER_AGENT) {
    this.#mirror = mirror;
    this.#userAgent = userAgent;
  }

  /** Asks for a target, as this installer. */
  get(target: string, method: string = 'GET'): Promise<Answer> {
    const headers = { accept: JSON_PAGE, 'user-agent': this.#userAgent };
    return this.#mirror.get(target, { method, headers });
  }

  /** Asks for pages, one after the other, and notes their links. */
  async pages(...projects: readonly string[]): Promise<Answer[]> {
    const answers: Answer[] = [];
    for (const project of projects) {
      const target = `/simple/${project}/`;
      const answer = await this.get(target);
      answers.push(answer);
      if (answer.status === 200) this.#note(answer.text, target);
    }
    return answers;
  }

  /** Asks for the core metadata of a file whose page it has seen. */
  metadata(filename: string): Promise<Answer> {
    return this.get(`${this.pathOf(filename)}.metadata`);
  }

  /** Asks for a file whose page it has seen. */
  file(filename: string): Promise<Answer> {
    return this.get(this.pathOf(filename));
  }

  /** Below the mirror's origin. */
  pathOf(filename: string): string {
    const path = this.#urls.get(filename);
    if (path === undefined) throw new Error(`No page that was asked for lists ${filename}.`);
    return path;
  }

  /** All that an installer asks for to install a chain of wheels, each of which requires the next. */
  async install(...wheels: readonly { readonly filename: string }[]): Promise<void> {
    for (const { filename } of wheels) {
      const [page] = await this.pages((filename.split('-')[0] ?? '').replaceAll('_', '-'));
      expect(page?.status).toBe(200);
      expect((await this.metadata(filename)).status).toBe(200);
    }
    for (const { filename } of wheels) expect((await this.file(filename)).status).toBe(200);
  }

  #note(text: string, target: string): void {
    const { files } = JSON.parse(text) as { files: { filename: string; url: string }[] };
    for (const { filename, url } of files) {
      this.#urls.set(filename, new URL(url, `${this.#mirror.origin}${target}`).pathname);
    }
  }
}

/** Resolves when the mirror does nothing any more that nobody waits for. */
export async function settled({ mirror }: TestMirror): Promise<void> {
  await mirror.ahead?.settled();
}
