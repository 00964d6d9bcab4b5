import { describe, expect, it } from 'vitest';
import { addressesIn } from '../../src/packaging/lock/lock-addresses.ts';
import { MirrorAddresses } from '../../src/packaging/lock/mirror-addresses.ts';
import type { MirrorPlaces } from '../../src/packaging/lock/mirror-addresses.ts';
import { rewriteLock } from '../../src/repository/lock-rewriting.ts';
import { OfficialAddresses } from '../../src/repository/official-addresses.ts';
import type { AddressedUpstream } from '../../src/repository/official-addresses.ts';
import { parseRoute } from '../../src/server/route.ts';

const OFFICIAL = { indexUrl: 'https://index.example/simple/', fileHost: 'files.example' };
const UPSTREAMS: readonly AddressedUpstream[] = [
  { name: 'pypi', url: OFFICIAL.indexUrl, layout: 'simple', fileHosts: ['files.example'] },
  { name: 'torch', url: 'https://torch.example/whl/cpu/', layout: 'simple', fileHosts: null },
  { name: 'flat', url: 'https://flat.example/wheels.html', layout: 'find-links', fileHosts: null },
];
const PLACES: MirrorPlaces = {
  roots: [
    'http://127.0.0.1:3141',
    'https://pypi.lan/cache',
    'file:///tmp/pypi',
    'file:///home/me/mirror',
  ],
  hosts: ['laptop.lan'],
  basePath: '/',
  upstreamHosts: ['index.example', 'files.example', 'torch.example', 'localhost:8080'],
};
const HASH = 'c'.repeat(60);
const FILE = `packages/aa/bb/${HASH}/a-1.0-py3-none-any.whl`;
const MIRROR = 'http://127.0.0.1:3141';

async function rewritten(text: string, places = PLACES, upstreams = UPSTREAMS): Promise<string> {
  const official = new OfficialAddresses(upstreams, OFFICIAL, null);
  return (await rewriteLock(text, places, official)).text;
}

async function foundIn(
  text: string,
): Promise<readonly (readonly [number, string, string | null])[]> {
  const official = new OfficialAddresses(UPSTREAMS, OFFICIAL, null);
  const { found } = await rewriteLock(text, PLACES, official);
  return found.map(({ line, address, official: to, reason }) => [line, address, to ?? reason]);
}

describe('addresses in a lock', () => {
  it('are found with place, key and the package they belong to', () => {
    const text = [
      '# header http://h/simple',
      '[[package]]\r',
      'name = "app"\r',
      'version = "1"\r',
      'dependencies = [{ name = "b", version = "2", source = { registry = "http://m/simple/" } }, { name = "c", index = "http://n/simple" }]',
      'wheels = [{ url = "http://m/x.whl", hash = "sha256:0" }]',
      'source = { registry = "/tmp/pypi" }',
      'git = "git+http://m/repo"',
    ].join('\n');
    const found = addressesIn(text).map((each) => [
      each.line,
      text.slice(each.start, each.end),
      each.key,
      each.owner && `${each.owner.name} ${each.owner.version}`,
    ]);
    expect(found).toEqual([
      [1, 'http://h/simple', null, null],
      [5, 'http://m/simple/', 'registry', 'b 2'],
      [5, 'http://n/simple', 'index', 'c null'],
      [6, 'http://m/x.whl', 'url', 'app 1'],
      [7, '/tmp/pypi', 'registry', 'app 1'],
    ]);
  });

  it('of requirements belong to the requirement above them', () => {
    const text = [
      '--index-url http://m/simple/',
      'a==1.0 ; python_version < "4" \\',
      '    --hash=sha256:0',
      '    # from http://m/simple',
      'B.c @ http://m/b.whl#sha256=0',
    ].join('\n');
    const found = addressesIn(text).map(({ text: url, owner }) => [url, owner?.name ?? null]);
    expect(found).toEqual([
      ['http://m/simple/', null],
      ['http://m/simple', 'a'],
      ['http://m/b.whl#sha256=0', 'b-c'],
    ]);
  });
});

