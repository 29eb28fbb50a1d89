"""Consents of users whose maildrops are on another server: asked for, kept for the process that
spends them, refreshed by it. The provider is tests/stand_ins/oauth.py."""
import os
import pathlib
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile

import office as post
import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / 'stand_ins')]

pytest.importorskip('cryptography', reason='python3-cryptography is not installed')

import oauth  # noqa: E402

CONFIG, NOUSER, NOPERM, TEMPFAIL, DATAERR = 78, 67, 77, 75, 65
DAY = 86400


class Site:
    def __init__(self, office, provider, folder):
        self.office, self.provider, self.folder = office, provider, folder
        self.grants = folder / 'grants'
        self.temporary = folder / 'tmp'
        self.temporary.mkdir()

    def remote(self, command, *arguments, **more):
        environment = {**os.environ, 'SSL_CERT_FILE': str(self.provider.certificate[0]),
                       'TMPDIR': str(self.temporary)}
        return subprocess.run([post.program('valija'), 'remote', command, '-c', self.office.conf,
                               *arguments], text=True, capture_output=True, timeout=60, check=False,
                              env=environment, **more)

    def grant(self, user='anna'):
        return self.grants / f'{user}.grant'

    def age(self, user='anna', **fields):
        """Changes lines of a grant, as time or a provider would."""
        lines = self.grant(user).read_text().splitlines()
        for n, line in enumerate(lines):
            name = line.split(' ')[0]
            if name in fields:
                lines[n] = f'{name} {fields[name]}'
        self.grant(user).write_text('\n'.join(lines) + '\n')

    def refreshes(self):
        return [form for form in self.provider.asked('/token')
                if form.get('grant_type') == 'refresh_token']


@pytest.fixture
def site(make_office):
    if not post.program('valija-lookup-oauth').exists():
        pytest.skip('valija-lookup-oauth is not built')
    folder = pathlib.Path(tempfile.mkdtemp(prefix='valija-grants-'))
    folder.chmod(0o755)
    certificate = oauth.make_certificate(folder)
    with oauth.OAuth(certificate) as provider:
        provider.certificate = certificate
        office = make_office(start=False)
        with office.conf.open('a') as file:
            file.write(f'''
database "tokens" {{
\tdriver = "oauth"
\ttoken_url = "{provider.url}/token"
\tdevice_url = "{provider.url}/device"
\trequest_scope = "mail offline"
\tclient_id = "{oauth.CLIENT}"
\tca_file = "{certificate[0]}"
\tgrants = "{folder}/grants"
\ttimeout = "5s"
}}
''')
        yield Site(office, provider, folder)
    shutil.rmtree(folder)


def good(site, user='anna'):
    done = site.remote('check', user)
    assert done.returncode == 0 and 'good access token' in done.stdout, done.stderr


def consent(site, user='anna'):
    done = site.remote('login', user)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_consent_is_given_kept_and_spent(site):
    done = consent(site, 'Anna')
    assert 'WDJB-MJHT' in done.stdout
    kept = site.grant().stat()
    assert stat.S_IMODE(kept.st_mode) == 0o600
    assert stat.S_IMODE(site.grants.stat().st_mode) == 0o700
    if os.geteuid() == 0:
        assert pwd.getpwuid(kept.st_uid).pw_name == 'valija-lookup'
    good(site)
    assert site.refreshes() == [], 'the first access token is good for an hour'
    listed = site.remote('grants').stdout
    assert listed.startswith('anna  consent 2') and 'access' not in listed
    assert os.listdir(site.temporary) == []


def test_a_token_that_ends_is_refreshed_and_kept(site):
    consent(site)
    first = site.grant().read_text()
    site.age(expires=1)
    good(site)
    second = site.grant().read_text()
    assert len(site.refreshes()) == 1 and first != second
    assert f'previous {first.split("refresh ")[1].split()[0]}' in second, 'it rotates'
    good(site)
    assert len(site.refreshes()) == 1


