"""pre-install.d/04 and post-install.d/00: the settings files."""

import configparser
import os
import unittest

from .image import Image

OFFICIAL = 'http://127.0.0.1:1/simple'


class ConfigureTest(unittest.TestCase):

    def setUp(self):
        self.image = Image()
        self.addCleanup(self.image.close)

    def settings(self, path='etc/pip.conf'):
        """Section [global] as pip reads it: {key: [words]}."""
        parser = configparser.RawConfigParser()
        parser.read_string((self.image.root / path).read_text())
        return {key: value.split() for key, value in parser.items('global')}

    def indexes(self):
        settings = self.settings()
        return settings['index-url'] + settings.get('extra-index-url', [])

    def test_uses_the_mounted_mirror_then_the_official_index(self):
        log = self.image.configure()
        self.assertEqual(['file:///tmp/pypi', OFFICIAL], self.indexes())
        self.assertIn('WARNING: no DIB_PYPI_MIRROR_URL', log)

    def test_official_index_is_the_present_one_by_default(self):
        text = self.image.run(
            ['bash', '-c', 'source "$ELEMENT"/pypi-mirror-lib/indexes.bash;'
             ' dib_pypi_indexes'], DIB_PYPI_OFFICIAL_URL='')
        self.assertEqual(
            ['file:///tmp/pypi', 'https://pypi.org/simple'], text.split())

    def test_any_value_of_offline_or_no_pypi_removes_the_official_index(self):
        for name in ('DIB_OFFLINE', 'DIB_NO_PYPI_PIP'):
            for value in ('1', '0'):
                with self.subTest(name=name, value=value):
                    log = self.image.configure(**{name: value})
                    self.assertEqual(['file:///tmp/pypi'], self.indexes())
                    self.assertIn('official index off', log)
        self.image.configure(DIB_OFFLINE='', DIB_NO_PYPI_PIP='')
        self.assertEqual(['file:///tmp/pypi', OFFICIAL], self.indexes())

    def test_sorts_mirrors_of_both_prefixes_as_strings(self):
        log = self.image.configure(
            DIB_NO_PYPI_PIP='1',
            PYPI_MIRROR_URL='file:///old', PYPI_MIRROR_URL_1='file:///old1',
            DIB_PYPI_MIRROR_URL_2='file:///2',
            DIB_PYPI_MIRROR_URL_10='file:///10',
            DIB_PYPI_MIRROR_URL_1='file:///1', DIB_PYPI_MIRROR_URL='file:///0')
        self.assertEqual(
            ['file:///0', 'file:///1', 'file:///10', 'file:///2',
             'file:///old', 'file:///old1'], self.indexes())
        self.assertIn('DEPRECATION WARNING', log)

    def test_accepts_only_numbered_mirrors_and_skips_empty_ones(self):
        log = self.image.configure(
            DIB_NO_PYPI_PIP='1', DIB_PYPI_MIRROR_URL='',
            DIB_PYPI_MIRROR_URL_1=' ', DIB_PYPI_MIRROR_URL_2='file:///two ',
            DIB_PYPI_MIRROR_URL_3='file:///two')
        self.assertEqual(['file:///two'], self.indexes())
        self.assertNotIn('no DIB_PYPI_MIRROR_URL', log)
        self.assertNotIn('DEPRECATION', log)

    def test_leaves_the_official_index_last_when_it_is_a_mirror_too(self):
        self.image.configure(DIB_PYPI_MIRROR_URL='file:///a',
                             DIB_PYPI_MIRROR_URL_1=OFFICIAL)
        self.assertEqual(['file:///a', OFFICIAL], self.indexes())

    def test_does_not_let_the_shell_expand_a_url(self):
        (self.image.root / 'x').mkdir()
        self.image.configure(DIB_NO_PYPI_PIP='1',
                             DIB_PYPI_MIRROR_URL='file:///a%20b$HOME',
                             DIB_PYPI_MIRROR_URL_1='*')
        self.assertEqual(['file:///a%20b$HOME', '*'], self.indexes())

    def test_trusts_exactly_the_plain_http_hosts(self):
        self.image.configure(
            DIB_NO_PYPI_PIP='1',
            DIB_PYPI_MIRROR_URL='http://ana:p%40ss@127.0.0.1:2/x/',
            DIB_PYPI_MIRROR_URL_1='https://127.0.0.2:1/',
            DIB_PYPI_MIRROR_URL_2='HTTP://[::1]:1/simple',
            DIB_PYPI_MIRROR_URL_3='file:///tmp/pypi',
            DIB_PYPI_MIRROR_URL_4='http://127.0.0.1:2/y/',
            DIB_PYPI_MIRROR_URL_5='http://127.0.0.3')
        self.assertEqual(['127.0.0.1:2', '[::1]:1', '127.0.0.3'],
                         self.settings()['trusted-host'])
        self.image.configure(DIB_NO_PYPI_PIP='1')
        self.assertNotIn('trusted-host', self.settings())

    def test_writes_retries_when_they_are_a_number(self):
        (self.image.root / 'tmp/pypi').mkdir()
        self.image.configure(DIB_PIP_RETRIES='0')
        self.assertEqual(['0'], self.settings()['retries'])
        for value in ('', 'many'):
            log = self.image.configure(DIB_PIP_RETRIES=value)
            self.assertNotIn('retries', self.settings())
            self.assertEqual(bool(value), 'DIB_PIP_RETRIES is not' in log)

    def test_writes_no_log_file_setting_and_no_distutils_file(self):
        distutils = self.image.home / '.pydistutils.cfg'
        distutils.write_text('[install]\nprefix=/opt\n')
        self.image.configure()
        self.assertNotIn('log', self.settings())
        self.assertEqual('[install]\nprefix=/opt\n', distutils.read_text())

    def test_gives_easy_install_the_last_mirror_on_request(self):
        distutils = self.image.home / '.pydistutils.cfg'
        distutils.write_text('[install]\nprefix=/opt\n')
        self.image.configure(DIB_PYPI_DISTUTILS='1',
                             DIB_PYPI_MIRROR_URL='file:///a',
                             DIB_PYPI_MIRROR_URL_1='file:///b')
        parser = configparser.RawConfigParser()
        parser.read_string(distutils.read_text())
        self.assertEqual('file:///b', parser.get('easy_install', 'index_url'))
        self.image.unconfigure()
        self.assertEqual('[install]\nprefix=/opt\n', distutils.read_text())

    def test_covers_all_users_and_root(self):
        self.image.configure()
        for path in ('etc/pip.conf', 'root/.pip/pip.conf'):
            self.assertEqual(['file:///tmp/pypi'],
                             self.settings(path)['index-url'])
            mode = (self.image.root / path).stat().st_mode
            self.assertEqual(0o644, mode & 0o777)

    def test_shadows_files_that_pip_would_prefer(self):
        (self.image.root / 'etc/passwd').write_text(
            'root:x:0:0::/root:/bin/bash\nnone:x:1:1::/:/bin/false\n'
            'ana:x:1000:1000:Ana:/home/ana:/bin/bash\n')
        paths = ('root/.config/pip/pip.conf', 'etc/xdg/pip/pip.conf',
                 'home/ana/.config/pip/pip.conf', 'home/ana/.pip/pip.conf',
                 'somewhere/pip/pip.conf')
        for path in paths:
            file = self.image.root / path
            file.parent.mkdir(parents=True)
            file.write_text('[global]\nindex-url = http://elsewhere/\n')
        before = self.image.tree()
        self.image.configure(XDG_CONFIG_HOME='/somewhere')
        for path in paths:
            self.assertEqual(['file:///tmp/pypi'],
                             self.settings(path)['index-url'], path)
        self.image.unconfigure(XDG_CONFIG_HOME='/somewhere')
        self.assertEqual(before, self.image.tree())

    def test_makes_no_user_file_where_there_was_none(self):
        self.image.configure()
        self.assertFalse((self.image.home / '.config').exists())


