"""For all of pytest: no test goes on for ever, and what tests start can be interrupted."""
import faulthandler
import signal
import sys

import pytest

TEST_SECONDS = 600  # the longest take a minute; a busy machine is slower


# A shell's background job has it ignored, and what a job starts, too: here it is an interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class TooLong(Exception):
    """The test did not come to its end."""


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    def ring(*_):
        faulthandler.dump_traceback(file=sys.__stderr__, all_threads=True)
        raise TooLong(f'{item.nodeid} took more than {TEST_SECONDS} s')

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(TEST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
