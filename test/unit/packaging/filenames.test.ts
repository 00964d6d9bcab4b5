import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  candidateProjects,
  fileBelongsTo,
  isDistributionFilename,
  isSafeSegment,
  parseFilename,
} from '../../../src/packaging/filenames.ts';
import type { ProjectName } from '../../../src/packaging/names.ts';

const name = (raw: string): ProjectName => raw as ProjectName;

describe('parseFilename', () => {
  it('reads name, version and tags of a wheel', () => {
    expect(parseFilename('Foo_Bar-1.0.post1-py2.py3-none-any.whl')).toEqual({
      kind: 'wheel',
      project: 'foo-bar',
      version: '1.0.post1',
      tags: { python: ['py2', 'py3'], abi: ['none'], platform: ['any'] },
    });
  });

  it('reads the build tag of a wheel, which begins with a digit', () => {
    expect(parseFilename('foo-1.0-2b-cp312-cp312-win_amd64.whl')).toMatchObject({ build: '2b' });
    expect(parseFilename('foo-bar-1.0-py3-none-any.whl')).toBeUndefined();
  });

  it('keeps the local version of a wheel', () => {
    const wheel = parseFilename('torch-2.1.0+cu118-cp310-cp310-linux_x86_64.whl');
    expect(wheel).toMatchObject({ project: 'torch', version: '2.1.0+cu118' });
  });

  it('turns underscores of a wheel version back into hyphens only where that makes it one', () => {
    expect(parseFilename('foo-1.0_1-py3-none-any.whl')?.version).toBe('1.0-1');
    expect(parseFilename('foo-1.0_post1-py3-none-any.whl')?.version).toBe('1.0_post1');
  });

  it.each([
    ['flask-3.0.0.tar.gz', 'sdist', 'flask', '3.0.0'],
    ['zope_interface-7.2.tar.gz', 'sdist', 'zope-interface', '7.2'],
    ['zope.interface-3.0.0b1.zip', 'sdist', 'zope-interface', '3.0.0b1'],
    [
      'backports.ssl-match-hostname-3.4.0.2.tar.gz',
      'sdist',
      'backports-ssl-match-hostname',
      '3.4.0.2',
    ],
    ['my-win32-tools-1.0.tar.gz', 'sdist', 'my-win32-tools', '1.0'],
    ['my-linux-2.tar.Z', 'sdist', 'my-linux', '2'],
    ['foo-1!2.0.tar.xz', 'sdist', 'foo', '1!2.0'],
    ['foo-2004n.tgz', 'sdist', 'foo', '2004n'],
    ['foo-trunk.tar.bz2', 'sdist', 'foo', 'trunk'],
    ['foo-1.0.tar', 'sdist', 'foo', '1.0'],
    ['foo-1.0.linux-x86_64.tar.gz', 'dumb', 'foo', '1.0'],
    ['pywin32-221.win-amd64-py2.7.exe', 'wininst', 'pywin32', '221'],
    ['foo-1.0.win32.exe', 'wininst', 'foo', '1.0'],
    ['foo-1.0.win32-py3.4.msi', 'msi', 'foo', '1.0'],
    ['foo_bar-1.0-py2.7-linux-x86_64.egg', 'egg', 'foo-bar', '1.0'],
    ['foo-1.0-1.noarch.rpm', 'rpm', 'foo', '1.0'],
    ['python-foo_1.0_all.deb', 'deb', 'python-foo', '1.0'],
    ['foo-1.0-macosx10.3.dmg', 'dmg', 'foo', '1.0'],
    ['foo-1.0-variants.json', 'variants', 'foo', '1.0'],
  ])('reads %s', (filename, kind, project, version) => {
    expect(parseFilename(filename)).toEqual({ kind, project, version });
  });

  it('lets the project decide where a hyphen is ambiguous', () => {
    expect(parseFilename('foo-bar-1.0-2.tar.gz')).toMatchObject({
      project: 'foo-bar',
      version: '1.0-2',
    });
    expect(parseFilename('foo-bar-1.0-2.tar.gz', name('foo-bar-1-0'))).toMatchObject({
      version: '2',
    });
  });

  it.each(['foo.tar.gz', 'foo-1.0', '-1.0.tar.gz', 'foo-.tar.gz', 'index.html', '.whl', ''])(
    'knows that %j is none',
    (filename) => {
      expect(parseFilename(filename)).toBeUndefined();
    },
  );
});

describe('candidateProjects', () => {
  it('names all projects that an old sdist could belong to, likeliest first', () => {
    expect(candidateProjects('foo-bar-1.0-2.tar.gz')).toEqual(['foo-bar', 'foo-bar-1-0']);
    expect(candidateProjects('foo-3d-1.0.tar.gz')).toEqual(['foo-3d', 'foo']);
  });

  it('names at most four', () => {
    expect(candidateProjects('a-1-2-3-4-5-6.tar.gz').length).toBe(4);
  });

  it('names exactly one for a wheel', () => {
    expect(candidateProjects('foo_bar-1.0-py3-none-any.whl')).toEqual(['foo-bar']);
  });
});

describe('fileBelongsTo', () => {
  it('compares names after normalization', () => {
    expect(fileBelongsTo('Foo.Bar-1.0.zip', name('foo-bar'))).toBe(true);
    expect(fileBelongsTo('foobar-1.0.zip', name('foo-bar'))).toBe(false);
  });

  it('does not give a longer name’s file to the shorter name', () => {
    expect(fileBelongsTo('foo-bar-1.0.tar.gz', name('foo'))).toBe(false);
  });
});

describe('isDistributionFilename', () => {
  it.each([
    'a/b-1.0.tar.gz',
    'a\\b-1.0.tar.gz',
    '..',
    '.foo-1.0.tar.gz',
    ' foo-1.0.tar.gz',
    'foo-1.0.tar.gz ',
    'foo-1.0.tar.gz.',
    'foo\0-1.0.tar.gz',
    'foo\n-1.0.tar.gz',
    'foo\u202e-1.0.tar.gz',
    'foo\ufffd-1.0.tar.gz',
    'foo\ud800-1.0.tar.gz',
    `${'x'.repeat(250)}-1.0.whl`,
    `${'ü'.repeat(121)}-1.0.tar.gz.whl`,
    'foo-1.0.whl.metadata',
    'foo-1.0.tar.gz.asc',
    'foo-1.0.txt',
    '.whl',
  ])('refuses %j', (filename) => {
    expect(isDistributionFilename(filename)).toBe(false);
  });

  it.each(['foo-1.0.WHL', 'foo-1.0.ZIP', 'foo bar-1.0.zip', 'föö-1.0.tar.gz', '_foo-1.0.zip'])(
    'takes %j',
    (filename) => {
      expect(isDistributionFilename(filename)).toBe(true);
    },
  );

  it('never throws, and all functions agree on what is a distribution file', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string()), (stem) => {
        for (const filename of [stem, `${stem}.whl`, `${stem}-1.0.tar.gz`]) {
          const parsed = parseFilename(filename);
          expect(parsed !== undefined).toBe(candidateProjects(filename).length > 0);
          if (parsed !== undefined) {
            expect(isDistributionFilename(filename) && isSafeSegment(filename)).toBe(true);
            expect(fileBelongsTo(filename, parsed.project)).toBe(true);
          }
        }
      }),
    );
  });
});
