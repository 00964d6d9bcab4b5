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
import { newDataFileName, readFillState } from '../../../src/store/fill/fill-state.ts';
import type { FillState } from '../../../src/store/fill/fill-state.ts';
import { thisProcess } from '../../../src/store/fill/process-identity.ts';
import { layoutOf, prepareLayout } from '../../../src/store/layout.ts';
import type { Layout } from '../../../src/store/layout.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

const KEY = 'a'.repeat(40);

it('shows each state that was written, in one file', async () => {
  const { layout, note } = await setNote();
  note.write(state({ phase: 'connecting', totalBytes: null }));
  expect(readFillState(layout, KEY)).toMatchObject({ phase: 'connecting', totalBytes: null });
  const [only] = readdirSync(layout.partialDir);
  note.write(state({ phase: 'filling', totalBytes: 7 }));
  expect(readFillState(layout, KEY)).toMatchObject({ phase: 'filling', totalBytes: 7 });
  expect(readdirSync(layout.partialDir)).toEqual([only]);
});

it('takes the place of what an earlier owner has left', async () => {
  const { layout, note } = await setNote();
  note.write(state({ nonce: 'first', phase: 'failed' }));
  const next = openNote(layout);
  next.write(state({ nonce: 'second' }));
  expect(readFillState(layout, KEY)?.nonce).toBe('second');
  expect(readdirSync(layout.partialDir)).toHaveLength(1);
});

it('says nothing more when another owner has come', async () => {
  const { layout, note } = await setNote();
  note.write(state({ nonce: 'first' }));
  openNote(layout).write(state({ nonce: 'second' }));
  note.write(state({ nonce: 'first', phase: 'failed' }));
  expect(readFillState(layout, KEY)).toMatchObject({ nonce: 'second', phase: 'filling' });
});

it('is made again when somebody has removed it', async () => {
  const { layout, note } = await setNote();
  note.write(state({ phase: 'connecting' }));
  rmSync(pathOf(layout));
  note.write(state({ phase: 'failed' }));
  expect(readFillState(layout, KEY)?.phase).toBe('failed');
  note.write(state({ phase: 'left' }));
  expect(readFillState(layout, KEY)?.phase).toBe('left');
});

it('is read as it was before, wherever a line is cut', async () => {
  const { layout, note } = await setNote();
  note.write(state({ phase: 'connecting' }));
  const before = readFileSync(pathOf(layout), 'utf8');
  note.write(state({ phase: 'filling' }));
  const after = readFileSync(pathOf(layout), 'utf8');
  expect(after.startsWith(before)).toBe(true);
  for (let length = before.length; length < after.length - 1; length++) {
    writeFileSync(pathOf(layout), after.slice(0, length));
    expect(readFillState(layout, KEY)?.phase, `${length}`).toBe('connecting');
  }
  for (let length = 0; length < before.length - 1; length++) {
    writeFileSync(pathOf(layout), before.slice(0, length));
    expect(readFillState(layout, KEY), `${length}`).toBeUndefined();
  }
});

it('is whole again after half a line', async () => {
  const { layout, note } = await setNote();
  note.write(state({ phase: 'connecting' }));
  appendFileSync(pathOf(layout), '{"half":');
  note.write(state({ phase: 'failed' }));
  expect(readFillState(layout, KEY)?.phase).toBe('failed');
});

async function setNote(): Promise<{ layout: Layout; note: FillNote }> {
  const folder = await makeTempFolder();
  onTestFinished(() => folder.remove());
  const layout = layoutOf(mkdtempSync(join(folder.path, 'cache-')));
  prepareLayout(layout);
  return { layout, note: openNote(layout) };
}

function openNote(layout: Layout): FillNote {
  const note = new FillNote(layout, KEY);
  onTestFinished(() => note.close());
  return note;
}

function pathOf(layout: Layout): string {
  return join(layout.partialDir, `${KEY}.json`);
}

function state(changes: Partial<FillState>): FillState {
  return {
    phase: 'filling',
    epoch: 1,
    nonce: 'n',
    owner: thisProcess(),
    file: { upstream: 'pypi', path: 'packages/x' },
    dataFile: newDataFileName(KEY, 1),
    totalBytes: 3,
    etag: null,
    error: null,
    ...changes,
  };
}
