import { describe, expect, it } from 'vitest';
import { metricsText } from '../../../src/server/metrics.ts';
import { SOME_STATISTICS } from '../../support/some-statistics.ts';

describe('the metrics', () => {
  it('are in the text format of Prometheus, with a word on each', async () => {
    const { body, contentType } = await metricsText(SOME_STATISTICS);
    expect(contentType).toMatch(/^text\/plain; version=/);
    const lines = body.split('\n');
    expect(lines).toContain('# TYPE wheelcellar_file_hits_total counter');
    expect(lines).toContain('wheelcellar_file_hits_total 6');
    expect(lines).toContain('# TYPE wheelcellar_held_bytes gauge');
    expect(lines).toContain('wheelcellar_held_bytes 5000');
    const names = new Set(lines.flatMap((line) => /^(wheelcellar_\w+)/.exec(line)?.[1] ?? []));
    for (const name of names) expect(body).toMatch(new RegExp(`^# HELP ${name} .+\\.$`, 'm'));
  });

  it('tell what was fetched ahead, and what of it was in vain', async () => {
    const { body } = await metricsText(SOME_STATISTICS);
    expect(body).toContain('wheelcellar_ahead_bytes_total 2000\n');
    expect(body).toContain('wheelcellar_ahead_used_bytes_total 1500\n');
    expect(body).toContain('wheelcellar_ahead_misses_total 15\n');
  });

  it('tell upstreams apart, whatever they are called', async () => {
    const { body } = await metricsText(SOME_STATISTICS);
    expect(body).toContain('wheelcellar_upstream_up{upstream="pypi"} 1\n');
    expect(body).toContain('wheelcellar_upstream_up{upstream="inner \\"one\\""} 0\n');
    expect(body).toContain('wheelcellar_upstream_failures_total{upstream="inner \\"one\\""} 2\n');
  });

  it('begin anew with each question: counters are not added up twice', async () => {
    await metricsText(SOME_STATISTICS);
    expect((await metricsText(SOME_STATISTICS)).body).toContain('wheelcellar_file_hits_total 6\n');
  });

  it('do without upstreams', async () => {
    const { body } = await metricsText({ ...SOME_STATISTICS, upstreams: [] });
    expect(body).not.toContain('{upstream=');
  });
});
