/** What is asked of far upstreams ahead of an installer, and what is not. */
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import {
  HandmadeInstaller,
  askedOf,
  askedSet,
  projectsOf,
  settled,
  stageFarUpstream,
  wheelOf,
} from '../support/ahead-stage.ts';
import { DEFAULTS, QUICK, index, stageUpstream, startMirror } from '../support/mirror.ts';
import { PIP_USER_AGENT } from '../support/user-agents.ts';

const UV_LOCK = PIP_USER_AGENT.replace('pip/', 'uv/').replace(
  '{',
  '{"installer":{"subcommand":["lock"]},',
);
const WINDOWS_PIP =
  'pip/24.0 {"cpu":"AMD64","implementation":{"name":"CPython"},"python":"3.12.2","system":{"name":"Windows","release":"11"}}';

/** Settings of asking ahead. */
const ahead = (changes: Partial<Config['ahead']>): Partial<Config> => ({
  ahead: { ...DEFAULTS.ahead, ...changes },
});

describe('core metadata that is asked for', () => {
  const APP = wheelOf('app', {
    requires: [
      'base>=1',
      'Plug.In[Turbo]',
      'windows-only; sys_platform == "win32"',
      'old-python-only; python_version < "3"',
      'by-url @ https://files.example/by_url-1.0-py3-none-any.whl',
      'not a requirement',
    ],
    extras: { fast: ['fast-only'] },
  });
  const PROJECTS = {
    ...projectsOf({ base: [], motor: [], 'slow-only': [], 'fast-only': [], 'by-url': [] }),
    ...projectsOf({ 'windows-only': [], 'old-python-only': [] }),
    app: [APP],
    'plug-in': [wheelOf('plug-in', { extras: { turbo: ['motor'], slow: ['slow-only'] } })],
  };

  it('leads to its wheel, and to pages and core metadata of what it requires here', async () => {
    const upstream = await stageFarUpstream(PROJECTS);
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror);
    await client.pages('app');
    expect((await client.metadata(APP.filename)).text).toBe(APP.metadata);
    await settled(mirror);
    expect(askedSet(upstream)).toEqual([
      'metadata app-1.0',
      'metadata base-1.0',
      'metadata motor-1.0',
      'metadata plug_in-1.0',
      'page app',
      'page base',
      'page motor',
      'page plug-in',
      'wheel app-1.0',
    ]);

    upstream.forget();
    expect((await client.file(APP.filename)).body).toEqual(APP.content);
    await client.pages('base', 'plug-in', 'motor');
    expect(upstream.requests).toEqual([]);
  });

  it('leads to what is required on the machine of the client that asks', async () => {
    const upstream = await stageFarUpstream(PROJECTS);
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror, WINDOWS_PIP);
    await client.pages('app');
    await client.metadata(APP.filename);
    await settled(mirror);
    expect(askedSet(upstream)).toContain('page windows-only');
    expect(askedSet(upstream)).not.toContain('page old-python-only');
  });

  it('leads to no wheel when the client only finds out versions', async () => {
    const upstream = await stageFarUpstream(PROJECTS);
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror, UV_LOCK);
    await client.pages('app');
    await client.metadata(APP.filename);
    await settled(mirror);
    expect(askedSet(upstream)).toContain('page base');
    expect(askedSet(upstream).filter((word) => word.startsWith('wheel'))).toEqual([]);
  });

  it('leads to no wheel above the limit, which is fetched when it is asked for', async () => {
    const large = wheelOf('large', { requires: ['base'], paddingBytes: 6_000 });
    const upstream = await stageFarUpstream({ ...PROJECTS, large: [large] });
    const settings = ahead({ largestFileBytes: 5_000 });
    const mirror = await startMirror({ upstreams: [upstream], settings });
    const client = new HandmadeInstaller(mirror);
    await client.pages('large');
    await client.metadata(large.filename);
    await settled(mirror);
    expect(askedSet(upstream)).toEqual([
      'metadata base-1.0',
      'metadata large-1.0',
      'page base',
      'page large',
    ]);
    expect((await client.file(large.filename)).body).toEqual(large.content);
  });

  it('leads to no wheel beyond the credit', async () => {
    const upstream = await stageFarUpstream(PROJECTS, { legacyJson: false });
    const settings = ahead({ creditBytes: 0 });
    const mirror = await startMirror({ upstreams: [upstream], settings });
    const client = new HandmadeInstaller(mirror);
    await client.pages('app');
    await client.metadata(APP.filename);
    await settled(mirror);
    expect(askedSet(upstream)).not.toContain('wheel app-1.0');
  });

  it('leads to its wheel for a client whose page came out of memory', async () => {
    const upstream = await stageFarUpstream(PROJECTS);
    const mirror = await startMirror({ upstreams: [upstream] });
    for (let round = 0; round < 3; round++)
      await new HandmadeInstaller(mirror, 'curl/8.5.0').pages('app');
    const client = new HandmadeInstaller(mirror);
    await client.pages('app');
    await settled(mirror);
    expect(askedOf(upstream)).toEqual(['page app']);
    await client.metadata(APP.filename);
    await settled(mirror);
    expect(askedSet(upstream)).toContain('wheel app-1.0');
    expect(askedSet(upstream)).toContain('page base');
  });
});

