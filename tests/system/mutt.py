"""mutt at a mailbox, on a terminal that nobody sees: it does the commands of one visit and leaves.

An error (a mailbox that is read-only, a message that is not there) makes mutt forget the commands
that were pushed, and a lock that it cannot have makes it ask: it would wait at its terminal for
ever. A silent terminal therefore gets "n" and "q" typed, which mutt reads when no command is left.
"""
import errno
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

# delete=yes and the like: no question but that of the lock, to which the answer is no
RC = r'''
set folder=~ record="" postponed="" header_cache="" signature="" tmpdir=~
set quit=yes delete=yes mark_old=no move=no confirmappend=no beep=no wait_key=no
set sort=mailbox-order sleep_time=0 mail_check=0 timeout=2
set ts_enabled=yes ts_status_format="at %m, deleted %d."
bind index n noop
bind index q quit
push "{commands}"
'''
TITLE = re.compile(rb'at (\d+), deleted (\d+)\.')
SILENCE = .5  # seconds


def configuration(token, pause):
    """Of a visit that deletes the message of this subject, flags one, reads the next, marks that as
    answered and not as new, pauses for so many seconds, and saves three times, because mail that
    comes puts it off."""
    return RC.replace('{commands}', f'<delete-pattern>~s ^{token}<enter><flag-message>'
                      '<next-undeleted><display-message><exit><set-flag>r<clear-flag>N'
                      f'<shell-escape>sleep {pause}<enter>'
                      '<sync-mailbox><sync-mailbox><sync-mailbox><quit>')


def saved_deleted(screen):
    """From one title to the next, mutt has a message less, and none marked instead of one: it is
    gone from the file. A title is always written whole; lines of the screen are not."""
    titles = [tuple(map(int, title)) for title in TITLE.findall(screen)]
    return any(before == (after[0] + 1, 1) and after[0] and not after[1]
               for before, after in zip(titles, titles[1:]))


def visit(seconds, **mutt):
    """Runs mutt until it has left; returns what it wrote to the terminal. mutt: arguments of
    Popen."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
    try:
        with subprocess.Popen(**mutt, stdin=end, stdout=end, stderr=end,
                              start_new_session=True) as process:
            os.close(end)
            screen, over = read_all(terminal, time.monotonic() + seconds)
            if not over:
                process.kill()
                raise TimeoutError(f'mutt is there after {seconds} s: {screen[-2000:]}')
        assert process.returncode in (0, 1), (process.returncode, screen[-2000:])
        return screen
    finally:
        os.close(terminal)


def read_all(terminal, over):
    """(what came, whether the other end was closed in time)"""
    screen = b''
    while time.monotonic() < over:
        if not select.select([terminal], [], [], SILENCE)[0]:
            os.write(terminal, b'nq')
            continue
        try:
            screen += os.read(terminal, 65536)
        except OSError as problem:
            if problem.errno == errno.EIO:
                return screen, True
            raise
    return screen, False
