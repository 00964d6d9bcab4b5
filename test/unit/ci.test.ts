import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { PROGRAMS } from '../images/image-tools.ts';

it('has CI install whatever the image tests call', () => {
  const script = readFileSync(new URL('../../.ci/run', import.meta.url), 'utf8');
  const found = script.matchAll(/^ *has (\S+) \|\| missing\+=\((\S+)\)$/gm);
  const installed = Object.fromEntries([...found].map(([, program, name]) => [program, name]));
  // Python is there before; its venv module is looked for apart from it.
  const { python3, ...programs } = PROGRAMS;
  expect(installed).toMatchObject(programs);
  expect(script).toContain(`missing+=(${python3})`);
});
