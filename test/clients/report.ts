import { appendFile, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** What is shown of each client. */
export interface ReportRow {
  readonly install?: string;
  readonly hashed?: string;
  readonly metadata?: string;
  readonly ranges?: string;
  /** Requests of the first and of the second run. */
  readonly first?: string;
  readonly second?: string;
}

const COLUMNS: readonly (readonly [keyof ReportRow, string])[] = [
  ['install', 'install'],
  ['hashed', 'hashed'],
  ['metadata', 'metadata'],
  ['ranges', 'ranges, no metadata offered'],
  ['first', 'requests, first run'],
  ['second', 'requests, second run'],
];

/** Adds to the report's line of a client; later words about the same column replace earlier ones. */
export async function reportOn(
  reportPath: string,
  client: { readonly name: string; readonly version: string },
  row: ReportRow,
): Promise<void> {
  const line = JSON.stringify(row);
  await appendFile(join(reportPath, `${client.name} ${client.version}`), `${line}\n`);
}

/** The report as a table; empty when nobody reported. */
export async function readReport(reportPath: string): Promise<string> {
  const names = (await readdir(reportPath)).toSorted();
  if (names.length === 0) return '';
  const rows = await Promise.all(
    names.map(async (name) => {
      const lines = (await readFile(join(reportPath, name), 'utf8')).trim().split('\n');
      const parts = lines.map((line) => JSON.parse(line) as ReportRow);
      const row: ReportRow = Object.assign({}, ...parts) as ReportRow;
      return [name, ...COLUMNS.map(([key]) => row[key] ?? '–')];
    }),
  );
  return tableOf([['client', ...COLUMNS.map(([, title]) => title)], ...rows]);
}

function tableOf(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) =>
    Math.max(...rows.map((cells) => (cells[at] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  const [head = [], ...body] = rows;
  return [line(head), rule, ...body.map(line)].join('\n');
}
