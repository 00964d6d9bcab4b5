/** When far upstreams are not asked ahead of an installer. */
import { describe, expect, it } from 'vitest';
import {
  HandmadeInstaller,
  askedOf,
  askedSet,
  projectsOf,
  settled,
  stageFarUpstream,
} from '../support/ahead-stage.ts';
import { DEFAULTS, QUICK, index, stageUpstream, startMirror } from '../support/mirror.ts';

describe('nothing is asked ahead', () => {
  const CHAIN = projectsOf({ app: ['base'], base: ['deep'], deep: [] });
  const METADATA = 'app-1.0-py3-none-any.whl';

  it.each([
    ['curl', 'curl/8.5.0'],
    ['poetry', 'poetry/1.8.2 CPython/3.12.2 Linux/6.5.0'],
    ['an unreadable pip', 'pip/26.0 {"python":'],
  ])('of %s', async (_name, userAgent) => {
    const upstream = await stageFarUpstream(CHAIN);
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror, userAgent);
    await client.pages('app');
    await client.metadata(METADATA);
    await settled(mirror);
    expect(askedOf(upstream)).toEqual(['page app', 'metadata app-1.0']);
  });

  it('by setting', async () => {
    const upstream = await stageFarUpstream(CHAIN);
    const settings = { ahead: { ...DEFAULTS.ahead, isEnabled: false } };
    const mirror = await startMirror({ upstreams: [upstream], settings });
    const client = new HandmadeInstaller(mirror);
    await client.pages('app');
    await client.metadata(METADATA);
    expect(mirror.mirror.ahead).toBeNull();
    expect(askedOf(upstream)).toEqual(['page app', 'metadata app-1.0']);
  });

  it('after HEAD', async () => {
    const upstream = await stageFarUpstream(CHAIN);
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror);
    expect((await client.get('/simple/app/', 'HEAD')).status).toBe(200);
    await settled(mirror);
    expect(askedOf(upstream)).toEqual(['page app']);
  });

  it('of an upstream that is near', async () => {
    const upstream = await stageUpstream({ projects: CHAIN });
    const mirror = await startMirror({ upstreams: [upstream], withoutFastDoor: true });
    const [only] = mirror.mirror.upstreams;
    // On a busy machine nothing is near at once.
    for (let at = 0; at < 200 && (at < 16 || only!.roundTripMs! >= 4); at++)
      await mirror.get(`/simple/nothing-${at}/`);
    expect(only!.roundTripMs).toBeLessThan(5);
    upstream.forget();
    const client = new HandmadeInstaller(mirror);
    await client.pages('app');
    await client.metadata(METADATA);
    await settled(mirror);
    expect(askedOf(upstream)).toEqual(['page app', 'metadata app-1.0']);
  });

  it('offline', async () => {
    const upstream = await stageFarUpstream(CHAIN);
    const online = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(online);
    await client.pages('app');
    await client.metadata(METADATA);
    await client.file(METADATA);
    await settled(online);
    await online.stop();
    upstream.forget();
    const settings = { offline: true };
    const offline = await startMirror({
      upstreams: [upstream],
      cacheDir: online.cacheDir,
      settings,
    });
    expect((await new HandmadeInstaller(offline).pages('app'))[0]?.status).toBe(200);
    expect(offline.mirror.ahead).toBeNull();
    expect(upstream.requests).toEqual([]);
  });

  it('while the upstream is cut off, though it is known what would be wanted', async () => {
    const upstream = await stageFarUpstream(CHAIN);
    const online = await startMirror({ upstreams: [upstream] });
    await new HandmadeInstaller(online).install({ filename: METADATA });
    await settled(online);
    await online.stop();
    await upstream.down();
    const mirror = await startMirror({
      upstreams: [upstream],
      cacheDir: online.cacheDir,
      settings: QUICK,
    });
    const triedOf = (): unknown[] =>
      mirror.log
        .filter(({ message }) => message === 'page not refreshed')
        .map(({ fields }) => fields['project']);
    for (const pauseMs of [0, 6_000]) {
      mirror.clock.advance(pauseMs);
      await mirror.get('/simple/nothing/');
    }
    expect(mirror.mirror.statistics().mode).toBe('cut-off');
    mirror.clock.advance(3_600_000);
    const client = new HandmadeInstaller(mirror);
    expect((await client.pages('app'))[0]?.status).toBe(200);
    await settled(mirror);
    expect(triedOf()).not.toContain('base');
    expect(triedOf()).not.toContain('deep');
  });

  it('of the official index while that is forbidden, and of others it is', async () => {
    const other = await stageFarUpstream(CHAIN);
    const upstreams = [
      index('pypi', other, { url: 'https://pypi.org/simple/' }),
      index('second', other),
    ];
    const settings = { ...QUICK, upstreams, officialIndex: 'forbidden' as const };
    const mirror = await startMirror({ upstreams: [], settings });
    const client = new HandmadeInstaller(mirror);
    await client.pages('app');
    await client.metadata(METADATA);
    await settled(mirror);
    expect(mirror.mirror.statistics().upstreams[0]).toMatchObject({
      pageFetches: 0,
      fileFetches: 0,
    });
    expect(askedSet(other)).toContain('page base');
  });
});
