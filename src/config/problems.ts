import { redact } from '../core/redact.ts';
import { nearest, suggestion } from './nearest.ts';
import { valueAt } from './raw-document.ts';
import type { KeyPath, RawDocument } from './raw-document.ts';
import { configKeys, findIssues } from './schema.ts';
import type { SchemaIssue } from './schema.ts';
import { UPSTREAM_KEYS } from './upstream-schema.ts';

/** Where a value came from. */
export type Origin = 'default' | 'file' | 'environment' | 'flag';

/** One source of settings, in the shape of the configuration file. */
export interface Layer {
  readonly origin: Origin;
  readonly document: RawDocument;
  /** Where the value at `path` was written, for people: `FILE:LINE`, a variable's or a flag's name. */
  place(path: KeyPath): string;
}

/** Every problem of one layer as a sentence: where, key, value, what is allowed; in order of lines. */
export function problemsOf(layer: Layer): readonly string[] {
  const told = new Set<string>();
  return findIssues(layer.document)
    .filter((issue) => issue.code === 'unrecognized_keys' || isNew(told, nameOf(issue.path)))
    .flatMap((issue) => sentencesFor(issue, layer))
    .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

/** `cache.max_size`, `upstreams[1].url`. */
function nameOf(path: KeyPath): string {
  return path.reduce<string>((name, part) => {
    if (typeof part === 'number') return `${name}[${part}]`;
    return name === '' ? String(part) : `${name}.${String(part)}`;
  }, '');
}

/** A value fit for a message: short, and without what may be secret. */
export function shown(path: KeyPath, value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a section';
  const key = path.at(-1);
  if (key === 'password' || key === 'username') return 'not shown';
  if (typeof value !== 'string') return String(value);
  // What stands before @ may be a password, also in a URL too broken to be taken apart.
  const anonymous = value.replace(/^(.*?:\/\/)?.*@/s, '$1');
  const harmless = anonymous.includes('://') ? redact(anonymous) : anonymous;
  return JSON.stringify(harmless.length > 80 ? `${harmless.slice(0, 80)}…` : harmless);
}

/** A value that breaks two rules is one problem: the first rule says what to give. */
function isNew(told: Set<string>, name: string): boolean {
  const sizeBefore = told.size;
  return told.add(name).size > sizeBefore;
}

function sentencesFor(issue: SchemaIssue, layer: Layer): readonly string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownKey([...issue.path, key], layer));
  }
  const value = valueAt(layer.document, issue.path);
  const state = value === undefined ? 'is missing' : `is ${shown(issue.path, value)}`;
  return [`${layer.place(issue.path)}: ${nameOf(issue.path)} ${state}; give ${issue.message}.`];
}

function unknownKey(path: KeyPath, layer: Layer): string {
  const parent = path.slice(0, -1);
  const isUpstream = path[0] === 'upstreams';
  const candidates = isUpstream
    ? UPSTREAM_KEYS.map((key) => nameOf([...parent, key]))
    : knownNames();
  return `${layer.place(path)}: unknown key ${nameOf(path)}${suggestion(nearest(nameOf(path), candidates))}`;
}

/** Leaves and the sections around them. */
function knownNames(): readonly string[] {
  return [...new Set(configKeys().flatMap((key) => [key.name, key.path[0] ?? key.name]))];
}
