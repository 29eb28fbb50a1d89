"""Logins: processor time a session, latency, TLS, hashed passwords."""

import crypt

from . import load
from .peers import Dovecot
from .servers import Bare, Valija, settle

CONNS = 64


def subjects(bench, *more):
    made = [cls(bench) for cls in more] + [Dovecot(bench)]
    if bench.have_valija():
        made.append(Valija(bench))
    return made


def _measure(bench, server, metric, tls):
    report = load.pop3(bench, server, "login,stat,quit", tls=tls, conns=CONNS,
                       seconds=bench.seconds)
    sessions = report["sessions"]
    bench.add(f"{metric}.cpu_ms", server.name, report["server_cpu"] / sessions * 1e3)
    bench.add(f"{metric}.rate", server.name, sessions / report["seconds"])
    bench.add(f"{metric}.p50_ms", server.name, report["session"]["p50"])
    bench.add(f"{metric}.p99_ms", server.name, report["session"]["p99"])
    bench.add(f"{metric}.load_cpu_ms", server.name, report["cpu"] / sessions * 1e3)
    bench.keep(f"{metric}.latency", server.name, report["session"])


def _run(bench, servers, metric, tls, beside=lambda server: None):
    """beside: what else every round measures, so that what is compared is of the same minute."""
    for server in servers:
        if server.maildirs and server.name != "bare":
            server.make_mail(0, CONNS, 10, 4096)
        server.start(CONNS)
        load.pop3(bench, server, "login,stat,quit", tls=tls, conns=CONNS, sessions=CONNS * 2)
    try:
        for _ in range(bench.rounds):
            for server in servers:
                settle()
                _measure(bench, server, metric, tls)
                beside(server)
    finally:
        for server in servers:
            server.stop()


def login(bench):
    _run(bench, subjects(bench, Bare), "login", False)


def tls(bench):
    laps = 300 if bench.quick else 1000

    def parts(server):
        """A session without TLS, a handshake without sockets."""
        if server.name != "valija":
            return
        report = load.pop3(bench, server, "login,stat,quit", conns=CONNS, seconds=bench.seconds)
        bench.add("tls.plain_cpu_ms", server.name,
                  report["server_cpu"] / report["sessions"] * 1e3)
        report = bench.bare("bare_calls", "handshake", "--laps", laps, "--core",
                            bench.cores.server[0], "--cert", f"{bench.scratch}/cert.pem",
                            "--key", f"{bench.scratch}/key.pem")
        bench.add("handshake.server_ms", "bare", report["server_cpu"] / laps * 1e3)
        bench.add("handshake.both_ms", "bare", report["cpu"] / laps * 1e3)

    _run(bench, subjects(bench), "tls", True, parts)


def hashed(bench):
    """Passwords as yescrypt hashes, every user seen once before."""
    if not bench.have_valija():
        return
    secret = "{CRYPT}" + crypt.crypt("secret", "$y$j9T$benchbenchbenchbench")
    plain, hashes = Valija(bench), Valija.named(bench, "valija-yescrypt", secret=secret)
    _run(bench, [plain, hashes], "hashed", False)
