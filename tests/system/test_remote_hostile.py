"""Other servers that lie, break, drip and hang, behind a connector: the servers of the fetcher's
suite (tests/hostile). What a client here gets is that server's mail, whole, or a refusal, or a cut
without the end mark: never a part that looks whole, and no deletion that was not made."""
import os
import pathlib
import signal
import sys
import threading

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import certificate, serve  # noqa: E402,F401
from hostile import Cut, letter, make_certificate, stuffed, wire_form  # noqa: E402
from office import PASSWORD, wait_until  # noqa: E402
from pop import Closed, Pop  # noqa: E402
from test_remote import add_remote_user, section  # noqa: E402

SECRETS = ('PASS', 'AUTH', 'USER', 'APOP')


@pytest.fixture
def front_of(make_office, tmp_path):
    """front_of(server, …): an office whose user anna has her mail at that server, judged there."""
    def make(server, credentials='same', users=('anna',), **more):
        office = make_office(start=False)
        office.allow('maildrop-failed', 'deletions-failed', 'is down', r'old/anna: ',
                     r'message \d+: ')
        with office.conf.open('a') as conf:
            conf.write(section(server.port, credentials, login='demo', **more))
        for user in users:
            add_remote_user(office, user, 'remote=old', secret='')
        return office.start()
    return make


def log_in(office, password=PASSWORD):
    client = Pop(office.pop3)
    client.ok('USER anna')
    return client, client.ask(f'PASS {password}')


def logs_in_again(office):
    """A front that waits for the next auth may close a connection."""
    try:
        return log_in(office)[1].startswith('+OK')
    except Closed:
        return False


def session(office):
    client, reply = log_in(office)
    assert reply.startswith('+OK'), reply
    return client


def no_secret_was_sent(server):
    assert not [command for command in server.commands()
                if command.split(' ')[0].upper() in SECRETS], server.commands()


def mail_of(server):
    return [wire_form(octets) for _, octets in server.messages]


def numbered(count=5, **more):
    return [(f'id-{n}', letter(n, **more)) for n in range(1, count + 1)]


# ---- what is right ----

@pytest.mark.parametrize('capabilities', (('UIDL', 'TOP', 'USER'),
                                          ('UIDL', 'TOP', 'USER', 'PIPELINING')))
def test_all_in_pieces_of_one_octet(front_of, serve, capabilities):  # noqa: F811
    server = serve(numbered(), chunk=1, capabilities=capabilities)
    client = session(front_of(server))
    assert list(client.uidl().values()) == [uid for uid, _ in server.messages]
    assert [client.retr(n) for n in range(1, 6)] == mail_of(server)
    client.ok('DELE 1')
    client.ok('DELE 5')
    client.quit()
    assert server.deleted == ['id-1', 'id-5']


def test_top_is_top_there(front_of, serve):  # noqa: F811
    server = serve(numbered())
    client = session(front_of(server))
    head = client.top(1, 2)
    assert head == mail_of(server)[0][:len(head)] and head.count(b'\r\n') == 7
    client.quit()
    assert server.retrieved == [] and 'TOP 1 2' in server.commands()


def test_sizes_may_be_guesses(front_of, serve):  # noqa: F811
    def guess(session, _):
        session.multi('+OK', [f'{n} 12' for n, _, _ in session.listed()])
        return True
    server = serve(numbered(), hooks={'LIST': guess})
    client = session(front_of(server))
    assert client.list() == {n: 12 for n in range(1, 6)}
    assert client.ok('RETR 3') == '+OK the message follows'
    assert client.body() == mail_of(server)[2]
    client.quit()


def test_ids_that_no_client_could_get_are_digests(front_of, serve):  # noqa: F811
    messages = [('x' * 100, letter(1)), ('good', letter(2)), ('two words', letter(3))]
    office = front_of(serve(messages))
    client = session(office)
    ids = client.uidl()
    client.quit()
    assert ids[2] == 'good' and len(ids[1]) == len(ids[3]) == 64
    client = session(office)
    assert client.uidl() == ids
    client.quit()


# ---- refusals ----

@pytest.mark.parametrize('code, here', (
    ('[AUTH] wrong', '[AUTH]'), ('[IN-USE] somebody', '[IN-USE]'),
    ('maildrop is locked', '[IN-USE]'), ('[LOGIN-DELAY] wait', '[LOGIN-DELAY]'),
    ('[SYS/TEMP] later', '[SYS/TEMP]'), ('[SYS/PERM] never', '[SYS/PERM]')))
