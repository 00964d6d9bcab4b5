import { hostname, networkInterfaces } from 'node:os';
import { describe, expect, it } from 'vitest';
import { createHostGuard } from '../../../src/server/host-guard.ts';

const guard = (listenHosts: string[], allowedHosts: string[] = []): ((host: string) => boolean) =>
  createHostGuard({ listenHosts, allowedHosts });

describe('on loopback', () => {
  const isOurs = guard(['127.0.0.1'], ['pypi.example.org', 'fd00::1']);

  it.each([
    'localhost',
    'LOCALHOST:3141',
    'localhost.',
    'mirror.localhost:3141',
    '127.0.0.1:3141',
    '127.9.9.9',
    '[::1]:3141',
    'pypi.example.org',
    'PyPI.Example.org:8080',
    '[fd00::1]:1',
  ])('answers to %s', (host) => {
    expect(isOurs(host)).toBe(true);
  });

  it.each([
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '127.0.0.1evil',
    'evil@localhost',
    'localhost/evil',
    'localhost:port',
    'localhost:3141:1',
    '[::2]',
    '0.0.0.0',
    '192.168.1.1',
    '',
    ' ',
    'sub.pypi.example.org',
    hostname(),
  ])('does not answer to %s', (host) => {
    expect(isOurs(host)).toBe(false);
  });
});

describe('on every address', () => {
  const isOurs = guard(['0.0.0.0']);
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);

  it('answers to the names and addresses of the machine', () => {
    expect(isOurs(hostname())).toBe(true);
    expect(isOurs(`${hostname().split('.')[0]}.local:3141`)).toBe(true);
    expect(isOurs('localhost')).toBe(true);
    for (const { address, family } of addresses.filter(({ address }) => !address.includes('%'))) {
      expect(isOurs(family === 'IPv6' ? `[${address}]:3141` : `${address}:3141`)).toBe(true);
    }
  });

  it('does not answer to other names', () => {
    expect(isOurs('evil.example')).toBe(false);
    expect(isOurs('203.0.113.7')).toBe(false);
    expect(isOurs(`${hostname()}.evil.example`)).toBe(false);
  });
});

it('answers to the address that it is told to listen on', () => {
  const isOurs = guard(['10.1.2.3', '[fd00::2]']);
  expect(isOurs('10.1.2.3:3141')).toBe(true);
  expect(isOurs('[fd00::2]:3141')).toBe(true);
  expect(isOurs('10.1.2.4')).toBe(false);
});
