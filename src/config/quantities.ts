/** The unit is always written: a bare number is what people get wrong (seconds? minutes? bytes?). */

const MS_BY_UNIT: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const BYTES_BY_UNIT: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** What a duration looks like. */
export const DURATION_PATTERN: RegExp = /^(\d{1,12}(?:\.\d{1,6})?)\s?(ms|s|m|h|d)$/;

/** What a size looks like: decimal units (KB = 1000 bytes) and binary ones (KiB = 1024 bytes). */
export const SIZE_PATTERN: RegExp = /^(\d{1,15}(?:\.\d{1,6})?)\s?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$/;

/** The accepted forms of a duration, to complete a sentence. */
export const DURATION_FORMS = 'a duration with its unit, such as 300ms, 20s, 10m, 1h or 2d';

/** The accepted forms of a size, to complete a sentence. */
export const SIZE_FORMS = 'a size with its unit, such as 1000B, 64KB, 512MB, 20GB or 10MiB';

/** Milliseconds of a duration such as `10m`, or `undefined` when it is none. */
export function parseDuration(text: string): number | undefined {
  return parseQuantity(text, DURATION_PATTERN, MS_BY_UNIT);
}

/** Bytes of a size such as `20GB`, or `undefined` when it is none. */
export function parseSize(text: string): number | undefined {
  return parseQuantity(text, SIZE_PATTERN, BYTES_BY_UNIT);
}

/** The shortest text that `parseDuration` reads as exactly `ms`. */
export function formatDuration(ms: number): string {
  return formatQuantity(ms, MS_BY_UNIT, 'ms');
}

/** The shortest text that `parseSize` reads as exactly `bytes`. */
export function formatSize(bytes: number): string {
  return formatQuantity(bytes, BYTES_BY_UNIT, 'B');
}

function parseQuantity(
  text: string,
  pattern: RegExp,
  units: Readonly<Record<string, number>>,
): number | undefined {
  const [, amount, unit] = pattern.exec(text.trim()) ?? [];
  const factor = unit === undefined ? undefined : units[unit];
  if (amount === undefined || factor === undefined) return undefined;
  const value = Math.round(Number(amount) * factor);
  return Number.isSafeInteger(value) ? value : undefined;
}

function formatQuantity(
  value: number,
  units: Readonly<Record<string, number>>,
  base: string,
): string {
  const forms = Object.entries(units)
    .filter(([, factor]) => value >= factor && value % factor === 0)
    .map(([unit, factor]) => `${value / factor}${unit}`);
  // On a tie the later one wins, which has the larger unit: 1s rather than 1000ms is shorter anyway.
  return forms.reduce(
    (best, form) => (form.length <= best.length ? form : best),
    `${value}${base}`,
  );
}
