import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { FillNote } from '../../../src/store/fill/fill-note.ts';
import { readFillState } from '../../../src/store/fill/fill-state.ts';
import { layoutOf, prepareLayout } from '../../../src/store/layout.ts';
import type { Layout } from '../../../src/store/layout.ts';
import { ANY_KEY, fillState } from '../../support/fill-note.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

it('shows each state that was written, in one file', async () => {
  const { layout, note } = await setNote();
  note.write(fillState({ phase: 'connecting', totalBytes: null }));
  expect(readFillState(layout, ANY_KEY)).toMatchObject({ phase: 'connecting', totalBytes: null });
  const [only] = readdirSync(layout.partialDir);
  note.write(fillState({ phase: 'filling', totalBytes: 7 }));
  expect(readFillState(layout, ANY_KEY)).toMatchObject({ phase: 'filling', totalBytes: 7 });
  expect(readdirSync(layout.partialDir)).toEqual([only]);
});

it('takes the place of what an earlier owner has left', async () => {
  const { layout, note } = await setNote();
  note.write(fillState({ nonce: 'first', phase: 'failed' }));
  const next = openNote(layout);
  next.write(fillState({ nonce: 'second' }));
  expect(readFillState(layout, ANY_KEY)?.nonce).toBe('second');
  expect(readdirSync(layout.partialDir)).toHaveLength(1);
});

it('says nothing more when another owner has come', async () => {
  const { layout, note } = await setNote();
  note.write(fillState({ nonce: 'first' }));
  openNote(layout).write(fillState({ nonce: 'second' }));
  note.write(fillState({ nonce: 'first', phase: 'failed' }));
  expect(readFillState(layout, ANY_KEY)).toMatchObject({ nonce: 'second', phase: 'filling' });
});

it('is made again when somebody has removed it', async () => {
  const { layout, note } = await setNote();
  note.write(fillState({ phase: 'connecting' }));
  rmSync(pathOf(layout));
  note.write(fillState({ phase: 'failed' }));
  expect(readFillState(layout, ANY_KEY)?.phase).toBe('failed');
  note.write(fillState({ phase: 'left' }));
  expect(readFillState(layout, ANY_KEY)?.phase).toBe('left');
});

it('is read as it was before, wherever a line is cut', async () => {
  const { layout, note } = await setNote();
  note.write(fillState({ phase: 'connecting' }));
  const before = readFileSync(pathOf(layout), 'utf8');
  note.write(fillState({ phase: 'filling' }));
  const after = readFileSync(pathOf(layout), 'utf8');
  expect(after.startsWith(before)).toBe(true);
  for (let length = before.length; length < after.length - 1; length++) {
    writeFileSync(pathOf(layout), after.slice(0, length));
    expect(readFillState(layout, ANY_KEY)?.phase, `${length}`).toBe('connecting');
  }
  for (let length = 0; length < before.length - 1; length++) {
    writeFileSync(pathOf(layout), before.slice(0, length));
    expect(readFillState(layout, ANY_KEY), `${length}`).toBeUndefined();
  }
});

it('is whole again after half a line', async () => {
  const { layout, note } = await setNote();
  note.write(fillState({ phase: 'connecting' }));
  appendFileSync(pathOf(layout), '{"half":');
  note.write(fillState({ phase: 'failed' }));
  expect(readFillState(layout, ANY_KEY)?.phase).toBe('failed');
});

async function setNote(): Promise<{ layout: Layout; note: FillNote }> {
  const folder = await makeTempFolder();
  onTestFinished(() => folder.remove());
  const layout = layoutOf(mkdtempSync(join(folder.path, 'cache-')));
  prepareLayout(layout);
  return { layout, note: openNote(layout) };
}

function openNote(layout: Layout): FillNote {
  const note = new FillNote(layout, ANY_KEY);
  onTestFinished(() => note.close());
  return note;
}

function pathOf(layout: Layout): string {
  return join(layout.partialDir, `${ANY_KEY}.json`);
}
