import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { PieceWriter } from '../../../src/store/fill/piece-writer.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

const PIECES = Array.from({ length: 200 }, (_, at) => Buffer.alloc(1 + ((at * 37) % 9_000), at));
const WHOLE = Buffer.concat(PIECES);

it('writes the pieces in their order, and tells how far it is', async () => {
  const handle = await openFile();
  const shown: number[] = [];
  const writer = new PieceWriter(handle, 0, (position, pieces) => {
    const before = shown.at(-1) ?? 0;
    expect(Buffer.concat(pieces).equals(WHOLE.subarray(before, position))).toBe(true);
    shown.push(position);
  });
  for (const piece of PIECES) await writer.add(piece);
  await writer.finish();
  expect(shown.at(-1)).toBe(WHOLE.length);
  expect(shown.length).toBeLessThan(PIECES.length);
  expect((await contentOf(handle)).equals(WHOLE)).toBe(true);
});

it('goes on behind what is there', async () => {
  const handle = await openFile();
  await handle.write(Buffer.from('before'));
  const writer = new PieceWriter(handle, 6, () => {});
  await writer.add(Buffer.from(' and after'));
  await writer.finish();
  expect((await contentOf(handle)).toString()).toBe('before and after');
});

it('carries on a write that was cut short', async () => {
  const handle = await openFile();
  const short = cutShort(handle, 1_000);
  const writer = new PieceWriter(short, 0, () => {});
  for (const piece of PIECES) await writer.add(piece);
  await writer.finish();
  expect((await contentOf(handle)).equals(WHOLE)).toBe(true);
});

it('takes no more than half a megabyte before the disk has it', async () => {
  let written = 0;
  const handle = await openFile();
  const writer = new PieceWriter(handle, 0, (position) => (written = position));
  const piece = Buffer.alloc(100_000);
  for (let given = 0; given < 5_000_000; given += piece.length) {
    await writer.add(piece);
    // What is being written, and what waits.
    expect(given + piece.length - written).toBeLessThanOrEqual(2 * 524_288 + piece.length);
  }
  await writer.finish();
  expect(written).toBe(5_000_000);
});

it('tells of a failure at the end, or when no more can wait', async () => {
  const handle = await openFile('r');
  const writer = new PieceWriter(handle, 0, () => expect.unreachable());
  await writer.add(Buffer.from('x'));
  await expect(writer.finish()).rejects.toThrow('EBADF');
  await expect(writer.add(Buffer.alloc(1_000_000))).rejects.toThrow('EBADF');
});

async function openFile(flags = 'w+'): Promise<FileHandle> {
  const folder = await makeTempFolder();
  const path = join(folder.path, 'data');
  if (flags === 'r') await (await open(path, 'w')).close();
  const handle = await open(path, flags);
  onTestFinished(async () => {
    await handle.close();
    await folder.remove();
  });
  return handle;
}

async function contentOf(handle: FileHandle): Promise<Buffer> {
  const { size } = await handle.stat();
  return (await handle.read(Buffer.alloc(size), 0, size, 0)).buffer;
}

/** The same file, through a system that writes so many bytes at once. */
function cutShort(handle: FileHandle, bytes: number): FileHandle {
  const write = (buffer: Uint8Array, offset: number, length: number, position: number) =>
    handle.write(buffer, offset, Math.min(length, bytes), position);
  const writev = async (buffers: readonly Uint8Array[], position: number) =>
    await write(Buffer.concat(buffers), 0, Buffer.concat(buffers).length, position);
  return { write, writev } as unknown as FileHandle;
}
