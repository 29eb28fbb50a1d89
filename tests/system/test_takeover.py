"""A second login to a maildrop that is in use: it learns who has it, or takes over from a session
that sleeps, and nothing is lost by that."""
import os
import re
import signal
import socket
import time

from office import PASSWORD, wait_until
from pop import login_within

MAIL = [b'Subject: %d\n\nbody %d\n' % (n, n) for n in range(1, 5)]
LARGE = b'Subject: large\n\n' + (b'x' * 70 + b'\n') * 400_000
TAKEOVER = {'sessions': 'takeover'}
SLEEPS = 1.2  # a session is idle then, where one of 1 s is
AT_WORK = 5  # seconds, for a site that says 4: no pause of a busy machine is as long


def taking(make_office, after='1s', **more):
    office = make_office(settings={**TAKEOVER, 'timeouts.takeover': after, **more})
    office.put_many('demo', MAIL)
    return office


def login(connect, office, **more):
    client = connect(office, **more)
    client.login('demo', PASSWORD)
    return client


def attempt(connect, office):
    """The reply to a login, and the client."""
    client = connect(office)
    client.ok('USER demo')
    return client.ask(f'PASS {PASSWORD}'), client


def refused(connect, office):
    reply, client = attempt(connect, office)
    client.close()
    assert reply.startswith('-ERR [IN-USE]'), reply
    return reply


def busy_for(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield


def test_a_refused_login_learns_of_the_other_session(make_office, connect):
    office = make_office()
    office.put_many('demo', MAIL)
    first = login(connect, office)
    words = refused(connect, office)
    assert re.search(r' since \d{4}-\d\d-\d\d \d\d:\d\d UTC, from 127\.0\.0\.1, '
                     r'idle for [0-2] seconds', words), words
    time.sleep(SLEEPS)
    refused(connect, office)  # exclusive is the default, however long it sleeps
    assert first.stat()[0] == len(MAIL)


def test_threat_109_a_session_that_sleeps_is_taken_over(make_office, connect):
    office = taking(make_office)
    first = login(connect, office)
    first.ok('DELE 1')
    first.ok('DELE 3')
    time.sleep(SLEEPS)
    second = login(connect, office)
    assert second.stat()[0] == len(MAIL)  # what the first one marked is not deleted
    assert first.closed() == b''
    second.ok('DELE 2')
    second.ok('QUIT')
    office.wait_log(r'session-end .*another session took this maildrop over')
    assert login(connect, office).stat()[0] == len(MAIL) - 1


def test_a_session_under_tls_is_taken_over(make_office, connect):
    office = taking(make_office)
    first = login(connect, office, tls=True)
    time.sleep(SLEEPS)
    assert login(connect, office).stat()[0] == len(MAIL)
    assert first.closed() == b''


def test_a_session_at_work_is_not_taken_over(make_office, connect):
    office = taking(make_office, '4s')
    first = login(connect, office)
    for _ in busy_for(AT_WORK):
        first.ok('NOOP')
        refused(connect, office)
    assert first.stat()[0] == len(MAIL)


def test_a_client_that_reads_slowly_is_not_taken_over(make_office, connect):
    """It says nothing for long, and takes some octets now and then."""
    office = taking(make_office, '4s')
    office.put('demo', LARGE)
    first = login(connect, office)
    first.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    first.send(f'RETR {len(MAIL) + 1}\r\n')
    for _ in busy_for(AT_WORK):
        for _ in range(8):
            assert first.socket.recv(65536)
        refused(connect, office)


def test_a_client_that_takes_nothing_is_taken_over(make_office, connect):
    office = taking(make_office)
    office.put('demo', LARGE)
    first = login(connect, office)
    first.send(f'RETR {len(MAIL) + 1}\r\n')
    assert first.line().startswith('+OK')

    def taker():
        reply, client = attempt(connect, office)
        return client if reply.startswith('+OK') else None

    assert wait_until(taker, seconds=20).stat()[0] == len(MAIL) + 1


def test_threat_109_deletions_under_way_are_finished_and_answered_first(make_office, connect):
    office = taking(make_office)
    first = login(connect, office)
    first.ok('DELE 1')
    time.sleep(SLEEPS)
    keepers = [pid for pid, line in office.children().items() if 'keeper' in line]
    for pid in keepers:
        os.kill(pid, signal.SIGSTOP)
    try:
        first.send('QUIT\r\n')
        second = connect(office)
        second.ok('USER demo')
        second.send(f'PASS {PASSWORD}\r\n')
        time.sleep(0.2)
    finally:
        for pid in keepers:
            os.kill(pid, signal.SIGCONT)
    assert first.line().startswith('+OK')
    assert second.line().startswith('+OK')
    assert second.stat()[0] == len(MAIL) - 1


def test_a_session_of_the_generation_before_is_taken_over(make_office, connect):
    office = taking(make_office)
    first = login(connect, office)
    first.ok('DELE 1')
    refused(connect, office)
    office.reload()
    time.sleep(SLEEPS)
    second = login(connect, office)
    assert second.stat()[0] == len(MAIL)
    assert first.closed() == b''


def test_a_session_of_the_generation_before_at_work_is_not(make_office, connect):
    office = taking(make_office, '4s', **{'timeouts.drain': '60s'})
    first = login(connect, office)
    office.reload()
    for _ in busy_for(AT_WORK):
        first.ok('NOOP')
        assert re.search(r'from 127\.0\.0\.1', refused(connect, office))
    first.ok('DELE 2')
    first.ok('QUIT')
    assert login_within(connect, office, 'demo').stat()[0] == len(MAIL) - 1
