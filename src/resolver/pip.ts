import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseInterpreter } from '../packaging/environment.ts';
import { parseProjectName } from '../packaging/names.ts';
import { platformTags } from '../packaging/platforms.ts';
import { runChild } from './child.ts';
import { UnresolvableError } from './resolution.ts';
import type { DirectReference, Pin, Resolution, ResolveRequest, Workplace } from './resolution.ts';
import type { ResolverTool } from './tools.ts';

/** What of pip's installation report is read (its version 1). */
interface InstallationReport {
  readonly install: readonly {
    readonly is_direct?: boolean;
    readonly download_info?: { readonly url?: string };
    readonly metadata: { readonly name: string; readonly version: string };
  }[];
}

/**
 * `pip install --dry-run --report`. For another machine pip takes wheels alone, and decides markers for
 * the Python it runs on: with that, uv's answer is the better one.
 *
 * @throws UnresolvableError
 */
export async function askPip(
  request: ResolveRequest & { readonly timeoutMs: number },
  tool: ResolverTool,
  place: Workplace,
): Promise<Resolution> {
  const reportFile = join(place.folder, 'report.json');
  const [first = '', ...others] = request.indexUrls;
  const args = [
    '-m',
    'pip',
    'install',
    '--dry-run',
    '--ignore-installed',
    '--quiet',
    '--report',
    reportFile,
    '--index-url',
    first,
    ...others.flatMap((url) => ['--extra-index-url', url]),
    ...targetArgs(request, place),
    ...(place.constraintsFile === null ? [] : ['--constraint', place.constraintsFile]),
    ...(request.onlyBinary === true ? ['--only-binary', ':all:'] : []),
    ...(request.prereleases === true ? ['--pre'] : []),
    ...(request.withoutDependencies === true ? ['--no-deps'] : []),
    '--requirement',
    place.requirementsFile,
  ];
  const end = await runChild(tool.command, args, {
    cwd: place.folder,
    env: place.env,
    timeoutMs: request.timeoutMs,
    signal: request.signal,
  });
  if (end.code !== 0) throw new UnresolvableError(tool.label, end.stderr || end.stdout);
  const report = JSON.parse(await readFile(reportFile, 'utf8')) as InstallationReport;
  return { ...readReport(report), tool: tool.label };
}

function targetArgs({ python, platform }: ResolveRequest, place: Workplace): string[] {
  const interpreter = parseInterpreter(python);
  if (interpreter === undefined && platform === null) return [];
  const args = ['--only-binary', ':all:', '--target', join(place.folder, 'target')];
  if (interpreter !== undefined) {
    const { implementation, tag, abi } = interpreter;
    const isPypy = implementation === 'pypy';
    args.push('--python-version', interpreter.fullVersion.replace(/\.0$/, ''));
    args.push('--implementation', isPypy ? 'pp' : tag.slice(0, 2));
    for (const each of [abi, 'abi3', 'none']) args.push('--abi', each);
  }
  for (const tag of platform === null ? [] : platformTags(platform)) args.push('--platform', tag);
  return args;
}

function readReport({ install }: InstallationReport): Pick<Resolution, 'pins' | 'direct'> {
  const pins: Pin[] = [];
  const direct: DirectReference[] = [];
  for (const { metadata, is_direct: isDirect, download_info: download } of install) {
    const name = parseProjectName(metadata.name);
    if (name === undefined) continue;
    if (isDirect === true) direct.push({ name, url: download?.url ?? '' });
    else pins.push({ name, version: metadata.version });
  }
  return { pins: pins.toSorted((a, b) => (a.name < b.name ? -1 : 1)), direct };
}
