import { describe, expect, it } from 'vitest';
import { createFileHosts, isOfficialHost } from '../../../src/upstream/hosts.ts';

function allows(index: string, url: string, fileHosts: readonly string[] = []): boolean {
  return createFileHosts({ indexUrl: new URL(index), fileHosts }).allows(new URL(url));
}

const OFFICIAL = 'https://pypi.org/simple/';
const PRIVATE = 'http://10.1.2.3:3141/simple/';

describe('the hosts an upstream may lead to', () => {
  it.each([
    [OFFICIAL, 'https://pypi.org/x', true],
    [OFFICIAL, 'https://pypi.org:8443/x', true],
    [OFFICIAL, 'https://PyPI.org./x', true],
    [OFFICIAL, 'https://files.pythonhosted.org/x', true],
    [OFFICIAL, 'http://files.pythonhosted.org/x', false],
    [OFFICIAL, 'https://evil.files.pythonhosted.org/x', false],
    [OFFICIAL, 'https://pypi.org.evil.example/x', false],
    [OFFICIAL, 'https://127.0.0.1/x', false],
    ['https://example.org/simple/', 'https://files.pythonhosted.org/x', false],
    ['http://example.org/simple/', 'https://example.org/x', true],
    ['http://example.org/simple/', 'http://example.org:81/x', true],
    ['http://example.org/simple/', 'ftp://example.org/x', false],
    [PRIVATE, 'http://10.1.2.3:3141/x', true],
    [PRIVATE, 'http://10.1.2.3:22/x', false],
    [PRIVATE, 'http://10.1.2.4:3141/x', false],
    ['http://localhost:3141/simple/', 'http://localhost:3142/x', false],
    ['http://[::1]:3141/simple/', 'http://[0:0:0:0:0:0:0:1]:3141/x', true],
  ])('from %s to %s: %s', (index, url, expected) => {
    expect(allows(index, url)).toBe(expected);
  });

  it.each([
    ['cdn.example.org', 'https://cdn.example.org:444/x', true],
    ['cdn.example.org:443', 'https://cdn.example.org/x', true],
    ['cdn.example.org:443', 'https://cdn.example.org:444/x', false],
    ['*.example.org', 'https://a.b.example.org/x', true],
    ['*.example.org', 'https://badexample.org/x', false],
    ['*', 'https://anything.example/x', true],
    ['*', 'https://127.0.0.1/x', false],
    ['*', 'https://192.168.1.1/x', false],
    ['*', 'https://2130706433/x', false],
    ['*', 'https://[::ffff:10.0.0.1]/x', false],
    ['*', 'https://[fd00::1]/x', false],
    ['*', 'https://[fe80::1]/x', false],
    ['*', 'https://[64:ff9b::7f00:1]/x', false],
    ['*', 'https://169.254.169.254/x', false],
    ['*', 'https://foo.localhost/x', false],
    ['10.0.0.9', 'https://10.0.0.9:8080/x', true],
    ['::1', 'https://[::1]/x', true],
  ])('with %s listed, %s: %s', (listed, url, expected) => {
    expect(allows('https://example.net/simple/', url, [listed])).toBe(expected);
  });

  it('know the official index by all its names', () => {
    const official = ['pypi.org', 'pypi.python.org', 'files.pythonhosted.org', 'test.pypi.org'];
    expect(official.map(isOfficialHost)).toEqual([true, true, true, true]);
    expect(isOfficialHost('notpypi.org')).toBe(false);
  });
});
