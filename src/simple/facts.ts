import { InvalidUpstreamAnswerError } from '../core/errors.ts';
import type { ProjectStatus } from './model.ts';

const STATUSES: ReadonlySet<unknown> = new Set<ProjectStatus>([
  'active',
  'archived',
  'quarantined',
  'deprecated',
]);

/** `YYYY-MM-DDThh:mm:ss[.ffffff]Z` (PEP 700). */
const UPLOAD_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?Z$/;
/** Other ISO 8601 times that name their zone, as some servers send them. */
const ZONED_TIME = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})$/i;

/**
 * Checks the version of the Simple API that a page declares (PEP 629). No known client refuses a
 * higher major version, so we do it for them. A missing version means 1.0.
 *
 * @throws InvalidUpstreamAnswerError when the version is malformed or its major part is not 1
 */
export function checkApiVersion(version: unknown): void {
  if (version === undefined || version === null) return;
  const text = typeof version === 'number' ? String(version) : version;
  if (typeof text === 'string' && /^\s*0*1(?:\.\d+)*\s*$/.test(text)) return;
  throw new InvalidUpstreamAnswerError(
    `The index speaks version ${JSON.stringify(version)?.slice(0, 40)} of the Simple API; only 1.x is understood.`,
  );
}

/** A project status marker (PEP 792). Unknown ones mean `active`. */
export function parseStatus(status: unknown): ProjectStatus {
  return STATUSES.has(status) ? (status as ProjectStatus) : 'active';
}

/** An upload time as given when it has the form of PEP 700, converted to it where possible, or `null`. */
export function parseUploadTime(time: unknown): string | null {
  if (typeof time !== 'string' || !ZONED_TIME.test(time)) return null;
  const milliseconds = Date.parse(time);
  if (Number.isNaN(milliseconds)) return null;
  // Spelled this way the microseconds survive.
  const universal = time.replace(' ', 'T').replace(/[+-]00:?00$/, 'Z');
  return UPLOAD_TIME.test(universal) ? universal : new Date(milliseconds).toISOString();
}

/** A size in bytes or a serial: a whole number that is not negative. */
export function isWholeNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** A string with something in it, or `null`. */
export function nonEmptyString(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
