import { FillNote } from '../../src/store/fill/fill-note.ts';
import { newDataFileName } from '../../src/store/fill/fill-state.ts';
import type { FillState } from '../../src/store/fill/fill-state.ts';
import { thisProcess } from '../../src/store/fill/process-identity.ts';
import type { Layout } from '../../src/store/layout.ts';

/** Leaves a note as an owner does that went away after it. */
export function leaveNote(layout: Layout, key: string, state: FillState): void {
  const note = new FillNote(layout, key);
  note.write(state);
  note.close();
}

/** Any key of a fill. */
export const ANY_KEY: string = 'a'.repeat(40);

/** What an owner in this process notes of the fill {@link ANY_KEY}, with changes. */
export function fillState(changes: Partial<FillState> = {}): FillState {
  return {
    phase: 'filling',
    epoch: 1,
    nonce: 'n',
    owner: thisProcess(),
    file: { upstream: 'pypi', path: 'packages/x' },
    dataFile: newDataFileName(ANY_KEY, 1),
    totalBytes: 3,
    etag: null,
    error: null,
    ...changes,
  };
}
