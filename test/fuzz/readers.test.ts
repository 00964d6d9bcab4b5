/**
 * Readers of what strangers write, fed with broken samples: each answers, or refuses with the class it
 * promises; what it lets through is clean; and none takes long.
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  ConfigurationError,
  IntegrityError,
  InvalidUpstreamAnswerError,
  RangeNotSatisfiableError,
} from '../../src/core/errors.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { candidateProjects } from '../../src/packaging/filenames.ts';
import { isNormalized, parseProjectName } from '../../src/packaging/names.ts';
import type { ProjectName } from '../../src/packaging/names.ts';
import { readWheelMetadata } from '../../src/packaging/wheel-metadata.ts';
import { parseRange } from '../../src/server/byte-ranges.ts';
import { parseRoute } from '../../src/server/route.ts';
import type { ProjectDetail } from '../../src/simple/model.ts';
import { PAGE_TYPES, negotiate } from '../../src/simple/negotiate.ts';
import { readPage } from '../../src/simple/read-page.ts';
import { mirrorPathOf } from '../../src/store/mirror-path.ts';
import { htmlPage, jsonPage } from '../support/fake-upstream-pages.ts';
import { writeOddZip } from '../support/odd-zip.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import { budgetMs, mutationOf, within } from './mutation.ts';

const TARGETS = 8;
const TIME = within(budgetMs(TARGETS));
const LONGEST_MS = 2_000;
const CONTEXT = { project: 'demo' as ProjectName, pageUrl: 'https://index.test/simple/demo/' };

const FILES = [
  {
    ...writeWheel({ name: 'demo', version: '1.0', requiresPython: '>=3.8' }),
    yanked: 'broken "x"',
  },
  writeSdist({ name: 'demo', version: '1.0' }),
  {
    filename: 'demo-2.0rc1+local.1.tar.gz',
    content: Buffer.from('x'),
    provenance: 'https://a.test/p',
  },
];
const PROJECT = { name: 'demo', files: FILES, serial: 7 };

/** What any reader lets through must be fit for a page, a path and a log. */
function expectClean({ name, files }: ProjectDetail): void {
  expect(name).toBe('demo');
  for (const file of files) {
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    expect(file.filename).not.toMatch(/[\0-\x1f/\\]|^\.\.?$/);
    expect(new URL(file.url).protocol).toMatch(/^https?:$/);
    expect(new URL(file.url).password).toBe('');
    if (file.sizeBytes !== null) expect(Number.isSafeInteger(file.sizeBytes)).toBe(true);
    for (const digest of Object.values(file.hashes)) expect(digest).toMatch(/^[0-9a-f]+$/);
    const path = mirrorPathOf('pypi', CONTEXT.pageUrl, file.url);
    if (path !== undefined) expect(path.split('/')).not.toContain('..');
  }
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
}

function readsOrRefuses(contentType: string, body: Uint8Array): void {
  const startedAt = performance.now();
  try {
    expectClean(readPage({ ...CONTEXT, contentType, body }).detail);
  } catch (error) {
    if (!(error instanceof InvalidUpstreamAnswerError)) throw error;
  }
  expect(performance.now() - startedAt).toBeLessThan(LONGEST_MS);
}

it('reads or refuses any JSON page', () => {
  const sample = jsonPage(PROJECT, '../..');
  fc.assert(
    fc.property(mutationOf(sample), (body) =>
      readsOrRefuses('application/vnd.pypi.simple.v1+json', body),
    ),
    TIME,
  );
});

it('reads or refuses any HTML page', () => {
  const sample = htmlPage(PROJECT, '../..');
  fc.assert(
    fc.property(mutationOf(sample), (body) => readsOrRefuses('text/html', body)),
    TIME,
  );
});

it('finds one of its own types, or none, for any Accept', () => {
  const sample = 'application/vnd.pypi.simple.v1+json, text/html;q=0.1, */*;q=0.01';
  fc.assert(
    fc.property(mutationOf(sample, sample.repeat(50)), (accept) => {
      const type = negotiate(accept.toString('latin1'), undefined)?.type;
      if (type !== undefined) expect(PAGE_TYPES).toContain(type);
    }),
    TIME,
  );
});

