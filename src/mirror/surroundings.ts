import type { Repository } from '../repository/repository.ts';
import type { Store } from '../store/store.ts';
import type { MirrorTarget } from './closure-files.ts';
import type { LedgerPin } from './ledger.ts';
import type { Sandbox } from './sandbox.ts';
import type { Builder } from './wheel-build.ts';

/** A mirror at work in this process: the index that resolvers and builds ask. */
export interface IndexAtWork {
  readonly repository: Repository;
  readonly store: Store;
  /** `http://127.0.0.1:<port>/simple/`. */
  readonly indexUrl: string;
  /** The same server's Unix socket. */
  readonly socketPath: string;
  /** Runs `work`; the mirror paths of the files that were asked for meanwhile. */
  watch<T>(
    work: () => Promise<T>,
  ): Promise<{ readonly result: T; readonly paths: readonly string[] }>;
}

/** A question for a resolver. */
export interface ResolveQuestion {
  readonly requirements: readonly string[];
  readonly constraints: readonly string[];
  readonly target: MirrorTarget;
  /** Where sdists may be built to learn what they need; `null`: wheels alone. */
  readonly sandbox: Sandbox | null;
}

/** What a run is asked to do, in the words of the command line. */
export interface RunOptions {
  /** The only ref; `null` for all branches. */
  readonly branch: string | null;
  /** Requirement files instead of the usual ones, relative to the work tree. */
  readonly requirementFiles: readonly string[];
  readonly withPip: boolean;
  readonly withDownload: boolean;
  readonly withProcess: boolean;
  readonly withUpdate: boolean;
  /** Where `pip freeze` of a branch goes, with `{project}` and `{branch}`; absolute. */
  readonly exportFile: string | null;
  readonly isOffline: boolean;
  /** How long to wait for another run. */
  readonly lockWaitMs: number;
  readonly buildTimeoutMs: number;
}

/** What a run needs of the program around it. */
export interface RunSurroundings {
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly index: IndexAtWork;
  readonly targets: readonly MirrorTarget[];
  /** Exact versions. @throws WheelcellarError with the resolver's own words */
  readonly resolve: (question: ResolveQuestion) => Promise<readonly LedgerPin[]>;
  readonly builder: Builder;
  /** Made when it is needed first. @throws RefusedError, ConfigurationError */
  readonly openSandbox: () => Promise<Sandbox>;
  readonly signal: AbortSignal;
  /** Hears what is done, for those who asked. */
  readonly say: (text: string) => void;
  /** Hears what programs write, for those who asked. */
  readonly pass: (text: string) => void;
  /** Hears of failures at once. */
  readonly warn: (text: string) => void;
}