describe('an address', () => {
  const mirror = new MirrorAddresses(PLACES);

  it.each([
    `${MIRROR}/${FILE}`,
    `http://me:secret@127.0.0.1:3141/${FILE}#sha256=00`,
    `http://localhost:9/${FILE}`,
    `http://[::1]:9/${FILE}`,
    `https://laptop.lan/${FILE}`,
    `https://pypi.lan/cache/${FILE}`,
    `http://any.example:3141/${FILE}`,
    `http://any.example:3141/packages/-/torch/whl/cpu/t.whl`,
    `file:///tmp/pypi/${FILE}`,
    `/tmp/pypi/${FILE}`,
    `file:///somewhere/else/${FILE}`,
  ])('of a file in the shape of the mirror is one: %s', (address) => {
    expect(mirror.read(address)?.kind).toBe('file');
  });

  it.each([
    [`${MIRROR}/simple/`, ''],
    [`${MIRROR}/simple`, ''],
    [`${MIRROR}//simple/`, ''],
    [`${MIRROR}/`, ''],
    [MIRROR, ''],
    [`${MIRROR}/flask/`, 'flask/'],
    [`${MIRROR}/simple/flask/`, 'flask/'],
    [`http://localhost:4040/root/pypi/+simple/`, ''],
    [`http://127.8.9.1/index/flask/`, 'flask/'],
    ['https://laptop.lan/root/pypi/simple/', ''],
    ['https://pypi.lan/cache/simple/', ''],
    ['file:///tmp/pypi', ''],
    ['file:///tmp/pypi/flask/', 'flask/'],
    ['/home/me/mirror', ''],
  ])('of an index of the mirror is one: %s', (address, rest) => {
    expect(mirror.read(address)).toMatchObject({ kind: 'index', rest });
  });

  it.each([
    `${OFFICIAL.indexUrl}flask/`,
    `https://files.example/${FILE}`,
    `http://localhost:8080/simple/`,
    `https://other.example/simple/`,
    `https://other.example/prefix/${FILE}`,
    `https://other.example/packages/a/b/c/x.whl`,
    `http://localhost/dist/x.whl`,
    'http://localhost:9/',
    'file:///tmp/pypi-other/simple',
    'file:///home/me/wheels/x.whl',
    'https://pypi.lan/simple/',
    'http://${HOST}/simple/',
  ])('of somebody else is none: %s', (address) => {
    expect(mirror.read(address)).toBeNull();
  });

  it('of the mirror that is neither is known as such', () => {
    expect(mirror.read(`${MIRROR}/-/stats`)).toEqual({ kind: 'other' });
    expect(mirror.read(`${MIRROR}/packages/what.whl`)).toEqual({ kind: 'other' });
  });

  it('of an index counts when files of the same lock lie beside it', () => {
    const text = [`http://any.example:3141/pre/${FILE}`, `http://any.example:3141/${FILE}`];
    expect(mirror.read('http://any.example:3141/simple/')).toBeNull();
    const learned = new MirrorAddresses(PLACES, text);
    expect(learned.read('http://any.example:3141/simple/')?.kind).toBe('index');
    expect(learned.read('http://any.example:3141/pre/simple/')).toEqual({ kind: 'other' });
  });

  it('below a base path is read without it', () => {
    const based = new MirrorAddresses({ ...PLACES, roots: [], basePath: '/pypi' });
    expect(based.read(`http://localhost:1/pypi/${FILE}`)).toMatchObject({
      kind: 'file',
      path: FILE,
    });
    expect(based.read('http://localhost:1/pypi/simple/')).toMatchObject({
      kind: 'index',
      rest: '',
    });
  });

  it('of an index has every form that the server answers', () => {
    for (const mount of ['simple', 'index', 'root/pypi/+simple', 'root/pypi/simple', '']) {
      const path = mount === '' ? '/' : `/${mount}/`;
      expect(parseRoute(path, '/').kind, path).toBe('root');
      expect(mirror.read(`${MIRROR}${path}`), path).toMatchObject({ kind: 'index', rest: '' });
    }
  });
});

