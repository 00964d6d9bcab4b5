/** A parsed JSON object. Keys may be anything, `__proto__` included. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** How deep an unknown value may be nested; `JSON.stringify` recurses and would overflow the stack. */
const DEEPEST_NESTING = 64;

/** Whether a parsed JSON value is an object. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The entries of `object` under keys that are not in `known`, values untouched. `__proto__` and values
 * nested more than 64 deep are left out.
 */
export function unknownKeys(object: JsonObject, known: ReadonlySet<string>): JsonObject {
  const unknown: Record<string, unknown> = {};
  for (const key in object) {
    if (known.has(key) || key === '__proto__' || isTooDeep(object[key], DEEPEST_NESTING)) continue;
    unknown[key] = object[key];
  }
  return unknown;
}

/**
 * Whether a string anywhere in `value`, which was parsed from `text`, holds a lone surrogate. These
 * cannot be written as UTF-8, and JSON can only bring them in as an escape sequence.
 */
export function hasLoneSurrogate(text: string, value: unknown): boolean {
  if (!isWellFormed(text)) return true;
  if (!/\\u[dD][89a-fA-F]/.test(text)) return false;
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next === 'string' && !isWellFormed(next)) return true;
    if (typeof next !== 'object' || next === null) continue;
    for (const [key, inner] of Object.entries(next)) open.push(key, inner);
  }
  return false;
}

function isTooDeep(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (depth === 0) return true;
  return Object.values(value).some((inner) => isTooDeep(inner, depth - 1));
}

/** Node 20 has the method; the library that the compiler is told of (ES2023) does not declare it. */
function isWellFormed(text: string): boolean {
  return (text as unknown as { isWellFormed(): boolean }).isWellFormed();
}
