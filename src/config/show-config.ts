import { Document, isCollection, isMap, isNode, isScalar } from 'yaml';
import { toDocument } from './config-document.ts';
import type { ExplainedConfig, KeySource } from './load-config.ts';
import { valueAt } from './raw-document.ts';
import { configKeys } from './schema.ts';

/** One effective setting, for machines. */
export interface ShownSetting extends KeySource {
  /** As a configuration file would have it; secrets masked. */
  readonly value: unknown;
}

/** The effective settings by key name; secrets masked. */
export function settingsOf(explained: ExplainedConfig): Readonly<Record<string, ShownSetting>> {
  const document = toDocument(explained.config);
  return Object.fromEntries(
    configKeys().map(({ name, path }) => [
      name,
      { value: valueAt(document, path), ...sourceOf(explained, name) },
    ]),
  );
}

/** The effective settings as a configuration file that tells, per key, where its value came from. */
export function showConfig(explained: ExplainedConfig): string {
  const document = new Document(toDocument(explained.config));
  document.commentBefore = ` Configuration file: ${explained.file ?? 'none'}`;
  for (const { name, path } of configKeys()) {
    annotate(document, path, ` ${describe(sourceOf(explained, name))}`);
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

/** Beside the value where it fits on a line, above the key otherwise. */
function annotate(document: Document, path: readonly string[], comment: string): void {
  const node: unknown = document.getIn(path, true);
  if (!isNode(node)) return;
  const holdsMaps = isCollection(node) && node.items.some((item) => isMap(item));
  if (!holdsMaps) {
    if (isCollection(node)) node.flow = true;
    node.comment = comment;
    return;
  }
  const parent: unknown =
    path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const pair = isMap(parent)
    ? parent.items.find(({ key }) => isScalar(key) && key.value === path.at(-1))
    : undefined;
  if (isScalar(pair?.key)) pair.key.commentBefore = ` ${String(path.at(-1))}:${comment}`;
}

function sourceOf(explained: ExplainedConfig, name: string): KeySource {
  return explained.sources.get(name) ?? { origin: 'default', place: null };
}

function describe({ origin, place }: KeySource): string {
  if (place === null) return origin;
  return origin === 'flag' ? `flag ${place}` : place;
}
