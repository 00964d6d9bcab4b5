import {
  BusyError,
  ConfigurationError,
  IntegrityError,
  InvalidUpstreamAnswerError,
  messageOf,
  NotFoundError,
  NotHeldOfflineError,
  RefusedError,
  UpstreamUnavailableError,
  WheelcellarError,
} from '../core/errors.ts';
import type { TextSink } from './verb.ts';

/** What each exit status means. This file is the only translation of errors into them. */
export const EXIT = {
  ok: 0,
  failed: 1,
  /** The command line, the environment or the configuration is wrong. */
  usage: 2,
  /** A rule refuses it, or nobody knows it. */
  refused: 3,
  /** Not held and not to be had: offline, or the upstream fails. */
  unavailable: 4,
  /** Bytes or answers that cannot be trusted. */
  integrity: 5,
  /** Another process holds what is needed. */
  busy: 6,
  buildFailed: 7,
} as const;

/** The exit status of a verb that ended with this error. */
export function exitStatusOf(thrown: unknown): number {
  if (thrown instanceof ConfigurationError) return EXIT.usage;
  if (thrown instanceof RefusedError || thrown instanceof NotFoundError) return EXIT.refused;
  if (thrown instanceof NotHeldOfflineError) return EXIT.unavailable;
  if (thrown instanceof UpstreamUnavailableError) return EXIT.unavailable;
  if (thrown instanceof IntegrityError) return EXIT.integrity;
  if (thrown instanceof InvalidUpstreamAnswerError) return EXIT.integrity;
  return thrown instanceof BusyError ? EXIT.busy : EXIT.failed;
}

/**
 * Tells a person what went wrong, each problem on its line and the hint below; the stack (and those
 * of the causes) only on request.
 */
export function reportError(thrown: unknown, stderr: TextSink, showStack: boolean): void {
  const problems = thrown instanceof ConfigurationError ? thrown.problems : [messageOf(thrown)];
  for (const problem of problems) stderr.write(`wheelcellar: ${problem}\n`);
  const hint = hintOf(thrown, showStack);
  if (hint !== undefined) stderr.write(`  ${hint}\n`);
  if (showStack) stderr.write(`${stacksOf(thrown)}\n`);
}

/** An error that is not ours says little by itself. */
function hintOf(thrown: unknown, showStack: boolean): string | undefined {
  if (thrown instanceof WheelcellarError) return thrown.hint;
  return showStack ? undefined : 'WHEELCELLAR_LOG_LEVEL=debug shows where this comes from.';
}

function stacksOf(thrown: unknown): string {
  const stacks: string[] = [];
  for (let error = thrown; error instanceof Error && stacks.length < 5; error = error.cause) {
    stacks.push(error.stack ?? error.message);
  }
  return stacks.join('\ncaused by ');
}
