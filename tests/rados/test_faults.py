"""What a cluster and its nodes go through besides deaths (test_nodes.py): no room, a clock that is
wrong, bodies in an erasure-coded pool. All that was acknowledged is read back."""
import os
import shutil
import threading
import time

import pytest

import cluster
from node import Node, Site, build_dir
from test_nodes import Load, check

BIG = 8 << 20
HOUR = 3600


def big(number):
    line = b'0123456789' * 7 + b'\r\n'
    return f'Subject: big {number}\r\n\r\n'.encode() + line * (BIG // len(line))


def until(condition, what, seconds=120):
    end = time.monotonic() + seconds
    while not (got := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.2)
    return got


def test_threat_80_a_cluster_that_is_full(folder):
    """OSDs without room for more: deliveries get 452, logins and deletions go on, and make the room
    that deliveries need again."""
    with cluster.Cluster(folder / 'ceph', memory=400 << 20) as ceph:
        nodes = [Node(folder / f'node{n}', ceph, ('anna', 'fill')) for n in range(2)]
        nodes[0].init()
        try:
            for node in nodes:
                node.start()
            be_full(nodes)
        finally:
            for node in nodes:
                node.stop()


def be_full(nodes):
    site = Site()
    for n in range(20):
        site.send(nodes[n % 2])
    filled = fill(nodes)
    print(f'full after {filled} messages of {BIG} octets')
    for node in nodes:
        until(lambda: refused(site, node), 'mail is taken by a cluster without room')
    before = site.sent
    assert all(site.collect(node, 'anna') for node in nodes)  # logins, reading, deletions
    assert site.deleted and site.sent == before
    pop = nodes[1].login('fill')
    assert pop.stat()[0] == filled
    assert len(pop.retr(filled)) >= BIG
    for n in range(1, filled + 1):
        pop.ok(f'DELE {n}')
    pop.quit()
    until(lambda: site.send(nodes[0]), 'deletions made no room', 180)
    check(site, nodes)
    pop = nodes[0].login('fill')
    assert pop.stat()[0] == 0
    pop.quit()


def refused(site, node):
    """A small message, of the site's: 452, or it is one more that has to be there."""
    with site.lock:
        site.sent += 1
        number = site.sent
    reply = node.deliver(site.text(number), 'anna')[0]
    if reply.startswith('250'):
        site.delivered.add(number)
    return reply.startswith('452')


def fill(nodes):
    """Returns how many were acknowledged before the first 452."""
    for n in range(200):
        reply = nodes[n % 2].deliver(big(n), 'fill')[0]
        if reply.startswith('452'):
            return n
        assert reply.startswith('250'), reply
    raise AssertionError('it is never full')


def programs_of_another_time(folder, keeper):
    """A build whose keepers' clock of the day is an hour ahead, or behind."""
    folder.mkdir()
    for path in build_dir().iterdir():
        if path.name.startswith('valija') and path.is_file():
            (folder / path.name).symlink_to(path)
    (folder / 'valijad').unlink()
    shutil.copy(build_dir() / 'valijad', folder / 'valijad')
    (folder / 'valija-keeper-rados').unlink()
    (folder / 'valija-keeper-rados').symlink_to(build_dir() / 'tests/rados' / keeper)
    return folder


def test_threat_80_clocks_that_are_an_hour_off(folder):
    """One node is an hour ahead, one behind, one right: one user, all at once; nothing depends on
    what the time is."""
    with cluster.Cluster(folder / 'ceph') as ceph:
        nodes = [Node(folder / f'node{n}', ceph, programs=programs)
                 for n, programs in enumerate((
                     programs_of_another_time(folder / 'ahead', 'keeper_ahead'),
                     programs_of_another_time(folder / 'behind', 'keeper_behind'), None))]
        nodes[2].init()
        try:
            for node in nodes:
                node.start()
            load = Load(nodes)
            load.until(150)
            site = load.stop()
            assert site.deleted
            check(site, nodes)
            written = times_of_records(ceph)
        finally:
            for node in nodes:
                node.stop()
    now = time.time()  # the test is about such clocks
    for off in (HOUR, -HOUR, 0):
        assert any(abs(t - now - off) < HOUR / 2 for t in written), (off, now, written[-5:])


def times_of_records(ceph):
    """When messages were delivered, by the clocks of their nodes: docs/rados-format.md."""
    log = ceph.folder / 'log-of-anna'
    ceph.run('rados', '-c', ceph.conf, '-p', 'mail', 'get', 'x/anna', log)
    octets, times, at = log.read_bytes(), [], 0
    while at < len(octets):
        size = int.from_bytes(octets[at:at + 2], 'little')
        if octets[at + 2] == 1:
            times.append(int.from_bytes(octets[at + 40:at + 48], 'little'))
        at += size
    return times


def test_bodies_in_an_erasure_coded_pool(folder):
    """Two nodes, and an OSD that dies and comes back."""
    with cluster.Cluster(folder / 'ceph') as ceph:
        ceph.coded_pool('coded')
        nodes = [Node(folder / f'node{n}', ceph, bodies='coded') for n in range(2)]
        nodes[0].init()
        try:
            for node in nodes:
                node.start()
            load = Load(nodes)
            load.until(50)
            ceph.kill_osd(1)
            ceph.wait_up(1, False)
            load.until(20)
            ceph.revive_osd(1)
            load.until(50)
            check(load.stop(), nodes)
        finally:
            for node in nodes:
                node.stop()


def test_threat_80_sweeps_and_compactions_under_load(folder):
    """`valija rados sweep` again and again, while all that is read is deleted: logs are made
    short, by sessions that nobody waits for."""
    with cluster.Cluster(folder / 'ceph') as ceph:
        nodes = [Node(folder / f'node{n}', ceph) for n in range(2)]
        nodes[0].init()
        try:
            for node in nodes:
                node.start()
            load = Load(nodes, senders=2, readers=1, part=1, pause=1.5)
            over, generations, swept = threading.Event(), set(), []

            def sweep():
                while not over.is_set():
                    done = nodes[0].run('valija', 'rados', 'sweep', '-c', nodes[0].conf,
                                        check=False)
                    swept.append(done.returncode)
                    generations.add(ceph.run('rados', '-c', ceph.conf, '-p', 'mail', 'getxattr',
                                             'x/anna', 'gen', check=False).stdout)

            load.until(1)
            sweeper = threading.Thread(target=sweep, daemon=True)
            sweeper.start()
            load.until(int(os.environ.get('VALIJA_DELIVERIES', 200)))
            until(lambda: len(generations) > 2, 'no log was made short')
            over.set()
            sweeper.join()
            site = load.stop()
            assert set(swept) <= {0, 75} and swept, swept  # 75: a session had the maildrop
            print(f'{len(swept)} sweeps, {len(generations)} generations of the log')
            check(site, nodes)
        finally:
            for node in nodes:
                node.stop()
