"""The line about reachability, and secrecy of the log."""

import re
import shutil
import unittest

from .image import Image
from .image import Index


class ProbeTest(unittest.TestCase):

    def setUp(self):
        self.image = Image()
        self.addCleanup(self.image.close)

    def index(self, status=200):
        index = Index(status)
        self.addCleanup(index.close)
        return index

    def line(self, log):
        lines = [line for line in log.splitlines() if line.startswith('pypi:')]
        self.assertEqual(1, len(lines), log)
        return lines[0]

    def check_answers(self):
        index = self.index()
        missing = self.index(404)
        log = self.image.configure(
            DIB_PYPI_MIRROR_URL='http://ana:s3cret@127.0.0.1:%d/simple/'
            % index.port,
            DIB_PYPI_MIRROR_URL_1='http://127.0.0.1:%d' % missing.port,
            DIB_OFFLINE='1')
        self.assertRegex(
            self.line(log),
            r'^pypi: http://\*\*\*@127\.0\.0\.1:%d/simple/ answers'
            r' \(200, \d+ ms\);'
            r' http://127\.0\.0\.1:%d answers \(404, \d+ ms\);'
            r' offline: official index off$' % (index.port, missing.port))
        self.assertEqual([('/simple/pip/', None)], index.requests)
        self.assertEqual([('/pip/', None)], missing.requests)

    def test_tells_which_index_answers_with_bash_alone(self):
        self.check_answers()

    @unittest.skipUnless(shutil.which('curl'), 'curl is not installed')
    def test_tells_which_index_answers_with_curl(self):
        self.image.add_commands('curl')
        self.check_answers()

    def test_says_once_that_no_index_answers_and_stops_retrying(self):
        failing = self.index(503)
        log = self.image.configure(
            DIB_PYPI_MIRROR_URL='http://127.0.0.1:%d/' % failing.port)
        self.assertIn('fails (503', self.line(log))
        self.assertIn('does not answer', self.line(log))
        self.assertEqual(1, log.count('no index answers'))
        text = (self.image.root / 'etc/pip.conf').read_text()
        self.assertIn('retries = 0\n', text)
        self.assertIn('timeout = 5\n', text)

    def test_one_answer_is_enough_to_leave_retries_alone(self):
        (self.image.root / 'tmp/pypi').mkdir()
        log = self.image.configure()
        self.assertRegex(
            self.line(log), r'file:///tmp/pypi answers \(folder, \d+ ms\)')
        self.assertNotIn('no index answers', log)
        self.assertNotIn(
            'retries', (self.image.root / 'etc/pip.conf').read_text())

    def test_does_not_judge_what_lies_behind_a_proxy(self):
        log = self.image.configure(
            DIB_PYPI_MIRROR_URL='http://mirror.invalid/',
            http_proxy='http://127.0.0.1:1')
        self.assertIn('http://mirror.invalid/ not probed', self.line(log))
        self.assertNotIn('WARNING', log)

    def test_warns_about_a_name_that_the_image_does_not_know(self):
        log = self.image.configure(
            DIB_NO_PYPI_PIP='1',
            DIB_PYPI_MIRROR_URL='http://ana:s3cret@mirror.invalid:3141/')
        self.assertIn('WARNING: pypi: the host of http://***@mirror.invalid:'
                      '3141/ has no address inside the image', log)

    def test_shows_no_password_even_when_hooks_are_traced(self):
        log = self.image.configure(
            DIB_DEBUG_TRACE='2', DIB_PYPI_DISTUTILS='1',
            DIB_PYPI_MIRROR_URL='http://ana:s3cret@127.0.0.1:1/')
        log += self.image.unconfigure(
            DIB_DEBUG_TRACE='2',
            DIB_PYPI_MIRROR_URL='http://ana:s3cret@127.0.0.1:1/')
        self.assertNotIn('s3cret', log)
        self.assertIsNone(re.search(r'\bana\b', log))
