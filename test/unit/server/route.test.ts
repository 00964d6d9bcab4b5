import { describe, expect, it } from 'vitest';
import { parseRoute } from '../../../src/server/route.ts';

const project = (name: string, depth: number): object => ({
  kind: 'project',
  project: name,
  depth,
});
const redirect = (location: string): object => ({ kind: 'redirect', location });
const unknown = { kind: 'unknown' };

/** Where a client that follows the redirect goes. */
function followed(target: string, basePath = '/'): string {
  const route = parseRoute(target, basePath);
  if (route.kind !== 'redirect') throw new Error(`no redirect: ${route.kind}`);
  const { pathname, search } = new URL(route.location, `http://mirror.example${target}`);
  return pathname + search;
}

/** Where a client that reads a page finds the file that lies at `packages/x` in the mirror. */
function resolved(target: string, basePath = '/'): string {
  const route = parseRoute(target, basePath);
  if (route.kind !== 'project') throw new Error(`no page: ${route.kind}`);
  const link = `${'../'.repeat(route.depth)}packages/x`;
  return new URL(link, `http://mirror.example${target}`).pathname;
}

describe('the routes', () => {
  it.each([
    ['/', 0],
    ['/simple/', 1],
    ['/index/', 1],
    ['/root/pypi/simple/', 3],
    ['/root/pypi/+simple/', 3],
    ['/root/pypi/%2Bsimple/', 3],
  ])('has the root page at %s', (target, depth) => {
    expect(parseRoute(target, '/')).toEqual({ kind: 'root', depth });
  });

  it.each([
    ['/flask/', 1],
    ['/simple/flask/', 2],
    ['/simple/flask/?format=x', 2],
    ['/index/flask/', 2],
    ['/root/pypi/simple/flask/', 4],
    ['/root/pypi/+simple/flask/', 4],
    ['/simple/fl%61sk/', 2],
  ])('has a project at %s', (target, depth) => {
    expect(parseRoute(target, '/')).toEqual(project('flask', depth));
  });

  it.each(['simple', 'packages', 'pypi', 'root', 'index', 'legacy', 'robots.txt', 'favicon.ico'])(
    'keeps /%s/ for itself, and serves a project of that name below simple/',
    (name) => {
      expect(parseRoute(`/${name}/`, '/').kind).not.toBe('project');
      expect(parseRoute(`/simple/${name.replace('.', '-')}/`, '/').kind).toBe('project');
    },
  );

  it.each([
    ['/simple', '/simple/'],
    ['/simple?format=json', '/simple/?format=json'],
    ['/root/pypi/+simple', '/root/pypi/+simple/'],
    ['/simple/flask', '/simple/flask/'],
    ['/simple/Flask', '/simple/flask/'],
    ['/simple/Flask_X/?a=b&c', '/simple/flask-x/?a=b&c'],
    ['/simple/a--b/', '/simple/a-b/'],
    ['/Flask', '/flask/'],
    ['/simple/Flask//', '/simple/flask/'],
    ['/simple//Flask/', '/simple//flask/'],
  ])('sends %s to %s', (target, goal) => {
    expect(followed(target)).toBe(goal);
  });

  it.each([
    '/flask/',
    '/simple/flask/',
    '/simple//flask/',
    '/simple/flask//',
    '/root/pypi/+simple/flask/',
    '/index///flask/',
  ])('makes links on %s lead to the same file', (target) => {
    expect(resolved(target)).toBe('/packages/x');
  });

  it('counts doubled slashes for one, unless they are a flood', () => {
    expect(parseRoute('//simple//flask/', '/')).toEqual(project('flask', 4));
    expect(parseRoute(`/simple${'/'.repeat(50)}flask/`, '/')).toEqual(unknown);
  });

  it('decodes file paths once, so that both spellings of + are one', () => {
    const path = 'packages/aa/bb/cc/torch-2.0+cpu-py3-none-any.whl';
    expect(parseRoute(`/${path}`, '/')).toEqual({ kind: 'file', path });
    expect(parseRoute(`/${path.replace('+', '%2B')}`, '/')).toEqual({ kind: 'file', path });
    expect(parseRoute(`/${path.replace('+', '%252B')}`, '/')).toEqual({
      kind: 'file',
      path: path.replace('+', '%2B'),
    });
  });

  it.each([
    '/simple/..%2f..%2fetc%2fpasswd/',
    '/simple/%2e%2e/',
    '/simple/../etc/',
    '/simple/....//',
    '/simple/..%5c/',
    '/simple/%00/',
    '/Flask?\r\nSet-Cookie: x',
    '/Flask?\n',
    '/simple/Flask/?a b',
    '/packages/a/b\t.whl',
    '/simple/a%00b/',
    '/simple/%ff%fe/',
    '/simple/%c0%ae/',
    '/simple/a%20b/',
    '/simple/a%0d%0ab',
    '/simple/%0d%0aSet-Cookie:x/',
    `/simple/${'a'.repeat(5_000)}/`,
    '/simple/%EF%AC%82ask/',
    '/simple/%E2%84%AA/',
    '/simple/%C4%B1/',
    '/simple/-/',
    '/simple/./',
    '/simple/<script>/',
    '/simple/flask/extra/',
    '/packages/../../etc/passwd',
    '/packages/aa/%2e%2e/passwd',
    '/packages/aa/..%2f..%2fpasswd',
    '/packages/aa/bb/',
    `/packages/aa/bb/${'x'.repeat(256)}`,
    `/packages/aa/bb/${encodeURIComponent('é'.repeat(200))}`,
    '/packages/x',
    '/packages/',
    '/simple/%',
    '*',
    'http://evil.example/simple/',
  ])('knows nothing at %s', (target) => {
    expect(parseRoute(target, '/')).toEqual(unknown);
  });

  it.each(['__proto__', 'constructor', 'toString'])('has no special project %s', (name) => {
    expect(parseRoute(`/simple/${name}/`, '/').kind).not.toBe('own');
    expect(['redirect', 'project', 'unknown']).toContain(parseRoute(`/${name}/`, '/').kind);
  });

  it('answers everything below its prefix, and nothing else', () => {
    const base = '/mirrors/pypi';
    expect(parseRoute('/mirrors/pypi/simple/flask/', base)).toEqual(project('flask', 2));
    expect(resolved('/mirrors/pypi/simple/flask/', base)).toBe('/mirrors/pypi/packages/x');
    expect(parseRoute('/mirrors/pypi/', base)).toEqual({ kind: 'root', depth: 0 });
    expect(parseRoute('/mirrors/pypi/-/health', base)).toEqual({ kind: 'own', path: 'health' });
    expect(parseRoute('//mirrors/pypi/simple/', base)).toEqual({ kind: 'root', depth: 1 });
    expect(parseRoute('/simple/flask/', base)).toEqual(unknown);
    expect(parseRoute('/mirrors/pypix/simple/', base)).toEqual(unknown);
  });

  it('adds the slash to a bare prefix, whose links would lead beside it', () => {
    expect(followed('/mirrors/pypi', '/mirrors/pypi')).toBe('/mirrors/pypi/');
    expect(parseRoute('/pypi', '/pypi')).toEqual(redirect('pypi/'));
  });
});
