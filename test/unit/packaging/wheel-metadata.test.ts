import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { IntegrityError, UpstreamUnavailableError } from '../../../src/core/errors.ts';
import { gathered, type RandomAccess } from '../../../src/packaging/random-access.ts';
import { readWheelMetadata } from '../../../src/packaging/wheel-metadata.ts';
import { type OddEnd, type OddMember, writeOddZip } from '../../support/odd-zip.ts';
import { writeWheel } from '../../support/wheel-writer.ts';

const NAME = 'foo-1.0-py3-none-any.whl';
const PATH = 'foo-1.0.dist-info/METADATA';
const TEXT = 'Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n';
const METADATA: OddMember = { path: PATH, content: TEXT };

function accessTo(content: Buffer): RandomAccess {
  return {
    sizeBytes: content.length,
    read: (start, end) => Promise.resolve(content.subarray(start, end)),
  };
}

async function read(content: Buffer, filename = NAME): Promise<string> {
  return Buffer.from(await readWheelMetadata(filename, accessTo(content))).toString();
}

function readOdd(members: readonly OddMember[], end?: OddEnd): Promise<string> {
  return read(writeOddZip(members, end));
}

async function reasonOf(reading: Promise<unknown>): Promise<string> {
  const error: unknown = await reading.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(IntegrityError);
  return (error as IntegrityError).message;
}

