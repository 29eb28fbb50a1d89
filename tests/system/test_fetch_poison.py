"""A message at which the session breaks does not keep those behind it from being collected: it is
taken last, then left out and named."""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import fetcher, serve  # noqa: E402,F401
from fetching import DATAERR, OK, PROTOCOL, TEMPFAIL, USAGE  # noqa: E402
from hostile import Cut, letter  # noqa: E402


def hang_up(session):
    raise Cut


def hang_up_inside(session):
    session.send(b'+OK\r\nSubject: broken\r\n')
    raise Cut


def stall(session):
    session.send(b'+OK\r\nSubject: broken\r\n')
    session.socket.settimeout(20)
    session.socket.recv(1)  # until the client goes
    raise Cut


def no_end(session):
    session.send(b'+OK\r\n')
    while True:
        session.socket.sendall(b'line after line after line\r\n' * 4000)


def no_reply(session):
    session.send(b'\x00\x01 what?\r\n')
    raise Cut


def poison(how, uid='uid-2'):
    """RETR of this message breaks the session."""
    def retr(session, number):
        if session.snapshot[int(number) - 1][0] == uid:
            session.server.tried.append(uid)
            how(session)
    return retr


CONFIG = ('account "x" {{\nserver = "pop3://demo@127.0.0.1:{port}"\ntls = "none"\n'
          'to = "maildir:{maildir}"\npassword-file = "{password}"\npolicy = "{policy}"\n'
          'refuse-size = "1M"\nreply-seconds = 1\npipelining = {pipelining}\n}}\n')


def run(fetcher, server, *options, policy='keep', pipelining='true', expect=None):
    text = CONFIG.format(port=server.port, maildir=fetcher.maildir, policy=policy,
                         password=fetcher.password_file, pipelining=pipelining)
    return fetcher.configured(text, '--state', fetcher.state, *options, expect=expect)


@pytest.mark.parametrize('policy', ['keep', 'delete'])
@pytest.mark.parametrize('pipelining', ['true', 'false'])
@pytest.mark.parametrize('how', [hang_up, hang_up_inside, stall, no_end, no_reply])
def test_the_others_arrive(fetcher, serve, how, pipelining, policy):
    server = serve(hooks={'RETR': poison(how)})
    server.tried = []
    codes = []
    for _ in range(4):
        done = run(fetcher, server, policy=policy, pipelining=pipelining)
        codes.append(done.returncode)
        if done.returncode == DATAERR:
            break
        assert done.returncode in (TEMPFAIL, PROTOCOL)
        assert 'message 2' in done.stderr and 'uid-2' in done.stderr
    assert codes[-1] == DATAERR and len(server.tried) == 3, codes
    assert fetcher.mail() == sorted(letter(n) for n in (1, 3, 4, 5))
    assert 'uid-2' in done.stderr and '--whole uid-2' in done.stderr
    # and so it stays, without another try
    done = run(fetcher, server, policy=policy, pipelining=pipelining, expect=DATAERR)
    assert len(server.tried) == 3 and 'uid-2' in done.stderr
    left = [uid for uid, _ in server.messages]
    assert left == (['uid-2'] if policy == 'delete' else [f'uid-{n}' for n in range(1, 6)])
    # mended over there, or just wanted: it comes when it is asked for
    server.hooks.clear()
    run(fetcher, server, '--whole', 'uid-2', policy=policy, expect=OK)
    assert fetcher.mail() == sorted(letter(n) for n in range(1, 6))
    run(fetcher, server, policy=policy, expect=OK)


def test_a_session_that_breaks_once_proves_nothing(fetcher, serve):
    server = serve(hooks={'RETR': poison(hang_up_inside)})
    server.tried = []
    run(fetcher, server, pipelining='false', expect=TEMPFAIL)
    server.hooks.clear()
    run(fetcher, server, pipelining='false', expect=OK)
    assert server.retrieved == [f'uid-{n}' for n in range(1, 6)], 'in their order'
    # and it is forgotten: three more are needed until another is left out
    server.messages.append(('uid-6', letter(6)))
    server.hooks['RETR'] = poison(hang_up_inside, 'uid-6')
    for _ in range(3):
        run(fetcher, server, pipelining='false', expect=TEMPFAIL)
    run(fetcher, server, pipelining='false', expect=DATAERR)


def test_two_of_them(fetcher, serve):
    def retr(session, number):
        if session.snapshot[int(number) - 1][0] in ('uid-1', 'uid-4'):
            raise Cut

    server = serve(hooks={'RETR': retr})
    codes = [run(fetcher, server, pipelining='false').returncode for _ in range(7)]
    assert codes == [TEMPFAIL] * 6 + [DATAERR]
    assert fetcher.mail() == sorted(letter(n) for n in (2, 3, 5))


def test_a_message_announced_too_large_comes_last_at_once(fetcher, serve):
    server = serve([letter(1, 3 << 20), letter(2), letter(3)])
    done = run(fetcher, server, expect=PROTOCOL)
    assert fetcher.mail() == sorted((letter(2), letter(3)))
    assert 'message 1' in done.stderr and 'refuse-size' in done.stderr
    run(fetcher, server, expect=PROTOCOL)
    run(fetcher, server, expect=PROTOCOL)
    run(fetcher, server, expect=DATAERR)


def test_without_unique_ids_it_is_known_by_its_size(fetcher, serve):
    letters = [letter(n, 400 + 100 * n) for n in range(1, 6)]

    def retr(session, number):
        if session.snapshot[int(number) - 1][0] == 'uid-2':
            raise Cut

    server = serve(letters, hooks={'RETR': retr,
                                   'UIDL': lambda s, _: s.line('-ERR what?') or True})
    codes = [run(fetcher, server, policy='delete', pipelining='false').returncode
             for _ in range(4)]
    assert codes == [TEMPFAIL] * 3 + [DATAERR]
    assert [uid for uid, _ in server.messages] == ['uid-2'] and len(fetcher.files()) == 4


def test_a_message_is_left_out_by_hand(fetcher, serve):
    server = serve(hooks={'RETR': poison(hang_up)})
    server.tried = []
    done = run(fetcher, server, '--dry-run', '--leave-out', 'uid-2', expect=OK)
    assert '4 to fetch' in done.stdout
    run(fetcher, server, '--leave-out', 'uid-2', policy='delete', expect=OK)
    run(fetcher, server, policy='keep-days 0', expect=OK)
    assert 'uid-2' not in server.deleted
    assert server.tried == [] and len(fetcher.files()) == 4
    done = run(fetcher, server, policy='delete', expect=OK)
    assert done.stderr == '' and [uid for uid, _ in server.messages] == ['uid-2']
    done = run(fetcher, server, '--leave-out', 'nothing', expect=USAGE)
    assert 'nothing' in done.stderr

