"""Logins of `valija fetch`: mechanisms, sources of passwords, secrets that are never shown."""
import base64
import pathlib
import shutil
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from fetching import NOINPUT, NOPERM, PROTOCOL, TEMPFAIL, TOKEN, UNAVAILABLE  # noqa: E402
from hostile import CAPABILITIES, PASSWORD, Replay, letter  # noqa: E402
from office import dead_port  # noqa: E402

ALL = ('LOGIN', 'PLAIN', 'CRAM-MD5', 'SCRAM-SHA-256')


def mechanism(server, session=-1):
    """The one of the session's last attempt."""
    for command in reversed(server.sessions[session].commands):
        word = command.split(' ')
        if word[0] == 'AUTH':
            return word[1]
        if word[0] in ('USER', 'APOP'):
            return word[0]


@pytest.mark.parametrize('offered, in_clear, under_tls', [
    (ALL, 'SCRAM-SHA-256', 'SCRAM-SHA-256'),
    (('LOGIN', 'PLAIN', 'CRAM-MD5'), 'CRAM-MD5', 'PLAIN'),
    (('CRAM-MD5',), 'CRAM-MD5', 'USER'),
    (('LOGIN', 'PLAIN'), 'PLAIN', 'PLAIN'),
    (('LOGIN',), 'LOGIN', 'LOGIN'),
    ((), 'USER', 'USER'),
    (('XOAUTH2', 'GSSAPI', 'EXTERNAL'), 'USER', 'USER'),
])
@pytest.mark.parametrize('tls', [None, 'implicit'])
def test_the_strongest_that_both_know(fetcher, serve, certificate, offered, in_clear, under_tls,
                                      tls):
    """Under verified TLS, the password comes before digests that few servers can check."""
    server = serve(mechanisms=offered, tls=tls, certificate=certificate)
    trust = ['--ca', certificate[0]] if tls else []
    fetcher.run(server, *trust)
    assert mechanism(server) == (under_tls if tls else in_clear) and len(fetcher.files()) == 5


def attempts(server, session=-1):
    """The mechanisms of a session in order; a "+" marks those with an initial response."""
    found = []
    for command in server.sessions[session].commands:
        word = command.split(' ')
        if word[0] == 'AUTH':
            found.append(word[1] + ('+' if len(word) > 2 else ''))
        elif word[0] == 'USER':
            found.append('USER')
    return found


def refuse_with(*words):
    """A hook of AUTH: these mechanisms are refused, "PLAIN+" with an initial response only."""
    def hook(session, argument):
        name, _, initial = argument.partition(' ')
        if name in words or (initial and name + '+' in words):
            session.line('-ERR no')
            return True
        return False
    return hook


@pytest.mark.parametrize('refused, tried', [
    (('PLAIN+',), ['PLAIN+', 'PLAIN']),
    (('PLAIN',), ['PLAIN+', 'PLAIN', 'LOGIN']),
    (('PLAIN', 'LOGIN'), ['PLAIN+', 'PLAIN', 'LOGIN', 'USER']),
])
def test_a_refused_mechanism_is_followed_by_the_next_as_strong(fetcher, serve, certificate,
                                                               refused, tried):
    server = serve(mechanisms=('CRAM-MD5', 'PLAIN', 'LOGIN'), tls='implicit',
                   certificate=certificate, hooks={'AUTH': refuse_with(*refused)})
    fetcher.run(server, '--ca', certificate[0])
    assert attempts(server) == tried and len(fetcher.files()) == 5
    fetcher.run(server, '--ca', certificate[0])
    assert attempts(server) == tried[-1:], 'what was good is the first next time'


def test_no_weaker_mechanism_follows_a_refused_one(fetcher, serve, certificate):
    server = serve(mechanisms=ALL, tls='implicit', certificate=certificate,
                   hooks={'AUTH': refuse_with('SCRAM-SHA-256')})
    done = fetcher.run(server, '--ca', certificate[0], expect=NOPERM)
    assert attempts(server) == ['SCRAM-SHA-256+'] and '--auth' in done.stderr
    in_clear = serve(mechanisms=('CRAM-MD5', 'PLAIN'), hooks={'AUTH': refuse_with('CRAM-MD5')})
    done = fetcher.run(in_clear, expect=NOPERM)
    assert attempts(in_clear) == ['CRAM-MD5'] and '--auth' in done.stderr


