declare const normalized: unique symbol;

/** A project name after PEP 503 normalization: lower-case ASCII letters, digits and single `-`. */
export type ProjectName = string & { readonly [normalized]: true };

/**
 * ASCII only and without the `i` flag: under it, with `u`, the Kelvin sign would match `k`.
 * (Name format: packaging.python.org, "Names and normalization".)
 */
const VALID_NAME = /^(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9])$/;

/** Longer names are refused before any look-up; the official index allows far less. */
const LONGEST_NAME = 200;

/**
 * The normalized form of a project name (PEP 503), or `undefined` when `raw` is no valid name.
 *
 * @example parseProjectName('Zope.Interface') // 'zope-interface'
 */
export function parseProjectName(raw: string): ProjectName | undefined {
  if (raw.length > LONGEST_NAME || !VALID_NAME.test(raw)) return undefined;
  return raw.replace(/[-_.]+/g, '-').toLowerCase() as ProjectName;
}

/** Whether `raw` is already in normalized form. */
export function isNormalized(raw: string): raw is ProjectName {
  return parseProjectName(raw) === raw;
}
