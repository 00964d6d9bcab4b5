import { basename } from 'node:path';
import process from 'node:process';
import type { Mirror } from '../compose.ts';
import type { MirrorSettings } from '../config/mirror-file.ts';
import { ConfigurationError, WheelcellarError, messageOf } from '../core/errors.ts';
import { thisDistributionRelease } from '../mirror/distribution-release.ts';
import type { LedgerPin } from '../mirror/ledger.ts';
import type { MirrorReport } from '../mirror/report.ts';
import { runMirror } from '../mirror/run-mirror.ts';
import { Sandbox } from '../mirror/sandbox.ts';
import type { IndexAtWork, ResolveQuestion, RunOptions } from '../mirror/surroundings.ts';
import { targetsOf } from '../mirror/targets.ts';
import { resolve } from '../resolver/resolver.ts';
import type { ResolverTool } from '../resolver/tools.ts';
import { findLocalPython } from './local-python.ts';
import { resolverAtHand } from './resolver-at-hand.ts';
import { settingsFor, withIndex } from './run-mirror-index.ts';
import type { Io, VerbContext } from './verb.ts';

/**
 * Runs one mirror with what this machine has: a resolver, a Python, a sandbox when it is needed.
 *
 * @throws WheelcellarError when there is no resolver, and as {@link runMirror} does
 */
export async function runOne(
  context: VerbContext,
  cacheRoot: string,
  mirror: MirrorSettings,
  options: RunOptions,
  signal: AbortSignal,
): Promise<MirrorReport> {
  const { io } = context;
  const settings = settingsFor(mirror, context);
  const isVerbose = context.options['verbose'] === true;
  const say = (text: string): void => void (isVerbose && io.stderr.write(`${text}\n`));
  const needsTools = options.withDownload && options.withPip;
  const local = needsTools ? await findLocalPython(io) : undefined;
  const targets = needsTools ? targetsOf(mirror.pythons, mirror.platforms, local) : [];
  return await withIndex(settings, io, async (index, served, log) => {
    const look = { variables: io.env, signal, log };
    const tool = needsTools ? await resolverOf(served, look) : NO_TOOL;
    let sandbox: Promise<Sandbox> | null = null;
    const openSandbox = (): Promise<Sandbox> =>
      (sandbox ??= openSandboxFor(context, index, signal));
    try {
      return await runMirror(mirror, {
        cacheRoot,
        options,
        process: {
          distribution: await thisDistributionRelease(),
          writing: { now: new Date(), graceMs: settings.cache.graceMs },
        },
        env: {
          variables: io.env,
          index,
          targets,
          builder: tool,
          openSandbox,
          resolve: (question) => resolveFor(question, tool, index, io, signal),
          signal,
          say,
          pass: (text) => void (isVerbose && io.stderr.write(text)),
          warn: warnOf(io),
        },
      });
    } finally {
      const opened = await (sandbox as Promise<Sandbox> | null)?.catch(() => null);
      await opened?.close();
    }
  });
}

const NO_TOOL: ResolverTool = { kind: 'pip', command: 'python3', label: 'none' };

/** A machine without one is set up wrongly: no branch of any mirror could be had. */
async function resolverOf(
  mirror: Mirror,
  look: Parameters<typeof resolverAtHand>[1],
): Promise<ResolverTool> {
  return await resolverAtHand(mirror, look).catch((error: unknown) => {
    look.signal.throwIfAborted();
    throw new ConfigurationError([messageOf(error)], {
      cause: error,
      hint: 'python3 -m pip install uv',
    });
  });
}

async function resolveFor(
  { requirements, constraints, target, sandbox }: ResolveQuestion,
  tool: ResolverTool,
  index: IndexAtWork,
  io: Io,
  signal: AbortSignal,
): Promise<readonly LedgerPin[]> {
  const command =
    sandbox === null
      ? tool.command
      : await sandbox.wrapperFor(await sandbox.toolFor(tool.command, tool.kind === 'uv'));
  // pip resolves for the Python it runs on; a version would make it look at wheels alone.
  const isOwnPython = tool.kind === 'pip' && target.platform === null;
  const question = {
    requirements,
    constraints,
    python: isOwnPython ? basename(tool.command) : target.python,
    platform: target.platform,
    indexUrls: [index.indexUrl],
    onlyBinary: sandbox === null,
    signal,
  };
  try {
    return (await resolve(question, { ...tool, command }, io.env)).pins;
  } catch (error) {
    if (sandbox !== null || signal.aborted || !(error instanceof WheelcellarError)) throw error;
    const words = `${messageOf(error)}\nOnly wheels were looked at, since sdists may not be built here (wheels, --build-user).`;
    throw new WheelcellarError(words, { cause: error });
  }
}

async function openSandboxFor(
  { io, options }: VerbContext,
  index: IndexAtWork,
  signal: AbortSignal,
): Promise<Sandbox> {
  const { buildUser } = options;
  return await Sandbox.open({
    variables: io.env,
    buildUser: typeof buildUser === 'string' ? buildUser : null,
    allowRootBuilds: options['allowRootBuilds'] === true,
    userId: process.getuid?.() ?? null,
    indexUrl: index.indexUrl,
    socketPath: index.socketPath,
    signal,
  });
}

/** What a person should see at once, cron or not. */
export function warnOf(io: Io): (text: string) => void {
  return (text) => void io.stderr.write(`run-mirror: ${text}\n`);
}