def test_a_refusal_with_its_reason_is_final(fetcher, serve):
    """Servers count wrong passwords: one is enough where the server says that it is one."""
    server = serve(mechanisms=('PLAIN', 'LOGIN'), password='another')
    fetcher.run(server, expect=NOPERM)
    assert attempts(server) == ['PLAIN+']


def test_a_changed_password_is_tried_once_where_the_mechanism_was_good(fetcher, serve):
    server = serve(mechanisms=('PLAIN', 'LOGIN'))
    fetcher.run(server)
    server.hooks['AUTH'] = refuse_with('PLAIN', 'LOGIN')
    fetcher.run(server, expect=NOPERM)
    assert attempts(server) == ['PLAIN+']


def test_tries_are_few_where_nothing_is_good(fetcher, serve, certificate):
    server = serve(mechanisms=('PLAIN', 'LOGIN', 'CRAM-MD5', 'XOAUTH2'), tls='implicit',
                   certificate=certificate,
                   hooks={'AUTH': refuse_with('PLAIN', 'LOGIN', 'CRAM-MD5'),
                          'PASS': lambda s, _: s.line('-ERR no') or True})
    done = fetcher.run(server, '--ca', certificate[0], expect=NOPERM)
    assert len(attempts(server)) == 4 and '--auth' in done.stderr


# tokens

@pytest.mark.parametrize('lines', [None, 1, 2])
@pytest.mark.parametrize('offered', [('XOAUTH2',), ('PLAIN', 'OAUTHBEARER'),
                                     ('PLAIN', 'OAUTHBEARER', 'XOAUTH2')])
def test_a_token_of_a_command(fetcher, serve, certificate, offered, lines):
    """In one line or two, as the server wants it; the form that was good is remembered."""
    token = 'ya29.' + 'A' * 1500
    server = serve(mechanisms=offered, tls='implicit', certificate=certificate, tokens=[token],
                   token_lines=lines)
    taken = 'XOAUTH2' if 'XOAUTH2' in offered else 'OAUTHBEARER'
    words = ['--ca', certificate[0], '--token-command', f'echo {token}']
    fetcher.run(server, *words, password=False)
    assert attempts(server) == [taken + '+'] + [taken] * (lines == 2)
    assert len(fetcher.files()) == 5
    fetcher.run(server, *words, password=False)
    assert attempts(server) == [taken + '+' * (lines != 2)]


def test_the_form_of_a_token_can_be_set(fetcher, serve, certificate):
    server = serve(mechanisms=('XOAUTH2',), tls='implicit', certificate=certificate,
                   tokens=['secret'], token_lines=2)
    text = (f'account "x" {{ server = "pop3s://demo@127.0.0.1:{server.port}"\n'
            f'to = "maildir:{fetcher.maildir}"\nca = "{certificate[0]}"\n'
            'token-command = "echo secret"\ninitial-response = ')
    fetcher.configured(text + '"no" }\n', '--state', fetcher.state)
    assert attempts(server) == ['XOAUTH2'] and len(fetcher.files()) == 5
    done = fetcher.configured(text + '"yes" }\n', '--state', fetcher.state, expect=TOKEN)
    assert attempts(server) == ['XOAUTH2+'] and 'token' in done.stderr
    fetcher.configured(text + '"never" }\n', expect=78)


@pytest.mark.parametrize('offered', [('XOAUTH2',), ('OAUTHBEARER',)])
@pytest.mark.parametrize('refusal', ['', None, 'not JSON', '{"status":"400"}'])
def test_a_refused_token(fetcher, serve, certificate, offered, refusal):
    server = serve(mechanisms=offered, tls='implicit', certificate=certificate, tokens=['right'],
                   token_refusal=refusal)
    done = fetcher.run(server, '--ca', certificate[0], '--token-command', 'echo wrong',
                       password=False, expect=TOKEN)
    assert 'wrong' not in done.stderr and offered[0] in done.stderr
    if refusal is not None:
        assert 'status' in done.stderr and len(attempts(server)) == 1


