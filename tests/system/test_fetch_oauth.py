"""Accounts with tokens: consent by device code, by a browser, by a pasted address; refresh; what a
person reads when something is wrong. Against tests/stand_ins/oauth.py."""
import http.client
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from fetching import CONFIG, NOPERM, TEMPFAIL, TOKEN, UNAVAILABLE, USAGE  # noqa: E402
from oauth_fixtures import account, provider  # noqa: E402,F401

CONSENT = 'consent needed: valija fetch login work'
DAY = 86400


def get(address):
    """A browser's visit of an address of 127.0.0.1: status and page."""
    parts = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection('127.0.0.1', parts.port, timeout=20)
    connection.request('GET', f'{parts.path}?{parts.query}')
    answer = connection.getresponse()
    return answer.status, answer.read()


# by device code

def test_by_device_code_then_collected(account, provider):
    provider.device = ['authorization_pending', 'authorization_pending']
    done = account.login()
    assert 'WDJB-MJHT' in done.stdout and '/enter' in done.stdout
    assert oct(account.grant.stat().st_mode & 0o777) == '0o600'
    account.fetch()
    assert len(account.fetcher.files()) == 5
    assert len(provider.asked('/token')) == 3 and account.refreshes() == []
    assert 'client_secret' not in provider.asked('/token')[0], 'a public client has none'


def test_slow_down_is_heeded(account, provider):
    provider.device = ['slow_down']
    account.login()
    times = [when for path, _, when in provider.requests if path == '/token']
    assert times[1] - times[0] >= 5.5, 'the interval of one second grows by five'


@pytest.mark.parametrize('answer, status, word', [
    ('expired_token', UNAVAILABLE, 'in time'),
    ('access_denied', NOPERM, 'refused'),
    ('invalid_client', CONFIG, 'client id'),
    ('AADSTS53003', UNAVAILABLE, '--flow browser'),
])
def test_a_device_code_that_comes_to_nothing(account, provider, answer, status, word):
    provider.device = [answer]
    done = account.login(expect=status)
    assert word in done.stderr and not account.grants()


@pytest.mark.parametrize('fault', ['html', 'drop', 'cut', 'empty', 503, 429])
def test_trouble_while_waiting_is_no_answer(account, provider, fault):
    provider.device = [fault]
    account.login()
    account.fetch()
    assert len(account.fetcher.files()) == 5


def test_a_code_that_is_not_entered_in_time(account, provider):
    provider.device_seconds = 2
    provider.device = ['authorization_pending'] * 9
    done = account.login(expect=UNAVAILABLE)
    assert 'in time' in done.stderr


@pytest.mark.parametrize('fault', ['html', 'drop', 'cut', 'empty', 'long', 500, 'redirect'])
def test_a_device_endpoint_in_trouble(account, provider, fault):
    provider.faults = [fault]
    done = account.login(expect=None)
    assert done.returncode in (TEMPFAIL, 76) and '/device' in done.stderr


# by a browser

def test_by_a_browser(account, provider):
    process, page = account.start_login('--flow', 'browser', '--no-browser')
    status, text = get(account.consent(page))
    assert status == 200 and b'can be closed' in text
    assert process.wait(30) == 0, process.stderr.read()
    assert provider.login_hint == 'demo' and provider.scope == 'mail offline'
    assert 'state=' in page and 'code_challenge_method=S256' in page
    account.fetch()
    assert len(account.fetcher.files()) == 5


def test_a_client_with_a_secret_sends_it(account, provider):
    provider.client_secret = 'not so secret'
    account.section = provider.section(device=False)
    process, page = account.start_login('--no-browser')
    get(account.consent(page))
    assert process.wait(30) == 0
    account.age(10)
    account.fetch()
    assert [form['client_secret'] for form in provider.asked('/token')] == ['not so secret'] * 2


