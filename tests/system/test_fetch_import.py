"""Moving in from other fetchers: the real fetchmail, mpop and getmail collect and leave the mail
there, `valija fetch import` takes over, and nothing is collected again. Thunderbird by files of its
format."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import fetcher, serve  # noqa: E402,F401
from fetching import DATAERR, NOINPUT, OK, UNAVAILABLE, USAGE, program  # noqa: E402
from hostile import letter  # noqa: E402
from office import PASSWORD  # noqa: E402

NOBODY = 65534


def needs(name):
    return pytest.mark.skipif(not shutil.which(name), reason=f'{name} is not here')


class Home:
    """A person's home with the files of another fetcher, and of ours."""

    def __init__(self, fetcher, office=None, user=None):
        self.fetcher, self.office, self.user = fetcher, office, user
        self.path = fetcher.scratch
        self.path.chmod(0o755)
        for folder in ('new', 'cur', 'tmp'):
            (self.path / 'Old' / folder).mkdir(parents=True)

    def write(self, name, text, mode=0o600):
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def fill(self, first, last):
        for number in range(first, last):
            self.office.valija('deliver', '-c', self.office.conf, self.user,
                               stdin=letter(number).decode())

    def old(self, *command, drop=False):
        prefix = []
        if drop and os.geteuid() == 0:  # getmail delivers nothing as root
            subprocess.run(['chown', '-R', f'{NOBODY}:{NOBODY}', self.path], check=True)
            prefix = ['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups']
        done = subprocess.run([*prefix, *map(str, command)], capture_output=True, text=True,
                              env={**os.environ, 'HOME': str(self.path)}, timeout=120,
                              cwd=self.path, check=False)
        assert done.returncode == 0, (done.stdout, done.stderr)

    def valija(self, *words, expect=OK):
        return self.fetcher.execute([str(program()), 'fetch', *map(str, words)], expect=expect,
                                    env=self.fetcher.environment(XDG_CONFIG_HOME='',
                                                                 XDG_STATE_HOME=''))

    @property
    def config(self):
        return self.path / '.config/valija/fetch.conf'

    def collected(self):
        folder = self.path / 'Maildir/new'
        return len(list(folder.iterdir())) if folder.exists() else 0

    def nothing_comes_again(self, *options):
        """Before the import by --dry-run, then really, then with new mail."""
        done = self.valija('import', *options, '--dry-run')
        assert ': 0 to fetch (0 octets), 0 to delete' in done.stdout, done.stdout
        assert 'nothing was changed' in done.stdout
        assert not self.config.exists() and not (self.path / '.local').exists()
        self.valija('import', *options)
        self.valija()
        assert self.collected() == 0
        self.fill(50, 52)
        self.valija()
        assert self.collected() == 2


@pytest.fixture
def home(fetcher, shared, user):
    made = Home(fetcher, shared, user)
    made.fill(1, 8)
    return made


def mpop_conf(home, **more):
    settings = {'host': 'localhost', 'port': home.office.pop3, 'user': home.user, 'auth': 'user',
                'tls': 'off', 'passwordeval': f'"echo {PASSWORD}"', 'keep': 'on',
                'delivery': f'maildir {home.path}/Old', 'uidls_file': '~/.uidls-%U', **more}
    return 'account home\n' + ''.join(f'{name} {value}\n' for name, value in settings.items())


@needs('mpop')
@pytest.mark.parametrize('tls', ['none', 'starttls', 'implicit'])
def test_from_mpop(home, tls):
    more = {} if tls == 'none' else {'tls': 'on', 'tls_trust_file': home.office.cert}
    if tls == 'implicit':
        more.update({'tls_starttls': 'off', 'port': home.office.pop3s})
    home.write('.mpoprc', mpop_conf(home, **more))
    home.old('mpop', '-q', '-a')
    assert len(list((home.path / 'Old/new').iterdir())) == 7
    text = (home.path / '.mpoprc').read_text().replace('/Old', '/Maildir')
    home.write('.mpoprc', text)
    home.nothing_comes_again('mpop')
    config = home.config.read_text()
    assert 'account "home"' in config and 'policy = "keep"' in config
    assert ('tls = "none"' in config) == (tls == 'none')
    assert ('pop3s://' in config) == (tls == 'implicit')
    assert home.config.stat().st_mode & 0o077 == 0


