import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  InvalidUpstreamAnswerError,
  UpstreamUnavailableError,
  UpstreamUnreachableError,
} from '../../../src/core/errors.ts';
import {
  ConnectBreaker,
  DEFAULT_REACHABILITY_TIMINGS,
} from '../../../src/upstream/reachability.ts';
import type { BreakerOptions } from '../../../src/upstream/reachability.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const refused = (): Promise<never> => Promise.reject(new UpstreamUnreachableError('refused'));
const answered = (): Promise<string> => Promise.resolve('answer');

let clock: ManualClock;
let probe: () => Promise<void>;
let probes: number;
let switches: string[];
let breaker: ConnectBreaker;

function open(options: Partial<BreakerOptions> = {}): void {
  breaker = new ConnectBreaker({
    label: 'index.example',
    clock,
    probe: () => {
      probes++;
      return probe();
    },
    triesByItself: false,
    timings: DEFAULT_REACHABILITY_TIMINGS,
    ...options,
  });
  breaker.onSwitch((state) => switches.push(state));
}

beforeEach(() => {
  clock = new ManualClock();
  probe = refused;
  probes = 0;
  switches = [];
  open();
});
afterEach(() => breaker.close());

/** Runs a call and tells how it ended. */
async function outcome(work: () => Promise<unknown>): Promise<string> {
  try {
    await breaker.guard(work);
    return 'answered';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('ConnectBreaker', () => {
  it('is cut off after two failures to connect that lie 5 s apart', async () => {
    await outcome(refused);
    clock.advance(4_999);
    await outcome(answered);
    expect([probes, breaker.state]).toEqual([1, 'up']);
    clock.advance(1_000);
    await outcome(answered);
    expect([probes, breaker.state]).toEqual([2, 'cut-off']);
    expect(breaker.since).toBe(clock.now());
    expect(switches).toEqual(['cut-off']);
  });

  it('is not cut off by many failures at once', async () => {
    await Promise.all(Array.from({ length: 20 }, () => outcome(refused)));
    clock.advance(500);
    await outcome(refused);
    expect(breaker.state).toBe('up');
  });

  it('begins anew after a success between two failures', async () => {
    await outcome(refused);
    clock.advance(3_000);
    probe = () => Promise.resolve();
    expect(await outcome(answered)).toBe('answered');
    clock.advance(3_000);
    await outcome(refused);
    expect(breaker.state).toBe('up');
    expect(switches).toEqual([]);
  });

  it('fails at once, without trying, within a second of a failure', async () => {
    await outcome(refused);
    clock.advance(999);
    expect(await outcome(answered)).toContain('tried again soon');
    expect(probes).toBe(0);
  });

  it('lets one caller at a time find out, who does not wait long', async () => {
    open({ timings: { ...DEFAULT_REACHABILITY_TIMINGS, probeWaitMs: 10 } });
    await outcome(refused);
    clock.advance(1_000);
    let connected: () => void = () => {};
    probe = () => new Promise((resolve) => (connected = resolve));
    const outcomes = await Promise.all([1, 2, 3].map(() => outcome(answered)));
    expect(outcomes.every((text) => text.includes('tried again soon'))).toBe(true);
    expect(probes).toBe(1);
    connected();
    await new Promise((resolve) => setImmediate(resolve));
    expect(await outcome(answered)).toBe('answered');
  });

  it('ends with the first success', async () => {
    await outcome(refused);
    clock.advance(6_000);
    await outcome(answered);
    expect(breaker.state).toBe('cut-off');
    clock.advance(1_000);
    probe = () => Promise.resolve();
    expect(await outcome(answered)).toBe('answered');
    expect(breaker.state).toBe('up');
    expect(switches).toEqual(['cut-off', 'up']);
  });

  it.each([
    ['errors', new UpstreamUnavailableError('503')],
    ['invalid answers', new InvalidUpstreamAnswerError('TLS')],
  ])('never counts %s', async (_what, error) => {
    for (let round = 0; round < 5; round++) {
      await outcome(() => Promise.reject(error));
      clock.advance(10_000);
    }
    expect([breaker.state, breaker.isOpen]).toEqual(['up', false]);
  });

  it('takes a host that answers the attempt with nonsense for present', async () => {
    await outcome(refused);
    clock.advance(1_000);
    probe = () => Promise.reject(new InvalidUpstreamAnswerError('TLS'));
    expect(await outcome(answered)).toBe('answered');
  });

  it('finds out by itself, in both directions', async () => {
    let now = 0;
    const timings = { cutOffAfterMs: 30, probeAfterMs: 5, probeWaitMs: 5, longestPauseMs: 30 };
    const started = performance.now();
    const real = { now: () => now++, monotonic: () => performance.now() - started };
    open({ triesByItself: true, timings, clock: real });
    const switched = (): Promise<string> =>
      new Promise((resolve) => {
        const stop = breaker.onSwitch((state) => {
          stop();
          resolve(state);
        });
      });
    await outcome(refused);
    expect(await switched()).toBe('cut-off');
    probe = () => Promise.resolve();
    expect(await switched()).toBe('up');
    expect(breaker.isOpen).toBe(false);
  });
});
