"""`valija fetch setup ADDRESS`: how the server is found, what is tried, what is written; and that
nothing is written where anything was wrong."""
import os
import pathlib
import pty
import shutil
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / 'hostile'), str(HERE.parent / 'stand_ins')]

from dns import Zone  # noqa: E402
from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from fetching import (CONFIG, NOINPUT, NOPERM, TEMPFAIL, UNAVAILABLE, USAGE,  # noqa: E402
                      program)
from hostile import PASSWORD  # noqa: E402
from oauth_fixtures import provider  # noqa: E402,F401
from office import dead_port  # noqa: E402
from own_network import own_network  # noqa: E402

PAGE = '''<?xml version="1.0"?>
<clientConfig version="1.1"><emailProvider id="example.org">
 <incomingServer type="imap"><hostname>imap.example.org</hostname><port>993</port>
  <socketType>SSL</socketType><username>x</username></incomingServer>
 <incomingServer type="pop3"><hostname>localhost</hostname><port>{clear}</port>
  <socketType>plain</socketType><username>%EMAILADDRESS%</username></incomingServer>
 <incomingServer type="pop3"><hostname> localhost </hostname><port>{port}</port>
  <socketType>{kind}</socketType><authentication>{auth}</authentication>
  <username>%EMAILLOCALPART%</username></incomingServer>
</emailProvider></clientConfig>'''