describe('a guess', () => {
  /** Each requires the next; the newest another. */
  const pinned = Object.fromEntries(
    ['a', 'b', 'c', 'd', 'e'].map((name, at, all) => [
      name,
      ['1.0', '2.0'].map((version) =>
        wheelOf(name, { version, requires: all.slice(at + 1, at + 2) }),
      ),
    ]),
  );

  it('that is wrong ends guessing: of later projects nothing is fetched but what is asked for', async () => {
    const upstream = await stageFarUpstream(pinned);
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror);
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      await client.pages(name);
      await client.metadata(`${name}-1.0-py3-none-any.whl`);
      await settled(mirror);
    }
    const inVain = askedOf(upstream).filter((word) => /^(?:metadata|wheel) .-2\.0$/.test(word));
    // Three guesses are tried; one of them is the document that says what the newest requires.
    expect(inVain.length).toBeLessThanOrEqual(2);
    expect(askedSet(upstream)).not.toContain('metadata d-2.0');
    expect(askedSet(upstream).filter((word) => word.startsWith('wheel'))).toEqual(
      ['a', 'b', 'c', 'd', 'e'].map((name) => `wheel ${name}-1.0`),
    );
    expect(mirror.mirror.statistics().ahead).toMatchObject({ hits: 0, misses: 5 });
  });

  it('of one client says nothing of another behind the same address', async () => {
    const upstream = await stageFarUpstream(pinned);
    const mirror = await startMirror({ upstreams: [upstream], withoutFastDoor: true });
    const one = new HandmadeInstaller(mirror);
    await one.pages('a');
    await one.metadata('a-1.0-py3-none-any.whl');
    await settled(mirror);
    await one.pages('d');
    await settled(mirror);
    expect(askedSet(upstream)).not.toContain('metadata d-2.0');
    const other = new HandmadeInstaller(mirror, WINDOWS_PIP);
    await other.pages('d');
    await settled(mirror);
    expect(askedSet(upstream)).toContain('metadata d-2.0');
  });

  it('of names that the index does not have costs its pages nothing', async () => {
    const demo = wheelOf('demo');
    const upstream = await stageFarUpstream({ demo: [demo] }, { mode: 'html' });
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror);
    const typos = ['dmeo', 'deom', 'edmo', 'odem', 'modem'];
    for (const { status } of await client.pages(...typos)) expect(status).toBe(404);
    await settled(mirror);
    const [page] = await client.pages('demo');
    const { files } = JSON.parse(page!.text) as { files: { size?: number }[] };
    // A size is what HTML does not say.
    expect(files.map(({ size }) => size)).toEqual([demo.content.length]);
  });

  it('is the newest that fits what requires it', async () => {
    const upstream = await stageFarUpstream({
      app: [wheelOf('app', { requires: ['lib<2'] })],
      lib: ['1.0', '1.5', '2.0'].map((version) => wheelOf('lib', { version })),
    });
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror);
    await client.pages('app');
    await client.metadata('app-1.0-py3-none-any.whl');
    await settled(mirror);
    expect(askedSet(upstream)).toContain('metadata lib-1.5');
    expect(askedSet(upstream)).not.toContain('metadata lib-2.0');
  });
});

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
    const settings = ahead({ isEnabled: false });
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

