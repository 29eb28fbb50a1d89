"""`valija fetch` from a well-behaved server: octets, keep and delete, TLS in its forms, names."""
import pathlib
import re
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from fetching import CONFIG, NOHOST, TEMPFAIL, USAGE  # noqa: E402
from hostile import Cut, letter, wire_form  # noqa: E402

CORPUS = sorted((HERE.parent / 'corpus').glob('*.eml'))


def stored(octets):
    """What a Maildir holds of it: LF line ends."""
    return wire_form(octets).replace(b'\r\n', b'\n')


@pytest.mark.parametrize('chunk', [None, 1, 7], ids=['whole', 'octetwise', 'sevens'])
def test_every_shape_of_mail_arrives_octet_exact(fetcher, serve, chunk):
    # bare CR and LF are content: the wire form is given here as it is
    messages = [path.read_bytes() for path in CORPUS]
    server = serve(messages, chunk=chunk)
    fetcher.run(server, '--delete')
    assert fetcher.mail() == sorted(stored(message) for message in messages)
    assert server.messages == []


def test_crlf_is_stored_when_asked_for(fetcher, serve):
    server = serve([letter(1)])
    fetcher.run(server, '--crlf')
    assert fetcher.mail() == [wire_form(letter(1))]


def test_keep_leaves_them_and_collects_each_once(fetcher, serve):
    server = serve()
    fetcher.run(server, '--keep')
    fetcher.run(server, '--keep')
    server.messages.append(('another', letter(9)))
    fetcher.run(server, '--keep')
    assert len(server.messages) == 6 and len(fetcher.files()) == 6
    assert sorted(server.retrieved) == sorted(uid for uid, _ in server.messages)


def test_keep_is_the_default(fetcher, serve):
    server = serve()
    fetcher.run(server)
    assert len(server.messages) == 5 and len(fetcher.files()) == 5


def test_delete_removes_from_the_server_what_is_here(fetcher, serve):
    server = serve()
    fetcher.run(server, '--delete')
    assert server.messages == [] and len(fetcher.files()) == 5
    server.messages[:] = [('uid-1', letter(20))]  # an id that is used again, for new mail
    fetcher.run(server, '--delete')
    assert len(fetcher.files()) == 6


def test_delete_after_keep_downloads_nothing_again(fetcher, serve):
    server = serve()
    fetcher.run(server, '--keep')
    fetcher.run(server, '--delete')
    assert server.messages == [] and len(server.retrieved) == 5


def test_names_are_those_of_a_maildir(fetcher, serve):
    fetcher.run(serve([letter(1)]))
    [path] = fetcher.files(['new'])
    octets = path.read_bytes()
    match = re.fullmatch(r'\d{10}\.M\d{6}V[0-9a-f]{32}\.[^/:,]+,S=(\d+),W=(\d+)', path.name)
    assert match, path.name
    assert int(match[1]) == len(octets) and int(match[2]) == len(wire_form(octets))
    assert oct(path.stat().st_mode & 0o777) == '0o600'
    assert sorted(p.name for p in fetcher.maildir.iterdir()) == ['cur', 'new', 'tmp',
                                                                  'valija-staging']
    assert fetcher.staged() == []


def test_names_keep_the_order_of_the_server(fetcher, serve):
    fetcher.run(serve([letter(n) for n in range(300)]))
    got = [path.read_bytes() for path in fetcher.files(['new'])]
    assert got == [letter(n) for n in range(300)]


def test_pop3s(fetcher, serve, certificate):
    server = serve(tls='implicit', certificate=certificate)
    fetcher.run(server, '--ca', certificate[0])
    assert len(fetcher.files()) == 5 and server.tls_seen[0] in ('TLSv1.2', 'TLSv1.3')


def test_stls_is_what_pop3_means(fetcher, serve, certificate):
    server = serve(tls='starttls', certificate=certificate)
    fetcher.run(server, '--ca', certificate[0])
    assert len(fetcher.files()) == 5
    commands = server.sessions[0].commands
    secret = [n for n, c in enumerate(commands) if c.startswith(('PASS', 'APOP', 'AUTH'))]
    assert commands[0] == 'STLS' and secret and min(secret) > 0


def test_tls_by_name_wins_over_the_scheme(fetcher, serve, certificate):
    server = serve(tls='starttls', certificate=certificate)
    fetcher.run(server, '--ca', certificate[0], '--tls', 'starttls', scheme='pop3s')
    assert len(fetcher.files()) == 5


def test_nothing_is_said_when_nobody_watches(fetcher, serve):
    done = fetcher.run(serve())
    assert (done.stdout, done.stderr) == ('', '')


def test_verbose_sums_up(fetcher, serve):
    done = fetcher.run(serve(), '-v', '--delete')
    assert re.search(r'5 collected .* 5 deleted', done.stderr)


def test_two_runs_of_one_account_do_not_meet(fetcher, serve):
    import subprocess
    import threading

    inside, leave = threading.Event(), threading.Event()

    def wait(session, _):
        inside.set()
        leave.wait(60)

    server = serve(hooks={'CAPA': wait})
    first = subprocess.Popen(fetcher.command(server), stdin=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, env=fetcher.environment(), text=True)
    try:
        assert inside.wait(60)
        second = fetcher.run(server, expect=TEMPFAIL)
        assert 'another run' in second.stderr
    finally:
        leave.set()
        assert first.wait(60) == 0, first.stderr.read()
    assert len(fetcher.files()) == 5


def test_two_destinations_of_one_account_get_all_of_it_each(fetcher, serve):
    server = serve()
    fetcher.run(server)
    other = fetcher.scratch / 'other'
    fetcher.run(server, to=f'maildir:{other}')
    assert len(list((other / 'new').iterdir())) == 5 and len(fetcher.files()) == 5


