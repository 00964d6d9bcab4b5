import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import process from 'node:process';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { addServeFlags, addUpstreamFlags } from '../../../src/cli/flags.ts';
import { main } from '../../../src/cli/main.ts';
import type { VerbTable } from '../../../src/cli/main.ts';
import type { Verb, VerbContext } from '../../../src/cli/verb.ts';
import { IntegrityError } from '../../../src/core/errors.ts';
import { packageFacts } from '../../../src/paths.ts';
import { captureIo } from './captured-io.ts';

/** A table of verbs that note the context they were run with. */
function recordingVerbs(): { verbs: VerbTable; seen: [string, VerbContext][] } {
  const seen: [string, VerbContext][] = [];
  const make = (name: string, configure: Verb['configure']): VerbTable[string] => {
    const run: Verb['run'] = async (context) => {
      seen.push([name, context]);
      return 0;
    };
    return async () => ({ verb: { name, summary: `Do ${name}`, configure, run } });
  };
  const verbs = {
    serve: make('serve', addServeFlags),
    add: make('add', (command) => {
      addUpstreamFlags(command.argument('<file...>'));
    }),
  };
  return { verbs, seen };
}

describe('the command line', () => {
  it('serves when there is no verb', async () => {
    const { verbs, seen } = recordingVerbs();
    const { io } = captureIo();
    expect(await main([], io, verbs)).toBe(0);
    expect(await main(['--cache-dir', '/c'], io, verbs)).toBe(0);
    expect(seen.map(([name]) => name)).toEqual(['serve', 'serve']);
    expect(seen[1]?.[1].config().cache.dir).toBe('/c');
  });

  it('makes every flag of serve a setting', async () => {
    const { verbs, seen } = recordingVerbs();
    const flags = [
      '--listen 127.0.0.1:1,127.0.0.1:2 --listen [::1]:3 --unix /s --cache-dir=/c',
      '--index-url http://a.example/simple --extra-index b=http://b.example/x,y/',
      '--extra-index c=http://c.example/ --prefer-offline --index-ttl 1m --max-size 1GB',
      '--base-path /p --trust-proxy loopback --log-format json --log-level warn',
    ].flatMap((line) => line.split(' '));
    expect(await main(['serve', ...flags], captureIo().io, verbs)).toBe(0);
    expect(seen[0]?.[1].config()).toMatchObject({
      listen: [{ port: 1 }, { port: 2 }, { host: '::1', port: 3 }],
      unix: '/s',
      cache: { dir: '/c', maxSizeBytes: 1e9 },
      upstreams: [
        { name: 'pypi', url: 'http://a.example/simple/', fileHosts: null },
        { name: 'b', url: 'http://b.example/x,y/' },
        { name: 'c' },
      ],
      preferOffline: true,
      offline: false,
      index: { ttlMs: 60_000 },
      basePath: '/p',
      trustProxy: ['loopback'],
      log: { format: 'json', level: 'warn' },
    });
  });

  it('gives a verb its arguments and the flags that every verb takes', async () => {
    const { verbs, seen } = recordingVerbs();
    expect(await main(['add', 'a.whl', '--offline', 'b.whl'], captureIo().io, verbs)).toBe(0);
    expect(seen[0]?.[1].args).toEqual(['a.whl', 'b.whl']);
    expect(seen[0]?.[1].config().offline).toBe(true);
  });

  it.each([
    [['sreve'], 'There is no verb "sreve".\n  Did you mean serve?'],
    [['toString'], 'There is no verb "toString".\n  wheelcellar --help lists the verbs.'],
    [['--lissen', 'x'], "unknown option '--lissen'.\n  Did you mean --listen?"],
    [['add'], "missing required argument 'file'.\n  wheelcellar add --help lists the flags."],
    [['serve', 'x'], 'too many arguments. Expected 0 arguments but got 1.'],
    [['serve', '--max-size'], "option '--max-size <size>' argument missing."],
    [
      ['--offline', '--prefer-offline'],
      "option '--prefer-offline' cannot be used with option '--offline'.",
    ],
  ])('ends with 2 and a hint after %j', async (argv, message) => {
    const { io, stdout, stderr } = captureIo();
    expect(await main(argv, io, recordingVerbs().verbs)).toBe(2);
    expect(stderr()).toMatch(`wheelcellar: ${message}`);
    expect(stdout()).toBe('');
  });

  it('does not repeat the value of a mistyped flag, which may hold a password', async () => {
    const { io, stderr } = captureIo();
    expect(await main(['--index-ulr=http://ana:s3@a/'], io, recordingVerbs().verbs)).toBe(2);
    expect(stderr()).toContain('--index-ulr');
    expect(stderr()).not.toContain('s3');
  });

  it('turns what a verb throws into a message and its status, with a stack only at level debug', async () => {
    const run = (): Promise<number> => Promise.reject(new IntegrityError('Wrong digest.'));
    const verb: Verb = { name: 'break', summary: 'Break', configure: addServeFlags, run };
    const verbs = { break: async () => ({ verb }) };
    const quiet = captureIo();
    expect(await main(['break'], quiet.io, verbs)).toBe(5);
    expect(quiet.stderr()).toBe('wheelcellar: Wrong digest.\n');
    const loud = captureIo();
    expect(await main(['break', '--log-level', 'debug'], loud.io, verbs)).toBe(5);
    expect(loud.stderr()).toContain('    at ');
  });

  it.each([[['--help']], [['-h']], [['help']]])('lists all verbs after %j', async (argv) => {
    const { io, stdout } = captureIo();
    expect(await main(argv, io, recordingVerbs().verbs)).toBe(0);
    expect(stdout()).toMatch(/Verbs:\n {2}serve +Do serve \(the default\)\n {2}add +Do add\n/);
  });

  it.each([[['serve', '--help']], [['help', 'serve']]])(
    'lists the flags after %j',
    async (argv) => {
      const { verbs, seen } = recordingVerbs();
      const { io, stdout } = captureIo();
      expect(await main(argv, io, verbs)).toBe(0);
      expect(stdout()).toContain('--prefer-offline');
      expect(stdout()).toContain('-c, --config <file>');
      expect(seen).toEqual([]);
    },
  );
});

