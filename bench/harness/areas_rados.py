"""Maildrops in Ceph RADOS, on a cluster that the area starts and ends: one monitor and three OSDs
with bluestore, on this machine. The limit is librados itself (bare_rados): the same operations in
the same order and depth, in turn with ours. The cluster, the nodes and the load share the machine's
processors; who takes how much of them is among the samples."""

import contextlib
import json
import os
import pwd
import socket
import struct
import subprocess
import sys
import time

from . import load, machine
from .areas_maildrop import to_stat
from .servers import Valija, settle

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../tests/rados"))

import cluster  # noqa: E402

BIG = 100_000
SENDERS = (16, 64)
IDLE = 1000
NODES = (1, 2, 3)
PER_NODE = 32  # connections
# users by what they are for
READ, KNOWN, LOGINS, BIG_FIRST, IDLE_FIRST = 0, 100, 200, 300, 1000
ACCOUNTS = IDLE_FIRST + IDLE
LIBRADOS = "librados"

CONF = """\
hostname = "localhost"
mail = "{mail}"
store = "rados"
users = "users"
rados {{ conf = "{root}/ceph.conf"
  pool = "mail"
  bodies = "bodies" }}
pop3 {{ listen = "127.0.0.1:{pop3}" }}
lmtp {{ listen = "127.0.0.1:{lmtp}" }}
login {{ failure_delay = 1ms
  cache_entries = 200000 }}
limits {{ connections = 200000
  connections_per_address = 0
  sessions_per_user = 100 }}
"""


class Node(Valija):
    """One valijad of the site. ceph: the cluster."""

    maildirs = False
    speaks_tls = False

    def __init__(self, bench, **settings):
        super().__init__(bench, **settings)
        self.cores = bench.cores.all
        if os.getuid() == 0:
            self.owner = pwd.getpwnam("valija-rados").pw_uid

    def _private(self, name, text, owner):
        path = f"{self.root}/{name}"
        with open(path, "w") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
        if os.getuid() == 0:
            os.chown(path, owner, -1)

    def configure(self, accounts):
        ceph = self.settings["ceph"]
        if os.getuid() == 0:
            self._need_users()
        self.pop3, self.lmtp = machine.free_port(), machine.free_port()
        lines = [line for line in ceph.conf.read_text().split("[mon]")[0].splitlines()
                 if not line.startswith(("keyring", "log_file"))]
        with open(f"{self.root}/ceph.conf", "w") as file:
            file.write("\n".join(lines) + f"\nkeyring = {self.root}/keyring\n")
        self._private("keyring", (ceph.folder / "client.valija.keyring").read_text(), self.owner)
        self._private("users", "".join(f"{self.users}{number:06d}:{{PLAIN}}{self.password}\n"
                                       for number in range(accounts)),
                      pwd.getpwnam("valija-auth").pw_uid if os.getuid() == 0 else -1)
        os.makedirs(f"{self.root}/state", exist_ok=True)
        with open(f"{self.root}/valija.conf", "w") as file:
            file.write(CONF.format(mail=self.mail, root=self.root, pop3=self.pop3,
                                   lmtp=self.lmtp))
        self._valija("mark", "--store", "rados", self.mail)
        self._valija("rados", "init", "-c", f"{self.root}/valija.conf")

    def _valija(self, *command):
        done = subprocess.run([*self.state(), f"{self.bench.build}/valija", *command],
                              capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"valija {command}: {done.stdout}{done.stderr}")

    def state(self):
        return ["env", f"STATE_DIRECTORY={self.root}/state"]

    def command(self):
        return [*self.state(), f"{self.bench.build}/valijad", "-c", f"{self.root}/valija.conf"]