@needs('fetchmail')
def test_from_fetchmail(home):
    home.user = f'{home.user}-of-netrc'
    home.office.add_user(home.user, password='word')
    home.fill(1, 8)
    rc = home.write('.fetchmailrc', f'''# of long ago
set daemon 600
set pidfile "{home.path}/pid"
poll localhost with protocol POP3 uidl port {home.office.pop3} auth password:
  user "{home.user}" there is anna here keep sslproto '' limit 2000000
    mda "cat >>{home.path}/old-mail"
''', 0o600)
    home.write('.netrc', f'machine localhost login {home.user} password word\n')
    home.old('fetchmail', '-f', rc, '--nodetach', '--silent', '-d0')
    assert (home.path / 'old-mail').read_text().count('Subject: letter') == 7
    text = rc.read_text().replace(f'mda "cat >>{home.path}/old-mail"', '')
    home.write('.fetchmailrc', text)
    home.nothing_comes_again('fetchmail')
    config = home.config.read_text()
    assert 'interval = "600s"' in config and 'max-size = "2000000"' in config
    assert 'password' not in config


@needs('getmail')
def test_from_getmail(home):
    if os.geteuid() != 0 and not shutil.which('setpriv'):
        pytest.skip('needs setpriv')
    text = f'''[retriever]
type = SimplePOP3Retriever
server = localhost
port = {home.office.pop3}
username = {home.user}
password_command = ("/bin/echo", "{PASSWORD}")
[destination]
type = Maildir
path = ~/Old/
[options]
delete = false
read_all = false
verbose = 0
'''
    home.write('.getmail/getmailrc', text)
    home.old('getmail', drop=True)
    assert len(list((home.path / 'Old/new').iterdir())) == 7
    if os.geteuid() == 0:
        subprocess.run(['chown', '-R', '0:0', home.path], check=True)
    home.write('.getmail/getmailrc', text.replace('~/Old', '~/Maildir'))
    home.nothing_comes_again('getmail')


def thunderbird(home, port, user, ids, **more):
    """A profile with a POP3 account, and an IMAP one beside it."""
    profile = '.thunderbird/ab12.default-release'
    prefs = {'server1.type': '"imap"', 'server1.hostname': '"imap.example.org"',
             'server2.type': '"pop3"', 'server2.hostname': '"127.0.0.1"',
             'server2.name': '"Home \\u0026 garden"', 'server2.userName': f'"{user}"',
             'server2.port': str(port), 'server2.socketType': '0',
             'server2.leave_on_server': 'true',
             'server2.directory': '"/somewhere/else"',
             'server2.directory-rel': '"[ProfD]Mail/127.0.0.1"', **more}
    home.write(f'{profile}/prefs.js', '// Mozilla User Preferences\n\n' + ''.join(
        f'user_pref("mail.server.{name}", {value});\n' for name, value in prefs.items()))
    home.write(f'{profile}/Mail/127.0.0.1/popstate.dat', '# POP3 State File\n'
               '# This is a generated file!  Do not edit.\n\n'
               f'*127.0.0.1 {user}\n' + ''.join(f'{line}\n' for line in ids) +
               '*another.example.org someone\nk other 1\n')
    home.write('.thunderbird/profiles.ini', '[Profile1]\nName=old\nIsRelative=1\nPath=none.old\n'
               'Default=1\n\n[Profile0]\nName=default-release\nIsRelative=1\n'
               'Path=ab12.default-release\n\n[InstallABC]\n'
               'Default=ab12.default-release\nLocked=1\n')


def test_from_thunderbird(fetcher, serve):
    home = Home(fetcher)
    server = serve([letter(n) for n in range(1, 7)])
    thunderbird(home, server.port, 'demo', ['k uid-1 1700000000', 'd uid-2 1700000000',
                                            'b uid-3 1700000000', 'f uid-4 1700000000', 'k uid-5'],
                **{'server2.delete_by_age_from_server': 'true',
                   'server2.num_days_to_leave_on_server': '14'})
    home.write('.netrc', 'machine 127.0.0.1 login demo password word\n')
    server.password = 'word'
    home.valija('import', 'thunderbird')
    config = home.config.read_text()
    assert 'account "Home & garden"' in config and 'policy = "keep-days 14"' in config
    assert 'imap' not in config
    home.valija()
    assert sorted(server.retrieved) == ['uid-4', 'uid-6']  # to be had whole, and the new one
    assert server.deleted == []


