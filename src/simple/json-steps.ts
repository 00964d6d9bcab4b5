import type { Steps } from './slices.ts';

/** A shorter text is parsed at once; this takes about 1 ms. */
const PARSED_AT_ONCE_BYTES = 128 * 1024;
/** A chunk of members ends behind the first one that reaches this length. */
const CHUNK_BYTES = 64 * 1024;
/** Bytes looked through in one step; about 1 ms. */
const SCANNED_IN_STEP = 512 * 1024;

/** Stands for the container while the rest of the text is parsed. No text of an index begins so. */
const PLACEHOLDER = '\u0000container';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
/** What opens a container has these bits, and so has what closes it but for one. */
const BRACE_BIT = 0x20;

/** Called with every text that is parsed and its value, to refuse some. */
export type JsonCheck = (text: string, value: unknown) => void;

/**
 * `JSON.parse` of UTF-8 in steps: the members of one large container (an array or object), which nearly
 * all of the text consists of, are parsed chunk by chunk. A byte order mark at the front is passed over.
 *
 * @param path keys that lead to the container
 * @throws SyntaxError when it is not JSON; TypeError when it is not UTF-8
 */
export function* parseJsonSteps(
  bytes: Uint8Array,
  path: readonly [string, ...string[]],
  check: JsonCheck = () => {},
): Steps<unknown> {
  if (bytes.length <= PARSED_AT_ONCE_BYTES) return parse(bytes, '', '', check);
  const container = yield* findContainer(bytes, path);
  if (container === undefined) return parse(bytes, '', '', check);
  const value = yield* parseMembers(bytes, container, check);
  const rest = Buffer.concat([
    bytes.subarray(0, container.start),
    Buffer.from(JSON.stringify(PLACEHOLDER)),
    bytes.subarray(container.end),
  ]);
  const whole = parse(rest, '', '', check);
  if (putIn(whole, path, value)) return whole;
  // The same key comes a second time, spelled with escapes.
  return parse(bytes, '', '', check);
}

/** Where a container stands in the text, its brackets included, and its chunks of whole members. */
interface Container {
  readonly start: number;
  readonly end: number;
  readonly isArray: boolean;
  /** Positions of the commas between chunks. */
  readonly cuts: readonly number[];
}

/** The container, unless there are several under its key or the text cannot be JSON. */
function* findContainer(bytes: Uint8Array, path: readonly string[]): Steps<Container | undefined> {
  const keys = path.map((key) => Buffer.from(key));
  let found: Container | undefined;
  let start = -1;
  let cuts: number[] = [];
  let chunkStart = 0;
  let depth = 0;
  /** How many keys of the path lead to where we are, as far as we have kept to it. */
  let matched = 0;
  let stringStart = -1;
  let stringEnd = -1;
  let isKeyOnPath = false;
  let pauseAt = SCANNED_IN_STEP;
  for (let at = 0; at < bytes.length; at++) {
    switch (bytes[at]) {
      case QUOTE: {
        const end = endOfString(bytes, at);
        if (end === -1) return undefined;
        if (depth === matched + 1) {
          stringStart = at + 1;
          stringEnd = end;
        }
        at = end;
        break;
      }
      case COLON:
        if (depth === matched + 1) {
          const key = keys[matched];
          isKeyOnPath = key !== undefined && isSame(bytes, stringStart, stringEnd, key);
        }
        break;
      case COMMA:
        if (depth === matched + 1) isKeyOnPath = false;
        if (start !== -1 && depth === path.length + 1 && at - chunkStart >= CHUNK_BYTES) {
          cuts.push(at);
          chunkStart = at;
        }
        break;
      case OPEN_BRACE:
      case OPEN_BRACKET:
        if (isKeyOnPath && depth === matched + 1) {
          isKeyOnPath = false;
          matched++;
          if (matched === path.length) {
            if (found !== undefined) return undefined;
            start = at;
            chunkStart = at;
            cuts = [];
          }
        }
        depth++;
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        depth--;
        isKeyOnPath = false;
        if (matched > 0 && depth === matched) {
          if (matched === path.length) {
            if (!fits(bytes[start], bytes[at])) return undefined;
            const isArray = bytes[start] === OPEN_BRACKET;
            found = { start, end: at + 1, isArray, cuts };
            start = -1;
          }
          matched--;
        }
        break;
      default:
    }
    if (at >= pauseAt) {
      pauseAt = at + SCANNED_IN_STEP;
      yield;
    }
  }
  return found;
}

/** The position of the closing quote; -1 when there is none. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let at = start + 1; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) return at;
    if (byte === BACKSLASH) at++;
  }
  return -1;
}

function isSame(bytes: Uint8Array, start: number, end: number, key: Uint8Array): boolean {
  if (end - start !== key.length) return false;
  return key.every((byte, at) => bytes[start + at] === byte);
}

function fits(open: number | undefined, close: number | undefined): boolean {
  return open !== undefined && close !== undefined && (open & BRACE_BIT) === (close & BRACE_BIT);
}

function* parseMembers(
  bytes: Uint8Array,
  { start, end, isArray, cuts }: Container,
  check: JsonCheck,
): Steps<unknown> {
  const list: unknown[] = [];
  const members: Record<string, unknown> = {};
  const [open, close] = isArray ? ['[', ']'] : ['{', '}'];
  for (let at = 0; at <= cuts.length; at++) {
    yield;
    const from = (cuts[at - 1] ?? start) + 1;
    const to = cuts[at] ?? end - 1;
    const chunk = parse(bytes.subarray(from, to), open, close, check);
    if (isArray) {
      const values = chunk as readonly unknown[];
      if (values.length === 0 && cuts.length > 0) throw new SyntaxError('A member is missing.');
      for (const value of values) list.push(value);
    } else {
      const entries = Object.entries(chunk as object);
      if (entries.length === 0 && cuts.length > 0) throw new SyntaxError('A member is missing.');
      for (const [key, value] of entries) put(members, key, value);
    }
  }
  return isArray ? list : members;
}

/** As `JSON.parse` does: `__proto__` is a key like any other. */
function put(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') object[key] = value;
  else
    Object.defineProperty(object, key, {
      value,
      configurable: true,
      enumerable: true,
      writable: true,
    });
}

function parse(bytes: Uint8Array, open: string, close: string, check: JsonCheck): unknown {
  // Inside the text a byte order mark is a mistake and must not be lost.
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: open !== '' });
  const text = open + decoder.decode(bytes) + close;
  const value: unknown = JSON.parse(text);
  check(text, value);
  return value;
}

/** Puts the container in its place; `false` when another value stands there. */
function putIn(whole: unknown, path: readonly string[], value: unknown): boolean {
  let holder = whole as Record<string, unknown>;
  for (const key of path.slice(0, -1)) holder = holder[key] as Record<string, unknown>;
  const last = path.at(-1) ?? '';
  if (holder?.[last] !== PLACEHOLDER) return false;
  holder[last] = value;
  return true;
}
