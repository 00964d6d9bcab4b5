import { expect, it } from 'vitest';
import { RecentBytes } from '../../../src/store/fill/recent-bytes.ts';
import { Dice } from '../../support/packaging-oracle.ts';

const MEGABYTE = 1024 * 1024;

it('gives what was written, gathered from pieces of any size', () => {
  const dice = new Dice(3);
  const below = (limit: number): number => Math.floor(dice.next() * limit);
  for (let turn = 0; turn < 50; turn++) {
    const whole = Buffer.from(Array.from({ length: 2_000 }, (_, at) => at % 251));
    const recent = new RecentBytes();
    for (let at = 0; at < whole.length;) {
      const written: Buffer[] = [];
      const position = at;
      for (let piece = 0; piece < 3; piece++) {
        const bytes = whole.subarray(at, at + 1 + below(200));
        written.push(bytes);
        at += bytes.length;
      }
      recent.add(
        position,
        written.filter(({ length }) => length > 0),
      );
      const from = below(Math.min(at, whole.length));
      const most = 1 + below(500);
      const end = Math.min(at, whole.length, from + most);
      const taken = Buffer.from(recent.take(from, most) ?? []);
      expect(taken.equals(whole.subarray(from, end)), `${from} ${most}`).toBe(true);
    }
  }
});

it('knows nothing of what was not written yet, nor of what was before its time', () => {
  const recent = new RecentBytes();
  expect(recent.take(0, 10)).toBeUndefined();
  recent.add(100, [Buffer.from('abc')]);
  expect(recent.take(99, 10)).toBeUndefined();
  expect(recent.take(103, 10)).toBeUndefined();
  expect(Buffer.from(recent.take(101, 10) ?? []).toString()).toBe('bc');
});

it('keeps a megabyte and no more', () => {
  const recent = new RecentBytes();
  const piece = Buffer.alloc(64 * 1024, 'x');
  for (let at = 0; at < 8 * MEGABYTE; at += piece.length) recent.add(at, [piece]);
  expect(recent.take(7 * MEGABYTE - 1, 1)).toBeUndefined();
  expect(recent.take(7 * MEGABYTE, MEGABYTE)?.length).toBe(MEGABYTE);
  recent.add(8 * MEGABYTE, [Buffer.alloc(2 * MEGABYTE)]);
  expect(recent.take(9 * MEGABYTE, 1)).toBeUndefined();
});

it('keeps nothing once it was cleared', () => {
  const recent = new RecentBytes();
  recent.add(0, [Buffer.from('abc')]);
  recent.take(0, 3);
  recent.clear();
  expect(recent.take(0, 3)).toBeUndefined();
});

it('gives one buffer to all who ask for the same', () => {
  const recent = new RecentBytes();
  recent.add(0, [Buffer.from('ab'), Buffer.from('cd')]);
  expect(recent.take(1, 3)).toBe(recent.take(1, 3));
});
