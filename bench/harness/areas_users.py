"""Effects of trouble with databases of users on everybody else: one that hangs, a large one that
changes."""

import contextlib
import itertools
import os
import socket
import time

from . import load
from .areas_disturbed import USERS, _steady
from .meanwhile import again
from .servers import Valija, settle

STRANGERS = 2000  # from here on: users of no file, whom only the database could have
LARGE = 1_000_000
CHANGES_SECONDS = 0.7

HUNG = """
database "hung" {{
	driver = http
	url = "http://127.0.0.1:{port}/"
	timeout = 5
}}
"""


class WithHungDatabase(Valija):
    """A program that takes connections and never answers stands behind its users file."""

    name = "valija-hung"

    def configure(self, accounts):
        super().configure(accounts)
        self.hung = socket.create_server(("127.0.0.1", 0), backlog=4096)
        with open(f"{self.root}/office/valija.conf", "a") as conf:
            conf.write(HUNG.format(port=self.hung.getsockname()[1]))

    def stop(self):
        super().stop()
        self.hung.close()


@contextlib.contextmanager
def _who_wait(bench, server):
    """50 logins at a time of names that the hung database could have."""
    with load.Gated(bench, server, "badlogin,gate,close", core=bench.cores.other, first=STRANGERS,
                    conns=50, ramp=50, timeout=600):
        time.sleep(0.5)
        yield


def _who_changes(server):
    """The users file is written anew, with one user more or less, again and again."""
    path = f"{server.office}/users"
    with open(path, "rb") as file:
        text = file.read()
    texts = itertools.cycle([text + b"another:{PLAIN}secret\n", text])

    def change():
        with open(f"{path}.new", "wb") as file:
            file.write(next(texts))
        os.chmod(f"{path}.new", os.stat(path).st_mode & 0o777)
        os.chown(f"{path}.new", os.stat(path).st_uid, os.stat(path).st_gid)
        os.rename(f"{path}.new", path)

    return again(change, CHANGES_SECONDS, server.bench.cores.other)


def _rounds(bench, server, metric, cases):
    load.pop3(bench, server, "login,stat,list,retr,quit", conns=USERS, laps=1)
    for _ in range(bench.rounds):
        for name, disturb in cases:
            server.rest()
            settle()
            with disturb():
                report = _steady(bench, server)
            for part in ("p50", "p99"):
                bench.add(f"{metric}.{part}_ms", name, report["session"][part])


def users_hung(bench):
    """Logins of users in the file while 50 others wait for a database that hangs."""
    if not bench.have_valija():
        return
    server = WithHungDatabase(bench)
    server.make_mail(0, USERS, 10, 4096)
    with server.start(USERS):
        _rounds(bench, server, "users_hung",
                (("nobody", contextlib.nullcontext), ("hangs", lambda: _who_wait(bench, server))))
    bench.forget(server.root)


def users_changed(bench):
    """Logins while a users file of a million is written anew, once in 0.7 s."""
    if not bench.have_valija():
        return
    server = Valija.named(bench, "valija-large")
    server.make_mail(0, USERS, 10, 4096)
    with server.start(100_000 if bench.quick else LARGE):
        _rounds(bench, server, "users_changed",
                (("nobody", contextlib.nullcontext), ("changes", lambda: _who_changes(server))))
    bench.forget(server.root)
