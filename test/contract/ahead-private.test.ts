/** Names that a private index knows are not told to a public one because somebody is asked ahead. */
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { ProjectName } from '../../src/packaging/names.ts';
import type { UpstreamConfig } from '../../src/config/config.ts';
import {
  HandmadeInstaller,
  askedOf,
  askedSet,
  projectsOf,
  settled,
  stageFarUpstream,
  wheelOf,
} from '../support/ahead-stage.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { index, QUICK, stageFolder, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { runVerb } from '../support/verbs.ts';

/** `secret-lib` is in the private index, `nowhere-lib` in none; `corp-public` is in both. */
const PRIVATE = projectsOf({
  'corp-app': ['secret-lib', 'nowhere-lib', 'flask', 'corp-public'],
  'secret-lib': ['secret-deep'],
  'secret-deep': [],
  'corp-public': ['secret-deep'],
});
const PUBLIC = projectsOf({
  flask: ['click', 'corp-public'],
  click: ['color'],
  color: [],
  'corp-public': ['public-trap'],
  'public-trap': [],
});
const APP = 'corp_app-1.0-py3-none-any.whl';

const TELLTALE = /corp|secret|nowhere/;

interface Stage {
  readonly first: FakeUpstream;
  readonly second: FakeUpstream;
  start(cacheDir?: string): Promise<TestMirror>;
}

async function setStage(
  projects: UpstreamConfig['projects'],
  names = ['private', 'public'],
): Promise<Stage> {
  const [first, second] = [await stageFarUpstream(PRIVATE), await stageFarUpstream(PUBLIC)];
  const upstreams = [index(names[0] ?? '', first, { projects }), index(names[1] ?? '', second)];
  return {
    first,
    second,
    start: async (cacheDir) =>
      await startMirror({
        upstreams: [],
        settings: { ...QUICK, upstreams },
        ...(cacheDir === undefined ? {} : { cacheDir }),
      }),
  };
}

/** Takes what was asked for out of the catalog, and lets its pages grow old, as time does. */
async function evict(mirror: TestMirror): Promise<void> {
  const { catalog } = mirror.mirror.store;
  await catalog.removeFiles(
    catalog.heldProjects().flatMap((name) => catalog.filesOf(name)),
    0,
  );
  await mirror.stop();
}

describe.each([
  ['all names', null],
  ['the names that it serves', ['corp-*']],
])('a private index that is asked first for %s', (_what, projects) => {
  it('keeps its names when core metadata is asked for', async () => {
    const { first, second, start } = await setStage(projects);
    const mirror = await start();
    const client = new HandmadeInstaller(mirror);
    await client.pages('corp-app');
    expect((await client.metadata(APP)).status).toBe(200);
    await settled(mirror);
    expect(askedOf(second)).toEqual([]);
    expect(askedOf(first)).toContain('page corp-public');
    expect(askedOf(first).includes('page secret-lib')).toBe(projects === null);
  });

  it('keeps its names when they are guessed', async () => {
    const { first, second, start } = await setStage(projects);
    const mirror = await start();
    await new HandmadeInstaller(mirror).pages('corp-app');
    await settled(mirror);
    expect(askedOf(first)).toContain('page corp-public');
    expect(askedOf(second)).toEqual([]);
  });

  it('keeps its names when they were learned before', async () => {
    const { first, second, start } = await setStage(projects);
    const before = await start();
    const client = new HandmadeInstaller(before);
    await client.pages('corp-app', 'corp-public', 'flask');
    for (const file of [APP, 'corp_public-1.0-py3-none-any.whl', 'flask-1.0-py3-none-any.whl'])
      expect((await client.metadata(file)).status).toBe(200);
    await settled(before);
    await evict(before);
    for (const upstream of [first, second]) upstream.forget();
    const mirror = await start(before.cacheDir);
    mirror.clock.advance(3_600_000);
    await new HandmadeInstaller(mirror).pages('corp-app');
    await settled(mirror);
    expect(askedOf(first)).toContain('page corp-public');
    // `flask` was learned from the public index, which is asked for what that requires.
    expect(askedOf(second).filter((word) => TELLTALE.test(word))).toEqual([]);
  });

  it('keeps its names while it cannot be reached', async () => {
    const { first, second, start } = await setStage(projects);
    const before = await start();
    const client = new HandmadeInstaller(before);
    await client.pages('corp-app');
    await client.metadata(APP);
    await settled(before);
    await evict(before);
    await first.down();
    second.forget();
    const mirror = await start(before.cacheDir);
    mirror.clock.advance(3_600_000);
    await new HandmadeInstaller(mirror).pages('corp-app');
    await settled(mirror);
    expect(askedOf(second)).toEqual([]);
  });

  it('keeps its names while it cannot be reached and nothing is known', async () => {
    const { first, second, start } = await setStage(projects);
    await first.down();
    const mirror = await start();
    const client = new HandmadeInstaller(mirror);
    // The first finds out that it is down, the others that it is cut off.
    for (const pauseMs of [0, 6_000, 60_000]) {
      mirror.clock.advance(pauseMs);
      expect((await client.pages('corp-app'))[0]?.status).toBe(503);
      await settled(mirror);
    }
    expect(askedOf(second)).toEqual([]);
  });

  it('does not keep the public index from being asked ahead for what a client asks it', async () => {
    const { second, start } = await setStage(projects);
    const mirror = await start();
    const client = new HandmadeInstaller(mirror);
    await client.pages('corp-app');
    await client.metadata(APP);
    await settled(mirror);
    await client.pages('flask');
    await settled(mirror);
    expect(askedSet(second)).toContain('metadata flask-1.0');
    expect(askedSet(second)).toContain('page color');
    await client.metadata('flask-1.0-py3-none-any.whl');
    await settled(mirror);
    expect(askedSet(second)).toContain('wheel flask-1.0');
  });

  it('owns a name that a public project requires', async () => {
    const { first, second, start } = await setStage(projects);
    const mirror = await start();
    const client = new HandmadeInstaller(mirror);
    await client.pages('flask');
    await client.metadata('flask-1.0-py3-none-any.whl');
    await settled(mirror);
    expect(askedOf(first)).toContain('page corp-public');
    expect(askedOf(second).filter((word) => /secret|page corp/.test(word))).toEqual([]);
  });
});

