import { WheelcellarError } from '../core/errors.ts';
import { redact } from '../core/redact.ts';
import { runProgram } from './program.ts';
import type { ProgramResult } from './program.ts';

/** How git is run. */
export interface GitSurroundings {
  /** Folder of all work trees. */
  readonly projectsDir: string;
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly isOffline: boolean;
  /** The only ones that git may take, as its own names (`https`, `ssh`); `null` for its usual ones. */
  readonly protocols: readonly string[] | null;
  readonly signal: AbortSignal;
  /** Hears each command, and what it writes. */
  readonly onCommand: (words: string) => void;
  readonly onOutput: (text: string) => void;
}

/** A clone may be large and the line slow. */
const GIT_TIMEOUT_MS = 15 * 60_000;

/** Where git runs, and for which project. */
interface GitPlace {
  readonly cwd: string;
  readonly url: string;
}

/** Runs git without hooks and without anybody to ask; rejects never. */
export async function tryGit(
  args: readonly string[],
  { cwd }: GitPlace,
  { variables, protocols, signal, onCommand, onOutput }: GitSurroundings,
): Promise<ProgramResult> {
  onCommand(`git ${args.map((word) => shownUrl(word)).join(' ')}`);
  const allowed = protocols === null ? {} : { GIT_ALLOW_PROTOCOL: protocols.join(':') };
  return await runProgram({
    words: ['git', '-c', 'core.hooksPath=/dev/null', '-c', `safe.directory=*`, ...args],
    cwd,
    // Nobody is there to type a password.
    env: { ...variables, ...allowed, GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C.UTF-8' },
    timeoutMs: GIT_TIMEOUT_MS,
    signal,
    onOutput,
  });
}

/** Runs git like {@link tryGit}. @throws WheelcellarError with its own words when it fails */
export async function demandGit(
  args: readonly string[],
  place: GitPlace,
  git: GitSurroundings,
): Promise<ProgramResult> {
  const result = await tryGit(args, place, git);
  if (result.code === 0) return result;
  git.signal.throwIfAborted();
  const reason = withoutPasswords(result.stderr.trim() || `exit status ${result.code}`);
  throw new WheelcellarError(
    `git ${args[0]} failed for ${shownUrl(place.url)}: ${reason.replace(/\s*\n\s*/g, ' ')}`,
  );
}

/** A project as it may be shown: without user and password. */
export function shownUrl(url: string): string {
  return url.includes('://') ? redact(url).replace(/\/$/, '') : url;
}

function withoutPasswords(text: string): string {
  return text.replace(/([a-z]+:\/\/)[^/@\s'"]*@/gi, '$1');
}
