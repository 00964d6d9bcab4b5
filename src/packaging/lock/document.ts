import { parse } from 'smol-toml';
import { ConfigurationError, messageOf } from '../../core/errors.ts';

/** A table of a TOML or JSON document; nothing is known of its values yet. */
export type Table = Readonly<Record<string, unknown>>;

/** What documents give where a table is missing. */
const NO_TABLE: Table = {};

/** Reads TOML 1.0. @throws ConfigurationError that names the file and the place */
export function readToml(filename: string, text: string): Table {
  try {
    return parse(text);
  } catch (error) {
    const [what = ''] = messageOf(error).split('\n');
    const at =
      error instanceof Error && 'line' in error && typeof error.line === 'number'
        ? `:${error.line}`
        : '';
    throw new ConfigurationError([`${filename}${at} cannot be read as TOML: ${what}.`], {
      cause: error,
    });
  }
}

/** Reads JSON whose outermost value is an object. @throws ConfigurationError that names the file */
export function readJson(filename: string, text: string): Table {
  try {
    const document: unknown = JSON.parse(text);
    if (isTable(document)) return document;
  } catch (error) {
    throw new ConfigurationError([`${filename} cannot be read as JSON: ${messageOf(error)}.`], {
      cause: error,
    });
  }
  throw new ConfigurationError([`${filename} is no JSON object.`]);
}

/** Whether a value has keys. Dates of TOML have none. */
export function isTable(value: unknown): value is Table {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
  );
}

/** The table under a key; an empty one when there is none. */
export function tableAt(table: Table, key: string): Table {
  const value = Object.hasOwn(table, key) ? table[key] : undefined;
  return isTable(value) ? value : NO_TABLE;
}

/** The tables of a list under a key; others are left out. */
export function tablesAt(table: Table, key: string): readonly Table[] {
  return listAt(table, key).filter(isTable);
}

/** The list under a key; empty when there is none. */
export function listAt(table: Table, key: string): readonly unknown[] {
  const value = Object.hasOwn(table, key) ? table[key] : undefined;
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

/** The texts of a list under a key. */
export function textsAt(table: Table, key: string): readonly string[] {
  return listAt(table, key).filter((value) => typeof value === 'string');
}

/** The text under a key; `null` when there is none. */
export function textAt(table: Table, key: string): string | null {
  const value = Object.hasOwn(table, key) ? table[key] : undefined;
  return typeof value === 'string' ? value : null;
}

/** The whole number under a key, not negative; `null` when there is none. */
export function countAt(table: Table, key: string): number | null {
  const value = Object.hasOwn(table, key) ? table[key] : undefined;
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

/** The keys that have tables, with them. */
export function tableEntries(table: Table): readonly (readonly [key: string, value: Table])[] {
  return Object.entries(table).filter((entry): entry is [string, Table] => isTable(entry[1]));
}