def test_keep_days_count_from_the_import(fetcher, serve):
    home = Home(fetcher)
    server = serve([letter(n) for n in range(1, 4)], password='word')
    thunderbird(home, server.port, 'demo', ['k uid-1 1', 'k uid-2 1'],
                **{'server2.delete_by_age_from_server': 'true',
                   'server2.num_days_to_leave_on_server': '3'})
    home.write('.netrc', 'machine 127.0.0.1 login demo password word\n')
    home.valija('import', 'thunderbird')
    home.valija()
    assert server.deleted == [] and server.retrieved == ['uid-3']
    text = home.config.read_text()
    home.config.write_text(text.replace('keep-days 3', 'keep-days 0'))  # they are over
    home.valija()
    assert sorted(server.deleted) == ['uid-1', 'uid-2', 'uid-3'] and server.retrieved == ['uid-3']


@pytest.mark.parametrize('policy, gone', [('--keep', []), ('--delete', []), ('--follow', []),
                                          ('--keep-newest=0', []), ('--keep-days=1', []),
                                          ('--keep-days=0', ['uid-1', 'uid-2'])])
def test_marked_messages_go_by_keep_days_alone(fetcher, serve, policy, gone):
    server = serve([letter(1), letter(2)])
    fetcher.run(server, '--mark-seen')
    fetcher.run(server, policy)
    assert sorted(server.deleted) == gone and server.retrieved == []


def test_a_marked_message_whose_id_is_anothers_now_is_not_deleted(fetcher, serve):
    server = serve([letter(1), letter(2)])
    fetcher.run(server, '--mark-seen')
    server.messages[0] = ('uid-1', letter(9, size=4000))
    fetcher.run(server, '--keep-days=0')
    assert server.deleted == ['uid-2']


def test_what_cannot_be_carried_over_is_named_with_its_line(fetcher):
    home = Home(fetcher)
    home.write('.fetchmailrc', '''set postmaster anna
defaults proto pop3
poll a.example.org via pop.example.org plugin "ssh x" preconnect 'make' :
  user 'anna@example.org' there with password 'very secret' is 'anna' here, ssl, fetchall,
  smtphost mx.example.org frobnicate
  user bert there pass "x" mda "/usr/bin/procmail -d %T" is bert here nokeep ssl no sslcertck
poll b.example.org proto imap user c password d
''')
    home.write('.fetchids', 'anna@example.org@a.example.org 1\n'
               'anna@example.org@a.example.org 2 3\nbad\n'
                            'who@a.example.org 5\n\n')
    done = home.valija('import', 'fetchmail')
    rc, ids = home.path / '.fetchmailrc', home.path / '.fetchids'
    for line, words in ((3, 'plugin'), (3, 'preconnect'), (4, 'fetchall'), (5, 'smtphost'),
                        (6, 'always verified'), (7, 'only POP3')):
        assert any(text.startswith(f'{rc}:{line}: ') and words in text
                   for text in done.stderr.splitlines()), (line, words, done.stderr)
    assert f'{ids}:3: ' in done.stderr and f'{ids}:4: ' in done.stderr
    assert 'very secret' not in done.stdout + done.stderr + home.config.read_text()
    config = home.config.read_text()
    assert 'pop3s://anna%40example.org@pop.example.org' in config
    assert 'command:/usr/bin/procmail -d bert' in config and 'b.example.org' not in config
    assert f'{rc}:4 and is not copied' in done.stdout and "umask 077; cat >'" in done.stdout
    assert '2 messages that fetchmail has collected are known' in done.stdout


def test_an_account_that_is_there_already_gets_its_ids_only(fetcher, serve):
    home = Home(fetcher)
    server = serve([letter(n) for n in range(1, 4)], password='word')
    secret = home.write('secret', 'word\n')
    home.write('.config/valija/fetch.conf', f'''# mine
account "mine" {{
	server = "pop3://demo@127.0.0.1:{server.port}"
	tls = "none"
	to = "maildir:~/Maildir"
	password-file = "{secret}"
}}
''')
    before = home.config.read_text()
    thunderbird(home, server.port, 'demo', ['k uid-1 1', 'k uid-3 1'])
    done = home.valija('import', 'thunderbird')
    assert home.config.read_text() == before and 'mine: demo' in done.stdout
    home.valija()
    assert server.retrieved == ['uid-2']
    home.valija('import', 'thunderbird')  # a second time changes nothing
    assert home.config.read_text() == before


