/**
 * The configuration document: the YAML file's shape, which the environment and the flags are brought
 * into as well. One set of leaves makes two schemas: one where every key may be missing (each layer is
 * checked by it, so that problems are found where they were written) and one where none may (the
 * layers laid over each other).
 */
import { z } from 'zod';
import type { Config } from './config.ts';
import { duration, flag, list, oneOf, path, size, sizeOrOff, timeout, whole } from './leaves.ts';
import { allowedHostSchema, listenSchema, trustedPeerSchema } from './listen-schema.ts';
import type { RawDocument } from './raw-document.ts';
import { OFFICIAL_FILE_HOST, OFFICIAL_INDEX_URL, upstreamsSchema } from './upstream-schema.ts';

const BASE_PATH_FORMS = '/, or a path such as /pypi';
const BASE_PATH_PATTERN = /^\/$|^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+\/?$/;

const ACCEL_FORMS = 'a path such as /wheelcellar-files/, or null';
const ACCEL_PATTERN = /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+\/$/;

const cacheShape = {
  dir: path().meta({ description: 'Folder that holds the files and what is known of them.' }),
  max_size: size({ min: 1 }).meta({
    description: 'Files used least recently go when there are more bytes.',
  }),
  max_age: duration({ min: 1 })
    .nullable()
    .meta({ description: 'Files unused for longer go; null: never.' }),
  reserve: size().meta({ description: 'Free space left to others on the disk.' }),
  memory: size().meta({ description: 'Memory for pages ready to be sent.' }),
  grace: duration().meta({ description: 'How long a file outlives the page that listed it.' }),
  scrub: sizeOrOff().meta({
    description: 'Bytes a second at which held files are read again to find damage; off: never.',
  }),
};

const indexShape = {
  ttl: duration().meta({ description: 'Freshness of a page whose upstream names none.' }),
  negative_ttl: duration().meta({ description: 'How long an unknown project is remembered.' }),
  hide_yanked: oneOf(['never', 'setuptools', 'always']).meta({
    description: 'Leave yanked files out: never, for clients that ignore the mark, or always.',
  }),
  without_digest: oneOf(['first-use', 'refuse']).meta({
    description:
      'Files listed without any digest: held to what they were at first use, or refused.',
  }),
};

const httpShape = {
  connect_timeout: timeout().meta({ description: 'Longest wait for a connection to an upstream.' }),
  headers_timeout: timeout().meta({ description: 'Longest wait for the head of an answer.' }),
  idle_timeout: timeout().meta({ description: 'Longest silence within an answer.' }),
  retries: whole(0, 20).meta({ description: 'Further attempts after a failure that may pass.' }),
  connections_per_host: whole(1, 1024).meta({ description: 'Connections to one host at a time.' }),
  ca_file: path().nullable().meta({ description: 'PEM file with more certificate authorities.' }),
};

const aheadShape = {
  enabled: flag().meta({
    description: 'Ask indexes that are far away for what pip or uv will want next.',
  }),
  credit: size().meta({
    description: 'Bytes that may be fetched ahead of a client beyond half of what it asked for.',
  }),
  largest_file: size().meta({ description: 'Larger files are fetched when they are asked for.' }),
};

const limitsShape = {
  page: size({ min: 1 }).meta({ description: 'Largest index page, decoded.' }),
  metadata: size({ min: 1 }).meta({ description: 'Largest core metadata file.' }),
  redirects: whole(0, 20).meta({ description: 'Redirects followed for one request.' }),
  page_files: whole(1, 100_000_000).meta({ description: 'Most entries of an index page.' }),
  expansion: whole(2, 1_000_000).meta({
    description: 'Times its length on the wire that a compressed answer may expand to.',
  }),
  answer_headers: size({ min: 1024 }).meta({ description: 'Largest head of an answer.' }),
  request_headers: size({ min: 1024 }).meta({ description: 'Largest head of a request.' }),
  client_connections: whole(1, 1_000_000).meta({
    description: 'Connections of one client at a time; trusted proxies are not bounded.',
  }),
  ranges: whole(1, 10_000).meta({
    description: 'Ranges of one request that are looked at; with more, the whole file is sent.',
  }),
  unknown_names: whole(1, 10_000_000).meta({
    description: 'Names no index has that are remembered at a time; the oldest are forgotten.',
  }),
};

const logShape = {
  level: oneOf(['debug', 'info', 'warn', 'error', 'silent']).meta({
    description: 'Least level that is logged.',
  }),
  format: oneOf(['auto', 'text', 'json']).meta({
    description: 'auto: text on a terminal, JSON otherwise.',
  }),
};