describe('readWheelMetadata', () => {
  it.each([false, true])('gives the bytes of METADATA (compressed: %s)', async (isCompressed) => {
    const wheel = writeWheel({ name: 'Chain.Link', version: '1.0.post1', isCompressed });
    expect(await read(wheel.content, wheel.filename)).toBe(wheel.metadata);
  });

  it.each([
    ['a comment at the end', [METADATA], { comment: 'made by hand' }],
    ['the longest comment', [METADATA], { comment: 'x'.repeat(0xffff) }],
    ['zip64 sizes and end record', [{ ...METADATA, isLong: true }], { isLong: true }],
    ['a zip64 end record alone', [METADATA], { isLong: true }],
    ['a data descriptor', [{ ...METADATA, hasDescriptor: true }], {}],
    ['a stored member', [{ ...METADATA, isStored: true }], {}],
    [
      'folders as members',
      [{ path: 'foo-1.0.dist-info/', content: '', isStored: true }, METADATA],
      {},
    ],
    [
      'another .dist-info deeper down',
      [METADATA, { path: 'foo/_vendor/bar-2.dist-info/METADATA', content: 'x' }],
      {},
    ],
    ['members listed in another order', [METADATA, { path: 'foo/a.py', content: 'a' }], {}],
  ] satisfies [string, OddMember[], OddEnd][])('reads a wheel with %s', async (_, members, end) => {
    expect(await readOdd(members, end)).toBe(TEXT);
    expect(await readOdd(members.toReversed(), end)).toBe(TEXT);
  });

  it('reads an empty METADATA', async () => {
    expect(await readOdd([{ path: PATH, content: '' }])).toBe('');
    expect(await readOdd([{ path: PATH, content: '', isStored: true }])).toBe('');
  });

  it.each([
    ['foo_bar-1.0-py3-none-any.whl', 'foo_bar-1.0'],
    ['foo_bar-1.0-py3-none-any.whl', 'Foo.Bar-1.0.0'],
    ['foo_bar-1.0-py3-none-any.whl', 'foo-bar-1.0'],
    ['Foo.Bar-1.0-2-py3-none-any.whl', 'foo_bar-1.0'],
    ['foo-1.0.post1-py3-none-any.whl', 'foo-1.0-1'],
    ['foo-1.0+cu118-cp311-cp311-linux_x86_64.whl', 'foo-1.0+cu118'],
    ['foo-1!2.0rc1-py3-none-any.whl', 'foo-1!2.0c1'],
    ['foo-2004d-py3-none-any.whl', 'foo-2004d'],
  ])('takes in %s the folder %s.dist-info', async (filename, stem) => {
    const content = writeOddZip([{ path: `${stem}.dist-info/METADATA`, content: TEXT }]);
    expect(await read(content, filename)).toBe(TEXT);
  });

  it.each(['bar-1.0', 'foobar-1.0', 'foo-1.0.1', 'foo-1.0+local', 'foo', '-1.0', 'foo-'])(
    'refuses the folder %s.dist-info in a wheel of foo 1.0',
    async (stem) => {
      const reading = readOdd([{ path: `${stem}.dist-info/METADATA`, content: TEXT }]);
      expect(await reasonOf(reading)).toContain('has the folder');
    },
  );

  it.each([
    ['no .dist-info', [{ path: 'foo/METADATA', content: TEXT }], 'no .dist-info'],
    ['no METADATA', [{ path: 'foo-1.0.dist-info/WHEEL', content: '' }], 'no METADATA'],
    [
      'a second .dist-info',
      [METADATA, { path: 'bar-1.0.dist-info/WHEEL', content: '' }],
      'more than one .dist-info',
    ],
    [
      'a second spelling of .dist-info',
      [METADATA, { path: 'Foo-1.0.dist-info/METADATA', content: TEXT }],
      'more than one .dist-info',
    ],
    ['METADATA twice', [METADATA, METADATA], 'two METADATA'],
    ['a NUL in a name', [METADATA, { path: `${PATH}\0x`, content: 'x' }], 'two names'],
    [
      'a Unicode path field',
      [
        METADATA,
        {
          path: 'a',
          content: 'x',
          claims: { extra: Buffer.from('\x75\x70\x01\x00\x01', 'latin1') },
        },
      ],
      'two names',
    ],
  ] satisfies [string, OddMember[], string][])(
    'refuses a wheel with %s',
    async (_, members, reason) => {
      expect(await reasonOf(readOdd(members))).toContain(reason);
    },
  );

  it.each([
    ['is encrypted', { flags: 1 }, 'encrypted'],
    ['is strongly encrypted', { flags: 0x41 }, 'encryption'],
    ['uses another method', { method: 14 }, 'unknown method 14'],
    ['has another checksum', { claims: { crc32: 1 } }, 'differs from its entry'],
    [
      'has another checksum, with a descriptor',
      { hasDescriptor: true, claims: { crc32: 1 } },
      'checksum',
    ],
    [
      'is longer than it says',
      { hasDescriptor: true, claims: { sizeBytes: 10 } },
      'does not inflate',
    ],
    ['is shorter than it says', { hasDescriptor: true, claims: { sizeBytes: 99 } }, 'inflates to'],
    ['is cut off', { hasDescriptor: true, claims: { compressedBytes: 8 } }, 'does not inflate'],
    [
      'has another name in its own header',
      { claims: { path: PATH }, path: 'x'.repeat(PATH.length) },
      'differs from its entry',
    ],
    ['begins nowhere', { claims: { start: 7 } }, 'overlap'],
    ['begins behind the end', { claims: { start: 1e6 } }, 'overlap'],
    ['begins behind 2^53', { isLong: true, claims: { start: Number.MAX_SAFE_INTEGER } }, 'overlap'],
    ['stretches into the directory', { claims: { compressedBytes: 1000 } }, 'overlap'],
  ] satisfies [string, Partial<OddMember>, string][])(
    'refuses a METADATA that %s',
    async (_, odd, reason) => {
      expect(await reasonOf(readOdd([{ ...METADATA, ...odd }]))).toContain(reason);
    },
  );

  it('refuses a bomb by its ratio, stated or not, and a METADATA of more than 10 MB', async () => {
    const bomb = Buffer.alloc(5_000_000, 'a');
    expect(await reasonOf(readOdd([{ path: PATH, content: bomb }]))).toContain('zip bomb');
    const liar = { path: PATH, content: bomb, hasDescriptor: true, claims: { sizeBytes: 400_000 } };
    expect(await reasonOf(readOdd([liar]))).toContain('does not inflate');
    const huge = { path: PATH, content: randomBytes(10 * 1024 * 1024 + 1), isStored: true };
    expect(await reasonOf(readOdd([huge]))).toContain('more than 10485760');
    const claims = { sizeBytes: 2 ** 40 };
    expect(await reasonOf(readOdd([{ ...METADATA, isLong: true, claims }]))).toContain(
      'are not read',
    );
  });

  it('refuses members that share bytes', async () => {
    const first = { path: 'foo/a.py', content: 'a'.repeat(500) };
    const second = { path: 'foo/b.py', content: 'b', claims: { start: 0 } };
    expect(await reasonOf(readOdd([first, second, METADATA]))).toContain('overlap');
  });

  it.each([
    ['a directory of 4 GB', { claims: { size: 0xfffffff0 } }],
    ['a zip64 directory of 2^60 bytes', { isLong: true, claims: { size: 2 ** 60 } }],
    ['a directory that ends early', { claims: { size: 10 } }],
    ['a directory behind the end', { claims: { start: 1_000_000 } }],
    ['a directory before the file in zip64', { isLong: true, claims: { start: 2 ** 63 } }],
    ['too few members', { claims: { count: 1 } }],
    ['too many members', { claims: { count: 3 } }],
    ['more members than its directory has room for', { claims: { count: 60_000 } }],
    ['2^60 members in zip64', { isLong: true, claims: { count: 2 ** 60 } }],
    ['bytes between directory and end', { gap: Buffer.from('PK\x01\x02') }],
    ['an end record in its comment', { comment: 'PK\x05\x06'.padEnd(40, '\0') }],
  ] satisfies [string, OddEnd][])('refuses an archive that states %s', async (_, end) => {
    await reasonOf(readOdd([{ path: 'foo/a.py', content: 'a' }, METADATA], end));
  });

  it('reads no more of the directory than it may', async () => {
    const members = Array.from({ length: 300 }, (_, index) => ({
      path: `foo/${index}`,
      content: '',
    }));
    const content = writeOddZip([...members, METADATA]);
    const withLimits = (limits: object) =>
      reasonOf(readWheelMetadata(NAME, accessTo(content), limits));
    expect(await withLimits({ maxEntries: 300 })).toContain('301 members');
    expect(await withLimits({ maxDirectoryBytes: 9999 })).toContain('more than 9999');
    expect(await withLimits({ maxMetadataBytes: 9 })).toContain('more than 9');
    expect(await read(content)).toBe(TEXT);
  });

  it('refuses what is no archive, or only a part of one', async () => {
    const { content, filename } = writeWheel({ name: 'foo', version: '1.0' });
    for (const odd of [
      Buffer.alloc(0),
      Buffer.from('PK'),
      Buffer.alloc(100),
      content.subarray(0, -1),
      content.subarray(1),
    ])
      await reasonOf(read(odd, filename));
    await reasonOf(read(content, 'foo-1.0.tar.gz'));
  });

  it('answers only with METADATA or an IntegrityError, whichever byte is changed', async () => {
    const content = writeOddZip(
      [
        { ...METADATA, isLong: true },
        { path: 'foo/a.py', content: 'a' },
      ],
      { isLong: true, comment: 'c' },
    );
    for (let at = 0; at < content.length; at++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const changed = Buffer.from(content);
        changed[at] = (changed[at] ?? 0) ^ flip;
        const result = await read(changed).catch((error: unknown) => error);
        if (result !== TEXT) expect(result).toBeInstanceOf(IntegrityError);
      }
    }
  });

  it('passes errors of the access on, and notices when it gives too little', async () => {
    const failure = new UpstreamUnavailableError('gone');
    const failing = { sizeBytes: 1000, read: () => Promise.reject(failure) };
    await expect(readWheelMetadata(NAME, failing)).rejects.toBe(failure);
    const short = { sizeBytes: 1000, read: () => Promise.resolve(Buffer.alloc(3)) };
    expect(await reasonOf(readWheelMetadata(NAME, short))).toContain('ends before');
  });
});

