import { describe, expect, it } from 'vitest';
import { fileInput, inputOf, problemsWith } from './config-input.ts';

const SIZES = 'a size with its unit, such as 1000B, 64KB, 512MB, 20GB or 10MiB';

describe('problems with the settings', () => {
  it('are told all at once, each with its place, key, value and what is allowed', () => {
    const file = 'listen: 3141\ncache:\n  max_size: 20\n  maxAge: 3d\nparallelism: 4\n';
    const env = {
      WHEELCELLAR_INDEX_TTL: '10',
      WHEELCELLAR_OFFLINE: 'yes',
      WHEELCELLAR_HTTP_RETRIES: 'x',
    };
    const flags = { maxSize: '20G', listen: ['127.0.0.1'] };
    expect([...problemsWith({ ...fileInput(file), env, flags })].toSorted()).toEqual(
      [
        '/etc/wheelcellar.yaml:1: listen is 3141; give a list of host:port.',
        `/etc/wheelcellar.yaml:3: cache.max_size is 20; give ${SIZES}.`,
        '/etc/wheelcellar.yaml:4: unknown key cache.maxAge; did you mean cache.max_age?',
        '/etc/wheelcellar.yaml:5: unknown key parallelism; "wheelcellar config show" lists the known ones.',
        'environment variable WHEELCELLAR_INDEX_TTL: index.ttl is "10"; ' +
          'give a duration with its unit, such as 300ms, 20s, 10m, 1h or 2d.',
        'environment variable WHEELCELLAR_OFFLINE: offline is "yes"; give true or false.',
        'environment variable WHEELCELLAR_HTTP_RETRIES: http.retries is "x"; give a whole number from 0 to 20.',
        `--max-size: cache.max_size is "20G"; give ${SIZES}.`,
        '--listen: listen[0] is "127.0.0.1"; give host:port, such as 127.0.0.1:3141, 0.0.0.0:3141 or [::1]:3141.',
      ].toSorted(),
    );
  });

  it('name the section of a key that was put elsewhere', () => {
    expect(problemsWith(fileInput('max_size: 1GB\nlisten_on: []\n'))).toEqual([
      '/etc/wheelcellar.yaml:1: unknown key max_size; did you mean cache.max_size?',
      '/etc/wheelcellar.yaml:2: unknown key listen_on; did you mean listen?',
    ]);
  });

  it('are found in an upstream, with its line', () => {
    const file = `upstreams:
  - name: simple
    url: https://a.example/
  - name: a
    url: ftp://a.example/
    file_host: [x]
  - url: https://a.example/
    name: b
  - name: b
    url: https://b.example/?token=1
  - {name: B_1, url: https://b.example/, layout: flat, file_hosts: ["https://f.example/"]}
`;
    const problems = problemsWith(fileInput(file)).map((problem) =>
      problem.replace('/etc/wheelcellar.yaml:', '').replace(/; give .*/, ''),
    );
    expect(problems).toEqual([
      '2: upstreams[0].name is "simple"',
      '5: upstreams[1].url is "ftp://a.example/"',
      '6: unknown key upstreams[1].file_host; did you mean upstreams[1].file_hosts?',
      '10: upstreams[3].url is "https://b.example/"',
      '11: upstreams[4].file_hosts[0] is "https://f.example/"',
      '11: upstreams[4].layout is "flat"',
      '11: upstreams[4].name is "B_1"',
    ]);
  });

  it('include a name used twice', () => {
    const entry = '{name: a, url: "https://a.example/"}';
    expect(problemsWith(fileInput(`upstreams: [${entry}, ${entry}]`))).toEqual([
      '/etc/wheelcellar.yaml:1: upstreams[1].name is "a"; give a name no other upstream has.',
    ]);
    const flags = {
      extraIndexes: ['pypi=https://a.example/', 'b=https://b.example/', 'b=https://b.example/'],
    };
    expect(problemsWith(inputOf({ flags }))).toEqual([
      '--extra-index: there is an upstream pypi already; give another name.',
      '--extra-index: there is an upstream b already; give another name.',
    ]);
  });

  it('include index flags that cannot be read', () => {
    const flags = {
      indexUrl: 'pypi.example',
      extraIndexes: ['https://a.example/?x=1', 'a=b', 'local=http://a'],
    };
    expect(problemsWith(inputOf({ flags }))).toEqual([
      '--index-url: url is "pypi.example"; give an absolute http:// or https:// URL without ? and #.',
      '--extra-index: "https://a.example/" is not NAME=URL, such as torch=https://example.org/simple/.',
      '--extra-index: url is "b"; give an absolute http:// or https:// URL without ? and #.',
      expect.stringContaining('--extra-index: name is "local"; give another name'),
    ]);
  });

  it.each([
    ['https://ana:s3cret@a.example/?x'],
    ['https://ana:s3/cret@a.example/'],
    ['ana:s3cret@a.example/simple'],
    ['ftp://s3cret@a.example'],
  ])('never tell what is secret in %s', (url) => {
    const inputs = [
      fileInput(`upstreams: [{name: a, url: ${JSON.stringify(url)}}]`),
      fileInput(`upstreams: [${JSON.stringify(url)}]`),
      inputOf({ flags: { indexUrl: url } }),
      inputOf({ flags: { extraIndexes: [url, `x=${url}`] } }),
      inputOf({ env: { WHEELCELLAR_UPSTREAMS: `[{name: a, url: '${url}'}` } }),
      inputOf({ env: { WHEELCELLAR_UPSTREAMS: url } }),
      inputOf({ env: { WHEELCELLAR_LISTEN: url } }),
    ];
    for (const input of inputs) {
      const problems = problemsWith(input);
      expect(problems).not.toEqual([]);
      expect(problems.join('\n')).not.toMatch(/s3|cret/);
    }
  });

  it('never tell a password of the wrong type', () => {
    const problems = problemsWith(
      fileInput('upstreams: [{name: a, url: "http://a", password: 12345}]'),
    );
    expect(problems).toHaveLength(1);
    expect(problems.join('\n')).not.toContain('12345');
  });

  it.each([
    ['a: [', 1],
    ['offline: true\noffline: false\n', 2],
    ['- a\n', 1],
    ['just words', 1],
    ['a: 1\n---\nb: 2\n', 2],
    ['cache: !odd {}\n', 1],
  ])('tell the line of YAML that cannot be read: %j', (text, line) => {
    expect(problemsWith(fileInput(text))[0]).toMatch(
      new RegExp(`^/etc/wheelcellar.yaml:${line}: `),
    );
  });

  it('are none for an empty file and for sections without keys', () => {
    expect(problemsWith(fileInput(''))).toEqual([]);
    expect(problemsWith(fileInput('# nothing\ncache:\nlog:\n  # level: debug\n'))).toEqual([]);
  });

  it.each([
    'unix: ~root/socket',
    'base_path: pypi',
    'base_path: /a/../b',
    'trust_proxy: [10.0.0.0/33]',
    'trust_proxy: [everyone]',
    'listen: ["127.0.0.1:70000"]',
    'listen: [":3141"]',
    'listen: ["::1:3141"]',
    'listen: []',
    'allowed_hosts: ["https://a.example"]',
    'allowed_hosts: ["a.example:80"]',
    'cache: {max_size: 0B}',
    'cache: {max_size: null}',
    'http: {connect_timeout: 0s}',
    'http: {connect_timeout: 25d}',
    'http: {retries: 1.5}',
    'http: {retries: "3"}',
    'upstreams: [{name: a, url: "http://a", projects: ["a/*"]}]',
    'upstreams: [{name: a, url: "http://a", file_hosts: ["a:0"]}]',
    'upstreams: [{name: a, url: "http://a", file_hosts: ["[::zz]"]}]',
    'upstreams: [{name: a, url: "http://%zz@a/"}]',
    'upstreams: null',
    'log: {level: loud}',
    'official_index: no',
  ])('are found in %s', (text) => {
    expect(problemsWith(fileInput(text))).toHaveLength(1);
  });

  it.each([
    'unix: ~/socket',
    'base_path: /a/b/',
    'trust_proxy: [loopback, "::1", fd00::/8, 10.1.2.3]',
    'listen: ["0.0.0.0:0", "[::]:80", "cache.example:8080"]',
    '{listen: [], unix: /run/w.sock}',
    'allowed_hosts: [Cache.Example, "[::1]", 10.0.0.1]',
    'upstreams: []',
    'upstreams: [{name: a-1, url: "http://127.0.0.1:8080/root/pypi/+simple", file_hosts: ["a:81", "[::1]:8", b]}]',
  ])('are none in %s', (text) => {
    expect(problemsWith(fileInput(text))).toEqual([]);
  });
});