const topShape = {
  listen: list(listenSchema, 'a list of host:port').meta({
    description: 'Addresses to listen on.',
  }),
  unix: path().nullable().meta({ description: 'Unix socket to listen on as well.' }),
  workers: whole(1, 64).meta({
    description: 'Processes that serve, each with memory and limits of its own.',
  }),
  allowed_hosts: list(allowedHostSchema, 'a list of host names').meta({
    description: "Host names accepted beside the listeners' own.",
  }),
  base_path: z
    .string({ error: BASE_PATH_FORMS })
    .regex(BASE_PATH_PATTERN, { error: BASE_PATH_FORMS })
    .transform((text) => text.replace(/(?<=.)\/$/, ''))
    .meta({ description: 'Path that all routes begin with.' }),
  accel_redirect: z
    .string({ error: ACCEL_FORMS })
    .regex(ACCEL_PATTERN, { error: ACCEL_FORMS })
    .nullable()
    .meta({
      description:
        'Path under which an nginx in front finds mirror/; it then sends held files by itself.',
    }),
  trust_proxy: list(trustedPeerSchema, 'a list of peers').meta({
    description:
      'Peers whose X-Forwarded-* headers are believed: loopback, addresses, CIDR blocks.',
  }),
  offline: flag().meta({ description: 'Ask no upstream at all; list what is held.' }),
  prefer_offline: flag().meta({
    description: 'Serve what is held without asking whether it is fresh.',
  }),
  official_index: oneOf(['allowed', 'forbidden']).meta({
    description: 'forbidden: the official index and its file hosts are never contacted.',
  }),
  when_unreachable: oneOf(['cached-only', 'stale']).meta({
    description:
      'Page shown while an upstream cannot be reached: the files held, or the stale page.',
  }),
  upstreams: upstreamsSchema.meta({ description: 'Indexes, in the order they are asked.' }),
};

const completeSchema = z.strictObject({
  ...topShape,
  cache: z.strictObject(cacheShape),
  index: z.strictObject(indexShape),
  http: z.strictObject(httpShape),
  ahead: z.strictObject(aheadShape),
  limits: z.strictObject(limitsShape),
  log: z.strictObject(logShape),
});

const SECTION_FORMS = { error: 'a section with keys of its own' };

const layerSchema = z
  .strictObject({
    ...topShape,
    cache: z.strictObject(cacheShape, SECTION_FORMS).partial(),
    index: z.strictObject(indexShape, SECTION_FORMS).partial(),
    http: z.strictObject(httpShape, SECTION_FORMS).partial(),
    ahead: z.strictObject(aheadShape, SECTION_FORMS).partial(),
    limits: z.strictObject(limitsShape, SECTION_FORMS).partial(),
    log: z.strictObject(logShape, SECTION_FORMS).partial(),
  })
  .partial();

/** What is wrong with a document, in zod's words; messages complete "…; give". */
export type SchemaIssue = z.core.$ZodIssue;

/** How a key's text in the environment is read. */
export type KeyKind = 'text' | 'number' | 'boolean' | 'list' | 'structure';

/** One leaf of the document. */
export interface ConfigKey {
  /** Section and name: `['cache', 'max_size']`; keys at the top have only a name. */
  readonly path: readonly string[];
  /** `cache.max_size`. */
  readonly name: string;
  /** `WHEELCELLAR_CACHE_MAX_SIZE`. */
  readonly environmentName: string;
  readonly kind: KeyKind;
  readonly nullable: boolean;
}

/** Every key with its default value, as a configuration file would have it. */
export const DEFAULT_DOCUMENT: RawDocument = {
  listen: ['127.0.0.1:3141'],
  unix: null,
  cache: {
    dir: '~/.cache/image-create/pypi',
    max_size: '20GB',
    max_age: null,
    reserve: '512MB',
    memory: '256MB',
    grace: '10m',
    scrub: '5MB',
  },
  workers: 1,
  allowed_hosts: [],
  base_path: '/',
  accel_redirect: null,
  trust_proxy: [],
  offline: false,
  prefer_offline: false,
  official_index: 'allowed',
  when_unreachable: 'cached-only',
  index: { ttl: '10m', negative_ttl: '60s', hide_yanked: 'never', without_digest: 'first-use' },
  upstreams: [{ name: 'pypi', url: OFFICIAL_INDEX_URL, file_hosts: [OFFICIAL_FILE_HOST] }],
  http: {
    connect_timeout: '3s',
    headers_timeout: '10s',
    idle_timeout: '20s',
    retries: 3,
    connections_per_host: 48,
    ca_file: null,
  },
  ahead: { enabled: true, credit: '8MB', largest_file: '5MB' },
  limits: {
    page: '64MB',
    metadata: '10MB',
    redirects: 5,
    page_files: 500_000,
    expansion: 100,
    answer_headers: '64KiB',
    request_headers: '32KiB',
    client_connections: 512,
    ranges: 16,
    unknown_names: 10_000,
  },
  log: { level: 'info', format: 'auto' },
};

