"""Hooks that run on the build host: the mount and the clean-up."""

import os
import pathlib
import shutil
import subprocess
import unittest

from .image import ELEMENT
from .image import Image

# sudo is not needed by root, and may not be there.
AS_ROOT = """
set -e
mkdir "$1/bin"
printf '#!/bin/sh\\nexec "$@"\\n' > "$1/bin/sudo"
chmod 755 "$1/bin/sudo"
PATH=$1/bin:$PATH "$2"
cat "$TMP_MOUNT_PATH/tmp/pypi/index.html"
! touch "$TMP_MOUNT_PATH/tmp/pypi/new" 2> /dev/null
touch "$DIB_IMAGE_CACHE/pypi/mirror/new"
"""


def can_mount():
    if os.geteuid() != 0 or not shutil.which('unshare'):
        return False
    return subprocess.run(['unshare', '--mount', 'true'],
                          stderr=subprocess.DEVNULL).returncode == 0


class MountTest(unittest.TestCase):

    def setUp(self):
        self.image = Image()
        self.addCleanup(self.image.close)
        self.image.add_sudo()
        # Spaces, since a cache folder may have them.
        self.cache = self.image.root / 'image cache'
        self.env = {'DIB_IMAGE_CACHE': str(self.cache),
                    'TMP_MOUNT_PATH': str(self.image.root / 'mnt')}
        self.hook = ELEMENT / 'extra-data.d/00-mount-pypi-mirror'

    def test_does_nothing_without_a_mirror_folder(self):
        self.cache.mkdir()
        self.image.run([self.hook], **self.env)
        self.assertEqual([], self.image.sudo_calls())

    def test_asks_for_a_read_only_bind_mount(self):
        (self.cache / 'pypi/mirror').mkdir(parents=True)
        self.image.run([self.hook], **self.env)
        target = self.image.root / 'mnt/tmp/pypi'
        self.assertEqual([
            'mkdir -p %s' % target,
            'mount --bind %s/pypi/mirror %s' % (self.cache, target),
            'mount -o remount,ro,bind %s/pypi/mirror %s' % (
                self.cache, target),
        ], self.image.sudo_calls())

    @unittest.skipUnless(can_mount(), 'needs root and mount namespaces')
    def test_the_image_can_read_the_mirror_and_not_write_it(self):
        mirror = self.cache / 'pypi/mirror'
        mirror.mkdir(parents=True)
        (mirror / 'index.html').write_text('held')
        done = subprocess.run(
            ['unshare', '--mount', 'bash', '-c', AS_ROOT, 'test',
             str(self.image.root), str(self.hook)],
            env={**os.environ, **self.env}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        self.assertEqual((0, 'held'), (done.returncode, done.stdout))
        self.assertTrue((mirror / 'new').exists())


class CleanUpTest(unittest.TestCase):

    def setUp(self):
        self.image = Image()
        self.addCleanup(self.image.close)
        self.image.add_sudo()
        self.inside = self.image.root / 'mnt/etc/dib-manifests'
        self.beside = self.image.root / 'out.d/dib-manifests'

    def clean_up(self, **env):
        return self.image.hook('cleanup.d/02-redact-pypi-mirror',
                               TARGET_ROOT=str(self.image.root / 'mnt'), **env)

    def test_takes_passwords_out_of_both_copies_of_the_manifests(self):
        for folder in (self.inside, self.beside):
            folder.mkdir(parents=True)
            file = folder / 'dib_environment'
            file.write_text(
                'A="http://ana:s3cret@h:1/x@y"\nB="https://h/a@b"\n')
            file.chmod(0o600)
        self.clean_up(DIB_MANIFEST_IMAGE_DIR='/etc/dib-manifests',
                      DIB_MANIFEST_SAVE_DIR='out.d/', DIB_DEBUG_TRACE='1')
        for folder in (self.inside, self.beside):
            file = folder / 'dib_environment'
            self.assertEqual('A="http://***@h:1/x@y"\nB="https://h/a@b"\n',
                             file.read_text())
            self.assertEqual(0o600, file.stat().st_mode & 0o777)

    def test_is_content_without_manifests(self):
        self.clean_up()
        self.clean_up(DIB_MANIFEST_SAVE_DIR='out.d/')

    def test_runs_after_the_hook_that_writes_manifests(self):
        names = sorted(['01-copy-manifests-dir', *os.listdir(
            pathlib.Path(ELEMENT) / 'cleanup.d')])
        self.assertEqual('01-copy-manifests-dir', names[0])