describe('turning back', () => {
  it('gives official files, files of other upstreams and of other hosts', async () => {
    const file = (path: string): Promise<string> => rewritten(`url = "${MIRROR}/${path}"`);
    expect(await file(FILE)).toBe(`url = "https://files.example/${FILE}"`);
    expect(await file('packages/-/torch/whl/cpu/t-1%2Bcpu.whl')).toBe(
      'url = "https://torch.example/whl/cpu/t-1%2Bcpu.whl"',
    );
    expect(await file('packages/-/torch/%40cdn.example%3A8443/t.whl')).toBe(
      'url = "https://cdn.example:8443/t.whl"',
    );
    expect(await file('packages/-/torch/@cdn.example/t.whl')).toBe(
      'url = "https://cdn.example/t.whl"',
    );
  });

  it('gives the file as its own index writes it, when that page is stored', async () => {
    const upstream = { ...UPSTREAMS[1]!, name: 'torch' };
    const page = {
      format: 1 as const,
      indexUrl: upstream.url,
      bodyDigest: '',
      fetchedAt: 0,
      detail: { files: [{ url: 'https://torch.example/whl/cpu/t-1+cpu-py3-none-any.whl' }] },
    };
    const pages = {
      read: async (name: string, project: string) =>
        name === 'torch' && project === 't' ? (page as never) : undefined,
    };
    const official = new OfficialAddresses([upstream], OFFICIAL, pages);
    const text = `${MIRROR}/packages/-/torch/whl/cpu/t-1%2Bcpu-py3-none-any.whl#sha256=1\n${MIRROR}/simple/t/`;
    expect((await rewriteLock(text, PLACES, official)).text).toBe(
      'https://torch.example/whl/cpu/t-1+cpu-py3-none-any.whl#sha256=1\nhttps://torch.example/whl/cpu/t/',
    );
  });

  it('gives the index that the files of the package came from', async () => {
    const lock = [
      '[[package]]\nname = "app"',
      'dependencies = [',
      `    { name = "t", version = "1", source = { registry = "${MIRROR}/simple/" } },`,
      `    { name = "a", version = "1", source = { registry = "${MIRROR}/simple/" } },\n]`,
      `[[package]]\nname = "a"\nversion = "1"\nsource = { registry = "${MIRROR}/simple/" }`,
      `wheels = [{ url = "${MIRROR}/${FILE}" }]`,
      `[[package]]\nname = "t"\nversion = "1"\nsource = { registry = "${MIRROR}/simple/" }`,
      `wheels = [{ url = "${MIRROR}/packages/-/torch/whl/cpu/t.whl" }]`,
    ];
    const text = await rewritten(lock.join('\n'));
    const indexes = [...text.matchAll(/registry = "([^"]+)"/g)].map(([, url]) => url);
    // The official one as tools write it when nobody names it, others with the slash of the lock.
    expect(indexes).toEqual([
      'https://torch.example/whl/cpu/',
      'https://index.example/simple',
      'https://index.example/simple',
      'https://torch.example/whl/cpu/',
    ]);
    expect((await foundIn(lock.join('\n'))).map(([line]) => line)).toEqual([4, 5, 10, 11, 15, 16]);
  });

  it('leaves every other byte as it is: comments, order, line ends, a missing last newline', async () => {
    const text = `# \u00fc http://elsewhere.example/x\r\n--index-url ${MIRROR}/simple/\r\n\r\na==1 # via ${MIRROR}/simple/\n\tb @ ${MIRROR}/${FILE} ; x`;
    expect(await rewritten(text)).toBe(
      text
        .replaceAll(`${MIRROR}/simple/`, 'https://index.example/simple')
        .replace(`${MIRROR}/`, 'https://files.example/'),
    );
    expect(await rewritten('nothing here\r\n')).toBe('nothing here\r\n');
  });

  it("makes uv's paths of a mounted folder addresses again", async () => {
    const text = `source = { registry = "/tmp/pypi" }\nwheels = [\n    { path = "/tmp/pypi/${FILE}", hash = "x" },\n]`;
    expect(await rewritten(text)).toBe(
      `source = { registry = "https://index.example/simple" }\nwheels = [\n    { url = "https://files.example/${FILE}", hash = "x" },\n]`,
    );
    // Folders are named without a slash at the end; the index is as it is configured.
    const torch = [UPSTREAMS[1]!];
    expect(await rewritten('registry = "/tmp/pypi"', PLACES, torch)).toBe(
      'registry = "https://torch.example/whl/cpu/"',
    );
    const unmounted = '{ path = "/home/you/wheels/x.whl" }';
    expect(await rewritten(unmounted)).toBe(unmounted);
  });

  it('takes the line away that trusts the host of the mirror', async () => {
    const text = `--trusted-host 127.0.0.1\r\n--trusted-host corp.example\n--trusted-host=laptop.lan:3141\na==1\n`;
    expect(await rewritten(text)).toBe('--trusted-host corp.example\na==1\n');
    const upstream = { ...PLACES, upstreamHosts: ['127.0.0.1'] };
    expect(await rewritten('--trusted-host 127.0.0.1\n', upstream)).toBe(
      '--trusted-host 127.0.0.1\n',
    );
  });

  it('sends nobody to the public index for what was put in by hand', async () => {
    const text = `[[package]]\nname = "mine"\nsource = { registry = "${MIRROR}/simple/" }\nwheels = [{ url = "${MIRROR}/packages/-/local/mine.whl" }]\n`;
    expect(await rewritten(text)).toBe(text);
    const reason = 'it was put into this mirror by hand and lies on no index';
    expect((await foundIn(text)).map(([line, , why]) => [line, why])).toEqual([
      [3, reason],
      [4, reason],
    ]);
  });

  it('says why an address cannot be turned back, and leaves it', async () => {
    const text = [
      `${MIRROR}/packages/-/local/mine-1.0.tar.gz`,
      `${MIRROR}/packages/-/gone/x.whl`,
      `${MIRROR}/-/stats`,
      `[[package]]\nname = "f"\nurl = "${MIRROR}/packages/-/flat/w/f.whl"\nregistry = "${MIRROR}/simple/"`,
    ].join('\n');
    expect(await foundIn(text)).toEqual([
      [1, expect.anything(), 'it was put into this mirror by hand and lies on no index'],
      [2, expect.anything(), 'no upstream is called gone in the configuration'],
      [3, expect.anything(), 'it is neither an index nor a file of this mirror'],
      [6, expect.anything(), 'https://flat.example/w/f.whl'],
      [7, expect.anything(), 'flat is a page of links, and no index'],
    ]);
    const several = [{ ...UPSTREAMS[0]!, url: 'https://other.example/simple/' }];
    const official = new OfficialAddresses(several, OFFICIAL, null);
    const { found, text: same } = await rewriteLock(`${MIRROR}/${FILE}`, PLACES, official);
    expect(found[0]?.reason).toBe(
      'pypi has files on several hosts, and its page is not stored here',
    );
    expect(same).toBe(`${MIRROR}/${FILE}`);
  });
});