def test_threat_83_another_program_s_visit_changes_nothing(account):
    """A page of the web may send the browser to our port: without our state it is nothing."""
    process, page = account.start_login('--flow', 'browser', '--no-browser')
    good = account.consent(page)
    parts = urllib.parse.urlsplit(good)
    for path in ('/', '/?code=x', '/?code=x&state=y', '/favicon.ico', '/?error=access_denied',
                 '/?' + parts.query.replace('state=', 'state=x'),
                 '/?' + parts.query + '&state=y', '/?%zz'):
        status, _ = get(f'http://127.0.0.1:{parts.port}{path}')
        assert status == 404, path
    raw = http.client.socket.create_connection(('127.0.0.1', parts.port), 10)
    raw.sendall(b'POST /?' + parts.query.encode() + b' HTTP/1.1\r\n\r\n')
    assert b'404' in raw.recv(1000)
    raw.close()
    assert process.poll() is None
    assert get(good)[0] == 200 and process.wait(30) == 0


def test_threat_83_the_listener_is_on_127_0_0_1_only(account):
    process, page = account.start_login('--flow', 'browser', '--no-browser')
    port = urllib.parse.urlsplit(account.consent(page)).port
    listening = [line.split()[1] for line in
                 pathlib.Path('/proc/net/tcp').read_text().splitlines()[1:]
                 if line.split()[3] == '0A' and line.split()[1].endswith(f':{port:04X}')]
    assert listening == [f'0100007F:{port:04X}']
    process.terminate()
    process.wait(30)


def test_a_person_who_says_no(account, provider):
    provider.consent = False
    process, page = account.start_login('--flow', 'browser', '--no-browser')
    get(account.consent(page))
    assert process.wait(30) == NOPERM and 'access_denied' in process.stderr.read()


def test_a_pasted_address(account):
    """Where the browser is on another machine, it ends at a page that it cannot open."""
    process, page = account.start_login('--flow', 'browser', '--no-browser',
                                        stdin=subprocess.PIPE)
    address = account.consent(page)
    process.stdin.write('what?\nhttp://127.0.0.1:1/?code=x&state=y\n' + address + '#\n')
    process.stdin.flush()
    assert process.wait(30) == 0, process.stderr.read()
    assert process.stdout.read().count('not the address') == 2
    account.fetch()
    assert len(account.fetcher.files()) == 5


def test_a_redirect_that_no_listener_can_take_is_pasted(account, provider):
    account.section = provider.section(device=False, redirect='https://localhost')
    process, page = account.start_login(stdin=subprocess.PIPE)
    address = account.consent(page)
    assert address.startswith('https://localhost?code=')
    process.stdin.write(address + '\r\n')
    process.stdin.close()
    assert process.wait(30) == 0, process.stderr.read()
    done = account.login(expect=UNAVAILABLE)  # nobody to paste
    assert 'start the login again' in done.stderr


def test_the_proof_key_is_checked_by_the_stand_in(account, provider):
    """The stand-in refuses a code without its verifier: so the tests above prove PKCE."""
    process, page = account.start_login('--flow', 'browser', '--no-browser')
    address = account.consent(page)
    for code in list(provider.codes):
        provider.codes[code] = ('x' * 43, provider.codes[code][1])
    get(address)
    assert process.wait(30) == UNAVAILABLE and 'invalid_grant' in process.stderr.read()


def test_the_provider_s_file_names_the_client(account, provider, fetcher):
    provider.client_secret = 'from-the-file'
    file = fetcher.scratch / 'client.json'
    file.write_text('{"installed": {"client_id": "stand-in-client", "project_id": "x",'
                    ' "client_secret": "from-the-file", "redirect_uris": ["http://localhost"]}}')
    file.chmod(0o600)
    account.section = provider.section(client_id='', client_secret='', client_file=file)
    account.login()
    account.fetch()
    file.chmod(0o644)
    assert f'chmod go= {file}' in account.login(expect=NOPERM).stderr
    file.chmod(0o600)
    for text in ('', '{}', '[]', '{"installed": {"client_id": 5}}', '{"installed": []}'):
        file.write_text(text)
        assert 'client_id' in account.login(expect=CONFIG).stderr


def test_a_missing_client_id_names_the_page(account, fetcher):
    account.section = ''
    for name, page in (('google', 'https://console.cloud.google.com/auth/clients'),
                       ('microsoft', 'https://entra.microsoft.com/')):
        login = account.command('login')
        account.file.write_text(account.file.read_text().replace('"stand-in"', f'"{name}"'))
        done = fetcher.execute(login, CONFIG)
        assert page in done.stderr and 'client-id' in done.stderr


