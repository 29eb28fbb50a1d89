"""A running server whose processes are killed at every system call (threat 47): of a delivery, of
a QUIT with deletions, of a login that must index anew. Checked: what got 250 is there, whole and
once; nothing half-written is ever shown; what a +OK to QUIT deleted stays deleted; unique ids and
sizes never change; the service is back.

Needs root: the server's processes let nobody else trace them. Points tried are printed with -s.
"""
import itertools
import os
import pathlib
import re
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / 'system'), str(HERE.parent / 'corpus')]

import office as post  # noqa: E402
from lmtp import Lmtp, split_trace  # noqa: E402
from pop import Closed, Pop  # noqa: E402

BACK_SECONDS = 15  # sanitized processes on a busy machine; the server's own promise is one second
POINTS_MAX = 400   # an operation that takes more calls has become another

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason='needs root'),
    pytest.mark.skipif(not (post.build_dir() / 'tests/crash/kill_at').exists(),
                       reason='kill_at is not built'),
]


class KillAt:
    """Kills process pid at its n-th system call from now on, if it comes to that."""

    def __init__(self, pid, n):
        tool = post.build_dir() / 'tests/crash/kill_at'
        self.process = subprocess.Popen([tool, str(pid), str(n)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == 'ready\n'

    def killed(self):
        """Ends the watch; whether the process was killed."""
        # readline may have taken both lines out of the pipe: communicate() would read past them
        self.process.stdin.close()
        out = self.process.stdout.read()
        assert self.process.wait(30) == 0 and out, out
        return out.startswith('killed')


@pytest.fixture
def office():
    """One keeper, so that it is known which process does the work."""
    made = post.Office(settings={'processes.keepers': '1', 'processes.fronts': '1',
                                 'limits.connections_per_address': '0'})
    made.allow(r'.')  # the log of a server that is killed all the time
    made.start()
    yield made
    made.stop()
    made.remove()


def process_of(office, role):
    deadline = time.monotonic() + BACK_SECONDS
    while True:
        found = [pid for pid, line in office.children().items() if f'valijad: {role} ' in line]
        if found:
            return found[0]
        assert time.monotonic() < deadline, f'no {role} any more'
        time.sleep(0.01)


def again(what):
    """Until it works; the service must be back in time."""
    deadline = time.monotonic() + BACK_SECONDS
    while True:
        try:
            return what()
        except (AssertionError, OSError, EOFError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def message(name):
    return f'Subject: {name}\r\n\r\n'.encode() + name.encode() * 200 + b'\r\n..\r\n.end\r\n'


def try_delivery(office, name):
    """Whether 250 was read."""
    try:
        with Lmtp(office.lmtp, timeout=BACK_SECONDS) as client:
            [reply] = client.deliver(message(name), 'demo')
            return reply.startswith('250')
    except (AssertionError, OSError, EOFError):
        return False


def deliver_surely(office, book, prefix):
    """Delivers under new names until one got 250."""
    names = itertools.count()

    def attempt():
        name = f'{prefix}-{next(names)}'
        assert try_delivery(office, name)
        book.acknowledged.append(name)
    again(attempt)


def mailbox(office):
    """{unique id: message} as a session sees it; sizes and octets must agree."""
    def look():
        client = Pop(office.pop3, timeout=BACK_SECONDS)
        try:
            client.login('demo', post.PASSWORD)
            sizes, ids = client.list(), client.uidl()
            assert set(sizes) == set(ids) and len(set(ids.values())) == len(ids)
            got = {}
            for number, uid in ids.items():
                octets = client.retr(number)
                if len(octets) != sizes[number]:
                    pytest.fail(f'{uid}: {sizes[number]} announced, {len(octets)} sent')
                got[uid] = split_trace(octets)[1]
            client.quit()
            return got
        finally:
            client.close()
    return again(look)


class Book:
    """What must be true of the mailbox, whatever was killed."""

    def __init__(self):
        self.acknowledged, self.known = [], {}

    def check(self, office):
        got = mailbox(office)
        for uid, octets in self.known.items():
            assert uid in got and got[uid] == octets, f'{uid}: {got.get(uid)!r}, was {octets!r}'
        names = {}
        for octets in got.values():
            name = re.match(rb'Subject: (\S+)\r\n', octets)[1].decode()
            assert octets == message(name), f'{name} is torn'
            names[name] = names.get(name, 0) + 1
        for name in self.acknowledged:
            assert names.get(name) == 1, f'{name} got 250 and is there {names.get(name, 0)} times'
        # a delivery without 250 was never tried again here, so not even that comes twice
        assert all(count == 1 for count in names.values()), names
        self.known = got

    def forget(self, uids):
        gone = {re.match(rb'Subject: (\S+)\r\n', self.known.pop(uid))[1].decode() for uid in uids}
        self.acknowledged = [name for name in self.acknowledged if name not in gone]


HALVES = pytest.mark.parametrize('first', [1, 2], ids=['odd', 'even'])  # side by side


def step():
    """Every second call from the first or second on: together every one. $VALIJA_CRASH_STEP makes
    it every n-th of those, where time is short."""
    return 2 * int(os.environ.get('VALIJA_CRASH_STEP', '1'))


@HALVES
@pytest.mark.parametrize('role', ['keeper', 'lmtp', 'auth'])
def test_threat_47_killed_at_every_call_of_a_delivery(office, role, first):
    book, points = Book(), 0
    for point in range(first, POINTS_MAX, step()):
        again(lambda: (Lmtp(office.lmtp).quit(), process_of(office, role)))
        # an undisturbed delivery first: everything is open and warm, as in a server at work
        deliver_surely(office, book, f'calm-{point}')
        watch = KillAt(process_of(office, role), point)
        if try_delivery(office, f'hit-{point}'):
            book.acknowledged.append(f'hit-{point}')
        killed = watch.killed()
        points += killed
        if point % 10 < step() or not killed:
            book.check(office)
        if not killed:
            break
    assert not killed and points, 'it never ended' if killed else 'it was never killed'
    print(f'{role}: killed at {points} calls of a delivery')
    office.restart()
    book.check(office)


def quit_with_deletions(office, uids, watch_role, point):
    """(whether QUIT got +OK, whether the process was killed)."""
    done = killed = False
    client = again(lambda: logged_in(office))
    try:
        numbers = {uid: number for number, uid in client.uidl().items()}
        watch = KillAt(process_of(office, watch_role), point)
        try:
            for uid in uids:
                client.ok(f'DELE {numbers[uid]}')
            client.send('QUIT\r\n')
            done = client.line().startswith('+OK')
        except (AssertionError, OSError, EOFError, Closed):
            pass
        finally:
            # what comes after the reply (files unlinked, moved) is part of it
            time.sleep(0.1)
            killed = watch.killed()
    finally:
        client.close()
    return done, killed


def logged_in(office):
    client = Pop(office.pop3, timeout=BACK_SECONDS)
    try:
        client.login('demo', post.PASSWORD)
    except BaseException:
        client.close()
        raise
    return client


def fill(office, book, prefix, count):
    for number in range(count):
        deliver_surely(office, book, f'{prefix}-{number}')


@HALVES
@pytest.mark.parametrize('role', ['keeper', 'front'])
def test_threat_47_killed_at_every_call_of_a_quit(office, role, first):
    """All or nothing, for good if +OK was said; the other messages stay."""
    book, points, gone = Book(), 0, set()
    for point in range(first, POINTS_MAX, step()):
        again(lambda: logged_in(office).close())
        fill(office, book, f'p{point}', 4)
        book.check(office)
        assert not gone & set(book.known), 'deleted with +OK and back again'
        chosen = sorted(book.known)[:-2][:4]
        done, killed = quit_with_deletions(office, chosen, role, point)
        points += killed
        left = set(mailbox(office)) & set(chosen)
        assert left == set() if done else left in (set(), set(chosen)), (done, left, chosen)
        if not left:
            gone |= set(chosen)
            book.forget(chosen)
        book.check(office)
        if not killed:
            break
    assert not killed and points, 'it never ended' if killed else 'it was never killed'
    print(f'{role}: killed at {points} calls of a QUIT')
    office.restart()
    book.check(office)
    assert not gone & set(book.known)


@HALVES
def test_threat_47_killed_at_every_call_of_an_index_rebuild(office, first):
    """A login with the index gone, killed on the way: ids, sizes and messages are as before."""
    book, points = Book(), 0
    fill(office, book, 'mail', 6)
    book.check(office)
    for point in range(first, POINTS_MAX, step()):
        again(lambda: logged_in(office).close())
        for name in ('valija-base', 'valija-delta'):
            (office.mail / 'demo' / name).unlink(missing_ok=True)
        watch = KillAt(process_of(office, 'keeper'), point)
        try:
            logged_in(office).close()
        except (AssertionError, OSError, EOFError):
            pass
        time.sleep(0.05)
        killed = watch.killed()
        points += killed
        book.check(office)
        if not killed:
            break
    assert not killed and points, 'it never ended' if killed else 'it was never killed'
    print(f'killed at {points} calls of an index rebuild')
