"""Ports of this machine for tests that run beside one another."""
import collections
import os
import random
import re
import socket

FIRST, BEHIND = 10000, 32000  # below the range the kernel gives to others
GIVEN, HELD = collections.deque(maxlen=1000), {}


def _range():
    """The part of this process: workers of one run never draw the same port."""
    worker = re.search(r'\d+$', os.environ.get('PYTEST_XDIST_WORKER', ''))
    workers = max(int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 1)), 2)
    size = (BEHIND - FIRST) // workers
    first = FIRST + (int(worker[0]) % workers if worker else 0) * size
    return first, first + size


def _draw():
    for _ in range(10000):
        port = random.SystemRandom().randrange(*_range())
        if port in GIVEN:
            continue
        held = socket.socket()
        try:
            held.bind(('127.0.0.1', port))
        except OSError:
            held.close()
            continue
        GIVEN.append(port)
        return port, held
    raise OSError('no port is free')


def free_port():
    """A port for a server of this test; not one of the last thousand that were given."""
    port, held = _draw()
    held.close()
    return port


def dead_port():
    """A port where nobody listens until this process ends, whatever is started meanwhile: it is
    taken, so that connections are refused."""
    port, HELD[port] = _draw()
    return port
