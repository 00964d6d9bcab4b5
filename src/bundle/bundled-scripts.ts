/** What a bundle brings along for people and for bare Pythons. */

/**
 * `bootstrap.py`: a virtual environment with the bundle's pip, from a Python that has neither pip nor a
 * network. Standard library alone, Python 3.8 or newer (`Requires-Python` of the bundled pip decides).
 */
export const BOOTSTRAP_SCRIPT: string = `#!/usr/bin/env python3
"""Makes a virtual environment from this bundle alone.

    python3 bootstrap.py [--venv DIR] [REQUIREMENT ...]

DIR (default: .venv) gets the bundle's pip, the requirements, and a pip.conf that names the
bundle as its only index. Nothing is asked of any network.
"""
import argparse
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description="Make a virtual environment from this bundle alone.")
    parser.add_argument("--venv", default=".venv", help="its folder (default: .venv)")
    parser.add_argument("requirements", nargs="*", help="what to install into it")
    wanted = parser.parse_args()
    wheel = pip_wheel()
    index = (HERE / "simple").as_uri() + "/"
    folder = pathlib.Path(wanted.venv).resolve()
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(str(folder))
    windows = os.name == "nt"
    python = folder / ("Scripts" if windows else "bin") / ("python.exe" if windows else "python")
    command = [str(python), str(wheel / "pip"), "install", "--isolated", "--no-input", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--index-url", index, "pip"]
    code = subprocess.call(command + wanted.requirements)
    if code != 0:
        return code
    settings = folder / ("pip.ini" if windows else "pip.conf")
    settings.write_text("[global]\\nindex-url = " + index + "\\n", encoding="utf-8")
    print("ready: " + str(python))
    return 0


def pip_wheel():
    """The newest bundled pip that runs on this Python, its bytes as the manifest says."""
    manifest = json.loads((HERE / "bundle.json").read_text(encoding="utf-8"))
    wheels = [
        file
        for file in manifest["files"] + manifest["needs"]
        if file["project"] == "pip" and file["path"].endswith(".whl") and fits(file["entry"]["requiresPython"])
    ]
    for file in sorted(wheels, key=version, reverse=True):
        path = HERE / file["path"]
        if not path.is_file():
            continue
        if hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
            sys.exit("bootstrap: " + file["path"] + " is damaged; wheelcellar bundle verify tells more")
        return path
    sys.exit("bootstrap: the bundle has no pip for Python %d.%d" % sys.version_info[:2])


def fits(requires_python):
    """Enough of a specifier set for pip's own: >=X.Y and !=X.Y.*."""
    for clause in (requires_python or "").split(","):
        found = re.match(r"\\s*(>=|!=)\\s*(\\d+)\\.(\\d+)", clause)
        if found is None:
            continue
        bound = (int(found.group(2)), int(found.group(3)))
        if found.group(1) == ">=" and sys.version_info[:2] < bound:
            return False
        if found.group(1) == "!=" and sys.version_info[:2] == bound:
            return False
    return True


def version(file):
    name = file["path"].rsplit("/", 1)[1]
    return [int(part) for part in re.findall(r"\\d+", name.split("-")[1])]


if __name__ == "__main__":
    sys.exit(main())
`;

/** `README.txt` of every bundle. */
export const BUNDLE_README: string = `A bundle of Python packages, made by wheelcellar. It is a static mirror:

    pip install --index-url file:///PATH/TO/BUNDLE/simple/ NAME
    uv pip install --index-url file:///PATH/TO/BUNDLE/simple/ NAME

From a Python without pip (makes a virtual environment):

    python3 bootstrap.py --venv .venv NAME

Into the cache of a wheelcellar, beside running servers or without any:

    wheelcellar bundle verify BUNDLE
    wheelcellar bundle import BUNDLE

bundle.json names every file with its size and sha256. A bundle that only adds to an earlier one
("since" in bundle.json is not null) is imported after it, or unpacked over it.
`;
