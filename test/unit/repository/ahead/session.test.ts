import { describe, expect, it } from 'vitest';
import type { Installer } from '../../../../src/packaging/installer.ts';
import type { ProjectName } from '../../../../src/packaging/names.ts';
import { Session } from '../../../../src/repository/ahead/session.ts';
import type { FollowedProject } from '../../../../src/repository/ahead/session.ts';

const PIP: Installer = { name: 'pip', wantsFiles: true, machine: null };

function newSession(allowance = { creditBytes: 1_000, largestFileBytes: 5_000 }): Session {
  return new Session(PIP, allowance, 0);
}

let projects = 0;

/** The session follows a project that has a guess, and its client takes this file. */
function take(session: Session, path: string): 'hit' | 'miss' | null {
  const project = session.follow(`judged-${++projects}` as ProjectName)!;
  session.guessed(project, 'right.whl');
  return session.took(project, path);
}

function follow(session: Session, name: string): FollowedProject | undefined {
  return session.follow(name as ProjectName);
}

/** How many of so many guesses were tried. */
function tryGuesses(session: Session, count: number): number {
  let tried = 0;
  for (let at = 0; at < count; at++) session.guess(() => tried++);
  return tried;
}

describe('guesses', () => {
  it('are tried three times, then they wait', () => {
    expect(tryGuesses(newSession(), 10)).toBe(3);
  });

  it('that are dear wait for a hit, without being tried', () => {
    const session = newSession();
    const done: string[] = [];
    session.guessDearly(() => done.push('before'));
    expect(done).toEqual([]);
    take(session, 'right.whl');
    session.guessDearly(() => done.push('after'));
    expect(done).toEqual(['before', 'after']);
    const wrong = newSession();
    wrong.guessDearly(() => done.push('never'));
    take(wrong, 'other.whl');
    wrong.guessDearly(() => done.push('never'));
    expect(done).toEqual(['before', 'after']);
  });

  it('that wait begin with the first that turns out right, in their order, and later ones at once', () => {
    const session = newSession();
    const done: number[] = [];
    for (let at = 0; at < 6; at++) session.guess(() => done.push(at));
    expect(done).toEqual([0, 1, 2]);
    expect(take(session, 'right.whl')).toBe('hit');
    expect(done).toEqual([0, 1, 2, 3, 4, 5]);
    expect(tryGuesses(session, 10)).toBe(10);
  });

  it('that wait are dropped when one was wrong, for good', () => {
    const session = newSession();
    let done = 0;
    for (let at = 0; at < 6; at++) session.guess(() => done++);
    expect(take(session, 'other.whl')).toBe('miss');
    for (let at = 0; at < 10; at++) take(session, 'right.whl');
    expect(done).toBe(3);
  });

  it('stop with the first that is wrong, and go on when more than three of four were right', () => {
    const session = newSession();
    take(session, 'other.whl');
    expect([session.mayGuess, tryGuesses(session, 5)]).toEqual([false, 0]);
    for (let at = 0; at < 3; at++) take(session, 'right.whl');
    expect([session.mayGuess, tryGuesses(session, 5)]).toEqual([false, 0]);
    take(session, 'right.whl');
    expect([session.mayGuess, tryGuesses(session, 5)]).toEqual([true, 5]);
    take(session, 'other.whl');
    expect([session.mayGuess, tryGuesses(session, 5)]).toEqual([false, 0]);
  });

  it('are judged by the first guess and the first file that the client takes', () => {
    const session = newSession();
    const project = follow(session, 'demo')!;
    expect(session.guessed(project, 'right.whl')).toBeNull();
    expect(session.guessed(project, 'better.whl')).toBeNull();
    expect(session.took(project, 'right.whl')).toBe('hit');
    expect(session.took(project, 'older.whl')).toBeNull();
    expect(session.guessed(project, 'other.whl')).toBeNull();
    expect(session.mayGuess).toBe(true);
  });

  it('are judged when they come after the client has chosen, too', () => {
    const session = newSession();
    const project = follow(session, 'demo')!;
    expect(session.took(project, 'older.whl')).toBeNull();
    expect(session.took(project, 'right.whl')).toBeNull();
    expect(session.guessed(project, 'right.whl')).toBe('miss');
    expect(session.mayGuess).toBe(false);
  });
});

