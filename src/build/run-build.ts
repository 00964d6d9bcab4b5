import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { ConfigurationError, WheelcellarError, codeOf } from '../core/errors.ts';

/** A program that builds something, and where its words go. */
export interface BuildCommand {
  /** Program and arguments; never read by a shell. */
  readonly words: readonly string[];
  readonly cwd: string;
  /** The whole environment of the program. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Standard output goes to standard error too, so that ours is for data alone. */
  readonly isQuietOnStdout: boolean;
}

/** A build under way. */
export interface RunningBuild {
  /**
   * The exit status, `128 + n` when signal n ended it, as a shell has it.
   *
   * @throws ConfigurationError when there is no such program
   */
  readonly ended: Promise<number>;
  /** Passes a signal on. */
  readonly signal: (name: NodeJS.Signals) => void;
}

/** Starts a build that has this terminal for itself: its input and output are ours. */
export function startBuild(command: BuildCommand): RunningBuild {
  const [program = '', ...args] = command.words;
  const child = spawn(program, args, {
    cwd: command.cwd,
    env: { ...command.env },
    stdio: ['inherit', command.isQuietOnStdout ? 2 : 'inherit', 'inherit'],
  });
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', (error) => reject(startFailure(program, error)));
    child.once('close', (code, signal) =>
      resolve(code ?? 128 + constants.signals[signal ?? 'SIGKILL']),
    );
  });
  return { ended, signal: (name) => void child.kill(name) };
}

function startFailure(program: string, error: Error): WheelcellarError {
  const code = codeOf(error);
  if (code === 'ENOENT' || code === 'EACCES') {
    return new ConfigurationError([`Cannot run ${program}: ${code}.`], {
      cause: error,
      hint: 'disk-image-create comes with:  pip install diskimage-builder',
    });
  }
  return new WheelcellarError(`Cannot run ${program}: ${error.message}.`, { cause: error });
}
