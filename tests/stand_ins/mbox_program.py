"""A mail program at an mbox, with its locks.

    with locked(box, ended) as file: …    # r+b, at its beginning
"""
import contextlib
import fcntl
import os
import pathlib
import socket


class Ended(Exception):
    """While waiting for the lock file."""


def mbox_form(*messages):
    """With "From " lines, quoted as mboxrd."""
    quoted = (message.replace(b'\nFrom ', b'\n>From ') for message in messages)
    return b''.join(b'From a@example.org Sat Nov 28 10:00:00 2026\n' + message + b'\n'
                    for message in quoted)


@contextlib.contextmanager
def locked(box, ended):
    """As mutt and procmail do: the lock file, then fcntl. Yields the open mailbox. The lock file of
    a keeper and a locker that were killed stays until the next login or delivery: when there is
    none any more (ended is set), the wait for it is given up with Ended."""
    lock = pathlib.Path(f'{box}.lock')
    while True:
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(descriptor, f'{os.getpid()}:{socket.gethostname()}\n'.encode())
            os.close(descriptor)
            break
        if ended.wait(.01):
            raise Ended
    try:
        with open(box, 'r+b') as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            yield file
    finally:
        lock.unlink()
