"""One bad client, everybody else's latency: p99 of a steady load while someone misbehaves."""

import contextlib
import crypt
import time

from . import load
from .peers import Dovecot
from .servers import Valija, settle

USERS = 200
GIANT = 900  # user number of the giant maildrop
STALLER, DRIPPER = 901, 902
WRONG = 1000  # from here on: users for wrong passwords


def disturbed(bench):
    kinds = [Valija] if bench.have_valija() else []
    if bench.options.all or not kinds:  # another million messages, for no budget
        kinds.append(Dovecot)
    for kind in kinds:
        _one_server(bench, kind(bench))


def _one_server(bench, server):
    giant = 100_000 if bench.quick else 1_000_000
    server.make_mail(0, USERS, 10, 4096)
    server.make_mail(GIANT, 1, giant, 512, names="plain")
    for user in (STALLER, DRIPPER):
        server.make_mail(user, 1, 200, 65536)
    with server.start(WRONG + 2000):
        load.pop3(bench, server, "login,stat,list,retr,quit", conns=USERS, laps=1)
        server.rest()
        _steady(bench, server)
        for _ in range(bench.rounds):
            for name, disturb in (("nobody", None), ("never reads", _stall), ("drips", _drip),
                                  ("giant index", _giant), ("wrong passwords", _wrong)):
                server.rest()  # what the case before has left is not this one's
                settle()
                report = _with(bench, server, disturb)
                bench.add("disturbed.p99_ms", f"{server.name}: {name}", report["session"]["p99"])
                bench.add("disturbed.p50_ms", f"{server.name}: {name}", report["session"]["p50"])
    bench.forget(server.root)


GUESSES = 2400
GUESSERS = (("24 addresses", 24), ("2,400 addresses", GUESSES))


def guessed(bench):
    """2,400 wrong passwords under way against slow hashes: logins that are answered from memory,
    and, without that memory, users who logged in from their address before."""
    if not bench.have_valija():
        return
    secret = "{CRYPT}" + crypt.crypt("secret", "$y$j9T$benchbenchbenchbench")
    remembered = Valija.named(bench, "valija-yescrypt", secret=secret)
    proven = Valija.named(bench, "valija-forgets", secret=secret, conf={"cache_entries": 0})
    for server, steady, metric in ((remembered, _steady, "guessed.remembered"),
                                   (proven, _proven, "guessed.proven")):
        server.make_mail(0, USERS, 10, 4096)
        with server.start(WRONG + GUESSES):
            load.pop3(bench, server, "login,stat,list,retr,quit", conns=USERS, laps=1, source=9,
                      sources=1)
            for _ in range(bench.rounds):
                for name, sources in (("nobody", 0), *GUESSERS):
                    server.rest()
                    settle()
                    with _guessers(bench, server, sources):
                        report = steady(bench, server)
                    for part in ("p50", "p99"):
                        bench.add(f"{metric}.{part}_ms", name, report["session"][part])
        bench.forget(server.root)


def _guessers(bench, server, sources):
    if not sources:
        return contextlib.nullcontext()
    attack = load.Gated(bench, server, "badlogin,gate,close", core=bench.cores.other, first=WRONG,
                        conns=GUESSES, source=1000, sources=sources, ramp=GUESSES, timeout=600)
    time.sleep(1)  # all are under way: computing 2,400 hashes takes longer
    return attack


def _proven(bench, server):
    return load.pop3(bench, server, "login,stat,quit", conns=1, laps=1, sessions=40, source=9,
                     sources=1)


def _steady(bench, server):
    """200 sessions a second, each ten messages of 4 KB; latency counts from when each was due."""
    return load.pop3(bench, server, "login,stat,list,retr,quit", conns=USERS, rate=200, laps=1,
                     window=4, seconds=max(2, bench.seconds * 1.5))


def _with(bench, server, disturb):
    if disturb is None:
        return _steady(bench, server)
    with disturb(bench, server):
        return _steady(bench, server)


def _deaf(bench, server, script, user):
    held = load.Gated(bench, server, script, core=bench.cores.other, first=user, window=200)
    held.wait()
    return held


def _stall(bench, server):
    return _deaf(bench, server, "login,stat,stall", STALLER)


def _drip(bench, server):
    return _deaf(bench, server, "login,stat,drip", DRIPPER)


def _giant(bench, server):
    server.forget_index(GIANT)
    return load.Gated(bench, server, "login,stat,gate,close", core=bench.cores.other, first=GIANT,
                      timeout=600)


def _wrong(bench, server):
    attack = load.Gated(bench, server, "badlogin,gate,close", core=bench.cores.other, first=WRONG,
                        conns=int(1000 * max(2, bench.seconds * 1.5)), rate=1000, sources=8,
                        ramp=100000, timeout=600)
    time.sleep(0.2)
    return attack
