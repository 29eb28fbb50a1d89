"""Two valijads on one cluster: any node for any user, one session at a time, and what is left of it
when OSDs and nodes die. All that was acknowledged is read back."""
import concurrent.futures
import os
import signal
import time

import pytest

import cluster
from node import PASSWORD, Node, Site
from pop import Pop

LEASE = 120


@pytest.fixture
def make_site(folder):
    """(cluster, nodes), which end with the test."""
    ends = []

    def make(count=2, users=('anna',), store='memstore', **more):
        ceph = cluster.Cluster(folder / 'ceph', store)
        ends.append(ceph)
        ceph.start()
        nodes = [Node(folder / f'node{n}', ceph, users, **more) for n in range(count)]
        ends.extend(nodes)
        nodes[0].init()
        for node in nodes:
            node.start()
        return ceph, nodes

    yield make
    for end in reversed(ends):
        end.stop()


def check(site, nodes, user='anna'):
    """What every node shows in the end; a lock of a dead session ends with its lease."""
    for node in nodes:
        until = time.monotonic() + LEASE + 30
        while True:
            pop = Pop(node.pop3, timeout=60, host=node.host)
            pop.ok(f'USER {user}')
            if pop.ask(f'PASS {PASSWORD}').startswith('+OK'):
                break
            pop.close()
            assert time.monotonic() < until, node.text()
            time.sleep(0.5)
        site.look(pop, site.delivered)
        pop.ok('QUIT')
        pop.close()
    assert not site.wrong, site.wrong


def test_any_node_any_user(make_site):
    _, (one, two) = make_site(users=('anna', 'bert'))
    site = Site()
    assert all(site.send(node, 'anna') for node in (one, two, two, one))
    pop = two.login('bert')
    assert pop.stat() == (0, 0)
    pop.quit()
    pop = two.login()
    ids = pop.uidl()
    assert set(site.look(pop, site.delivered)) == {1, 2, 3, 4}
    pop.quit()
    assert site.collect(one, 'anna')
    pop = two.login()
    assert list(pop.uidl().values()) == [ids[1], ids[3]]
    pop.quit()
    check(site, (one, two))


def test_one_session_of_all_nodes(make_site):
    _, (one, two) = make_site()
    assert Site().send(one)
    pop = one.login()
    other = Pop(two.pop3)
    other.ok('USER anna')
    assert other.ask(f'PASS {PASSWORD}').startswith('-ERR [IN-USE]')
    pop.quit()
    two.login().quit()


def test_one_message_for_many(make_site):
    users = [f'u{n}' for n in range(20)]
    _, (one, two) = make_site(users=users)
    replies = one.deliver(b'Subject: to all\r\n\r\nhello\r\n', *users)
    assert all(reply.startswith('250') for reply in replies)
    for user in users:
        pop = two.login(user)
        assert pop.retr(1).endswith(b'hello\r\n')
        pop.quit()


def test_quota_is_that_of_the_log(make_site):
    _, (one, two) = make_site(more='quota { messages = 2 }')
    site = Site()
    assert site.send(one) and site.send(two)
    assert not site.send(one) and not site.send(two)
    assert site.collect(two, 'anna')
    assert site.send(one)
    check(site, (one, two))


def test_a_large_message(make_site):
    _, (one, two) = make_site()
    text = b'Subject: large\r\n\r\n' + b'.' + b'0123456789' * 7 + b'\r\n'
    text += (b'0123456789' * 7 + b'\r\n') * 600000
    assert one.deliver(text)[0].startswith('250')
    pop = two.login()
    assert pop.retr(1).endswith(text)
    assert pop.top(1, 1).endswith(b'.' + b'0123456789' * 7 + b'\r\n')
    pop.quit()


