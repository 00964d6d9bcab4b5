import { WheelcellarError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { ProjectName } from '../packaging/names.ts';

/** What is to be resolved. */
export interface ResolveRequest {
  /** Lines of a requirements file: PEP 508 requirements, and options that the tool knows. */
  readonly requirements: readonly string[];
  /** Lines of a constraints file. */
  readonly constraints?: readonly string[];
  /** `3.11`, `3.11.7`; or the path of an interpreter, whose own version then counts. */
  readonly python: string;
  /** A platform tag such as `manylinux_2_28_x86_64`, or one of uv's names; `null` is this machine. */
  readonly platform: string | null;
  /** In the order of preference; the first is the default index. No other is asked. */
  readonly indexUrls: readonly string[];
  /** Wheels only: no sdist is chosen, and none is built to learn its metadata. */
  readonly onlyBinary?: boolean;
  /** Whether pre-releases may be chosen freely. */
  readonly prereleases?: boolean;
  /** The requirements alone, without theirs. */
  readonly withoutDependencies?: boolean;
  /** Nothing but this machine can be reached: URLs and repositories in requirements fail. */
  readonly isCutOff?: boolean;
  /** The tool is killed after this long; five minutes by default. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly log?: Logger;
}

/** One exact version. */
export interface Pin {
  readonly name: ProjectName;
  readonly version: string;
}

/** A requirement by URL, path or repository, which no index answers for. */
export interface DirectReference {
  readonly name: ProjectName;
  readonly url: string;
}

/** What a resolver has found. */
export interface Resolution {
  /** By name. */
  readonly pins: readonly Pin[];
  readonly direct: readonly DirectReference[];
  /** `uv 0.13.9` or `pip 26.3`. */
  readonly tool: string;
}

/** The resolver found no set of versions, or could not look for one; its own words are the message. */
export class UnresolvableError extends WheelcellarError {
  /** What the tool wrote. */
  readonly words: string;

  constructor(tool: string, words: string) {
    super(`${tool} found no versions that fit: ${words.trim()}`);
    this.words = words;
  }
}

/** What a tool works with, all of it throw-away. */
export interface Workplace {
  readonly folder: string;
  /** The requirements as a file. */
  readonly requirementsFile: string;
  /** The constraints as a file; `null` without any. */
  readonly constraintsFile: string | null;
  readonly env: Readonly<Record<string, string>>;
}