def test_without_consent(site):
    done = site.remote('check', 'anna')
    assert done.returncode == NOUSER and 'valija remote login anna' in done.stderr
    consent(site)
    assert site.remote('forget', 'anna').returncode == 0
    assert site.remote('check', 'anna').returncode == NOUSER
    assert site.remote('forget', 'anna').returncode == 0


def test_consent_that_ended(site):
    consent(site)
    site.provider.end_grants()
    site.age(expires=1)
    done = site.remote('check', 'anna')
    assert done.returncode == NOPERM
    assert 'anna has to consent again: valija remote login anna' in done.stderr


@pytest.mark.parametrize('fault', ['html', 'empty', 'drop', 'cut', 'long', 'redirect', 500, 429])
def test_a_provider_in_trouble(site, fault):
    consent(site)
    before = site.grant().read_text()
    site.age(expires=1)
    site.provider.faults = [fault] * 2  # a dropped connection is tried once more
    done = site.remote('check', 'anna')
    assert done.returncode == TEMPFAIL and 'token_url' in done.stderr
    site.provider.faults = []
    assert site.grant().read_text().split('refresh ')[1] == before.split('refresh ')[1]
    good(site)


def test_a_grant_from_elsewhere(site):
    consent(site)
    text = site.grant().read_text()
    site.remote('forget', 'anna')
    assert site.remote('grant', 'berta', input=text).returncode == 0
    good(site, 'berta')
    for bad in ('', 'x', text[:-4], text.replace('valija-grant 1', 'valija-grant 2')):
        done = site.remote('grant', 'carla', input=bad)
        assert done.returncode == DATAERR and 'no grant' in done.stderr
    assert not site.grant('carla').exists()


@pytest.mark.parametrize('name', ['../anna', '.anna', '', 'a/b'])
def test_names_that_are_none(site, name):
    assert site.remote('grant', '--', name, input='').returncode != 0
    assert not site.grants.exists() or os.listdir(site.grants) == []


def test_a_folder_that_others_may_enter(site):
    consent(site)
    site.grants.chmod(0o750)
    for command in ('check', 'login', 'forget'):
        done = site.remote(command, 'anna')
        assert done.returncode != 0 and 'chmod 700' in done.stderr
    site.grants.chmod(0o700)
    good(site)


def test_no_database_has_grants(site):
    text = site.office.conf.read_text()
    site.office.conf.write_text(text.replace('token_url', '# token_url'))
    done = site.remote('grants')
    assert done.returncode == CONFIG and 'token_url' in done.stderr


def test_grants_alone_offer_no_token_logins(site, make_office, connect):
    consent(site)
    site.office.start()
    client = connect(site.office)
    sasl = [line for line in client.lines('CAPA') if line.startswith('SASL')]
    assert 'BEARER' not in ''.join(sasl) and 'XOAUTH2' not in ''.join(sasl)
    client.login('demo', post.PASSWORD)
    client.quit()


def test_many_at_once_refresh_once(site):
    """Providers that rotate take two uses of one refresh token for a theft."""
    consent(site)
    site.age(expires=1)
    at_once = [subprocess.Popen([post.program('valija'), 'remote', 'check', '-c', site.office.conf,
                                 'anna'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for _ in range(5)]
    assert [process.wait(60) for process in at_once] == [0] * 5
    for process in at_once:
        process.communicate()
    assert len(site.refreshes()) == 1


def test_no_place_for_the_next_token(site):
    """Nothing is spent that could not be kept."""
    consent(site)
    site.age(expires=1)
    obstacle = site.grants / 'anna.grant.new'
    obstacle.mkdir()
    done = site.remote('check', 'anna')
    assert done.returncode == TEMPFAIL and 'anna.grant.new' in done.stderr
    assert site.refreshes() == []
    obstacle.rmdir()
    obstacle.write_text('left by a process that was killed')
    good(site)


def test_a_broken_grant(site):
    consent(site)
    whole = site.grant().read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        site.grant().write_bytes(whole[:size])
        done = site.remote('check', 'anna')
        assert done.returncode == (NOUSER if size == 0 else TEMPFAIL)
    site.grant().write_bytes(whole)
    good(site)
