"""Nodes with addresses of their own, each in a network namespace: three behind HAProxy, and one
that is cut off while it holds a lock. Root is needed."""
import shutil
import subprocess
import time

import pytest

import cluster
import network
from conftest import open_folder
from node import PASSWORD, Node, Site
from pop import Pop
from lmtp import Lmtp
from test_nodes import LEASE, Load, check

USERS = [f'u{n}' for n in range(6)]
HELD = ['h0', 'h1']
SLOW = 30  # seconds until a login that may have the lock has it, on a machine that is busy

HAPROXY = """\
global
    log stderr local0
defaults
    mode tcp
    timeout connect 2s
    timeout client 180s
    timeout server 180s
    option redispatch
    default-server inter 200ms fall 2 rise 2 check
frontend pop3
    bind 127.0.0.1:{pop3}
    default_backend pop3
frontend lmtp
    bind 127.0.0.1:{lmtp}
    default_backend lmtp
backend pop3
    balance roundrobin
{pop3_servers}
backend lmtp
    balance roundrobin
{lmtp_servers}
"""


@pytest.fixture(scope='module')
def site():
    """(network, cluster, three nodes) that this thread is among, and its children."""
    why = network.missing()
    if why:
        pytest.skip(why)
    with open_folder() as folder, network.Network(3) as wire, wire.inside():
        with cluster.Cluster(folder / 'ceph', address=wire.hub) as ceph:
            nodes = [Node(folder / f'node{n}', ceph, USERS + HELD, host=wire.address(n),
                          where=wire.names[n], proxied=f'{wire.address(n)}:1110',
                          more=behind(wire, n)) for n in range(3)]
            nodes[0].init()
            try:
                for node in nodes:
                    node.start()
                yield wire, ceph, nodes
            finally:
                for node in nodes:
                    node.stop()


def behind(wire, n):
    """The second POP3 listener is for the proxy alone."""
    return f'listener "{wire.address(n)}:1110" {{ proxy_from = {{"{wire.hub}"}} }}\n'


class Front:
    """The site as its users and its MTA see it: one address."""

    def __init__(self, wire, folder, nodes):
        self.pop3, self.lmtp, self.folder, self.process = 2110, 2024, folder, None
        (folder / 'haproxy.cfg').write_text(HAPROXY.format(
            pop3=self.pop3, lmtp=self.lmtp,
            pop3_servers='\n'.join(f'    server n{n} {wire.address(n)}:1110 send-proxy-v2'
                                   ' check-send-proxy' for n in range(len(nodes))),
            lmtp_servers='\n'.join(f'    server n{n} {wire.address(n)}:{node.lmtp}'
                                   for n, node in enumerate(nodes))))

    def __enter__(self):
        program = shutil.which('haproxy') or shutil.which('/usr/sbin/haproxy')
        if not program:
            pytest.skip('there is no HAProxy here')
        self.process = subprocess.Popen([program, '-db', '-f', str(self.folder / 'haproxy.cfg')],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate(timeout=20)

    def text(self):
        return 'see the logs of the nodes'

    def deliver(self, message, *users):
        with Lmtp(self.lmtp, timeout=60) as lmtp:
            return lmtp.deliver(message, *(f'{user}@example.org' for user in users))

    def login(self, user):
        pop = Pop(self.pop3, timeout=60)
        pop.login(user, PASSWORD)
        return pop

    host = '127.0.0.1'


def test_three_nodes_behind_haproxy(site, folder):
    """Any node, any user; one of them dies: the others have its users within the lease."""
    wire, _, nodes = site
    with Front(wire, folder, nodes) as front:
        loads = [Load([front], senders=1, readers=1, user=user) for user in USERS[:3]]
        for load in loads:
            load.until(10)
        assert all(r.startswith('250') for r in front.deliver(b'Subject: hello\r\n\r\n', *HELD))
        for user in HELD:
            nodes[1].login(user).ok('DELE 1')
        nodes[1].kill()
        died = time.monotonic()
        for user in HELD:
            pop = wait_for_lock(front, user)
            assert time.monotonic() - died < LEASE + SLOW
            assert pop.stat()[0] == 1
            pop.quit()
        nodes[1].start()
        for load in loads:
            load.until(5)
        for user, one in zip(USERS, [load.stop() for load in loads]):
            check(one, (front, *nodes), user)
    served = [node.text().count(' login from=127.0.0.1') for node in nodes]
    assert all(served), served  # each of them had users, and knows where they come from


def test_threat_80_a_node_that_is_cut_off(site):
    """It ends its sessions itself before another node can have their lock, and deletes nothing.
    A QUIT that the cluster does not hear is not answered with +OK; it deletes all or nothing."""
    wire, _, (one, two, _) = site
    idle, quitting = Site(), Site()
    deliver(idle, two, 'u4', 4)
    deliver(quitting, two, 'u5', 3)
    with wire.inside(0):  # the clients are on the machine that is cut off
        held, ending = one.login('u4'), one.login('u5')
    before, found = (where.look(pop, where.delivered)
                     for where, pop in ((idle, held), (quitting, ending)))
    held.ok('DELE 1')
    for n in found.values():
        ending.ok(f'DELE {n}')
    wire.cut(0)
    try:
        cut = time.monotonic()
        ending.send('QUIT\r\n')
        taken = wait_for_lock(two, 'u4')
        assert time.monotonic() - cut < LEASE + SLOW
        assert not said(held, 'NOOP').startswith('+OK')
        assert idle.look(taken, idle.delivered).keys() >= before.keys()
        answer = said(ending)
        assert not answer.startswith('+OK'), answer
    finally:
        wire.join(0)
    taken.quit()
    taken = wait_for_lock(two, 'u5')
    left = quitting.numbers(taken).keys()
    assert left & found.keys() in (set(), found.keys()), (left, found)
    taken.quit()
    check(idle, (one, two), 'u4')
    assert not quitting.wrong, quitting.wrong


def deliver(mail, node, user, count):
    while len(mail.delivered) < count:
        mail.send(node, user)


def wait_for_lock(node, user):
    while True:
        try:
            return node.login(user)
        except AssertionError:
            time.sleep(0.2)


def said(pop, *command):
    """Its next line, to that command; '' if it is over."""
    try:
        return pop.ask(*command) if command else pop.line()
    except (OSError, EOFError):
        return ''
