import { describe, expect, it } from 'vitest';
import { RoundTrips } from '../../../src/upstream/round-trips.ts';

function after(...latestMs: readonly number[]): number | null {
  const trips = new RoundTrips();
  for (const ms of latestMs) trips.note(ms);
  return trips.typicalMs;
}

describe('the distance of a host', () => {
  it('is unknown before the first answer, and then what that took', () => {
    expect(after()).toBeNull();
    expect(after(50)).toBe(50);
  });

  it('is the lower quartile of the answers, whatever their order', () => {
    expect(after(40, 30, 20, 10)).toBe(20);
    expect(after(1, 2, 3, 4, 5, 6, 7, 8)).toBe(3);
    expect(after(8, 1, 7, 2, 6, 3, 5, 4)).toBe(3);
  });

  it('is compared as numbers', () => {
    expect(after(9, 10, 100, 1_000)).toBe(10);
  });

  it('does not grow because most answers were slow for a while', () => {
    expect(after(...Array<number>(11).fill(900), ...Array<number>(5).fill(20))).toBe(20);
  });

  it('goes by the latest sixteen answers', () => {
    const far = Array<number>(16).fill(80);
    expect(after(...Array<number>(100).fill(2), ...far)).toBe(80);
    expect(after(...far, ...Array<number>(4).fill(2))).toBe(80);
    expect(after(...far, ...Array<number>(5).fill(2))).toBe(2);
    expect(after(...Array<number>(16).fill(2), ...far.slice(0, 12))).toBe(80);
  });
});
