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
      project('unit', 5_000),
      project('contract', 20_000),
      project('integration', 30_000),
      project('e2e', 180_000, withPythonClients),
      project('clients', 120_000, {
        globalSetup: ['test/clients/setup.ts'],
        maxWorkers: 2,
        sequence: { groupOrder: 3 },
      }),
      project('live', 180_000, {
        ...withPythonClients,
        maxWorkers: 1,
        sequence: { groupOrder: 2 },
      }),
    ],
  },
});

export default config;
