import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Children } from './children.ts';
import type { Load } from './load/load.ts';
import type { Replay } from './replay/replay-process.ts';
import { rowLine } from './report/markdown.ts';
import type { Absence, Cell, Measurement, Row, SubjectName, Target } from './report/result.ts';
import type { RunningSubject, SubjectContext } from './subjects/subject.ts';
import type { Tools } from './tools.ts';

/** What a row is about, before it is measured. */
export interface RowPlan {
  readonly id: string;
  readonly group: string;
  readonly work: string;
  readonly unit: string;
  readonly targets?: readonly Target[];
  /** By default the run's. */
  readonly rounds?: number;
}

/** What one round of each subject is. */
export type Runners = Partial<Record<SubjectName, (round: number) => Promise<Measurement>>>;

/** What a round gives for several rows, by their ids. */
export type Measurements = Readonly<Record<string, Measurement>>;

/** What one round of each subject is, for several rows; `null`: it sits this round out. */
export type SharedRunners = Partial<
  Record<SubjectName, (round: number) => Promise<Measurements | null>>
>;

/** Subjects that take no part, with the reason. */
export type Missing = Partial<Record<SubjectName, string>>;

interface Gathered {
  readonly values: number[];
  readonly cpuMicros: number[];
}

export interface BenchOptions {
  readonly children: Children;
  readonly replay: Replay;
  readonly load: Load;
  readonly tools: Tools;
  /** Deleted at the end. */
  readonly folder: string;
  readonly rounds: number;
  readonly isQuick: boolean;
  /** Only installs over long ways whose names hold this. */
  readonly match: string;
  readonly say: (line: string) => void;
}

/** One run: what it works with, and what it has found out so far. */
export class BenchRun {
  readonly rows: Row[] = [];
  readonly absences: Absence[] = [];
  readonly options: BenchOptions;
  readonly #started: RunningSubject[] = [];
  readonly #folderPaths: string[] = [];
  #folders = 0;

  constructor(options: BenchOptions) {
    this.options = options;
    this.absences.push(...options.tools.absences);
  }

  /** A new, empty folder. */
  newFolder(name: string): string {
    const path = join(this.options.folder, `${++this.#folders}-${name.replaceAll(' ', '-')}`);
    mkdirSync(path, { recursive: true });
    this.#folderPaths.push(path);
    return path;
  }

  /** What a new subject is started with. */
  context(name: string): SubjectContext {
    const { children, replay, tools } = this.options;
    return { children, replay, tools, folder: this.newFolder(name) };
  }

  /** Starts a subject; one that cannot be started is noted with the reason. */
  async start<S extends RunningSubject>(
    name: SubjectName,
    starter: (context: SubjectContext) => Promise<S>,
  ): Promise<S | null> {
    try {
      const subject = await starter(this.context(name));
      this.#started.push(subject);
      return subject;
    } catch (error) {
      this.note(name, error);
      return null;
    }
  }

  /** Notes once why a subject took no part in something. */
  note(subject: string, reason: unknown): void {
    const text = reason instanceof Error ? reason.message : String(reason);
    if (this.absences.some((known) => known.subject === subject && known.reason === text)) return;
    this.absences.push({ subject, reason: text });
    this.options.say(`  ! ${subject}: ${text.slice(0, 300)}`);
  }

  /** Measures one row; see `measureTogether`. */
  async measure(plan: RowPlan, runners: Runners, missing: Missing = {}): Promise<void> {
    const all: SharedRunners = {};
    for (const [name, runner] of Object.entries(runners)) {
      all[name as SubjectName] = async (round) => ({ [plan.id]: await runner(round) });
    }
    await this.measureTogether([plan], all, missing);
  }

  /**
   * Measures rows that one round gives values for: A B C A B C …, so that whatever else the machine does falls
   * on all alike. A subject that fails once is out, with the reason in its cell.
   *
   * @param missing subjects that were out beforehand
   */
  async measureTogether(
    plans: readonly RowPlan[],
    runners: SharedRunners,
    missing: Missing = {},
  ): Promise<void> {
    const found = plans.map(() => new Map<SubjectName, Gathered>());
    const failed = new Map(Object.entries(missing) as [SubjectName, string][]);
    const rounds = plans[0]?.rounds ?? this.options.rounds;
    for (let round = 0; round < rounds; round++) {
      for (const [key, runner] of Object.entries(runners)) {
        const name = key as SubjectName;
        if (failed.has(name)) continue;
        try {
          const measured = await runner(round);
          plans.forEach((plan, at) => gather(found[at]!, name, measured?.[plan.id]));
        } catch (error) {
          failed.set(name, (error as Error).message);
          this.note(`${name}, ${plans[0]?.work}`, error);
        }
      }
    }
    plans.forEach((plan, at) => {
      const cells: Partial<Record<SubjectName, Cell>> = Object.fromEntries(found[at]!);
      for (const [name, reason] of failed) cells[name] = { missing: reason };
      this.add(plan, cells);
    });
  }

  /** Adds a row that was measured otherwise. */
  add(plan: RowPlan, cells: Row['cells']): void {
    const { id, group, work, unit, targets = [] } = plan;
    const row: Row = { id, group, work, unit, cells, targets };
    this.rows.push(row);
    this.options.say(`  ${rowLine(row, this.rows)}`);
  }

  /** Ends subjects. */
  async stop(subjects: readonly RunningSubject[]): Promise<void> {
    await Promise.all(subjects.map((subject) => subject.stop()));
  }

  /** Ends what a group left running and deletes its files: a run writes many gigabytes. */
  async endGroup(): Promise<void> {
    await this.stop(this.#started.splice(0));
    await Promise.all(this.#folderPaths.splice(0).map((folder) => this.discard(folder)));
  }

  /** Deletes a folder that is no longer needed. */
  async discard(folder: string): Promise<void> {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

function gather(
  found: Map<SubjectName, Gathered>,
  name: SubjectName,
  measured: Measurement | undefined,
): void {
  if (measured === undefined) return;
  const cell = found.get(name) ?? { values: [], cpuMicros: [] };
  found.set(name, cell);
  cell.values.push(measured.value);
  if (typeof measured.cpuMicros === 'number') cell.cpuMicros.push(measured.cpuMicros);
}
