import { normalizeName } from './locked-set.ts';

/** The package that an address in a lock belongs to. */
export interface AddressedPackage {
  /** Normalized. */
  readonly name: string;
  readonly version: string | null;
}

/** One address in the text of a lock file. */
export interface LockAddress {
  /** Where it stands in the text, the end excluded. */
  readonly start: number;
  readonly end: number;
  /** Counted from 1. */
  readonly line: number;
  readonly text: string;
  /** `path` is a bare path as uv writes it for `file://` indexes; `host` the value of `--trusted-host`. */
  readonly kind: 'url' | 'path' | 'host';
  /** Its key in the lock (`registry`, `path`, `url`); `null` where there is none. */
  readonly key: string | null;
  /** `null` for what concerns the whole. */
  readonly owner: AddressedPackage | null;
}

/** Addresses of indexes and files. Those behind `git+` lead to repositories. */
const URL_TEXT = /(?<![+\w])(?:https?|file):\/\/[^\s"'<>`{}|\\^,]+/gi;
/** What may stand right behind a URL and is no part of it. */
const AFTER_URL = /[)\];.]+$/;
const PATH_TEXT = /\b(registry|path|index)\s*=\s*(["'])(\/[^"']+)\2/g;
const TRUSTED_HOST = /^\s*--trusted-host(?:\s+|=)(\S+)/;

const BLOCK = /^\s*\[\[packages?\]\]\s*$/;
const BLOCK_FACT = /^(name|version)\s*=\s*["']([^"']+)["']/;
/** The inline table that an address stands in: `{ name = "x", version = "1", source = { registry = "`. */
const INLINE =
  /\{\s*name\s*=\s*["']([^"']+)["'](?:\s*,\s*version\s*=\s*["']([^"']+)["'])?[^{}]*(?:\{[^{}]*)?$/;
const REQUIREMENT =
  /^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(?:==\s*([^\s;\\]+)|@)/;
const KEY = /([A-Za-z-]+)"?\s*[=:]\s*["']$/;

/**
 * Every address in a lock file of whatever format, comments included, in the order of the text. Nothing
 * is parsed as a whole: what is found can be replaced at its place, and all else stays as it is.
 */
export function addressesIn(text: string): readonly LockAddress[] {
  const found: LockAddress[] = [];
  let owner: AddressedPackage | null = null;
  let lineStart = 0;
  for (const [index, line] of text.split('\n').entries()) {
    owner = ownerAfter(line, owner);
    found.push(
      ...addressesOfLine(line, owner).map((each) => ({
        ...each,
        start: lineStart + each.start,
        end: lineStart + each.end,
        line: index + 1,
      })),
    );
    lineStart += line.length + 1;
  }
  return found;
}

/** The package whose part of the lock goes on behind this line's beginning. */
function ownerAfter(line: string, before: AddressedPackage | null): AddressedPackage | null {
  if (BLOCK.test(line)) return { name: '', version: null };
  const requirement = REQUIREMENT.exec(line);
  if (requirement !== null)
    return { name: normalizeName(requirement[1] ?? ''), version: requirement[2] ?? null };
  const [, fact, value = ''] = BLOCK_FACT.exec(line) ?? [];
  // pip's pylock.toml has names of files further down in the block.
  if (fact === 'name' && before?.name === '') return { name: normalizeName(value), version: null };
  if (fact === 'version' && before !== null && before.version === null)
    return { ...before, version: value };
  return before;
}

function addressesOfLine(
  line: string,
  owner: AddressedPackage | null,
): readonly Omit<LockAddress, 'line'>[] {
  const found: Omit<LockAddress, 'line'>[] = [];
  for (const match of line.matchAll(URL_TEXT)) {
    const text = match[0].replace(AFTER_URL, '');
    found.push(placed('url', text, match.index, line, owner));
  }
  for (const match of line.matchAll(PATH_TEXT)) {
    const text = match[3] ?? '';
    found.push(placed('path', text, match.index + match[0].length - 1 - text.length, line, owner));
  }
  const host = TRUSTED_HOST.exec(line);
  if (host?.[1] !== undefined)
    found.push(placed('host', host[1], host[0].length - host[1].length, line, null));
  return found;
}

function placed(
  kind: LockAddress['kind'],
  text: string,
  start: number,
  line: string,
  owner: AddressedPackage | null,
): Omit<LockAddress, 'line'> {
  const before = line.slice(0, start);
  const [, name, version] = INLINE.exec(before) ?? [];
  const inline =
    name === undefined ? null : { name: normalizeName(name), version: version ?? null };
  const key = KEY.exec(before)?.[1] ?? null;
  return { kind, text, start, end: start + text.length, key, owner: inline ?? owner };
}
