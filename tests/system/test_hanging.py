"""Processes that neither work nor end: stopped, or waiting in the kernel for ever. They are noticed
and replaced, and no start and no stop of valijad waits for them."""
import contextlib
import ctypes
import os
import pathlib
import re
import signal
import socket
import struct
import time

import pytest

from fuse import Silent
from lmtp import Lmtp
from office import PASSWORD, wait_until
from pop import Pop
from test_lifecycle import serves_within, slowness

MAIL = b'Subject: one\n\nstill here\n'
ANSWER = {'processes.answer': '2s', 'processes.fronts': 2, 'processes.keepers': 1,
          'timeouts.drain': '1s'}
PIDFD_OPEN, PIDFD_GETFD = 434, 438
LIBC = ctypes.CDLL(None, use_errno=True)


def first(office, role):
    return min(pid for pid, line in office.children().items() if f'valijad: {role}' in line)


def other_fd(pid, number):
    """A duplicate of another process's descriptor."""
    process = LIBC.syscall(PIDFD_OPEN, pid, 0)
    fd = LIBC.syscall(PIDFD_GETFD, process, number, 0) if process >= 0 else -1
    if process >= 0:
        os.close(process)
    if fd < 0:
        pytest.skip(f'cannot take descriptors of others: {os.strerror(ctypes.get_errno())}')
    return fd


@pytest.mark.parametrize('role', ['front', 'auth', 'keeper', 'lmtp'])
def test_threat_64_a_stopped_child_is_replaced(make_office, role):
    office = make_office(settings=ANSWER)
    office.put('demo', MAIL)
    office.allow('has not answered', 'channel to')
    pid, mark = first(office, role), office.mark()
    os.kill(pid, signal.SIGSTOP)
    office.wait_log(rf'error: {role} 0 \(pid {pid}\) has not answered for 2 seconds', since=mark)
    wait_until(lambda: pid not in office.children())
    assert serves_within(office, slowness() + 5)[0] == 1
    with Lmtp(office.lmtp) as client:
        client.ask('MAIL FROM:<>')
        assert client.ask('RCPT TO:<demo>').startswith('250')


def test_threat_64_a_stopped_child_does_not_hold_up_the_end(make_office):
    office = make_office(settings={**ANSWER, 'processes.answer': '1h'})
    office.allow('.')
    for pid in office.children():
        os.kill(pid, signal.SIGSTOP)
    office.process.terminate()
    office.process.wait(15)
    office.stop()


def test_a_monitor_that_was_stopped_replaces_nobody(make_office):
    """All its children were silent for too long: it did not ask them."""
    office = make_office(settings=ANSWER)
    children = office.children()
    os.kill(office.process.pid, signal.SIGSTOP)
    time.sleep(4)
    os.kill(office.process.pid, signal.SIGCONT)
    time.sleep(1)
    assert office.children() == children


def test_no_process_is_asked_with_zero(make_office):
    office = make_office(settings={**ANSWER, 'processes.answer': '0'})
    pid = first(office, 'keeper')
    os.kill(pid, signal.SIGSTOP)
    time.sleep(2)
    assert pid in office.children()
    os.kill(pid, signal.SIGCONT)
    assert serves_within(office, slowness() + 2)


@pytest.fixture
def fuse(need_root):
    if not os.path.exists('/dev/fuse'):
        pytest.skip('no /dev/fuse')


def log_in(office, user):
    client = Pop(office.pop3)
    client.ok(f'USER {user}')
    client.send(f'PASS {PASSWORD}\r\n')
    return client


def test_threat_64_a_worker_that_waits_is_no_reason_to_end_its_process(make_office, fuse):
    office = make_office(settings=ANSWER, users=('demo', 'hung'))
    office.put('demo', MAIL)
    office.allow('.')
    office.maildir('hung')
    keeper = first(office, 'keeper')
    try:
        with Silent(office.mail / 'hung/new') as silent:
            client = log_in(office, 'hung')
            assert silent.asked.wait(10)
            time.sleep(4)
            assert keeper in office.children()
            assert serves_within(office, 5)[0] == 1
    finally:
        client.close()


def test_threat_64_what_hangs_in_the_kernel_is_given_up(make_office, fuse):
    """Nothing closes its channels: fronts and auth must be told."""
    office = make_office(settings=ANSWER, users=('demo', 'hung'))
    office.put('demo', MAIL)
    office.allow('.')
    office.maildir('hung')
    keeper, mark = first(office, 'keeper'), office.mark()
    with Silent(office.mail / 'hung/new') as silent:
        with log_in(office, 'hung') as client:
            assert silent.asked.wait(10)
            os.kill(keeper, signal.SIGKILL)
            office.wait_log(rf'keeper 0 \(pid {keeper}\) hangs in the kernel', since=mark)
            assert pathlib.Path(f'/proc/{keeper}').exists()
            assert serves_within(office, slowness() + 5)[0] == 1
            assert client.line().startswith('-ERR [SYS/TEMP]')
        office.reload()
        assert serves_within(office, slowness() + 5)[0] == 1
    wait_until(lambda: not pathlib.Path(f'/proc/{keeper}').exists())