it('finds a part of the file, the whole or nothing for any Range', () => {
  const samples = ['bytes=0-99', 'bytes=-500', 'bytes=500-', 'bytes=0-0,5-9', 'bytes=0-4,5-9,-3'];
  fc.assert(
    fc.property(mutationOf(...samples), fc.nat(1_000), (header, sizeBytes) => {
      try {
        const range = parseRange(header.toString('latin1'), sizeBytes);
        if (range === null) return;
        expect(range.start).toBeGreaterThanOrEqual(0);
        expect(range.start).toBeLessThan(range.end);
        expect(range.end).toBeLessThanOrEqual(sizeBytes);
      } catch (error) {
        if (!(error instanceof RangeNotSatisfiableError)) throw error;
      }
    }),
    TIME,
  );
});

it('takes no name for a project but by the rules, and keeps it once normalized', () => {
  fc.assert(
    fc.property(mutationOf('Demo_Project.name-2', 'flask'), (bytes) => {
      for (const raw of [bytes.toString('utf8'), bytes.toString('latin1')]) {
        const name = parseProjectName(raw);
        if (name !== undefined) {
          expect(name).toMatch(/^[a-z0-9]+(?:-[a-z0-9]+)*$/);
          expect(isNormalized(name)).toBe(true);
        }
        for (const project of candidateProjects(`${raw}-1.0.tar.gz`))
          expect(isNormalized(project)).toBe(true);
      }
    }),
    TIME,
  );
});

it('leads no request target out of the mirror, nor a redirect to another host', () => {
  const samples = [
    '/simple/demo/',
    '/packages/aa/bb/cc/demo-1.0.tar.gz.metadata',
    '/packages/-/pypi/files/demo%2B1-1.0.tar.gz?x=y',
    '/root/pypi/+simple/Demo',
    '/pypi/demo/1.0/json',
    '//evil.example/%2e%2e/%2f',
  ];
  fc.assert(
    fc.property(mutationOf(...samples), (bytes) => {
      const route = parseRoute(bytes.toString('latin1'), '/');
      if (route.kind === 'file') {
        expect(route.path.split('/')).not.toContain('..');
        expect(route.path).not.toMatch(/[\0\\]|^\//);
      } else if (route.kind === 'redirect') {
        const to = new URL(route.location, 'http://mirror.test/a/b/c/');
        expect(to.host).toBe('mirror.test');
        expect(route.location).not.toMatch(/^\/\/|[\r\n]/);
      }
    }),
    TIME,
  );
});

it('takes core metadata out of any wheel, or says that its bytes are wrong', async () => {
  const path = 'demo-1.0.dist-info/METADATA';
  const content = 'Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n';
  const samples = [
    writeWheel({ name: 'demo', version: '1.0', isCompressed: true }).content,
    writeOddZip([{ path, content, isLong: true }], { isLong: true, comment: 'x' }),
    writeOddZip([{ path, content, hasDescriptor: true }]),
  ];
  await fc.assert(
    fc.asyncProperty(mutationOf(...samples), async (bytes) => {
      const startedAt = performance.now();
      const read = async (start: number, end: number): Promise<Uint8Array> => {
        expect(start).toBeGreaterThanOrEqual(0);
        expect(end).toBeLessThanOrEqual(bytes.length);
        return bytes.subarray(start, end);
      };
      const access = { sizeBytes: bytes.length, read };
      try {
        await readWheelMetadata('demo-1.0-py3-none-any.whl', access);
      } catch (error) {
        if (!(error instanceof IntegrityError)) throw error;
      }
      expect(performance.now() - startedAt).toBeLessThan(LONGEST_MS);
    }),
    TIME,
  );
});

it('loads any configuration file, or tells what is wrong with it', () => {
  const sample = readFileSync(new URL('../../config.example.yaml', import.meta.url), 'utf8');
  const bare = sample.replace(/^\s*#.*\n/gm, '');
  fc.assert(
    fc.property(mutationOf(bare), (bytes) => {
      const readFile = (): string => bytes.toString('utf8');
      try {
        loadConfig({ env: {}, homeDir: '/home/ana', configFile: '/etc/x.yaml', readFile });
      } catch (error) {
        if (!(error instanceof ConfigurationError)) throw error;
        expect(error.problems.length).toBeGreaterThan(0);
      }
    }),
    TIME,
  );
});
