"""One big mbox: its first login, in cache and from the disk, later ones, messages out, deletions
and the rewrite behind them. In each round a server is started anew and has mailboxes nobody has
logged in to; peers are those that serve mboxes. One that does not answer in time is left out from
then on: Mailutils' pop3d flushes all of the mailbox once for each of its messages at QUIT."""

import fcntl
import os
import shutil
import subprocess
import time

from . import load, machine
from .peers import DovecotMbox, MailutilsMbox, Popa3d
from .servers import Valija, settle

BIG = 100_000
BIG_QUICK = 10_000
OCTETS = 4096
AGAIN = 5  # logins of one kind in a round
LOGIN = "login,stat,quit"
OF_NO_FILE = ("Pss_Anon:", "Pss_Shmem:")
PATIENCE = 120  # seconds for one answer
IN_CACHE, FROM_DISK = 0, 1  # the numbers of the users


class ValijaMbox(Valija):
    """Its mail folder holds mboxes of one owner."""

    def configure(self, accounts):
        super().configure(accounts)
        subprocess.run([f"{self.bench.build}/valija", "mark", "--store", "mbox", self.mail],
                       check=True, stdout=subprocess.DEVNULL)


def _subjects(bench):
    made = [DovecotMbox(bench)] if DovecotMbox.there() else []
    for peer in (Popa3d, MailutilsMbox):
        if peer.name in bench.options.without:
            bench.note(f"{peer.name} left out")
        elif peer.unpack(f"{bench.peers}/{peer.name}"):
            made.append(peer(bench))
        else:
            bench.note(f"{peer.name} left out: its packages cannot be unpacked and run here")
    if bench.have_valija():
        made.append(ValijaMbox(bench))
    return made


def _put_mailbox(server, number, master):
    path = server.maildir(number)
    shutil.copyfile(master, path)
    os.chown(path, server.uid(number), server.owner)
    os.chmod(path, 0o660)
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    return path


