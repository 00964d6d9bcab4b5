import { closeSync, fstatSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { codeOf } from '../../core/errors.ts';
import { removeFileNow, temporaryName } from '../atomic-file.ts';
import type { Layout } from '../layout.ts';
import { stateFile } from './fill-state.ts';
import type { FillState } from './fill-state.ts';

/**
 * The note of one ownership, a line of JSON for each state of it. The first makes the file, in the place of
 * what an earlier owner has left; later ones are appended to it, never to another's: an owner that was
 * overtaken writes into a file without a name. Synchronous: it takes microseconds, and an owner must
 * not be overtaken by its own earlier note.
 */
export class FillNote {
  readonly #layout: Layout;
  readonly #key: string;
  #descriptor: number | null = null;

  constructor(layout: Layout, key: string) {
    this.#layout = layout;
    this.#key = key;
  }

  /** Notes a state. @throws what the system does, and readers have the state before */
  write(state: FillState): void {
    const line = `${JSON.stringify(state)}\n`;
    const descriptor = this.#descriptor;
    if (descriptor === null) {
      if (!this.#create(this.#path, line)) this.#replace(line);
    } else if (fstatSync(descriptor).nlink === 0) {
      // Removed behind our back: made again. Or another owner has put its own there, which stays.
      this.#create(this.#path, line);
    } else {
      try {
        // It begins with a line feed: half a line before it stays no line.
        writeFileSync(descriptor, `\n${line}`);
      } catch {
        this.#replace(line);
      }
    }
  }

  /** Lets go of the file, and leaves it. */
  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  get #path(): string {
    return stateFile(this.#layout, this.#key);
  }

  /** As a whole, beside what is there. */
  #replace(line: string): void {
    const temporary = temporaryName(this.#layout.partialDir);
    this.#create(temporary, line);
    try {
      renameSync(temporary, this.#path);
    } catch (error) {
      removeFileNow(temporary);
      throw error;
    }
  }

  /** `false`: there is a file of that name. */
  #create(path: string, line: string): boolean {
    let descriptor: number;
    try {
      descriptor = openSync(path, 'ax', 0o600);
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    }
    this.close();
    this.#descriptor = descriptor;
    try {
      writeFileSync(descriptor, line);
      return true;
    } catch (error) {
      this.close();
      removeFileNow(path);
      throw error;
    }
  }
}