it('what was learned of an index is not told to another that has taken its name', async () => {
  const before = await setStage(null, ['main', 'other']);
  const mirror = await before.start();
  const client = new HandmadeInstaller(mirror);
  await client.pages('corp-app');
  await client.metadata(APP);
  await settled(mirror);
  await evict(mirror);
  const other = await stageFarUpstream(PUBLIC);
  const later = await startMirror({
    upstreams: [],
    cacheDir: mirror.cacheDir,
    settings: { upstreams: [index('main', other)] },
  });
  expect((await new HandmadeInstaller(later).pages('corp-app'))[0]?.status).toBe(404);
  await settled(later);
  expect(askedOf(other).filter((word) => !word.endsWith('corp-app'))).toEqual([]);
});

it('what was learned of an index that is gone is told to nobody', async () => {
  const { second, start } = await setStage(null);
  const mirror = await start();
  const client = new HandmadeInstaller(mirror);
  await client.pages('corp-app');
  await client.metadata(APP);
  await settled(mirror);
  await evict(mirror);
  const settings = { upstreams: [index('public', second)] };
  const later = await startMirror({ upstreams: [], cacheDir: mirror.cacheDir, settings });
  await new HandmadeInstaller(later).pages('corp-app');
  await settled(later);
  expect(askedOf(second).filter((word) => !word.endsWith('corp-app'))).toEqual([]);
});

it('projects that were known to need each other and are gone are asked for once', async () => {
  const upstream = await stageFarUpstream(projectsOf({ one: ['two'], two: ['one'] }));
  const before = await startMirror({ upstreams: [upstream] });
  const client = new HandmadeInstaller(before);
  await client.pages('one', 'two');
  for (const name of ['one', 'two']) await client.metadata(`${name}-1.0-py3-none-any.whl`);
  await settled(before);
  const pages = before.mirror.store.catalog;
  for (const name of ['one', 'two']) upstream.setProject(name, null);
  before.clock.advance(48 * 3_600_000);
  for (const name of ['one', 'two'])
    await before.mirror.refresh(name as ProjectName, true).catch(() => {});
  expect(pages.dependencies.size).toBe(2);
  before.clock.advance(3_600_000);
  upstream.forget();
  await new HandmadeInstaller(before).pages('one');
  await settled(before);
  expect(askedSet(upstream)).toEqual(['page one', 'page two']);
});

it('a project with a file that was added is never asked for', async () => {
  const folder = await makeTempFolder();
  const mine = wheelOf('mine', { requires: ['secret-lib'] });
  const file = join(folder.path, mine.filename);
  await writeFile(file, mine.content);
  const upstream = await stageFarUpstream({
    ...projectsOf({ app: ['mine', 'base'], base: [] }),
    mine: [wheelOf('mine', { version: '9.0' })],
  });
  const cacheDir = await stageFolder();
  const added = await runVerb({ cacheDir, indexUrl: upstream.indexUrl }, 'add', file);
  expect(added.code).toBe(0);
  await folder.remove();
  const mirror = await startMirror({ upstreams: [upstream], cacheDir });
  const client = new HandmadeInstaller(mirror);
  await client.pages('app');
  await client.metadata('app-1.0-py3-none-any.whl');
  await settled(mirror);
  await client.pages('mine');
  await client.metadata(mine.filename);
  await client.file(mine.filename);
  await settled(mirror);
  expect(askedSet(upstream)).toEqual([
    'metadata app-1.0',
    'metadata base-1.0',
    'page app',
    'page base',
    'wheel app-1.0',
  ]);
  expect(askedOf(upstream).join()).not.toMatch(/mine|secret/);
});
