/** A document, or part of one, as read: nothing about it is known yet. */
export type RawDocument = Readonly<Record<string, unknown>>;

/** A way into a document: names of keys and indexes of list entries. */
export type KeyPath = readonly PropertyKey[];

/** Whether a value has keys (a list has none). */
export function isRawDocument(value: unknown): value is RawDocument {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value at `path`; `undefined` when the way ends before. */
export function valueAt(document: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>((value, part) => {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part))
      return undefined;
    return (value as Record<PropertyKey, unknown>)[part];
  }, document);
}

/** A copy of `document` with `value` at `path`; sections on the way are made as needed. */
export function withValue(
  document: RawDocument,
  path: readonly string[],
  value: unknown,
): RawDocument {
  const [head = '', ...rest] = path;
  if (rest.length === 0) return { ...document, [head]: value };
  const section = document[head];
  return { ...document, [head]: withValue(isRawDocument(section) ? section : {}, rest, value) };
}

/** `above` laid over `below`: sections key by key, everything else as a whole. */
export function overlay(below: RawDocument, above: RawDocument): RawDocument {
  const changed = Object.entries(above).map(([key, value]): [string, unknown] => {
    const section = below[key];
    if (!isRawDocument(section) || !isRawDocument(value)) return [key, value];
    return [key, { ...section, ...value }];
  });
  return { ...below, ...Object.fromEntries(changed) };
}
