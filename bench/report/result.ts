/**
 * Whoever is measured. `direct` is the upstream replay without anybody between. Where installs over long ways
 * are measured, `ours` has an empty folder, `learned` is ours with nothing left but what it keeps past eviction,
 * `warm` ours with everything, and `not ahead` ours with an empty folder and `--no-ahead`. `two workers` is ours
 * with `--workers 2`.
 */
export type SubjectName =
  | 'ours'
  | 'learned'
  | 'warm'
  | 'not ahead'
  | 'two workers'
  | 'raw node'
  | 'nginx static'
  | 'nginx cache'
  | 'devpi'
  | 'proxpi'
  | 'direct';

/** The order of columns. */
export const SUBJECTS: readonly SubjectName[] = [
  'ours',
  'learned',
  'warm',
  'not ahead',
  'two workers',
  'raw node',
  'nginx static',
  'nginx cache',
  'devpi',
  'proxpi',
  'direct',
];

/** What one round of one subject gave. */
export interface Measurement {
  readonly value: number;
  /** Processor time of all the subject's processes for one request, microseconds. */
  readonly cpuMicros?: number | null;
}

/** All rounds of one subject, or why there are none. */
export type Cell =
  | { readonly values: readonly number[]; readonly cpuMicros: readonly number[] }
  | { readonly missing: string };

/** What our result is held against. */
export interface Target {
  /**
   * `times`: our median over the other's; `plus`: ours minus the other's; `is`: ours alone; `rest`: what is left of
   * the way between warm and the other's, (ours − warm) / (other − warm).
   */
  readonly form: 'times' | 'plus' | 'is' | 'rest';
  /** Whose result is judged; `ours` by default. */
  readonly subject?: SubjectName;
  /** Whose result; ours by default, which makes sense with `row`. */
  readonly of?: SubjectName;
  /** Id of the row with the other's result, when it is not the same. */
  readonly row?: string;
  readonly bound: 'at least' | 'at most';
  readonly value: number;
}

/** One kind of work. */
export interface Row {
  readonly id: string;
  /** Key of `GROUPS`. */
  readonly group: string;
  readonly work: string;
  /** `req/s`, `MB/s`, `ms`, `s`, `MB`, … */
  readonly unit: string;
  readonly cells: Partial<Record<SubjectName, Cell>>;
  readonly targets: readonly Target[];
}

/** Whether a target was reached; `unknown` when a side of it is missing. */
export interface Verdict {
  readonly target: Target;
  /** The ratio, difference or value that was held against the bound. */
  readonly measured: number | null;
  readonly outcome: 'met' | 'missed' | 'unknown';
}

/** A subject that took no part, or not in everything. */
export interface Absence {
  readonly subject: string;
  readonly reason: string;
}

/** The machine and the programs, so that figures can be compared with others. */
export interface Setting {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGigabytes: number;
  readonly kernel: string;
  readonly node: string;
  /** Runnable processes, one-minute mean, before anything was measured. */
  readonly loadBefore: number;
  readonly startedAt: string;
  readonly rounds: number;
  readonly loadGenerator: string;
  /** `name` → `version`. */
  readonly versions: Readonly<Record<string, string>>;
}

/** All that a run found out. */
export interface Outcome {
  readonly setting: Setting;
  readonly rows: readonly Row[];
  readonly absences: readonly Absence[];
  readonly seconds: number;
}
