"""Messages on their way out: small ones lock-step and pipelined, large ones by the gigabyte."""

import glob

from . import load
from .areas_login import subjects
from .peers import Popa3d
from .servers import Bare, settle

SMALL = 4096
LARGE = 5_000_000


def _stop(servers):
    for server in servers:
        server.stop()


def with_popa3d(bench, servers):
    if Popa3d.unpack(f"{bench.peers}/popa3d"):
        servers.insert(0, Popa3d(bench))
    else:
        bench.note("popa3d left out: its package cannot be unpacked and run here")
    return servers


def retr(bench):
    """One connection, one message at a time."""
    servers = with_popa3d(bench, subjects(bench, Bare))
    for server in servers:
        if server.name != "bare":
            server.make_mail(0, 1, 100, SMALL)
        server.settings["count"] = 100
        server.start(1)
    try:
        for _ in range(bench.rounds):
            laps = 20000 if bench.quick else 60000
            echo = bench.bare("bare_calls", "echo", "--octets", SMALL, "--laps", laps, "--core",
                              bench.cores.server[0], "--peer-core", bench.cores.load)
            bench.add("retr.rate", "echo", laps / echo["seconds"])
            for server in servers:
                settle()
                report = load.between_gates(bench, server, "login,list,gate,retr,gate,quit",
                                            seconds=bench.seconds)
                bench.add("retr.rate", server.name, 1e3 / report["retr"]["mean"])
                bench.add("retr.cpu_us", server.name,
                          report["server_cpu"] / report["messages"] * 1e6)
                bench.add("retr.p99_ms", server.name, report["retr"]["p99"])
    finally:
        _stop(servers)


def _pipelined(bench, metric, servers, tls, window):
    for server in servers:
        if server.name != "bare":
            server.make_mail(0, 16, 100, SMALL)
        server.settings["count"] = 100
        server.start(16)
    try:
        for _ in range(bench.rounds):
            if metric == "pipelined":
                report = bench.bare("bare_calls", "files", "--dir", f"{servers[-1].maildir(0)}/cur",
                                    "--core", bench.cores.server[0])
                bench.add("pipelined.cpu_us", "files", report["cpu"] / report["files"] * 1e6)
            for server in servers:
                settle()
                report = load.between_gates(bench, server, "login,list,gate,retr,gate,quit",
                                            tls=tls, conns=16, window=window,
                                            seconds=bench.seconds)
                bench.add(f"{metric}.cpu_us", server.name,
                          report["server_cpu"] / report["messages"] * 1e6)
                bench.add(f"{metric}.rate", server.name,
                          report["messages"] / report["seconds"])
                bench.add(f"{metric}.load_cpu_us", server.name,
                          report["cpu"] / report["messages"] * 1e6)
    finally:
        _stop(servers)


def pipelined(bench):
    _pipelined(bench, "pipelined", subjects(bench, Bare), False, 32)


def pipelined_tls(bench):
    _pipelined(bench, "pipelined_tls", subjects(bench), True, 32)
    _pipelined(bench, "lockstep_tls", subjects(bench), True, 1)


def _large(bench, metric, servers, ends, tls):
    count, laps = 10, 2 if bench.quick else 8
    for server in servers:
        server.make_mail(0, 1, count, LARGE, ends=ends)
        server.start(1)
    ways = {"large_lf": ["convert"], "large_crlf": ["sendfile", "copy"],
            "large_tls": ["tls"]}[metric]
    try:
        for server in servers:  # every message in memory and indexed
            load.pop3(bench, server, "login,list,retr,quit", tls=tls, laps=1)
        bench.makemail(maildir=f"{bench.scratch}/bare-{ends}", count=1, octets=LARGE, ends=ends)
        file = glob.glob(f"{bench.scratch}/bare-{ends}/cur/*")[0]
        for _ in range(bench.rounds):
            for way in ways:
                report = bench.bare("bare_transfer", "--way", way, "--file", file, "--laps",
                                    count * laps, "--core", bench.cores.server[0], "--sink-core",
                                    bench.cores.load, "--cert", f"{bench.scratch}/cert.pem",
                                    "--key", f"{bench.scratch}/key.pem")
                bench.add(f"{metric}.cpu_s_gb", way, report["cpu"] / report["octets"] * 1e9)
            for server in servers:
                settle()
                report = load.between_gates(bench, server, "login,list,gate,retr,gate,quit",
                                            tls=tls, laps=laps)
                bench.add(f"{metric}.cpu_s_gb", server.name,
                          report["server_cpu"] / report["octets"] * 1e9)
                bench.add(f"{metric}.mb_s", server.name,
                          report["octets"] / report["retr"]["count"] / report["retr"]["mean"] / 1e3)
    finally:
        _stop(servers)
        bench.forget(f"{bench.scratch}/bare-{ends}")


def large(bench):
    _large(bench, "large_lf", with_popa3d(bench, subjects(bench)), "lf", False)


def large_crlf(bench):
    _large(bench, "large_crlf", subjects(bench), "crlf", False)


def large_tls(bench):
    _large(bench, "large_tls", subjects(bench), "lf", True)
