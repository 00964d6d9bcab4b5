import { describe, expect, it } from 'vitest';
import { readMirrorFile } from '../../../src/config/mirror-file.ts';
import { ConfigurationError } from '../../../src/core/errors.ts';

const read = (text: string): ReturnType<typeof readMirrorFile> =>
  readMirrorFile('mirror.yaml', text, '/etc/mirrors', '/home/ana');

function problemsOf(text: string): readonly string[] {
  try {
    read(text);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}

describe('mirror.yaml', () => {
  it('reads what the old tool read, with our defaults', () => {
    const file = read(`
cache-root: ~/download
mirrors:
  - name: platform
    projects: [https://git.example.org/platform/requirements, git@git.example.org:a/b.git, ../local]
    output: web/
`);
    expect(file.cacheRoot).toBe('/home/ana/download');
    expect(file.mirrors).toEqual([
      {
        name: 'platform',
        projects: [
          'https://git.example.org/platform/requirements',
          'git@git.example.org:a/b.git',
          '/etc/local',
        ],
        output: '/etc/mirrors/web',
        requirements: [],
        packages: [],
        branches: [],
        pythons: [],
        platforms: [],
        wheels: 'fetch',
        vcs: 'leave-out',
        keep: 'all',
        url: null,
        upstream: null,
        lock: null,
        legacyNames: false,
      },
    ]);
  });

  it('names an unknown key, its line and the nearest known one', () => {
    const text = `cache-root: /c
mirrors:
  - name: a
    output: /o
    packages: [six]
    wheel: build
cache-dir: /x
`;
    expect(problemsOf(text)).toEqual([
      'mirror.yaml:6: unknown key mirrors[0].wheel; did you mean wheels?',
      'mirror.yaml:7: unknown key cache-dir; did you mean cache-root?',
    ]);
  });

  it('tells every wrong value with what to give, and does not take 3.10 for a number', () => {
    const text = `mirrors:
  - output: /o
    name: ../a
    packages: [six]
    python: [3.10]
    wheels: maybe
    vcs: clone
`;
    const problems = problemsOf(text).join('\n');
    expect(problems).toContain('cache-root is missing; give a path');
    expect(problems).toContain('mirror.yaml:3: mirrors[0].name is "../a"; give a name');
    expect(problems).toContain('mirrors[0].python[0] is 3.1; give a version of Python in quotes');
    expect(problems).toContain('mirrors[0].wheels is "maybe"; give fetch, build or none');
    expect(problems).toContain('mirrors[0].vcs is "clone"; give leave-out or build');
  });

  it('says where YAML ends to be YAML', () => {
    expect(problemsOf('mirrors: [')[0]).toMatch(/^mirror\.yaml:1: .+/);
    expect(problemsOf('- a')).toEqual([
      'mirror.yaml:1: the file must hold keys and values, such as "offline: true".',
    ]);
  });

  it('refuses mirrors that would write over each other, and those of nothing', () => {
    const text = `cache-root: /c
mirrors:
  - { name: a, output: /o, packages: [six] }
  - { name: a, output: /o }
  - { name: b, output: /b, packages: [six], vcs: build, wheels: none }
`;
    expect(problemsOf(text)).toEqual([
      'mirror.yaml:4: mirror a has nothing to mirror; give projects, requirements or packages.',
      'mirror.yaml:4: there is a mirror a already; give another name.',
      'mirror.yaml:4: another mirror has the output /o already.',
      'mirror.yaml:5: mirror b has vcs: build, which runs code, and wheels: none, which runs none; give wheels: fetch.',
    ]);
  });
});