describe('the verbs', () => {
  it('have help', async () => {
    for (const name of ['config', 'elements', 'version']) {
      const { io, stdout } = captureIo();
      expect(await main([name, '--help'], io)).toBe(0);
      expect(stdout()).toContain(`Usage: wheelcellar ${name}`);
    }
    expect(await main(['--help'], captureIo().io)).toBe(0);
  });

  it('version prints name, version and Node version', async () => {
    const expected = { ...packageFacts(), node: process.versions.node };
    const text = captureIo();
    expect(await main(['--version'], text.io)).toBe(0);
    expect(text.stdout()).toBe(`wheelcellar ${expected.version} (Node ${expected.node})\n`);
    const json = captureIo();
    expect(await main(['version', '--json'], json.io)).toBe(0);
    expect(JSON.parse(json.stdout())).toEqual(expected);
  });

  it('elements prints an absolute folder that exists', async () => {
    const { io, stdout } = captureIo();
    expect(await main(['elements'], io)).toBe(0);
    const path = stdout().trimEnd();
    expect([isAbsolute(path), existsSync(path), stdout().split('\n').length]).toEqual([
      true,
      true,
      2,
    ]);
  });

  it('config check says that the configuration is valid, or all that is wrong with it', async () => {
    const good = captureIo();
    expect(await main(['config', 'check'], good.io)).toBe(0);
    expect(good.stdout()).toBe('configuration is valid\n');

    const folder = mkdtempSync(join(tmpdir(), 'config-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'w.yaml');
    writeFileSync(file, 'ofline: true\ncache: {max_size: 1}\n');
    const bad = captureIo();
    expect(await main(['config', 'check', '-c', file], bad.io)).toBe(2);
    expect(bad.stdout()).toBe('');
    expect(bad.stderr()).toContain(
      `wheelcellar: ${file}:1: unknown key ofline; did you mean offline?\n`,
    );
    expect(bad.stderr()).toContain(`wheelcellar: ${file}:2: cache.max_size is 1; give a size`);
  });

  it('config show tells values and where they came from, never a password', async () => {
    const env = {
      WHEELCELLAR_INDEX_TTL: '90s',
      WHEELCELLAR_UPSTREAM_PYPI_USERNAME: 'ana',
      WHEELCELLAR_UPSTREAM_PYPI_PASSWORD: 's3cret',
    };
    const text = captureIo(env);
    expect(await main(['config', 'show', '--max-size', '3GB'], text.io)).toBe(0);
    expect(text.stdout()).toContain('max_size: 3GB # flag --max-size\n');
    expect(text.stdout()).toContain('ttl: 90s # environment variable WHEELCELLAR_INDEX_TTL\n');
    expect(text.stdout()).toContain(
      '# upstreams: default, environment variable WHEELCELLAR_UPSTREAM_PYPI_PASSWORD, ' +
        'WHEELCELLAR_UPSTREAM_PYPI_USERNAME\nupstreams:\n',
    );
    expect(parse(text.stdout())).toMatchObject({ cache: { max_size: '3GB' }, unix: null });

    const json = captureIo(env);
    expect(await main(['config', 'show', '--json'], json.io)).toBe(0);
    expect(JSON.parse(json.stdout())).toMatchObject({
      file: null,
      settings: {
        'index.ttl': { value: '90s', origin: 'environment' },
        upstreams: { value: [{ username: 'ana', password: '********' }] },
      },
    });
    expect(text.stdout() + json.stdout()).not.toContain('s3cret');
  });

  it('config schema prints a JSON Schema', async () => {
    const { io, stdout } = captureIo();
    expect(await main(['config', 'schema'], io)).toBe(0);
    expect(JSON.parse(stdout())).toMatchObject({ type: 'object', additionalProperties: false });
  });
});
