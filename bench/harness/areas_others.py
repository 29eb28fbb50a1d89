"""Courier (with --all): what the other areas measure of Dovecot, as far as it goes."""

from . import load
from .areas_login import CONNS
from .areas_maildrop import ALL, BIG, OCTETS, all_steps, to_stat
from .areas_memory import hold
from .peers import Courier
from .servers import settle


def others(bench):
    for kind in (Courier,):
        if not kind.unpack(f"{bench.peers}/{kind.name}"):
            bench.note(f"{kind.name} left out: its packages cannot be unpacked and run here")
            continue
        server = kind(bench)
        server.make_mail(0, CONNS, 10, 4096)
        server.make_mail(CONNS, 1, bench.options.big or BIG, OCTETS)
        with server.start(CONNS + 1):
            _login(bench, server)
            _big(bench, server)
            load.pop3(bench, server, "login,quit")
            hold(bench, server, "session", "login,gate,close", CONNS)
        bench.forget(server.root)


def _login(bench, server):
    load.pop3(bench, server, "login,stat,quit", conns=CONNS, sessions=CONNS)
    for _ in range(bench.rounds):
        settle()
        report = load.pop3(bench, server, "login,stat,quit", conns=CONNS, seconds=bench.seconds)
        bench.add("login.cpu_ms", server.name, report["server_cpu"] / report["sessions"] * 1e3)
        bench.add("login.rate", server.name, report["sessions"] / report["seconds"])
        bench.add("login.p99_ms", server.name, report["session"]["p99"])
        report = load.between_gates(bench, server, "login,list,gate,retr,gate,quit",
                                    seconds=bench.seconds)
        bench.add("retr.rate", server.name, 1e3 / report["retr"]["mean"])
        bench.add("retr.cpu_us", server.name, report["server_cpu"] / report["messages"] * 1e6)


def _big(bench, server):
    load.pop3(bench, server, ALL, first=CONNS, timeout=600)
    for _ in range(bench.rounds):
        settle()
        report = load.pop3(bench, server, ALL, first=CONNS, late=True, timeout=600)
        bench.add("warm.all_ms", server.name, all_steps(report))
        bench.add("warm.login_ms", server.name, to_stat(report))