def test_a_token_never_goes_in_clear(fetcher, serve):
    server = serve(mechanisms=('XOAUTH2',), tokens=['secret'])
    done = fetcher.run(server, '--token-command', 'echo secret', password=False, expect=78)
    assert 'TLS' in done.stderr and server.sessions == []


def test_a_server_that_takes_no_tokens(fetcher, serve, certificate):
    server = serve(mechanisms=('PLAIN',), tls='implicit', certificate=certificate)
    done = fetcher.run(server, '--ca', certificate[0], '--token-command', 'echo secret',
                       password=False, expect=UNAVAILABLE)
    assert 'PLAIN' in done.stderr and attempts(server) == []


def test_a_transcript_masks_tokens(fetcher, serve, certificate):
    for lines in (1, 2):
        server = serve(mechanisms=('XOAUTH2',), tls='implicit', certificate=certificate,
                       tokens=['hush-hush-hush'], token_lines=lines)
        file = fetcher.scratch / 'transcript'
        fetcher.run(server, '--ca', certificate[0], '--token-command', 'echo hush-hush-hush',
                    '--record', file, password=False)
        sent = [w for c in server.commands() for w in c.split(' ') if len(w) > 30]
        assert sent and not [word for word in sent if word in file.read_text()]


# certificates

@pytest.mark.parametrize('good', [True, False])
def test_external(fetcher, serve, certificate, good):
    """The client's certificate is the login; no password is asked for."""
    more = {'client_ca': certificate[0]} if good else {}
    server = serve(mechanisms=('PLAIN', 'EXTERNAL'), tls='implicit', certificate=certificate,
                   **more)
    words = ['--ca', certificate[0], '--cert', certificate[0], '--key', certificate[1]]
    done = fetcher.run(server, *words, '--auth', 'external', password=False,
                       expect=0 if good else NOPERM)
    assert attempts(server)[0] == 'EXTERNAL+' and (len(fetcher.files()) == 5) == good
    assert good or 'EXTERNAL' in done.stderr


def test_external_needs_a_certificate(fetcher, serve):
    done = fetcher.run(serve(mechanisms=('EXTERNAL',)), '--auth', 'external', password=False,
                       expect=78)
    assert '--cert' in done.stderr


# secrets

def test_a_key_that_everybody_may_read_is_refused(fetcher, serve, certificate):
    key = fetcher.scratch / 'key.pem'
    key.write_bytes(certificate[1].read_bytes())
    server = serve(tls='implicit', certificate=certificate)
    words = ['--ca', certificate[0], '--cert', certificate[0], '--key', key]
    key.chmod(0o644)
    done = fetcher.run(server, *words, expect=NOPERM)
    assert f'chmod go= {key}' in done.stderr and server.sessions == []
    key.chmod(0o640)
    fetcher.run(server, *words)
    both = fetcher.scratch / 'both.pem'
    both.write_bytes(certificate[0].read_bytes() + key.read_bytes())
    both.chmod(0o644)
    done = fetcher.run(server, '--ca', certificate[0], '--cert', both, expect=NOPERM)
    assert f'chmod go= {both}' in done.stderr


def test_a_credential_of_systemd(fetcher, serve):
    folder = fetcher.scratch / 'credentials'
    folder.mkdir()
    (folder / 'mail').write_text(PASSWORD)
    (folder / 'mail').chmod(0o440)
    env = fetcher.environment(CREDENTIALS_DIRECTORY=folder)
    fetcher.run(serve(), '--password-credential', 'mail', password=False, env=env)
    assert len(fetcher.files()) == 5
    server = serve()
    for name, environment, status in (('mail', None, NOINPUT), ('other', env, NOINPUT),
                                      ('../password', env, 78), ('.', env, 78)):
        done = fetcher.run(server, '--password-credential', name, password=False,
                           env=environment, expect=status)
        assert name in done.stderr or 'CREDENTIALS_DIRECTORY' in done.stderr
    assert server.sessions == []


@pytest.mark.parametrize('mode', [0o644, 0o604, 0o602])
def test_a_secret_that_everybody_may_read_is_refused(fetcher, serve, mode):
    server = serve()
    fetcher.password_file.chmod(mode)
    done = fetcher.run(server, expect=NOPERM)
    assert f'chmod go= {fetcher.password_file}' in done.stderr and server.sessions == []
    netrc = fetcher.scratch / '.netrc'
    netrc.write_text(f'machine 127.0.0.1 login demo password {PASSWORD}\n')
    netrc.chmod(mode)
    done = fetcher.run(server, password=False, expect=NOPERM)
    assert f'chmod go= {netrc}' in done.stderr and server.sessions == []
    fetcher.password_file.chmod(0o640)
    fetcher.run(server)


