"""Room for messages in the LMTP front: senders that drip, or hold much, stop nobody else's mail.
The rules are tried one by one in tests/unit/server/test_spool.c; here a server keeps them."""
import contextlib
import os
import socket
import time

import pytest
from lmtp import Lmtp

MESSAGE = b'Subject: hello\r\n\r\nbody\r\n'
ROOM = 256 << 20
LINE = b'x' * 1022 + b'\r\n'
# room for the same octets, in files of the spool or in memory alone
ON_DISK = {'lmtp.spool_size': ROOM, 'lmtp.memory': '16M'}
IN_MEMORY = {'lmtp.spool_size': '1K', 'lmtp.memory': ROOM}


class Drip:
    """An unfinished message of so many MiB, which then grows by an octet now and then."""

    def __init__(self, where, mib):
        self.client = Lmtp(where)
        self.client.begin('demo')
        self.client.send(LINE * (1024 * mib))

    def drip(self):
        self.client.send(b'y')


def files(office):
    """{file: (in memory, octets)} of the messages that LMTP fronts hold."""
    pids = [pid for pid, line in office.children().items() if 'lmtp' in line]
    assert pids, office.children()
    found = {}
    for pid in pids:
        for fd in os.listdir(f'/proc/{pid}/fd'):
            path = f'/proc/{pid}/fd/{fd}'
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                where, status = os.readlink(path), os.stat(path)
                if 'memfd:message' in where or f'{office.spool}/#' in where:
                    found[status.st_dev, status.st_ino] = ('memfd' in where, status.st_size)
    return found


def held(office):
    """Octets of messages in LMTP fronts, in memory or in the spool."""
    return sum(size for _, size in files(office).values())


def held_in_memory(office):
    return sum(size for in_memory, size in files(office).values() if in_memory)


@pytest.mark.parametrize('unix, settings', [(False, ON_DISK), (True, ON_DISK), (False, IN_MEMORY)],
                         ids=['tcp', 'unix', 'memory'])
def test_threat_73_messages_that_drip(make_office, need_root, unix, settings, record_property):
    """37 senders hold what room there is for one sender and drip. Small messages go on at once,
    also from the same address or user; large ones as soon as those that drip are known as slow."""
    office = make_office(start=False, settings=settings)
    where = office.lmtp
    if unix:
        where = office.scratch / 'lmtp.sock'
        office.set('lmtp.listen', f'"{where}"')
    office.allow('a message from .* was refused')
    office.start()
    drips = [Drip(where, 7) for _ in range(37)]
    deadline = time.monotonic() + 30
    while held(office) < ROOM * 3 // 4 - (8 << 20):
        assert time.monotonic() < deadline, held(office)
        time.sleep(0.05)
    now = files(office).values()
    in_memory, together = (sum(size for memory, size in now if memory or every)
                           for every in (False, True))
    if settings is ON_DISK:
        assert in_memory <= 16 << 20 and together <= ROOM * 3 // 4 + (16 << 20)
    else:
        assert in_memory == together <= ROOM * 3 // 4
    slowest = 0
    with Lmtp(where) as client:
        for _ in range(20):
            start = time.monotonic()
            assert client.deliver(MESSAGE, 'demo') == ['250 2.1.5 delivered']
            slowest = max(slowest, time.monotonic() - start)
        print(f'slowest of 20 deliveries while {held(office) >> 20} MiB are held: {slowest:.3f} s')
        large = b'Subject: large\r\n\r\n' + LINE * (1024 * 20)
        until = time.monotonic() + 40
        while True:
            for drip in drips:
                drip.drip()
            client.expect('MAIL FROM:<> SIZE=20990000', '250')
            client.expect('RCPT TO:<demo>', '250')
            if client.ask('DATA').startswith('354'):
                break
            client.expect('RSET', '250')
            assert time.monotonic() < until
            time.sleep(0.5)
        client.send(large + b'.\r\n')
        assert client.reply() == '250 2.1.5 delivered'
    for drip in drips:
        drip.client.close()


@pytest.mark.parametrize('settings', [ON_DISK, IN_MEMORY], ids=['disk', 'memory'])
def test_a_refused_message_gets_its_reply_at_the_end(make_office, settings):
    """What had to give way is answered 452 after its dot, and the session goes on."""
    office = make_office(settings=settings)
    office.allow('a message from .* was refused')
    drips = [Drip(office.lmtp, 7) for _ in range(37)]
    refused = 0
    for drip in drips:
        drip.client.send(b'\r\n.\r\n')
        reply = drip.client.reply()
        refused += reply.startswith('452 4.3.1')
        assert reply.startswith(('452 4.3.1', '250 2.1.5')), reply
        drip.client.expect('NOOP', '250')
        drip.client.close()
    assert 1 <= refused <= 20
    deadline = time.monotonic() + 10
    while held(office):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_rest_of_a_refused_message_has_an_end(make_office):
    """What comes behind the limit of a message's size is thrown away, but not for ever."""
    office = make_office(settings={'lmtp.max_size': '100K'})
    with Lmtp(office.lmtp) as client:
        client.begin('demo')
        client.send(LINE * 2048)
        client.send(b'.\r\n')
        assert client.reply().startswith('552 5.3.4')
        client.begin('demo')
        with pytest.raises((ConnectionResetError, BrokenPipeError, socket.timeout)):
            for _ in range(2 * 128):
                client.send(LINE * 1024)
    with Lmtp(office.lmtp) as client:
        assert client.deliver(MESSAGE, 'demo') == ['250 2.1.5 delivered']