class Setup:
    def __init__(self, fetcher, certificate):
        self.fetcher, self.certificate = fetcher, certificate
        self.file = fetcher.scratch / '.config/valija/fetch.conf'
        self.base = ['--to', f'maildir:{fetcher.maildir}', '--state', str(fetcher.state), '--user',
                     'demo']
        self.secret = ['--password-file', str(fetcher.password_file)]

    def environment(self, **more):
        env = self.fetcher.environment(**{'SSL_CERT_FILE': self.certificate[0], **more})
        env.pop('XDG_CONFIG_HOME', None)
        return env

    def command(self, *words, address='demo@example.org', secret=True):
        return [str(word) for word in (program(), 'fetch', 'setup', *self.base,
                                       *(self.secret if secret else []), *words, address)]

    def run(self, *words, expect=0, env=None, **more):
        return self.fetcher.execute(self.command(*words, **more), expect,
                                    env=env or self.environment())

    def fetch(self, *words):
        return self.fetcher.execute([str(program()), 'fetch', '--state', str(self.fetcher.state),
                                     *words], env=self.environment())

    def talk(self, answers, *words, expect=0, **more):
        """At a terminal: waits for each question and gives its answer."""
        command = self.command(*words, secret=False, **more)
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(command[0], command, self.environment())
        seen, left = b'', list(answers)
        try:
            while more_octets := os.read(terminal, 1000):
                seen += more_octets
                if left and left[0][0].encode() in seen.split(b'\n')[-1]:
                    os.write(terminal, left.pop(0)[1].encode() + b'\n')
        except OSError:
            pass
        os.close(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == expect, seen
        assert not left, (left, seen)
        return seen.decode()


@pytest.fixture
def setup(fetcher, certificate):
    return Setup(fetcher, certificate)


@pytest.fixture
def pop3s(serve, certificate):
    return serve(tls='implicit', certificate=certificate)


def test_a_script_names_everything(setup, pop3s):
    done = setup.run('--server', f'pop3s://localhost:{pop3s.port}', '--name', 'home', '--policy',
                     'keep-days 30', '--yes')
    assert '5 messages' in done.stdout and 'certificate is good' in done.stdout
    text = setup.file.read_text()
    assert 'account "home"' in text and f'pop3s://demo@localhost:{pop3s.port}' in text
    assert 'policy = "keep-days 30"' in text and oct(setup.file.stat().st_mode & 0o777) == '0o600'
    assert pop3s.retrieved == [] and pop3s.deleted == []
    setup.fetch('home')
    assert len(setup.fetcher.files()) == 5


def test_paths_are_written_whole(setup, pop3s):
    """A timer or a daemon starts in another folder than the person did."""
    scratch = setup.fetcher.scratch
    setup.base[1] = 'maildir:Mail'
    setup.secret = ['--password-file', setup.fetcher.password_file.relative_to(scratch)]
    (scratch / 'authority.pem').write_bytes(pathlib.Path(setup.certificate[0]).read_bytes())
    setup.run('--server', f'pop3s://localhost:{pop3s.port}', '--ca', 'authority.pem', '-c',
              'here.conf')
    text = (scratch / 'here.conf').read_text()
    for line in (f'to = "maildir:{scratch}/Mail"', f'ca = "{scratch}/authority.pem"',
                 f'password-file = "{setup.fetcher.password_file}"'):
        assert line in text
    setup.fetcher.execute([str(program()), 'fetch', '-c', str(scratch / 'here.conf'), '--state',
                           str(setup.fetcher.state)], env=setup.environment(), cwd='/')
    assert len(list((scratch / 'Mail/new').iterdir())) == 5


@pytest.mark.parametrize('place', ['maildir:~/Mail', 'mbox:/x/y', 'command:deliver -x',
                                   'imaps://me@localhost/INBOX'])
def test_what_is_whole_or_no_path_stays(setup, place):
    setup.base[1] = place
    setup.run('--server', f'localhost:{dead_port()}', '--no-test')
    assert f'to = "{place}"' in setup.file.read_text()


def test_starttls(setup, serve, certificate):
    server = serve(tls='starttls', certificate=certificate)
    setup.run('--server', f'pop3://localhost:{server.port}')
    setup.fetch('demo@example.org')
    assert f'pop3://demo@localhost:{server.port}' in setup.file.read_text()


@pytest.mark.parametrize('case', ['password', 'silent', 'certificate', 'secret'])
def test_nothing_is_written_where_something_is_wrong(setup, pop3s, serve, case):
    server, env, status = pop3s.port, None, NOPERM
    if case == 'password':
        setup.fetcher.password_file.write_text('wrong\n')
    elif case == 'silent':
        server, status = dead_port(), TEMPFAIL
    elif case == 'certificate':
        env = setup.environment(SSL_CERT_FILE='/nowhere', SSL_CERT_DIR='/nowhere')
    else:
        setup.fetcher.password_file.unlink()
        status = NOINPUT
    done = setup.run('--server', f'pop3s://localhost:{server}', env=env, expect=status)
    assert done.stderr.startswith('valija fetch setup: ') and not setup.file.exists()
    assert not list(setup.file.parent.glob('*')) if setup.file.parent.exists() else True


def test_without_a_test_nothing_is_asked_of_the_server(setup):
    setup.run('--server', f'localhost:{dead_port()}', '--no-test')
    assert 'account "demo@example.org"' in setup.file.read_text()


def test_what_is_in_the_file_stays(setup, pop3s):
    setup.file.parent.mkdir(parents=True)
    before = '# mine\njobs = 3\naccount "old" { server = "pop3s://a@b"\n to = "maildir:/x" }'
    setup.file.write_text(before)
    setup.file.chmod(0o640)
    server = ['--server', f'pop3s://localhost:{pop3s.port}']
    setup.run(*server)
    assert setup.file.read_text().startswith(before + '\n') and \
        oct(setup.file.stat().st_mode & 0o777) == '0o640'
    after = setup.file.read_text()
    for name in ('old', 'demo@example.org'):
        done = setup.run(*server, '--name', name, expect=USAGE)
        assert name in done.stderr and '--name' in done.stderr
    setup.file.write_text(before + '\nnonsense\n')
    done = setup.run(*server, expect=CONFIG)
    assert f'{setup.file}:' in done.stderr and setup.file.read_text() == before + '\nnonsense\n'
    setup.file.write_text(after)
    linked = setup.fetcher.scratch / 'elsewhere.conf'
    setup.file.rename(linked)
    setup.file.symlink_to(linked)
    setup.run(*server, '--name', 'third')
    assert setup.file.is_symlink() and 'account "third"' in linked.read_text()


@pytest.mark.parametrize('text', ['a "b" \\c', '${HOME}', "it's # $x", 'ä', 'a\\', '}{'])
def test_any_text_is_quoted(setup, pop3s, text):
    file = setup.fetcher.scratch / ('p ' + text.replace('/', ''))
    shutil.copy(setup.fetcher.password_file, file)
    setup.run('--server', f'pop3s://localhost:{pop3s.port}', '--name', text, '--password-file',
              file)
    setup.fetch(text)
    assert len(setup.fetcher.files()) == 5


def test_users_that_a_url_cannot_hold(setup):
    for user in ('a@b', 'a/b:c%', 'ä b'):
        setup.run('--server', 'localhost:1', '--no-test', '--user', user, '--name', user)
    setup.fetcher.execute([str(program()), 'fetch', '-c', str(setup.file), '--state',
                           str(setup.fetcher.state), 'nobody'], USAGE)
    assert 'pop3s://a%40b@localhost:1' in setup.file.read_text()


@pytest.mark.parametrize('words', [[], ['a', 'b'], ['noaddress'], ['@x'], ['x@'], ['a@b c'],
                                   ['--flow', 'x', 'a@b'], ['--nothing', 'a@b'],
                                   ['--server', 'pop3s://u@h', 'a@b'],
                                   ['--server', 'http://h', 'a@b'],
                                   ['--password-file', 'x', '--oauth', 'google', 'a@b']])
def test_a_wrong_command_line(fetcher, words):
    done = fetcher.execute([str(program()), 'fetch', 'setup', *words], USAGE)
    assert 'usage: valija fetch setup' in done.stderr


def test_no_password_for_a_script(setup, pop3s):
    done = setup.run('--server', f'pop3s://localhost:{pop3s.port}', secret=False, expect=NOINPUT)
    assert '--password-file' in done.stderr and not setup.file.exists()


# how the server is found

def test_a_provider_without_pop3(setup):
    done = setup.run('--no-lookup', address='anna@icloud.com', expect=UNAVAILABLE)
    assert 'icloud has no POP3' in done.stderr


def test_nothing_is_known(setup):
    done = setup.run('--no-lookup', address='anna@nowhere.example', expect=UNAVAILABLE)
    assert '--server' in done.stderr


def test_the_table_of_providers(setup):
    for address, host in (('a@gmail.com', 'pop.gmail.com'), ('a@GMX.de', 'pop.gmx.net')):
        done = setup.run('--no-lookup', '--no-test', '--name', host, address=address)
        assert host in done.stdout and f'@{host}"' in setup.file.read_text()
    done = setup.run('--no-lookup', '--no-test', '--client-id', 'some-id', secret=False,
                     address='anna@outlook.com')
    text = setup.file.read_text()
    assert 'oauth "microsoft" {\n\tclient-id = "some-id"' in text
    assert 'oauth = "microsoft"' in text and '@outlook.office365.com' in text


@pytest.mark.parametrize('kind', ['SSL', 'STARTTLS'])
def test_by_autoconfig(setup, serve, certificate, provider, kind):
    server = serve(tls='implicit' if kind == 'SSL' else 'starttls', certificate=certificate)
    page = PAGE.format(port=server.port, kind=kind, clear=1, auth='password-cleartext')
    provider.pages['/mail/config-v1.1.xml'] = (200, page, 'text/xml')
    setup.base = setup.base[:-2]  # the page says who logs in
    setup.run('--autoconfig', provider.url + '/mail/config-v1.1.xml')
    assert f'demo@localhost:{server.port}' in setup.file.read_text()
    setup.fetch()
    assert len(setup.fetcher.files()) == 5


@pytest.mark.parametrize('page', [
    PAGE.format(port=1, kind='plain', clear=1, auth=''),
    PAGE.format(port=1, kind='SSL', clear=1, auth='').replace(' localhost ', 'a;b'),
    PAGE.format(port=1, kind='SSL', clear=1, auth='')[:-40],
    '<!DOCTYPE x [<!ENTITY a "b">]>' + PAGE.format(port=1, kind='SSL', clear=1, auth='')[22:],
    '<html></html>', '', 'x' * 1000,
])
def test_threat_86_a_page_that_names_no_server(setup, provider, page):
    provider.pages['/x'] = (200, page, 'text/xml')
    done = setup.run('--autoconfig', provider.url + '/x', expect=UNAVAILABLE)
    assert 'not found' in done.stderr and not setup.file.exists()


def needs_mounts():
    if os.geteuid() != 0 or not shutil.which('unshare'):
        pytest.skip('needs root, for a network and mounts of its own')


def in_mounts(setup, command):
    """The command with a resolver and hosts of the test's own."""
    resolv, hosts = setup.fetcher.scratch / 'resolv.conf', setup.fetcher.scratch / 'hosts'
    resolv.write_text('nameserver 127.0.0.1\noptions timeout:1 attempts:1\n')
    hosts.write_text('127.0.0.1 localhost pop.example.org pop.example.net\n')
    return ['unshare', '-m', 'sh', '-ec', f'mount --bind {resolv} /etc/resolv.conf; '
            f'mount --bind {hosts} /etc/hosts; exec "$@"', 'sh', *command]


@pytest.fixture
def own_certificate(tmp_path):
    from hostile import make_certificate

    return make_certificate(tmp_path, 'pop.example.org')


@own_network
def test_by_dns(setup, serve, own_certificate):
    needs_mounts()
    setup.certificate = own_certificate
    server = serve(tls='implicit', certificate=own_certificate)
    zone = Zone({('_pop3s._tcp.example.org', 'SRV'): [
        (20, 9, 1, 'wrong.example.org'), (10, 1, 2, 'wrong.example.org'),
        (10, 7, server.port, 'pop.example.org')]})
    done = setup.fetcher.execute(in_mounts(setup, setup.command()), env=setup.environment())
    assert 'DNS' in done.stdout
    assert f'pop3s://demo@pop.example.org:{server.port}' in setup.file.read_text()
    zone.stop()


@own_network
def test_threat_86_a_server_of_another_domain_is_not_believed(setup, serve, own_certificate):
    """DNS is not signed: a script does not send a password to another domain on its word."""
    needs_mounts()
    server = serve(tls='implicit', certificate=own_certificate)
    zone = Zone({('_pop3s._tcp.example.org', 'SRV'): [(1, 1, server.port, 'pop.example.net')]})
    done = setup.fetcher.execute(in_mounts(setup, setup.command('--yes')), UNAVAILABLE,
                                 env=setup.environment())
    assert '--server pop3s://pop.example.net' in done.stderr and server.sessions == []
    zone.stop()


@own_network
def test_a_service_that_is_not_offered_and_mail_at_a_provider(setup):
    needs_mounts()
    zone = Zone({('_pop3s._tcp.example.org', 'SRV'): [(0, 0, 0, '')],
                 ('_pop3._tcp.example.org', 'SRV'): [(0, 0, 0, '')],
                 ('example.org', 'MX'): [(9, 'x.example.org'),
                                         (5, 'example-org.mail.protection.outlook.com')]})
    command = setup.command('--no-test', '--client-id', 'x', secret=False)
    done = setup.fetcher.execute(in_mounts(setup, command), env=setup.environment())
    assert 'outlook.office365.com' in done.stdout
    assert 'oauth = "microsoft"' in setup.file.read_text()
    zone.stop()


@own_network
@pytest.mark.parametrize('raw', [b'', b'\x81\x80',
                                 b'\x81\x80\0\1\xff\xff\0\0\0\0' + b'\xc0\x0c' * 40,
                                 b'\x81\x80\0\0\0\1\0\0\0\0\0\0\x21\0\1\0\0\0\1\xff\xff\0'])
def test_dns_that_answers_nonsense(setup, raw):
    needs_mounts()
    zone = Zone({}, raw=raw)
    done = setup.fetcher.execute(in_mounts(setup, setup.command()), UNAVAILABLE,
                                 env=setup.environment())
    assert 'not found' in done.stderr and ('_pop3s._tcp.example.org', 'SRV') in zone.asked
    zone.stop()


# tokens

def test_with_tokens(setup, serve, certificate, provider):
    server = serve(tls='implicit', certificate=certificate, mechanisms=('XOAUTH2',))
    server.tokens = provider.access
    setup.file.parent.mkdir(parents=True)
    setup.file.write_text(provider.section())
    done = setup.run('--server', f'pop3s://localhost:{server.port}', '--oauth', 'stand-in',
                     '--name', 'work', secret=False)
    assert 'WDJB-MJHT' in done.stdout and 'XOAUTH2' in done.stdout
    setup.fetch('work')
    assert len(setup.fetcher.files()) == 5
    provider.device = ['access_denied']
    before = setup.file.read_text()
    setup.run('--server', f'pop3s://localhost:{server.port}', '--oauth', 'stand-in', '--name',
              'more', secret=False, expect=NOPERM)
    assert setup.file.read_text() == before


# a person at a terminal

def test_a_person_is_asked(setup, pop3s):
    setup.base = setup.base[2:]
    seen = setup.talk([('POP3 server', f'localhost:{pop3s.port}'),
                       ('Where its mail goes', f'maildir:{setup.fetcher.maildir}'),
                       ('Password', PASSWORD), ('timer', 'no'), ('daemon', 'no')], '--no-lookup')
    assert PASSWORD not in seen
    kept = setup.file.parent / 'demo@example.org.password'
    assert kept.read_text() == PASSWORD + '\n' and oct(kept.stat().st_mode & 0o777) == '0o600'
    setup.fetch()
    assert len(setup.fetcher.files()) == 5


def test_a_person_who_mistypes(setup, pop3s):
    setup.talk([('Password', 'wrong')], '--server', f'localhost:{pop3s.port}', expect=NOPERM)
    assert not setup.file.exists()
    seen = setup.talk([], '--server', f'localhost:{dead_port()}', expect=TEMPFAIL)
    assert 'Password' not in seen, 'the host is tried before the password is asked for'


# the timer

def fake_systemctl(setup, status=0):
    folder = setup.fetcher.scratch / 'bin'
    folder.mkdir(exist_ok=True)
    (folder / 'systemctl').write_text(f'#!/bin/sh\necho "$@" >>{folder}/asked\nexit {status}\n')
    (folder / 'systemctl').chmod(0o755)
    return folder / 'asked', setup.environment(PATH=f'{folder}:{os.environ["PATH"]}')


def test_the_timer(setup, pop3s):
    asked, env = fake_systemctl(setup)
    server = ['--server', f'localhost:{pop3s.port}']
    setup.run(*server, '--timer', env=env)
    off_and_on = asked.read_text()
    assert off_and_on == ('--user disable --now valija-fetch-watch.service\n'
                          '--user enable --now valija-fetch.timer\n')
    setup.run(*server, '--name', 'b', env=env)
    assert asked.read_text() == off_and_on, 'a script that does not ask for it gets none'
    done = setup.run(*server, '--watch', '--name', 'd', env=env)
    assert 'collected always' in done.stdout
    assert asked.read_text() == off_and_on + (
        '--user disable --now valija-fetch.timer\n'
        '--user enable --now valija-fetch-watch.service\n')
    asked, env = fake_systemctl(setup, 1)
    done = setup.run(*server, '--timer', '--name', 'c', env=env, expect=UNAVAILABLE)
    assert 'the account is written' in done.stderr and 'account "c"' in setup.file.read_text()
