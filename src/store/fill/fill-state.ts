import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '../../core/errors.ts';
import type { Layout } from '../layout.ts';
import { removeFileNow } from '../atomic-file.ts';
import type { FillError } from './fill-error.ts';
import { isProvablyDead } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';

/**
 * - `connecting`, `filling`: the owner is at work.
 * - `left`: the owner has stopped and will never write again; anyone may go on.
 * - `failed`: the owner has given up; `error` says why.
 */
export type FillPhase = 'connecting' | 'filling' | 'left' | 'failed';

/** What the note says that an owner leaves beside its data, `partial/<key>.json`. {@link FillNote} */
export interface FillState {
  readonly phase: FillPhase;
  /** Rises with every change of owner. */
  readonly epoch: number;
  /** Unique to one ownership. */
  readonly nonce: string;
  readonly owner: ProcessIdentity;
  /** Which file is filled; the key is a digest of it. */
  readonly file: { readonly upstream: string; readonly path: string };
  /** Name of the data file inside `partial/`. */
  readonly dataFile: string;
  readonly totalBytes: number | null;
  /** Strong ETag of the bytes at the upstream. */
  readonly etag: string | null;
  readonly error: FillError | null;
}

/** A nonce for one ownership. */
export function newNonce(): string {
  return randomBytes(9).toString('base64url');
}

/** The name of a data file: `<key>.<epoch>.<random>.part`. */
export function newDataFileName(key: string, epoch: number): string {
  return `${key}.${epoch}.${newNonce()}.part`;
}

/**
 * The note for `key`, or `undefined` when there is none that can be read. Of a note with several lines the
 * last whole one counts: whoever reads while a line is appended has the one before.
 */
export function readFillState(layout: Layout, key: string): FillState | undefined {
  const path = stateFile(layout, key);
  // Mostly there is none, and an exception costs more than a look.
  if (!existsSync(path)) return undefined;
  try {
    for (const line of readFileSync(path, 'utf8').split('\n').toReversed()) {
      const state = line === '' ? undefined : parseState(line, key);
      if (state !== undefined) return state;
    }
    return undefined;
  } catch {
    return undefined;
  }
}

function parseState(line: string, key: string): FillState | undefined {
  try {
    const state = JSON.parse(line) as FillState;
    const isUsable =
      typeof state.nonce === 'string' &&
      typeof state.epoch === 'number' &&
      typeof state.owner?.pid === 'number' &&
      typeof state.file?.upstream === 'string' &&
      typeof state.file.path === 'string' &&
      typeof state.dataFile === 'string' &&
      state.dataFile.startsWith(`${key}.`) &&
      !state.dataFile.includes('/');
    return isUsable ? state : undefined;
  } catch {
    return undefined;
  }
}

/** Removes the note if it is still the one of this ownership. */
export function removeFillState(layout: Layout, key: string, nonce: string): void {
  if (readFillState(layout, key)?.nonce === nonce) removeFileNow(stateFile(layout, key));
}

/** Whether whoever left this note will never write again: it stopped in order, or is dead beyond doubt. */
export function isForsaken(state: FillState): boolean {
  return state.phase === 'left' || isProvablyDead(state.owner);
}

/**
 * Milliseconds since the owner of this note has shown itself, by its data or by the note; Infinity when
 * neither is there any more.
 */
export function silentForMs(layout: Layout, key: string, state: FillState, now: number): number {
  const shown = [stateFile(layout, key), join(layout.partialDir, state.dataFile)];
  return now - Math.max(...shown.map((path) => changedAt(path)));
}

/** Milliseconds since somebody has claimed the succession; Infinity when nobody has. */
export function claimedForMs(layout: Layout, key: string, dead: FillState, now: number): number {
  return now - changedAt(takeFile(layout, key, dead));
}

function changedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? -Infinity;
}

function takeFile(layout: Layout, key: string, { epoch, nonce }: FillState): string {
  return join(layout.partialDir, `${key}.${epoch}.${nonce}.take`);
}

/**
 * Claims the succession to one ownership, dead or silent: of all that try, exactly one gets `true`.
 */
export function claimSuccession(layout: Layout, key: string, dead: FillState): boolean {
  try {
    writeFileSync(takeFile(layout, key, dead), '', { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Where the note of `key` lies. */
export function stateFile(layout: Layout, key: string): string {
  return join(layout.partialDir, `${key}.json`);
}