def test_nothing_is_asked_where_no_host_answers(fetcher):
    import os
    import pty

    class Nowhere:
        tls, port = None, dead_port()

    pid, terminal = pty.fork()
    if pid == 0:
        words = fetcher.command(Nowhere, password=False)
        os.execve(words[0], words, fetcher.environment())
    seen = b''
    try:
        while more := os.read(terminal, 1000):
            seen += more
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == TEMPFAIL
    assert b'Password' not in seen and b'cannot connect' in seen


@pytest.mark.parametrize('name', ['plain', 'LOGIN', 'cram-md5', 'scram-sha-256', 'user', 'apop'])
def test_the_one_asked_for(fetcher, serve, name):
    server = serve(mechanisms=ALL, greeting='+OK ready <1.2@example.org>')
    fetcher.run(server, '--auth', name)
    assert mechanism(server) == name.upper() and len(fetcher.files()) == 5


def test_one_asked_for_that_is_not_offered(fetcher, serve):
    server = serve(mechanisms=('PLAIN',))
    done = fetcher.run(server, '--auth', 'scram-sha-256', expect=UNAVAILABLE)
    assert 'PLAIN' in done.stderr and mechanism(server) is None


def test_apop_is_chosen_without_tls_where_nothing_else_hides_the_password(fetcher, serve,
                                                                          certificate):
    server = serve(mechanisms=(), greeting='+OK <1.2@example.org>')
    fetcher.run(server)
    assert mechanism(server) == 'APOP'
    other = serve(mechanisms=(), greeting='+OK <1.2@example.org>', tls='implicit',
                  certificate=certificate)
    fetcher.run(other, '--ca', certificate[0])
    assert mechanism(other) == 'USER', 'under TLS the password is safer than its MD5'


def test_a_weaker_mechanism_than_last_time_is_not_accepted_in_silence(fetcher, serve):
    server = serve(mechanisms=ALL)
    fetcher.run(server)
    for path in fetcher.state.glob('*.journal'):
        assert b'SCRAM-SHA-256' in path.read_bytes()
    server.mechanisms = ('PLAIN',)
    done = fetcher.run(server, expect=UNAVAILABLE)
    assert 'SCRAM-SHA-256' in done.stderr and 'auth = PLAIN' in done.stderr
    assert not [c for c in server.commands() if c.startswith(('AUTH PLAIN', 'USER', 'PASS'))]
    fetcher.run(server, '--auth', 'plain')
    fetcher.run(server)
    assert mechanism(server) == 'PLAIN', 'what was asked for by name is the new measure'


def test_a_server_that_does_not_know_the_password_itself(fetcher, serve):
    def forge(session, argument):
        session.sasl_scram_sha_256(argument.partition(' ')[2], forge=True)
        return True

    def skip(session, argument):
        session.sasl_scram_sha_256(argument.partition(' ')[2], skip_proof=True)
        return True

    for hook in (forge, skip):
        server = serve(mechanisms=('SCRAM-SHA-256',), hooks={'AUTH': hook})
        done = fetcher.run(server, expect=NOPERM)
        assert 'proof' in done.stderr or 'prove' in done.stderr
        assert fetcher.files() == []


def test_a_broken_challenge(fetcher, serve):
    for challenge in ('+ !!!', '+ ', '+ AAAA', '+ ' + 'A' * 900):
        server = serve(mechanisms=('SCRAM-SHA-256',),
                       hooks={'AUTH': lambda s, _: s.line(challenge) or True})
        done = fetcher.run(server, expect=None, timeout=20)
        assert done.returncode not in (0, 99), challenge


def test_challenges_without_end(fetcher, serve):
    def endless(session, _):
        for _ in range(200):
            session.ask(b'more')

    server = serve(mechanisms=('LOGIN',), hooks={'AUTH': endless})
    fetcher.run(server, expect=None, timeout=20)
    assert len(server.sessions[0].commands) < 30