class Measured(cluster.Cluster):
    """A cluster whose processor time and operations are counted."""

    def cpu(self):
        table = machine.children()
        pids = {process.pid for process in self.processes.values()}
        return sum(table[pid][1] for pid in pids if pid in table) / machine.TICK

    def start_osd(self, n):
        self.daemon(f"osd{n}", "ceph-osd", "-i", n, "--admin-socket", self.socket(n))

    def socket(self, n):
        return f"{self.folder}/osd{n}.asok"

    def _ask(self, n, **request):
        """A request is JSON and a NUL, its answer a length and JSON."""
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(30)
            asked.connect(self.socket(n))
            asked.sendall(json.dumps(request).encode() + b"\0")
            with asked.makefile("rb") as answer:
                size, = struct.unpack(">I", answer.read(4))
                return json.loads(answer.read(size))

    def _count(self):
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} of the cluster has ended with {process.returncode}")
        return sum(self._ask(n, prefix="perf dump", logger="osd")["osd"]["op"]
                   for n in range(self.osds))

    def stored(self):
        """(copies of objects, octets of disks, octets of memory for what is known of objects)."""
        copies = disks = memory = 0
        for n in range(self.osds):
            bluestore = self._ask(n, prefix="perf dump", logger="bluestore")["bluestore"]
            pools = self._ask(n, prefix="dump_mempools")["mempool"]["by_pool"]
            copies += bluestore["bluestore_onodes"]
            disks += bluestore["bluestore_allocated"]
            memory += sum(pools[f"bluestore_cache_{name}"]["bytes"]
                          for name in ("onode", "meta", "other"))
        return copies, disks, memory

    def operations(self, seconds=10):
        """Of all clients since its start, replicas left out, once those of closed sessions (their
        locks are given back behind the answer to QUIT) have come."""
        end, before, now = time.monotonic() + seconds, None, self._count()
        while before != now and time.monotonic() < end:
            time.sleep(0.3)
            before, now = now, self._count()
        return now


def _rounds(bench, what, seconds):
    """As many as were asked for, fewer on a machine that is too busy for them."""
    end = time.monotonic() + (seconds / 3 if bench.quick else seconds)
    for number in range(bench.rounds):
        if number and time.monotonic() > end:
            bench.note(f"rados: {what}: {number} of {bench.rounds} rounds in the time for them")
            return
        yield number


def _bare(bench, ceph, what, **options):
    return bench.bare("bare_rados", what, "--conf", ceph.conf,
                      *(word for name, value in options.items()
                        for word in (f"--{name}", value)))


def _missing(bench):
    if not bench.have_valija():
        return "valijad is not built"
    for name in (f"{bench.build}/valija-keeper-rados", f"{bench.programs}/bare_rados"):
        if not os.path.exists(name):
            return f"{name} is not there: ./dev bench rados builds with librados"
    if program := cluster.missing():
        return f"{program} is not installed: ./dev bench rados installs it"
    return None


# ---- one after the other ----

def _stored(bench, ceph, node):
    """What one copy of an index of 100 messages, and of a body of 4 KB, takes of an OSD."""
    for kind, fill in (("index", lambda: _bare(bench, ceph, "fill", users="stored", maildrops=500,
                                               count=100)),
                       ("body", lambda: _bare(bench, ceph, "deliver", chains=64, messages=2000,
                                              octets=4096))):
        before = ceph.stored()
        fill()
        copies, disks, memory = (now - then for now, then in zip(ceph.stored(), before))
        bench.add(f"rados.stored.{kind}.disk_octets", LIBRADOS, disks / copies)
        bench.add(f"rados.stored.{kind}.memory_octets", LIBRADOS, memory / copies)


def _first_logins(bench, ceph, node):
    """Each round a maildrop that the keeper does not know; then the same after one delivery."""
    _bare(bench, ceph, "fill", first=BIG_FIRST, maildrops=bench.rounds, count=BIG)
    for lap in _rounds(bench, "first logins", 30):
        number = BIG_FIRST + lap
        settle()
        report = load.pop3(bench, node, "login,stat,uidl,list,quit", first=number, late=True)
        bench.add("rados.listing.login_ms", node.name, to_stat(report))
        bench.add("rados.listing.uidl_list_ms", node.name,
                  report["uidl"]["max"] + report["list"]["max"])
        bench.add("rados.listing.cpu_ms", node.name, report["server_cpu"] * 1e3)
        bare = _bare(bench, ceph, "listing", path=f"{node.users}{number:06d}", laps=5)
        bench.add("rados.listing.login_ms", LIBRADOS, bare["login"]["p50"])
        load.lmtp(bench, node, first=number, conns=1, messages=1, octets=4096)
        report = load.pop3(bench, node, "login,stat,quit", first=number)
        bench.add("rados.new.login_ms", node.name, to_stat(report))


