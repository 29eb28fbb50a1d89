"""The faults of the world while mail comes in: full disks, wrong owners, processes that die. Mail
that got no 250 may come again; mail that got one is there, whole."""
import os
import re
import signal
import subprocess
import threading
import time

import pytest
from lmtp import Lmtp, split_trace
from office import PASSWORD

MESSAGE = b'Subject: hello\r\n\r\nbody\r\n'


def collect(connect, office, user, seconds=10):
    """Every message of the user; the server may be coming back just now."""
    until = time.monotonic() + seconds
    while True:
        client = None
        try:
            client = connect(office)
            client.login(user, PASSWORD)
            break
        except (AssertionError, OSError, EOFError):
            if client:
                client.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
    got = [client.retr(number) for number in sorted(client.list())]
    client.quit()
    return [split_trace(octets)[1] for octets in got]


@pytest.fixture
def small_disk(make_office, need_root):
    """An office whose mail is on a filesystem of 2 MB."""
    office = make_office(start=False)
    owner = office.mail.stat()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2m', 'valija-test', office.mail],
                          capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f'cannot mount: {done.stderr.strip()}')
    os.chown(office.mail, owner.st_uid, owner.st_gid)
    office.mail.chmod(0o755)
    office.valija('mark', office.mail)
    try:
        yield office.start()
    finally:
        office.stop(check=False)
        subprocess.run(['umount', '-l', office.mail], check=True)


def test_full_disk(small_disk, connect):
    """452 4.3.1 while it is full, nothing half-written is seen, deleting works, then it goes on."""
    office, message = small_disk, b'Subject: fill\r\n\r\n' + b'x' * 100_000 + b'\r\n'
    office.allow('No space left on device', 'no space', 'delivery-failed')
    taken = 0
    with Lmtp(office.lmtp) as client:
        while (reply := client.deliver(message, 'demo')[0]).startswith('250'):
            taken += 1
        assert reply.startswith('452 4.3.1') and taken >= 5
        assert client.deliver(message, 'demo')[0].startswith('452 4.3.1')
        assert collect(connect, office, 'demo') == [message] * taken
        reader = connect(office)
        reader.login('demo', PASSWORD)
        for number in range(1, taken + 1):
            reader.ok(f'DELE {number}')
        reader.quit()
        deadline = time.monotonic() + 15  # the files go after the reply to QUIT
        while not (reply := client.deliver(message, 'demo')[0]).startswith('250'):
            assert time.monotonic() < deadline, reply
            time.sleep(0.05)
    assert collect(connect, office, 'demo') == [message]


def test_full_to_the_last_octet(small_disk, connect):
    """No room even for the index: mail is still read and deleted."""
    office = small_disk
    office.allow('No space left on device', 'no space', 'delivery-failed', '')
    with Lmtp(office.lmtp) as client:
        for _ in range(3):
            client.deliver(MESSAGE, 'demo')
        with open(office.mail / 'ballast', 'wb') as file:
            try:
                while True:
                    os.write(file.fileno(), b'\0' * 4096)
            except OSError:
                pass
        assert client.deliver(MESSAGE, 'demo')[0].startswith('452 4.3.1')
        assert collect(connect, office, 'demo') == [MESSAGE] * 3
        reader = connect(office)
        reader.login('demo', PASSWORD)
        reader.ok('DELE 2')
        reader.quit()
        assert collect(connect, office, 'demo') == [MESSAGE] * 2
        os.unlink(office.mail / 'ballast')
        assert client.deliver(MESSAGE, 'demo') == ['250 2.1.5 delivered']
    assert collect(connect, office, 'demo') == [MESSAGE] * 3