def test_a_node_that_dies_gives_its_lock_back_in_time(make_site):
    _, (one, two) = make_site()
    site = Site()
    assert site.send(one)
    pop = one.login()
    pop.ok('DELE 1')
    one.kill()
    pop.close()
    other = Pop(two.pop3)
    other.ok('USER anna')
    assert other.ask(f'PASS {PASSWORD}').startswith('-ERR [IN-USE]')
    other.close()
    assert site.send(two)
    check(site, (two,))  # nothing is deleted; in two minutes at most
    one.start()
    check(site, (one, two))


# ---- under load ----

class Load:
    """Senders and readers on all nodes, until it is told to stop."""

    def __init__(self, nodes, senders=4, readers=2, user='anna', part=2, pause=0):
        self.user, self.pause = user, pause  # of a reader, between two sessions
        self.nodes, self.over, self.site = list(nodes), False, Site(part)
        self.pool = concurrent.futures.ThreadPoolExecutor(senders + readers)
        self.work = ([self.pool.submit(self.go, n, self.site.send) for n in range(senders)] +
                     [self.pool.submit(self.go, n, self.site.collect) for n in range(readers)])

    def go(self, n, what):
        while not self.over:
            n += 1
            if not what(self.nodes[n % len(self.nodes)], self.user):
                time.sleep(0.05)
            elif what == self.site.collect:
                time.sleep(self.pause)

    def until(self, delivered):
        """So many have been acknowledged from now on."""
        want = len(self.site.delivered) + delivered
        until = time.monotonic() + 240
        while len(self.site.delivered) < want:
            assert time.monotonic() < until, 'no deliveries any more'
            time.sleep(0.02)

    def stop(self):
        self.over = True
        for one in self.work:
            one.result()
        print(f'{len(self.site.delivered)} deliveries and {len(self.site.deleted)} deletions '
              f'acknowledged, {self.site.sent - len(self.site.delivered)} put off, '
              f'{len(self.site.doubtful)} deletions in doubt')
        return self.site


def kill_one(ceph, load):
    ceph.kill_osd(1)
    load.until(100)
    ceph.revive_osd(1)


def kill_two(ceph, load):
    """Below min_size nothing is written."""
    ceph.kill_osd(1)
    ceph.wait_up(1, False)
    load.until(30)
    ceph.kill_osd(2)
    ceph.revive_osd(2)


def stop_one(ceph, load):
    """A machine that hangs: its peers notice, and report it."""
    ceph.signal('osd1', signal.SIGSTOP)
    load.until(50)
    ceph.signal('osd1', signal.SIGCONT)


def lose_monitor(ceph, load):
    ceph.kill('mon')
    load.until(100)
    ceph.start_monitor()


def kill_all(ceph, load):
    for name in list(ceph.processes):
        ceph.kill(name)
    ceph.start_monitor()
    for n in range(ceph.osds):
        ceph.start_osd(n)


@pytest.mark.parametrize('fault, store', [
    (kill_one, 'memstore'), (stop_one, 'memstore'), (lose_monitor, 'memstore'),
    (kill_two, 'bluestore'), (kill_all, 'bluestore')], ids=lambda v: getattr(v, '__name__', v))
def test_threat_80_osds_that_die(make_site, fault, store):
    ceph, nodes = make_site(store=store)
    load = Load(nodes)
    load.until(50)
    fault(ceph, load)
    load.until(50)
    check(load.stop(), nodes)


def test_threat_80_a_node_that_dies(make_site):
    """While it delivers and deletes, four times; then the other."""
    _, nodes = make_site()
    load = Load(nodes)
    for _ in range(2):
        for node in nodes:
            load.until(30)
            node.kill()
            load.until(10)
            node.start()
    check(load.stop(), nodes)


def test_threat_80_a_keeper_that_dies(make_site):
    _, nodes = make_site()
    load = Load(nodes)
    for _ in range(6):
        load.until(20)
        for node in nodes:
            for pid in node.children():
                name = open(f'/proc/{pid}/cmdline', 'rb').read()
                if b'keeper' in name:
                    os.kill(pid, signal.SIGKILL)
                    break
    check(load.stop(), nodes)
