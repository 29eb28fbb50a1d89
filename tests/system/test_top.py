"""`valija top`: one screen about a running server, its keys, and the terminal behind it."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import pytest
from office import PASSWORD, TICK, program, wait_until


@pytest.fixture
def watched(make_office):
    """A started office with a control socket."""
    office = make_office(start=False, users=('demo', 'anna'))
    office.control = office.scratch / 'control'
    office.set('control.socket', f'"{office.control}"')
    return office.start()


class Screen:
    """`valija top` on a terminal of its own; text is what it has drawn since `fresh`."""
    def __init__(self, office, rows=24, columns=80):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ['TERM'] = 'xterm'
            os.execv(program('valija'), ['valija', 'top', '-c', str(office.conf)])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
        self.text = ''
        self.status = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def read(self, seconds=0.2):
        while select.select([self.fd], [], [], seconds)[0]:
            try:
                octets = os.read(self.fd, 65536)
            except OSError:  # its other end is closed
                return
            if not octets:
                return
            self.text += octets.decode()
            seconds = 0

    def shows(self, pattern):
        def found():
            self.read()
            return re.search(pattern, self.text)
        return wait_until(found)

    def picture(self):
        """The last whole picture, as lines."""
        self.text = ''
        self.shows(r'\x1b\[H[^\x00]*\x1b\[J')
        last = self.text[:self.text.rindex('\x1b[J')]
        return last[last.rindex('\x1b[H') + 3:].replace('\x1b[K', '').split('\r\n')

    def press(self, keys):
        self.text = ''
        os.write(self.fd, keys.encode())

    def ends(self):
        def gone():
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
            return pid
        wait_until(gone)
        return os.waitstatus_to_exitcode(self.status)


def session(connect, office, user):
    pop = connect(office)
    pop.login(user, PASSWORD)
    return pop


def test_a_screen_and_its_end(watched, connect):
    pops = [session(connect, watched, 'anna'), session(connect, watched, 'demo')]
    pops[0].ok('NOOP')
    with connect(watched) as stranger:
        stranger.ask('USER anna')
        stranger.ask('PASS wrong')
    with Screen(watched) as screen:
        screen.shows('anna')
        lines = screen.picture()
        assert len(lines) == 24 and max(map(len, lines)) <= 80
        text = '\n'.join(lines)
        assert re.search(r'sessions  pop3 2  pop3s 0 ', text)
        assert re.search(r'refused since the start  wrong 1\n', text)
        assert 'busiest  127.0.0.1 ' in text
        assert re.search(r'^anna +127\.0\.0\.1 +mail +\d+ +[0-9a-f]+-\d+$', text, re.M)
        screen.press('q')
        assert screen.ends() == 0
        assert '\x1b[?1049l' in screen.text  # the screen from before


def test_a_small_screen_has_pages(watched, connect):
    pops = [session(connect, watched, user) for user in ('anna', 'demo')]
    with Screen(watched, rows=13, columns=60) as screen:
        screen.shows('page 1 of 2')
        lines = screen.picture()
        assert len(lines) == 13 and max(map(len, lines)) <= 60
        screen.press('\x1b[B')
        screen.shows('page 2 of')
        screen.press('\x1b[A')
        screen.shows('page 1 of')
        os.kill(screen.pid, signal.SIGTERM)
        assert screen.ends() == 0
    assert len(pops) == 2


def test_kick_and_drain_by_keys(watched, connect):
    anna, demo = session(connect, watched, 'anna'), session(connect, watched, 'demo')
    with Screen(watched) as screen:
        screen.shows('anna')
        screen.press('k')
        screen.shows('Kick which')
        screen.press('anna\n')
        screen.shows('Enter goes back')
        assert anna.closed() == b''
        demo.ok('NOOP')
        screen.press('\n')
        screen.shows('page 1')
        screen.press('d')
        screen.shows('Take no new sessions')
        screen.press('no\n')
        screen.shows('page 1')
        session(connect, watched, 'anna')
        screen.press('d')
        screen.shows('Take no new sessions')
        screen.press('yes\n')
        screen.shows('Enter goes back')
        screen.press('\n')
        screen.shows('DRAINED')
        demo.ok('NOOP')
        screen.press('q')
        assert screen.ends() == 0


def test_a_reload_does_not_end_it(watched, connect):
    with Screen(watched) as screen:
        screen.shows('generation 1')
        watched.reload()
        screen.shows('generation 2')
        session(connect, watched, 'anna')
        screen.shows('anna')


def test_once(watched, connect):
    pop = session(connect, watched, 'anna')
    started = time.monotonic()
    said = watched.valija('top', '-c', watched.conf, '--once')
    assert time.monotonic() - started >= 1 - TICK
    lines = said.stdout.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80 and '\x1b' not in said.stdout
    assert lines[-1].startswith('anna ') and all(lines)  # no keys, and nothing to fill a screen
    pop.ok('NOOP')


def test_wrong_uses(watched):
    for arguments in (('--json',), ('x',)):
        assert watched.valija('top', '-c', watched.conf, *arguments,
                              check=False).returncode == 64
    done = watched.valija('top', '-c', watched.conf, check=False)
    assert done.returncode == 64 and 'it needs a terminal' in done.stderr
