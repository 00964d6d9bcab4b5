"""environment.d: what hooks find, inside the image and outside."""

import unittest

from .image import Image

OFFICIAL = 'http://127.0.0.1:1/simple'
CALLER = {
    'PIP_INDEX_URL': 'http://caller/',
    'PIP_EXTRA_INDEX_URL': 'http://caller2/',
    'PIP_TRUSTED_HOST': 'caller', 'PIP_NO_INDEX': '1',
    'PIP_FIND_LINKS': '/caller', 'PIP_CONFIG_FILE': '/caller/pip.conf',
    'UV_INDEX_URL': 'http://caller/', 'UV_DEFAULT_INDEX': 'http://caller/',
}
MIRRORS = {
    'DIB_PYPI_MIRROR_URL': 'http://127.0.0.1:2/a',
    'DIB_PYPI_MIRROR_URL_1': 'file:///tmp/pypi/Debian-12',
    'DIB_PYPI_MIRROR_URL_2': 'file:///tmp/pypi',
}


def of_installers(environment):
    return {name: value for name, value in environment.items()
            if name.startswith(('PIP_', 'UV_'))}


class InsideTest(unittest.TestCase):

    def setUp(self):
        self.image = Image()
        self.addCleanup(self.image.close)

    def found(self, phase='install.d', **env):
        return of_installers(self.image.environment(phase, **env))

    def test_replaces_the_callers_indexes_by_the_mirrors(self):
        self.assertEqual({
            'UV_DEFAULT_INDEX': OFFICIAL,
            'UV_INDEX': 'http://127.0.0.1:2/a file:///tmp/pypi/Debian-12'
                        ' file:///tmp/pypi',
            'UV_INDEX_STRATEGY': 'unsafe-best-match',
        }, self.found(**CALLER, **MIRRORS))

    def test_keeps_other_settings_of_the_caller(self):
        (self.image.root / 'ca.pem').touch()
        found = self.found(PIP_CERT='/ca.pem', PIP_RETRIES='9')
        self.assertEqual(('/ca.pem', '9'),
                         (found['PIP_CERT'], found['PIP_RETRIES']))

    def test_drops_certificate_files_that_the_image_lacks(self):
        found = self.image.environment(
            'install.d', PIP_CERT='/host.pem', REQUESTS_CA_BUNDLE='/host.pem',
            SSL_CERT_FILE='/host.pem', SSL_CERT_DIR='/etc')
        self.assertEqual({'SSL_CERT_DIR'}, {
            'PIP_CERT', 'REQUESTS_CA_BUNDLE', 'SSL_CERT_FILE', 'SSL_CERT_DIR',
        } & set(found))

    def test_has_uv_ask_the_image_for_certificates_of_an_https_mirror(self):
        found = self.found(DIB_PYPI_MIRROR_URL='https://mirror/')
        self.assertEqual('1', found['UV_SYSTEM_CERTS'])
        found = self.found(DIB_PYPI_MIRROR_URL='http://mirror/',
                           DIB_PYPI_OFFICIAL_URL='https://127.0.0.1:1/')
        self.assertNotIn('UV_SYSTEM_CERTS', found)

    def test_leads_loopback_mirrors_past_a_proxy(self):
        mirrors = {'DIB_PYPI_MIRROR_URL_1': 'http://127.0.0.1:3141/',
                   'DIB_PYPI_MIRROR_URL_2': 'http://[::1]:3141/simple/',
                   'DIB_PYPI_MIRROR_URL_3': 'http://mirror:3141/'}
        found = self.image.environment(
            'install.d', http_proxy='http://proxy/', NO_PROXY='intra, a',
            **mirrors)
        self.assertEqual('intra, a,127.0.0.1,::1', found['no_proxy'])
        self.assertEqual(found['no_proxy'], found['NO_PROXY'])
        found = self.image.environment('install.d', **mirrors)
        self.assertNotIn('no_proxy', found)

    def test_keeps_the_callers_indexes_on_request(self):
        found = self.found(DIB_PYPI_KEEP_ENV='1', **CALLER)
        self.assertEqual(CALLER, found)

    def test_gives_a_single_index_to_uv_as_its_default(self):
        self.assertEqual(
            {'UV_DEFAULT_INDEX': 'file:///only',
             'UV_INDEX_STRATEGY': 'unsafe-best-match'},
            self.found(DIB_PYPI_MIRROR_URL='file:///only', DIB_OFFLINE='1'))

    def test_sees_mirrors_that_other_elements_export(self):
        found = self.found(
            DIB_OFFLINE='1',
            OTHER_ELEMENT='export DIB_PYPI_MIRROR_URL=file:///theirs')
        self.assertEqual('file:///theirs', found['UV_DEFAULT_INDEX'])

    def test_leaves_what_other_elements_chose(self):
        found = self.found(
            'post-install.d',
            OTHER_ELEMENT='export UV_DEFAULT_INDEX=u PIP_INDEX_URL=p',
            **CALLER)
        self.assertEqual({'UV_DEFAULT_INDEX': 'u', 'PIP_INDEX_URL': 'p'},
                         found)

    def test_hands_retries_to_uv_and_lets_them_win(self):
        found = self.found(DIB_PIP_RETRIES='0', PIP_RETRIES='9')
        self.assertEqual('0', found['UV_HTTP_RETRIES'])
        self.assertNotIn('PIP_RETRIES', found)
        self.assertNotIn('UV_HTTP_RETRIES', self.found(DIB_PIP_RETRIES=''))

    def test_pip_keeps_the_mirrors_after_its_settings_were_restored(self):
        found = self.found('post-install.d', DIB_PIP_RETRIES='2',
                           **CALLER, **MIRRORS)
        self.assertEqual('http://127.0.0.1:2/a', found['PIP_INDEX_URL'])
        self.assertEqual(
            'file:///tmp/pypi/Debian-12 file:///tmp/pypi ' + OFFICIAL,
            found['PIP_EXTRA_INDEX_URL'])
        self.assertEqual('127.0.0.1:2 127.0.0.1:1', found['PIP_TRUSTED_HOST'])
        self.assertEqual('2', found['PIP_RETRIES'])
        for name in ('PIP_NO_INDEX', 'PIP_FIND_LINKS', 'PIP_CONFIG_FILE'):
            self.assertNotIn(name, found)

    def test_drops_the_mounted_mirror_in_finalise(self):
        found = self.found('finalise.d', **MIRRORS)
        self.assertEqual(OFFICIAL, found['UV_DEFAULT_INDEX'])
        self.assertEqual('http://127.0.0.1:2/a', found['UV_INDEX'])
        self.assertEqual(OFFICIAL, found['PIP_EXTRA_INDEX_URL'])

    def test_uses_no_index_in_finalise_when_none_is_left(self):
        self.assertEqual(
            {'UV_DEFAULT_INDEX': 'file:///nonexistent', 'PIP_NO_INDEX': '1'},
            self.found('finalise.d', DIB_OFFLINE='1'))

    def test_leaves_no_variables_or_functions_of_its_own(self):
        text = self.image.run_in_phase(
            'install.d', ['bash', '-c', 'compgen -e'], **MIRRORS)
        self.assertNotIn('\n_dib_pypi', text)

    def test_shows_no_password_although_tracing_is_forced_on(self):
        for phase in ('install.d', 'post-install.d', 'finalise.d'):
            text = self.image.run_in_phase(
                phase, ['bash', '-c', 'echo done'],
                DIB_PYPI_MIRROR_URL='http://ana:s3cret@127.0.0.1:2/')
            self.assertIn('done', text)
            self.assertNotIn('s3cret', text)
            self.assertNotIn('ana:', text)


class OutsideTest(unittest.TestCase):

    def setUp(self):
        self.image = Image()
        self.addCleanup(self.image.close)
        (self.image.root / 'tmp/in_target.d').rmdir()

    def test_leaves_the_callers_settings_alone(self):
        found = self.image.environment('root.d', **CALLER, **MIRRORS)
        self.assertEqual(CALLER, of_installers(found))

    def test_takes_passwords_out_of_what_manifests_will_store(self):
        text = ('declare -x DIB_PYPI_MIRROR_URL="http://ana:p@ss@h:1/a@b"\n'
                'declare -x DIB_X="HTTPS://token@h/?x=a@b ssh://git@h/"')
        log = self.image.run_in_phase(
            'cleanup.d', ['bash', '-c', 'echo "$DIB_ENV"'], DIB_ENV=text)
        self.assertIn('DIB_PYPI_MIRROR_URL="http://***@h:1/a@b"\n', log)
        self.assertIn('"HTTPS://***@h/?x=a@b ssh://git@h/"', log)
        self.assertNotIn('p@ss', log)
        self.assertNotIn('token', log)


if __name__ == '__main__':
    unittest.main()
