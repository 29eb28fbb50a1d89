"""Sessions while mail moves here: what is at the other server and what came here meanwhile, as one
maildrop. The other server is a second valijad, or one of tests/hostile."""
import os
import random
import signal
import threading

import pytest

from lmtp import Lmtp
from office import PASSWORD, wait_until
from pop import Closed, Pop
from test_migrate import (THERE, has_switched, mail_of, migrate, numbered,  # noqa: F401
                          session, site, the_site, upstream, wire_of)
from test_mta_sasl import child
from test_remote import WIRE

from fetch_fixtures import serve  # noqa: E402,F401
from hostile import Cut, letter, wire_form  # noqa: E402


def deliver(office, *numbers, size=200):
    """Messages that came here; what RETR gives of each ends with the octets that are returned."""
    texts = [wire_form(letter(number, size=size, word='here')) for number in numbers]
    with Lmtp(office.lmtp) as client:
        for text in texts:
            client.deliver(text, 'anna')
    return texts


def ends(octets, texts):
    return len(octets) == len(texts) and all(a.endswith(b) for a, b in zip(octets, texts))


def top(octets, lines):
    head, body = octets.split(b'\r\n\r\n', 1)
    return b'\r\n'.join([head, b'', *body.split(b'\r\n')[:lines], b''])


@pytest.fixture
def both(site, serve):  # noqa: F811
    """both(server's messages, how many came here): (site, server, octets that came here)."""
    def make(there, here, **hooks):
        server = serve(numbered(*there), hooks=hooks)
        office = the_site(site, server)
        return office, server, deliver(office, *range(1, here + 1))
    return make


def test_one_maildrop_from_two(upstream, site):  # noqa: F811
    there = mail_of(upstream, 'there', THERE)
    office = site(upstream.pop3)
    assert mail_of(office) == there  # nothing came here yet
    texts = deliver(office, 1, 2)
    client = session(office)
    ids, sizes = client.uidl(), client.list()
    octets = [client.retr(number) for number in ids]
    assert ends(octets[:2], texts) and octets[2:] == WIRE
    assert list(ids.values())[2:] == [uid for uid, _ in there]
    assert list(ids) == list(sizes) == [1, 2, 3, 4, 5] and len(set(ids.values())) == 5
    assert list(sizes.values()) == [len(text) for text in octets]
    assert client.ok('STAT') == f'+OK 5 {sum(sizes.values())}'
    for number in ids:
        assert client.ok(f'LIST {number}') == f'+OK {number} {sizes[number]}'
        assert client.ok(f'UIDL {number}') == f'+OK {number} {ids[number]}'
        assert client.top(number, 1) == top(octets[number - 1], 1)
    for wrong in ('LIST 6', 'UIDL 6', 'RETR 6', 'DELE 6', 'TOP 6 0'):
        assert client.ask(wrong).startswith('-ERR')
    client.quit()
    now = list(zip(ids.values(), octets))
    migrate(office, wait=20)
    assert has_switched(office)
    assert mail_of(office) == now  # the same ids, in the same order


def test_deletions_go_to_both(both):
    office, server, texts = both(range(1, 4), 3)
    with session(office) as client:
        client.ok('DELE 2')
        client.ok('DELE 4')
        client.ok('RSET')
        client.ok('DELE 1')
        client.ok('DELE 6')
        client.ok('DELE 3')
        assert sorted(client.list()) == [2, 4, 5]
        client.quit()
    assert server.deleted == ['id-3']
    left = mail_of(office)
    assert ends([left[0][1]], texts[1:2]) and left[1:] == wire_of(numbered(1, 2))
    with session(office) as client:
        client.ok('DELE 1')  # here alone
        client.quit()
    assert mail_of(office) == left[1:] and server.deleted == ['id-3']
    with session(office) as client:
        client.ok('DELE 2')  # there alone
        client.quit()
    assert server.deleted == ['id-3', 'id-2']
    migrate(office, wait=20)
    assert mail_of(office) == left[1:2]


@pytest.mark.parametrize('how', ('refused', 'cut'))
def test_nothing_is_deleted_here_before_the_other_server_says_yes(both, how):
    def refuse(session, _):
        if not session.server.good:
            session.line('-ERR not now')
            if how == 'cut':
                raise Cut
            return True
    office, server, texts = both((1, 2), 2, QUIT=refuse)
    server.good = True
    before = mail_of(office)
    assert len(before) == 4 and ends([octets for _, octets in before[:2]], texts)
    server.good = False
    with session(office) as client:
        client.ok('DELE 1')
        client.ok('DELE 3')
        assert client.ask('QUIT').startswith('-ERR')
    server.good = True
    assert mail_of(office) == before and server.deleted == []


def test_a_password_that_may_not_delete(both):
    office, server, _ = both((1, 2), 2)
    output = office.valija('user', 'app', 'add', '-c', office.conf, '--no-delete', 'anna',
                           '--label', 'phone')
    password = output.stdout.split()[-1]
    before = mail_of(office)
    with session(office, 'anna', password) as client:
        client.ok('DELE 1')
        client.ok('DELE 4')
        assert client.quit()
    assert mail_of(office) == before and server.deleted == []