def test_wrong_password(fetcher, serve):
    done = fetcher.run(serve(password='another'), expect=NOPERM)
    assert 'password' in done.stderr and PASSWORD not in done.stderr


@pytest.mark.parametrize('code, expected', [('IN-USE', TEMPFAIL), ('LOGIN-DELAY', TEMPFAIL),
                                            ('SYS/TEMP', TEMPFAIL), ('SYS/PERM', UNAVAILABLE),
                                            ('AUTH', NOPERM)])
def test_what_the_server_says_decides_the_exit_code(fetcher, serve, code, expected):
    server = serve(hooks={'AUTH': lambda s, _: s.line(f'-ERR [{code}] because') or True})
    done = fetcher.run(server, expect=expected)
    assert 'because' in done.stderr


def test_password_from_a_command(fetcher, serve):
    fetcher.run(serve(), '--password-command', f'echo "{PASSWORD}"', password=False)
    assert len(fetcher.files()) == 5


def test_password_command_that_fails(fetcher, serve):
    server = serve()
    done = fetcher.run(server, '--password-command', 'exit 3', password=False, expect=78)
    assert '3' in done.stderr and server.sessions == []


def test_password_from_the_environment(fetcher, serve):
    fetcher.run(serve(), '--password-env', 'MAIL_PASSWORD', password=False,
                env=fetcher.environment(MAIL_PASSWORD=PASSWORD))
    assert len(fetcher.files()) == 5


def test_password_from_netrc(fetcher, serve):
    netrc = fetcher.scratch / '.netrc'
    netrc.write_text('machine elsewhere login demo password no\n'
                     'machine 127.0.0.1 login other password no\n'
                     'macdef init\nmachine 127.0.0.1 login demo password trap\n\n'
                     'machine 127.0.0.1\n  login demo\n  password secret1\n'
                     'default login x password y\n')
    netrc.chmod(0o600)
    fetcher.run(serve(password='secret1'), password=False)
    assert len(fetcher.files()) == 5


def test_no_password_anywhere(fetcher, serve):
    server = serve()
    done = fetcher.run(server, password=False, expect=NOINPUT)
    assert '--password-file' in done.stderr and server.sessions == []


def test_password_from_the_terminal(fetcher, serve):
    import os
    import pty

    server = serve()
    pid, terminal = pty.fork()
    if pid == 0:
        words = fetcher.command(server, password=False)
        os.execve(words[0], words, fetcher.environment())
    seen = b''
    while b'Password of demo' not in seen:
        seen += os.read(terminal, 1000)
    os.write(terminal, PASSWORD.encode() + b'\n')
    try:
        while True:
            more = os.read(terminal, 1000)
            if not more:
                break
            seen += more
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert PASSWORD.encode() not in seen and len(fetcher.files()) == 5


def test_spaces_and_length_of_passwords(fetcher, serve):
    for password in (' leading and trailing ', 'p' * 150, 'pässwörd'):
        fetcher.password_file.write_text(password + '\n')
        for auth in ('user', 'plain'):
            server = serve(password=password if auth == 'plain' else
                           password.encode().decode('latin-1'))
            if auth == 'plain' or password.isascii():
                fetcher.run(server, '--auth', auth)


@pytest.mark.parametrize('mechanism', ['PLAIN', 'SCRAM-SHA-256', 'LOGIN', 'CRAM-MD5'])
def test_a_password_too_long_for_a_command_line(fetcher, serve, mechanism):
    password = 'long ' * 200
    fetcher.password_file.write_text(password + '\n')
    server = serve(password=password, mechanisms=(mechanism,))
    fetcher.run(server)
    assert len(fetcher.files()) == 5
    assert all(len(c) <= 253 for c in server.commands() if c.startswith('AUTH'))


def test_capabilities_are_not_asked_for_twice(fetcher, serve):
    server = serve()
    fetcher.run(server)
    fetcher.run(server)
    assert 'CAPA' in server.sessions[0].commands and 'CAPA' not in server.sessions[1].commands
    # AUTH, UIDL + LIST, QUIT: three turns behind the greeting
    assert [c.split(' ')[0] for c in server.sessions[1].commands] == ['AUTH', 'UIDL', 'LIST',
                                                                      'QUIT']


