"""Users whose mail is on another POP3 server: logins, large messages and idle sessions through the
connector, and through Dovecot's proxy, to the same server. The processor time is that of the one in
front. With an upstream that gives no tickets each TLS handshake is a whole one."""

import os
import textwrap

from . import load
from .areas_login import CONNS
from .areas_memory import hold
from .peers import Dovecot
from .servers import Valija, settle

LARGE = 5_000_000
IDLE = 1000


class Upstream(Valija):
    """The other server, on a core that neither the one in front nor the load has."""

    name = "upstream"

    def __init__(self, bench, **settings):
        super().__init__(bench, **settings)
        self.cores = [bench.cores.other]


class WithoutTickets(Dovecot):
    name = "upstream-without-tickets"
    mail_settings = Dovecot.mail_settings + "ssl_options = no_ticket\n"

    def __init__(self, bench, **settings):
        super().__init__(bench, **settings)
        self.cores = [bench.cores.other]


class ValijaRemote(Valija):
    """upstream: a server that runs; tls: whether it is spoken to by TLS."""

    name = "valija"

    def configure(self, accounts):
        super().configure(accounts)
        upstream, tls = self.settings["upstream"], self.settings["tls"]
        secret = f"{self.root}/office/secret"
        with open(secret, "w") as file:
            file.write(self.password)
        os.chmod(secret, 0o600)
        with open(f"{self.root}/office/users", "w") as file:
            for number in range(accounts):
                file.write(f"{self.users}{number:06d}:{{PLAIN}}{self.password}::::::remote=up\n")
        with open(f"{self.root}/office/valija.conf", "a") as conf:
            conf.write(textwrap.dedent(f"""
                remote "up" {{
                \tserver = "127.0.0.1:{upstream.pop3s if tls else upstream.pop3}"
                \ttls = "{'yes' if tls else 'no'}"
                \tverify = "{self.bench.scratch}/cert.pem"
                \tcredentials = stored
                \tpassword_file = "{secret}"
                }}
                """))


class DovecotProxy(Dovecot):
    """Its login processes pass the client on, with the password that they were given."""

    name = "dovecot"

    def configure(self, accounts):
        super().configure(accounts)
        upstream, tls = self.settings["upstream"], self.settings["tls"]
        path = f"{self.root}/dovecot.conf"
        with open(path) as file:
            text = file.read()
        args = f"proxy=y host=127.0.0.1 port={upstream.pop3s if tls else upstream.pop3}" \
            " nopassword=y" + (" ssl=any-cert" if tls else "")
        passdb = f"driver = passwd-file\n  args = {self.root}/users"
        assert passdb in text
        with open(path, "w") as file:
            file.write(text.replace(passdb, f"driver = static\n  args = {args}", 1))


def _fronts(bench, upstream, tls, kind):
    made = [ValijaRemote.named(bench, f"valija {kind}", upstream=upstream, tls=tls)]
    if Dovecot.there():
        made.append(DovecotProxy.named(bench, f"dovecot {kind}", upstream=upstream, tls=tls))
    return made


def _logins(bench, upstream, tls, kind):
    upstream.make_mail(0, CONNS, 10, 4096)
    with upstream.start(CONNS):
        fronts = _fronts(bench, upstream, tls, kind)
        try:
            for front in fronts:
                front.start(CONNS)
                load.pop3(bench, front, "login,stat,quit", conns=CONNS, sessions=CONNS * 2)
            for _ in range(bench.rounds):
                for front in fronts:
                    settle()
                    report = load.pop3(bench, front, "login,stat,quit", conns=16,
                                       seconds=bench.seconds)
                    bench.add("remote.login.cpu_ms", front.name,
                              report["server_cpu"] / report["sessions"] * 1e3)
                    bench.add("remote.login.p50_ms", front.name, report["session"]["p50"])
        finally:
            for front in fronts:
                front.stop()
                bench.forget(front.root)
    bench.forget(upstream.root)


def remote_login(bench):
    """The client speaks without TLS: what is measured is the way to the other server."""
    if not bench.have_valija():
        return
    _logins(bench, Upstream(bench), False, "clear")
    _logins(bench, Upstream(bench), True, "resumed")
    if Dovecot.there():
        _logins(bench, WithoutTickets(bench), True, "full")


def remote_large(bench):
    """Messages of 5 MB: the rate through the one in front as a part of the upstream's own."""
    if not bench.have_valija():
        return
    for tls, kind in ((False, "clear"), (True, "tls")):
        upstream = Upstream(bench)
        upstream.make_mail(0, 1, 4, LARGE)
        with upstream.start(1):
            fronts = _fronts(bench, upstream, tls, kind)
            try:
                for front in fronts:
                    front.start(1)
                    load.pop3(bench, front, "login,list,retr,quit", laps=1)
                for _ in range(bench.rounds):
                    own = _rate(bench, upstream, tls)
                    bench.add("remote.large.own_mb_s", kind, own)
                    for front in fronts:
                        bench.add("remote.large.part", front.name, _rate(bench, front) / own)
            finally:
                for front in fronts:
                    front.stop()
                    bench.forget(front.root)
        bench.forget(upstream.root)


def _rate(bench, server, tls=False):
    settle()
    report = load.between_gates(bench, server, "login,list,gate,retr,gate,quit", tls=tls,
                                laps=2 if bench.quick else 8)
    return report["octets"] / report["retr"]["count"] / report["retr"]["mean"] / 1e3


def remote_idle(bench):
    """Sessions that are open and idle, TLS to the other server: memory of the one in front."""
    if not bench.have_valija():
        return
    count = IDLE // 4 if bench.quick else IDLE
    upstream = Upstream(bench)
    upstream.make_mail(0, count, 10, 1024)
    with upstream.start(count):
        for front in _fronts(bench, upstream, True, "tls"):
            for _ in range(1 if bench.quick else 3):
                with front.start(count):
                    hold(bench, front, "remote.idle", "login,gate,close", 16, curve=True)
                    hold(bench, front, "remote.idle", "login,gate,close", count)
            bench.forget(front.root)
    bench.forget(upstream.root)


def remote(bench):
    remote_login(bench)
    remote_large(bench)
    remote_idle(bench)
