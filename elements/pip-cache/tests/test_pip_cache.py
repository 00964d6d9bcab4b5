"""root.d/11 and environment.d/10, run by bash in a temporary folder."""

import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ELEMENT = pathlib.Path(__file__).resolve().parent.parent
SUDO = """#!/bin/bash
echo "$*" >> "$SUDO_LOG"
case $1 in
    mount | chown) ;;
    *) exec "$@" ;;
esac
"""
ENVIRONMENT = """
set -ue
set -o pipefail
source "$ELEMENT"/environment.d/10-pip-cache
exec "$@"
"""


def can_mount():
    if os.geteuid() != 0 or not shutil.which('unshare'):
        return False
    return subprocess.run(['unshare', '--mount', 'true'],
                          stderr=subprocess.DEVNULL).returncode == 0


class PipCacheTest(unittest.TestCase):

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix='dib-pip-cache-'))
        self.addCleanup(shutil.rmtree, self.root)
        self.cache = self.root / 'image cache'
        self.mount = self.root / 'mnt'
        self.mount.mkdir()
        folder = self.root / 'bin'
        folder.mkdir()
        (folder / 'sudo').write_text(SUDO)
        (folder / 'sudo').chmod(0o755)
        self.env = {
            'DIB_IMAGE_CACHE': str(self.cache),
            'DIB_LOCKFILES': str(self.root / 'locks'),
            'DIB_PYPI_TEST_ROOT': str(self.mount),
            'ELEMENT': str(ELEMENT),
            'HOME': str(self.root),
            'PATH': '%s:%s' % (folder, os.environ['PATH']),
            'SUDO_LOG': str(self.root / 'sudo.log'),
            'TMP_MOUNT_PATH': str(self.mount),
        }

    def run_it(self, command, **env):
        done = subprocess.run(
            [str(word) for word in command], env={**self.env, **env},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=60)
        self.assertEqual(0, done.returncode, done.stdout)
        return done.stdout

    def mount_cache(self, **env):
        self.run_it([ELEMENT / 'root.d/11-pip-cache'], **env)
        return (self.root / 'sudo.log').read_text().splitlines()

    def enter_image(self):
        (self.mount / 'tmp/in_target.d').mkdir(parents=True, exist_ok=True)

    def found(self, **env):
        text = self.run_it(['bash', '-c', ENVIRONMENT, 'run', 'env'], **env)
        return dict(line.split('=', 1) for line in text.splitlines()
                    if line.startswith(('PIP_', 'UV_')))

    def test_binds_the_cache_and_gives_root_folders_of_its_own(self):
        calls = self.mount_cache()
        target = '%s/tmp/pip' % self.mount
        self.assertEqual([
            'install -d -m 1777 %s/tmp' % self.mount,
            'mkdir -p %s' % target,
            'mount --bind %s/pip %s' % (self.cache, target),
            'mkdir -p %s/cache' % target, 'chown root:root %s/cache' % target,
            'mkdir -p %s/uv' % target, 'chown root:root %s/uv' % target,
        ], calls)
        self.assertTrue((self.cache / 'pip').is_dir())

    def test_leaves_the_mode_of_an_existing_tmp_alone(self):
        (self.mount / 'tmp').mkdir(mode=0o700)
        self.mount_cache()
        self.assertEqual(
            0o700, (self.mount / 'tmp').stat().st_mode & 0o7777)

    def test_a_missing_tmp_is_made_for_everybody(self):
        self.mount_cache()
        self.assertEqual(
            0o1777, (self.mount / 'tmp').stat().st_mode & 0o7777)

    def test_points_pip_and_uv_at_the_cache_inside_the_image(self):
        self.mount_cache()
        self.enter_image()
        path = '%s/tmp/pip' % self.mount
        self.assertEqual({
            'PIP_CACHE_DIR': path + '/cache',
            'PIP_DOWNLOAD_CACHE': path,
            'UV_CACHE_DIR': path + '/uv',
            'UV_LINK_MODE': 'copy',
        }, self.found(PIP_NO_CACHE_DIR='1', UV_NO_CACHE='1',
                      PIP_CACHE_DIR='/home/ana/.cache/pip'))

    def test_keeps_no_cache_where_the_folder_is_not_mounted(self):
        self.enter_image()
        (self.mount / 'tmp/pip').mkdir()
        self.assertEqual(
            {'PIP_NO_CACHE_DIR': '1', 'UV_NO_CACHE': '1'},
            self.found(PIP_CACHE_DIR='/home/ana/.cache/pip',
                       UV_CACHE_DIR='/home/ana/.cache/uv'))

    def test_sets_nothing_outside_the_image(self):
        self.mount_cache()
        self.assertEqual({'PIP_NO_CACHE_DIR': '1'},
                         self.found(PIP_NO_CACHE_DIR='1'))

    def test_shows_the_lock_to_the_image_on_request(self):
        calls = self.mount_cache(DIB_PIP_CACHE_LOCK='1')
        self.assertIn('mount --bind %s/locks/pip-cache %s/tmp/pip-cache.lock'
                      % (self.root, self.mount), calls)

    def test_holds_the_lock_as_long_as_the_phase_runs(self):
        self.mount_cache(DIB_PIP_CACHE_LOCK='1')
        self.enter_image()
        lock = self.mount / 'tmp/pip-cache.lock'
        self.run_it(
            ['bash', '-c', ENVIRONMENT, 'run', 'bash', '-c',
             '! flock -n "$1" true', 'check', lock], DIB_PIP_CACHE_LOCK='1')
        self.run_it(['flock', '-n', lock, 'true'])

    def test_goes_on_without_the_cache_when_the_lock_stays_taken(self):
        self.mount_cache(DIB_PIP_CACHE_LOCK='1')
        self.enter_image()
        with open(self.mount / 'tmp/pip-cache.lock', 'rb') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = self.found(DIB_PIP_CACHE_LOCK='1',
                               DIB_PIP_CACHE_LOCK_SECONDS='0')
        self.assertEqual({'PIP_NO_CACHE_DIR': '1', 'UV_NO_CACHE': '1'}, found)

    def test_goes_on_without_the_cache_when_there_is_no_lock(self):
        self.mount_cache()
        self.enter_image()
        self.assertEqual({'PIP_NO_CACHE_DIR': '1', 'UV_NO_CACHE': '1'},
                         self.found(DIB_PIP_CACHE_LOCK='1'))

    @unittest.skipUnless(can_mount(), 'needs root and mount namespaces')
    def test_root_owns_the_folders_in_a_cache_of_another_user(self):
        (self.cache / 'pip').mkdir(parents=True)
        os.chown(self.cache / 'pip', 1000, 1000)
        sudo = self.root / 'bin/sudo'
        sudo.write_text('#!/bin/sh\nexec "$@"\n')
        self.run_it(
            ['unshare', '--mount', 'bash', '-c',
             '"$ELEMENT"/root.d/11-pip-cache;'
             ' touch "$TMP_MOUNT_PATH"/tmp/pip/cache/kept'],
            DIB_PIP_CACHE_LOCK='1')
        self.assertTrue((self.cache / 'pip/cache/kept').exists())
        self.assertEqual(1000, (self.cache / 'pip').stat().st_uid)
        for name in ('cache', 'uv'):
            self.assertEqual(0, (self.cache / 'pip' / name).stat().st_uid)
