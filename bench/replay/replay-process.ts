import { fileURLToPath } from 'node:url';
import type { Children } from '../children.ts';
import { Remote } from '../remote.ts';
import type { ReplayQuestions } from './replay.ts';
import { QUIET } from './weather.ts';
import type { Counts, Weather } from './weather.ts';

/** The replayed index, as the other processes of the benchmark see it. */
export class Replay {
  readonly origin: string;
  readonly #remote: Remote<ReplayQuestions>;

  private constructor(remote: Remote<ReplayQuestions>, port: number) {
    this.#remote = remote;
    this.origin = `http://127.0.0.1:${port}`;
  }

  /** Starts the process; it listens on a free port of 127.0.0.1. */
  static async start(children: Children): Promise<Replay> {
    const path = fileURLToPath(new URL('replay.ts', import.meta.url));
    const remote = await Remote.start<ReplayQuestions>(children, path);
    return new Replay(remote, await remote.ask('listen', undefined));
  }

  /** `<origin>/simple/`. */
  get indexUrl(): string {
    return `${this.origin}/simple/`;
  }

  /** Makes projects now, so that the first who asks does not wait for it. */
  prepare(names: readonly string[]): Promise<void> {
    return this.#remote.ask('prepare', names);
  }

  /** From now on; what is not named is as in `QUIET`. */
  setWeather(weather: Partial<Weather>): Promise<void> {
    return this.#remote.ask('setWeather', { ...QUIET, ...weather });
  }

  /** Sets all counters to zero. */
  forget(): Promise<void> {
    return this.#remote.ask('forget', undefined);
  }

  counts(): Promise<Counts> {
    return this.#remote.ask('counts', undefined);
  }

  stop(): Promise<void> {
    return this.#remote.stop();
  }
}