def test_lock_step_without_the_capability(fetcher, serve):
    ahead = []

    def retr(session, _):
        ahead.append(session.buffer)

    server = serve(capabilities=('TOP', 'UIDL', 'USER'), hooks={'RETR': retr})
    fetcher.run(server, '--delete')
    assert len(fetcher.files()) == 5 and server.messages == [] and set(ahead) == {b''}


def test_pipelines_with_the_capability(fetcher, serve):
    ahead = []

    def retr(session, _):
        ahead.append(session.buffer.count(b'RETR'))

    fetcher.run(serve([letter(n) for n in range(100)], hooks={'RETR': retr}))
    assert len(fetcher.files()) == 100 and max(ahead) >= 50


def test_a_big_message_streams_through(fetcher, serve):
    body = b'a line of some length, again and again\n' * 150000
    server = serve([letter(1), letter(2) + body])
    fetcher.run(server, '--delete')
    assert fetcher.mail()[1] == letter(2) + body or fetcher.mail()[0] == letter(2) + body


@pytest.mark.parametrize('words, complaint', [
    (['fetch', 'http://demo@localhost', '--to', 'maildir:x'], 'pop3'),
    (['fetch', 'pop3://localhost', '--to', 'maildir:x'], 'names no user'),
    (['fetch', 'pop3://demo:secret@localhost', '--to', 'maildir:x'], 'password'),
    (['fetch', 'pop3://demo@localhost:0', '--to', 'maildir:x'], 'port'),
    (['fetch', 'pop3://demo@localhost:99999', '--to', 'maildir:x'], 'port'),
    (['fetch', 'pop3://demo@localhost'], '--to'),
    (['fetch', 'pop3://demo@localhost', '--to', 'imap:x'], 'maildir:DIR'),
    (['fetch', 'pop3://demo@localhost', '--to', 'maildir:x', '--frobnicate'], '--frobnicate'),
    (['fetch', 'pop3://demo@localhost', '--to', 'maildir:x', '--tls', 'maybe'], 'tls'),
])
def test_usage_errors_say_what_is_wrong(fetcher, words, complaint):
    from fetching import program

    done = fetcher.execute([str(program()), *words], expect=USAGE)
    assert complaint in done.stderr


@pytest.mark.parametrize('user', ['a%0d%0aDELE 1', 'a%00', 'a%0ab', 'a%1b[31m', 'a%zz', ''])
def test_threat_54_line_breaks_in_the_url_are_refused_here(fetcher, serve, user):
    server = serve()
    fetcher.run(server, user=user, expect=USAGE)
    assert server.sessions == []


def test_threat_54_a_password_with_a_line_break_inside_is_cut_at_it(fetcher, serve):
    fetcher.password_file.write_bytes(b'correct horse\r\nDELE 1\r\n')
    server = serve()
    fetcher.run(server)
    assert not any(command.startswith('DELE') for command in server.commands())


def test_a_name_that_does_not_exist(fetcher, serve):
    done = fetcher.run(serve(), host='no-such-host.invalid', expect=None)
    assert done.returncode in (NOHOST, TEMPFAIL) and 'no-such-host.invalid' in done.stderr


def test_nobody_listens(fetcher, serve):
    server = serve()
    server.stop()
    done = fetcher.run(server, expect=TEMPFAIL)
    assert f'127.0.0.1 port {server.port}' in done.stderr


def test_ipv6(fetcher, serve):
    import socket

    server = serve()
    try:
        listener = socket.create_server(('::1', 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip('no IPv6 here')
    server.listener.close()
    server.listener, server.port = listener, listener.getsockname()[1]
    import threading
    threading.Thread(target=server._accept, daemon=True).start()
    fetcher.run(server, host='[::1]')
    assert len(fetcher.files()) == 5


def test_a_maildir_in_a_folder_that_is_not_there(fetcher, serve):
    done = fetcher.run(serve(), to='maildir:/no/such/folder/Maildir', expect=73)
    assert '/no/such/folder' in done.stderr


def test_staging_of_another_account_is_left_alone(fetcher, serve):
    staging = fetcher.maildir / 'valija-staging'
    staging.mkdir(parents=True)
    (staging / 'somebody-elses').write_text('x')
    (staging / f'{"0" * 16}.{"1" * 32}').write_text('x')
    fetcher.run(serve())
    assert {p.name for p in fetcher.staged()} == {'somebody-elses', f'{"0" * 16}.{"1" * 32}'}


def test_the_server_goes_away_in_the_middle(fetcher, serve):
    def cut(session, argument):
        if argument == '3':
            raise Cut

    server = serve(hooks={'RETR': cut})
    done = fetcher.run(server, '--delete', '--no-pipelining', expect=TEMPFAIL)
    assert '127.0.0.1' in done.stderr and len(fetcher.files()) == 2
    assert len(server.messages) == 5
    server.hooks.clear()
    fetcher.run(server, '--delete')
    assert server.messages == [] and len(fetcher.files()) == 5 == len(set(fetcher.mail()))
    assert sorted(server.retrieved) == sorted(set(server.retrieved))


def test_a_damaged_state_file_is_not_ignored(fetcher, serve):
    server = serve()
    for number in range(6):
        fetcher.run(server)
        server.messages.append((f'more-{number}', letter(30 + number)))
    [journal] = [p for p in fetcher.state.iterdir() if p.suffix == '.journal']
    octets = bytearray(journal.read_bytes())
    octets[200] ^= 1
    journal.write_bytes(octets)
    done = fetcher.run(server, expect=65)
    assert str(journal.name) in done.stderr and 'damaged' in done.stderr
    assert CONFIG != 65
