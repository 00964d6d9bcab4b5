import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { installedIn } from '../support/python-clients.ts';
import { INSTALLERS, setStage, wordsOf } from './stage.ts';

const ANY_FILE = /^\/packages\//;

describe.each(INSTALLERS)('$name', ({ install }) => {
  it('installs the sample set, and a second time without a word to the upstream', async () => {
    const { set, upstream, serve, freshPython } = await setStage();
    const { indexUrl } = await serve();

    const first = await freshPython();
    const cold = await install({ python: first, indexUrl, args: set.requirements });
    expect(cold.code, wordsOf(cold)).toBe(0);
    expect(await installedIn(first)).toEqual(set.installed);
    const files = upstream.requests.filter(({ path }) => ANY_FILE.test(path));
    expect(files.length).toBeGreaterThan(30);
    for (const { path } of files) expect(upstream.count(path, 'GET'), path).toBe(1);

    upstream.forget();
    const second = await freshPython();
    const warm = await install({ python: second, indexUrl, args: set.requirements });
    expect(warm.code, wordsOf(warm)).toBe(0);
    expect(await installedIn(second)).toEqual(set.installed);
    expect(upstream.requests).toEqual([]);
  });
});

it('serves pip and uv offline what one of them had installed, without an upstream connection', async () => {
  const { set, upstream, serve, freshPython } = await setStage();
  const online = await serve();
  const args = set.requirements;
  const before = await INSTALLERS[0]!.install({
    python: await freshPython(),
    indexUrl: online.indexUrl,
    args,
  });
  expect(before.code, wordsOf(before)).toBe(0);
  await online.stop();

  upstream.forget();
  const { indexUrl } = await serve('--offline');
  for (const { install } of INSTALLERS) {
    const python = await freshPython();
    const result = await install({ python, indexUrl, args });
    expect(result.code, wordsOf(result)).toBe(0);
    expect(await installedIn(python)).toEqual(set.installed);
  }
  expect(upstream.connections).toBe(0);
});

it('leaves a static mirror that pip and uv install from when no server runs', async () => {
  const { set, upstream, cacheDir, serve, freshPython } = await setStage();
  const server = await serve();
  const args = set.requirements;
  const before = await INSTALLERS[1]!.install({
    python: await freshPython(),
    indexUrl: server.indexUrl,
    args,
  });
  expect(before.code, wordsOf(before)).toBe(0);
  await server.stop();
  await upstream.down();

  const indexUrl = pathToFileURL(join(cacheDir, 'mirror')).href;
  for (const { install } of INSTALLERS) {
    const python = await freshPython();
    const result = await install({ python, indexUrl, args });
    expect(result.code, wordsOf(result)).toBe(0);
    expect(await installedIn(python)).toEqual(set.installed);
  }
});
