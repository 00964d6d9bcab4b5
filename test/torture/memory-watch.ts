import { readFileSync, readdirSync } from 'node:fs';

/** How much a process takes at one time. */
interface Sample {
  readonly atMs: number;
  readonly rssMb: number;
  readonly descriptors: number;
}

/** What became of it in the course of time. */
export interface MemoryReport {
  readonly samples: number;
  readonly firstQuarterMb: number;
  readonly lastQuarterMb: number;
  readonly highestMb: number;
  /** Of a line through the samples of the last three quarters: the first one is warming up. */
  readonly slopeMbPerHour: number;
  readonly descriptorsFirstQuarter: number;
  readonly descriptorsLastQuarter: number;
  /** Medians of twelve equal times, in order. */
  readonly twelfthsMb: readonly number[];
}

/** Looks at a process every `intervalMs`, by `/proc`. */
export class MemoryWatch {
  readonly #pid: number;
  readonly #samples: Sample[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(pid: number, intervalMs: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.#look(), intervalMs);
  }

  /** How things stood when it looked last. */
  get latest(): Partial<Sample> {
    return this.#samples.at(-1) ?? {};
  }

  /** Ends it; what was seen. */
  stop(): MemoryReport {
    clearInterval(this.#timer);
    const samples = this.#samples;
    const part = (from: number, to: number): Sample[] =>
      samples.slice(Math.floor(samples.length * from), Math.ceil(samples.length * to));
    const rss = (some: readonly Sample[]): number => medianOf(some.map(({ rssMb }) => rssMb));
    const descriptors = (some: readonly Sample[]): number =>
      medianOf(some.map((sample) => sample.descriptors));
    return {
      samples: samples.length,
      firstQuarterMb: rss(part(0, 0.25)),
      lastQuarterMb: rss(part(0.75, 1)),
      highestMb: Math.max(...samples.map(({ rssMb }) => rssMb)),
      slopeMbPerHour: slopeOf(part(0.25, 1)) * 3_600_000,
      descriptorsFirstQuarter: descriptors(part(0, 0.25)),
      descriptorsLastQuarter: descriptors(part(0.75, 1)),
      twelfthsMb: Array.from({ length: 12 }, (_, at) => rss(part(at / 12, (at + 1) / 12))),
    };
  }

  #look(): void {
    const status = readFileSync(`/proc/${this.#pid}/status`, 'utf8');
    const rssMb = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1_024;
    const descriptors = readdirSync(`/proc/${this.#pid}/fd`).length;
    this.#samples.push({ atMs: performance.now(), rssMb, descriptors });
  }
}

/** The middle value; NaN of none. */
export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Least squares: MB a millisecond. */
function slopeOf(samples: readonly Sample[]): number {
  const mean = (values: number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanAt = mean(samples.map(({ atMs }) => atMs));
  const meanRss = mean(samples.map(({ rssMb }) => rssMb));
  let above = 0;
  let below = 0;
  for (const { atMs, rssMb } of samples) {
    above += (atMs - meanAt) * (rssMb - meanRss);
    below += (atMs - meanAt) ** 2;
  }
  return above / below;
}
