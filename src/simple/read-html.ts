import { Parser } from 'htmlparser2';
import {
  checkApiVersion,
  isWholeNumber,
  nonEmptyString,
  parseStatus,
  parseUploadTime,
} from './facts.ts';
import { FileGathering } from './file-gathering.ts';
import { parseDigest } from './hashes.ts';
import type { DistributionFile, Hashes } from './model.ts';
import type { PageContext, PageReading } from './page-reading.ts';
import { FILES_IN_STEP, finish, type Steps } from './slices.ts';

/** Bytes handed to the parser at once; this takes about 1 ms. */
const BYTES_IN_STEP = 32 * 1024;

type Attributes = Readonly<Record<string, string>>;

/** What stands in a page, not yet judged. */
interface PageElements {
  readonly anchors: Attributes[];
  /** `name` → `content` of `pypi:` meta elements, the first of each name. */
  readonly metas: Map<string, string>;
  baseHref: string | undefined;
  serial: number | undefined;
}

/**
 * Reads a project page in its HTML form (PEP 503, 592, 629, 658, 714, 740, 792), or a find-links page.
 * Only records leave this function, no markup. Links that are no distribution files of the project are
 * left out and counted.
 *
 * @throws InvalidUpstreamAnswerError when the page speaks another major version of the Simple API
 */
export function readHtmlPage(html: string, context: PageContext): PageReading {
  return finish(readHtmlSteps(Buffer.from(html), context));
}

/**
 * {@link readHtmlPage} in steps, of the bytes of a page. What is not UTF-8 is replaced.
 *
 * @throws InvalidUpstreamAnswerError as {@link readHtmlPage}
 */
export function* readHtmlSteps(html: Uint8Array, context: PageContext): Steps<PageReading> {
  const elements = yield* parseElements(html);
  checkApiVersion(elements.metas.get('pypi:repository-version'));
  const gathering = new FileGathering(context);
  if (elements.baseHref !== undefined) gathering.rebase(elements.baseHref);
  for (const [index, anchor] of elements.anchors.entries()) {
    if (index > 0 && index % FILES_IN_STEP === 0) yield;
    const file = readAnchor(anchor, gathering);
    if (file !== undefined) gathering.add(file);
  }
  const { metas } = elements;
  return {
    detail: {
      name: context.project,
      status: parseStatus(metas.get('pypi:project-status')),
      statusReason: nonEmptyString(metas.get('pypi:project-status-reason')),
      versions: null,
      files: gathering.files(),
      lastSerial: context.serial ?? elements.serial ?? null,
      extra: {},
    },
    dropped: gathering.dropped(),
    conflicts: gathering.conflicts(),
    looksLikeIndex: metas.size > 0 || gathering.sawDistribution,
  };
}

/**
 * Without the stack of open elements, which nothing here needs: the parser searches it for every end
 * tag, so that 2 MB of hostile markup (`<div></b>`…) took 49 s.
 */
class FlatParser extends Parser {
  protected override isVoidElement(): boolean {
    return true;
  }
}

function* parseElements(html: Uint8Array): Steps<PageElements> {
  const elements: PageElements = {
    anchors: [],
    metas: new Map(),
    baseHref: undefined,
    serial: undefined,
  };
  const parser = new FlatParser({
    onopentag: (name, attributes) => takeElement(name, attributes, elements),
    oncomment: (text) => takeComment(text, elements),
  });
  const decoder = new TextDecoder();
  for (let at = 0; at < html.length; at += BYTES_IN_STEP) {
    if (at > 0) yield;
    parser.write(decoder.decode(html.subarray(at, at + BYTES_IN_STEP), { stream: true }));
  }
  parser.write(decoder.decode());
  parser.end();
  return elements;
}

function takeElement(name: string, attributes: Attributes, elements: PageElements): void {
  if (name === 'a' && attributes['href'] !== undefined) elements.anchors.push(attributes);
  else if (name === 'base') elements.baseHref ??= attributes['href'];
  else if (name === 'meta') takeMeta(attributes, elements.metas);
}

function takeMeta({ name, content }: Attributes, metas: Map<string, string>): void {
  const key = name?.trim().toLowerCase() ?? '';
  if (key.startsWith('pypi:') && !metas.has(key)) metas.set(key, content?.trim() ?? '');
}

/** `<!--SERIAL 123-->`, which PyPI puts at the end. */
function takeComment(text: string, elements: PageElements): void {
  const serial = Number(/^\s*SERIAL (\d{1,15})\s*$/.exec(text)?.[1] ?? Number.NaN);
  if (isWholeNumber(serial)) elements.serial = serial;
}

function readAnchor(anchor: Attributes, gathering: FileGathering): DistributionFile | undefined {
  const link = gathering.follow(anchor['href']?.trim() ?? '');
  if (link === undefined) return undefined;
  const provenance = nonEmptyString(anchor['data-provenance']);
  return {
    filename: link.filename,
    url: link.url,
    hashes: link.hashes,
    requiresPython: nonEmptyString(anchor['data-requires-python']),
    sizeBytes: readSize(anchor['data-size']),
    uploadTime: parseUploadTime(anchor['data-upload-time']),
    coreMetadata: readCoreMetadata(
      anchor['data-core-metadata'] ?? anchor['data-dist-info-metadata'],
    ),
    yanked: anchor['data-yanked'] ?? false,
    provenance: provenance === null ? null : (gathering.resolve(provenance) ?? null),
    gpgSig: readBoolean(anchor['data-gpg-sig']),
    extra: {},
  };
}

/** Not in any standard; ours and some other servers' pages have it. */
function readSize(value: string | undefined): number | null {
  const size = /^\d+$/.test(value ?? '') ? Number(value) : Number.NaN;
  return isWholeNumber(size) ? size : null;
}

/** `true` or `<algorithm>=<digest>` (PEP 658). A malformed value advertises nothing. */
function readCoreMetadata(value: string | undefined): boolean | Hashes {
  if (value === undefined) return false;
  const at = value.indexOf('=');
  if (at === -1) return value.trim().toLowerCase() === 'true';
  const digest = parseDigest(value.slice(0, at).trim(), value.slice(at + 1).trim());
  return digest === undefined ? false : { [digest.algorithm]: digest.value };
}

function readBoolean(value: string | undefined): boolean | null {
  if (value === 'true') return true;
  return value === 'false' ? false : null;
}