def _known(bench, ceph, node):
    """Logins where the keeper knows the log and nothing was appended."""
    count = PER_NODE
    _bare(bench, ceph, "fill", first=KNOWN, maildrops=count, count=10)
    load.pop3(bench, node, "login,stat,quit", first=KNOWN, conns=count)
    before = ceph.operations()
    with load.Gated(bench, node, "login,stat,gate,quit", first=KNOWN, conns=count) as sessions:
        sessions.wait()
        within = ceph.operations()
        sessions.go()
        sessions.end()
    bench.add("rados.warm.operations", node.name, (within - before) / count)
    bench.add("rados.warm.operations_quit", node.name, (ceph.operations() - within) / count)
    for _ in _rounds(bench, "logins", 20):
        settle()
        report = load.pop3(bench, node, "login,stat,quit", first=KNOWN, sessions=100)
        bare = _bare(bench, ceph, "login", path=f"{node.users}{KNOWN:06d}", laps=100)
        bench.add("rados.warm.login_ms", node.name, report["login"]["p50"])
        bench.add("rados.warm.login_ms", LIBRADOS, bare["login"]["p50"])
        bench.add("rados.warm.cpu_ms", node.name, report["server_cpu"] / report["sessions"] * 1e3)


def _deliveries(bench, ceph, node):
    messages = 1000 if bench.quick else 3000
    load.lmtp(bench, node, conns=max(SENDERS), messages=4 * max(SENDERS), octets=4096)
    for _ in _rounds(bench, "deliveries", 90):
        for senders in SENDERS:
            settle()
            before = ceph.cpu()
            report = load.lmtp(bench, node, conns=senders, messages=messages, octets=4096)
            bench.add(f"rados.deliver.{senders}.cluster_cpu_us", node.name,
                      (ceph.cpu() - before) / report["messages"] * 1e6)
            bench.add(f"rados.deliver.{senders}.rate", node.name,
                      report["messages"] / report["seconds"])
            bench.add(f"rados.deliver.{senders}.cpu_us", node.name,
                      report["server_cpu"] / report["messages"] * 1e6)
            bench.add(f"rados.deliver.{senders}.p99_ms", node.name, report["delivery"]["p99"])
            settle()
            bare = _bare(bench, ceph, "deliver", chains=senders, messages=messages, octets=4096)
            bench.add(f"rados.deliver.{senders}.rate", LIBRADOS, bare["done"] / bare["seconds"])
            bench.add(f"rados.deliver.{senders}.cpu_us", LIBRADOS,
                      bare["cpu"] / bare["done"] * 1e6)
            bench.add(f"rados.deliver.{senders}.p99_ms", LIBRADOS, bare["delivery"]["p99"])


def _retr(bench, ceph, node):
    """What the deliveries brought, in order, again and again."""
    for _ in _rounds(bench, "RETR", 40):
        settle()
        with load.Gated(bench, node, "login,list,gate,retr,gate,quit", first=READ, window=32,
                        seconds=bench.seconds) as session:
            session.wait()
            began, spent = time.monotonic(), node.cpu()
            session.go()
            session.wait()
            took, spent = time.monotonic() - began, node.cpu() - spent
            session.go()
            messages = session.end()["messages"]
        bench.add("rados.retr.rate", node.name, messages / took)
        bench.add("rados.retr.cpu_us", node.name, spent / messages * 1e6)
        settle()
        bare = _bare(bench, ceph, "read", path=f"{node.users}{READ:06d}", depth=32,
                     seconds=bench.seconds)
        bench.add("rados.retr.rate", LIBRADOS, bare["done"] / bare["seconds"])
        bench.add("rados.retr.cpu_us", LIBRADOS, bare["cpu"] / bare["done"] * 1e6)


