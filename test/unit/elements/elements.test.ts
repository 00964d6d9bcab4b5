import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const elementsPath = fileURLToPath(new URL('../../../elements', import.meta.url));
const elements = readdirSync(elementsPath).filter((name) =>
  existsSync(join(elementsPath, name, 'tests')),
);

/** What is missing on this machine to run the hooks, if anything. */
function missingTool(): string | undefined {
  return ['python3', 'bash', 'flock', 'unshare'].find((tool) => {
    try {
      execFileSync(tool, ['--version'], { stdio: 'ignore' });
      return false;
    } catch {
      return true;
    }
  });
}

// The hooks are bash for Linux images, so elsewhere there may be nothing to run them with.
const missing = missingTool();
if (missing !== undefined && process.env['CI'] !== undefined) {
  throw new Error(`the elements' tests need ${missing}`);
}

describe.skipIf(missing !== undefined)(
  `diskimage-builder elements${missing === undefined ? '' : ` (skipped: no ${missing})`}`,
  () => {
    it('are pypi and pip-cache', () => {
      expect(elements.toSorted()).toEqual(['pip-cache', 'pypi']);
    });

    it.each(elements)('%s passes its own tests', { timeout: 120_000 }, async (name) => {
      const { stderr } = await run(
        'python3',
        ['-m', 'unittest', 'discover', '-s', join(elementsPath, name, 'tests'), '-t', elementsPath],
        { env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' } },
      );
      // An empty suite succeeds too.
      expect(stderr).toMatch(/^Ran [1-9]\d* tests? in/m);
    });
  },
);
