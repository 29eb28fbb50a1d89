"""Logins whose password hash takes long wait in auth, and hold up nobody else. Nothing here is
measured by a clock: what must not wait is over while hashes of minutes are still to be computed."""
import os
import resource
import select
import signal

import pytest

from office import PASSWORD, wait_until
from test_attack_keeper import the
from test_attack_processes import LONE

# seconds for each, and no password is right
SLOW = '$6$rounds=2000000$saltsalt$' + 'x' * 86
SETTINGS = {**LONE, 'processes.auth_workers': 1}


def add_line(office, name, secret):
    with (office.dir / 'users').open('a') as file:
        file.write(f'{name}:{secret}\n')


@pytest.fixture
def slow_office(make_office):
    office = make_office(start=False, settings=SETTINGS)
    add_line(office, 'slow', SLOW)
    office.start()
    return office


def try_slow(client, name='slow'):
    client.send(f'USER {name}\r\nPASS wrong\r\n')


def unanswered(clients):
    """Those to which no reply to PASS came."""
    poll = select.poll()
    for client in clients:
        poll.register(client.socket, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(0)}
    return [c for c in clients if not c.buffer and c.socket.fileno() not in ready]


def crowd(connect, office, count):
    """count logins that wait for the one worker."""
    clients = [connect(office) for _ in range(count)]
    for client in clients:
        try_slow(client)
    for client in clients:
        assert client.line().startswith('+OK')  # USER; PASS is on its way to auth
    return clients


def test_threat_72_a_slow_hash_holds_up_no_quick_login(slow_office, connect):
    clients = crowd(connect, slow_office, 60)
    for _ in range(20):
        quick = connect(slow_office)
        quick.login('demo', PASSWORD)
        quick.quit()
    assert len(unanswered(clients)) > 30


def test_threat_72_more_slow_logins_than_credits_hold_up_no_quick_one(slow_office, connect):
    clients = crowd(connect, slow_office, 1200)  # IPC_AUTH_CREDITS and more
    quick = connect(slow_office)
    quick.login('demo', PASSWORD)
    assert quick.stat() == (0, 0)
    quick.quit()
    assert len(unanswered(clients)) > 1000
    for client in clients:  # those that give up wait no longer: the worker is free for others
        client.reset()
    last = connect(slow_office)
    last.ok('USER slow')
    assert last.err('PASS wrong').startswith('-ERR [AUTH]')


def test_threat_72_what_the_queue_does_not_hold_is_not_called_wrong(slow_office, connect):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 8192:
        pytest.skip('fewer than 8192 descriptors')
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 8192), hard))
    try:
        slow_office.allow('.')
        clients = crowd(connect, slow_office, 3300)
        wait_until(lambda: len(unanswered(clients)) <= 3072 + 30, 60)
        waiting = set(unanswered(clients))
        answers = [c.line() for c in clients if c not in waiting]
        busy = [line for line in answers if 'too many logins wait' in line]
        assert len(busy) >= 3300 - 3072 - 30
        assert all(line.startswith('-ERR [SYS/TEMP]') for line in busy)
        quick = connect(slow_office)
        quick.login('demo', PASSWORD)
        quick.quit()
        for client in clients:
            client.reset()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_threat_72_who_logged_in_before_comes_before_a_crowd(make_office, connect):
    office = make_office(start=False, settings={**SETTINGS, 'login.cache_entries': 0})
    add_line(office, 'slow', SLOW)
    office.add_user('anna', scheme='YESCRYPT')
    office.start()
    home, other = '127.0.9.1', '127.0.9.2'
    with connect(office, source=home) as anna:
        anna.login('anna', PASSWORD)
    clients = [connect(office, source=f'127.0.8.{n}') for n in range(1, 81)]
    for client in clients:
        try_slow(client)
    for client in clients:
        client.line()
    stranger = connect(office, source=other)
    stranger.send(f'USER anna\r\nPASS {PASSWORD}\r\n')
    stranger.line()
    for _ in range(3):
        with connect(office, source=home) as anna:
            anna.login('anna', PASSWORD)
    # the crowd, and anna from elsewhere, are not done
    assert len(unanswered([*clients, stranger])) > 40
    assert unanswered([stranger])


def test_all_logins_go_on_when_auth_does(make_office, connect):
    office = make_office(settings=LONE, users=())
    names = [f'u{n}' for n in range(1100)]  # IPC_AUTH_CREDITS and more
    with (office.dir / 'users').open('a') as file:
        file.writelines(f'{name}:{{PLAIN}}{PASSWORD}\n' for name in names)
    auth = the(office, 'auth')
    clients = [connect(office) for _ in names]
    os.kill(auth, signal.SIGSTOP)
    try:
        for name, client in zip(names, clients):
            client.send(f'USER {name}\r\nPASS {PASSWORD}\r\n')
        for client in clients:
            assert client.line().startswith('+OK')  # USER
        assert unanswered(clients) == clients
    finally:
        os.kill(auth, signal.SIGCONT)
    for client in clients:
        assert client.line().startswith('+OK')
        client.quit()
