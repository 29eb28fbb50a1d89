"""A network of a test's own, with addresses that are not loopback's: limits exempt loopback."""
import ctypes
import functools
import os
import subprocess
import threading

import pytest

CLONE_NEWNET = 0x40000000
ADDRESSES = ('10.9.9.1/32', '10.9.9.2/32', 'fd09:9::1/128', 'fd09:9::2/128', 'fd09:9:0:1::1/128')


def _enter():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) < 0:
        return os.strerror(ctypes.get_errno())
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    for address in ADDRESSES:
        subprocess.run(['ip', 'address', 'add', address, 'dev', 'lo', 'nodad'], check=True)
    return None


def own_network(test):
    """Runs the test in a thread that has the network for itself; what it starts shares it."""
    @functools.wraps(test)
    def run(*args, **more):
        outcome = []

        def body():
            try:
                why = _enter()
                if why:
                    pytest.skip(f'no network of its own: {why}')
                test(*args, **more)
            except BaseException as error:  # pylint: disable=broad-except
                outcome.append(error)
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if outcome:
            raise outcome[0]
    return run
