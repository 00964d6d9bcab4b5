import { markerEnvironment, parseInterpreter } from './environment.ts';
import type { Interpreter, MarkerEnvironment } from './environment.ts';
import { platformTags } from './platforms.ts';
import { TagRanking, supportedTags } from './tags.ts';

/** What an installer says of itself and of the machine that it installs for. */
export interface Installer {
  readonly name: 'pip' | 'uv';
  /** Whether it wants files. `false` for commands that only find out versions (`uv lock`). */
  readonly wantsFiles: boolean;
  /** `null` when it does not say: it may be resolving for every machine there is. */
  readonly machine: InstallerMachine | null;
}

/** Python and platform, as far as an installer tells. */
export interface InstallerMachine {
  readonly interpreter: Interpreter;
  readonly environment: MarkerEnvironment;
  readonly ranking: TagRanking;
}

/** The facts behind the name, which both installers send in the same form. */
interface Facts {
  readonly python?: unknown;
  readonly cpu?: unknown;
  readonly implementation?: { readonly name?: unknown };
  readonly system?: { readonly name?: unknown; readonly release?: unknown };
  readonly distro?: {
    readonly version?: unknown;
    readonly libc?: { readonly lib?: unknown; readonly version?: unknown };
  };
  readonly installer?: { readonly subcommand?: unknown };
}

const USER_AGENT = /^(pip|uv)\/\S+ (\{.*\})$/;

/** No installer says more. */
const LONGEST = 4096;

/** Commands of uv that end without a file. */
const RESOLVING = /^(?:lock|tree|export|pip compile|pip tree)(?: |$)/;

/**
 * The installer that a `User-Agent` header names, with the facts that pip and uv add to it as JSON;
 * `undefined` for every other client.
 */
export function parseInstaller(userAgent: string): Installer | undefined {
  if (userAgent.length > LONGEST) return undefined;
  const [, name, text] = USER_AGENT.exec(userAgent) ?? [];
  const facts = factsOf(text);
  if (name === undefined || facts === undefined) return undefined;
  const { subcommand } = facts.installer ?? {};
  const command = Array.isArray(subcommand) ? subcommand.join(' ') : '';
  return {
    name: name as Installer['name'],
    wantsFiles: !RESOLVING.test(command),
    machine: machineOf(facts),
  };
}

function factsOf(text: string | undefined): Facts | undefined {
  try {
    const facts: unknown = JSON.parse(text ?? '');
    return typeof facts === 'object' && facts !== null ? facts : undefined;
  } catch {
    return undefined;
  }
}

function machineOf(facts: Facts): InstallerMachine | null {
  const prefix = textOf(facts.implementation?.name).toLowerCase() === 'pypy' ? 'pp' : '';
  const interpreter = parseInterpreter(`${prefix}${textOf(facts.python)}`);
  const platform = platformOf(facts);
  if (interpreter === undefined || interpreter.minor >= FIRST_UNKNOWN_MINOR) return null;
  if (platform === undefined) return null;
  return {
    interpreter,
    environment: {
      ...markerEnvironment(interpreter, platform),
      platform_release: textOf(facts.system?.release),
    },
    ranking: new TagRanking(supportedTags(interpreter, platformTags(platform))),
  };
}

const WINDOWS: Readonly<Record<string, string>> = {
  amd64: 'win_amd64',
  x86_64: 'win_amd64',
  arm64: 'win_arm64',
  aarch64: 'win_arm64',
  x86: 'win32',
  i686: 'win32',
};

/** What a machine calls its processor; tags are made of it by the hundred. */
const CPU = /^\w{1,16}$/;

/** Every version up to it makes tags of its own: numbers that no system has reached are not followed. */
const VERSION = /^([0-5]?\d)(?:\.([0-5]?\d))?(?!\d)/;

/** The same holds for Python's versions. */
const FIRST_UNKNOWN_MINOR = 60;

/** The platform tag that names the machine. */
function platformOf({ system, cpu, distro }: Facts): string | undefined {
  const machine = textOf(cpu);
  if (!CPU.test(machine)) return undefined;
  switch (textOf(system?.name)) {
    case 'Linux': {
      const [, major, minor] = VERSION.exec(textOf(distro?.libc?.version)) ?? [];
      if (major === undefined || minor === undefined) return `linux_${machine}`;
      const library = textOf(distro?.libc?.lib) === 'musl' ? 'musllinux' : 'manylinux';
      return `${library}_${major}_${minor}_${machine}`;
    }
    case 'Darwin': {
      const [, major = '11', minor = '0'] = VERSION.exec(textOf(distro?.version)) ?? [];
      // From macOS 11 on, tags name the first version of each year.
      return `macosx_${major}_${Number(major) >= 11 ? '0' : minor}_${machine}`;
    }
    case 'Windows':
      return WINDOWS[machine.toLowerCase()];
    default:
      return undefined;
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
