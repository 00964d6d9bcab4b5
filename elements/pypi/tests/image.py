"""A folder that stands for an image, and ways to run the element in it.

Nothing needs root: hooks put DIB_PYPI_TEST_ROOT before absolute paths, and a
script named sudo writes down what it was asked for.
"""

import http.server
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile
import threading

ELEMENT = pathlib.Path(__file__).resolve().parent.parent
COMMANDS = ('bash', 'cat', 'date', 'dirname', 'env', 'getent', 'grep', 'mkdir',
            'mv', 'rm', 'rmdir', 'sed', 'timeout')
SUDO = """#!/bin/bash
echo "$*" >> "$SUDO_LOG"
case $1 in
    mount | chown) ;;
    *) exec "$@" ;;
esac
"""
# What dib-run-parts does with environment files, then a command. OTHER_ELEMENT
# stands for an environment file of another element, sorted between ours.
RUN_PARTS = """
set -ue
set -o pipefail
target_dir=$1
shift
for env_file in "$ELEMENT"/environment.d/*; do
    [[ $env_file != */99-* ]] || eval "${OTHER_ELEMENT:-}"
    set -o xtrace
    source "$env_file"
    set +o xtrace
done
exec "$@"
"""


class Image:
    """The image, removed by close()."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix='dib-pypi-'))
        self.home = self.root / 'root'
        self.bin = self.root / 'test-bin'
        for folder in (self.home, self.root / 'etc', self.bin,
                       self.root / 'tmp' / 'in_target.d'):
            folder.mkdir(parents=True)
        for name in COMMANDS:
            (self.bin / name).symlink_to(shutil.which(name))
        self.env = {
            'DIB_PYPI_TEST_ROOT': str(self.root),
            'ELEMENT': str(ELEMENT),
            'HOME': str(self.home),
            # Nobody listens on port 1; the real address would be probed.
            'DIB_PYPI_OFFICIAL_URL': 'http://127.0.0.1:1/simple',
            'PATH': str(self.bin),
            'SUDO_LOG': str(self.root / 'sudo.log'),
        }

    def close(self):
        shutil.rmtree(self.root)

    def add_commands(self, *names):
        for name in names:
            (self.bin / name).symlink_to(shutil.which(name))

    def add_sudo(self):
        script = self.bin / 'sudo'
        script.write_text(SUDO)
        script.chmod(0o755)
        self.add_commands('basename', 'chmod', 'find', 'install', 'test')

    def sudo_calls(self):
        log = self.root / 'sudo.log'
        return log.read_text().splitlines() if log.exists() else []

    def run(self, command, **env):
        """Output (both streams) of a command that must succeed."""
        done = subprocess.run(
            [str(word) for word in command], env={**self.env, **env},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=str(self.root), timeout=60)
        if done.returncode != 0:
            raise AssertionError(
                '%s: %s\n%s' % (command, done.returncode, done.stdout))
        return done.stdout

    def hook(self, name, **env):
        return self.run([ELEMENT / name], **env)

    def configure(self, **env):
        return self.hook('pre-install.d/04-configure-pypi-mirror', **env)

    def unconfigure(self, **env):
        return self.hook('post-install.d/00-unconfigure-pypi-mirror', **env)

    def run_in_phase(self, phase, command, **env):
        return self.run(['bash', '-c', RUN_PARTS, 'dib-run-parts',
                         '/tmp/in_target.d/' + phase, *command], **env)

    def environment(self, phase, **env):
        """What a hook of this phase finds in its environment."""
        mark = 'environment starts here'
        text = self.run_in_phase(
            phase, ['bash', '-c', 'echo "$0"; env', mark], **env)
        lines = text[text.rindex(mark + '\n') + len(mark) + 1:].splitlines()
        return dict(line.split('=', 1) for line in lines if '=' in line)

    def tree(self):
        """Every path with its type, mode, owner, and content."""
        found = {}
        for path in sorted(self.root.rglob('*')):
            name = str(path.relative_to(self.root))
            if name.startswith('test-bin'):
                continue
            facts = path.lstat()
            if path.is_symlink():
                content = os.readlink(path)
            elif path.is_file():
                content = path.read_bytes()
            else:
                content = None
            found[name] = (stat.filemode(facts.st_mode), facts.st_uid,
                           facts.st_gid, content)
        return found


class Index:
    """An index on 127.0.0.1 that answers everything with one status."""

    def __init__(self, status=200):
        self.requests = []
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                requests.append((self.path, self.headers.get('Authorization')))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