def test_messages_in_any_order_and_pipelined(both):
    """Small ones that are read ahead, here, and others that come from there, in one go."""
    count = 60
    office, server, _ = both(range(1, count + 1), count)
    octets = [text for _, text in mail_of(office)]
    numbers = list(range(1, 2 * count + 1))
    random.Random(7).shuffle(numbers)
    order = list(range(1, 2 * count + 1)) + numbers
    with session(office) as client:
        client.send(''.join(f'TOP {n} 1\r\n' if n % 7 == 0 else f'RETR {n}\r\n'
                            for n in order) + 'DELE 1\r\nDELE 120\r\nQUIT\r\n')
        for number in order:
            assert client.line().startswith('+OK')
            text = octets[number - 1]
            assert client.body() == (top(text, 1) if number % 7 == 0 else text), number
        for _ in range(3):
            assert client.line().startswith('+OK')
    assert server.deleted == ['id-60']
    assert [text for _, text in mail_of(office)] == octets[1:-1]


def test_lines_of_a_top_that_waited(both):
    """The answer to what is read ahead here comes before TOP goes there."""
    office, _, _ = both((1,), 30)
    with session(office) as client:
        want = top(wire_form(letter(1)), 3)
        for _ in range(20):
            client.send(''.join(f'RETR {n}\r\n' for n in range(1, 10)) + 'TOP 31 3\r\n')
            for number in range(1, 10):
                assert client.line().startswith('+OK')
                client.body()
            assert client.line().startswith('+OK')
            assert client.body() == want


def test_one_session_at_a_time_and_no_copying_meanwhile(both):
    office, server, _ = both((1, 2), 1)
    client = session(office)
    with Pop(office.pop3) as other:
        other.ok('USER anna')
        assert other.ask(f'PASS {PASSWORD}').startswith('-ERR [IN-USE]')
    assert 'a session has it' in migrate(office, good=(75,))
    assert server.retrieved == []
    client.ok('DELE 3')
    client.quit()
    migrate(office, wait=20)
    assert has_switched(office) and len(mail_of(office)) == 2


def test_mail_that_comes_during_a_session_is_in_the_next_one(both):
    office, _, _ = both((1, 2), 1)
    with session(office) as client:
        deliver(office, 2)
        assert len(client.list()) == 3
        client.quit()
    assert len(mail_of(office)) == 4


def test_the_other_server_does_not_answer(both):
    """A login without the part that is there has no maildrop, and leaves none open here."""
    office, server, _ = both((1, 2), 2)
    office.allow('maildrop-failed', 'is down')
    server.stop()
    for _ in range(2):
        with Pop(office.pop3) as client:
            client.ok('USER anna')
            assert client.ask(f'PASS {PASSWORD}').startswith('-ERR [SYS/TEMP]')
    # a session that was left open here would keep the copying away
    assert 'a session has it' not in migrate(office, good=(75,))


def test_a_login_that_is_given_up_leaves_nothing_open(both):
    asked, over = threading.Event(), threading.Event()

    def hang(session, _):
        if session.server.hangs:
            asked.set()
            over.wait(60)
            raise Cut
    office, server, _ = both((1, 2), 2, STAT=hang, UIDL=hang)
    office.allow('maildrop-failed', 'is down')
    server.hangs = True
    client = Pop(office.pop3)
    client.send(f'USER anna\r\nPASS {PASSWORD}\r\n')
    assert asked.wait(60)
    client.close()
    server.hangs = False
    over.set()

    def opens():
        with Pop(office.pop3) as other:
            other.ok('USER anna')
            return other.ask(f'PASS {PASSWORD}').startswith('+OK')
    wait_until(opens)
    assert len(mail_of(office)) == 4


@pytest.mark.parametrize('role', ('keeper', 'connector'))
def test_a_process_that_dies_ends_the_session(both, role):
    office, server, _ = both((1, 2), 2)
    office.allow('is gone', 'killed', 'died', 'signal')
    before = mail_of(office)
    client = session(office)
    client.ok('DELE 1')
    client.ok('DELE 3')
    old = child(office, role)
    os.kill(old, signal.SIGKILL)
    with pytest.raises((Closed, OSError)):
        while True:
            client.ask('NOOP')
    wait_until(lambda: old not in office.children())

    def opens():
        with Pop(office.pop3) as other:
            other.ok('USER anna')
            return other.ask(f'PASS {PASSWORD}').startswith('+OK')
    wait_until(opens)
    assert mail_of(office) == before and server.deleted == []


def test_one_id_here_and_there_is_refused(site, serve):  # noqa: F811
    server = serve(numbered(1, 2))
    office = the_site(site, server)
    deliver(office, 1)
    uid = mail_of(office)[0][0]
    server.messages.append((uid, letter(3)))
    office.allow('have the same unique id')
    with Pop(office.pop3) as client:
        client.ok('USER anna')
        assert client.ask(f'PASS {PASSWORD}').startswith('-ERR [SYS/PERM]')
    server.messages.pop()
    assert len(mail_of(office)) == 3


def test_a_switch_that_was_cut_off_is_served_from_there(both):
    """Until it is over: it may have shown some of the copies already."""
    office, _, _ = both((1, 2), 1)
    folder = office.mail / 'anna/valija-migrating'
    before = mail_of(office)
    folder.mkdir(mode=0o700)
    (folder / '.switching').touch()
    for path in (folder, folder / '.switching'):
        office.own(path)
    assert mail_of(office) == before[1:]
    migrate(office, wait=20)
    assert mail_of(office) == before and not folder.exists()
