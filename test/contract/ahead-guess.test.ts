/** What is guessed of an installer, and what becomes of guesses that are wrong. */
import { describe, expect, it } from 'vitest';
import type { ProjectName } from '../../src/packaging/names.ts';
import {
  HandmadeInstaller,
  askedOf,
  askedSet,
  settled,
  stageFarUpstream,
  wheelOf,
} from '../support/ahead-stage.ts';
import { eventually } from '../support/eventually.ts';
import { startMirror } from '../support/mirror.ts';
import { WINDOWS_PIP_USER_AGENT } from '../support/user-agents.ts';

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

  it('costs no large wheel where core metadata is advertised and not there', async () => {
    const large = { ...wheelOf('large', { paddingBytes: 6_000_000 }), metadataMissing: true };
    const upstream = await stageFarUpstream(
      { large: [large] },
      { ranges: false, legacyJson: false },
    );
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror);
    await client.pages('large');
    await settled(mirror);
    expect(askedOf(upstream)).not.toContain('wheel large-1.0');
    expect(upstream.bytesSent(/packages/)).toBeLessThan(100_000);
    // Whoever asks for it gets it from the wheel, as without any guess.
    expect((await client.metadata(large.filename)).status).toBe(200);
  });

  it('is not remembered in place of what a client has taken', async () => {
    const upstream = await stageFarUpstream(
      {
        app: ['1.0', '2.0'].map((version) =>
          wheelOf('app', { version, requires: [`of-${version}`] }),
        ),
      },
      { legacyJson: false },
    );
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror);
    upstream.fault(/app-2\.0.*\.metadata$/, { delayMs: 500 });
    await client.pages('app');
    await client.metadata('app-1.0-py3-none-any.whl');
    await settled(mirror);
    const { dependencies } = mirror.mirror.store.catalog;
    expect(dependencies.find('app' as ProjectName)).toMatchObject({ requires: ['of-1.0'] });
  });

  it('that turns out right is remembered as taken', async () => {
    const upstream = await stageFarUpstream({ app: [wheelOf('app', { requires: ['base'] })] });
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror);
    await client.pages('app');
    await settled(mirror);
    await client.metadata('app-1.0-py3-none-any.whl');
    await settled(mirror);
    const { dependencies } = mirror.mirror.store.catalog;
    expect(dependencies.find('app' as ProjectName)).toMatchObject({ requires: ['base'] });
  });

  it('that is answered after it has turned out wrong leads to nothing', async () => {
    const upstream = await stageFarUpstream(
      {
        app: [
          wheelOf('app', { requires: ['base'] }),
          wheelOf('app', { version: '2.0', requires: ['only-new'] }),
        ],
        base: [wheelOf('base')],
        'only-new': [wheelOf('only-new')],
      },
      { legacyJson: false },
    );
    const guessed = /app-2\.0.*\.metadata$/;
    upstream.fault(guessed, { delayMs: 800 });
    const mirror = await startMirror({ upstreams: [upstream] });
    const client = new HandmadeInstaller(mirror);
    await client.pages('app');
    await eventually(() => expect(upstream.count(guessed)).toBe(1));
    await client.metadata('app-1.0-py3-none-any.whl');
    await settled(mirror);
    expect(askedSet(upstream)).toContain('page base');
    expect(askedSet(upstream)).not.toContain('page only-new');
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
    const other = new HandmadeInstaller(mirror, WINDOWS_PIP_USER_AGENT);
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