def test_sections_are_added_behind_what_is_there(fetcher):
    home = Home(fetcher)
    home.write('.config/valija/fetch.conf', '''jobs = 3 # mine
account "home" { server = "pop3s://x@example.org" to = "maildir:~/Maildir" }
''', 0o640)
    home.write('.mpoprc', '''defaults
tls on
account home
host pop.example.org
user me$HOME"x\\
password "secret"
delivery mda "/usr/bin/deliver '$USER'"
account work : home
host work.example.org
''')
    done = home.valija('import', 'mpop')
    config = home.config.read_text()
    assert config.startswith('jobs = 3 # mine\naccount "home"') and 'account "home-2"' in config
    assert "to = 'command:/usr/bin/deliver \\'$USER\\''" in config and 'account "work"' in config
    assert 'what was collected is not known' in done.stderr
    assert home.config.stat().st_mode & 0o777 == 0o640, 'as it was'
    assert 'pop3://me%24HOME%22x%5C@pop.example.org' in config


def test_paths_are_written_whole(fetcher):
    """A timer or a daemon starts in another folder than the person did."""
    home = Home(fetcher)
    home.write('.mpoprc', 'account work\nhost work.example.org\nuser me\ntls on\n'
               'password "secret"\ndelivery maildir ~/Maildir\n')
    home.valija('import', 'mpop', '-c', 'here.conf')
    config = (home.path / 'here.conf').read_text()
    assert f'password-file = "{home.path}/' in config and 'secret"' not in config


@pytest.mark.parametrize('words, code', [
    ([], USAGE), (['outlook'], USAGE), (['mpop', 'a', 'b'], USAGE), (['mpop', '--nope'], USAGE),
    (['mpop', '/nowhere'], NOINPUT), (['thunderbird'], NOINPUT),
    (['getmail', '/dev/null'], DATAERR)],
    ids=range(7))
def test_what_is_no_import(fetcher, words, code):
    home = Home(fetcher)
    home.valija('import', *words, expect=code)
    assert not home.config.exists()


@pytest.mark.parametrize('name', ['fetchmail', 'mpop', 'getmail', 'thunderbird'])
@pytest.mark.parametrize('octets', [b'', b'\0' * 300, b'\xff\xfe' * 50, b'x' * 5000, b'[' * 99,
                                    b'user_pref("mail.server.a.type", "pop3");'], ids=range(6))
def test_files_that_are_something_else(fetcher, name, octets):
    home = Home(fetcher)
    file = home.path / 'file'
    file.write_bytes(octets)
    done = home.valija('import', name, file, expect=DATAERR)
    assert 'no POP3 account' in done.stderr and not home.config.exists()


def test_a_list_with_ids_of_long_ago(fetcher, serve):
    """Most known messages are gone: said once, as behind a clean-up, then taken for right."""
    home = Home(fetcher)
    server = serve([letter(n) for n in range(1, 4)], password='word')
    thunderbird(home, server.port, 'demo', ['k uid-1 1', 'k uid-2 1'] +
                [f'k gone-{n} 1' for n in range(40)])
    home.write('.netrc', 'machine 127.0.0.1 login demo password word\n')
    home.valija('import', 'thunderbird')
    home.valija(expect=UNAVAILABLE)
    assert server.retrieved == []
    home.valija()
    assert server.retrieved == ['uid-3']


def test_a_list_of_another_server_is_not_believed(fetcher, serve):
    """As many unknown messages as missing ones: ids have changed, or it is another mailbox."""
    home = Home(fetcher)
    server = serve([letter(n) for n in range(1, 9)], password='word')
    thunderbird(home, server.port, 'demo', [f'k other-{n} 1' for n in range(8)])
    home.write('.netrc', 'machine 127.0.0.1 login demo password word\n')
    home.valija('import', 'thunderbird')
    done = home.valija(expect=UNAVAILABLE)
    assert '--accept-new-uidls' in done.stderr and server.retrieved == []
