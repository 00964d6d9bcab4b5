import process from 'node:process';
import type { Mirror } from '../compose.ts';
import { messageOf, WheelcellarError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { judgeFiles } from '../packaging/candidates.ts';
import { parseInterpreter } from '../packaging/environment.ts';
import type { ProjectName } from '../packaging/names.ts';
import { platformTags } from '../packaging/platforms.ts';
import { supportedTags, TagRanking } from '../packaging/tags.ts';
import { readWheelScript } from '../packaging/wheel-member.ts';
import { fetchSet } from '../repository/fetch-set.ts';
import { offeredFiles } from '../repository/offered-files.ts';
import { findPip, findUv, uvAt } from '../resolver/tools.ts';
import type { ResolverTool } from '../resolver/tools.ts';
import { upstreamOfPath } from '../store/mirror-path.ts';
import { unpackedTool } from '../store/tool-files.ts';

const UV = 'uv' as ProjectName;

/** What a look for a resolver needs. */
export interface Surroundings {
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/**
 * A resolver that works here: uv on the PATH, uv out of its wheel (fetched through the mirror, or held),
 * a pip on the PATH.
 *
 * @throws WheelcellarError when there is none
 */
export async function resolverAtHand(
  mirror: Mirror,
  { variables, signal, log }: Surroundings,
): Promise<ResolverTool> {
  const onPath = await findUv(variables);
  if (onPath !== undefined) return onPath;
  let reason = 'its wheel has no program';
  try {
    const path = await uvFromWheel(mirror, signal);
    const tool = path === undefined ? undefined : await uvAt(path, variables);
    if (tool !== undefined) return tool;
  } catch (error) {
    reason = messageOf(error);
  }
  log.info('uv is neither on the PATH nor to be had through the mirror; looking for pip', {
    reason,
  });
  const pip = await findPip(variables);
  if (pip !== undefined) return pip;
  throw new WheelcellarError(`There is no resolver: no uv, no pip 23 or newer (uv: ${reason}).`, {
    hint: 'Install one of them, or add the uv wheel of this machine: wheelcellar add uv-….whl',
  });
}

async function uvFromWheel(mirror: Mirror, signal: AbortSignal): Promise<string | undefined> {
  const interpreter = parseInterpreter('3.12');
  const platform = ownPlatform();
  if (interpreter === undefined || platform === undefined) return undefined;
  const context = { signal, networkMode: 'normal' } as const;
  const files = await offeredFiles(mirror, UV, context);
  const ranking = new TagRanking(supportedTags(interpreter, platformTags(platform)));
  const target = { project: UV, specifier: '', interpreter, ranking };
  const verdicts = judgeFiles(
    files.map(({ entry }) => entry),
    target,
  );
  const chosen = verdicts.find(({ rejection }) => rejection === null)?.file;
  const path = files.find(({ entry }) => entry === chosen)?.path;
  if (chosen === undefined || path === undefined || !chosen.filename.endsWith('.whl'))
    return undefined;
  const { filename, sizeBytes } = chosen;
  const [fetched] = await fetchSet(mirror.repository, [{ path, filename, sizeBytes }], { signal });
  if (fetched?.outcome === 'failed') throw fetched.error;
  const { store } = mirror;
  const held = store.catalog.findFile(upstreamOfPath(path) ?? '', path);
  if (held === undefined) return undefined;
  return await unpackedTool(store.layout, held.sha256, 'uv', async () => {
    const program = await store.held.readIn(held, (access) => readWheelScript(access, 'uv'));
    if (program === undefined) throw new WheelcellarError(`${filename} has no program uv.`);
    return program;
  });
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

/** The platform tag of this machine, as far as Node can tell. */
function ownPlatform(): string | undefined {
  const arch = ARCHITECTURES[process.arch];
  if (arch === undefined) return undefined;
  if (process.platform === 'win32') return process.arch === 'arm64' ? 'win_arm64' : 'win_amd64';
  if (process.platform === 'darwin')
    return `macosx_13_0_${process.arch === 'arm64' ? 'arm64' : 'x86_64'}`;
  if (process.platform !== 'linux') return undefined;
  const { header } = process.report.getReport() as {
    readonly header: { readonly glibcVersionRuntime?: string };
  };
  const glibc = header.glibcVersionRuntime?.replace('.', '_');
  return glibc === undefined ? `musllinux_1_2_${arch}` : `manylinux_${glibc}_${arch}`;
}