class RestoreTest(unittest.TestCase):

    def setUp(self):
        self.image = Image()
        self.addCleanup(self.image.close)
        self.pip_conf = self.image.root / 'etc/pip.conf'
        self.root_conf = self.image.home / '.pip/pip.conf'

    def test_leaves_nothing_behind(self):
        before = self.image.tree()
        self.image.configure(DIB_PYPI_DISTUTILS='1')
        self.assertNotEqual(before, self.image.tree())
        self.image.unconfigure()
        self.assertEqual(before, self.image.tree())

    def test_restores_bytes_modes_owners_and_links(self):
        self.root_conf.parent.mkdir(mode=0o700)
        self.root_conf.write_bytes(b'[global]\r\nindex-url=x\xff\n\n')
        self.root_conf.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(self.root_conf, 1234, 4321)
        self.pip_conf.symlink_to('/opt/pip.conf')
        before = self.image.tree()
        inode = self.root_conf.stat().st_ino
        self.image.configure()
        self.image.unconfigure()
        self.assertEqual(before, self.image.tree())
        self.assertEqual(inode, self.root_conf.stat().st_ino)

    def test_keeps_an_empty_folder_that_the_image_had(self):
        self.root_conf.parent.mkdir()
        before = self.image.tree()
        self.image.configure()
        self.image.unconfigure()
        self.assertEqual(before, self.image.tree())

    def test_a_second_run_does_not_overwrite_the_saved_original(self):
        self.root_conf.parent.mkdir()
        self.root_conf.write_text('mine')
        self.pip_conf.write_text('global')
        before = self.image.tree()
        self.image.configure()
        self.image.configure(DIB_PYPI_MIRROR_URL='file:///other')
        self.image.unconfigure()
        self.assertEqual(before, self.image.tree())

    def test_a_run_that_died_after_saving_is_made_good(self):
        self.pip_conf.write_text('global')
        before = self.image.tree()
        self.image.configure()
        self.pip_conf.unlink()
        self.image.configure()
        self.image.unconfigure()
        self.assertEqual(before, self.image.tree())

    def test_leaves_a_file_named_orig_alone(self):
        self.pip_conf.write_text('global')
        (self.image.root / 'etc/pip.conf.orig').write_text('older')
        before = self.image.tree()
        self.image.configure()
        self.image.unconfigure()
        self.assertEqual(before, self.image.tree())

    def test_saves_an_original_that_names_the_same_mirror(self):
        self.pip_conf.write_text('[global]\nindex-url = file:///tmp/pypi\n')
        before = self.image.tree()
        self.image.configure()
        self.image.unconfigure()
        self.assertEqual(before, self.image.tree())

    def test_recognises_our_file_after_pip_config_rewrote_it(self):
        self.pip_conf.write_text('global')
        before = self.image.tree()
        self.image.configure()
        parser = configparser.RawConfigParser()
        parser.read_string(self.pip_conf.read_text())
        parser.set('global', 'timeout', '60')
        with self.pip_conf.open('w') as output:
            parser.write(output)
        self.image.unconfigure()
        self.assertEqual(before, self.image.tree())

    def test_keeps_a_file_that_another_hook_put_in_place_of_ours(self):
        self.pip_conf.write_text('old')
        self.image.configure()
        self.pip_conf.write_text('for the image')
        log = self.image.unconfigure()
        self.assertEqual('for the image', self.pip_conf.read_text())
        self.assertIn('/etc/pip.conf was replaced', log)
        self.assertEqual(['pip.conf'],
                         sorted(os.listdir(self.image.root / 'etc')))

    def test_keeps_a_folder_that_others_have_used(self):
        self.image.configure()
        (self.image.home / '.pip/notes').write_text('x')
        self.image.unconfigure()
        self.assertEqual(['notes'], os.listdir(self.image.home / '.pip'))

    def test_does_nothing_when_nothing_was_configured(self):
        self.pip_conf.write_text('global')
        before = self.image.tree()
        self.image.unconfigure()
        self.assertEqual(before, self.image.tree())
