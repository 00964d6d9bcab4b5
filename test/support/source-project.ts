/** The source tree of a project whose build needs nothing but Python, to be committed to a repository. */

/** What the project says of itself. */
export interface SourceProject {
  readonly name: string;
  readonly version: string;
  readonly requires?: readonly string[];
  /** Of its wheel; `py3-none-any` by default. */
  readonly tag?: string;
  /** Python that runs at the start of every build. */
  readonly atStart?: string;
}

/** PEP 517 in the standard library alone; the version is what pyproject.toml says (PEP 621). */
const BACKEND = `import io, os, re, tarfile, zipfile

ABOUT = open("pyproject.toml", encoding="utf-8").read()
NAME = re.search(r'^name = "(.*)"', ABOUT, re.M).group(1)
VERSION = re.search(r'^version = "(.*)"', ABOUT, re.M).group(1)
REQUIRES = re.findall(r'"([^"]*)"', re.search(r"^dependencies = \\[(.*)\\]", ABOUT, re.M).group(1))
META = "".join(["Metadata-Version: 2.1\\n", f"Name: {NAME}\\n", f"Version: {VERSION}\\n", *(f"Requires-Dist: {each}\\n" for each in REQUIRES)])
INFO = f"{NAME}-{VERSION}.dist-info"


def build_sdist(folder, config_settings=None):
    stem = f"{NAME}-{VERSION}"
    with tarfile.open(os.path.join(folder, stem + ".tar.gz"), "w:gz") as archive:
        about = tarfile.TarInfo(stem + "/PKG-INFO")
        about.size = len(META)
        archive.addfile(about, io.BytesIO(META.encode()))
        for name in ("pyproject.toml", "source_backend.py", NAME + ".py"):
            archive.add(name, stem + "/" + name)
    return stem + ".tar.gz"


def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = f"{NAME}-{VERSION}-{TAG}.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.write(NAME + ".py")
        wheel.writestr(INFO + "/METADATA", META)
        wheel.writestr(INFO + "/WHEEL", f"Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: {TAG}\\n")
        wheel.writestr(INFO + "/RECORD", f"{NAME}.py,,\\n{INFO}/METADATA,,\\n{INFO}/WHEEL,,\\n{INFO}/RECORD,,\\n")
    return name
`;

/** Its files; `below` is the folder of the repository that they lie in, with a slash behind it. */
export function sourceProject(
  { name, version, requires = [], tag = 'py3-none-any', atStart = '' }: SourceProject,
  below = '',
): Record<string, string> {
  const pyproject = [
    '[build-system]',
    'requires = []',
    'build-backend = "source_backend"',
    'backend-path = ["."]',
    '',
    '[project]',
    `name = "${name}"`,
    `version = "${version}"`,
    `dependencies = [${requires.map((each) => JSON.stringify(each)).join(', ')}]`,
    '',
  ].join('\n');
  return {
    [`${below}pyproject.toml`]: pyproject,
    [`${below}source_backend.py`]: `TAG = ${JSON.stringify(tag)}\n${atStart}\n${BACKEND}`,
    [`${below}${name}.py`]: `value = ${JSON.stringify(version)}\n`,
  };
}
