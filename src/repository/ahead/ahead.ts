import { setImmediate } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/clock.ts';
import { candidateProjects } from '../../packaging/filenames.ts';
import { parseInstaller } from '../../packaging/installer.ts';
import type { Installer } from '../../packaging/installer.ts';
import type { ProjectName } from '../../packaging/names.ts';
import type { DistributionFile } from '../../simple/model.ts';
import { finishInSlices } from '../../simple/slices.ts';
import type { DependencyTable } from '../../store/dependency-table.ts';
import { upstreamOfPath } from '../../store/mirror-path.ts';
import type { AheadIndex } from './ahead-index.ts';
import type { Ledger } from './ledger.ts';
import { Lanes } from './lanes.ts';
import type { Urgency } from './lanes.ts';
import { newestFile } from './newest-file.ts';
import { addExtras, addSpecifier, requiredHere } from './required-here.ts';
import { Session } from './session.ts';
import type { Allowance, FollowedProject, ReadDocument } from './session.ts';

/** Who asks. Two installers behind one address are told apart by what they say of themselves. */
export interface Client {
  readonly address: string;
  readonly userAgent: string;
}

/** What a client has just asked for: a project's page, or the file at a mirror path. */
export type Asked =
  | { readonly kind: 'page'; readonly project: ProjectName }
  | { readonly kind: 'file'; readonly path: string };

/** Hears of each request before it is answered; must return at once. */
export type AskedListener = (client: Client, asked: Asked) => void;

/** What asking ahead works with. */
export interface AheadOptions {
  readonly index: AheadIndex;
  readonly learned: DependencyTable;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly allowance: Allowance;
  /** Requests that are under way at a time. */
  readonly lanes: number;
}

/** Clients remembered at a time. */
const MOST_SESSIONS = 500;

/** Machines and versions of installers remembered at a time. */
const MOST_INSTALLERS = 50;

/** Connections that a run of an installer begins with: when it is known how much it will want, and when not. */
const CONNECTIONS_FOR_MANY = 12;
const CONNECTIONS_FOR_FEW = 4;

const METADATA_SUFFIX = '.metadata';

/**
 * Asks upstreams for what an installer will want next, while it still reads what it got.
 *
 *     a page is asked for      → the pages of all that the project is known to need (learned before),
 *                                and the core metadata of its newest file (a guess)
 *     core metadata            → its wheel, and the pages of what it requires here
 *     a wheel                  → the pages of what it requires, for clients that read no metadata
 *
 * Everything goes through the same repositories as a client's request: what is fetched is verified and
 * kept, the client's own request joins it, and nothing is shown that would not be shown without it. Clients
 * that are neither pip nor uv, and upstreams that are near, are left alone.
 */
export class Ahead {
  readonly #index: AheadIndex;
  readonly #learned: DependencyTable;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #allowance: Allowance;
  readonly #lanes: Lanes;
  readonly #sessions = new LRUCache<string, Session>({ max: MOST_SESSIONS });
  readonly #installers = new LRUCache<string, Installer>({ max: MOST_INSTALLERS });

  constructor({ index, learned, ledger, clock, allowance, lanes }: AheadOptions) {
    this.#index = index;
    this.#learned = learned;
    this.#ledger = ledger;
    this.#clock = clock;
    this.#allowance = allowance;
    this.#lanes = new Lanes(lanes);
  }

  /** Hears of a request. Returns at once, whatever follows from it. */
  noticed(client: Client, asked: Asked): void {
    const session = this.#sessionOf(client);
    if (session === undefined) return;
    if (asked.kind === 'page') this.#page(session, asked.project);
    else this.#file(session, asked.path);
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#lanes.settled();
  }

  /** Begins nothing any more. */
  close(): void {
    this.#lanes.close();
  }

  #sessionOf({ address, userAgent }: Client): Session | undefined {
    const now = this.#clock.monotonic();
    const key = `${address} ${userAgent}`;
    const present = this.#sessions.get(key);
    if (present !== undefined) {
      present.seen(now);
      return present;
    }
    const installer = this.#installerOf(userAgent);
    if (installer === undefined) return undefined;
    const session = new Session(installer, this.#allowance, now);
    this.#sessions.set(key, session);
    return session;
  }

