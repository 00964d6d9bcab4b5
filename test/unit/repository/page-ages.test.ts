import { describe, expect, it } from 'vitest';
import type { ProjectName } from '../../../src/packaging/names.ts';
import { PageAges } from '../../../src/repository/page-ages.ts';
import { ShiftedClock } from '../../support/shifted-clock.ts';

const HOUR = 3_600_000;
const PROJECT = 'demo' as ProjectName;

describe('the age of a page', () => {
  it('grows with time, also before the first look', () => {
    const clock = new ShiftedClock();
    const ages = new PageAges(clock);
    const checkedAt = clock.now() - HOUR;
    expect(ages.ageMs({ project: PROJECT, checkedAt })).toBeGreaterThanOrEqual(HOUR);
    clock.advance(HOUR);
    expect(ages.ageMs({ project: PROJECT, checkedAt })).toBeGreaterThanOrEqual(2 * HOUR);
  });

  it.each([-HOUR, -10 * 365 * 24 * HOUR])('never falls when the clock jumps by %d ms', (jumpMs) => {
    const clock = new ShiftedClock();
    const ages = new PageAges(clock);
    const checkedAt = clock.now();
    clock.advance(2 * HOUR);
    const before = ages.ageMs({ project: PROJECT, checkedAt });
    clock.jump(jumpMs);
    expect(ages.ageMs({ project: PROJECT, checkedAt })).toBeGreaterThanOrEqual(before);
  });

  it('begins anew with a confirmation, and is unknown of one in the future', () => {
    const clock = new ShiftedClock();
    const ages = new PageAges(clock);
    ages.ageMs({ project: PROJECT, checkedAt: clock.now() - HOUR });
    clock.jump(-10 * HOUR);
    expect(ages.ageMs({ project: PROJECT, checkedAt: clock.now() })).toBeLessThan(1_000);
    expect(ages.ageMs({ project: PROJECT, checkedAt: clock.now() + HOUR })).toBe(Infinity);
  });
});
