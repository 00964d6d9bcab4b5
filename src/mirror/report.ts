import type { LedgerPin } from './ledger.ts';
import type { WrittenIndex } from './index-tree.ts';
import type { LeftOut } from './requirement-set.ts';
import type { SandboxNetwork } from './sandbox.ts';

/** How one branch went. */
export interface BranchReport {
  /** The URL of the project, without secrets; of requirements that belong to none the name of the mirror. */
  readonly source: string;
  /** `origin/main`; empty where there are no branches. */
  readonly branch: string;
  /** `none`: there were no requirements. */
  readonly outcome: 'mirrored' | 'failed' | 'none';
  /** Why it failed; `null` otherwise. */
  readonly reason: string | null;
  readonly pins: readonly LedgerPin[];
  readonly leftOut: readonly LeftOut[];
  /** Names of files that came from an index just now. */
  readonly fetched: readonly string[];
  /** Names of wheels, and of sdists of commits, that were built just now. */
  readonly built: readonly string[];
}

/** How one mirror went. */
export interface MirrorReport {
  readonly name: string;
  readonly output: string;
  /** Whether the output is the cache folder's own mirror. */
  readonly isLive: boolean;
  readonly branches: readonly BranchReport[];
  /** What was written; empty when that was not wanted. */
  readonly indexes: readonly WrittenIndex[];
  /** What a person should look at, as sentences. */
  readonly problems: readonly string[];
  /** What builds could reach; `null` when nothing was built. */
  readonly buildNetwork: SandboxNetwork | null;
}

/** Whether anything failed. */
export function hasFailures(mirrors: readonly MirrorReport[]): boolean {
  return mirrors.some(
    ({ branches, problems }) =>
      problems.length > 0 || branches.some(({ outcome }) => outcome === 'failed'),
  );
}
