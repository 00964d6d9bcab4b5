import { describe, expect, it } from 'vitest';
import { asksForOffline, dibEnvironment } from '../../../src/build/dib-environment.ts';
import { servedBetween } from '../../../src/build/served-files.ts';

const INDEX = 'http://127.0.0.1:3141/simple/';

function environment(
  variables: Readonly<Record<string, string>> = {},
  isOffline = false,
): Record<string, string | undefined> {
  return dibEnvironment({ variables, elementsPath: '/ours', indexUrl: INDEX, isOffline });
}

describe('the environment of an image build', () => {
  it('names this mirror and our elements, and leaves the rest alone', () => {
    expect(
      environment({
        HOME: '/h',
        DIB_PYPI_MIRROR_URL: 'http://x/',
        DIB_PYPI_MIRROR_URL_1: 'http://y/',
      }),
    ).toEqual({
      HOME: '/h',
      ELEMENTS_PATH: '/ours',
      DIB_PYPI_MIRROR_URL: INDEX,
      DIB_PYPI_MIRROR_URL_1: 'http://y/',
      DIB_NO_PYPI_PIP: '1',
    });
  });

  it('says offline only when it is', () => {
    expect(environment({}, true)['DIB_OFFLINE']).toBe('1');
    expect(environment({})).not.toHaveProperty('DIB_OFFLINE');
  });

  it.each([
    ['/a:/b', '/ours:/a:/b'],
    ['', '/ours'],
    [':/a:', '/ours:/a'],
    ['/a:/ours:/b', '/a:/ours:/b'],
  ])('makes of ELEMENTS_PATH=%s %s', (present, expected) => {
    expect(environment({ ELEMENTS_PATH: present })['ELEMENTS_PATH']).toBe(expected);
  });

  it('leads the mirror past a proxy', () => {
    const found = environment({ HTTPS_PROXY: 'http://proxy/', no_proxy: 'intra, 127.0.0.1' });
    expect(found).toMatchObject({ no_proxy: 'intra,127.0.0.1', NO_PROXY: 'intra,127.0.0.1' });
    expect(environment({ NO_PROXY: 'intra' })['NO_PROXY']).toBe('intra');
  });
});

describe('an offline build', () => {
  it.each([
    [['disk-image-create', '--offline', 'debian'], {}, true],
    [['sudo', '-E', 'disk-image-create', '--off', 'debian'], {}, true],
    [['disk-image-create', 'debian'], { DIB_OFFLINE: '0' }, true],
    [['disk-image-create', 'debian'], { DIB_OFFLINE: '' }, false],
    [['disk-image-create', '--', '--offline'], {}, false],
    [['disk-image-create', '-o', 'offline'], {}, false],
  ])('is told from %j with %j: %s', (words, variables, expected) => {
    expect(asksForOffline(words, variables)).toBe(expected);
  });
});

it('tells what was served between two looks', () => {
  const before = { fileHits: 5, fileMisses: 2, bytesServed: 700, bytesFetched: 200 };
  const after = { fileHits: 8, fileMisses: 3, bytesServed: 1100, bytesFetched: 300 };
  expect(servedBetween(before, after)).toEqual({
    fileHits: 3,
    fileMisses: 1,
    bytesServed: 400,
    bytesFetched: 100,
    bytesSaved: 300,
  });
  expect(servedBetween(before, { ...before, bytesFetched: 900 }).bytesSaved).toBe(0);
});