  /** The same for all clients that say the same: the tags of a machine take much memory. */
  #installerOf(userAgent: string): Installer | undefined {
    const present = this.#installers.get(userAgent);
    if (present !== undefined) return present;
    const installer = parseInstaller(userAgent);
    if (installer !== undefined) this.#installers.set(userAgent, installer);
    return installer;
  }

  // ---- what was asked for ---------------------------------------------------------------------------

  #page(session: Session, name: ProjectName): void {
    session.asked(this.#ledger.asked(pageKey(name)));
    if (!this.#index.isAnyFar(name)) return;
    const project = session.follow(name);
    if (project === undefined) return;
    if (session.isAtStart) {
      const isKnown = this.#known(name) !== undefined;
      this.#index.warm(name, isKnown ? CONNECTIONS_FOR_MANY : CONNECTIONS_FOR_FEW);
    }
    project.isAsked = true;
    // Not found in the indexes up to one; who asks by name asks all.
    if (project.isMissed) project.isStarted = false;
    project.isMissed = false;
    this.#lanes.promote(session.lane(pageKey(name)));
    this.#wantPage(session, project, null, 'wanted');
  }

  #file(session: Session, path: string): void {
    this.#ledger.asked(path);
    session.asked(this.#index.heldBytes(path) ?? 0);
    for (const wheel of session.takePostponed()) this.#wantFile(session, wheel);
    const isMetadata = path.endsWith(METADATA_SUFFIX);
    const wheel = isMetadata ? path.slice(0, -METADATA_SUFFIX.length) : path;
    if (!wheel.endsWith('.whl')) return;
    const filename = wheel.slice(wheel.lastIndexOf('/') + 1);
    const names = candidateProjects(filename);
    // Whoever installs from a lock file asks for files alone and has decided everything. Who asks for core
    // metadata has not; the page may have come out of memory, without a word of it here.
    const [name] = isMetadata ? names : [];
    const project = session.find(names) ?? (name && session.follow(name));
    if (project === undefined) return;
    project.upstream = upstreamOfPath(wheel) ?? null;
    if (project.upstream === null || !this.#index.isFar(project.upstream)) return;
    this.#judged(project, session.took(project, wheel));
    this.#lanes.promote(session.lane(metadataKey(wheel)));
    this.#wantMetadata(session, project, wheel, 'wanted');
    if (isMetadata && session.installer.wantsFiles) this.#wantFile(session, wheel);
  }

  #judged(project: FollowedProject, outcome: 'hit' | 'miss' | null): void {
    if (outcome === null) return;
    this.#ledger.judged(outcome);
    if (outcome === 'hit') this.#ledger.asked(newestKey(project.name));
  }

  // ---- what follows from it -------------------------------------------------------------------------

  /** @param last the last index that may be asked, see {@link AheadIndex.page} */
  #wantPage(
    session: Session,
    project: FollowedProject,
    last: string | null,
    urgency: Urgency,
  ): void {
    if (project.isStarted) return;
    if (last !== null && !this.#index.isFar(last)) return;
    project.isStarted = true;
    const { name } = project;
    const learned = this.#known(name);
    if (learned !== undefined) {
      const work = (): Promise<void> => this.#followLearned(session, project, learned.upstream);
      this.#lanes.run(session.lane(`learned ${name}`), 'wanted', work);
      // All there is to know is known: nothing would be fetched.
      if (this.#index.isFresh(name, learned.upstream)) {
        project.upstream = learned.upstream;
        return;
      }
    } else session.guessDearly(() => this.#wantNewest(session, project, last));
    this.#lanes.run(session.lane(pageKey(name)), urgency, () =>
      this.#readPage(session, project, last),
    );
  }

  /** Asks beside the page what the newest version requires: a round trip before its core metadata can say so. */
  #wantNewest(session: Session, project: FollowedProject, last: string | null): void {
    // The page was read meanwhile, and what is guessed of it says the same.
    if (project.guess !== null || project.documents.size > 0) return;
    const key = newestKey(project.name);
    this.#lanes.run(session.lane(key), 'guessed', async () => {
      const end = this.#ledger.begin(key, 'facts', session, 0);
      let bytes = 0;
      try {
        const newest = await this.#index.newestRequires(project.name, last);
        if (newest === null) return;
        bytes = newest.bytes;
        project.upstream ??= newest.upstream;
        this.#wantRequired(session, project, newest.requires, 'guessed');
      } finally {
        end(bytes);
      }
    });
  }

  async #readPage(session: Session, project: FollowedProject, last: string | null): Promise<void> {
    const end = project.isAsked
      ? null
      : this.#ledger.begin(pageKey(project.name), 'page', session, 0);
    let fetchedBytes = 0;
    try {
      const page =
        (await this.#index.page(project.name, last)) ??
        // A client may have asked for it meanwhile, and so all indexes.
        (project.isAsked ? await this.#index.page(project.name, null) : undefined);
      if (page === undefined) {
        project.isMissed = true;
        return;
      }
      if (page.isFetched) fetchedBytes = page.sizeBytes;
      if (end === null) session.asked(page.sizeBytes);
      project.upstream = page.upstream;
      if (!this.#index.isFar(page.upstream)) return;
      const { detail, pathOf } = page.served;
      const file = await finishInSlices(newestFile(detail, session.installer, project.specifiers));
      if (file === undefined) return;
      const guess = pathOf(file);
      // Guessed in any case, so that it shows when guessing would be right again.
      this.#judged(project, session.guessed(project, guess));
      if (file.coreMetadata !== false && this.#isCheap(session, page.upstream, file))
        session.guess(() => this.#wantMetadata(session, project, guess, 'guessed'));
    } finally {
      end?.(fetchedBytes);
    }
  }

  /** An index that advertises core metadata it does not have makes it cost the wheel. */
  #isCheap(
    { largestFileBytes }: Session,
    upstream: string,
    { sizeBytes }: DistributionFile,
  ): boolean {
    return (sizeBytes ?? Infinity) <= largestFileBytes || this.#index.hasMetadata(upstream);
  }

  #wantMetadata(session: Session, project: FollowedProject, wheel: string, urgency: Urgency): void {
    const known = project.documents.get(wheel);
    if (known !== undefined) {
      if (urgency === 'wanted') void this.#learn(project.name, wheel, known);
      this.#wantRequired(session, project, known.requires, urgency);
      return;
    }
    this.#lanes.run(session.lane(metadataKey(wheel)), urgency, async () => {
      const end =
        urgency === 'guessed'
          ? this.#ledger.begin(metadataKey(wheel), 'metadata', session, 0)
          : null;
      let bytes = 0;
      try {
        const { facts, fetchedBytes } = await this.#index.metadata(wheel);
        bytes = fetchedBytes;
        const document = { version: facts.version, requires: facts.requiresDist };
        project.documents.set(wheel, document);
        // A guess says less than what some client took once.
        if (urgency === 'wanted' || this.#known(project.name) === undefined)
          await this.#learn(project.name, wheel, document);
        this.#wantRequired(session, project, document.requires, urgency);
      } finally {
        end?.(bytes);
      }
    });
  }

  #wantFile(session: Session, wheel: string): void {
    if (this.#index.heldBytes(wheel) !== undefined) return;
    this.#lanes.run(session.lane(wheel), 'wanted', async () => {
      const missing = await this.#index.missingFile(wheel);
      if (missing === null) return;
      const { source, bytes } = missing;
      const isAllowed = session.mayFetch(bytes);
      if (isAllowed === 'later') session.postpone(wheel, bytes);
      if (isAllowed !== 'now') return await source.close();
      const end = this.#ledger.begin(wheel, 'file', session, bytes);
      let fetchedBytes = 0;
      try {
        await source.keep();
        fetchedBytes = bytes;
      } finally {
        end(fetchedBytes);
      }
    });
  }

  #wantRequired(
    session: Session,
    project: FollowedProject,
    requires: readonly string[],
    urgency: Urgency,
  ): void {
    if (urgency === 'guessed' && !session.mayGuess) return;
    for (const { name, specifier, extras } of requiredHere(session, project, requires)) {
      const required = session.follow(name);
      if (required === undefined) continue;
      addSpecifier(required, specifier);
      const extrasBefore = required.extras.size;
      addExtras(required, extras);
      this.#wantPage(session, required, project.upstream, urgency);
      if (required.extras.size > extrasBefore) this.#wantPassedOver(session, required, urgency);
    }
  }

  /** Wants what new extras require, in documents that were read before; they may name further extras. */
  #wantPassedOver(session: Session, project: FollowedProject, urgency: Urgency): void {
    this.#lanes.run(session.lane(`extras ${project.name}`), urgency, async () => {
      for (let seen = -1; seen < project.extras.size;) {
        seen = project.extras.size;
        for (const { requires } of project.documents.values()) {
          await setImmediate();
          this.#wantRequired(session, project, requires, urgency);
        }
      }
    });
  }

  async #learn(project: ProjectName, wheel: string, document: ReadDocument): Promise<void> {
    const index = this.#index.identityOf(upstreamOfPath(wheel));
    if (index !== undefined) await this.#learned.learn(project, { index, ...document });
  }

  /** What was learned of the project, if it was of an index that is still the same one. */
  #known(project: ProjectName): { upstream: string; requires: readonly string[] } | undefined {
    const learned = this.#learned.find(project);
    const upstream = learned && this.#index.nameOf(learned.index);
    return upstream === undefined ? undefined : { upstream, requires: learned?.requires ?? [] };
  }

  /** Goes through all that a project came to need before, a step at a time, and wants its pages. */
  async #followLearned(session: Session, project: FollowedProject, last: string): Promise<void> {
    const learned = this.#known(project.name);
    if (learned === undefined) return;
    await setImmediate();
    for (const { name, extras } of requiredHere(session, project, learned.requires)) {
      const required = session.follow(name);
      if (required === undefined) return;
      addExtras(required, extras);
      this.#wantPage(session, required, last, 'wanted');
    }
  }
}

const newestKey = (project: ProjectName): string => `newest ${project}`;
const pageKey = (project: ProjectName): string => `page ${project}`;
const metadataKey = (wheel: string): string => `${wheel}${METADATA_SUFFIX}`;
