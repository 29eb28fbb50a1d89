"""Fetchers side by side: valija fetch, mpop, fetchmail and getmail6 collect the same mail from the
same Dovecot, through a proxy of ours that delays and counts turns.

mpop, getmail6 and valija deliver into a Maildir themselves; fetchmail hands each message to a
command that does what a small delivery agent does (write below tmp/, rename into new/).
"""

import json
import os
import shutil
import subprocess

from . import load
from .peers import Dovecot

USER = 0
NOBODY = 65534


class Fetcher:
    name = "fetcher"
    all_messages = True  # False: too slow for thousands of round trips, gets a tenth

    def __init__(self, bench):
        self.bench = bench
        self.root = f"{bench.scratch}/fetch-{self.name}"

    def fresh(self):
        shutil.rmtree(self.root, ignore_errors=True)
        for folder in ("new", "cur", "tmp"):
            os.makedirs(f"{self.root}/mail/{folder}")
        os.makedirs(f"{self.root}/state")

    def hand_over(self):
        """As root everybody fetches as nobody: getmail6 delivers nothing as root."""
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", self.root], check=True)

    def write(self, name, text, mode=0o600):
        path = f"{self.root}/{name}"
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def collected(self):
        return sum(len(os.listdir(f"{self.root}/mail/{folder}")) for folder in ("new", "cur"))

    def command(self, port, keep, tls):
        raise NotImplementedError

    def run(self, port, keep=False, tls=False):
        line = [f"{self.bench.programs}/measure", *self.command(port, keep, tls)]
        report = f"{self.root}/report"
        self.hand_over()
        environment = {"HOME": self.root, "PATH": os.environ["PATH"], "LANG": "C"}
        with open(report, "wb") as out, open(f"{self.root}/log", "ab") as log:
            read_end = out.fileno()

            def at_three():
                os.dup2(read_end, 3)
                if os.getuid() == 0:
                    os.setgroups([])
                    os.setgid(NOBODY)
                    os.setuid(NOBODY)

            result = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    env=environment, preexec_fn=at_three, pass_fds=(3,),
                                    cwd=self.root, timeout=1800)
        with open(report) as file:
            text = file.read()
        if not text:
            raise RuntimeError(f"{self.name}: no report")
        answer = json.loads(text)
        with open(f"{self.root}/log", errors="replace") as file:
            self.words = " ".join(file.read().splitlines()[-3:])[-300:]
        if answer["status"] != 0 and not self.fine(answer["status"]):
            raise RuntimeError(f"{self.name} ended with {result.returncode}: {self.words}")
        return answer

    @staticmethod
    def fine(status):
        return False


class Mpop(Fetcher):
    name = "mpop"

    def command(self, port, keep, tls):
        conf = self.write("mpoprc", f"""\
account default
host localhost
port {port}
user u{USER:06d}
password secret
auth user
tls {"on" if tls else "off"}
tls_starttls off
tls_trust_file {self.bench.scratch}/cert.pem
delivery maildir {self.root}/mail
keep {"on" if keep else "off"}
uidls_file {self.root}/state/uidls
""")
        return ["mpop", "-q", "-C", conf]


class Getmail(Fetcher):
    name = "getmail6"
    all_messages = False

    def command(self, port, keep, tls):
        self.write("getmailrc", f"""\
[retriever]
type = Simple{"POP3SSL" if tls else "POP3"}Retriever
server = localhost
port = {port}
username = u{USER:06d}
password = secret
[destination]
type = Maildir
path = {self.root}/mail/
[options]
delete = {"false" if keep else "true"}
read_all = false
verbose = 0
""")
        return ["getmail", f"--getmaildir={self.root}", f"--rcfile={self.root}/getmailrc"]


class Fetchmail(Fetcher):
    name = "fetchmail"
    all_messages = False

    def command(self, port, keep, tls):
        deliver = self.write("deliver", f"""\
#!/bin/sh
cat >{self.root}/mail/tmp/$$ && mv {self.root}/mail/tmp/$$ {self.root}/mail/new/$(date +%s%N).$$
""", 0o700)
        conf = self.write("fetchmailrc", f"""\
set idfile "{self.root}/state/ids"
set pidfile "{self.root}/state/pid"
poll localhost with protocol POP3 uidl port {port}:
  user "u{USER:06d}" there with password "secret"
  {"keep" if keep else "nokeep"} {"ssl sslcertfile " + self.bench.scratch + "/cert.pem" if tls
                                  else "sslproto ''"} mda "{deliver}"
""")
        return ["fetchmail", "-f", conf, "--nodetach", "--silent"]

    @staticmethod
    def fine(status):
        return status == 1  # "no mail"


class ValijaFetch(Fetcher):
    name = "valija"

    def command(self, port, keep, tls):
        secret = self.write("secret", "secret\n")
        line = [f"{self.bench.build}/valija", "fetch",
                f"pop3{'s' if tls else ''}://u{USER:06d}@localhost:{port}",
                "--to", f"maildir:{self.root}/mail", "--keep" if keep else "--delete",
                "--password-file", secret, "--state", f"{self.root}/state"]
        return line + (["--ca", f"{self.bench.scratch}/cert.pem"] if tls else ["--tls", "none"])