def test_accounts_without_consent_to_give(account, fetcher):
    login = account.command('login')
    text = account.file.read_text()
    account.file.write_text(text.replace('oauth = "stand-in"', 'token-command = "echo abc"'))
    assert 'gives a token' in fetcher.execute([*login, 'work']).stdout
    account.file.write_text(text.replace('oauth = "stand-in"', 'token-command = "false"'))
    fetcher.execute([*login, 'work'], CONFIG)
    account.file.write_text(text.replace('oauth = "stand-in"', 'netrc = "x"'))
    assert 'password' in fetcher.execute([*login, 'work'], USAGE).stderr
    assert 'no account' in fetcher.execute([*login, 'other'], USAGE).stderr
    assert 'no account' in fetcher.execute(login, USAGE).stderr
    account.file.write_text(text.replace('oauth = "stand-in"', 'oauth = "nobody"'))
    assert 'nobody' in fetcher.execute(login, CONFIG).stderr
    account.file.write_text(text.replace('/token"', '/token"\n\tscope = "x"').replace(
        'token = "https://', 'token = "http://'))
    assert 'https://' in fetcher.execute(login, CONFIG).stderr


# refresh

def test_a_token_is_refreshed_ahead_of_time(account, provider):
    account.login()
    account.age(200)  # good for three minutes more
    account.fetch()
    assert len(account.refreshes()) == 1 and len(account.fetcher.files()) == 5
    account.fetch()
    assert len(account.refreshes()) == 1, 'the new one is good for an hour'
    assert int(account.fields()['expires']) > time.time() + 3000


def test_rotation_keeps_the_new_one_and_the_old_until_that_was_good(account, provider):
    account.login()
    first = account.fields()['refresh']
    account.age(10)
    account.fetch()
    second = account.fields()
    assert second['refresh'] != first and second['previous'] == first
    account.age(10)
    account.fetch()
    third = account.fields()
    assert third['refresh'] != second['refresh'] and third['previous'] == second['refresh']


def test_without_rotation_the_refresh_token_stays(account, provider):
    provider.rotate = False
    account.login()
    first = account.fields()['refresh']
    account.age(10)
    account.fetch()
    assert account.fields()['refresh'] == first and account.fields().get('previous', '') == ''


def test_the_one_before_is_tried_when_the_new_one_is_dead(account, provider):
    """A provider that gave a new token and forgot it: the old one may still be good."""
    provider.rotate = False
    account.login()
    good = account.fields()['refresh']
    account.age(10, refresh='never-given', previous=good)
    account.fetch()
    assert account.fields()['refresh'] == good
    assert [form['refresh_token'] for form in account.refreshes()] == ['never-given', good]


def test_a_refused_token_is_refreshed_once(account, provider):
    """Revoked ahead of time: the mail server says so, and one new token is asked for."""
    account.login()
    provider.access.clear()
    account.fetch()
    assert len(account.refreshes()) == 1 and len(account.fetcher.files()) == 5
    assert len(account.server.sessions) == 2


def test_consent_that_ended(account, provider):
    account.login()
    provider.end_grants()
    done = account.fetch(expect=TOKEN)
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith(CONSENT) and 'expired or revoked' in lines[0]
    account.age(10)
    sessions = len(account.server.sessions)
    done = account.fetch(expect=TOKEN)
    assert done.stderr.startswith(CONSENT) and len(account.server.sessions) == sessions
    account.login()
    account.fetch()
    assert len(account.fetcher.files()) == 5


def test_a_fresh_token_that_is_refused(account, provider):
    """The mail server takes none: asked once, not without end."""
    account.login()
    account.server.tokens = ['another']
    done = account.fetch(expect=TOKEN)
    assert done.stderr.startswith(CONSENT) and 'XOAUTH2' in done.stderr
    assert len(account.refreshes()) == 1 and len(account.server.sessions) == 2


def test_no_consent_yet(account):
    done = account.fetch(expect=TOKEN)
    assert done.stderr.startswith(CONSENT) and account.server.sessions == []


