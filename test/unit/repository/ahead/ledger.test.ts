import { describe, expect, it } from 'vitest';
import type { Installer } from '../../../../src/packaging/installer.ts';
import { Ledger, aheadCounts } from '../../../../src/repository/ahead/ledger.ts';
import type { Catalog } from '../../../../src/store/catalog.ts';
import { Session } from '../../../../src/repository/ahead/session.ts';

const PIP: Installer = { name: 'pip', wantsFiles: true, machine: null };
const WHEEL = 'packages/demo.whl';

/** What a session may still fetch, found by asking. */
function leftBytes(session: Session): number {
  let [low, high] = [-1, 1_000_000];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (session.mayFetch(middle) === 'now') low = middle;
    else high = middle;
  }
  return low;
}

function setStage() {
  const counters: Record<string, number> = {};
  const ledger = new Ledger({
    count: (...[name, amount]: Parameters<Catalog['count']>) =>
      void (counters[name] = (counters[name] ?? 0) + (amount ?? 1)),
  });
  const newSession = (): Session =>
    new Session(PIP, { creditBytes: 1_000, largestFileBytes: 10_000 }, 0);
  return { ledger, newSession, counts: () => aheadCounts(counters) };
}

describe('the account of what is fetched ahead', () => {
  it('weighs on its session until somebody asks for it', () => {
    const { ledger, newSession, counts } = setStage();
    const session = newSession();
    const end = ledger.begin(WHEEL, 'file', session, 300);
    expect(leftBytes(session)).toBe(700);
    end(300);
    expect(leftBytes(session)).toBe(700);
    expect(counts()).toMatchObject({ files: 1, bytes: 300, usedBytes: 0 });
    expect(ledger.asked(WHEEL)).toBe(300);
    expect(leftBytes(session)).toBe(1_000);
    expect(counts()).toMatchObject({ files: 1, bytes: 300, usedBytes: 300 });
  });

  it('counts each use once', () => {
    const { ledger, newSession, counts } = setStage();
    const session = newSession();
    ledger.begin(WHEEL, 'file', session, 300)(300);
    expect([ledger.asked(WHEEL), ledger.asked(WHEEL)]).toEqual([300, 0]);
    expect(counts().usedBytes).toBe(300);
    expect(leftBytes(session)).toBe(1_000);
    // Evicted and fetched again.
    ledger.begin(WHEEL, 'file', session, 300)(300);
    expect(counts()).toMatchObject({ files: 2, bytes: 600 });
  });

  it('counts as used what is asked for while it is under way, once it is there', () => {
    const { ledger, newSession, counts } = setStage();
    const session = newSession();
    const end = ledger.begin(WHEEL, 'file', session, 300);
    expect([ledger.asked(WHEEL), ledger.asked(WHEEL)]).toEqual([0, 0]);
    expect(leftBytes(session)).toBe(1_000);
    expect(counts().usedBytes).toBe(0);
    end(310);
    expect(leftBytes(session)).toBe(1_000);
    expect(counts()).toMatchObject({ files: 1, bytes: 310, usedBytes: 310 });
    expect(ledger.asked(WHEEL)).toBe(0);
  });

  it('learns the length in the end', () => {
    const { ledger, newSession } = setStage();
    const session = newSession();
    ledger.begin('page demo', 'page', session, 0)(250);
    expect(leftBytes(session)).toBe(750);
    ledger.asked('page demo');
    expect(leftBytes(session)).toBe(1_000);
  });

  it.each([false, true])(
    'forgets what failed or was there (asked for meanwhile: %s)',
    (isAsked) => {
      const { ledger, newSession, counts } = setStage();
      const session = newSession();
      const end = ledger.begin(WHEEL, 'file', session, 300);
      if (isAsked) ledger.asked(WHEEL);
      end(0);
      expect(leftBytes(session)).toBe(1_000);
      expect(counts()).toMatchObject({ files: 0, bytes: 0, usedBytes: 0 });
      expect(ledger.asked(WHEEL)).toBe(0);
      ledger.begin(WHEEL, 'file', session, 200)(200);
      expect(counts()).toMatchObject({ files: 1, bytes: 200 });
    },
  );

  it('puts what two sessions want on the account of the first', () => {
    const { ledger, newSession, counts } = setStage();
    const [one, two] = [newSession(), newSession()];
    const endOne = ledger.begin(WHEEL, 'file', one, 300);
    const endTwo = ledger.begin(WHEEL, 'file', two, 300);
    expect([leftBytes(one), leftBytes(two)]).toEqual([700, 1_000]);
    endTwo(300);
    endOne(300);
    expect(counts()).toMatchObject({ files: 1, bytes: 300 });
    // Whoever asks for it: it was not in vain.
    ledger.asked(WHEEL);
    expect([leftBytes(one), leftBytes(two)]).toEqual([1_000, 1_000]);
  });

  it('counts each kind, and how guesses turned out', () => {
    const { ledger, newSession, counts } = setStage();
    const session = newSession();
    ledger.begin('page demo', 'page', session, 0)(10);
    ledger.begin(`${WHEEL}.metadata`, 'metadata', session, 0)(20);
    ledger.begin('newest demo', 'facts', session, 0)(30);
    ledger.begin(WHEEL, 'file', session, 0)(40);
    ledger.judged('hit');
    ledger.judged('hit');
    ledger.judged('miss');
    expect(counts()).toEqual({
      pages: 1,
      metadata: 1,
      facts: 1,
      files: 1,
      bytes: 100,
      usedBytes: 0,
      hits: 2,
      misses: 1,
    });
  });

  it('is nought of a catalog that counts nothing', () => {
    expect(new Set(Object.values(aheadCounts({})))).toEqual(new Set([0]));
  });
});
