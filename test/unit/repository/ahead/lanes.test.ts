import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Lanes } from '../../../../src/repository/ahead/lanes.ts';
import type { Urgency } from '../../../../src/repository/ahead/lanes.ts';

/** Work that ends when it is told to, and the order in which it began. */
class Works {
  readonly lanes: Lanes;
  readonly begun: string[] = [];
  readonly #ends = new Map<string, PromiseWithResolversOf>();

  constructor(width: number) {
    this.lanes = new Lanes(width);
  }

  add(key: string, urgency: Urgency, name: string = key): void {
    this.lanes.run(key, urgency, () => {
      this.begun.push(name);
      return new Promise((resolve, reject) => this.#ends.set(name, { resolve, reject }));
    });
  }

  async end(name: string): Promise<void> {
    this.#ends.get(name)?.resolve();
    await setImmediate();
  }

  async fail(name: string): Promise<void> {
    this.#ends.get(name)?.reject(new Error(name));
    await setImmediate();
  }
}

interface PromiseWithResolversOf {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

describe('lanes', () => {
  it('begin at once what there is room for, and the rest one by one as room comes', async () => {
    const works = new Works(2);
    for (const key of ['a', 'b', 'c', 'd']) works.add(key, 'wanted');
    expect(works.begun).toEqual(['a', 'b']);
    await works.end('b');
    expect(works.begun).toEqual(['a', 'b', 'c']);
    await works.end('a');
    expect(works.begun).toEqual(['a', 'b', 'c', 'd']);
  });

  it('begin all that is wanted before the first that is guessed, each in its order', async () => {
    const works = new Works(1);
    works.add('first', 'guessed');
    works.add('guess 1', 'guessed');
    works.add('guess 2', 'guessed');
    works.add('want 1', 'wanted');
    works.add('want 2', 'wanted');
    for (const name of ['first', 'want 1', 'want 2', 'guess 1']) await works.end(name);
    expect(works.begun).toEqual(['first', 'want 1', 'want 2', 'guess 1', 'guess 2']);
  });

  it('go on when work fails', async () => {
    const works = new Works(1);
    works.add('a', 'wanted');
    works.add('b', 'wanted');
    await works.fail('a');
    expect(works.begun).toEqual(['a', 'b']);
  });

  it('do nothing twice at once, and again what has ended', async () => {
    const works = new Works(1);
    works.add('a', 'wanted');
    works.add('a', 'wanted', 'a while it runs');
    works.add('b', 'wanted');
    works.add('b', 'wanted', 'b while it waits');
    works.add('b', 'guessed', 'b guessed while it waits');
    works.add('c', 'guessed');
    works.add('c', 'guessed', 'c while it waits');
    await works.end('a');
    works.add('a', 'wanted', 'a again');
    for (const name of ['b', 'a again', 'c']) await works.end(name);
    expect(works.begun).toEqual(['a', 'b', 'a again', 'c']);
  });

  it('take what was guessed and is wanted now out of the guesses', async () => {
    const works = new Works(1);
    works.add('first', 'wanted');
    works.add('x', 'guessed', 'x as a guess');
    works.add('x', 'guessed', 'x as a guess again');
    works.add('y', 'wanted');
    works.add('x', 'wanted', 'x as wanted');
    for (const name of ['first', 'y', 'x as wanted']) await works.end(name);
    expect(works.begun).toEqual(['first', 'y', 'x as wanted']);
  });

  it('begin promoted work at once, full or not, and only once', async () => {
    const works = new Works(1);
    works.add('first', 'wanted');
    works.add('guess', 'guessed');
    works.add('want', 'wanted');
    works.lanes.promote('guess');
    works.lanes.promote('guess');
    works.lanes.promote('nobody knows');
    expect(works.begun).toEqual(['first', 'guess']);
    await works.end('first');
    expect(works.begun).toEqual(['first', 'guess']);
    await works.end('guess');
    expect(works.begun).toEqual(['first', 'guess', 'want']);
  });

  it('begin nothing any more once they are closed', async () => {
    const works = new Works(1);
    works.add('first', 'wanted');
    works.add('want', 'wanted');
    works.add('guess', 'guessed');
    works.lanes.close();
    works.lanes.promote('want');
    works.add('later', 'wanted');
    await works.end('first');
    expect(works.begun).toEqual(['first']);
    await works.lanes.settled();
  });

  it('are settled when nothing runs or waits, what was added meanwhile included', async () => {
    const works = new Works(1);
    await works.lanes.settled();
    works.add('a', 'wanted');
    works.add('b', 'guessed');
    let isSettled = false;
    const settled = works.lanes.settled().then(() => (isSettled = true));
    await works.end('a');
    works.add('c', 'wanted');
    expect(isSettled).toBe(false);
    await works.fail('b');
    expect(isSettled).toBe(false);
    await works.end('c');
    await settled;
    expect(works.begun).toEqual(['a', 'b', 'c']);
  });
});