def _read_all(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def _forget_cached(path):
    """Takes a file out of the page cache."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    cached = subprocess.run(["fincore", "--noheadings", "--bytes", "--output", "RES", path],
                            capture_output=True, text=True, check=True).stdout
    if int(cached) > os.path.getsize(path) // 100:
        raise RuntimeError(f"{path}: {cached.strip()} octets stay in the page cache")


def _dd(path):
    _forget_cached(path)
    began = time.monotonic()
    subprocess.run(["dd", f"if={path}", "of=/dev/null", "bs=1M"], check=True,
                   stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def _to_stat(report):
    return report["login"]["max"] + report["stat"]["max"]


def _first_in_cache(bench, server, path):
    """And the memory of the session that made the index, while it is open."""
    _read_all(path)
    settle()
    memory, spent = machine.pss(server.meter.pids(), OF_NO_FILE), server.cpu()
    with load.Gated(bench, server, "login,stat,gate,quit", first=IN_CACHE,
                    timeout=PATIENCE) as session:
        session.wait()
        bench.add("mbox.first.cpu_ms", server.name, (server.cpu() - spent) * 1e3)
        bench.add("mbox.memory_mib", server.name,
                  (machine.pss(server.meter.pids(), OF_NO_FILE) - memory) / 1048576)
        session.go()
        bench.add("mbox.first.login_ms", server.name, _to_stat(session.end()))


def _first_from_disk(bench, server, path):
    read = _dd(path)
    _forget_cached(path)
    settle()
    report = load.pop3(bench, server, LOGIN, first=FROM_DISK, timeout=PATIENCE)
    read = (read + _dd(path)) / 2
    bench.add("mbox.cold.login_ms", "dd", read * 1e3)
    bench.add("mbox.cold.login_ms", server.name, _to_stat(report))
    bench.add("mbox.cold.ratio", server.name, _to_stat(report) / read / 1e3)


def _unchanged(bench, server):
    for _ in range(AGAIN):
        settle()
        report = load.pop3(bench, server, LOGIN, first=FROM_DISK, timeout=PATIENCE)
        bench.add("mbox.warm.session_ms", server.name, report["session"]["max"])
        bench.add("mbox.warm.cpu_ms", server.name, report["server_cpu"] * 1e3)


def _append(path, message):
    """As a delivery program does it that takes fcntl locks alone."""
    with open(path, "ab") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        file.write(message)


def _behind_new(bench, server, path, message):
    for number in range(AGAIN):
        _append(path, message.replace(b"\n\n", b"\nX-Number: %d\n\n" % number, 1))
        settle()
        report = load.pop3(bench, server, LOGIN, first=FROM_DISK, timeout=PATIENCE)
        bench.add("mbox.new.login_ms", server.name, _to_stat(report))
        bench.add("mbox.new.cpu_ms", server.name, report["server_cpu"] * 1e3)


def _messages(bench, server):
    settle()
    with load.Gated(bench, server, "login,list,gate,retr,gate,quit", window=32, first=FROM_DISK,
                    seconds=bench.seconds, timeout=PATIENCE) as session:
        session.wait()
        began, spent = time.monotonic(), server.cpu()
        session.go()
        session.wait()
        took, spent = time.monotonic() - began, server.cpu() - spent
        session.go()
        messages = session.end()["messages"]
    bench.add("mbox.retr.cpu_us", server.name, spent / messages * 1e6)
    bench.add("mbox.retr.rate", server.name, messages / took)


def _wait_rewritten(path, octets, session):
    """Until the mailbox has been cut and nobody holds NAME.lock."""
    end = time.monotonic() + PATIENCE
    while os.path.getsize(path) > octets or os.path.exists(f"{path}.lock"):
        if session.process.poll() or time.monotonic() > end:
            raise RuntimeError(f"{path} was not rewritten")
        time.sleep(0.0005)
    return time.monotonic()


def _deletions(bench, server, path, count):
    """The first messages are deleted, so that all others are moved."""
    before = os.path.getsize(path)
    flush = bench.bare("bare_calls", "flush", "--file", f"{bench.scratch}/flush", "--octets",
                       count * 40)
    bench.add("mbox.quit_ms", "one flush", flush["median"] * 1e3)
    spent = server.cpu()
    with load.Gated(bench, server, "login,stat,dele,gate,quit", window=64, messages=count,
                    first=FROM_DISK, timeout=PATIENCE) as session:
        session.wait()
        began = time.monotonic()
        session.go()
        rewritten = (_wait_rewritten(path, before - count * OCTETS // 2,
                                     session) - began) * 1e3
        quit_ms = session.end()["quit"]["max"]
    server.rest()
    bench.add("mbox.quit_ms", server.name, quit_ms)
    bench.add("mbox.rewritten_ms", server.name, rewritten)
    bench.add("mbox.sweep_ms", server.name, max(rewritten - quit_ms, 0))
    bench.add("mbox.rewritten.cpu_ms", server.name, (server.cpu() - spent) * 1e3)
    bench.add("mbox.sweep_ms", "write", _write(bench, path) * 1e3)


def _write(bench, path):
    """Seconds to write as many octets as were moved, once, to a new file, and to flush it."""
    copy = f"{bench.scratch}/written"
    left = os.path.getsize(path)
    with open(path, "rb") as file:
        octets = file.read(1 << 20)
    began = time.monotonic()
    with open(copy, "wb", buffering=0) as file:
        while left > 0:
            left -= file.write(octets[:left])
        os.fdatasync(file.fileno())
    took = time.monotonic() - began
    os.unlink(copy)
    return took


def _round(bench, server, master, message, count):
    with server.start(2):
        path = _put_mailbox(server, IN_CACHE, master)
        _first_in_cache(bench, server, path)
        os.unlink(path)
        path = _put_mailbox(server, FROM_DISK, master)
        _first_from_disk(bench, server, path)
        _unchanged(bench, server)
        _behind_new(bench, server, path, message)
        _messages(bench, server)
        _deletions(bench, server, path, count // 10)


def _try_round(bench, servers, server, master, message, count):
    """A peer that fails takes no part in later rounds; ours has to come through."""
    try:
        _round(bench, server, master, message, count)
    except RuntimeError as error:
        if isinstance(server, Valija):
            raise
        bench.note(f"mbox: {server.name} left out from here on: {error}")
        servers.remove(server)
    bench.forget(server.mail)
    os.makedirs(server.mail)


def mbox(bench):
    count = bench.options.big or (BIG_QUICK if bench.quick else BIG)
    if count != BIG:
        bench.note(f"mbox: a mailbox of {count:,} in this run")
    master, one = f"{bench.scratch}/master", f"{bench.scratch}/one"
    bench.makemail(mbox=master, count=count, octets=OCTETS)
    bench.makemail(mbox=one, count=1, first=5_000_000, octets=OCTETS)
    with open(one, "rb") as file:
        message = file.read()
    servers = _subjects(bench)
    for _ in range(bench.rounds):
        for server in list(servers):
            bench.say(f"  {server.name}; load {os.getloadavg()[0]:.0f}")
            _try_round(bench, servers, server, master, message, count)
    os.unlink(master)