def test_codes_of_a_login(front_of, serve, code, here):  # noqa: F811
    capabilities = ('UIDL', 'TOP', 'USER') if 'locked' in code else \
        ('UIDL', 'TOP', 'USER', 'AUTH-RESP-CODE')
    server = serve(numbered(), capabilities=capabilities,
                   hooks={'PASS': lambda s, _: s.line('-ERR ' + code) or True})
    client, reply = log_in(front_of(server))
    assert reply.startswith('-ERR ' + here), reply
    client.close()
    assert len(server.sessions) == 1  # one connection a login


def test_a_message_that_is_refused_costs_no_session(front_of, serve):  # noqa: F811
    server = serve(numbered(), hooks={
        'RETR': lambda s, n: n == '2' and (s.line('-ERR [SYS/PERM] cannot be read') or True)})
    client = session(front_of(server))
    assert client.err('RETR 2').startswith('-ERR [SYS/PERM]')
    assert client.retr(3) == mail_of(server)[2]
    client.quit()


@pytest.mark.parametrize('hooks, deleted', (
    ({'QUIT': lambda s, _: s.line('-ERR some messages were not deleted') or True}, []),
    ({'DELE': lambda s, n: n == '2' and (s.line('-ERR not this one') or True)}, ['id-1']),
))
def test_deletions_that_are_refused(front_of, serve, hooks, deleted):  # noqa: F811
    server = serve(numbered(), hooks=hooks)
    office = front_of(server)
    client = session(office)
    client.ok('DELE 1')
    client.ok('DELE 2')
    assert client.err('QUIT').startswith('-ERR [SYS/TEMP]')
    server.idle()
    assert server.deleted == deleted


@pytest.mark.parametrize('verb', ('DELE', 'QUIT'))
def test_a_cut_at_the_end(front_of, serve, verb):  # noqa: F811
    def cut(_, __):
        raise Cut
    server = serve(numbered(), hooks={verb: cut})
    office = front_of(server)
    client = session(office)
    client.ok('DELE 1')
    reply = client.err('QUIT')
    assert reply.startswith('-ERR [SYS/TEMP]')
    assert ('nothing was deleted' in reply) == (verb == 'DELE')


def test_a_cut_at_a_quit_without_deletions(front_of, serve):  # noqa: F811
    def cut(_, __):
        raise Cut
    office = front_of(serve(numbered(), hooks={'QUIT': cut}))
    client = session(office)
    assert client.err('QUIT').startswith('-ERR [SYS/TEMP]')


# ---- lies and breakage ----

def listing(lines):
    return lambda s, _: s.multi('+OK', lines) or True


@pytest.mark.parametrize('hooks', (
    {'LIST': listing(['1 10', '3 10', '2 10', '4 10', '5 10'])},
    {'LIST': listing(['1 10', '2 10'])},
    {'LIST': listing(['1 10', 'two 10', '3 10', '4 10', '5 10'])},
    {'LIST': listing(['1 10', '2 18446744073709551616', '3 1', '4 1', '5 1'])},
    {'LIST': listing([f'{n} 9223372036854775807' for n in range(1, 6)])},
    {'LIST': listing(['0 10', '1 10', '2 10', '3 10', '4 10'])},
    {'UIDL': listing(['1 a', '2 b', '4 c', '3 d', '5 e'])},
    {'UIDL': listing(['1 a', '2 b', '3 c', '4 d'])},
    {'UIDL': listing(['1 a', '2 b', '3 c', '4 d', '5 e', '6 f'])},
    {'UIDL': listing(['1 a', '2', '3 c', '4 d', '5 e'])},
    {'UIDL': listing(['1 a', '2 ' + 'x' * 2000, '3 c', '4 d', '5 e'])},
    {'UIDL': lambda s, _: s.line('-ERR what?') or True},
    {'LIST': lambda s, _: s.line('-ERR what?') or True},
    {'LIST': lambda s, _: s.send(b'garbage\r\n') or True},
    {'LIST': lambda s, _: s.send(b'+OK\n1 10\n.\n') or True},
    {'PASS': lambda s, _: s.send(b'+OK\r\n+OK\r\n+OK\r\n') or True},
    {'PASS': lambda s, _: s.send(b'x' * 100000) or True},
    {'CAPA': lambda s, _: s.send(b'+OK\r\n' + b'A\r\n' * 100000) or True},
))
def test_a_listing_that_cannot_be_is_no_maildrop(front_of, serve, hooks):  # noqa: F811
    office = front_of(serve(numbered(), hooks=hooks), timeout='5s')
    client, reply = log_in(office)
    assert reply.startswith('-ERR [SYS/TEMP]'), reply
    client.ok('CAPA')


