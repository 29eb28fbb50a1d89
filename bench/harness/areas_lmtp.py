"""Mail coming in: 4 KB, 16 connections, 250 means it is on disk."""

from . import load
from .areas_login import subjects
from .servers import settle

CONNS = 16


def lmtp(bench):
    servers = subjects(bench)
    messages = 1500 if bench.quick else 6000
    for server in servers:
        server.make_mail(0, CONNS, 0, 0)
        server.start(CONNS)
        load.lmtp(bench, server, conns=CONNS, messages=CONNS * 4, octets=4096)
    try:
        for _ in range(bench.rounds):
            for server in servers:
                settle()
                report = load.lmtp(bench, server, conns=CONNS, messages=messages, octets=4096)
                bench.add("lmtp.rate", server.name, report["messages"] / report["seconds"])
                bench.add("lmtp.cpu_us", server.name,
                          report["server_cpu"] / report["messages"] * 1e6)
                bench.add("lmtp.p99_ms", server.name, report["delivery"]["p99"])
    finally:
        for server in servers:
            server.stop()
