"""Growth of cost: by connections, by maildrop size, by message size, by cores. Each curve is kept
with its exponent, the slope of log(cost) over log(size) from the point where the fixed cost of a
session no longer hides it."""

import math
import os
import subprocess

from . import load
from .areas_login import subjects
from .areas_maildrop import all_steps, to_stat
from .areas_memory import enough_processes
from .servers import Bare, Valija, settle


def exponent(points):
    points = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len(points) < 2:
        return None
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return (sum((x - mean_x) * (y - mean_y) for x, y in points)
            / sum((x - mean_x) ** 2 for x, _ in points))


def _keep(bench, metric, server, points, since=0):
    slope = exponent([(x, y) for x, y in points if x >= since])
    bench.keep(metric, server.name, {"points": points, "exponent": slope})


def connections(bench):
    """Processor time of N sessions that are all open at the same time."""
    sizes = [1, 10, 100, 1000] if bench.quick else [1, 10, 100, 1000, 5000, 10000, 20000]
    conf, each = enough_processes(bench, "scaling", max(sizes))
    for server in subjects(bench):
        server.settings["conf"] = conf
        server.make_mail(0, max(sizes), 1, 1024)
        points = []
        with server.start(max(sizes)):
            load.pop3(bench, server, "login,stat,quit", conns=64)
            for first in range(64, max(sizes), 64):  # every maildrop has been seen once
                load.pop3(bench, server, "login,stat,quit", conns=min(64, max(sizes) - first),
                          first=first)
            server.rest()
            for size in sizes:
                settle()
                times = max(1, 200 // size)
                spent = 0
                for _ in range(times):
                    spent += _open_together(bench, server, size, each)
                points.append((size, spent / times * 1e3))
        _keep(bench, "scaling.connections_cpu_ms", server, points)
        bench.forget(server.root)


def _open_together(bench, server, count, each):
    """The server's processor time from the first login to the last STAT."""
    with load.gated_together(bench, server, "gate,login,stat,gate,quit", count, each,
                             timeout=180) as loads:
        for sessions in loads:
            sessions.wait()
        before = server.cpu()
        for sessions in loads:
            sessions.go()
        for sessions in loads:
            sessions.wait()
        spent = server.cpu() - before
        for sessions in loads:
            sessions.go()
        for sessions in loads:
            sessions.end()
    return spent


def maildrop_sizes(bench):
    sizes = [10, 100, 1000, 10000, 100000] + ([] if bench.quick else [1000000])
    for server in subjects(bench):
        all_ms, login_ms = [], []
        with server.start(len(sizes)):
            for user, size in enumerate(sizes):
                if size > 100000 and server.name != "valija":
                    continue
                server.make_mail(user, 1, size, 512)
                load.pop3(bench, server, "login,stat,uidl,list,quit", first=user, timeout=900)
                server.rest()
                reports = [load.pop3(bench, server, "login,stat,uidl,list,quit", first=user,
                                     late=True)
                           for _ in range(5)]
                all_ms.append((size, sorted(all_steps(report) for report in reports)[2]))
                login_ms.append((size, sorted(to_stat(report) for report in reports)[2]))
                server.drop_mail(user)
        _keep(bench, "scaling.maildrop_all_ms", server, all_ms, since=1000)
        _keep(bench, "scaling.maildrop_login_ms", server, login_ms, since=1000)
        bench.forget(server.root)


def message_sizes(bench):
    sizes = [1 << 10, 10 << 10, 100 << 10, 1 << 20, 10 << 20, 50 << 20]
    for server in subjects(bench):
        points = []
        with server.start(len(sizes)):
            for user, size in enumerate(sizes):
                server.make_mail(user, 1, 2 if size > 1 << 20 else 20, size)
                laps = max(1, (100 << 20 if bench.quick else 400 << 20)
                           // size // (2 if size > 1 << 20 else 20))
                load.pop3(bench, server, "login,list,retr,quit", first=user, laps=1)
                report = load.between_gates(bench, server, "login,list,gate,retr,gate,quit",
                                            first=user, laps=min(laps, 1000))
                points.append((size, report["server_cpu"] / report["messages"] * 1e6))
                server.drop_mail(user)
        _keep(bench, "scaling.message_cpu_us", server, points, since=100 << 10)
        bench.forget(server.root)


def cores(bench):
    """Sessions a second with the server on 1, 2 and 4 cores. With fewer cores than twice that the
    load takes its share of the same ones, and says so."""
    if not bench.have_valija():
        return
    points = []
    for count in (1, 2, 4):
        if count > len(bench.cores.all):
            break
        server = Valija(bench)
        server.cores = bench.cores.all[:count]
        server.make_mail(0, 64, 10, 4096)
        free = bench.cores.all[count:] or bench.cores.all
        with server.start(64):
            loads = [_load(bench, server, free[i % len(free)], 32 * i) for i in range(2)]
            before = server.cpu()
            reports = [load.finish(process.communicate()[0], server.name) for process in loads]
            spent = server.cpu() - before
        sessions = sum(report["sessions"] for report in reports)
        points.append((count, sum(r["sessions"] / r["seconds"] for r in reports)))
        bench.add(f"cores.{count}.rate", server.name, points[-1][1])
        bench.add(f"cores.{count}.cpu_ms", server.name, spent / sessions * 1e3)
        bench.add(f"cores.{count}.busy", server.name, spent / reports[0]["seconds"])
    bench.keep("scaling.cores_rate", "valija", {"points": points, "exponent": exponent(points)})


def _load(bench, server, core, first):
    options = load.target(server) | {"script": "login,stat,retr,quit", "conns": 32, "window": 10,
                                     "laps": 1, "first": first, "seconds": bench.seconds}
    return subprocess.Popen(load.command(bench.programs, "pop3load", options, core),
                            stdout=subprocess.PIPE, text=True)


def scaling(bench):
    connections(bench)
    maildrop_sizes(bench)
    message_sizes(bench)
    cores(bench)
