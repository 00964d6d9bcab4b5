import { describe, expect, it } from 'vitest';
import { mirroredEnvironment } from '../../../src/build/mirrored-environment.ts';
import type { MirroredEnvironment } from '../../../src/build/mirrored-environment.ts';

const INDEX = 'http://127.0.0.1:40123/simple/';

function environmentOf(variables: Readonly<Record<string, string>>): MirroredEnvironment {
  return mirroredEnvironment({
    variables,
    elementsPath: '/elements',
    indexUrl: INDEX,
    isOffline: false,
    cachePath: '/tmp/caches',
  });
}

describe('the environment of a build that is recorded', () => {
  it('points every tool at the one index, with caches of its own', () => {
    const { variables } = environmentOf({ PATH: '/bin' });
    for (const name of ['PIP_INDEX_URL', 'UV_DEFAULT_INDEX', 'PDM_PYPI_URL', 'PIPENV_PYPI_MIRROR'])
      expect(variables[name], name).toBe(INDEX);
    expect(variables['DIB_PYPI_MIRROR_URL']).toBe(INDEX);
    expect(variables['POETRY_PYPI_MIRROR_URL']).toBe(INDEX);
    for (const name of ['PIP_CACHE_DIR', 'UV_CACHE_DIR', 'PDM_CACHE_DIR', 'PIPENV_CACHE_DIR'])
      expect(variables[name], name).toMatch(/^\/tmp\/caches\//);
    expect(variables['PATH']).toBe('/bin');
  });

  it.each([
    ['PIP_EXTRA_INDEX_URL'],
    ['PIP_FIND_LINKS'],
    ['PIP_NO_INDEX'],
    ['UV_INDEX_URL'],
    ['UV_INDEX'],
    ['UV_INDEX_CORP_PASSWORD'],
    ['UV_EXTRA_INDEX_URL'],
    ['UV_OFFLINE'],
    ['POETRY_REPOSITORIES_CORP_URL'],
    ['DIB_PYPI_MIRROR_URL_1'],
  ])('leaves out the %s of the caller, and says so by name alone', (name) => {
    const { variables, replaced } = environmentOf({ [name]: 'http://jane:secret@corp/' });
    expect(variables[name]).toBeUndefined();
    expect(replaced).toEqual([name]);
  });

  it('leaves what does not say where packages come from', () => {
    const given = {
      UV_INDEX_STRATEGY: 'first-index',
      PIP_CERT: '/ca.pem',
      UV_LINK_MODE: 'hardlink',
    };
    const { variables, replaced } = environmentOf(given);
    expect(variables).toMatchObject(given);
    expect(replaced).toEqual([]);
    expect(environmentOf({ PIP_INDEX_URL: '' }).replaced).toEqual([]);
  });
});
