import { programRunner } from '../service/run-program.ts';
import type { Io } from './verb.ts';

/** What an interpreter says of itself, in the words of `--python` and `--platform`. */
export interface LocalPython {
  readonly python: string;
  readonly platform: string;
}

/** Prints version and platform tag; a Linux without glibc counts as one with musl 1.2. */
const QUESTION = `
import platform, sys, sysconfig
name = {"cpython": "", "pypy": "pp"}[sys.implementation.name]
free = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
system = sysconfig.get_platform().replace("-", "_").replace(".", "_")
if system.startswith("linux_"):
    arch = system[len("linux_"):]
    kind, version = platform.libc_ver()
    system = f"manylinux_{version.replace('.', '_')}_{arch}" if kind == "glibc" else f"musllinux_1_2_{arch}"
elif system.startswith("macosx_"):
    version = platform.mac_ver()[0].split(".")
    system = f"macosx_{version[0]}_{(version + ['0'])[1]}_{platform.machine()}"
print(name + platform.python_version() + free, system)
`;

/** The `python3` (or `python`) on the PATH; `undefined` without one. */
export async function findLocalPython(io: Io): Promise<LocalPython | undefined> {
  const run = programRunner(io.env, 10_000);
  for (const command of ['python3', 'python']) {
    const { code, output } = await run(command, ['-c', QUESTION]);
    const [, python, platform] = /(\S+) (\S+)$/.exec(output) ?? [];
    if (code === 0 && python !== undefined && platform !== undefined) return { python, platform };
  }
  return undefined;
}
