import { FillNote } from '../../src/store/fill/fill-note.ts';
import type { FillState } from '../../src/store/fill/fill-state.ts';
import type { Layout } from '../../src/store/layout.ts';

/** Leaves a note as an owner does that went away after it. */
export function leaveNote(layout: Layout, key: string, state: FillState): void {
  const note = new FillNote(layout, key);
  note.write(state);
  note.close();
}
