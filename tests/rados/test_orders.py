"""What nodes of one site tell each other: a login that ends an idle session of another node, and a
person's commands that all nodes carry out."""
import time

import pytest

import cluster
from conftest import open_folder
from node import PASSWORD, Node
from pop import Pop


@pytest.fixture(scope='module')
def nodes():
    """Three, of which one is exclusive; they and the cluster are those of all tests here."""
    with open_folder() as folder, cluster.Cluster(folder / 'ceph') as ceph:
        made = [Node(folder / f'node{n}', ceph, [f'u{i}' for i in range(9)],
                     timeouts='takeover = 1s', more='' if n == 2 else 'sessions = "takeover"')
                for n in range(3)]
        made[0].init()
        try:
            for node in made:
                node.start()
            # one that never had mail is in memory, and has no lock
            replies = made[0].deliver(b'Subject: hello\r\n\r\n', *(f'u{i}' for i in range(9)))
            assert all(reply.startswith('250') for reply in replies)
            yield made
        finally:
            for node in made:
                node.stop()


def try_login(node, user):
    """The session, or the reply of one that is refused."""
    pop = Pop(node.pop3, timeout=60)
    pop.ok(f'USER {user}')
    reply = pop.ask(f'PASS {PASSWORD}')
    if reply.startswith('+OK'):
        return pop
    pop.close()
    return reply


def idle(pop, seconds=1.1):
    """The session has been idle for so long: its time is what is tested."""
    pop.ok('NOOP')
    time.sleep(seconds)


def is_over(pop):
    try:
        return not pop.ask('NOOP').startswith('+OK')
    except (OSError, EOFError):
        return True


def test_threat_109_an_idle_session_of_another_node_is_taken_over(nodes):
    one, two, _ = nodes
    first = one.login('u0')
    first.ok('DELE 1')
    idle(first)
    began = time.monotonic()
    second = two.login('u0')
    assert time.monotonic() - began < 20  # not after the lease
    assert is_over(first)
    assert second.stat()[0] == 1  # nothing of what was marked is deleted
    idle(second)
    third = one.login('u0')  # and back
    assert is_over(second)
    third.quit()
    assert 'another session took this maildrop over' in one.text()


def test_a_session_that_is_not_idle_stays(nodes):
    one, two, _ = nodes
    first = one.login('u1')
    reply = try_login(two, 'u1')
    assert reply.startswith('-ERR [IN-USE]'), reply
    assert '127.0.0.1' in reply  # since when, and from where, as on one node
    first.quit()
    two.login('u1').quit()


def test_an_exclusive_node_takes_nothing(nodes):
    """It may be asked for its own."""
    one, _, exclusive = nodes
    first = one.login('u2')
    idle(first)
    assert try_login(exclusive, 'u2').startswith('-ERR [IN-USE]')
    first.quit()
    first = exclusive.login('u2')
    idle(first)
    one.login('u2').quit()
    assert is_over(first)


def test_threat_109_logins_at_all_nodes_at_once(nodes):
    """One of them has the maildrop at any time; those that end were ended, not cut."""
    sessions = []
    for turn in range(6):
        sessions.append(nodes[turn % 2].login('u3'))
        assert all(is_over(pop) for pop in sessions[:-1])
        idle(sessions[-1])
    sessions[-1].quit()


def test_a_kick_reaches_all_nodes(nodes):
    sessions = [node.login(f'u{4 + n}') for n, node in enumerate(nodes)]
    nodes[0].command('kick', 'u5')
    nodes[1].wait(lambda: is_over(sessions[1]))
    assert not is_over(sessions[0]) and not is_over(sessions[2])
    assert nodes[2].command('kick', '127.0.0.1').returncode == 0
    for node, pop in zip(nodes, sessions):
        node.wait(lambda: is_over(pop))


def test_a_flush_reaches_all_nodes(nodes):
    before = [node.text().count('forgotten') for node in nodes]
    assert nodes[0].command('user', 'flush', 'u0').returncode == 0
    for node, count in zip(nodes, before):
        node.wait(lambda: node.text().count('forgotten') == count + 1)


def test_a_ban_reaches_all_nodes(nodes):
    added = nodes[1].command('ban', 'add', '--for', '1h', '--why', 'guesses', '192.0.2.0/24')
    assert added.returncode == 0, added.stderr
    for node in nodes:
        node.wait(lambda: '192.0.2.0/24' in node.command('ban', 'list').stdout)
    assert nodes[2].command('ban', 'del', '192.0.2.0/24').returncode == 0
    for node in nodes:
        node.wait(lambda: '192.0.2.0/24' not in node.command('ban', 'list').stdout)
