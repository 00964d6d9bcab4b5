import type { Cell, Outcome, Row, Setting, SubjectName, Target, Verdict } from './result.ts';
import { SUBJECTS } from './result.ts';
import { summarize } from './statistics.ts';
import { medianOf, ratioTo, verdictsOf } from './verdicts.ts';

/** Subjects that ours is divided by, with the heading of that column. */
const RATIOS: readonly (readonly [subject: SubjectName, heading: string])[] = [
  ['raw node', '÷ raw node'],
  ['nginx static', '÷ nginx static'],
  ['devpi', '÷ devpi'],
];

/** The run as Markdown: machine, one table a group, targets, who was absent. */
export function outcomeMarkdown(
  outcome: Outcome,
  titles: Readonly<Record<string, string>>,
): string {
  const groups = [...new Set(outcome.rows.map(({ group }) => group))];
  const missed = outcome.rows.flatMap((row) =>
    verdictsOf(row, outcome.rows).filter((verdict) => verdict.outcome === 'missed'),
  ).length;
  const judged = outcome.rows.flatMap((row) => verdictsOf(row, outcome.rows));
  const met = judged.filter((verdict) => verdict.outcome === 'met').length;
  const unknown = judged.length - met - missed;
  return (
    [
      settingMarkdown(outcome.setting, outcome.seconds),
      `**${met} targets met, ${missed} missed${unknown === 0 ? '' : `, ${unknown} not judged (a side was absent)`}.**`,
      ...groups.map((group) =>
        [
          `### ${titles[group] ?? group}`,
          groupTable(
            outcome.rows.filter((row) => row.group === group),
            outcome.rows,
          ),
        ].join('\n\n'),
      ),
      ...(outcome.absences.length === 0
        ? []
        : [
            [
              '### Not measured',
              '',
              ...outcome.absences.map(({ subject, reason }) => `- ${subject}: ${oneLine(reason)}`),
            ].join('\n'),
          ]),
      '',
    ]
      .join('\n\n')
      .trimEnd() + '\n'
  );
}

function settingMarkdown(setting: Setting, seconds: number): string {
  const versions = Object.entries(setting.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `- Machine: ${setting.cpu}, ${setting.cores} cores, ${setting.memoryGigabytes} GB, ${setting.kernel}`,
    `- Programs: Node ${setting.node}; ${versions.join('; ')}`,
    `- Load: ${setting.loadGenerator}; medians of ${setting.rounds} interleaved rounds (least–most)`,
    `- When: ${setting.startedAt}, in ${Math.round(seconds)} s; load average before: ${setting.loadBefore.toFixed(2)}`,
  ].join('\n');
}

/** One table: a line for each row, a column for each subject that took part. */
export function groupTable(rows: readonly Row[], all: readonly Row[]): string {
  const subjects = SUBJECTS.filter((name) => rows.some((row) => row.cells[name] !== undefined));
  const ratios = RATIOS.filter(([name]) => rows.some((row) => ratioTo(row, name) !== null));
  const head = ['work', 'unit', ...subjects, ...ratios.map(([, heading]) => heading), 'target'];
  const lines = rows.map((row) => [
    row.work,
    row.unit,
    ...subjects.map((name) => cellText(row.cells[name])),
    ...ratios.map(([name]) => numberOrDash(ratioTo(row, name))),
    verdictsOf(row, all).map(verdictText).join('; ') || '–',
  ]);
  const align = head.map((_, at) => (at === 0 || at === head.length - 1 ? '---' : '---:'));
  return [head, align, ...lines].map((cells) => `| ${cells.map(escaped).join(' | ')} |`).join('\n');
}

function cellText(cell: Cell | undefined): string {
  if (cell === undefined) return '–';
  if ('missing' in cell) return `– (${oneLine(cell.missing)})`;
  if (cell.values.length === 0) return '–';
  const { median, least, most } = summarize(cell.values);
  const spread = cell.values.length > 1 ? ` (${formatted(least)}–${formatted(most)})` : '';
  const cpu =
    cell.cpuMicros.length === 0 ? '' : `, ${formatted(summarize(cell.cpuMicros).median)} µs`;
  return `${formatted(median)}${spread}${cpu}`;
}

function verdictText({ target, measured, outcome }: Verdict): string {
  const mark = { met: 'met', missed: '**missed**', unknown: 'not judged' }[outcome];
  return measured === null
    ? `${targetText(target)}: ${mark}`
    : `${targetText(target)}: ${formatted(measured)}, ${mark}`;
}

function targetText({ form, of, row, bound, value, subject }: Target): string {
  if (subject !== undefined)
    return `${subject} ${targetText({ form, of, row, bound, value } as Target)}`;
  const sign = bound === 'at least' ? '≥' : '≤';
  const other = row === undefined ? of : `${of === undefined ? '' : `${of}, `}${row}`;
  if (form === 'is') return `${sign} ${value}`;
  if (form === 'rest') return `${sign} ${value} of the rest`;
  if (form === 'plus') return `${sign} ${other} + ${value}`;
  return `${sign} ${value} × ${other}`;
}

/** Three digits that matter; `k` for thousands; small whole numbers as they are. */
export function formatted(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size < 1000 && Number.isInteger(value)) return String(value);
  if (size >= 99_950) return `${(value / 1000).toFixed(0)}k`;
  if (size >= 10_000) return `${(value / 1000).toFixed(1)}k`;
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(2);
}

const numberOrDash = (value: number | null): string => (value === null ? '–' : formatted(value));
const escaped = (text: string): string => text.replaceAll('|', '\\|');
const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim().slice(0, 200);

const BEGIN = '<!-- bench: begin -->';
const END = '<!-- bench: end -->';

/**
 * The document with what lies between its markers replaced.
 *
 * @throws Error when the markers are not there, once each and in order
 */
export function betweenMarkers(document: string, table: string): string {
  const [before, middle, ...more] = document.split(BEGIN);
  const [, after, ...rest] = (middle ?? '').split(END);
  if (before === undefined || after === undefined || more.length > 0 || rest.length > 0) {
    throw new Error(`The document needs ${BEGIN} and ${END}, once each and in this order.`);
  }
  return `${before}${BEGIN}\n\n${table.trim()}\n\n${END}${after}`;
}

/** One line for a terminal. */
export function rowLine(row: Row, all: readonly Row[]): string {
  const cells = SUBJECTS.flatMap((name) => {
    const cell = row.cells[name];
    if (cell === undefined) return [];
    const value = medianOf(cell);
    return value === null ? [] : [`${name} ${cellText(cell)}`];
  });
  const verdicts = verdictsOf(row, all).map(verdictText).join('; ');
  return `${row.work} [${row.unit}]: ${cells.join(' | ')}${verdicts === '' ? '' : `  → ${verdicts}`}`;
}
