import { readFileSync, readdirSync, writeFileSync } from 'node:fs';

/** `USER_HZ`: the unit of times in /proc, the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** What a process and all its descendants use. */
export interface Usage {
  /** User and system time so far, microseconds; a step is 10,000. */
  readonly cpuMicros: number;
  readonly residentBytes: number;
  /** The sum of each process's highest resident set since `forgetPeaks`, or its start. */
  readonly peakResidentBytes: number;
}

/** Usage of the process and its descendants; `null` where there is no /proc (macOS). */
export function usageOf(pid: number): Usage | null {
  const processes = familyOf(pid);
  if (processes === null) return null;
  let [cpuMicros, residentBytes, peakResidentBytes] = [0, 0, 0];
  for (const member of processes) {
    const stat = statFields(member);
    const status = readOrNull(`/proc/${member}/status`) ?? '';
    if (stat === null) continue;
    // utime and stime are fields 14 and 15 (proc_pid_stat(5)); `statFields` begins with the third.
    const ticks = Number(stat[11]) + Number(stat[12]);
    cpuMicros += (ticks * 1e6) / TICKS_PER_SECOND;
    residentBytes += kilobytes(status, 'VmRSS') * 1024;
    peakResidentBytes += kilobytes(status, 'VmHWM') * 1024;
  }
  return { cpuMicros, residentBytes, peakResidentBytes };
}

/** Lets peaks begin at what is resident now. Without permission they go on from the start. */
export function forgetPeaks(pid: number): void {
  for (const member of familyOf(pid) ?? []) {
    try {
      writeFileSync(`/proc/${member}/clear_refs`, '5');
    } catch {
      // Not ours, or gone.
    }
  }
}

function familyOf(pid: number): number[] | null {
  let names: string[];
  try {
    names = readdirSync('/proc');
  } catch {
    return null;
  }
  const childrenOf = new Map<number, number[]>();
  for (const name of names) {
    const stat = /^\d+$/.test(name) ? statFields(Number(name)) : null;
    if (stat === null) continue;
    const parent = Number(stat[1]);
    childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), Number(name)]);
  }
  const family = [pid];
  for (const member of family) family.push(...(childrenOf.get(member) ?? []));
  return family;
}

/** Fields of /proc/<pid>/stat from the third on: the second, a name in brackets, may hold anything. */
function statFields(pid: number): string[] | null {
  const text = readOrNull(`/proc/${pid}/stat`);
  return text === null ? null : text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function kilobytes(status: string, key: string): number {
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
