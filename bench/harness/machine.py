"""Facts about the machine for the bench: cores, processor time and memory of a whole server.

A server's processor time is that of all its processes, living and dead: from a control group of its
own when we may make one, else by adding up the tree of processes (the bench is a child subreaper,
so that daemons stay below it). Memory is PSS, with the kernel's share beside it.
"""

import ctypes
import os
import socket
import subprocess
import time

CPUACCT = "/sys/fs/cgroup/cpuacct"
UNIFIED = "/sys/fs/cgroup"
PR_SET_CHILD_SUBREAPER = 36
TICK = os.sysconf("SC_CLK_TCK")


def become_subreaper():
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Cores:
    """Which cores the server runs on, which the load; from what this process may use."""

    def __init__(self, server=None):
        self.all = sorted(os.sched_getaffinity(0))
        count = server or (2 if len(self.all) >= 4 else 1)
        self.server = self.all[:count]
        rest = self.all[count:] or self.all[-1:]
        self.load = rest[0]
        self.other = rest[-1]

    def describe(self):
        return {"all": len(self.all), "server": len(self.server), "load": 1}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, seconds=30, alive=lambda: True):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if not alive():
            break
        time.sleep(0.05)
    raise RuntimeError(f"nothing answers on port {port}")


def children():
    """Every process's parent and spent ticks, its own and those of children it has reaped."""
    table = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        table[int(name)] = (int(fields[1]), sum(int(f) for f in fields[11:15]))
    return table


def below(root):
    table = children()
    found, grown = {root} if root in table else set(), True
    while grown:
        more = {pid for pid, (parent, _) in table.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found


class Meter:
    """Processor time and members of one server. enter() is called in the server's first process."""

    def __init__(self, name):
        self.root = None
        self.group = None
        self.kind = None
        for kind, base, probe in (("v1", CPUACCT, "cpuacct.usage"), ("v2", UNIFIED, "cpu.stat")):
            if not os.path.exists(f"{base}/cgroup.procs"):
                continue
            group = f"{base}/valija-bench-{os.getpid()}-{name}"
            try:
                os.mkdir(group)
            except OSError:
                continue
            if os.path.exists(f"{group}/{probe}"):
                self.group, self.kind = group, kind
                break
            os.rmdir(group)

    def enter(self):
        if self.group:
            with open(f"{self.group}/cgroup.procs", "w") as file:
                file.write(str(os.getpid()))

    def seconds(self):
        if self.kind == "v1":
            with open(f"{self.group}/cpuacct.usage") as file:
                return int(file.read()) / 1e9
        if self.kind == "v2":
            with open(f"{self.group}/cpu.stat") as file:
                return int(file.readline().split()[1]) / 1e6
        table = children()
        return sum(table[pid][1] for pid in below(self.root) if pid in table) / TICK

    def pids(self):
        if self.group:
            with open(f"{self.group}/cgroup.procs") as file:
                return sorted({int(line) for line in file})
        return sorted(below(self.root))

    def close(self):
        if not self.group:
            return
        for _ in range(50):
            try:
                os.rmdir(self.group)
                return
            except OSError:
                time.sleep(0.1)


def pss(pids, kinds=("Pss:",)):
    """Octets of memory of these processes, shared pages divided among those who share them."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                for line in file:
                    if line.startswith(kinds):
                        total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total


def kernel_memory():
    """Octets of the kernel's own: slab, page tables, stacks and socket buffers."""
    total = 0
    with open("/proc/meminfo") as file:
        for line in file:
            name, value = line.split(":")
            if name in ("Slab", "PageTables", "KernelStack"):
                total += int(value.split()[0]) * 1024
    with open("/proc/net/sockstat") as file:
        for line in file:
            if line.startswith("TCP:"):
                fields = line.split()
                total += int(fields[fields.index("mem") + 1]) * os.sysconf("SC_PAGE_SIZE")
    return total


def run_json(command, **more):
    """Runs a bare program, returns the JSON object it prints."""
    import json

    result = subprocess.run(command, capture_output=True, text=True, **more)
    if result.returncode != 0 or not result.stdout.strip():
        raise RuntimeError(f"{os.path.basename(command[0])}: {result.stderr.strip()[:300]}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def describe():
    model = "unknown"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) // 1048576
    return {"processor": model, "memory_gib": memory, "kernel": os.uname().release,
            "system": _system()}


def _system():
    try:
        with open("/etc/os-release") as file:
            for line in file:
                if line.startswith("PRETTY_NAME="):
                    return line.split("=", 1)[1].strip().strip('"')
    except OSError:
        pass
    return "unknown"
