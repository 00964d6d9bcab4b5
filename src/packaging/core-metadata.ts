import { parseFilename } from './filenames.ts';
import { parseProjectName } from './names.ts';
import { compareVersions, isValidVersion } from './versions.ts';

/** What core metadata says (packaging.python.org, "Core metadata specifications"). */
export interface MetadataFacts {
  /** As its author writes it; empty when the document does not say. */
  readonly name: string;
  /** As written; empty when the document does not say. */
  readonly version: string;
  readonly summary: string | null;
  /** Specifier set (PEP 345). */
  readonly requiresPython: string | null;
  /** `Requires-Dist`, in its order (PEP 508). */
  readonly requiresDist: readonly string[];
  /** `Provides-Extra`, in its order. */
  readonly providesExtra: readonly string[];
  readonly homePage: string | null;
  /** `Project-URL` as label and URL, in its order (PEP 753). */
  readonly projectUrls: readonly (readonly [label: string, url: string])[];
}

/** What lies behind is not looked at. */
const MOST_BYTES = 10 * 1024 * 1024;

/** A field name of visible ASCII characters, a colon, a value (RFC 822 §3.2). */
const FIELD = /^([!-9;-~]+)[ \t]*:(.*)$/s;

/**
 * What the head of a METADATA or PKG-INFO document says. Unknown fields, a damaged encoding and the
 * body are passed over; of a field that may stand once, the first one counts. Looks at the first 10 MB.
 */
export function metadataFacts(bytes: Uint8Array): MetadataFacts {
  const fields = readFields(bytes);
  const all = (name: string): readonly string[] => fields.get(name) ?? [];
  const one = (name: string): string | null => all(name).find((value) => value !== '') ?? null;
  return {
    name: one('name') ?? '',
    version: one('version') ?? '',
    summary: withoutUnknown(one('summary')),
    requiresPython: withoutUnknown(one('requires-python')),
    requiresDist: all('requires-dist').filter((value) => value !== ''),
    providesExtra: all('provides-extra').filter((value) => value !== ''),
    homePage: withoutUnknown(one('home-page')),
    projectUrls: all('project-url').flatMap(readLabelled),
  };
}

/**
 * Whether the document's name and version are those of `filename`, after normalization (PEP 503, 440).
 */
export function describesFile(bytes: Uint8Array, filename: string): boolean {
  const { name, version } = metadataFacts(bytes);
  const project = parseProjectName(name);
  if (project === undefined) return false;
  const file = parseFilename(filename, project);
  if (file?.project !== project) return false;
  if (file.version === version) return true;
  if (!isValidVersion(file.version) || !isValidVersion(version)) return false;
  return compareVersions(file.version, version) === 0;
}

/** Values by lower-case field name; a line that begins with white space goes on with the one before. */
function readFields(bytes: Uint8Array): ReadonlyMap<string, readonly string[]> {
  const fields = new Map<string, string[]>();
  let values: string[] | undefined;
  for (const line of headLines(bytes)) {
    if (/^[ \t]/.test(line)) {
      const last = values?.pop();
      if (last !== undefined) values?.push(`${last} ${line.trim()}`);
      continue;
    }
    const [, name, value] = FIELD.exec(line) ?? [];
    // Python's reader takes a line of another form for the beginning of the body.
    if (name === undefined || value === undefined) break;
    values = fields.get(name.toLowerCase()) ?? [];
    values.push(value.trim());
    fields.set(name.toLowerCase(), values);
  }
  return fields;
}

/** The lines before the first empty one. */
function* headLines(bytes: Uint8Array): Generator<string, void, undefined> {
  const text = new TextDecoder().decode(bytes.subarray(0, MOST_BYTES));
  let start = 0;
  while (start < text.length) {
    const found = text.indexOf('\n', start);
    const end = found === -1 ? text.length : found;
    const line = text.slice(start, text[end - 1] === '\r' && end > start ? end - 1 : end);
    if (line === '') return;
    yield line;
    start = end + 1;
  }
}

/** Old setuptools wrote `UNKNOWN` where it knew nothing. */
function withoutUnknown(value: string | null): string | null {
  return value === 'UNKNOWN' ? null : value;
}

function readLabelled(value: string): readonly (readonly [string, string])[] {
  const at = value.indexOf(',');
  const label = value.slice(0, Math.max(at, 0)).trim();
  const url = value.slice(at + 1).trim();
  return label === '' || url === '' ? [] : [[label, url]];
}
