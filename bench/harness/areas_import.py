"""`valija import dovecot`: one maildrop with a million ids, and ten thousand maildrops with a
hundred. With --cold nothing of the mail is in memory. Messages are empty files, for an import opens
none."""

import os
import resource
import subprocess
import time

from .servers import Valija

ONE = (1, 1_000_000)
MANY = (10_000, 100)
ONE_QUICK = (1, 100_000)
MANY_QUICK = (1_000, 100)
CACHES = "/proc/sys/vm/drop_caches"


def _fill(server, number, count):
    """As Dovecot leaves it: messages in cur, their numbers in its list."""
    maildir = server.maildir(number)
    for folder in ("", "new", "cur", "tmp"):
        os.mkdir(f"{maildir}/{folder}")
    cur = os.open(f"{maildir}/cur", os.O_RDONLY | os.O_DIRECTORY)
    lines = [f"3 V1795942478 N{count + 1} G0123456789abcdef0123456789abcdef\n"]
    for n in range(1, count + 1):
        name = f"{1700000000 + n}.M{n}P1.bench,S=1024,W=1050"
        os.close(os.open(f"{name}:2,S", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=cur))
        lines.append(f"{n} :{name}\n")
    with open(f"{maildir}/dovecot-uidlist", "w") as file:
        file.writelines(lines)
    os.close(cur)


def _own(server):
    for folder, folders, files in os.walk(server.mail):
        for name in (*folders, *files):
            if folder != server.mail or not name.startswith("."):
                os.chown(f"{folder}/{name}", server.owner, server.owner)


def _forget_cached(bench):
    """Of the whole machine: names and inodes are not forgotten file by file."""
    if not bench.options.cold:
        return
    os.sync()
    try:
        with open(CACHES, "w") as file:
            file.write("3\n")
    except OSError as error:
        bench.note(f"import: caches stay warm: {CACHES}: {error.strerror}")


def _run(server, *words):
    settings = f"{server.root}/doveconf"
    with open(settings, "w"):
        pass  # Dovecot's defaults
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    said = subprocess.run([f"{server.bench.build}/valija", "import", "dovecot", "-c",
                           f"{server.office}/valija.conf", *words,
                           *(() if "--undo" in words else ("--config", settings))], check=True,
                          capture_output=True, text=True).stdout
    took = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return said, took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _measure(bench, what, users, count):
    server = Valija(bench)
    os.makedirs(server.root, exist_ok=True)
    server.configure(users)
    for number in range(users):
        _fill(server, number, count)
    _own(server)
    total = users * count
    for _ in range(bench.rounds):
        _forget_cached(bench)
        said, took, spent = _run(server)
        if f"{users} users, {total} messages, {total} keep their unique ids, 0 " not in said:
            raise RuntimeError(f"import: {said}")
        bench.add(f"import.{what}.s", server.name, took)
        bench.add(f"import.{what}.cpu_s", server.name, spent)
        _run(server, "--undo")
    bench.forget(server.root)


def moving_in(bench):
    if not bench.have_valija():
        return
    _measure(bench, "one", *(ONE_QUICK if bench.quick else ONE))
    _measure(bench, "many", *(MANY_QUICK if bench.quick else MANY))
    if not bench.options.cold:
        bench.note("import: with warm caches; its budgets are for cold ones (--cold)")
    if bench.quick:
        bench.note("import: a tenth of the messages, so its budgets mean nothing")