def test_wrong_owner(make_office, connect, need_root):
    """A maildrop that the keeper may not write: 451, and the log says which and why."""
    office = make_office()
    maildir = office.maildir('demo')
    os.chmod(maildir / 'new', 0o500)
    if office.mail.stat().st_uid == 0:
        pytest.skip('the mail is root\'s: nothing is forbidden')
    os.chown(maildir / 'new', 0, 0)
    office.allow(r'.')
    with Lmtp(office.lmtp) as client:
        client.expect('MAIL FROM:<>', '250')
        reply = client.ask('RCPT TO:<demo>')
        if reply.startswith('250'):
            client.expect('DATA', '354')
            client.send(MESSAGE + b'.\r\n')
            reply = client.reply()
        assert reply.startswith('451 4.'), reply
        office.wait_log(r'demo.*(ermission|owner)')
        os.chown(maildir / 'new', maildir.stat().st_uid, maildir.stat().st_gid)
        os.chmod(maildir / 'new', 0o700)
        client.expect('RSET', '250')
        assert client.deliver(MESSAGE, 'demo') == ['250 2.1.5 delivered']


class Sender(threading.Thread):
    """Delivers numbered messages until told to stop; notes which got 250. Connections may die."""

    def __init__(self, office, number, users):
        super().__init__(daemon=True)
        self.office, self.number, self.users = office, number, users
        self.acknowledged, self.unsure, self.refused = set(), set(), 0
        self.stopping = False
        self.failure = None

    def message(self, name):
        return f'Subject: {name}\r\n\r\n'.encode() + name.encode() * 300 + b'\r\n.\r\n..\r\nend\r\n'

    def run(self):
        turn = 0
        client = None
        try:
            while not self.stopping:
                turn += 1
                name = f'{self.number}-{turn}'
                try:
                    client = client or Lmtp(self.office.lmtp, timeout=20)
                    replies = client.deliver(self.message(name), *self.users)
                except (OSError, EOFError, AssertionError):
                    # cut, or refused on the way: no 250 was read for it
                    self.unsure.add(name)
                    if client:
                        client.close()
                    client = None
                    continue
                for user, reply in zip(self.users, replies):
                    if reply.startswith('250'):
                        self.acknowledged.add((user, name))
                    else:
                        assert reply[0] == '4', reply
                        self.refused += 1
        except Exception as failure:  # shown by the test
            self.failure = failure
        finally:
            if client:
                client.close()


def check_all_there(connect, office, senders, users):
    """Each acknowledged message whole and once; of the others none in part."""
    for user in users:
        got = {}
        for octets in collect(connect, office, user):
            name = re.match(rb'Subject: (\S+)\r\n', octets)[1].decode()
            got.setdefault(name, []).append(octets)
        for sender in senders:
            for name in (n for u, n in sender.acknowledged if u == user):
                copies = len(got.get(name, ()))
                assert copies == 1, f'{user}: {name}: {copies} times'
        for name, copies in got.items():
            assert all(octets == senders[0].message(name) for octets in copies), name


@pytest.mark.parametrize('victim', ['keeper', 'lmtp', 'auth'])
def test_threat_47_killed_during_deliveries(make_office, connect, victim):
    """The process is killed again and again while four clients deliver: every 250 was true."""
    users = ('anna', 'bert')
    office = make_office(users=users)
    office.allow(r'.')
    senders = [Sender(office, number, users) for number in range(4)]
    for sender in senders:
        sender.start()
    for _ in range(8):
        before = sum(len(sender.acknowledged) for sender in senders)
        deadline = time.monotonic() + 20
        while sum(len(s.acknowledged) for s in senders) < before + 20:
            assert time.monotonic() < deadline, office.log_text()[-3000:]
            time.sleep(0.005)
        victims = [pid for pid, line in office.children().items() if victim in line.split()[0] or
                   victim in line]
        assert victims, office.children()
        os.kill(victims[0], signal.SIGKILL)
    for sender in senders:
        sender.stopping = True
    for sender in senders:
        sender.join(30)
        assert not sender.is_alive() and not sender.failure, sender.failure
    assert sum(len(sender.acknowledged) for sender in senders) >= 160
    check_all_there(connect, office, senders, users)
    office.restart()
    check_all_there(connect, office, senders, users)
