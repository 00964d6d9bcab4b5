import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from './run-command.ts';
import { makeTempFolder } from './temp-folder.ts';

const SCRIPT = fileURLToPath(new URL('packaging_oracle.py', import.meta.url));
const PYTHON = fileURLToPath(new URL('../.clients/current/bin/python', import.meta.url));

/** Asks PyPA's `packaging` and pip about many cases at once; answers come in the order of the cases. */
export async function askPackaging(cases: readonly object[]): Promise<unknown[]> {
  const folder = await makeTempFolder();
  try {
    const file = join(folder.path, 'cases.json');
    await writeFile(file, JSON.stringify(cases));
    const { code, stdout, stderr } = await runCommand(PYTHON, [SCRIPT, file]);
    if (code !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as unknown[];
  } finally {
    await folder.remove();
  }
}

/** Numbers that look random and are the same in every run. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** 0 to 1, without 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** One of these. */
  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.next() * items.length)]!;
  }

  /** Whether something of this probability happens. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }
}
