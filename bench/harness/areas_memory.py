"""Memory of idle connections: before login, under TLS, logged in; and how many at once."""

import math
import resource
import time

from . import load, machine
from .areas_login import subjects
from .servers import Valija, may_raise_limit


def hold(bench, server, metric, script, count, tls=False, curve=False):
    sources = 1 + count // 20000
    before, kernel = server.pss(), machine.kernel_memory()
    with load.Gated(bench, server, script, tls=tls, conns=count, sources=sources, ramp=128,
                    timeout=120) as held:
        arrived = held.wait()
        time.sleep(1)
        after, kernel_after = server.pss(), machine.kernel_memory()
        processes = server.processes()
        held.go()
        held.end()
    if not curve:
        bench.add(f"{metric}.kib", server.name, (after - before) / arrived / 1024)
        bench.add(f"{metric}.kernel_kib", server.name, (kernel_after - kernel) / arrived / 1024)
        bench.add(f"{metric}.processes", server.name, processes)
    return arrived, after - before


def memory(bench):
    count = 1000 if bench.quick else 5000
    kinds = {"idle": ("gate,close", False), "idle_tls": ("gate,close", True),
             "session": ("login,gate,close", False), "session_tls": ("login,gate,close", True)}
    for server in subjects(bench):
        server.make_mail(0, count, 1, 1024)
        for metric, (script, tls) in kinds.items():
            # a fresh server for each: what one kind of connection leaves behind is not the next's
            for _ in range(1 if bench.quick else 3):
                with server.start(count):
                    hold(bench, server, metric, "gate,close", 16, tls, curve=True)
                    hold(bench, server, metric, script, count, tls)
        points = [0, 250, 500, 1000] if bench.quick else [0, 500, 1000, 2000, 3500, 5000]
        for metric, (script, tls) in kinds.items():
            if bench.quick and tls:
                continue
            curve = [(0, 0)]
            with server.start(count):
                for held in points[1:]:
                    curve.append(hold(bench, server, metric, script, held, tls, curve=True))
            bench.keep("memory", f"{server.name} {metric}", curve)
        bench.forget(server.root)


def enough_processes(bench, area, count):
    """Settings for a machine that lets a process have only so many descriptors: a front takes no
    more sessions than could each have five, a keeper needs four each."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    room = 0.9 * (max(limit, 1048576) if may_raise_limit() else limit)
    wanted = {"fronts": math.ceil(count * 5 / room), "keepers": math.ceil(count * 4 / room)}
    if max(wanted.values()) <= len(bench.cores.server):
        return {}, count
    bench.note(f"{area}: {limit} descriptors a process allow no more than that many sessions a "
               f"process; {wanted['fronts']} fronts and {wanted['keepers']} keepers")
    return wanted, int(room)


def held(bench):
    """How many logged-in sessions at once, each another user."""
    if not bench.have_valija():
        return
    count = 5_000 if bench.quick else 100_000
    kind = "held_quick" if bench.quick else "held"
    conf, each = enough_processes(bench, "held", count)
    server = Valija(bench, conf=conf)
    server.make_mail(0, count, 0, 0)
    with server.start(count):
        time.sleep(2)
        before = server.pss()
        with load.gated_together(bench, server, "login,gate,noop,quit", count, each, ramp=64,
                                 timeout=120) as loads:
            arrived = sum(sessions.wait() for sessions in loads)
            bench.add(f"{kind}.sessions", server.name, arrived)
            bench.add(f"{kind}.kib", server.name, (server.pss() - before) / arrived / 1024)
            for sessions in loads:
                sessions.go()
            bench.add(f"{kind}.noop_p99_ms", server.name,
                      max(sessions.end()["noop"]["p99"] for sessions in loads))
    bench.forget(server.root)
