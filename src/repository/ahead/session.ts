import type { Installer } from '../../packaging/installer.ts';
import type { ProjectName } from '../../packaging/names.ts';

/** What is fetched ahead and not asked for never exceeds this share of what was asked for, beyond the credit. */
const SHARE = 0.5;

/** Projects that are followed in one run of an installer. */
const MOST_PROJECTS = 300;

/** A client that asks for nothing for so long has finished; its next request begins another run. */
const RUN_ENDS_AFTER_MS = 30_000;

/** What asking ahead may cost; bytes. */
export interface Allowance {
  /** What may be fetched in vain before a client has asked for anything. */
  readonly creditBytes: number;
  /** Larger files are only fetched when somebody asks for them. */
  readonly largestFileBytes: number;
}

/** Files that wait until the client has asked for more. */
const MOST_POSTPONED = 300;

/** Guesses that are tried before it shows whether they are any good. */
const PROBES = 3;

/** What core metadata says. */
export interface ReadDocument {
  readonly version: string;
  /** `Requires-Dist`. */
  readonly requires: readonly string[];
}

/** One project, as far as one run of an installer has come to it. */
export interface FollowedProject {
  readonly name: ProjectName;
  /** The client itself has asked for its page. */
  isAsked: boolean;
  /** Its page is being fetched ahead, or was. */
  isStarted: boolean;
  /** None of the indexes that were asked has it. */
  isMissed: boolean;
  /** Whose page it is on; `null` while nobody knows. */
  upstream: string | null;
  /** Specifiers of those that require it. */
  readonly specifiers: Set<string>;
  /** Extras that a requirement names. */
  readonly extras: Set<string>;
  /** Mirror path of the file that an installer would take if it took the newest that fits. */
  guess: string | null;
  /** Mirror path of the file that the client looked at first. */
  taken: string | null;
  /** `Requires-Dist` by mirror path, of the files whose core metadata was read. */
  readonly documents: Map<string, ReadDocument>;
}

let sessions = 0;

/**
 * What one client (an address and a User-Agent) is about: the projects of its present run, how well it
 * was guessed, and what it may still cost. Knows nothing of where things come from.
 */
export class Session {
  readonly installer: Installer;
  readonly #allowance: Allowance;
  readonly #number = ++sessions;
  readonly #projects = new Map<ProjectName, FollowedProject>();
  #seenAt: number;
  #askedBytes = 0;
  #unaskedBytes = 0;
  #hits = 0;
  #misses = 0;
  #probes = 0;
  /** Guesses that wait for the first one to turn out right. */
  #waiting: (() => void)[] = [];
  /** Bytes by path. */
  readonly #postponed = new Map<string, number>();

  /** @param now monotonic milliseconds */
  constructor(installer: Installer, allowance: Allowance, now: number) {
    this.installer = installer;
    this.#allowance = allowance;
    this.#seenAt = now;
  }

  /** See {@link Allowance}. */
  get largestFileBytes(): number {
    return this.#allowance.largestFileBytes;
  }

  /** The name of some work for this client alone. */
  lane(key: string): string {
    return `${this.#number} ${key}`;
  }

  /** The client was heard of; after a pause its next run begins. */
  seen(now: number): void {
    if (now - this.#seenAt > RUN_ENDS_AFTER_MS) {
      this.#projects.clear();
      this.#waiting = [];
      this.#postponed.clear();
      this.#probes = 0;
    }
    this.#seenAt = now;
  }

  /** The project in this run; `undefined` when there are too many already. */
  follow(name: ProjectName): FollowedProject | undefined {
    const present = this.#projects.get(name);
    if (present !== undefined || this.#projects.size >= MOST_PROJECTS) return present;
    const project: FollowedProject = {
      name,
      isAsked: false,
      isStarted: false,
      isMissed: false,
      upstream: null,
      specifiers: new Set(),
      extras: new Set(),
      guess: null,
      taken: null,
      documents: new Map(),
    };
    this.#projects.set(name, project);
    return project;
  }

  /** Whether this run has come to one project only. */
  get isAtStart(): boolean {
    return this.#projects.size === 1;
  }

  /** The first of these projects that this run has come to. */
  find(names: readonly ProjectName[]): FollowedProject | undefined {
    for (const name of names) {
      const project = this.#projects.get(name);
      if (project !== undefined) return project;
    }
    return undefined;
  }

  /** The client has looked at a file of the project; the first one counts. Tells how the guess turned out. */
  took(project: FollowedProject, path: string): 'hit' | 'miss' | null {
    if (project.taken !== null) return null;
    project.taken = path;
    return this.#judge(project);
  }

  /** The file that is guessed; the first guess counts. Tells how it turned out, if that is known already. */
  guessed(project: FollowedProject, path: string): 'hit' | 'miss' | null {
    if (project.guess !== null) return null;
    project.guess = path;
    return this.#judge(project);
  }

  #covers(bytes: number): boolean {
    const covered = this.#allowance.creditBytes + this.#askedBytes * SHARE;
    return this.#unaskedBytes + bytes <= covered;
  }

  #judge({ guess, taken }: FollowedProject): 'hit' | 'miss' | null {
    if (guess === null || taken === null) return null;
    const isHit = guess === taken;
    if (isHit) this.#hits++;
    else this.#misses++;
    const waiting = this.#waiting;
    this.#waiting = [];
    if (this.mayGuess) for (const work of waiting) work();
    return isHit ? 'hit' : 'miss';
  }

  /**
   * Does work that rests on a guess: at once when guesses were right so far, never when they were not; while
   * that is open, a few are tried and the others wait.
   */
  guess(work: () => void): void {
    if (!this.mayGuess) return;
    if (this.#hits > 0 || this.#probes < PROBES) {
      this.#probes++;
      work();
    } else this.#waiting.push(work);
  }

  /** As {@link guess}, for what costs more: nothing of it is tried before a guess was right. */
  guessDearly(work: () => void): void {
    if (!this.mayGuess) return;
    if (this.#hits > 0) work();
    else this.#waiting.push(work);
  }

  /** Whether guesses are worth fetching: none was wrong, or more than three of four were right. */
  get mayGuess(): boolean {
    return this.#misses === 0 || this.#hits > 3 * this.#misses;
  }

  /**
   * Whether a file of so many bytes may be fetched before the client has asked for it: `later`, when the client has
   * asked for more of what was fetched.
   */
  mayFetch(bytes: number): 'now' | 'later' | 'never' {
    if (bytes > this.#allowance.largestFileBytes) return 'never';
    return this.#covers(bytes) ? 'now' : 'later';
  }

  /** Keeps a file of so many bytes for later. */
  postpone(path: string, bytes: number): void {
    if (this.#postponed.size < MOST_POSTPONED) this.#postponed.set(path, bytes);
  }

  /** The files kept for later that may be fetched now, the first ones first. They are kept no more. */
  takePostponed(): string[] {
    const taken: string[] = [];
    let bytes = 0;
    for (const [path, more] of this.#postponed) {
      bytes += more;
      if (!this.#covers(bytes)) break;
      this.#postponed.delete(path);
      taken.push(path);
    }
    return taken;
  }

  /** The client has asked for something of so many bytes. */
  asked(bytes: number): void {
    this.#askedBytes += bytes;
  }

  /** So many bytes were fetched (negative: were asked for after all) ahead of the client. */
  fetched(bytes: number): void {
    this.#unaskedBytes += bytes;
  }
}
