import { main } from '../../src/cli/main.ts';
import type { Io } from '../../src/cli/verb.ts';

/** What a verb left behind. */
export interface VerbResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where a verb works. */
export interface VerbStage {
  readonly cacheDir: string;
  /** The index in place of the official one, which no test may reach. */
  readonly indexUrl: string;
}

/** Verbs that take `--index-url`. */
const ASKING: ReadonlySet<string> = new Set([
  'bundle',
  'explain',
  'prefetch',
  'prove',
  'refresh',
  'verify',
]);

/** Runs one verb in this process, as on a command line without a terminal. */
export async function runVerb(stage: VerbStage, ...argv: readonly string[]): Promise<VerbResult> {
  const out: string[] = [];
  const err: string[] = [];
  const io: Io = {
    env: { WHEELCELLAR_LOG_LEVEL: 'error', PATH: process.env['PATH'] },
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    isTty: false,
    homeDir: '/nonexistent',
    cwd: '/',
    onSignal: () => () => {},
  };
  const [verb = '', ...rest] = argv;
  const index = ASKING.has(verb) ? ['--index-url', stage.indexUrl] : [];
  const code = await main([verb, ...rest, ...index, '--cache-dir', stage.cacheDir], io);
  return { code, stdout: out.join(''), stderr: err.join('') };
}

/** The document that a verb prints with `--json`. */
export async function runJson<T>(stage: VerbStage, ...argv: readonly string[]): Promise<T> {
  const { stdout, stderr } = await runVerb(stage, ...argv, '--json');
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as T;
}
