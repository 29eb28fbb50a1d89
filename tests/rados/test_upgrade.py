"""`valija upgrade` of a site whose maildrops are in RADOS: sessions go on, and deliveries that
began before it."""
import signal

import cluster
from node import Node, Site


def test_sessions_go_on_over_an_upgrade(folder):
    site = Site()
    with cluster.Cluster(folder / 'ceph') as ceph:
        node = Node(folder / 'node', ceph, ('anna', 'bert')).init()
        try:
            node.start()
            assert all(site.send(node) for _ in range(4))
            pop = node.login()
            assert set(site.look(pop)) == {1, 2, 3, 4}
            node.process.send_signal(signal.SIGUSR2)
            node.wait(lambda: 'upgraded to' in node.text())
            assert set(site.look(pop, site.delivered)) == {1, 2, 3, 4}
            other = node.login('bert')
            assert other.stat() == (0, 0)
            other.quit()
            assert site.send(node)
            pop.ok('DELE 1')
            pop.quit()
            pop = node.login()
            assert set(site.look(pop)) == {2, 3, 4, 5}
            pop.quit()
            assert not site.wrong, site.wrong
        finally:
            node.stop()