def test_a_refresh_token_dead_at_seven_days_names_the_cause(account, provider):
    """Only where the provider is known for it, and the end was then."""
    account.section = provider.section('google')
    real = account.configure

    def configure():
        real()
        account.file.write_text(account.file.read_text().replace('"stand-in"', '"google"'))
    account.configure = configure
    account.login()
    now = int(time.time())
    provider.end_grants()
    account.age(-10, granted=now - 7 * DAY - 600, refreshed=now - 7 * DAY + 3000)
    done = account.fetch(expect=TOKEN)
    assert done.stderr.startswith(CONSENT) and 'Testing' in done.stderr
    assert 'https://console.cloud.google.com/auth/audience' in done.stderr
    for granted, refreshed in ((now - 20 * DAY, now - DAY), (now - DAY, now - 3600)):
        account.age(-10, granted=granted, refreshed=refreshed)
        assert 'Testing' not in account.fetch(expect=TOKEN).stderr


@pytest.mark.parametrize('fault', ['html', 'drop', 'cut', 'empty', 'long', 503, 429, 'redirect'])
def test_threat_84_a_token_server_in_trouble(account, provider, fault):
    account.login()
    account.age(200)
    provider.faults = [fault]
    account.fetch()
    assert len(account.fetcher.files()) == 5, 'the token is good for this run'
    account.age(-10)
    provider.faults = [fault]
    done = account.fetch(expect=None)
    assert done.returncode in (TEMPFAIL, 76) and '/token' in done.stderr
    assert 'refresh-' not in done.stderr and 'access-' not in done.stderr
    account.fetch()


def test_a_slow_token_server(account, provider):
    account.login()
    account.age(-10)
    provider.faults, provider.slowness = ['slow'], 2
    account.fetch()
    assert len(account.fetcher.files()) == 5


@pytest.mark.parametrize('code, status', [
    ('invalid_client', CONFIG), ('invalid_scope', UNAVAILABLE), ('unauthorized_client', CONFIG)])
def test_refresh_refused_for_other_reasons(account, provider, code, status):
    account.login()
    account.age(-10)
    provider.faults = [code]
    done = account.fetch(expect=status)
    assert code in done.stderr and 'consent' not in done.stderr
    account.fetch()


def test_a_damaged_grant_is_no_crash(account, provider):
    account.login()
    whole = account.grant.read_bytes()
    for text in (b'', b'valija-grant 1\n', whole[:-4], whole[:200], b'\0' * 100, b'x' * 100000,
                 whole.replace(b'refresh ', b'refresh \x01')):
        account.grant.write_bytes(text)
        done = account.fetch(expect=None)
        assert done.returncode in (65, TOKEN) and 'log' in done.stderr
    account.grant.chmod(0o644)
    assert 'chmod' in account.fetch(expect=NOPERM).stderr


def test_one_process_refreshes_for_all(account, provider):
    """A rotating provider ends the grant when a token is used twice."""
    account.login()
    account.age(-10)
    provider.slowness, provider.faults = 0.3, ['slow']
    command = [*account.command(), 'work']
    several = [subprocess.Popen(command, env=account.environment(), stderr=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True) for _ in range(6)]
    results = [(p.wait(60), p.stderr.read()) for p in several]
    # the journal's lock turns some away; nobody is without consent
    assert {code for code, _ in results} <= {0, TEMPFAIL}, results
    assert len(account.refreshes()) == 1
    account.fetch()


def test_a_refresh_waits_for_the_one_of_another_process(account, provider):
    import fcntl

    account.login()
    account.age(-10)
    old = account.fields()
    lock = account.grant.with_suffix('.grant.lock').open('r+')
    fcntl.lockf(lock, fcntl.LOCK_EX)
    process = subprocess.Popen([*account.command(), 'work'], env=account.environment(),
                               stderr=subprocess.PIPE, text=True)
    while f'-> POSIX' not in (locks := pathlib.Path('/proc/locks').read_text()) and \
            '-> OFDLCK' not in locks and process.poll() is None:
        time.sleep(0.02)
    assert process.poll() is None and account.refreshes() == []
    made = provider.take_refresh(old['refresh'])  # what the other one does
    account.age(3600, access=made['access_token'], refresh=made['refresh_token'])
    fcntl.lockf(lock, fcntl.LOCK_UN)
    assert process.wait(30) == 0, process.stderr.read()
    assert account.refreshes() == [] and len(account.fetcher.files()) == 5


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize('when', ['ahead', 'refused'])
def test_threat_85_a_signal_in_the_middle_of_a_refresh(account, provider, number, when):
    """The provider has rotated the token when its answer comes: that is waited for."""
    account.login()
    if when == 'ahead':
        account.age(-10)
    else:
        provider.access.clear()
    provider.faults, provider.slowness = ['slow'], 1
    process = subprocess.Popen([*account.command(), 'work'], env=account.environment(),
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not account.refreshes() and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, number)
    code = process.wait(30)
    assert code == 128 + number, (code, process.stderr.read())
    account.fetch()
    assert len(account.refreshes()) == 1 and len(account.fetcher.files()) == 5