describe('gathered', () => {
  const noise = randomBytes(3_000_000);

  it('reads a small wheel at once, and a big one in two reads', async () => {
    const small = writeWheel({ name: 'foo', version: '1.0' });
    const one = gathered(accessTo(small.content));
    await readWheelMetadata(small.filename, one);
    expect(one).toMatchObject({ requests: 1, fetchedBytes: small.content.length });

    const members = Array.from({ length: 2000 }, (_, index) => ({
      path: `foo/module_${index}.py`,
      content: '',
    }));
    const record = { path: 'foo-1.0.dist-info/RECORD', content: noise.subarray(0, 60_000) };
    const big = writeOddZip([{ path: 'foo/a', content: noise }, ...members, METADATA, record]);
    const two = gathered(accessTo(big));
    expect(Buffer.from(await readWheelMetadata(NAME, two)).toString()).toBe(TEXT);
    expect(two.requests).toBe(2);
    expect(two.fetchedBytes).toBeLessThan(400_000);
  });

  it('needs a third read when METADATA lies far from the directory', async () => {
    const members = Array.from({ length: 2000 }, (_, index) => ({
      path: `foo/module_${index}.py`,
      content: '',
    }));
    const content = writeOddZip([METADATA, { path: 'foo/a', content: noise }, ...members]);
    const access = gathered(accessTo(content));
    expect(Buffer.from(await readWheelMetadata(NAME, access)).toString()).toBe(TEXT);
    expect(access.requests).toBe(3);
  });

  it('gives the same bytes as the access itself, whatever is read in whatever order', async () => {
    const content = noise.subarray(0, 10_000);
    for (let round = 0; round < 50; round++) {
      const access = gathered(accessTo(content), { tailBytes: 700, leadBytes: 90 });
      const spans = Array.from(randomBytes(16), (byte) => (byte * 39) % 9_000).map((start) => ({
        start,
        end: start + (start % 901) + 1,
      }));
      const reads = spans.map(async ({ start, end }) => Buffer.from(await access.read(start, end)));
      const wanted = spans.map(({ start, end }) => content.subarray(start, end));
      expect(await Promise.all(reads)).toEqual(wanted);
      for (const [index, { start, end }] of spans.entries())
        expect(Buffer.from(await access.read(start, end))).toEqual(wanted[index]);
    }
  });

  it('fetches nothing twice, and leaves an access that is gathered as it is', async () => {
    const access = gathered(accessTo(noise), { tailBytes: 100, leadBytes: 0 });
    await access.read(noise.length - 10, noise.length);
    await access.read(noise.length - 100, noise.length - 50);
    expect(access).toMatchObject({ requests: 1, fetchedBytes: 100 });
    await access.read(noise.length - 150, noise.length);
    expect(access).toMatchObject({ requests: 2, fetchedBytes: 150 });
    expect(gathered(access)).toBe(access);
  });
});
