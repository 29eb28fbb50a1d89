"""`valija user` on a terminal: asked twice, without echo; the terminal is left as it was."""
import os
import pty
import select
import signal
import subprocess
import termios
import time

import pytest

import office as post


class Terminal:
    """A command with a terminal of its own."""

    def __init__(self, *args):
        self.own, self.far = pty.openpty()
        self.before = termios.tcgetattr(self.far)
        self.process = subprocess.Popen([post.program('valija'), *map(str, args)], stdin=self.far,
                                        stdout=self.far, stderr=self.far, start_new_session=True)
        self.seen = ''

    def wait_for(self, words, seconds=30):
        deadline = time.monotonic() + seconds
        while words not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.own], [], [], left)[0], self.seen
            self.seen += os.read(self.own, 4096).decode()

    def type(self, text):
        os.write(self.own, text.encode())

    def finish(self):
        status = self.process.wait(30)
        while select.select([self.own], [], [], 0)[0]:
            self.seen += os.read(self.own, 4096).decode()
        after = termios.tcgetattr(self.far)
        os.close(self.own)
        os.close(self.far)
        assert after == self.before
        return status


@pytest.fixture
def still(make_office):
    return make_office(start=False, users=())


def add(still):
    terminal = Terminal('user', 'add', '-c', still.dir / 'valija.conf', 'anna', '--scheme', 'PLAIN')
    terminal.wait_for('New password: ')
    return terminal


def test_asked_twice_without_echo(still):
    terminal = add(still)
    terminal.type('open sesame\n')
    terminal.wait_for('Once more: ')
    terminal.type('open sesame\n')
    assert terminal.finish() == 0
    assert 'sesame' not in terminal.seen
    assert (still.dir / 'users').read_text() == 'anna:{PLAIN}open sesame\n'


def test_two_that_differ_change_nothing(still):
    terminal = add(still)
    terminal.type('open sesame\n')
    terminal.wait_for('Once more: ')
    terminal.type('open sesamE\n')
    assert terminal.finish() == os.EX_DATAERR
    assert 'not the same' in terminal.seen
    assert (still.dir / 'users').read_text() == ''


@pytest.mark.parametrize('keys', ['\n', '\x03', '\x1c', 'half\x03'])
def test_nothing_typed_or_interrupted_changes_nothing(still, keys):
    terminal = add(still)
    terminal.type(keys if keys.endswith('\n') else keys + '\n')
    assert terminal.finish() != 0
    assert 'nothing was changed' in terminal.seen
    assert (still.dir / 'users').read_text() == ''


def test_what_cannot_be_done_is_said_before_a_password_is_asked_for(still):
    for args in (('passwd', 'anna'), ('add', '../anna'), ('add', 'anna', '--scheme', 'ROT13')):
        terminal = Terminal('user', args[0], '-c', still.dir / 'valija.conf', *args[1:])
        assert terminal.finish() != 0
        assert 'assword:' not in terminal.seen


def test_ended_from_outside_the_terminal_has_its_echo(still):
    terminal = add(still)
    os.kill(terminal.process.pid, signal.SIGTERM)
    terminal.type('open sesame\n')
    terminal.wait_for('Once more: ')
    terminal.type('open sesame\n')
    assert terminal.finish() == -signal.SIGTERM
