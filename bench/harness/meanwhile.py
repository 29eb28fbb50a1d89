"""Something that goes on beside a load."""

import contextlib
import os
import threading


@contextlib.contextmanager
def again(call, pause, core):
    """Calls it again and again in a thread on that core, with a pause before each call."""
    over = threading.Event()

    def go_on():
        os.sched_setaffinity(0, {core})
        while not over.wait(pause):
            call()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
