import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../../src/core/errors.ts';
import { parseProxies } from '../../../src/upstream/proxies.ts';

const proxied = (environment: Record<string, string>, url: string): string | undefined =>
  parseProxies(environment).proxyFor(new URL(url))?.url.href;

describe('parseProxies', () => {
  it('goes directly without variables', () => {
    expect(proxied({}, 'https://example.org/')).toBeUndefined();
    expect(proxied({ HTTPS_PROXY: '' }, 'https://example.org/')).toBeUndefined();
  });

  it('chooses by scheme, the lower-case name first, ALL_PROXY last', () => {
    const environment = { HTTP_PROXY: 'http://upper:1', http_proxy: 'lower:2', ALL_PROXY: 'all:3' };
    expect(proxied(environment, 'http://example.org/')).toBe('http://lower:2/');
    expect(proxied(environment, 'https://example.org/')).toBe('http://all:3/');
  });

  it.each([
    ['*', 'https://example.org/', false],
    ['example.org', 'https://example.org/', false],
    ['example.org', 'https://www.example.org/', false],
    ['.example.org', 'https://www.example.org/', false],
    ['*.example.org', 'https://www.example.org/', false],
    ['example.org', 'https://badexample.org/', true],
    ['example.org:8443', 'https://example.org:8443/', false],
    ['example.org:8443', 'https://example.org/', true],
    ['a.example b.example,c.example', 'https://b.example/', false],
    ['localhost,127.0.0.1', 'https://127.0.0.1:5000/', false],
    ['10.0.0.0/8', 'https://10.200.0.1/', false],
    ['10.0.0.0/8', 'https://11.0.0.1/', true],
    ['::1', 'https://[::1]/', false],
    ['fd00::/8', 'https://[fd12::1]/', false],
  ])('NO_PROXY=%s, %s: proxied is %s', (exceptions, url, expected) => {
    const environment = { https_proxy: 'http://proxy:8080', no_proxy: exceptions };
    expect(proxied(environment, url) !== undefined).toBe(expected);
  });

  it('keeps the login apart from the address', () => {
    const proxy = parseProxies({ all_proxy: 'http://ana:p%40ss@proxy:8080' });
    const found = proxy.proxyFor(new URL('https://example.org/'));
    expect(found?.url.href).toBe('http://proxy:8080/');
    expect(found?.authorization).toBe(`Basic ${Buffer.from('ana:p@ss').toString('base64')}`);
  });

  it('refuses what is no http proxy, without printing its password', () => {
    const parse = (): unknown => parseProxies({ ALL_PROXY: 'socks5://ana:secret@proxy:1080' });
    expect(parse).toThrow(ConfigurationError);
    expect(parse).not.toThrow(/secret/);
  });
});