# a keyring

def test_a_keyring_s_commands(account, provider, fetcher):
    ring = fetcher.scratch / 'ring'
    account.more = (f'\ttoken-lookup = "cat {ring} 2>/dev/null"\n'
                    f'\ttoken-store = "cat >{ring}"\n')
    assert account.fetch(expect=TOKEN).stderr.startswith(CONSENT)
    account.login()
    account.fetch()
    assert len(fetcher.files()) == 5 and not account.grants()
    ring.write_text(re.sub('^expires .*$', 'expires 5', ring.read_text(), flags=re.M))
    account.fetch()
    assert len(account.refreshes()) == 1
    account.more = '\ttoken-lookup = "cat x"\n'
    assert 'belong together' in account.fetch(expect=CONFIG).stderr
    account.more = '\ttoken-lookup = "cat x"\n\ttoken-store = "exit 3"\n'
    assert 'token-store' in account.login(expect=UNAVAILABLE).stderr


# two lines

def test_a_server_that_wants_two_lines(fetcher, serve, certificate, provider):
    from oauth_fixtures import Account

    made = Account(fetcher, serve, certificate, provider, lines=2)
    made.login()
    made.fetch()
    made.fetch()
    auth = [[c for c in s.commands if c.startswith('AUTH')] for s in made.server.sessions]
    assert len(auth[0]) == 2 and len(auth[1]) == 1 and len(fetcher.files()) == 5


@pytest.mark.parametrize('name, first', [('microsoft', 'AUTH XOAUTH2'),
                                         ('google', 'AUTH XOAUTH2 '),
                                         ('stand-in', 'AUTH XOAUTH2 ')])
def test_the_table_says_how_many_lines(account, provider, name, first):
    account.section = provider.section(name)
    command = account.command('login')
    text = account.file.read_text().replace('oauth = "stand-in"', f'oauth = "{name}"')
    account.file.write_text(text)
    account.fetcher.execute([*command, 'work'], env=account.environment())
    account.fetcher.execute([command[0], 'fetch', '-c', str(account.file)],
                            env=account.environment())
    auth = [c for c in account.server.sessions[0].commands if c.startswith('AUTH')][0]
    assert auth == first if first[-1] != ' ' else auth.startswith(first)
    assert len(account.fetcher.files()) == 5


def test_the_program_for_https_is_missing(account, fetcher):
    import shutil

    alone = fetcher.scratch / 'bin'
    alone.mkdir()
    shutil.copy(account.command()[0], alone / 'valija')
    done = fetcher.execute([str(alone / 'valija'), 'fetch', 'login', '-c', str(account.file)],
                           expect=None, env=account.environment())
    if done.returncode:  # it is not installed on this machine either
        assert done.returncode == UNAVAILABLE and 'cannot start' in done.stderr
        assert 'valija-https' in done.stderr


def test_no_token_is_shown_anywhere(account, provider, fetcher):
    account.login()
    account.age(-10)
    seen = []

    def look(session, _):
        for path in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                seen.append((path / 'cmdline').read_bytes() + (path / 'environ').read_bytes())
            except OSError:
                pass

    account.server.hooks['UIDL'] = look
    watch = threading.Thread(target=look, args=(None, None))
    watch.start()
    done = account.fetch('-v', '--record', fetcher.scratch / 'transcript')
    watch.join()
    text = done.stderr + done.stdout + (fetcher.scratch / 'transcript').read_text()
    secrets = [*provider.access, *provider.refresh]
    assert len(secrets) >= 4 and not [s for s in secrets if s in text]
    assert not [s for s in secrets if any(s.encode() in octets for octets in seen)]
