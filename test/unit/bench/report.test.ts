import { describe, expect, it } from 'vitest';
import { betweenMarkers, formatted, groupTable } from '../../../bench/report/markdown.ts';
import type { Cell, Row, Target } from '../../../bench/report/result.ts';
import { topFunctions } from '../../../bench/report/self-times.ts';
import { median, quantile, summarize } from '../../../bench/report/statistics.ts';
import { ratioTo, verdictsOf } from '../../../bench/report/verdicts.ts';

const cell = (...values: number[]): Cell => ({ values, cpuMicros: [] });

function row(cells: Row['cells'], targets: readonly Target[] = [], id = 'one'): Row {
  return { id, group: 'pages', work: `work ${id}`, unit: 'req/s', cells, targets };
}

const outcomesOf = (target: Target, cells: Row['cells']): string[] => {
  const judged = row(cells, [target]);
  return verdictsOf(judged, [judged]).map(({ outcome }) => outcome);
};

describe('the statistics of the benchmark', () => {
  it('take the middle of an odd number of values, and the mean of the two in the middle', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([10, 2, 1, 4])).toBe(3);
    expect(() => median([])).toThrow(RangeError);
  });

  it('say how far the rounds lie apart', () => {
    expect(summarize([3, 1, 8])).toEqual({ median: 3, least: 1, most: 8 });
  });

  it('find the value that a share of all lie below', () => {
    const hundred = Array.from({ length: 100 }, (_, at) => 100 - at);
    expect(quantile(hundred, 0.99)).toBe(100);
    expect(quantile(hundred, 0.5)).toBe(51);
    expect(quantile([1, 2, 3], 0.5)).toBe(2);
    expect(quantile([], 0.5)).toBeNaN();
  });
});

describe('a target of the benchmark', () => {
  const faster: Target = { form: 'times', of: 'raw node', bound: 'at least', value: 0.9 };

  it('is met or missed by the ratio of medians', () => {
    expect(outcomesOf(faster, { ours: cell(80, 90, 500), 'raw node': cell(100) })).toEqual(['met']);
    expect(outcomesOf(faster, { ours: cell(80, 89, 500), 'raw node': cell(100) })).toEqual([
      'missed',
    ]);
  });

  it('is not judged when the other did not take part, or failed', () => {
    expect(outcomesOf(faster, { ours: cell(1) })).toEqual(['unknown']);
    expect(outcomesOf(faster, { ours: cell(1), 'raw node': { missing: 'no gzip' } })).toEqual([
      'unknown',
    ]);
    expect(outcomesOf(faster, { 'raw node': cell(1) })).toEqual(['unknown']);
  });

  it('can be a difference, or a bound on our own value', () => {
    const soon: Target = { form: 'plus', of: 'direct', bound: 'at most', value: 4 };
    expect(outcomesOf(soon, { ours: cell(5), direct: cell(1) })).toEqual(['met']);
    expect(outcomesOf(soon, { ours: cell(6), direct: cell(1) })).toEqual(['missed']);
    expect(outcomesOf({ form: 'is', bound: 'at most', value: 1 }, { ours: cell(1) })).toEqual([
      'met',
    ]);
  });

  it('can look at another row', () => {
    const full = row({ ours: cell(100) }, [], 'full');
    const short = row({ ours: cell(99) }, [
      { form: 'times', row: 'full', bound: 'at least', value: 1 },
    ]);
    expect(verdictsOf(short, [full, short])).toMatchObject([{ measured: 0.99, outcome: 'missed' }]);
  });
});

describe('the table of the benchmark', () => {
  it('has a column for each that took part, ratios, and a verdict', () => {
    const measured = row(
      {
        'raw node': cell(20_000),
        ours: { values: [18_000, 19_000, 21_000], cpuMicros: [17.25] },
        devpi: { missing: 'lists 0 |\nof 10 files' },
      },
      [{ form: 'times', of: 'raw node', bound: 'at least', value: 0.9 }],
    );
    expect(groupTable([measured], [measured]).split('\n')).toEqual([
      '| work | unit | ours | raw node | devpi | ÷ raw node | target |',
      '| --- | ---: | ---: | ---: | ---: | ---: | --- |',
      '| work one | req/s | 19.0k (18.0k–21.0k), 17.3 µs | 20.0k | – (lists 0 \\| of 10 files) | 0.95 | ≥ 0.9 × raw node: 0.95, met |',
    ]);
    expect(ratioTo(measured, 'devpi')).toBeNull();
  });

  it('shows three digits that matter', () => {
    expect([0, 20, 0.123, 9.876, 98.76, 987.6, 9_876, 98_765, 987_654].map(formatted)).toEqual([
      '0',
      '20',
      '0.12',
      '9.88',
      '98.8',
      '988',
      '9876',
      '98.8k',
      '988k',
    ]);
  });

  it('replaces what lies between its markers, and nothing else', () => {
    const text = 'before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n';
    expect(betweenMarkers(text, 'new\n')).toBe(
      'before\n<!-- bench: begin -->\n\nnew\n\n<!-- bench: end -->\nafter\n',
    );
    expect(() => betweenMarkers('no markers', 'new')).toThrow('<!-- bench: begin -->');
    expect(() => betweenMarkers(text + text, 'new')).toThrow('once each');
  });
});

describe('the profile of the benchmark', () => {
  it('adds up self times by function, without what was idle', () => {
    const frame = (functionName: string, lineNumber: number): object => ({
      functionName,
      lineNumber,
      url: functionName === '(idle)' ? '' : 'file:///a.js',
    });
    const profile = {
      nodes: [
        { id: 1, callFrame: frame('(idle)', -1) },
        { id: 2, callFrame: frame('read', 6) },
        { id: 3, callFrame: frame('read', 6) },
        { id: 4, callFrame: frame('', 9) },
      ],
      samples: [1, 2, 3, 4, 1],
      timeDeltas: [500, 10, 20, 10, 500],
    } as Parameters<typeof topFunctions>[0];
    expect(topFunctions(profile, 1)).toEqual([
      { name: 'read', place: 'file:///a.js:7', share: 0.75 },
    ]);
    expect(topFunctions(profile, 9)).toHaveLength(2);
    // 500 µs idle, then 10, 20 and 10 µs: the second and third of those lie within.
    expect(topFunctions(profile, 9, { fromMs: 0.515, toMs: 0.545 })).toMatchObject([
      { name: 'read', share: 2 / 3 },
      { name: '(anonymous)', share: 1 / 3 },
    ]);
  });
});