describe('what is asked ahead', () => {
  const WHEELS = ['one', 'two', 'three', 'four', 'five'].map((name, at, all) =>
    wheelOf(name, { requires: all.slice(at + 1, at + 2) }),
  );
  const CHAIN = Object.fromEntries(WHEELS.map((wheel) => [wheel.filename.split('-')[0]!, [wheel]]));

  it('is fetched once, together with what the client asks for', async () => {
    const upstream = await stageFarUpstream(CHAIN);
    const mirror = await startMirror({ upstreams: [upstream] });
    await new HandmadeInstaller(mirror).install(...WHEELS);
    await settled(mirror);
    const asked = askedSet(upstream);
    expect(asked).toEqual([...new Set(asked)]);
    expect(asked).toHaveLength(3 * WHEELS.length);
  });

  it('is fetched once for several installers that ask for the same at the same time', async () => {
    const upstream = await stageFarUpstream(CHAIN);
    const mirror = await startMirror({ upstreams: [upstream] });
    const agents = [
      PIP_USER_AGENT,
      WINDOWS_PIP,
      'curl/8.5.0',
      `${PIP_USER_AGENT.slice(0, -1)},"ci":true}`,
    ];
    await Promise.all(
      agents.map((agent) => new HandmadeInstaller(mirror, agent).install(...WHEELS)),
    );
    await settled(mirror);
    const asked = askedSet(upstream);
    expect(asked).toEqual([...new Set(asked)]);
    expect(asked).toHaveLength(3 * WHEELS.length);
  });

  it('is fetched without a warning, however much it is', async () => {
    const names = Array.from({ length: 30 }, (_, at) => `part-${at}`);
    const app = wheelOf('app', { requires: names });
    const parts = projectsOf(Object.fromEntries(names.map((name) => [name, []])));
    const upstream = await stageFarUpstream({ ...parts, app: [app] });
    const mirror = await startMirror({ upstreams: [upstream] });
    const warnings: Error[] = [];
    const listener = (warning: Error): void => void warnings.push(warning);
    process.on('warning', listener);
    onTestFinished(() => void process.off('warning', listener));
    const client = new HandmadeInstaller(mirror);
    await client.pages('app');
    await client.metadata(app.filename);
    await settled(mirror);
    expect(askedSet(upstream)).toHaveLength(2 * 30 + 3);
    expect(warnings).toEqual([]);
  });

  it('is counted, and that it was used', async () => {
    const upstream = await stageFarUpstream(CHAIN);
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror);
    await client.pages('one');
    await client.metadata(WHEELS[0]!.filename);
    await settled(mirror);
    const before = mirror.mirror.statistics().ahead;
    expect(before).toMatchObject({ pages: 4, files: 1, hits: 1, misses: 0 });
    expect(before.bytes).toBeGreaterThan(before.usedBytes);
    await client.install(...WHEELS);
    await settled(mirror);
    const { ahead: counts } = JSON.parse((await mirror.get('/-/stats')).text) as {
      ahead: typeof before;
    };
    expect(counts).toMatchObject({ pages: 4, metadata: 5, files: 5, hits: 5, misses: 0 });
    expect(counts.usedBytes).toBe(counts.bytes);
  });

  it('changes no byte of a page', async () => {
    const upstream = await stageFarUpstream(CHAIN);
    const on = await startMirror({ upstreams: [upstream] });
    const off = await startMirror({ upstreams: [upstream], settings: ahead({ isEnabled: false }) });
    for (const mirror of [on, off]) {
      const client = new HandmadeInstaller(mirror);
      await client.pages('one');
      await client.metadata(WHEELS[0]!.filename);
      await settled(mirror);
    }
    for (const name of Object.keys(CHAIN)) {
      for (const accept of ['text/html', 'application/vnd.pypi.simple.v1+json']) {
        const [one, other] = await Promise.all(
          [on, off].map((each) => each.get(`/simple/${name}/`, { headers: { accept } })),
        );
        expect(one!.text).toBe(other!.text);
        expect(one!.headers.etag).toBe(other!.headers.etag);
      }
    }
  });

  it('is not kept when its bytes are wrong, and the client gets what it would have got', async () => {
    const [first] = WHEELS;
    const answers: [number | string, number][] = [];
    for (const isEnabled of [true, false]) {
      const upstream = await stageFarUpstream({
        ...CHAIN,
        one: [{ ...first!, listedSha256: 'ab'.repeat(32) }],
        two: [{ ...WHEELS[1]!, listedMetadataSha256: 'cd'.repeat(32) }],
      });
      const mirror = await startMirror({ upstreams: [upstream], settings: ahead({ isEnabled }) });
      const client = new HandmadeInstaller(mirror);
      await client.pages('one', 'two');
      await client.metadata(first!.filename);
      await settled(mirror);
      const wheel = await client.file(first!.filename).then(
        ({ status }) => status,
        () => 'broken',
      );
      const metadata = await client.metadata(WHEELS[1]!.filename);
      answers.push([wheel, metadata.status]);
      await settled(mirror);
      const paths = mirror.mirror.store.catalog
        .filesOf('one' as never)
        .concat(mirror.mirror.store.catalog.filesOf('two' as never))
        .map(({ filename }) => filename);
      expect(paths).not.toContain(first!.filename);
      expect(paths).not.toContain(`${WHEELS[1]!.filename}.metadata`);
    }
    expect(answers[0]).toEqual(answers[1]);
  });

  it('is what a project was known to need, at once, when files and pages are gone', async () => {
    const upstream = await stageFarUpstream(CHAIN);
    const before = await startMirror({ upstreams: [upstream] });
    await new HandmadeInstaller(before).install(...WHEELS);
    await settled(before);
    const { catalog } = before.mirror.store;
    await catalog.removeFiles(
      Object.keys(CHAIN).flatMap((name) => catalog.filesOf(name as never)),
      0,
    );
    await before.stop();

    upstream.forget();
    // Farther still, so that a busy machine does not change the order.
    upstream.fault('*', { delayMs: 500 });
    const mirror = await startMirror({ upstreams: [upstream], cacheDir: before.cacheDir });
    mirror.clock.advance(24 * 3_600_000);
    const client = new HandmadeInstaller(mirror);
    await client.pages('one');
    await settled(mirror);
    // Not one after the other: none waits for another's core metadata.
    const pages = Object.keys(CHAIN).map((name) => `page ${name}`);
    expect(askedOf(upstream).slice(0, 5).toSorted()).toEqual(pages.toSorted());
  });

  it('is not what a project was known to need while its page is fresh', async () => {
    const upstream = await stageFarUpstream(CHAIN);
    const before = await startMirror({ upstreams: [upstream] });
    await new HandmadeInstaller(before).install(...WHEELS);
    await settled(before);
    await before.stop();
    upstream.forget();
    const mirror = await startMirror({ upstreams: [upstream], cacheDir: before.cacheDir });
    await new HandmadeInstaller(mirror).install(...WHEELS);
    await settled(mirror);
    expect(upstream.requests).toEqual([]);
  });
});
