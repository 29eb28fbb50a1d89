"""`valija user app` and `user del`, killed at every system call: the file of app passwords is the
old one or the new one, whole; nobody keeps what was revoked, or loses what another changed."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get('VALIJA_BUILD', 'build-test')
TOOL = BUILD / 'tests/crash/fetch_kill_at'

pytestmark = pytest.mark.skipif(not TOOL.exists(),
                                reason='the programs of the crash tests are not built')
ENVIRONMENT = {**os.environ, 'ASAN_OPTIONS': 'detect_leaks=0'}


class Site:
    def __init__(self, folder):
        self.conf = folder / 'valija.conf'
        self.users, self.apps = folder / 'users', folder / 'app-passwords'
        (folder / 'mail').mkdir()
        self.conf.write_text(f'mail = "{folder}/mail"\nusers = "{self.users}"\n'
                             'pop3 { listen = "127.0.0.1:1110" }\n')
        self.folder = folder
        self.users.write_text('anna:{PLAIN}a\nbert:{PLAIN}b\n')
        for name in ('anna', 'bert'):
            self.run('app', 'add', name, '--label', 'phone')
        self.before = {path: path.read_bytes() for path in (self.users, self.apps)}

    def reset(self):
        for path in self.folder.glob('*s.??????'):  # what a killed one left beside them
            path.unlink()
        for path, octets in self.before.items():
            path.write_bytes(octets)

    def command(self, *args):
        return [str(BUILD / 'valija'), 'user', *args, '-c', str(self.conf)]

    def run(self, *args):
        done = subprocess.run(self.command(*args), env=ENVIRONMENT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def labels(self, name):
        return re.findall(r'^(\S+) created=', self.run('app', 'list', name), re.M)

    def killed(self, n, *args):
        done = subprocess.run([str(TOOL), '-l', str(n), *self.command(*args)], env=ENVIRONMENT,
                              capture_output=True, text=True)
        if done.returncode == 2:
            pytest.skip(f'processes cannot be traced here: {done.stderr}')
        return done.stdout


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.mark.parametrize('args, before, after', [
    (('app', 'add', 'anna', '--label', 'tablet'), ['phone'], ['phone', 'tablet']),
    (('app', 'revoke', 'anna', '--all'), ['phone'], []),
    (('del', 'anna'), ['phone'], []),
])
def test_killed_at_every_system_call(site, args, before, after):
    # from the lock of the users file on
    total = int(re.search(r'CALLS (\d+)', site.killed(0, *args))[1])
    assert site.labels('anna') == after and site.labels('bert') == ['phone']
    seen = set()
    for n in range(1, total + 1):
        site.reset()
        site.killed(n, *args)
        labels = site.labels('anna')
        assert labels in (before, after), n
        assert site.labels('bert') == ['phone'], n
        if args[0] == 'del' and 'anna' not in site.users.read_text():
            assert labels == [], f'{n}: a user of this name would inherit an app password'
        seen.add(tuple(labels))
        # the next change goes through, whatever was left
        site.run('app', 'add', 'bert', '--label', 'after')
        assert site.labels('bert') == ['phone', 'after'], n
    assert seen == {tuple(before), tuple(after)}
