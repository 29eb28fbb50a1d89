"""Keepers of owners that come and go under load: logins that meet the end of an idle one, one that
is killed in the middle, more owners at once than keepers, messages to more owners than keepers.
Each login and each recipient gets an answer. Needs root."""
import concurrent.futures
import os
import signal
import socket
import time

import pytest
from lmtp import Lmtp
from office import PASSWORD, wait_until
from pop import Closed, Pop
from test_owners import FIRST_UID, keepers, login, owners_office, visit

pytestmark = pytest.mark.usefixtures('need_root')


def send_to(office, numbers, text=b'Subject: many\r\n\r\nx\r\n'):
    """The reply of each recipient, of RCPT or after the dot."""
    with Lmtp(office.lmtp, timeout=90) as client:
        client.expect('MAIL FROM:<carol@example.com>', '250')
        answers = {n: client.ask(f'RCPT TO:<o{n}>') for n in numbers}
        taken = [n for n, reply in answers.items() if reply.startswith('250')]
        if taken:
            client.expect('DATA', '354')
            client.send(text + b'.\r\n')
            answers.update({n: client.reply() for n in taken})
        client.quit()
    return answers


def test_logins_that_meet_the_end_of_an_idle_keeper(make_office):
    """Each visit begins when the keeper of the last one is about to end."""
    office = owners_office(make_office, 2, owner_idle='1s')
    for n in range(6):
        visit(office, 0)
        time.sleep(0.9 + 0.04 * n)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            delivery = pool.submit(send_to, office, [0])
            visit_again = pool.submit(visit, office, 1)
            assert delivery.result()[0].startswith('250')
            visit_again.result()
    with login(office, 0) as client:
        assert client.stat()[0] == 1 + 6
        client.quit()
    assert 'channel to' not in office.log_text()


def test_a_session_that_outlasts_the_idle_time_of_its_keeper(make_office):
    office = owners_office(make_office, 1, owner_idle='1s')
    with login(office, 0) as client:
        pid = keepers(office)[FIRST_UID]
        for _ in range(3):
            time.sleep(0.7)
            assert client.retr(1)
        assert keepers(office) == {FIRST_UID: pid}
        client.ok('DELE 1')
        client.quit()
    office.has_files('o0', 0)
    wait_until(lambda: not keepers(office))


@pytest.mark.parametrize('what', ['session', 'retr', 'deleted', 'delivery'])
def test_a_keeper_killed_in_the_middle(make_office, what):
    """Its own session ends without a deletion, its delivery is put off or done; others go on."""
    office = owners_office(make_office, 3)
    office.allow('.')
    client, other = login(office, 0), login(office, 1)
    killed = keepers(office)[FIRST_UID]
    lmtp = None
    if what == 'retr':
        client.send('RETR 1\r\n')
    elif what == 'deleted':
        client.ok('DELE 1')
    elif what == 'delivery':
        lmtp = Lmtp(office.lmtp, timeout=60)
        lmtp.begin('o0', 'o1')
    os.kill(killed, signal.SIGKILL)
    if lmtp:
        lmtp.send(b'Subject: x\r\n\r\nx\r\n.\r\n')
        replies = lmtp.replies(2)
        assert replies[0].startswith(('250', '451')) and replies[1].startswith('250'), replies
        lmtp.close()
    try:
        client.ask('QUIT')
        client.closed()
    except (Closed, ConnectionError):
        pass
    assert other.stat()[0] == 1 and other.retr(1)
    other.quit()
    wait_until(lambda: served(office))  # auth may not have seen its end yet
    assert keepers(office).get(FIRST_UID) != killed


def served(office):
    with Pop(office.pop3, timeout=90) as client:
        client.ok('USER o0')
        if not client.ask(f'PASS {PASSWORD}').startswith('+OK'):
            return False
        assert client.stat()[0] >= 1
        client.quit()
        return True


def test_forty_owners_with_few_keepers(make_office):
    """All at once: each one waits for his turn, and gets it or a word that says to come again."""
    office = owners_office(make_office, 40, owner_keepers=3)

    def one(number):
        for _ in range(5):
            client = Pop(office.pop3, timeout=90)
            try:
                client.ok(f'USER o{number}')
                reply = client.ask(f'PASS {PASSWORD}')
                if reply.startswith('+OK'):
                    assert client.stat()[0] == 1
                    client.quit()
                    return reply
                assert reply.startswith('-ERR [SYS/TEMP]'), reply
            finally:
                client.close()
        return reply

    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        replies = list(pool.map(one, range(40)))
    assert all(reply.startswith('+OK') for reply in replies), replies
    assert len(keepers(office)) <= 3
    assert 'channel to' not in office.log_text()


def test_a_message_to_more_owners_than_keepers(make_office):
    """Each recipient is answered; who got 250 has it once, who did not has nothing of it, and gets
    it when the MTA tries again."""
    office = owners_office(make_office, 4, owner_keepers=3)
    left, tries = [0, 1, 2, 3], 0
    while left:
        answers = send_to(office, left)
        assert sorted(answers) == left
        assert all(reply.startswith(('250', '452 4.5.3')) for reply in answers.values()), answers
        for n, reply in answers.items():
            assert len(office.files(f'o{n}')) == 1 + reply.startswith('250')
        left = [n for n in left if not answers[n].startswith('250')]
        tries += 1
        assert tries <= 2
    assert len(keepers(office)) <= 3


def test_messages_to_many_owners_while_they_log_in(make_office):
    office = owners_office(make_office, 10, owner_keepers=3)
    office.allow('no keeper for')
    with concurrent.futures.ThreadPoolExecutor(11) as pool:
        visits = [pool.submit(visit, office, n) for n in range(10)]
        messages = pool.submit(lambda: [send_to(office, (n, n + 1)) for n in range(0, 10, 2)])
        for one in visits:
            one.result()
        answers = messages.result()
    for n in range(10):
        reply = answers[n // 2][n]
        assert reply.startswith(('250', '451', '452 4.5.3')), reply
        assert len(office.files(f'o{n}')) == 1 + reply.startswith('250')


def test_all_keepers_at_work_is_said_and_passes(make_office):
    """A login that waits while all keepers have sessions goes on at the end of one of them."""
    office = owners_office(make_office, 5, owner_keepers=3)
    held = [login(office, n) for n in range(3)]
    waiting = []
    for n in (3, 4):
        client = Pop(office.pop3, timeout=60)
        client.ok(f'USER o{n}')
        client.send(f'PASS {PASSWORD}\r\n')
        waiting.append(client)
    held[0].reset()  # not even a QUIT
    held[1].quit()
    for client in waiting:
        assert client.line().startswith('+OK')
        assert client.stat()[0] == 1
    assert held[2].stat()[0] == 1
    for client in (*waiting, held[2]):
        client.quit()


def test_a_client_that_leaves_while_it_waits_for_a_keeper(make_office):
    """Its place is free for the next one."""
    office = owners_office(make_office, 8, owner_keepers=1)
    held = login(office, 0)
    for n in range(1, 7):
        client = Pop(office.pop3)
        client.ok(f'USER o{n}')
        client.send(f'PASS {PASSWORD}\r\n')
        client.socket.shutdown(socket.SHUT_RDWR) if n % 2 else client.reset()
    held.quit()
    visit(office, 7)
    assert len(keepers(office)) <= 1
