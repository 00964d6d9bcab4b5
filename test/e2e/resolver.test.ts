import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Pin, ResolveRequest, Resolution } from '../../src/resolver/resolver.ts';
import { resolve, UnresolvableError } from '../../src/resolver/resolver.ts';
import { findPip, findUv } from '../../src/resolver/tools.ts';
import type { ResolverTool } from '../../src/resolver/tools.ts';
import { stageUpstream, startMirror } from '../support/mirror.ts';
import { pythonClients } from '../support/python-clients.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { writeWheel } from '../support/wheel-writer.ts';

const PROJECTS = {
  app: [
    writeWheel({
      name: 'app',
      version: '1.0',
      requires: [
        'lib>=1',
        'winonly; sys_platform == "win32"',
        'oldonly; python_version < "3.10"',
        'maconly; platform_machine == "arm64"',
      ],
      extras: { more: ['extra-lib'] },
    }),
  ],
  lib: [
    writeWheel({ name: 'lib', version: '1.0', requiresPython: '>=3.8' }),
    writeWheel({ name: 'lib', version: '2.0', requiresPython: '>=3.11' }),
    writeWheel({ name: 'lib', version: '3.0rc1' }),
  ],
  winonly: [writeWheel({ name: 'winonly', version: '1.0' })],
  oldonly: [writeWheel({ name: 'oldonly', version: '1.0' })],
  maconly: [writeWheel({ name: 'maconly', version: '1.0', tag: 'cp311-cp311-macosx_11_0_arm64' })],
  'extra-lib': [writeWheel({ name: 'extra_lib', version: '1.0' })],
};

const PATH = { PATH: `${join(pythonClients.python, '..')}:${process.env['PATH'] ?? ''}` };

async function tools(): Promise<Readonly<Record<'uv' | 'pip', ResolverTool>>> {
  const [uv, pip] = [await findUv(PATH), await findPip(PATH)];
  if (uv === undefined || pip === undefined) throw new Error('uv and pip should be on the PATH');
  return { uv, pip };
}

/** Resolves through a mirror; the environment leads elsewhere unless it is cleaned. */
async function resolveThrough(
  kind: 'uv' | 'pip',
  request: Partial<ResolveRequest>,
): Promise<Resolution> {
  const upstream = await stageUpstream({ projects: PROJECTS });
  const mirror = await startMirror({ upstreams: [upstream] });
  const { [kind]: tool } = await tools();
  const hostile = {
    ...PATH,
    PIP_INDEX_URL: 'http://127.0.0.1:9/simple',
    UV_INDEX_URL: 'http://127.0.0.1:9/simple',
    UV_DEFAULT_INDEX: 'http://127.0.0.1:9/simple',
    HTTP_PROXY: 'http://127.0.0.1:9',
    PIP_FIND_LINKS: '/nonexistent',
  };
  const whole: ResolveRequest = {
    requirements: ['app'],
    python: '3.11',
    platform: null,
    indexUrls: [`${mirror.origin}/simple/`],
    ...request,
  };
  return await resolve(whole, tool, hostile);
}

const words = (pins: readonly Pin[]): string[] =>
  pins.map(({ name, version }) => `${name}==${version}`);

describe.each(['uv', 'pip'] as const)('a resolver: %s', (kind) => {
  it('names exact versions with all that they need, whatever the caller has set', async () => {
    const { pins, tool, direct } = await resolveThrough(kind, { requirements: ['App[more]'] });
    expect(words(pins)).toEqual(['app==1.0', 'extra-lib==1.0', 'lib==2.0']);
    expect(direct).toEqual([]);
    expect(tool).toMatch(kind === 'uv' ? /^uv \d/ : /^pip \d/);
  });

  it('holds to constraints', async () => {
    const { pins } = await resolveThrough(kind, { constraints: ['lib<2'] });
    expect(words(pins)).toEqual(['app==1.0', 'lib==1.0']);
  });

  it('resolves for an older Python than the one it runs on', async () => {
    const { pins } = await resolveThrough(kind, { requirements: ['lib'], python: '3.9' });
    expect(words(pins)).toEqual(['lib==1.0']);
  });

  it('takes pre-releases when they are wanted', async () => {
    const { pins } = await resolveThrough(kind, { requirements: ['lib'], prereleases: true });
    expect(words(pins)).toEqual(['lib==3.0rc1']);
  });

  it('leaves dependencies out when they are not wanted', async () => {
    const { pins } = await resolveThrough(kind, { withoutDependencies: true });
    expect(words(pins)).toEqual(['app==1.0']);
  });

  it('fails in the words of the tool', async () => {
    const failing = resolveThrough(kind, { requirements: ['lib>=4'] });
    await expect(failing).rejects.toThrow(UnresolvableError);
    await expect(failing).rejects.toThrow(/lib/);
  });

  it('is stopped when it takes too long', async () => {
    const upstream = await stageUpstream({ projects: PROJECTS });
    const mirror = await startMirror({ upstreams: [upstream] });
    upstream.blackhole();
    const { [kind]: tool } = await tools();
    const request: ResolveRequest = {
      requirements: ['app'],
      python: '3.11',
      platform: null,
      indexUrls: [`${mirror.origin}/simple/`],
      timeoutMs: 1_500,
    };
    const startedAt = Date.now();
    await expect(resolve(request, tool, PATH)).rejects.toThrow(/stopped after 2 seconds/);
    expect(Date.now() - startedAt).toBeLessThan(6_000);
  });
});

describe('uv as the resolver', () => {
  it.each([
    ['win_amd64', '3.11', ['app==1.0', 'lib==2.0', 'winonly==1.0']],
    ['macosx_12_0_arm64', '3.11', ['app==1.0', 'lib==2.0', 'maconly==1.0']],
    ['manylinux_2_30_x86_64', '3.9', ['app==1.0', 'lib==1.0', 'oldonly==1.0']],
    ['musllinux_1_2_aarch64', '3.12', ['app==1.0', 'lib==2.0']],
  ])('decides markers for %s and Python %s', async (platform, python, pins) => {
    const resolution = await resolveThrough('uv', { platform, python });
    expect(words(resolution.pins)).toEqual(pins);
  });

  it('says which platform it does not know', async () => {
    const failing = resolveThrough('uv', { platform: 'linux_s390x' });
    await expect(failing).rejects.toThrow('linux_s390x');
  });
});

describe('looking for a resolver', () => {
  it('finds none on an empty path', async () => {
    const folder = await makeTempFolder('wheelcellar-path-');
    onTestFinished(() => folder.remove());
    expect(await findUv({ PATH: folder.path })).toBeUndefined();
    expect(await findPip({ PATH: folder.path })).toBeUndefined();
  });
});