describe('what may be fetched ahead', () => {
  it('is as much as the credit before the client has asked for anything', () => {
    const session = newSession();
    expect([session.mayFetch(1_000), session.mayFetch(1_001)]).toEqual(['now', 'later']);
    session.fetched(400);
    expect([session.mayFetch(600), session.mayFetch(601)]).toEqual(['now', 'later']);
  });

  it('grows by half of what the client asks for', () => {
    const session = newSession();
    session.asked(600);
    expect([session.mayFetch(1_300), session.mayFetch(1_301)]).toEqual(['now', 'later']);
  });

  it('is given back when the client asks for what was fetched', () => {
    const session = newSession();
    session.fetched(1_000);
    expect(session.mayFetch(1)).toBe('later');
    session.fetched(-1_000);
    expect(session.mayFetch(1_000)).toBe('now');
  });

  it('is not lost on files that come too early: they wait, in their order', () => {
    const session = newSession();
    session.fetched(1_000);
    session.postpone('one.whl', 300);
    session.postpone('two.whl', 400);
    session.postpone('three.whl', 10);
    expect(session.takePostponed()).toEqual([]);
    session.fetched(-699);
    expect(session.takePostponed()).toEqual(['one.whl']);
    session.asked(30);
    expect(session.takePostponed()).toEqual(['two.whl', 'three.whl']);
    expect(session.takePostponed()).toEqual([]);
  });

  it('is no file above the limit, whatever the credit', () => {
    const session = newSession({ creditBytes: 1_000_000, largestFileBytes: 5_000 });
    expect([session.mayFetch(5_000), session.mayFetch(5_001)]).toEqual(['now', 'never']);
  });
});

describe('a run', () => {
  it('follows 300 projects, and those that it follows already', () => {
    const session = newSession();
    const first = follow(session, 'p0');
    for (let at = 1; at < 300; at++) expect(follow(session, `p${at}`)).toBeDefined();
    expect(follow(session, 'one-more')).toBeUndefined();
    expect(follow(session, 'p0')).toBe(first);
    expect(session.find(['one-more', 'p7'] as ProjectName[])?.name).toBe('p7');
    expect(session.find(['one-more'] as ProjectName[])).toBeUndefined();
  });

  it('ends when the client asks for nothing for more than 30 seconds, and another begins', () => {
    const session = newSession();
    const first = follow(session, 'demo')!;
    session.seen(30_000);
    session.seen(60_000);
    expect(follow(session, 'demo')).toBe(first);
    session.seen(90_001);
    expect(session.find(['demo'] as ProjectName[])).toBeUndefined();
    expect(follow(session, 'demo')).not.toBe(first);
  });

  it('begins with three more tries, without the guesses that waited, and with what was right before', () => {
    const session = newSession();
    let done = 0;
    for (let at = 0; at < 6; at++) session.guess(() => done++);
    session.seen(30_001);
    expect(tryGuesses(session, 10)).toBe(3);
    take(session, 'right.whl');
    expect(done).toBe(3);
    session.seen(60_002);
    expect(tryGuesses(session, 10)).toBe(10);
    take(session, 'other.whl');
    session.seen(90_003);
    expect(tryGuesses(session, 10)).toBe(0);
  });
});

it('names its work by itself, so that two sessions do not hold each other up', () => {
  const [one, two] = [newSession(), newSession()];
  expect(one.lane('page demo')).toBe(one.lane('page demo'));
  expect(one.lane('page demo')).not.toBe(two.lane('page demo'));
});
