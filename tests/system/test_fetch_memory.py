"""`valija fetch` keeps no password once it is logged in: a server falls silent after the login, and
the writable memory of the fetcher is searched, for each mechanism and each source of a password.
With pipelining it is kept for the session, as a second login without pipelining may be needed."""
import base64
import os
import pathlib
import secrets
import signal
import subprocess
import sys
import threading

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from fetching import program  # noqa: E402
from office import sanitized  # noqa: E402
from test_memory_of_passwords import memory  # noqa: E402

pytestmark = pytest.mark.release  # a sanitizer keeps freed memory as it was
MECHANISMS = ('USER', 'APOP', 'PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-256')


class Silent:
    """A hook: nothing is answered until the test has looked."""

    def __init__(self):
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, session, argument):
        self.reached.set()
        self.go_on.wait(60)
        return False


def needles(password):
    found = [password[12:28].encode(), password[-16:].encode()]
    for text in (f'\0demo\0{password}', password):
        coded = base64.b64encode(text.encode())
        found += [coded[-20:-4], coded[20:36]]
    return found


def held(pid, wanted):
    return [f'{region}+{at:#x}: {octets[max(0, at - 30):at + 40]!r}'
            for region, octets in memory(pid) for needle in wanted
            if (at := octets.find(needle)) >= 0]


