import { isIPv6 } from 'node:net';
import { z } from 'zod';
import type { UpstreamConfig, UpstreamLayout } from './config.ts';

/** The official index's simple URL, the default upstream. */
export const OFFICIAL_INDEX_URL = 'https://pypi.org/simple/';

/** Where the official index keeps its files. */
export const OFFICIAL_FILE_HOST = 'files.pythonhosted.org';

/** Host names of the official index; the second is the old one, still found in settings. */
const OFFICIAL_INDEX_HOSTS: readonly string[] = ['pypi.org', 'pypi.python.org'];

/** Names that are routes or folders of ours, so that no index can have them. */
const RESERVED_NAMES: readonly string[] = [
  'simple',
  'packages',
  'root',
  'index',
  'legacy',
  'local',
];

const NAME_PATTERN = /^[a-z0-9][a-z0-9-]*$/;
const NAME_FORMS = 'a name of lower-case letters, digits and -, beginning with a letter or digit';
const URL_FORMS = 'an absolute http:// or https:// URL without ? and #';
const HOST_PATTERN =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;
const GLOB_PATTERN = /^[A-Za-z0-9*?._-]+$/;

/** A URL taken apart: what goes into requests and what is secret. */
interface UpstreamAddress {
  /** Without credentials, with `/` at its end unless it names a find-links file. */
  readonly url: string;
  readonly username: string | null;
  readonly password: string | null;
}

/** Whether `url` (absolute) belongs to the official index. */
function isOfficialIndex(url: string): boolean {
  return URL.canParse(url) && OFFICIAL_INDEX_HOSTS.includes(new URL(url).hostname);
}

/** Takes an upstream's URL apart; `undefined` when it is no absolute http(s) URL or has `?` or `#`. */
function parseUpstreamUrl(text: string, layout: UpstreamLayout): UpstreamAddress | undefined {
  if (!/^https?:\/\/[^/]/i.test(text) || /[?#\s\\]/.test(text) || !URL.canParse(text))
    return undefined;
  const url = new URL(text);
  const username = decoded(url.username);
  const password = decoded(url.password);
  if (username === undefined || password === undefined) return undefined;
  url.username = '';
  url.password = '';
  // A flat page may be a file (`…/stable.html`): a slash there would ask for something else.
  const isFile = layout === 'find-links' && /\.html?$/i.test(url.pathname);
  if (!isFile && !url.pathname.endsWith('/')) url.pathname += '/';
  return { url: url.href, username: username || null, password: password || null };
}

/** The fixed part of the name in `WHEELCELLAR_UPSTREAM_<NAME>_PASSWORD` for an upstream. */
export function environmentNameOf(upstreamName: string): string {
  return upstreamName.toUpperCase().replaceAll('-', '_');
}

const nameSchema = z
  .string({ error: NAME_FORMS })
  .max(64, { error: 'a name of at most 64 characters' })
  .regex(NAME_PATTERN, { error: NAME_FORMS })
  .refine((name) => !RESERVED_NAMES.includes(name), {
    error: `another name (${RESERVED_NAMES.join(', ')} have a meaning of their own)`,
  });

const fileHostSchema = z
  .string({ error: 'a host name, or host:port' })
  .regex(HOST_PATTERN, { error: 'a host name, or host:port, without a scheme and a path' })
  .refine(hasValidHostParts, { error: 'a host name, or host:port with a port from 1 to 65535' })
  .transform((host) => host.toLowerCase());

const globSchema = z
  .string({ error: 'a project name in which * and ? may stand for other characters' })
  .regex(GLOB_PATTERN, { error: 'a project name in which * and ? may stand for other characters' })
  .transform((glob) => glob.toLowerCase().replace(/[-_.]+/g, '-'));

const optionalText = z
  .string({ error: 'a text, or null' })
  .min(1, { error: 'a text that is not empty, or null' })
  .nullable()
  .optional();

const entrySchema = z
  .strictObject({
    name: nameSchema.meta({ description: 'Shown in logs; part of routes and of folder names.' }),
    url: z
      .string({ error: URL_FORMS })
      .meta({ description: 'Base URL of the index, or of its flat page.' }),
    file_hosts: z
      .array(fileHostSchema, { error: 'a list of host names' })
      .nullable()
      .optional()
      .meta({ description: "Hosts files may come from beside the index's own." }),
    layout: z.enum(['simple', 'find-links'], { error: 'simple or find-links' }).optional().meta({
      description: 'One page per project (simple, the default), or one flat page for all.',
    }),
    projects: z
      .array(globSchema, { error: 'a list of project names with * and ?' })
      .nullable()
      .optional()
      .meta({ description: 'Only these projects are asked for here; null means all.' }),
    username: optionalText.meta({ description: 'For Basic authentication.' }),
    password: optionalText.meta({
      description: 'For Basic authentication; better in the environment.',
    }),
  })
  .transform((entry, context): UpstreamConfig => {
    const layout = entry.layout ?? 'simple';
    const address = parseUpstreamUrl(entry.url, layout);
    if (address === undefined) {
      context.addIssue({ code: 'custom', path: ['url'], message: URL_FORMS });
      return z.NEVER;
    }
    return {
      name: entry.name,
      url: address.url,
      fileHosts: entry.file_hosts ?? (isOfficialIndex(address.url) ? [OFFICIAL_FILE_HOST] : null),
      layout,
      projects: entry.projects ?? null,
      username: entry.username ?? address.username,
      password: entry.password ?? address.password,
    };
  });

/** One entry of `upstreams`. */
const upstreamSchema: z.ZodType<UpstreamConfig> = entrySchema;

/** The keys an entry of `upstreams` may have. */
export const UPSTREAM_KEYS: readonly string[] = Object.keys(entrySchema.in.shape);

/** The list of upstreams: every name once. */
export const upstreamsSchema: z.ZodType<UpstreamConfig[]> = z
  .array(upstreamSchema, { error: 'a list of upstreams, each with a name and a url' })
  .superRefine((upstreams, context) => {
    const seen = new Set<string>();
    for (const [index, { name }] of upstreams.entries()) {
      if (seen.has(name)) {
        context.addIssue({
          code: 'custom',
          path: [index, 'name'],
          message: 'a name no other upstream has',
        });
      }
      seen.add(name);
    }
  });

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function hasValidHostParts(text: string): boolean {
  const [, v6, port] = /^(?:\[(.*)\]|[^:]*)(?::(\d+))?$/.exec(text) ?? [];
  if (v6 !== undefined && !isIPv6(v6)) return false;
  return port === undefined || (Number(port) > 0 && Number(port) < 65_536);
}
