/**
 * Asks a real resolver, uv or else pip, which exact versions satisfy requirements. Nothing here decides
 * about versions; it writes down the question, runs the program in a clean surrounding, and reads the
 * answer.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cleanEnvironment } from './clean-environment.ts';
import { askPip } from './pip.ts';
import type { Resolution, ResolveRequest, Workplace } from './resolution.ts';
import { askUv } from './uv.ts';
import type { ResolverTool } from './tools.ts';

export { UnresolvableError } from './resolution.ts';
export type { Pin, Resolution, ResolveRequest } from './resolution.ts';

const FIVE_MINUTES_MS = 300_000;

/**
 * The exact versions that satisfy the requirements, with all that they need in turn.
 *
 * The tool sees no setting of this machine: its home, caches and configuration are in a throw-away
 * folder.
 *
 * @throws UnresolvableError with the tool's own words; the signal's reason when it was aborted
 */
export async function resolve(
  request: ResolveRequest,
  tool: ResolverTool,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<Resolution> {
  const folder = await mkdtemp(join(tmpdir(), 'wheelcellar-resolver-'));
  try {
    const place = await layOut(folder, request, variables);
    const asked = { ...request, timeoutMs: request.timeoutMs ?? FIVE_MINUTES_MS };
    request.log?.debug('asking a resolver', {
      tool: tool.label,
      python: request.python,
      platform: request.platform,
    });
    return tool.kind === 'uv' ? await askUv(asked, tool, place) : await askPip(asked, tool, place);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function layOut(
  folder: string,
  { requirements, constraints = [], isCutOff = false }: ResolveRequest,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<Workplace> {
  const requirementsFile = join(folder, 'requirements.in');
  const constraintsFile = constraints.length === 0 ? null : join(folder, 'constraints.txt');
  await mkdir(join(folder, 'home'));
  await writeFile(requirementsFile, `${requirements.join('\n')}\n`);
  if (constraintsFile !== null) await writeFile(constraintsFile, `${constraints.join('\n')}\n`);
  const env = cleanEnvironment(variables, join(folder, 'home'), isCutOff);
  return { folder, requirementsFile, constraintsFile, env };
}