def look(fetcher, server, silent, command, wanted, env=None):
    """Runs the fetcher until the server is silent; returns what its memory holds then."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, cwd=fetcher.scratch,
                               env=env or fetcher.environment())
    try:
        assert silent.reached.wait(30), process.communicate(timeout=30)
        try:
            found = held(process.pid, wanted)
        except PermissionError:
            pytest.skip('no right to read the memory of other processes')
    finally:
        silent.go_on.set()
        try:
            words = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
    assert process.returncode == 0, words
    assert len(fetcher.files()) == 5
    return found


@pytest.fixture
def password():
    if sanitized():
        pytest.skip('the sanitizer keeps freed memory')
    return secrets.token_hex(24)


@pytest.mark.parametrize('tls', [None, 'implicit'], ids=['clear', 'tls'])
@pytest.mark.parametrize('mechanism', MECHANISMS)
@pytest.mark.parametrize('verb', ['UIDL', 'RETR'])
def test_threat_68_no_password_after_the_login(fetcher, serve, certificate, password, mechanism,
                                               tls, verb):
    silent = Silent()
    server = serve(mechanisms=MECHANISMS[2:], greeting='+OK <1.2@example.org>', password=password,
                   tls=tls, certificate=certificate, hooks={verb: silent})
    fetcher.password_file.write_text(password + '\n')
    trust = ['--ca', certificate[0]] if tls else []
    found = look(fetcher, server, silent,
                 fetcher.command(server, '--auth', mechanism, '--no-pipelining', *trust),
                 needles(password))
    assert not found, '\n'.join(found)


@pytest.mark.parametrize('mechanism', ['XOAUTH2', 'OAUTHBEARER'])
@pytest.mark.parametrize('lines', [1, 2])
def test_threat_68_no_token_after_the_login(fetcher, serve, certificate, password, mechanism,
                                            lines):
    silent, token = Silent(), password * 20
    server = serve(mechanisms=[mechanism], tls='implicit', certificate=certificate, tokens=[token],
                   token_lines=lines, hooks={'UIDL': silent})
    (fetcher.scratch / 'tell').write_text(token + '\n')
    coded = base64.b64encode(f'user=demo\1auth=Bearer {token}\1\1'.encode())
    other = base64.b64encode(
        f'n,a=demo,\1host=127.0.0.1\1port={server.port}\1auth=Bearer {token}\1\1'.encode())
    found = look(fetcher, server, silent,
                 fetcher.command(server, '--no-pipelining', '--ca', certificate[0],
                                 '--token-command', f'cat {fetcher.scratch}/tell', password=False),
                 [token[100:140].encode(), coded[200:240], other[200:240]])
    assert not found, '\n'.join(found)


def from_command(fetcher, password):
    (fetcher.scratch / 'tell').write_text(password + '\n')
    return ['--password-command', f'cat {fetcher.scratch}/tell'], {}


def from_netrc(fetcher, password):
    netrc = fetcher.scratch / 'netrc'
    netrc.write_text(f'machine other login demo password {password}x\n'
                     f'machine 127.0.0.1 login demo password {password}\n')
    netrc.chmod(0o600)
    return ['--netrc', netrc], {}


def from_netrc_at_home(fetcher, password):
    from_netrc(fetcher, password)
    (fetcher.scratch / 'netrc').rename(fetcher.scratch / '.netrc')
    return [], {}


def from_file_without_line_end(fetcher, password):
    fetcher.password_file.write_text(password + '\nsecond line ' + password + '\n')
    return ['--password-file', fetcher.password_file], {}


def from_environment(fetcher, password):
    return ['--password-env', 'SECRET'], {'SECRET': password}


SOURCES = (from_environment, from_command, from_netrc, from_netrc_at_home,
           from_file_without_line_end)


@pytest.mark.parametrize('source', SOURCES, ids=lambda f: f.__name__)
def test_threat_68_no_password_wherever_it_came_from(fetcher, serve, password, source):
    silent = Silent()
    server = serve(password=password, hooks={'UIDL': silent})
    options, environment = source(fetcher, password)
    command = fetcher.command(server, *options, '--no-pipelining', password=False)
    found = look(fetcher, server, silent, command, needles(password),
                 fetcher.environment(**environment))
    assert not found, '\n'.join(found)


def test_threat_68_no_password_of_an_account_in_the_configuration(fetcher, serve, password):
    silent = Silent()
    server = serve(password=password, hooks={'UIDL': silent})
    (fetcher.scratch / 'fetch.conf').write_text(
        f'state = "{fetcher.state}"\naccount "home" {{\n'
        f'server = "pop3://demo@127.0.0.1:{server.port}"\nto = "maildir:{fetcher.maildir}"\n'
        f'tls = "none"\npipelining = false\npassword-command = "cat {fetcher.password_file}"\n}}\n')
    fetcher.password_file.write_text(password + '\n')
    found = look(fetcher, server, silent,
                 [str(program()), 'fetch', '-c', str(fetcher.scratch / 'fetch.conf')],
                 needles(password))
    assert not found, '\n'.join(found)


def test_the_search_finds_a_password_that_is_needed(fetcher, serve, password):
    """The control: the password is there while the answer to USER is awaited."""
    silent = Silent()
    server = serve(password=password, hooks={'USER': silent})
    fetcher.password_file.write_text(password + '\n')
    found = look(fetcher, server, silent, fetcher.command(server, '--auth', 'user',
                                                          '--no-pipelining'), needles(password))
    assert found


def test_threat_91_a_run_of_watch_has_its_own_account_alone(fetcher, serve, certificate, password):
    """Its server may have taken it over: no setting of another account is in it, from the start on
    and when the configuration was read again."""
    silent, quiet = Silent(), threading.Event()
    server = serve(tls='implicit', certificate=certificate, hooks={'UIDL': silent})
    other = serve(tls='implicit', certificate=certificate, resumes=True,
                  on_connect=lambda _: quiet.set())
    secret = [f'{name}{password}' for name in ('own', 'others')]

    def account(name, port, more):
        return (f'account "{name}" {{\nserver = "pop3s://demo@localhost:{port}"\n'
                f'ca = "{certificate[0]}"\nto = "maildir:{fetcher.maildir}-{name}"\n'
                f'password-file = "{fetcher.password_file}"\ninterval = "2s"\n{more}\n}}\n')
    conf = fetcher.scratch / 'fetch.conf'
    conf.write_text(f'state = "{fetcher.state}"\n'
                    + account('other', other.port, f'auth = "USER" # {secret[1]}\n'
                              f'to-proxy = "http://me:{secret[1]}@localhost:1"')
                    + account('own', server.port,
                              f'to-proxy = "http://me:{secret[0]}@localhost:1"'))
    process = subprocess.Popen([str(program()), 'fetch', '--watch', '-c', str(conf)],
                               stdin=subprocess.DEVNULL, env=fetcher.environment(),
                               stderr=(fetcher.scratch / 'words').open('wb'))
    try:
        for _ in range(2):
            assert silent.reached.wait(30) and quiet.wait(30)
            try:
                found = {word: held_by_run(process.pid, server, word) for word in secret[:2]}
            except PermissionError:
                pytest.skip('no right to read the memory of other processes')
            assert found[secret[0]] and not found[secret[1]]
            silent.reached.clear()
            process.send_signal(signal.SIGHUP)
            silent.go_on.set()
            silent.go_on.clear()
    finally:
        silent.go_on.set()
        process.terminate()
        process.wait(60)


def held_by_run(parent, server, word):
    """Where the run that talks to the server holds the word."""
    mine = {line.split()[9] for line in pathlib.Path('/proc/net/tcp').read_text().splitlines()[1:]
            if line.split()[2] == f'0100007F:{server.port:04X}'}
    children = pathlib.Path(f'/proc/{parent}/task/{parent}/children').read_text().split()
    [run] = [child for child in children if mine & sockets(child)]
    return held(int(run), [word.encode()])


def sockets(pid):
    try:
        return {os.readlink(link)[8:-1] for link in pathlib.Path(f'/proc/{pid}/fd').iterdir()}
    except FileNotFoundError:  # it ends just now
        return set()
