import { defineConfig } from 'vitest/config';
import type { TestProjectConfiguration, ViteUserConfig } from 'vitest/config';

type TestOptions = NonNullable<ViteUserConfig['test']>;

/** One project a folder: what its tests may touch, and how long one of them may take. */
function project(
  name: string,
  testTimeout: number,
  options: TestOptions = {},
): TestProjectConfiguration {
  return {
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      environment: 'node',
      testTimeout,
      hookTimeout: Math.max(testTimeout, 20_000),
      // As long as a busy machine may need; what is promised within a time says so.
      expect: { poll: { timeout: 10_000, interval: 20 } },
      ...options,
    },
  };
}

/** Real pip and uv. Two files at a time: each starts servers, Python processes and virtual environments. */
const withPythonClients = {
  globalSetup: ['test/support/python-clients-setup.ts'],
  maxWorkers: 2,
  hookTimeout: 300_000,
  // Another number of workers needs a group of its own; it runs after the quick tests.
  sequence: { groupOrder: 1 },
};

const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      project('unit', 20_000),
      project('contract', 20_000, {
        include: ['test/contract/**/*.test.ts', 'test/protocol/**/*.test.ts'],
      }),
      project('integration', 30_000),
      project('faults', 30_000, {
        hookTimeout: 120_000,
        maxWorkers: 2,
        sequence: { groupOrder: 4 },
      }),
      project('fuzz', 600_000, { maxWorkers: 2, sequence: { groupOrder: 5 } }),
      project('e2e', 180_000, withPythonClients),
      project('clients', 240_000, {
        globalSetup: ['test/clients/setup.ts'],
        maxWorkers: 2,
        sequence: { groupOrder: 3 },
      }),
      // Real image builds, one after the other; takes root. Not part of `npm test`.
      project('images', 600_000, {
        globalSetup: ['test/images/setup.ts'],
        hookTimeout: 600_000,
        maxWorkers: 1,
        sequence: { groupOrder: 6 },
      }),
      // The same builds with the elements that come with diskimage-builder. Not part of `npm test`.
      project('comparison', 1_800_000, {
        globalSetup: ['test/images/setup.ts'],
        hookTimeout: 600_000,
        maxWorkers: 1,
        sequence: { groupOrder: 8 },
      }),
      // Folders of up to 100,000 files, alone on the machine. Not part of `npm test`.
      project('scale', 1_800_000, { maxWorkers: 1, sequence: { groupOrder: 7 } }),
      project('live', 180_000, {
        ...withPythonClients,
        maxWorkers: 1,
        sequence: { groupOrder: 2 },
      }),
    ],
  },
});

export default config;
