/** A short torture; `npm run test:torture` takes as many kills as it is told. */
import { expect, it } from 'vitest';
import { findingsOf, runTorture } from '../torture/run-torture.ts';

/** Three servers die about a hundred times in that time, on two cores. */
const TORTURE = { kills: 100, seconds: 110, servers: 3 };

it('a hundred kills lose nothing and serve nothing wrong, while a naive mirror fails', async () => {
  const report = await runTorture(TORTURE);
  expect(findingsOf(report), JSON.stringify(report, null, 2)).toEqual([]);
  // Slow machines come to fewer.
  expect(report.kills).toBeGreaterThanOrEqual(20);
  expect(report.control.corrupt).toBeGreaterThan(0);
}, 240_000);