/** What is wrong with a document in which every key may be missing. */
export function findIssues(document: RawDocument): readonly SchemaIssue[] {
  return layerSchema.safeParse(document).error?.issues ?? [];
}

/** The settings of a document that has every key and was found free of issues; its paths are final. */
export function toConfig(document: RawDocument): Config {
  const { cache, index, http, ahead, limits, log, ...top } = completeSchema.parse(document);
  return {
    listen: top.listen,
    unix: top.unix,
    workers: top.workers,
    cache: {
      dir: cache.dir,
      maxSizeBytes: cache.max_size,
      maxAgeMs: cache.max_age,
      reserveBytes: cache.reserve,
      memoryBytes: cache.memory,
      graceMs: cache.grace,
      scrubBytesPerSecond: cache.scrub,
    },
    allowedHosts: top.allowed_hosts,
    basePath: top.base_path,
    accelRedirect: top.accel_redirect,
    trustProxy: top.trust_proxy,
    offline: top.offline,
    preferOffline: top.prefer_offline,
    officialIndex: top.official_index,
    whenUnreachable: top.when_unreachable,
    index: {
      ttlMs: index.ttl,
      negativeTtlMs: index.negative_ttl,
      hideYanked: index.hide_yanked,
      withoutDigest: index.without_digest,
    },
    upstreams: top.upstreams,
    http: {
      connectTimeoutMs: http.connect_timeout,
      headersTimeoutMs: http.headers_timeout,
      idleTimeoutMs: http.idle_timeout,
      retries: http.retries,
      connectionsPerHost: http.connections_per_host,
      caFile: http.ca_file,
    },
    ahead: {
      isEnabled: ahead.enabled,
      creditBytes: ahead.credit,
      largestFileBytes: ahead.largest_file,
    },
    limits: {
      pageBytes: limits.page,
      metadataBytes: limits.metadata,
      redirects: limits.redirects,
      pageFiles: limits.page_files,
      expansion: limits.expansion,
      answerHeaderBytes: limits.answer_headers,
      requestHeaderBytes: limits.request_headers,
      clientConnections: limits.client_connections,
      ranges: limits.ranges,
      unknownNames: limits.unknown_names,
    },
    log: { level: log.level, format: log.format },
  };
}

/** Every leaf of the document, in the order of the defaults. */
export function configKeys(): readonly ConfigKey[] {
  return Object.entries(DEFAULT_DOCUMENT).flatMap(([name, value]) => {
    const member: unknown = completeSchema.shape[name as keyof typeof completeSchema.shape];
    if (!(member instanceof z.ZodObject)) return [keyAt([name], value, member)];
    return Object.entries(value as RawDocument).map(([leaf, leafValue]) =>
      keyAt([name, leaf], leafValue, member.shape[leaf]),
    );
  });
}

/** The document as a JSON Schema (2020-12), with descriptions and defaults, for editors. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(layerSchema, { io: 'input' });
  addDefaults(schema as JsonSchemaNode, DEFAULT_DOCUMENT);
  return { title: 'Wheelcellar configuration', ...schema };
}

interface JsonSchemaNode {
  default?: unknown;
  readonly properties?: Record<string, JsonSchemaNode>;
}

function addDefaults(schema: JsonSchemaNode, defaults: RawDocument): void {
  for (const [name, value] of Object.entries(defaults)) {
    const member = schema.properties?.[name];
    if (member === undefined) continue;
    if (member.properties === undefined) member.default = value;
    else addDefaults(member, value as RawDocument);
  }
}

function keyAt(path: readonly string[], value: unknown, schema: unknown): ConfigKey {
  return {
    path,
    name: path.join('.'),
    environmentName: `WHEELCELLAR_${path.join('_').toUpperCase()}`,
    kind: kindOf(path, value),
    nullable: schema instanceof z.ZodNullable,
  };
}

function kindOf(path: readonly string[], value: unknown): KeyKind {
  if (path[0] === 'upstreams') return 'structure';
  if (Array.isArray(value)) return 'list';
  if (typeof value === 'number') return 'number';
  return typeof value === 'boolean' ? 'boolean' : 'text';
}
