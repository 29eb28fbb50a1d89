"""The cost of being watched: sessions listed while they are held, and those who work meanwhile."""

import contextlib
import subprocess
import time
import urllib.request

from . import load, machine
from .areas_memory import enough_processes
from .meanwhile import again
from .servers import Valija, settle

STEADY = 64  # users who log in again and again while the others are held
SCRAPE_SECONDS = 1.0


class Seen(Valija):
    """With the socket of commands, the page of figures and events in a file."""

    name = "valija-seen"

    def configure(self, accounts):
        self.metrics = machine.free_port()
        super().configure(accounts)
        self._set({"socket": f'"{self.office}/control"',
                   "metrics": f'"127.0.0.1:{self.metrics}"',
                   "log_events": f'"{self.root}/events.json"'})

    def scrape(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=30) as page:
            return page.read()

    def who(self):
        """(milliseconds, sessions) of one `valija who --json`."""
        command = [f"{self.bench.build}/valija", "who", "--json", "-c",
                   f"{self.office}/valija.conf"]
        start = time.monotonic()
        done = subprocess.run(command, capture_output=True, check=True)
        return (time.monotonic() - start) * 1000, done.stdout.count(b'"session"')


def scraped(server):
    return again(server.scrape, SCRAPE_SECONDS, server.bench.cores.other)


def who(bench):
    """`valija who` over so many sessions, and the p99 of others with and without it."""
    if not bench.have_valija():
        return
    count = 5_000 if bench.quick else 100_000
    kind = "who_quick" if bench.quick else "who"
    conf, each = enough_processes(bench, "who", count)
    server = Seen(bench, conf=conf)
    server.make_mail(0, count + STEADY, 0, 0)
    with server.start(count + STEADY), \
            load.gated_together(bench, server, "login,gate,quit", count, each, ramp=64,
                                timeout=600) as loads:
        bench.add(f"{kind}.sessions", server.name, sum(held.wait() for held in loads))
        for _ in range(bench.rounds):
            settle()
            bench.add(f"{kind}.ms", server.name, server.who()[0])
        listed = server.who()[1]
        if listed < count:
            raise RuntimeError(f"valija who listed {listed} of {count} sessions")
        for _ in range(bench.rounds):
            for name, meanwhile in (
                    ("nobody", contextlib.nullcontext()),
                    ("who", again(server.who, 0.1, bench.cores.other))):
                settle()
                with meanwhile:
                    report = load.pop3(bench, server, "login,stat,quit", conns=STEADY, first=count,
                                       source=200, sources=1, rate=200, seconds=3)
                bench.add(f"{kind}.p99_ms", name, report["session"]["p99"])
        for held in loads:
            held.go()
        for held in loads:
            held.end()
    bench.forget(server.root)
