import { constants } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { WheelcellarError } from '../core/errors.ts';

/**
 * A copy that the build's user cannot change any more.
 *
 * @throws WheelcellarError for what is no plain file (links are not followed), or too large
 */
export async function takeOut(
  built: string,
  target: string,
  mostBytes: number = Infinity,
): Promise<string> {
  const handle = await open(
    built,
    constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
  );
  try {
    const facts = await handle.stat();
    if (!facts.isFile())
      throw new WheelcellarError(`${basename(built)} is no file: the build is not trusted.`);
    if (facts.size > mostBytes)
      throw new WheelcellarError(`${basename(built)} is larger than ${mostBytes} bytes.`);
    await writeFile(target, handle.createReadStream({ autoClose: false }), {
      flag: 'wx',
      mode: 0o444,
      flush: true,
    });
    return target;
  } finally {
    await handle.close();
  }
}

/** The end of what a build wrote, on one line. */
export function lastWords(text: string, code: number | null): string {
  const lines = text
    .trim()
    .split('\n')
    .slice(-12)
    .map((line) => line.trim());
  const words = lines.filter((line) => line !== '').join(' | ');
  return words === '' ? `exit status ${code}` : words;
}
