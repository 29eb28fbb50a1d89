"""Costs of a big maildrop: logins and listings, warm, with one new message, without an index; and
the deletion of ten thousand messages."""

import os
import time

from . import load
from .areas_login import subjects
from .areas_retr import with_popa3d
from .servers import Valija, settle

BIG = 100_000
BIG_QUICK = 20_000  # where an index is built again and again
OCTETS = 1024
ALL = "login,stat,uidl,list,quit"


def size_of_big(bench):
    return bench.options.big or BIG


def to_stat(report):
    """Milliseconds of the login as the user sees it: until STAT is answered. Some servers say +OK
    to PASS before they have looked at the maildrop."""
    return report["login"]["max"] + report["stat"]["max"]


def all_steps(report):
    """A whole session without the load generator's own parsing of the listings."""
    steps = ("greeting", "login", "stat", "uidl", "list", "quit")
    return sum(report[step]["max"] for step in steps)


def _stop(servers):
    for server in servers:
        server.stop()


def _once(bench, server, script="login,stat,quit", **options):
    settle()
    return load.pop3(bench, server, script, **options)


def warm(bench):
    """Nothing changed since the last login."""
    servers = with_popa3d(bench, subjects(bench))
    for server in servers:
        server.make_mail(0, 1, size_of_big(bench), OCTETS)
        server.start(1)
        load.pop3(bench, server, ALL, timeout=300)
        server.rest()
        load.pop3(bench, server, ALL, timeout=300)
    try:
        for _ in range(bench.rounds):
            for server in servers:
                report = _once(bench, server, ALL, late=True)
                bench.add("warm.all_ms", server.name, all_steps(report))
                bench.add("warm.login_ms", server.name, to_stat(report))
                bench.add("warm.uidl_ms", server.name, report["uidl"]["max"])
                bench.add("warm.list_ms", server.name, report["list"]["max"])
                bench.add("warm.quit_ms", server.name, report["quit"]["max"])
                bench.add("warm.cpu_ms", server.name, report["server_cpu"] * 1e3)
        _one_new(bench, [server for server in servers if server.maildirs])
    finally:
        _stop(servers)


def _one_new(bench, servers):
    for number in range(bench.rounds):
        for server in servers:
            if server.has_lmtp:
                load.lmtp(bench, server, conns=1, messages=1, octets=OCTETS)
                report = _once(bench, server)
                bench.add("own_new.login_ms", server.name, to_stat(report))
            bench.makemail(maildir=server.maildir(0), first=5_000_000 + number, count=1,
                           octets=OCTETS, folder="new", owner=f"{server.owner}:{server.owner}")
            report = _once(bench, server)
            bench.add("foreign_new.login_ms", server.name, to_stat(report))


def _no_index(bench, metric, names):
    servers = subjects(bench)
    size = bench.options.big or (BIG_QUICK if bench.quick else BIG)
    if size != BIG:
        bench.note(f"{metric}: a maildrop of {size:,} in this run")
    for server in servers:
        server.make_mail(0, 1, size, OCTETS, names=names)
        server.start(1)
        load.pop3(bench, server, "login,stat,quit", timeout=600)
    try:
        for _ in range(min(bench.rounds, 3) if bench.quick else bench.rounds):
            for server in servers:
                server.forget_index(0)
                if names == "plain":
                    _read_all(server.maildir(0))
                else:
                    report = bench.bare("bare_calls", "readdir", "--dir",
                                        f"{server.maildir(0)}/cur", "--core",
                                        bench.cores.server[0])
                    bench.add(f"{metric}.login_ms", "readdir", report["seconds"] * 1e3)
                report = _once(bench, server, timeout=600)
                bench.add(f"{metric}.login_ms", server.name, to_stat(report))
                bench.add(f"{metric}.cpu_ms", server.name, report["server_cpu"] * 1e3)
    finally:
        _stop(servers)
        for server in servers:
            bench.forget(server.root)


def _read_all(maildir):
    """Every message read once: both servers find the same page cache."""
    folder = f"{maildir}/cur"
    for name in os.listdir(folder):
        with open(f"{folder}/{name}", "rb") as file:
            file.read()


def no_index(bench):
    _no_index(bench, "no_index", "sw")


def no_index_plain(bench):
    _no_index(bench, "no_index_plain", "plain")


def million(bench):
    """A maildrop of a million, warm: login and STAT."""
    if not bench.have_valija():
        return
    if bench.quick:
        bench.note("the maildrop of a million is made in full runs only")
        return
    server = Valija(bench)
    server.make_mail(0, 1, 1_000_000, 512)
    with server.start(1):
        began = time.monotonic()
        load.pop3(bench, server, "login,stat,quit", timeout=900)
        bench.add("million.first_login_s", server.name, time.monotonic() - began)
        for _ in range(bench.rounds):
            # a close goes on counting octets that were only claimed in names, some thousand a time
            server.rest(300)
            report = _once(bench, server)
            bench.add("million.login_stat_ms", server.name, to_stat(report))
            report = _once(bench, server, ALL, late=True)
            bench.add("million.all_ms", server.name, all_steps(report))
    bench.forget(server.root)


def quit_time(bench):
    """10,000 messages fetched and marked; how long QUIT takes. Real copies each time. Ours also
    with deleted messages that are kept: the answer must not take longer."""
    count = 10_000
    servers = with_popa3d(bench, subjects(bench))
    servers.append(Valija.named(bench, "valija-keeps", conf={"keep_deleted": "7d"}))
    for server in servers:
        server.make_mail(0, 1, 10, OCTETS)
        server.start(1 + bench.rounds)
        load.pop3(bench, server, "login,stat,quit")
    try:
        for user in range(1, 1 + bench.rounds):
            flush = bench.bare("bare_calls", "flush", "--file", f"{bench.scratch}/flush",
                               "--octets", count * 40)
            bench.add("quit.ms", "one flush", flush["median"] * 1e3)
            for server in servers:
                server.make_mail(user, 1, count, OCTETS)
                os.sync()
                report = _once(bench, server, "login,list,retr,dele,quit", first=user, window=64,
                               laps=1)
                bench.add("quit.ms", server.name, report["quit"]["max"])
                bench.add("quit.session_cpu_s", server.name, report["server_cpu"])
                _must_be_empty(bench, server, user)
    finally:
        _stop(servers)


def _must_be_empty(bench, server, user):
    report = load.pop3(bench, server, "login,list,retr,quit", first=user, laps=1)
    if report["messages"]:
        raise load.LoadError(f"{server.name}: messages are there again after QUIT")
