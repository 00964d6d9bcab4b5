import type { ProjectName } from '../packaging/names.ts';
import { strongestDigest } from './hashes.ts';
import type { DistributionFile, Hashes, ProjectDetail } from './model.ts';
import { apiVersionOf, offeredFiles, type PageWriting } from './page-facts.ts';
import { FILES_IN_STEP, joinPieces, type Pieces } from './slices.ts';

/**
 * A project page in its HTML form (PEP 503, 592, 629, 658, 714, 740, 792). One anchor per line with the
 * attributes in PyPI's order, since there are tools that read such pages by pattern; `data-upload-time`
 * and `data-size`, which no standard knows, come last.
 */
export function writeHtmlPage(detail: ProjectDetail, writing: PageWriting): string {
  return joinPieces(htmlPagePieces(detail, writing));
}

/** The root page in its HTML form (PEP 503). */
export function writeHtmlList(names: Iterable<ProjectName>): string {
  const lines = Array.from(names, (name) => `    <a href="${name}/">${name}</a><br>\n`);
  return documentHead('1.4', 'Simple index', []) + lines.join('') + DOCUMENT_END;
}

/** {@link writeHtmlPage}, piece by piece: none takes more than a few milliseconds. */
export function* htmlPagePieces(detail: ProjectDetail, writing: PageWriting): Pieces {
  const files = offeredFiles(detail);
  const title = `Links for ${detail.name}`;
  const head = documentHead(apiVersionOf(files), title, statusMetas(detail));
  yield `${head}    <h1>${title}</h1>\n`;
  for (let at = 0; at < files.length; at += FILES_IN_STEP) {
    const lines = files.slice(at, at + FILES_IN_STEP).map((file) => anchorLine(file, writing));
    yield lines.join('');
  }
  yield DOCUMENT_END;
  if (detail.lastSerial !== null) yield `<!--SERIAL ${detail.lastSerial}-->\n`;
}

function statusMetas({ status, statusReason }: ProjectDetail): readonly string[] {
  if (status === 'active') return [];
  const marker = meta('pypi:project-status', status);
  return statusReason === null
    ? [marker]
    : [marker, meta('pypi:project-status-reason', statusReason)];
}

const DOCUMENT_END = `  </body>
</html>
`;

function documentHead(version: string, title: string, metas: readonly string[]): string {
  const head = [
    '<meta charset="utf-8">',
    meta('pypi:repository-version', version),
    meta('generator', 'wheelcellar'),
    ...metas,
    `<title>${title}</title>`,
  ];
  return `<!DOCTYPE html>
<html>
  <head>
${head.map((line) => `    ${line}\n`).join('')}  </head>
  <body>
`;
}

function meta(name: string, content: string): string {
  return `<meta${attribute('name', name)}${attribute('content', content)}>`;
}

function anchorLine(
  file: DistributionFile,
  { linkTo, coreMetadataOf, withOldMetadataName = true }: PageWriting,
): string {
  const digest = strongestDigest(file.hashes);
  const fragment = digest === undefined ? '' : `#${digest.algorithm}=${digest.value}`;
  const metadata = metadataValue(
    coreMetadataOf === undefined ? file.coreMetadata : coreMetadataOf(file),
  );
  const attributes = [
    attribute('href', linkTo(file) + fragment),
    attribute('data-requires-python', file.requiresPython),
    attribute('data-yanked', file.yanked === false ? null : file.yanked),
    // The misnomer of PEP 658 is what clients before PEP 714 look for.
    attribute('data-dist-info-metadata', withOldMetadataName ? metadata : null),
    attribute('data-core-metadata', metadata),
    attribute('data-provenance', file.provenance),
    attribute('data-gpg-sig', file.gpgSig === true ? 'true' : null),
    attribute('data-upload-time', file.uploadTime),
    attribute('data-size', file.sizeBytes === null ? null : String(file.sizeBytes)),
  ];
  return `    <a${attributes.join('')}>${escapeHtml(file.filename)}</a><br>\n`;
}

function metadataValue(coreMetadata: boolean | Hashes): string | null {
  if (coreMetadata === false) return null;
  const digest = coreMetadata === true ? undefined : strongestDigest(coreMetadata);
  return digest === undefined ? 'true' : `${digest.algorithm}=${digest.value}`;
}

function attribute(name: string, value: string | null): string {
  return value === null ? '' : ` ${name}="${escapeHtml(value)}"`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#x27;',
  '\n': '&#10;',
  '\r': '&#13;',
};

/** Line ends too, so that an anchor stays on its line. */
function escapeHtml(text: string): string {
  return /[&<>"'\n\r]/.test(text)
    ? text.replace(/[&<>"'\n\r]/g, (found) => ESCAPES[found] ?? '')
    : text;
}