def _idle(bench, ceph, node):
    """For as long as each lock is renewed once (quick), or twice."""
    seconds = 31 if bench.quick else 61
    _bare(bench, ceph, "fill", first=IDLE_FIRST, maildrops=IDLE, count=1)
    with load.Gated(bench, node, "login,gate,noop,quit", first=IDLE_FIRST, conns=IDLE, ramp=32,
                    timeout=120) as sessions:
        bench.add("rados.idle.sessions", node.name, sessions.wait())
        node.rest(5)
        before, spent = ceph.operations(2), node.cpu()
        began = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        bench.add("rados.idle.percent", node.name, (node.cpu() - spent) / took * 100)
        bench.add("rados.idle.operations", node.name, (ceph.operations(2) - before) / took)
        sessions.go()
        sessions.end()  # NOOP is answered: each session is there still


def _together(bench, ceph, nodes):
    """Sessions a second of so many nodes, each with its own load."""
    spent, cluster_spent = sum(node.cpu() for node in nodes), ceph.cpu()
    began = time.monotonic()
    loads = [subprocess.Popen(
        load.command(bench.programs, "pop3load", load.target(node) | {
            "script": "login,stat,quit", "conns": PER_NODE, "first": LOGINS + PER_NODE * i,
            "seconds": bench.seconds}, -1), stdout=subprocess.PIPE, text=True)
        for i, node in enumerate(nodes)]
    reports = [load.finish(process.communicate()[0], node.name)
               for process, node in zip(loads, nodes)]
    took = time.monotonic() - began
    sessions = sum(report["sessions"] for report in reports)
    return {"rate": sum(report["sessions"] / report["seconds"] for report in reports),
            "p99_ms": max(report["session"]["p99"] for report in reports),
            "node_cpu_ms": (sum(node.cpu() for node in nodes) - spent) / sessions * 1e3,
            "cluster_cpu_ms": (ceph.cpu() - cluster_spent) / sessions * 1e3,
            "load_cpu_ms": sum(report["cpu"] for report in reports) / sessions * 1e3,
            "busy": (sum(node.cpu() for node in nodes) - spent + ceph.cpu() - cluster_spent
                     + sum(report["cpu"] for report in reports)) / took}


def _by_nodes(bench, ceph, first):
    _bare(bench, ceph, "fill", first=LOGINS, maildrops=PER_NODE * max(NODES), count=10)
    with contextlib.ExitStack() as stack:
        nodes = [first] + [stack.enter_context(
            Node.named(bench, f"valija-{n}", ceph=ceph).start(ACCOUNTS)) for n in NODES[1:]]
        for i, node in enumerate(nodes):  # each has seen its maildrops once
            load.pop3(bench, node, "login,stat,quit", conns=PER_NODE, first=LOGINS + PER_NODE * i)
        for _ in _rounds(bench, "nodes", 60):
            for count in NODES:
                settle()
                for name, value in _together(bench, ceph, nodes[:count]).items():
                    bench.add(f"rados.nodes.{count}.{name}", first.name, value)
    busy = bench.median(f"rados.nodes.{max(NODES)}.busy", first.name)
    bench.note(f"rados: {max(NODES)} nodes, the three OSDs and the load share "
               f"{len(bench.cores.all)} processors, {busy:.1f} of them busy with these: more nodes "
               "here get no more processors; what a session costs a node and the cluster is "
               "rados.nodes.1.node_cpu_ms, cluster_cpu_ms")


def rados(bench):
    if missing := _missing(bench):
        bench.note(f"rados left out: {missing}")
        return
    folder = f"{bench.scratch}/ceph"
    began = time.monotonic()
    try:
        with Measured(folder, "bluestore") as ceph:
            bench.say(f"  bluestore after {time.monotonic() - began:.1f} s; load "
                      f"{os.getloadavg()[0]:.0f}")
            with Node.named(bench, "valija", ceph=ceph).start(ACCOUNTS) as node:
                for part in (_stored, _deliveries, _retr, _first_logins, _known, _by_nodes, _idle):
                    bench.say(f"  {part.__name__.strip('_')}")
                    part(bench, ceph, node)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(error) from None
    bench.forget(folder)