def test_a_cut_behind_each_octet(front_of, serve):  # noqa: F811
    """Of a session of its own each: a message comes whole, or without its end."""
    messages = numbered(2, size=150)
    whole = serve(messages)
    office = front_of(whole)
    client = session(office)
    assert client.retr(1) == mail_of(whole)[0]
    client.ok('DELE 1')
    client.quit()
    whole.idle()
    total = whole.sessions[0].sent
    outcomes = set()
    for limit in range(0, total + 1, 3):
        whole.cut_after = None
        session(office).close()  # one that works: the breaker stays closed
        whole.messages[:] = messages
        whole.deleted.clear()
        whole.cut_after = limit
        outcomes.add(cut_session(office, whole))
    assert {'refused', 'cut', 'not deleted', 'deleted'} <= outcomes, outcomes


def cut_session(office, server):
    """How far a session gets."""
    client, reply = log_in(office)
    with client:
        if not reply.startswith('+OK'):
            assert reply.startswith('-ERR [SYS/TEMP]'), reply
            return 'refused'
        try:
            reply = client.ask('RETR 1')
            if not reply.startswith('+OK'):
                return 'cut'
            assert client.body() == mail_of(server)[0]
            if not client.ask('DELE 1').startswith('+OK'):
                return 'cut'
            if client.ask('QUIT').startswith('-ERR'):
                return 'not deleted'
        except (Closed, ConnectionError):
            return 'cut'
        assert server.deleted == ['id-1']
        return 'deleted'


def test_a_message_without_end_ends_the_session(front_of, serve):  # noqa: F811
    ends = threading.Event()

    def endless(session, _):
        session.line('+OK')
        line = b'x' * 62 + b'\r\n'
        try:
            while not ends.is_set():
                session.send(line * 1000)
        except OSError:
            ends.set()
        raise Cut
    office = front_of(serve(numbered(), hooks={'RETR': endless}))
    client = session(office)
    client.ok('RETR 1')
    octets = client.closed()
    assert ends.wait(10)
    assert not octets.endswith(b'\r\n.\r\n') and len(octets) < (1 << 20) + 2000
    office.wait_log('more octets than twice what LIST said')
    ends.set()


