import { isIPv6 } from 'node:net';
import type { Config, UpstreamConfig } from './config.ts';
import { formatDuration, formatSize } from './quantities.ts';
import type { RawDocument } from './raw-document.ts';

/** Stands for a secret. */
const MASK = '********';

/**
 * Settings in the shape of a configuration file, secrets masked: reading it back gives the same
 * settings but for those.
 */
export function toDocument(config: Config): RawDocument {
  const { cache, index, http, ahead, limits, log } = config;
  return {
    listen: config.listen.map(({ host, port }) => `${isIPv6(host) ? `[${host}]` : host}:${port}`),
    unix: config.unix,
    cache: {
      dir: cache.dir,
      max_size: formatSize(cache.maxSizeBytes),
      max_age: cache.maxAgeMs === null ? null : formatDuration(cache.maxAgeMs),
      reserve: formatSize(cache.reserveBytes),
      memory: formatSize(cache.memoryBytes),
      grace: formatDuration(cache.graceMs),
      scrub: cache.scrubBytesPerSecond === null ? 'off' : formatSize(cache.scrubBytesPerSecond),
    },
    workers: config.workers,
    allowed_hosts: config.allowedHosts,
    base_path: config.basePath,
    accel_redirect: config.accelRedirect,
    trust_proxy: config.trustProxy,
    offline: config.offline,
    prefer_offline: config.preferOffline,
    official_index: config.officialIndex,
    when_unreachable: config.whenUnreachable,
    index: {
      ttl: formatDuration(index.ttlMs),
      negative_ttl: formatDuration(index.negativeTtlMs),
      hide_yanked: index.hideYanked,
      without_digest: index.withoutDigest,
    },
    upstreams: config.upstreams.map(upstreamDocument),
    http: {
      connect_timeout: formatDuration(http.connectTimeoutMs),
      headers_timeout: formatDuration(http.headersTimeoutMs),
      idle_timeout: formatDuration(http.idleTimeoutMs),
      retries: http.retries,
      connections_per_host: http.connectionsPerHost,
      ca_file: http.caFile,
    },
    ahead: {
      enabled: ahead.isEnabled,
      credit: formatSize(ahead.creditBytes),
      largest_file: formatSize(ahead.largestFileBytes),
    },
    limits: {
      page: formatSize(limits.pageBytes),
      metadata: formatSize(limits.metadataBytes),
      redirects: limits.redirects,
      page_files: limits.pageFiles,
      expansion: limits.expansion,
      answer_headers: formatSize(limits.answerHeaderBytes),
      request_headers: formatSize(limits.requestHeaderBytes),
      client_connections: limits.clientConnections,
      ranges: limits.ranges,
      unknown_names: limits.unknownNames,
    },
    log: { level: log.level, format: log.format },
  };
}

/** A user name without a password is a token on some indexes, so it is masked too. */
function upstreamDocument(upstream: UpstreamConfig): RawDocument {
  const { name, url, fileHosts, layout, projects, username, password } = upstream;
  return {
    name,
    url,
    file_hosts: fileHosts,
    layout,
    projects,
    username: username !== null && password === null ? MASK : username,
    password: password === null ? null : MASK,
  };
}
