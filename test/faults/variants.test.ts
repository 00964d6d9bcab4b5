/** Table B, row 35: the one kind of file that changes under its name (PEP 825 draft). */
import { expect } from 'vitest';
import type { FakeFile } from '../support/fake-upstream.ts';
import { sha256Of } from '../support/fake-upstream-pages.ts';
import { hold } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { alarmKinds } from '../protocol/looking.ts';
import { faultTable } from './fault-row.ts';
import { NEWER, WHEEL, makeStale, stage } from './fault-stage.ts';

const FILENAME = 'demo-1.0-variants.json';
const BEFORE = Buffer.from(JSON.stringify({ variants: { old: {} } }));
const AFTER = Buffer.from(JSON.stringify({ variants: { old: {}, new: {} } }));

const variants = (content: Buffer, path?: string): FakeFile => ({
  filename: FILENAME,
  content,
  ...(path === undefined ? {} : { path }),
});

/** The path that the page names, and what is there. */
async function look(
  mirror: TestMirror,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string; etag: string; cacheControl: string; path: string }> {
  const path = (await mirror.page('demo')).urls[FILENAME] ?? '';
  const { status, text, headers: got } = await mirror.get(path, { headers });
  const [etag, cacheControl] = [String(got.etag), String(got['cache-control'])];
  return { status, text, etag, cacheControl, path };
}

faultTable('B: a variants file', [
  ...(
    [
      ['that comes to lie elsewhere when it changes', undefined],
      ['that changes where it lies', `/files/${FILENAME}`],
    ] as const
  ).map(([which, where]) => ({
    id: 'B35',
    what: `${which} is never called immutable, and served as the index lists it now`,
    run: async () => {
      const set = await stage({ projects: { demo: [WHEEL, NEWER, variants(BEFORE, where)] } });
      const { mirror, upstream } = set;
      const first = await look(mirror);
      expect([first.status, first.text]).toEqual([200, BEFORE.toString()]);
      expect(first.cacheControl).toBe('max-age=0, must-revalidate');
      await hold(mirror, first.path);
      const again = await look(mirror, { 'if-none-match': first.etag });
      expect([again.status, again.cacheControl]).toEqual([304, 'max-age=0, must-revalidate']);

      upstream.setProject('demo', [WHEEL, NEWER, variants(AFTER, where)]);
      makeStale(set);
      // Whoever has the old one must be told of the new one, by either door.
      for (const _ of [1, 2]) {
        const changed = await look(mirror, { 'if-none-match': first.etag });
        expect([changed.status, changed.text]).toEqual([200, AFTER.toString()]);
        expect(changed.etag).toContain(sha256Of(AFTER));
      }
      const { text } = await mirror.get('/simple/demo/');
      expect(text).toContain(sha256Of(AFTER));
      expect(text).not.toContain(sha256Of(BEFORE));
      expect(alarmKinds(mirror)).toEqual([]);
      await mirror.mirror.store.flushStaticPages();
    },
  })),
  {
    id: 'B35',
    what: 'a wheel beside it stays bound to its digest',
    run: async () => {
      const set = await stage({ projects: { demo: [WHEEL, variants(BEFORE)] } });
      await look(set.mirror);
      const changed = { ...WHEEL, content: NEWER.content };
      set.upstream.setProject('demo', [changed, variants(AFTER)]);
      makeStale(set);
      expect((await look(set.mirror)).text).toBe(AFTER.toString());
      expect(alarmKinds(set.mirror)).toEqual(['changed-digest']);
      const wheel = await set.mirror.get('/simple/demo/');
      expect(wheel.text).toContain(sha256Of(WHEEL.content));
    },
  },
]);