def test_a_transcript_shows_all_but_secrets(fetcher, serve):
    for name in ('user', 'plain', 'login', 'cram-md5', 'scram-sha-256', 'apop'):
        server = serve([letter(1)], mechanisms=ALL, greeting='+OK <1.2@example.org>')
        file = fetcher.scratch / f'transcript-{name}'
        fetcher.run(server, '--auth', name, '--record', file)
        text = file.read_text()
        assert oct(file.stat().st_mode & 0o777) == '0o600'
        assert 'C: RETR 1\n' in text and 'S: Subject: letter 1\n' in text and 'masked' in text
        sent = [line for line in server.commands() if not line.split(' ')[0] in
                ('CAPA', 'UIDL', 'LIST', 'RETR', 'QUIT', 'USER', 'AUTH')]
        for secret in [PASSWORD, *sent, *[c.split(' ')[2] for c in server.commands()
                                          if c.startswith('AUTH') and c.count(' ') > 1]]:
            assert secret == '' or secret not in text, (name, secret)


def test_a_transcript_can_be_replayed(fetcher, serve):
    """The recorded server, played back to the client, has the same effect."""
    file = fetcher.scratch / 'transcript'
    fetcher.run(serve([letter(1), letter(2)], mechanisms=()), '--record', file)
    before = fetcher.mail()
    shutil.rmtree(fetcher.maildir)
    shutil.rmtree(fetcher.state)
    fetcher.run(serve([], session=Replay, transcript=file.read_text()))
    assert fetcher.mail() == before


def test_a_transcript_holds_every_octet(fetcher, serve):
    odd = (b'Subject: \xe4 {x*3} \\ \n\n' + bytes(range(32, 256)) + b' \n.\n...\nends in ...\n' +
           b'y' * 9000 + b'\n')
    for options in ([], ['--crlf']):
        file = fetcher.scratch / 'transcript'
        fetcher.run(serve([odd], chunk=1000), '--record', file, *options)
        before = fetcher.mail()
        shutil.rmtree(fetcher.maildir)
        shutil.rmtree(fetcher.state)
        fetcher.run(serve([], session=Replay, transcript=file.read_text()), *options)
        assert fetcher.mail() == before and len(before) == 1
        shutil.rmtree(fetcher.maildir)
        shutil.rmtree(fetcher.state)


def test_the_password_is_in_no_process_list(fetcher, serve):
    seen = []

    def look(session, _):
        for path in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                if b'valija' in (path / 'cmdline').read_bytes():
                    seen.append((path / 'cmdline').read_bytes() + (path / 'environ').read_bytes())
            except OSError:
                pass

    fetcher.run(serve(hooks={'UIDL': look}), '--password-env', 'NOTHING_ELSE', password=False,
                env=fetcher.environment(NOTHING_ELSE=PASSWORD))
    assert CAPABILITIES and not [s for s in seen if PASSWORD.encode() in s.split(b'\0')[0]]


@pytest.mark.parametrize('mechanism', ['SCRAM-SHA-1', 'SCRAM-SHA-256'])
@pytest.mark.parametrize('password', ['correct horse', ' ~!', 'mot de passe très long', 'x' * 200],
                         ids=['words', 'blank', 'umlaut', 'long'])
def test_scram_salts_a_password_of_any_kind(fetcher, serve, mechanism, password):
    server = serve(mechanisms=(mechanism,), password=password)
    fetcher.password_file.write_text(password + '\n')
    fetcher.run(server)
    assert len(fetcher.files()) == 5


@pytest.mark.parametrize('first', [b'r=%s,s=,i=4096', b'r=%s,s=QUJD,i=0', b'r=%s,s=QUJD,i=x',
                                   b'r=%s,s=*,i=4096', b'r=%s,i=4096', b's=QUJD,i=4096'])
def test_a_first_message_of_scram_that_is_none(fetcher, serve, first):
    def hook(session, argument):
        mine = base64.b64decode(argument.split(' ')[1]).split(b'r=')[1]
        session.ask(first.replace(b'%s', mine + b'server'))
        session.line('-ERR cancelled')
        return True

    server = serve(mechanisms=('SCRAM-SHA-256',), hooks={'AUTH': hook})
    fetcher.run(server, expect=PROTOCOL)
