#!/usr/bin/python3
"""./dev soak rados SECONDS [SEED [STORE]]: three nodes on one cluster, mail and sessions of users
at all of them, and one fault after the other, drawn from SEED: OSDs and the monitor killed, stopped
and started, all of the cluster killed, nodes and keepers killed, sweeps. STORE: bluestore (as it is
without), or memstore, which loses what all its OSDs have when all are killed: that is left out. In
the end each node shows what was acknowledged, and nothing twice. Counts; exit status 1 and what
was wrong if a promise was broken. Programs: $VALIJA_BUILD.
"""
import os
import pathlib
import random
import signal
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / 'system'), str(HERE.parent / 'stand_ins')]

from cluster import Cluster  # noqa: E402
from conftest import open_folder  # noqa: E402
from node import Node  # noqa: E402
from test_nodes import (Load, check, kill_all, kill_one, kill_two, lose_monitor,  # noqa: E402
                        stop_one)

USERS = [f'u{n}' for n in range(4)]


class All:
    """The loads of all users, as one."""

    def __init__(self, nodes):
        self.loads = [Load(nodes, senders=2, readers=1, user=user, pause=0.2) for user in USERS]

    def until(self, delivered):
        for load in self.loads:
            load.until(max(1, delivered // len(self.loads)))


def kill_node(_, loads, nodes, choose):
    node = choose.choice(nodes)
    node.kill()
    loads.until(20)
    node.start()


def kill_keepers(_, loads, nodes, choose):
    for pid in choose.choice(nodes).children():
        if b'keeper' in pathlib.Path(f'/proc/{pid}/cmdline').read_bytes():
            os.kill(pid, signal.SIGKILL)
    loads.until(20)


def sweep(_, loads, nodes, choose):
    node = choose.choice(nodes)
    node.run('valija', 'rados', 'sweep', '-c', node.conf, check=False)


def of_cluster(fault):
    def run(ceph, loads, _nodes, _choose):
        fault(ceph, loads)
        for n in range(ceph.osds):  # one that stays dead in a test
            if f'osd{n}' not in ceph.processes:
                ceph.revive_osd(n)
    run.__name__ = fault.__name__
    return run


def soak(seconds, seed, store):
    choose, counts = random.Random(seed), {}
    faults = [of_cluster(f) for f in (kill_one, stop_one, lose_monitor)]
    faults += [kill_node, kill_keepers, sweep]
    if store == 'bluestore':
        faults += [of_cluster(f) for f in (kill_two, kill_all)]
    with open_folder() as folder, Cluster(folder / 'ceph', store) as ceph:
        nodes = [Node(folder / f'node{n}', ceph, USERS) for n in range(3)]
        nodes[0].init()
        try:
            for node in nodes:
                node.start()
            loads, over = All(nodes), time.monotonic() + seconds
            loads.until(20)
            while time.monotonic() < over:
                fault = choose.choice(faults)
                counts[fault.__name__] = counts.get(fault.__name__, 0) + 1
                print(f'{time.strftime("%H:%M:%S")} {fault.__name__}', flush=True)
                fault(ceph, loads, nodes, choose)
                loads.until(20)
            print('over', flush=True)
            for user, site in zip(USERS, [load.stop() for load in loads.loads]):
                check(site, nodes, user)
        finally:
            for node in nodes:
                node.stop()
    print(', '.join(f'{name} {n}' for name, n in sorted(counts.items())))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 31)
    store = sys.argv[3] if len(sys.argv) > 3 else 'bluestore'
    print(f'seed {seed}, {store}', flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('ended'))
    code = 1
    try:
        soak(float(sys.argv[1]), seed, store)
        code = 0
    except BaseException:  # nodes and cluster have ended; the loads' threads go on otherwise
        traceback.print_exc()
        print(f'seed {seed}')
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == '__main__':
    main()
