"""`valijad -t` and `valija doctor` of a site whose mail is in RADOS: what is wrong with the
cluster, and what to do."""
import json

import pytest

import cluster
from node import Node


@pytest.fixture(scope='module')
def ceph(module_folder):
    with cluster.Cluster(module_folder / 'ceph', size=2, min_size=1) as running:
        yield running


@pytest.fixture
def make_node(folder, ceph):
    return lambda name='node', **more: Node(folder / name, ceph, **more)


def doctor(node):
    """(severity, text) of what it finds of the cluster."""
    done = node.run('valija', 'doctor', '-c', node.conf, '--json', check=False)
    found = json.loads(done.stdout)
    return [(row['severity'], row['text']) for row in found if row['check'] == 'cluster']


def test_a_good_cluster(make_node):
    node = make_node().init()
    done = node.check()
    assert done.returncode == 0, done.stderr
    assert 'min_size 1: mail that is acknowledged may be on one disk alone' in done.stderr
    assert {severity for severity, _ in doctor(node)} == {'warning'}
    assert all('ceph osd pool set' in text for _, text in doctor(node))


def test_a_cluster_of_which_nothing_is_to_be_said(make_node, ceph):
    for pool in ('twice', 'thrice'):
        ceph.pool(pool)
        ceph.ceph('osd', 'pool', 'set', pool, 'min_size', '2')
    node = make_node(pool='twice', bodies='thrice').init()
    [(severity, text)] = doctor(node)
    assert severity == 'ok' and 'answers' in text


def test_a_pool_without_a_mark(make_node, ceph):
    ceph.pool('fresh')
    done = make_node(pool='fresh').check()
    assert done.returncode == 78
    assert 'pool fresh has no mark' in done.stderr and 'valija rados init' in done.stderr


def test_a_pool_that_is_not_there(make_node):
    done = make_node(pool='nowhere').check()
    assert done.returncode != 0
    assert 'the cluster has no pool nowhere: make it (ceph osd pool create nowhere)' in done.stderr


def test_a_pool_of_one_copy(make_node, ceph):
    ceph.pool('single')
    ceph.ceph('osd', 'pool', 'set', 'single', 'size', '1', '--yes-i-really-mean-it')
    node = make_node(pool='single')
    done = node.check()
    assert done.returncode != 0
    assert 'pool single has size 1' in done.stderr
    assert ('error', done.stderr.split('rados: ')[1].split('\n')[0]) in doctor(node)
    node = make_node('told', pool='single')
    node.conf.write_text(node.conf.read_text().replace('pool =', 'single_copy = yes\n  pool ='))
    node.init()
    done = node.check()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('name, osd, words', [
    ('client.noexec', 'allow rw pool=mail, allow rw pool=bodies', 'lock (x, the class lock)'),
    ('client.reader', 'allow rx pool=mail, allow rw pool=bodies', 'may not write in pool mail'),
    ('client.nobodies', 'allow rwx pool=mail', 'may not write in pool bodies')])
def test_missing_caps(make_node, ceph, name, osd, words):
    keyring = ceph.ceph('auth', 'get-or-create', name, 'mon', 'allow r', 'osd', osd)
    (ceph.folder / f'{name}.keyring').write_text(keyring)
    node = make_node(key=name)
    # the key's name in the keyring was changed to the default one: the cluster knows it by its own
    (node.dir / 'keyring').chmod(0o600)
    (node.dir / 'keyring').write_text(keyring)
    node.conf.write_text(node.conf.read_text().replace(
        'pool =', f'user = "{name.removeprefix("client.")}"\n  pool =', 1))
    done = node.check()
    assert done.returncode == 77, done.stderr
    assert words in done.stderr and f'ceph auth caps {name}' in done.stderr
    assert any(severity == 'error' and f'ceph auth caps {name}' in text
               for severity, text in doctor(node))


def test_a_wrong_key(make_node, ceph):
    node = make_node()
    wrong = ceph.run('ceph-authtool', '--gen-print-key').stdout.strip()
    (node.dir / 'keyring').chmod(0o600)
    (node.dir / 'keyring').write_text(f'[client.valija]\n\tkey = {wrong}\n')
    done = node.check()
    assert done.returncode != 0
    assert 'client.valija' in done.stderr and 'keyring' in done.stderr


def test_no_keyring(make_node):
    node = make_node()
    (node.dir / 'keyring').unlink()
    done = node.check()
    assert done.returncode != 0
    assert 'client.valija' in done.stderr and 'keyring' in done.stderr


def test_no_monitor(make_node):
    node = make_node()
    conf = node.dir / 'ceph.conf'
    conf.write_text(conf.read_text().replace(f':{node_port(conf)}]', ':1]'))
    done = node.check()
    assert done.returncode != 0
    assert 'no monitor of the cluster answers' in done.stderr
    assert any(severity == 'error' and 'no monitor of the cluster answers' in text
               for severity, text in doctor(node))


def node_port(conf):
    return conf.read_text().split('mon_host = [v2:127.0.0.1:')[1].split(']')[0]


def test_the_folder_says_so_too(make_node):
    """The setting, and the word in the folder."""
    node = make_node()
    node.conf.write_text(node.conf.read_text().replace('store = "rados"', 'store = "maildir"'))
    done = node.check()
    assert done.returncode != 0 and 'is marked as a folder of the kind rados' in done.stderr


def test_one_folder_and_a_pool(make_node):
    node = make_node()
    text = node.conf.read_text()
    node.conf.write_text(text.replace('pool = "mail"', ''))
    assert 'the section rados names no pool' in node.check().stderr
    (node.dir / 'other').mkdir()
    node.run('valija', 'mark', '--store', 'rados', node.dir / 'other')
    node.conf.write_text(text.replace('mail = "mail"', 'mail = {"mail", "other"}'))
    assert 'name one folder in mail, not 2' in node.check().stderr


def test_nothing_is_kept_there(make_node):
    node = make_node(more='retention { keep_deleted = 7d }')
    assert 'leave keep_deleted and delete_after out' in node.check().stderr


def test_other_commands_keep_out(make_node):
    node = make_node()
    done = node.run('valija', 'deliver', '-c', node.conf, 'anna', check=False)
    assert done.returncode != 0 and 'this command does not reach' in done.stderr
    assert not (node.dir / 'mail/anna').exists()
