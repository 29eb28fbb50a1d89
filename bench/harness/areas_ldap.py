"""Users in an LDAP directory (slapd on this machine): remembered logins beside the users file, and
others' latency while wrong passwords are tried against the directory."""

import contextlib
import os
import sys

from . import load
from .areas_disturbed import USERS, WRONG, _steady, _wrong
from .areas_login import CONNS, _run
from .servers import Valija, settle

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../tests/stand_ins"))

import slapd  # noqa: E402

SECTION = """
database "people" {{
\tdriver = ldap
\tservers = {{"{server}"}}
\tbase = "{base}"
}}
"""
GUESSED = 1000  # users that exist, of those that are guessed


class ValijaLdap(Valija):
    """directory=N: so many users, from number `first` on, are in the directory, not in the file."""

    name = "valija-ldap"

    def configure(self, accounts):
        first, count = self.settings.get("first", 0), self.settings.get("directory", accounts)
        super().configure(first)
        people = [slapd.person(f"{self.users}{number:06d}", password=self.password)
                  for number in range(first, first + count)]
        self.directory = slapd.Slapd(people=(), data="\n".join(people), more="dbnosync")
        for task in os.listdir(f"/proc/{self.directory.process.pid}/task"):
            os.sched_setaffinity(int(task), {self.bench.cores.other})
        with open(f"{self.root}/office/valija.conf", "a") as conf:
            conf.write(SECTION.format(server=self.directory.ldap, base=slapd.PEOPLE))

    def stop(self):
        super().stop()
        if directory := getattr(self, "directory", None):
            directory.stop()


def _missing(bench):
    if why := slapd.missing():
        print(f"ldap: {why}")
    return why or not bench.have_valija()


def ldap(bench):
    """Logins that are remembered, of users in the file and of users in the directory."""
    if _missing(bench):
        return
    _run(bench, [Valija(bench), ValijaLdap(bench, directory=CONNS)], "ldap", False)


def ldap_guessed(bench):
    """1,000 wrong passwords a second for users of the directory; logins of users in the file. The
    same beside it for users of the file alone."""
    if _missing(bench):
        return
    directory = ValijaLdap(bench, first=USERS, directory=WRONG - USERS + GUESSED)
    servers = {"file": (Valija(bench), WRONG + GUESSED), "directory": (directory, USERS)}
    with contextlib.ExitStack() as stack:
        for server, accounts in servers.values():
            server.make_mail(0, USERS, 10, 4096)
            stack.enter_context(server.start(accounts))
            load.pop3(bench, server, "login,stat,list,retr,quit", conns=USERS, laps=1)
        for _ in range(bench.rounds):
            for name, (server, _) in servers.items():
                for guesses in ("nobody", "wrong passwords"):
                    _round(bench, server, name, guesses)
    for server, _ in servers.values():
        bench.forget(server.root)


def _round(bench, server, name, guesses):
    server.rest()
    settle()
    with _wrong(bench, server) if guesses != "nobody" else contextlib.nullcontext():
        report = _steady(bench, server)
    for part in ("p50", "p99"):
        bench.add(f"ldap_guessed.{part}_ms", f"{name}: {guesses}", report["session"][part])
