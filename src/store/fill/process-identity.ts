import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** What tells one process from every other one, past and present, as far as the system lets us know. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time in clock ticks since boot (`/proc/<pid>/stat` field 22); `null` where there is no /proc. */
  readonly startTime: string | null;
  /** Changes with every boot; the host name where the system gives none. */
  readonly boot: string;
  /** Process ids mean nothing across pid namespaces. */
  readonly pidNamespace: string | null;
}

let own: ProcessIdentity | undefined;

/** The identity of this process, asked of the system once. */
export function thisProcess(): ProcessIdentity {
  own ??= {
    pid: process.pid,
    startTime: startTimeOf(process.pid)?.startTime ?? null,
    boot: readText('/proc/sys/kernel/random/boot_id')?.trim() ?? hostname(),
    pidNamespace: pidNamespace(),
  };
  return own;
}

/**
 * Whether the process is dead beyond doubt: same boot and pid namespace, and its pid is free, belongs to
 * a process that started later, or is a zombie (which `kill(pid, 0)` takes for alive). Doubt means `false`.
 */
export function isProvablyDead(other: ProcessIdentity): boolean {
  const { boot, pidNamespace: namespace } = thisProcess();
  if (other.boot !== boot || other.pidNamespace !== namespace) return false;
  const present = startTimeOf(other.pid);
  if (present === undefined) return !answersSignals(other.pid);
  if (present.state === 'Z' || present.state === 'X') return true;
  return other.startTime !== null && present.startTime !== other.startTime;
}

function startTimeOf(pid: number): { startTime: string; state: string } | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === null) return undefined;
  // The command name may hold spaces and brackets: fields are counted from the last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startTime] = [fields[0], fields[19]];
  return state === undefined || startTime === undefined ? undefined : { state, startTime };
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function pidNamespace(): string | null {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return null;
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
