import { describe, expect, it } from 'vitest';
import { exitStatusOf, reportError } from '../../../src/cli/exit-status.ts';
import {
  BusyError,
  ConfigurationError,
  IntegrityError,
  InvalidUpstreamAnswerError,
  NotFoundError,
  NotHeldOfflineError,
  RefusedError,
  StorageError,
  UpstreamUnavailableError,
  UpstreamUnreachableError,
} from '../../../src/core/errors.ts';

function reported(thrown: unknown, showStack: boolean): string {
  const texts: string[] = [];
  reportError(thrown, { write: (text) => texts.push(text) }, showStack);
  return texts.join('');
}

describe('the exit status', () => {
  it.each([
    [new StorageError('disk full'), 1],
    [new TypeError('defect'), 1],
    ['a text', 1],
    [new ConfigurationError(['x']), 2],
    [new RefusedError('x'), 3],
    [new NotFoundError('x'), 3],
    [new NotHeldOfflineError('x'), 4],
    [new UpstreamUnavailableError('x'), 4],
    [new UpstreamUnreachableError('x'), 4],
    [new IntegrityError('x'), 5],
    [new InvalidUpstreamAnswerError('x'), 5],
    [new BusyError('x'), 6],
  ])('of %s is %d', (thrown, status) => {
    expect(exitStatusOf(thrown)).toBe(status);
  });
});

describe('an error report', () => {
  it('is the message and the hint', () => {
    const error = new BusyError('The cache is locked.', { hint: 'Stop the other server.' });
    expect(reported(error, false)).toBe(
      'wheelcellar: The cache is locked.\n  Stop the other server.\n',
    );
    expect(reported(new RefusedError('No.'), false)).toBe('wheelcellar: No.\n');
  });

  it('has a line for each problem of the configuration', () => {
    expect(reported(new ConfigurationError(['a: x', 'b: y']), false)).toBe(
      'wheelcellar: a: x\nwheelcellar: b: y\n',
    );
  });

  it('has stacks, those of the causes too, only on request', () => {
    const error = new StorageError('Cannot write.', { cause: new Error('ENOSPC') });
    expect(reported(error, false)).not.toContain('    at ');
    expect(reported(error, true)).toMatch(
      /Cannot write\.[^]*\n {4}at [^]*caused by Error: ENOSPC\n {4}at /,
    );
  });

  it('says how to see more of an error that is not ours', () => {
    expect(reported(new TypeError('x is not a function'), false)).toBe(
      'wheelcellar: x is not a function\n  WHEELCELLAR_LOG_LEVEL=debug shows where this comes from.\n',
    );
  });
});