def test_threat_64_what_hangs_in_the_kernel_holds_up_no_end_and_no_start(make_office, fuse):
    office = make_office(settings=ANSWER, users=('demo', 'hung'))
    office.put('demo', MAIL)
    office.allow('.')
    office.maildir('hung')
    keeper = first(office, 'keeper')
    with Silent(office.mail / 'hung/new') as silent:
        client = log_in(office, 'hung')
        assert silent.asked.wait(10)
        office.process.terminate()
        office.process.wait(15)
        assert pathlib.Path(f'/proc/{keeper}').exists()  # it still hangs
        office.wait_log(rf'keeper 0 \(pid {keeper}\) hangs in the kernel')
        office.process = None
        office.start()
        assert serves_within(office, slowness() + 2)[0] == 1
        client.close()
        office.stop(check=False)
    wait_until(lambda: not pathlib.Path(f'/proc/{keeper}').exists())


def test_threat_64_sockets_that_a_hung_process_holds_are_free(make_office, need_root, tmp_path):
    """The test holds them as a front would that cannot end."""
    office = make_office(settings=ANSWER)
    held = []
    for role in ('front', 'lmtp'):
        pid = first(office, role)
        for name in os.listdir(f'/proc/{pid}/fd'):
            if os.readlink(f'/proc/{pid}/fd/{name}').startswith('socket:'):
                held.append(socket.socket(fileno=other_fd(pid, int(name))))
    assert sum(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for sock in held) >= 3
    office.restart()
    assert serves_within(office, slowness() + 2)[0] == 0
    with Lmtp(office.lmtp) as client:
        assert client.greeting.startswith('220')
    for sock in held:
        sock.close()


def test_threat_66_a_keeper_that_ends_fronts_again_and_again(make_office, need_root):
    office = make_office(settings={**ANSWER, 'processes.fronts': 1})
    office.allow('.')
    office.put('demo', MAIL)
    keeper = first(office, 'keeper')
    channel = socket.socket(fileno=other_fd(keeper, 3))
    end = time.monotonic() + 30
    assert serves_within(office, slowness() + 5)[0] == 1
    # the start of valijad is in all instances (server/record.h): a session's id shows one of them
    line = office.log[office.wait_log(r' login from=\S+ session=\w+-\d') - 1]
    start = int(re.search(r'session=(\w+)-', line)[1], 16) & ~0xffff
    instance = 1
    while keeper in office.children() and time.monotonic() < end:
        try:
            channel.send(struct.pack('=II8xQ', 12, 0, start + instance % 64))  # PEER_LOST
        except OSError:
            break
        instance += 1
        time.sleep(0.002)
    channel.close()
    office.wait_log('the keeper is replaced instead')
    text = office.log_text()
    for role in ('front 0', 'lmtp 0'):
        assert text.count(f'has lost its channel to {role}') <= 3, text
    assert serves_within(office, slowness() + 5)[0] == 1


@pytest.mark.parametrize('count', [3, 20])
def test_threat_64_auth_does_not_wait_for_a_home(make_office, need_root, count):
    """Whose mail a home is, its filesystem does not say: that user and no other waits."""
    hung = [f'hung{i}' for i in range(count)]  # each takes a thread of auth for good
    office = make_office(users=('demo', 'late', *hung))
    for user in ('demo', 'late', *hung):
        office.put(user, MAIL)
    # with more of them than threads only those are served that were known before
    known = ('demo', 'late') if count < 16 else ('demo',)
    office.allow('has not answered', 'takes 10 s', 'maildrop-failed', 'answers again')
    with Pop(office.pop3) as client:
        client.login('demo', PASSWORD)
        client.quit()
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(Silent(office.mail / user)) for user in hung]
        clients = [Pop(office.pop3, timeout=60) for _ in hung]
        for client, user in zip(clients, hung):
            client.ok(f'USER {user}')
            client.send(f'PASS {PASSWORD}\r\n')
        # which of them get the threads, nobody promised
        wait_until(lambda: sum(mount.asked.is_set() for mount in silent) >= min(count, 16), 20)
        if count >= 16:
            clients[0].socket.settimeout(20)
            assert clients[0].line().startswith('-ERR [SYS/TEMP]')
            clients.pop(0)
        for user in known:
            with Pop(office.pop3, timeout=4) as client:
                client.ok(f'USER {user}')
                client.ok(f'PASS {PASSWORD}')
                client.quit()
        with Lmtp(office.lmtp) as client:
            client.ask('MAIL FROM:<>')
            assert client.ask('RCPT TO:<demo>').startswith('250')
            assert client.ask(f'RCPT TO:<{hung[0]}>').startswith('451')
        for client in clients:
            assert client.line().startswith('-ERR [SYS/TEMP]')
            client.close()
        office.wait_log('auth.*owner of the mail in hung.* is not known')
    office.wait_log('the mail folder answers again')
    serves_again(office, hung[0])


def serves_again(office, user):
    def serves():
        with Pop(office.pop3, timeout=20) as client:
            client.ok(f'USER {user}')
            return client.ask(f'PASS {PASSWORD}').startswith('+OK')
    wait_until(serves, 30)
