"""Ports of this machine for tests that run beside one another."""
import os
import random
import re
import socket

FIRST, BEHIND, WORKERS = 10000, 32000, 8  # below the range the kernel gives to others
GIVEN, HELD = set(), {}


def _range():
    """The part of this process: workers of one run never draw the same port."""
    worker = re.search(r'\d+$', os.environ.get('PYTEST_XDIST_WORKER', ''))
    size = (BEHIND - FIRST) // WORKERS
    first = FIRST + (int(worker[0]) % WORKERS if worker else 0) * size
    return first, first + size


def _draw():
    while True:
        port = random.SystemRandom().randrange(*_range())
        if port in GIVEN:
            continue
        GIVEN.add(port)
        held = socket.socket()
        try:
            held.bind(('127.0.0.1', port))
        except OSError:
            held.close()
            continue
        return port, held


def free_port():
    """A port for a server of this test; never given twice."""
    port, held = _draw()
    held.close()
    return port


def dead_port():
    """A port where nobody listens until this process ends, whatever is started meanwhile: it is
    taken, so that connections are refused."""
    port, HELD[port] = _draw()
    return port
