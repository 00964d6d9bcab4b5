import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { explainConfig, loadConfig } from '../../../src/config/load-config.ts';
import { fileInput, inputOf, problemsWith } from './config-input.ts';

describe('the settings without any source', () => {
  it('are the documented defaults', () => {
    expect(loadConfig(inputOf())).toEqual({
      listen: [{ host: '127.0.0.1', port: 3141 }],
      unix: null,
      workers: 1,
      cache: {
        dir: '/home/ana/.cache/image-create/pypi',
        maxSizeBytes: 20e9,
        maxAgeMs: null,
        reserveBytes: 512e6,
        memoryBytes: 256e6,
        graceMs: 600_000,
        scrubBytesPerSecond: 5e6,
      },
      allowedHosts: [],
      basePath: '/',
      accelRedirect: null,
      trustProxy: [],
      offline: false,
      preferOffline: false,
      officialIndex: 'allowed',
      whenUnreachable: 'cached-only',
      index: {
        ttlMs: 600_000,
        negativeTtlMs: 60_000,
        hideYanked: 'never',
        withoutDigest: 'first-use',
      },
      upstreams: [
        {
          name: 'pypi',
          url: 'https://pypi.org/simple/',
          fileHosts: ['files.pythonhosted.org'],
          layout: 'simple',
          projects: null,
          username: null,
          password: null,
        },
      ],
      http: {
        connectTimeoutMs: 3000,
        headersTimeoutMs: 10_000,
        idleTimeoutMs: 20_000,
        retries: 3,
        connectionsPerHost: 48,
        caFile: null,
      },
      limits: {
        pageBytes: 64e6,
        metadataBytes: 10e6,
        redirects: 5,
        pageFiles: 500_000,
        expansion: 100,
        answerHeaderBytes: 65_536,
        requestHeaderBytes: 32_768,
        clientConnections: 512,
        ranges: 16,
        unknownNames: 10_000,
      },
      ahead: { isEnabled: true, creditBytes: 8_000_000, largestFileBytes: 5_000_000 },
      log: { level: 'info', format: 'auto' },
    });
  });

  it('come from the real disk when no reader is given', () => {
    const folder = mkdtempSync(join(tmpdir(), 'config-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'c.yaml'), 'offline: true\n');
    const input = { env: {}, homeDir: folder, cwd: folder };
    expect(loadConfig(input).offline).toBe(false);
    expect(loadConfig({ ...input, configFile: 'c.yaml' }).offline).toBe(true);
  });
});

describe('the order of sources', () => {
  it('is flag over environment over file over default', () => {
    const file = 'cache: {max_size: 1GB}\nindex: {ttl: 1m}\nbase_path: /file\nlog: {level: warn}\n';
    const env = {
      WHEELCELLAR_INDEX_TTL: '2m',
      WHEELCELLAR_BASE_PATH: '/env',
      WHEELCELLAR_LOG_LEVEL: '',
    };
    const { config, sources } = explainConfig({
      ...fileInput(file),
      env,
      flags: { basePath: '/flag/' },
    });
    expect(config.cache.maxSizeBytes).toBe(1e9);
    expect(config.cache.reserveBytes).toBe(512e6);
    expect(config.index.ttlMs).toBe(120_000);
    expect(config.basePath).toBe('/flag');
    expect(config.log.level).toBe('warn');
    expect(sources.get('cache.max_size')).toEqual({
      origin: 'file',
      place: '/etc/wheelcellar.yaml:1',
    });
    expect(sources.get('index.ttl')).toEqual({
      origin: 'environment',
      place: 'environment variable WHEELCELLAR_INDEX_TTL',
    });
    expect(sources.get('base_path')).toEqual({ origin: 'flag', place: '--base-path' });
    expect(sources.get('log.level')).toEqual({ origin: 'file', place: '/etc/wheelcellar.yaml:4' });
    expect(sources.get('cache.reserve')).toEqual({ origin: 'default', place: null });
  });

  it('for the cache folder is flag, own variable, file, DIB_IMAGE_CACHE, default', () => {
    const files = { '/etc/w.yaml': 'cache: { dir: data }' };
    const dirs = [
      inputOf({ env: { XDG_CACHE_HOME: '/elsewhere', DIB_IMAGE_CACHE: '' } }),
      inputOf({ env: { DIB_IMAGE_CACHE: '/dib/' } }),
      inputOf({ env: { DIB_IMAGE_CACHE: '/dib' }, files, configFile: '/etc/w.yaml' }),
      inputOf({ env: { WHEELCELLAR_CACHE_DIR: '~/env' }, files, configFile: '/etc/w.yaml' }),
      inputOf({ env: { WHEELCELLAR_CACHE_DIR: '/env' }, flags: { cacheDir: 'flag' } }),
    ].map((input) => loadConfig(input).cache.dir);
    expect(dirs).toEqual([
      '/home/ana/.cache/image-create/pypi',
      '/dib/pypi',
      '/etc/data',
      '/home/ana/env',
      '/work/flag',
    ]);
  });

  it('for the configuration file is flag, variable, XDG folder, ~/.config', () => {
    const files = {
      '/work/flag.yaml': 'base_path: /flag',
      '/home/ana/var.yaml': 'base_path: /variable',
      '/xdg/wheelcellar/config.yaml': 'base_path: /xdg',
      '/home/ana/.config/wheelcellar/config.yaml': 'base_path: /home',
    };
    const all = { WHEELCELLAR_CONFIG: '~/var.yaml', XDG_CONFIG_HOME: '/xdg' };
    const paths = [
      inputOf({ files, env: all, configFile: 'flag.yaml' }),
      inputOf({ files, env: all }),
      inputOf({ files, env: { XDG_CONFIG_HOME: '/xdg' } }),
      inputOf({ files, env: { XDG_CONFIG_HOME: 'relative' } }),
      inputOf({ files: {}, env: { XDG_CONFIG_HOME: '/xdg' } }),
    ].map((input) => loadConfig(input).basePath);
    expect(paths).toEqual(['/flag', '/variable', '/xdg', '/home', '/']);
  });

  it('refuses a named configuration file that is not there', () => {
    expect(problemsWith(inputOf({ configFile: 'none.yaml' }))).toEqual([
      'Cannot read the configuration file /work/none.yaml: there is no such file.',
    ]);
    expect(problemsWith(inputOf({ env: { WHEELCELLAR_CONFIG: '/none.yaml' } }))).toHaveLength(1);
  });
});

describe('the environment', () => {
  it('reads each kind of value', () => {
    const config = loadConfig(
      inputOf({
        env: {
          WHEELCELLAR_LISTEN: '127.0.0.1:1, [::1]:2',
          WHEELCELLAR_OFFLINE: 'true',
          WHEELCELLAR_HTTP_RETRIES: '0',
          WHEELCELLAR_CACHE_MAX_AGE: '30d',
          WHEELCELLAR_HTTP_CA_FILE: 'null',
          WHEELCELLAR_TRUST_PROXY: 'loopback,10.0.0.0/8',
          WHEELCELLAR_UPSTREAMS: '[{name: a, url: "http://a.example/simple"}]',
        },
      }),
    );
    expect(config.listen).toEqual([
      { host: '127.0.0.1', port: 1 },
      { host: '::1', port: 2 },
    ]);
    expect(config.offline).toBe(true);
    expect(config.http.retries).toBe(0);
    expect(config.http.caFile).toBeNull();
    expect(config.cache.maxAgeMs).toBe(30 * 86_400_000);
    expect(config.trustProxy).toEqual(['loopback', '10.0.0.0/8']);
    expect(config.upstreams.map(({ url }) => url)).toEqual(['http://a.example/simple/']);
  });

  it('takes DIB_OFFLINE and DIB_NO_PYPI_PIP for yes whenever they are not empty, 0 included', () => {
    const on = loadConfig(
      inputOf({ env: { DIB_OFFLINE: '0', DIB_NO_PYPI_PIP: '0', WHEELCELLAR_OFFLINE: 'false' } }),
    );
    expect([on.offline, on.officialIndex]).toEqual([true, 'forbidden']);
    const off = loadConfig(inputOf({ env: { DIB_OFFLINE: '', DIB_NO_PYPI_PIP: '' } }));
    expect([off.offline, off.officialIndex]).toEqual([false, 'allowed']);
  });

  it('refuses an unknown variable and names the nearest', () => {
    expect(problemsWith(inputOf({ env: { WHEELCELLAR_CACHE_MAXSIZE: '1GB' } }))).toEqual([
      'unknown environment variable WHEELCELLAR_CACHE_MAXSIZE; did you mean WHEELCELLAR_CACHE_MAX_SIZE?',
    ]);
  });

  it('fills in credentials by the name of the upstream', () => {
    const env = {
      WHEELCELLAR_UPSTREAMS: '[{name: my-index, url: "https://bo:old@a.example/"}]',
      WHEELCELLAR_UPSTREAM_MY_INDEX_PASSWORD: 'new',
    };
    const [upstream] = loadConfig(inputOf({ env })).upstreams;
    expect(upstream).toMatchObject({ url: 'https://a.example/', username: 'bo', password: 'new' });
  });

  it('refuses credentials of an upstream that is not configured', () => {
    expect(problemsWith(inputOf({ env: { WHEELCELLAR_UPSTREAM_PYPY_PASSWORD: 'x' } }))).toEqual([
      'environment variable WHEELCELLAR_UPSTREAM_PYPY_PASSWORD: there is no upstream of that name; ' +
        'did you mean WHEELCELLAR_UPSTREAM_PYPI_PASSWORD?',
    ]);
  });
});

describe('upstreams', () => {
  it('get the official file host only when they are the official index', () => {
    const { upstreams } = loadConfig(
      fileInput(
        'upstreams:\n- {name: pypi, url: https://pypi.org/simple}\n- {name: b, url: http://b.example:81/x/}\n',
      ),
    );
    expect(upstreams.map(({ fileHosts }) => fileHosts)).toEqual([['files.pythonhosted.org'], null]);
  });

  it('keep the name of a find-links file, and end in a slash otherwise', () => {
    const { upstreams } = loadConfig(
      fileInput(
        `upstreams:
         - {name: a, url: https://a.example/stable.html, layout: find-links}
         - {name: b, url: https://a.example/wheels, layout: find-links}
         - {name: c, url: HTTPS://A.example/x.html}`,
      ),
    );
    expect(upstreams.map(({ url }) => url)).toEqual([
      'https://a.example/stable.html',
      'https://a.example/wheels/',
      'https://a.example/x.html/',
    ]);
  });

  it('have credentials taken out of their URL and decoded', () => {
    const [upstream] = loadConfig(
      fileInput('upstreams: [{name: a, url: "https://ana:p%40ss@a.example/s/"}]'),
    ).upstreams;
    expect(upstream).toMatchObject({
      url: 'https://a.example/s/',
      username: 'ana',
      password: 'p@ss',
    });
  });

  it('match projects by normalized globs', () => {
    const [upstream] = loadConfig(
      fileInput('upstreams: [{name: a, url: "https://a.example", projects: [Torch_*, nvidia-*]}]'),
    ).upstreams;
    expect(upstream?.projects).toEqual(['torch-*', 'nvidia-*']);
  });

  it('change by flags: the first is replaced with all that belonged to it, others are added', () => {
    const file = `upstreams:
      - {name: first, url: "https://ana:secret@first.example/", file_hosts: [f.example], projects: ["a*"]}
      - {name: second, url: https://second.example/}`;
    const flags = {
      indexUrl: 'http://127.0.0.1:9/simple',
      extraIndexes: ['torch=https://t.example/'],
    };
    const { config, sources } = explainConfig({ ...fileInput(file), flags });
    expect(config.upstreams.map(({ name, url }) => [name, url])).toEqual([
      ['first', 'http://127.0.0.1:9/simple/'],
      ['second', 'https://second.example/'],
      ['torch', 'https://t.example/'],
    ]);
    expect(config.upstreams[0]).toMatchObject({
      fileHosts: null,
      projects: ['a*'],
      username: null,
      password: null,
    });
    expect(sources.get('upstreams')).toEqual({
      origin: 'flag',
      place: '--index-url, --extra-index',
    });
  });

  it('take an index URL also when the list is empty', () => {
    const { upstreams } = loadConfig({
      ...fileInput('upstreams: []'),
      flags: { indexUrl: 'http://a.example' },
    });
    expect(upstreams.map(({ name }) => name)).toEqual(['pypi']);
  });
});