class Proxy:
    """The delaying proxy in front of the server."""

    def __init__(self, bench, port, rtt, listen=0):
        self.process = subprocess.Popen(
            [f"{bench.programs}/delayproxy", "--port", str(port), "--rtt", str(rtt), "--listen",
             str(listen), "--core", str(bench.cores.other)], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def turns(self):
        """Of the connection that has just ended."""
        return json.loads(self.process.stdout.readline())["turns"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def fetchers(bench):
    made = [Mpop(bench)] + ([] if bench.quick else [Fetchmail(bench), Getmail(bench)])
    if bench.have_valija():
        made.append(ValijaFetch(bench))
    return [fetcher for fetcher in made if fetcher.name not in bench.options.without]


def _refill(server, count, octets):
    server.drop_mail(USER)
    server.make_mail(USER, 1, count, octets)
    os.sync()


def _measured(bench, metric, fetcher, subject, report, expected):
    got = fetcher.collected()
    if got != expected:
        raise RuntimeError(f"{fetcher.name} collected {got} of {expected}: {fetcher.words}")
    bench.add(f"{metric}.s", subject, report["seconds"])
    bench.add(f"{metric}.cpu_s", subject, report["cpu"])
    bench.add(f"{metric}.peak_mb", subject, report["peak_kib"] * 1024 / 1e6)


def _tried(bench, metric, fetcher, work):
    """A peer that fails here is a note, ours is an error."""
    try:
        work()
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        if fetcher.name == "valija":
            raise
        bench.note(f"{metric}: {error}")


def _slow(bench, server, all_fetchers):
    """2,000 × 4 KB, deleted, 100 ms round trip."""
    with Proxy(bench, server.pop3, 100) as proxy:
        for number in range(min(bench.rounds, 3)):
            for fetcher in all_fetchers:
                few = not fetcher.all_messages and not bench.everyone
                if few and number > 0:
                    continue
                count = 200 if few else 2000

                def work(fetcher=fetcher, few=few, count=count):
                    _refill(server, count, 4096)
                    fetcher.fresh()
                    report = fetcher.run(proxy.port)
                    subject = fetcher.name if not few else f"{fetcher.name}: {count} messages"
                    bench.add("fetch_slow.turns", subject, proxy.turns())
                    _measured(bench, "fetch_slow", fetcher, subject, report, count)

                _tried(bench, "fetch_slow", fetcher, work)


def _fast(bench, server, all_fetchers):
    """The same without delay, onto a disk."""
    for _ in range(bench.rounds):
        for fetcher in all_fetchers:
            def work(fetcher=fetcher):
                _refill(server, 2000, 4096)
                fetcher.fresh()
                report = fetcher.run(server.pop3)
                _measured(bench, "fetch_fast", fetcher, fetcher.name, report, 2000)

            _tried(bench, "fetch_fast", fetcher, work)


def _large(bench, server, all_fetchers, metric, tls):
    """20 × 5 MB: time and peak memory."""
    for _ in range(bench.rounds):
        for fetcher in all_fetchers:
            def work(fetcher=fetcher):
                _refill(server, 20, 5_000_000)
                fetcher.fresh()
                report = fetcher.run(server.pop3s if tls else server.pop3, tls=tls)
                _measured(bench, metric, fetcher, fetcher.name, report, 20)

            _tried(bench, metric, fetcher, work)


def _kept(bench, server, all_fetchers):
    """10,000 kept, all known: what asking for new mail costs, 100 ms round trip."""
    count = 10_000
    _refill(server, count, 1024)
    for fetcher in all_fetchers:
        def work(fetcher=fetcher):
            fetcher.fresh()
            # the same address both times: to a fetcher another port is another server
            with Proxy(bench, server.pop3, 0) as proxy:
                port = proxy.port
                fetcher.run(port, keep=True)
            with Proxy(bench, server.pop3, 100, port) as proxy:
                for _ in range(min(bench.rounds, 3)):
                    report = fetcher.run(proxy.port, keep=True)
                    bench.add("fetch_kept.turns", fetcher.name, proxy.turns())
                    _measured(bench, "fetch_kept", fetcher, fetcher.name, report, count)

        _tried(bench, "fetch_kept", fetcher, work)


def _fetch(bench, near, far):
    server = Dovecot(bench)
    all_fetchers = fetchers(bench)
    with server.start(1):
        server.make_mail(USER, 1, 1, 1024)
        load.pop3(bench, server, "login,stat,quit")
        if far:
            _slow(bench, server, all_fetchers)
            _kept(bench, server, all_fetchers)
        if near:
            _fast(bench, server, all_fetchers)
            _large(bench, server, all_fetchers, "fetch_large", False)
            _large(bench, server, [fetcher for fetcher in all_fetchers
                                   if fetcher.name in ("mpop", "valija")], "fetch_large_tls", True)


def fetch(bench):
    _fetch(bench, True, True)


def fetch_near(bench):
    """Without delays: minutes less, for a machine that has little time."""
    _fetch(bench, True, False)


def fetch_far(bench):
    _fetch(bench, False, True)
