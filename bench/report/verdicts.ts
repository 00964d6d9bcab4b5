import type { Cell, Row, SubjectName, Target, Verdict } from './result.ts';
import { median } from './statistics.ts';

/** Holds a row's targets against what was measured; `rows` are all of the run. */
export function verdictsOf(row: Row, rows: readonly Row[]): Verdict[] {
  return row.targets.map((target) => {
    const measured = measuredFor(target, row, rows);
    return { target, measured, outcome: outcomeOf(target, measured) };
  });
}

/** The median of a cell; `null` when there is none. */
export function medianOf(cell: Cell | undefined): number | null {
  return cell === undefined || 'missing' in cell || cell.values.length === 0
    ? null
    : median(cell.values);
}

/** Our median over another's in the same row; `null` when a side is missing. */
export function ratioTo(row: Row, subject: SubjectName): number | null {
  const [ours, theirs] = [medianOf(row.cells.ours), medianOf(row.cells[subject])];
  return ours === null || theirs === null || theirs === 0 ? null : ours / theirs;
}

function measuredFor(target: Target, row: Row, rows: readonly Row[]): number | null {
  const ours = medianOf(row.cells[target.subject ?? 'ours']);
  if (ours === null || target.form === 'is') return ours;
  const other = target.row === undefined ? row : rows.find(({ id }) => id === target.row);
  const theirs = medianOf(other?.cells[target.of ?? 'ours']);
  if (theirs === null) return null;
  if (target.form === 'plus') return ours - theirs;
  if (target.form === 'rest') {
    const warm = medianOf(row.cells.warm);
    return warm === null || theirs <= warm ? null : (ours - warm) / (theirs - warm);
  }
  return theirs === 0 ? null : ours / theirs;
}

function outcomeOf(target: Target, measured: number | null): Verdict['outcome'] {
  if (measured === null) return 'unknown';
  const holds = target.bound === 'at least' ? measured >= target.value : measured <= target.value;
  return holds ? 'met' : 'missed';
}
