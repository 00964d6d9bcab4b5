import { isMap, isPair, isScalar, LineCounter, parseDocument } from 'yaml';
import type { Document, Node } from 'yaml';
import { messageOf } from '../core/errors.ts';
import type { Layer } from './problems.ts';
import { isRawDocument } from './raw-document.ts';
import type { KeyPath, RawDocument } from './raw-document.ts';
import { DEFAULT_DOCUMENT } from './schema.ts';

/** A layer, or why there is none. */
export interface LayerReading {
  readonly layer: Layer;
  readonly problems: readonly string[];
}

/** Reads a configuration file's text (YAML 1.2); `file` is its name in messages. Never throws. */
export function readFileLayer(file: string, text: string): LayerReading {
  const lines = new LineCounter();
  // Pretty errors would quote the source, and with it what may be a password.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problems = [...document.errors, ...document.warnings].map(
    (error) => `${file}:${lines.linePos(error.pos[0]).line}: ${error.message}.`,
  );
  const place = (path: KeyPath): string => `${file}:${lineAt(document, lines, path)}`;
  const reading = (raw: RawDocument, found: readonly string[]): LayerReading => ({
    layer: { origin: 'file', document: raw, place },
    problems: found,
  });
  if (problems.length > 0) return reading({}, problems);
  try {
    const raw: unknown = document.toJS();
    if (raw === null || raw === undefined) return reading({}, []);
    if (isRawDocument(raw)) return reading(withoutEmptySections(raw), []);
    return reading({}, [`${file}:1: the file must hold keys and values, such as "offline: true".`]);
  } catch (error) {
    // A file whose aliases multiply beyond reason.
    return reading({}, [`${file}:1: ${messageOf(error)}.`]);
  }
}

/** `cache:` with all its keys commented out is null in YAML, and means nothing. */
function withoutEmptySections(raw: RawDocument): RawDocument {
  const isEmptySection = ([key, value]: [string, unknown]): boolean =>
    value === null && isRawDocument(DEFAULT_DOCUMENT[key]);
  return Object.fromEntries(Object.entries(raw).filter((entry) => !isEmptySection(entry)));
}

/** The line of the key at `path`, or of what would hold it. */
function lineAt(document: Document, lines: LineCounter, path: KeyPath): number {
  const offset = offsetAt(document, path);
  if (offset !== undefined) return lines.linePos(offset).line;
  return path.length === 0 ? 1 : lineAt(document, lines, path.slice(0, -1));
}

function offsetAt(document: Document, path: KeyPath): number | undefined {
  const parent: unknown =
    path.length < 2 ? document.contents : document.getIn(path.slice(0, -1), true);
  const last = path.at(-1);
  if (isMap(parent) && typeof last === 'string') {
    const pair = parent.items.find(
      (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === last,
    );
    return isScalar(pair?.key) ? pair.key.range?.[0] : undefined;
  }
  const node: unknown = document.getIn(path, true);
  return typeof node === 'object' && node !== null ? (node as Node).range?.[0] : undefined;
}
