import { ConfigurationError } from '../core/errors.ts';
import { parseInterpreter } from '../packaging/environment.ts';
import { parseProjectName } from '../packaging/names.ts';
import { runChild } from './child.ts';
import { UnresolvableError } from './resolution.ts';
import type { DirectReference, Pin, Resolution, ResolveRequest, Workplace } from './resolution.ts';
import type { ResolverTool } from './tools.ts';
import { uvPlatform } from './uv-platform.ts';

/** `uv pip compile` for one interpreter on one machine. @throws UnresolvableError, ConfigurationError */
export async function askUv(
  request: ResolveRequest & { readonly timeoutMs: number },
  tool: ResolverTool,
  place: Workplace,
): Promise<Resolution> {
  const { args, env } = question(request, place);
  const end = await runChild(tool.command, args, {
    cwd: place.folder,
    env: { ...place.env, ...env },
    timeoutMs: request.timeoutMs,
    signal: request.signal,
  });
  if (end.code !== 0) throw new UnresolvableError(tool.label, end.stderr || end.stdout);
  return { ...readCompiled(end.stdout), tool: tool.label };
}

function question(
  request: ResolveRequest,
  place: Workplace,
): { readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> } {
  const platform = request.platform === null ? null : uvPlatform(request.platform);
  if (platform === undefined) {
    throw new ConfigurationError([`uv cannot resolve for the platform ${request.platform}.`], {
      hint: 'It knows Linux (glibc, musl), macOS and Windows on x86-64 and ARM64.',
    });
  }
  const [first = '', ...others] = request.indexUrls;
  const args = [
    'pip',
    'compile',
    '--quiet',
    '--no-header',
    '--no-annotate',
    '--no-python-downloads',
    ...pythonArgs(request.python),
    ...(platform === null ? [] : ['--python-platform', platform.name]),
    '--default-index',
    first,
    ...others.flatMap((url) => ['--index', url]),
    ...(place.constraintsFile === null ? [] : ['--constraints', place.constraintsFile]),
    ...(request.onlyBinary === true ? ['--only-binary', ':all:'] : []),
    ...(request.prereleases === true ? ['--prerelease', 'allow'] : []),
    ...(request.withoutDependencies === true ? ['--no-deps'] : []),
    place.requirementsFile,
  ];
  const macVersion = platform?.macVersion ?? null;
  return { args, env: macVersion === null ? {} : { MACOSX_DEPLOYMENT_TARGET: macVersion } };
}

function pythonArgs(python: string): string[] {
  const interpreter = parseInterpreter(python);
  if (interpreter === undefined) return ['--python', python];
  // A full version is kept: markers and Requires-Python may ask for it.
  const isFull = /^\d\.\d+\.\d/.test(python);
  const { major, minor, fullVersion } = interpreter;
  return ['--python-version', isFull ? fullVersion : `${major}.${minor}`];
}

/** `name==version`, or `name @ url`; editable ones by their path. */
function readCompiled(text: string): Pick<Resolution, 'pins' | 'direct'> {
  const pins: Pin[] = [];
  const direct: DirectReference[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.replace(/(?:^|\s+)#.*$/, '').trim();
    const [, name = '', url, version] =
      /^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(?:@\s*(\S+)|==\s*([^\s;]+))/.exec(line) ?? [];
    const project = parseProjectName(name);
    if (project === undefined) continue;
    if (url !== undefined) direct.push({ name: project, url });
    else if (version !== undefined) pins.push({ name: project, version });
  }
  return { pins, direct };
}
