import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bigWheel, bytesOf } from '../../../bench/replay/big-wheel.ts';
import {
  installedBy,
  requirementsOf,
  setProjects,
  wheelsOf,
} from '../../../bench/replay/package-sets.ts';
import { makeProject, pageName } from '../../../bench/replay/projects.ts';
import { readWheelMetadata } from '../../../src/packaging/wheel-metadata.ts';

const whole = (wheel: ReturnType<typeof bigWheel>): Buffer =>
  Buffer.concat([...bytesOf(wheel, 0, wheel.sizeBytes)]);

describe('a large wheel of the benchmark', () => {
  it('is a wheel with the size, digest and metadata that are listed', async () => {
    const wheel = bigWheel('blob-2-0', 2);
    const content = whole(wheel);
    const access = {
      sizeBytes: content.length,
      read: (start: number, end: number) => Promise.resolve(content.subarray(start, end)),
    };
    const metadata = await readWheelMetadata(wheel.filename, access);
    expect(Buffer.from(metadata).toString()).toBe(wheel.metadata);
    expect(content.length).toBe(wheel.sizeBytes);
    expect(createHash('sha256').update(content).digest('hex')).toBe(wheel.sha256);
  });

  it('differs from others of its size, and not from itself', () => {
    expect(bigWheel('blob-1-0', 1).sha256).not.toBe(bigWheel('blob-1-1', 1).sha256);
    expect(bigWheel('blob-1-0', 1).sha256).toBe(bigWheel('blob-1-0', 1).sha256);
  });

  it('can be had in parts', () => {
    const wheel = bigWheel('blob-2-0', 2);
    const content = whole(wheel);
    const cuts = [0, 1, wheel.head.length, 1_048_576, content.length - 30, content.length];
    for (const start of cuts) {
      for (const end of cuts.filter((cut) => cut > start)) {
        const part = Buffer.concat([...bytesOf(wheel, start, end)]);
        expect(part.equals(content.subarray(start, end)), `${start}–${end}`).toBe(true);
      }
    }
  });
});

describe('the index of the benchmark', () => {
  it('has pages of the sizes that are spoken of', () => {
    const bytes = [10, 300, 5_400].map((files) => makeProject(pageName(files))?.html.plain.length);
    expect(bytes[0]).toBeGreaterThan(3_500);
    expect(bytes[0]).toBeLessThan(5_500);
    expect(bytes[1]).toBeGreaterThan(100_000);
    expect(bytes[1]).toBeLessThan(140_000);
    expect(bytes[2]).toBeGreaterThan(1_800_000);
    expect(bytes[2]).toBeLessThan(2_500_000);
  });

  it('lists each file once', () => {
    const { html } = makeProject(pageName(300)) ?? {};
    const names = [...(html?.plain.toString() ?? '').matchAll(/>([^<]+)<\/a>/g)].map(([, n]) => n);
    expect(names).toHaveLength(300);
    expect(new Set(names).size).toBe(300);
  });

  it('has every version that an install asks for', () => {
    const wheels = new Set(
      setProjects().flatMap((name) =>
        (wheelsOf(name) ?? []).map(({ filename }) => filename.split('-').slice(0, 2).join('-')),
      ),
    );
    for (const set of ['30-chain', 'flask-like', '25 packages'] as const) {
      for (const versions of ['newest', 'pinned'] as const) {
        for (const pin of installedBy(set, versions)) {
          const [name = '', version] = pin.split('==');
          expect(wheels, pin).toContain(`${name.replaceAll('-', '_')}-${version}`);
        }
      }
      expect(requirementsOf(set, 'pinned')).toEqual(installedBy(set, 'pinned'));
      expect(requirementsOf(set, 'newest').length).toBeLessThan(installedBy(set, 'newest').length);
    }
  });
});