def test_a_client_that_reads_nothing_holds_little(front_of, serve):  # noqa: F811
    """The other server is not read from: what it has sent is in sockets and in one buffer."""
    size = 32 << 20
    sent = []

    def large(session, _):
        session.line('+OK')
        piece = (b'y' * 62 + b'\r\n') * 256
        for _ in range(size // len(piece)):
            session.send(piece)
            sent.append(len(piece))
        session.send(b'.\r\n')
        return True
    server = serve([('one', letter(1))], hooks={
        'RETR': large, 'LIST': lambda s, _: s.multi('+OK', [f'1 {size}']) or True})
    office = front_of(server)
    client = session(office)
    client.send('RETR 1\r\n')
    before = -1
    while before != len(sent):  # until it stands still
        before = len(sent)
        threading.Event().wait(0.5)
    assert sum(sent) < size // 2, 'all of it was read for a client that reads nothing'
    client.line()
    assert len(client.body()) == size
    client.quit()


def test_a_silent_server(front_of, serve):  # noqa: F811
    waits = threading.Event()
    office = front_of(serve(numbered(), on_connect=lambda _: waits.wait(20)), timeout='1s')
    client, reply = log_in(office)
    waits.set()
    assert reply.startswith('-ERR [SYS/TEMP]')
    office.wait_log('silent for too long')
    client.close()


def test_a_server_that_goes_while_the_client_is_idle(front_of, serve):  # noqa: F811
    server = serve(numbered())
    client = session(front_of(server))
    for connection in server.sessions:
        connection.socket.shutdown(2)
    assert client.closed() == b''


# ---- TLS ----

def test_stls_refused(front_of, serve):  # noqa: F811
    server = serve(numbered())
    _, reply = log_in(front_of(server, tls='starttls'))
    assert reply.startswith('-ERR [SYS/TEMP]')
    no_secret_was_sent(server)


def test_octets_behind_the_answer_to_stls(front_of, serve, certificate):  # noqa: F811
    def inject(session, _):
        session.send(b'+OK begin\r\n+OK injected\r\n')
        session.start_tls()
        return True
    server = serve(numbered(), tls='starttls', certificate=certificate, hooks={'STLS': inject})
    _, reply = log_in(front_of(server, tls='starttls', verify=str(certificate[0])))
    assert reply.startswith('-ERR [SYS/TEMP]')
    no_secret_was_sent(server)


@pytest.mark.parametrize('tls', ('implicit', 'starttls'))
def test_a_certificate_for_another_name(front_of, serve, tmp_path, tls):  # noqa: F811
    other = make_certificate(tmp_path, 'elsewhere.example', addresses=())
    server = serve(numbered(), tls=tls, certificate=other)
    _, reply = log_in(front_of(server, tls='yes' if tls == 'implicit' else tls,
                               verify=str(other[0])))
    assert reply.startswith('-ERR [SYS/TEMP]')
    no_secret_was_sent(server)


def test_clear_text_at_a_port_with_tls(front_of, serve, certificate):  # noqa: F811
    server = serve(numbered())
    _, reply = log_in(front_of(server, tls='yes', verify=str(certificate[0])))
    assert reply.startswith('-ERR [SYS/TEMP]')
    no_secret_was_sent(server)


def test_sessions_of_tls_are_resumed(front_of, serve, certificate):  # noqa: F811
    server = serve(numbered(), tls='implicit', certificate=certificate, resumes=True)
    office = front_of(server, tls='yes', verify=str(certificate[0]))
    for _ in range(3):
        session(office).quit()
    assert server.tls_resumed == [False, True, True]


def test_sessions_that_begin_at_once_are_resumed(front_of, serve, certificate):  # noqa: F811
    """More of them than there are tickets: one of these is for all. All are here before any goes
    on, so that none gets another ticket meanwhile."""
    users = [f'anna{n}' for n in range(8)]
    together = threading.Barrier(len(users))
    crowd = threading.Event()

    def meet(_, __):
        if crowd.is_set():
            together.wait(20)
        return False
    server = serve(numbered(), tls='implicit', certificate=certificate, resumes=True,
                   hooks={'USER': meet})
    office = front_of(server, tls='yes', verify=str(certificate[0]), users=users)

    def begin(user):
        client = Pop(office.pop3)
        client.send(f'USER {user}\r\nPASS {PASSWORD}\r\n')
        return client

    def end(client):
        assert client.line().startswith('+OK') and client.line().startswith('+OK')
        client.quit()
    for user in users:  # each connector has one ticket or two now
        end(begin(user))
    crowd.set()
    for client in [begin(user) for user in users]:
        end(client)
    assert server.tls_resumed[len(users):] == [True] * len(users)


# ---- our own processes ----

def kill_connectors(office):
    for pid, line in office.children().items():
        if 'connector' in line:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize('verb', ('PASS', 'LIST', 'UIDL', 'RETR', 'DELE', 'QUIT'))
def test_a_connector_that_is_killed(front_of, serve, verb):  # noqa: F811
    """Wherever it is: the client hears of it, nothing is lost, and the next login works."""
    killed = threading.Event()

    def kill(session, argument):
        if killed.is_set():
            return False
        if verb == 'RETR':  # in the middle of a message
            session.send(b'+OK\r\n' + wire_form(letter(1))[:100])
        killed.set()
        kill_connectors(office)
        raise Cut
    server = serve(numbered(), hooks={verb: kill}, capabilities=('UIDL', 'TOP', 'USER'))
    office = front_of(server)
    office.allow('connector', 'was ended by signal')
    client, reply = log_in(office)
    if verb in ('PASS', 'LIST', 'UIDL'):
        assert reply.startswith('-ERR [SYS/TEMP]')
    else:
        client.send('RETR 1\r\nDELE 1\r\nQUIT\r\n')
        octets = client.closed()
        assert octets.count(wire_form(letter(1)).replace(b'\r\n.', b'\r\n..')) == (verb != 'RETR')
        assert verb != 'RETR' or b'\r\n.\r\n' not in octets
        assert not octets.endswith(b'bye\r\n') and octets.count(b'+OK') < 3
    assert killed.is_set() and server.deleted == []
    client.close()
    wait_until(lambda: logs_in_again(office))


def judging_slowly(serve):
    """A server that has been asked for a login when asked is set, and answers when goes_on is."""
    asked, goes_on = threading.Event(), threading.Event()

    def slow(_, __):
        asked.set()
        goes_on.wait(20)
        return False
    return serve(numbered(), hooks={'PASS': slow}), asked, goes_on


def test_auth_that_is_killed_while_a_login_is_judged(front_of, serve):  # noqa: F811
    server, asked, goes_on = judging_slowly(serve)
    office = front_of(server)
    office.allow('auth', 'was ended by signal')
    client = Pop(office.pop3)
    client.ok('USER anna')
    client.send(f'PASS {PASSWORD}\r\n')
    assert asked.wait(10)
    for pid, line in office.children().items():
        if ' auth ' in line:
            os.kill(pid, signal.SIGKILL)
    assert client.line().startswith('-ERR [SYS/TEMP]')
    goes_on.set()
    server.idle()
    wait_until(lambda: logs_in_again(office))


def test_auth_that_dies_with_a_verdict(front_of, serve):  # noqa: F811
    """The session at the other server, whose client hears nothing of it, ends."""
    server, asked, goes_on = judging_slowly(serve)
    office = front_of(server)
    office.allow('auth', 'was ended by signal')
    client = Pop(office.pop3)
    client.ok('USER anna')
    client.send(f'PASS {PASSWORD}\r\n')
    assert asked.wait(10)
    auths = [pid for pid, line in office.children().items() if ' auth ' in line]
    for pid in auths:
        os.kill(pid, signal.SIGSTOP)
    goes_on.set()
    wait_until(lambda: 'UIDL' in server.commands())
    for pid in auths:
        os.kill(pid, signal.SIGKILL)
    assert client.line().startswith('-ERR [SYS/TEMP]')
    wait_until(lambda: not any(thread.is_alive() for thread in server.threads))
    wait_until(lambda: logs_in_again(office))


def test_a_client_that_leaves_while_its_login_is_judged(front_of, serve):  # noqa: F811
    server, asked, goes_on = judging_slowly(serve)
    office = front_of(server)
    client = Pop(office.pop3)
    client.ok('USER anna')
    client.send(f'PASS {PASSWORD}\r\n')
    assert asked.wait(10)
    client.reset()
    office.wait_log('login-given-up .*user="anna"')
    goes_on.set()
    server.idle()
    assert not server.deleted
    session(office).quit()


def test_few_of_a_network_that_failed_are_judged_at_a_time(front_of, serve):  # noqa: F811
    """It is this machine that the other server bans."""
    asked, goes_on = threading.Semaphore(0), threading.Event()

    def slow(session, password):
        if password == 'wrong':
            return False
        asked.release()
        goes_on.wait(20)
        return False
    server = serve(numbered(), hooks={'PASS': slow})
    office = front_of(server)
    with office.conf.open('a') as conf:
        conf.write(f'listener "127.0.0.1:{office.pop3}" {{\n\tproxy_from = {{"127.0.0.1"}}\n'
                   '\tplain_networks = {"192.0.2.0/24"}\n}\n')
    office.reload()

    def connect():  # from an address that is not this machine's, as a proxy says
        client = Pop(office.pop3, greet=False)
        client.send('PROXY TCP4 192.0.2.7 192.0.2.1 4711 110\r\n')
        assert client.line().startswith('+OK')
        return client
    with connect() as client:
        client.ok('USER anna')
        assert client.err('PASS wrong').startswith('-ERR [AUTH]')
    clients = [connect() for _ in range(3)]
    for client in clients[:2]:
        client.ok('USER anna')
        client.send(f'PASS {PASSWORD}\r\n')
        assert asked.acquire(timeout=10)
    clients[2].ok('USER anna')
    assert clients[2].err(f'PASS {PASSWORD}').startswith('-ERR [SYS/TEMP] too many logins')
    goes_on.set()
    for client in clients[:2]:
        assert client.line().startswith('+OK')
    clients[2].login('anna', PASSWORD)
    for client in clients:
        client.close()
