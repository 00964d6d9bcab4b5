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
import { DEFAULTS, startMirror } from '../support/mirror.ts';
import { PIP_USER_AGENT, WINDOWS_PIP_USER_AGENT } from '../support/user-agents.ts';

const UV_LOCK = PIP_USER_AGENT.replace('pip/', 'uv/').replace(
  '{',
  '{"installer":{"subcommand":["lock"]},',
);

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

  it('leads to what extras require that are named later, by others or by itself', async () => {
    const upstream = await stageFarUpstream({
      ...projectsOf({ app: ['lib', 'late'], late: ['lib[All]'] }),
      ...projectsOf({ one: [], two: [], three: [], never: [] }),
      lib: [
        wheelOf('lib', {
          extras: {
            all: ['lib[first,second]'],
            first: ['one'],
            second: ['two', 'lib[third]'],
            third: ['three'],
            other: ['never'],
          },
        }),
      ],
    });
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror);
    await client.pages('app');
    await client.metadata('app-1.0-py3-none-any.whl');
    await settled(mirror);
    const asked = askedSet(upstream);
    for (const name of ['one', 'two', 'three']) expect(asked).toContain(`page ${name}`);
    expect(asked).not.toContain('page never');
  });

  it.each([
    ['extras of its own', (at: number) => `bad[e${at}]`],
    [
      'extras that lead to each other',
      (at: number) => `bad[e${at + 1}]; extra == "e${at}" or ${at} == 0`,
    ],
    ['extras, one after the other', (at: number) => `bad[e${at + 1}]; extra == "e${at}"`],
    ['specifiers', (at: number) => `dep!=0.${at}`],
    ['other projects', (at: number) => `dep-${at}; extra == "x${at}"`],
  ])('that names thousands of %s holds nobody up', async (_what, requirement) => {
    const requires = [
      'bad[e0]',
      'dep',
      ...Array.from({ length: 3_000 }, (_, at) => requirement(at)),
    ];
    const bad = wheelOf('bad', { requires });
    const dep = Array.from({ length: 300 }, (_, at) => wheelOf('dep', { version: `0.${at}` }));
    const upstream = await stageFarUpstream({ bad: [bad], dep });
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror);
    await client.pages('bad');
    const startedAt = performance.now();
    await client.metadata(bad.filename);
    await settled(mirror);
    // Without bounds it takes minutes.
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(askedSet(upstream)).toContain('page dep');
  });

  it('leads to what is required on the machine of the client that asks', async () => {
    const upstream = await stageFarUpstream(PROJECTS);
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror, WINDOWS_PIP_USER_AGENT);
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
      WINDOWS_PIP_USER_AGENT,
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
