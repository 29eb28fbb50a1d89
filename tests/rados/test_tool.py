"""`valija rados`: pools checked and mended, swept, filled from Maildirs and given back to them."""
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

import cluster
from node import Node, build_dir, owner
from objects import Objects, add_frame

DAY = 24 * 3600
COUNT = 40
DANGLING = 65
LEFT_OUT = 75


@pytest.fixture(scope='module')
def ceph(module_folder):
    with cluster.Cluster(module_folder / 'ceph') as running:
        for pool in ('one-x', 'one-m', 'two-x', 'two-m'):
            running.pool(pool)
        yield running


class Place:
    """A site with two pools, empty at first."""

    def __init__(self, ceph, folder, name='one', marked=True):
        self.node = Node(folder / name, ceph, users=('anna', 'bert'), pool=f'{name}-x',
                         bodies=f'{name}-m')
        self.indexes, self.bodies = Objects(ceph, f'{name}-x'), Objects(ceph, f'{name}-m')
        self.indexes.clear()
        self.bodies.clear()
        if marked:
            self.run('init')

    def command(self, word, *arguments):
        words = (build_dir() / 'valija', 'rados', word, '-c', self.node.conf, *arguments)
        return [str(a) for a in words]

    def run(self, word, *arguments, code=0):
        done = subprocess.run(self.command(word, *arguments), capture_output=True, text=True,
                              timeout=120)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def kill_when(self, condition, word, *arguments):
        """Ends it as a power cut would, when it has come so far. False: it had ended before."""
        process = subprocess.Popen(self.command(word, *arguments), stdout=subprocess.DEVNULL)
        while process.poll() is None and not condition():
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


@pytest.fixture
def make_place(ceph, folder):
    made = []

    def make(*name, **more):
        made.append(Place(ceph, folder, *name, **more))
        return made[-1]

    yield make
    for place in made:
        place.node.stop()


def body(number):
    return f'Subject: {number}\n\nText of {number}\n.dot\n'.encode() + b'x' * (number * 97 % 5000)


def make_maildir(folder, count=COUNT):
    """Returns the unique ids in their order, which is not that of names or times."""
    for name in ('cur', 'new', 'tmp'):
        (folder / name).mkdir(parents=True)
    order = [n * 7 % count for n in range(count)]
    lines = []
    for n in range(count):
        path = folder / 'cur' / f'{1700000000 + n}.M{n}.host:2,S'
        path.write_bytes(body(n))
        os.utime(path, (1700000000 + n, 1700000000 + n))
    for n in order:
        lines.append(f'0000{n:04x}5b1c{n:04x} {1700000000 + n}.M{n}.host\n')
    (folder / 'valija-uidl').write_text(f' origin {count} dovecot\n' + ''.join(lines))
    own(folder.parent)
    return [line.split()[0] for line in lines], order


def own(folder):
    for path in (folder, *folder.rglob('*')):
        os.chown(path, owner(), -1)


def served(place, user='anna'):
    """(unique ids in their order, bodies) as a session shows them."""
    if not place.node.process:
        place.node.start()
    pop = place.node.login(user)
    ids = list(pop.uidl().values())
    texts = [pop.retr(n + 1) for n in range(len(ids))]
    pop.quit()
    return ids, texts


def wire(octets):
    return octets.replace(b'\n', b'\r\n') + (b'' if octets.endswith(b'\n') else b'\r\n')


def test_there_and_back(make_place, folder):
    """Maildir, pool, Maildir, another pool: the same ids, order and octets."""
    one, two = make_place(), make_place('two')
    ids, order = make_maildir(folder / 'from/anna')
    make_maildir(folder / 'from/bert', 3)
    said = one.run('import', '--dry-run', folder / 'from')
    assert f'2 maildrops: {COUNT + 3} messages would be brought' in said
    assert not one.indexes.names('x/')
    one.run('import', folder / 'from')
    assert '0 messages brought, 43 were there' in one.run('import', folder / 'from')
    assert served(one) == (ids, [wire(body(n)) for n in order])
    (folder / 'back').mkdir()
    own(folder / 'back')
    assert f'{COUNT + 3} messages of' in one.run('export', '--dry-run', folder / 'back')
    assert not list((folder / 'back').iterdir())
    one.run('export', folder / 'back')
    said = one.run('export', folder / 'back')
    assert f'0 messages of 0 octets written, {COUNT + 3} were there' in said
    two.run('import', folder / 'back')
    assert served(two) == (ids, [wire(body(n)) for n in order])
    for place in (one, two):
        said = place.run('check', '--read')
        assert f'2 maildrops, {COUNT + 3} messages' in said
        assert '0 dangling, 0 damaged logs, 0 damaged bodies' in said


def test_mail_of_the_server(make_place, folder):
    """Deliveries have no id from elsewhere; what was deleted between two exports goes."""
    place = make_place()
    place.node.start()
    for n in range(4):
        assert place.node.deliver(wire(body(n)))[0].startswith('250')
    ids, texts = served(place)
    (folder / 'back').mkdir()
    own(folder / 'back')
    place.run('export', folder / 'back', 'anna')
    pop = place.node.login()
    pop.ok('DELE 2')
    pop.quit()
    assert '0 messages of 0 octets written, 3 were there, 1 files of deleted ones went' in \
        place.run('export', folder / 'back', 'anna')
    del ids[1], texts[1]
    again = make_place('two')
    again.run('import', folder / 'back')
    assert served(again) == (ids, texts)
    assert 'maildrop anna 3 ' in place.run('stats', '--each')


def test_export_keeps_out(make_place, folder):
    """A Maildir that a server has used, or with other mail, is not written into."""
    place = make_place()
    make_maildir(folder / 'from/anna')
    place.run('import', folder / 'from')
    assert 'a server has used this Maildir' in place.run('export', folder / 'from', code=LEFT_OUT)
    shutil.rmtree(folder / 'from')
    make_maildir(folder / 'from/anna', 1)
    assert 'mail that was not exported' in place.run('export', folder / 'from', code=LEFT_OUT)
    assert len(list((folder / 'from/anna/cur').iterdir())) == 1


def test_no_path_leads_out(make_place, folder):
    place = make_place()
    for name in ('x/../out', 'x/a/../../out', 'x//out', 'x/.out'):
        place.indexes.rados('create', name)
        for attribute, value in (('gen', '0' * 32), ('fmt', '1')):
            place.indexes.rados('setxattr', name, attribute, value)
    (folder / 'back').mkdir()
    own(folder / 'back')
    said = place.run('export', folder / 'back', code=LEFT_OUT)
    assert said.count('no path below a mail folder') == 4
    assert not (folder / 'out').exists() and not list((folder / 'back').iterdir())


def test_import_is_killed(make_place, folder):
    """Killed where it stands, any number of times, by a call at once after that."""
    place = make_place()
    ids, order = make_maildir(folder / 'from/anna', 150)
    kills = 0
    for goal in (1, 20, 70, 110):
        kills += place.kill_when(lambda: len(place.bodies.names('m/')) >= goal,
                                 'import', '--rate', 100, folder / 'from')
    assert kills >= 3
    said = place.run('import', folder / 'from')
    brought, there = map(int, re.search(r'(\d+) messages brought, (\d+) were there', said).groups())
    assert brought + there == 150 and there >= 16
    assert served(place) == (ids, [wire(body(n)) for n in order])
    said = place.run('check', '--read')
    assert '1 maildrops, 150 messages' in said and '0 records twice' in said


def test_export_is_killed(make_place, folder):
    place, again = make_place(), make_place('two')
    ids, order = make_maildir(folder / 'from/anna', 150)
    place.run('import', folder / 'from')
    back = folder / 'back'
    back.mkdir()
    own(back)
    kills = 0
    for goal in (1, 30, 80):
        kills += place.kill_when(lambda: len(list(back.glob('anna/cur/*'))) >= goal,
                                 'export', '--rate', 100, back)
        assert not (back / 'anna/valija-uidl').exists()
    assert kills == 3
    there = int(re.search(r'(\d+) were there', place.run('export', back)).group(1))
    assert there >= 80
    again.run('import', back)
    assert served(again) == (ids, [wire(body(n)) for n in order])


def test_deletions_stay(make_place, folder):
    """What its owner has deleted in the pool is not brought again."""
    place = make_place()
    ids, _ = make_maildir(folder / 'from/anna', 5)
    place.run('import', folder / 'from')
    place.node.start()
    pop = place.node.login()
    pop.ok('DELE 1')
    pop.quit()
    assert '0 messages brought, 5 were there' in place.run('import', folder / 'from')
    assert served(place)[0] == ids[1:]


def test_a_session_has_the_maildrop(make_place, folder):
    place = make_place()
    make_maildir(folder / 'from/anna', 3)
    place.run('import', folder / 'from')
    place.bodies.put_orphan('m/' + '0' * 32, b'x', time.time() - 8 * DAY, 'anna')
    place.node.start()
    pop = place.node.login()
    assert 'a session has the maildrop' in place.run('import', folder / 'from', code=LEFT_OUT)
    assert 'a session has the maildrop' in place.run('sweep', code=LEFT_OUT)
    assert 'm/' + '0' * 32 in place.bodies.names()
    pop.quit()
    place.run('sweep')
    assert 'm/' + '0' * 32 not in place.bodies.names()


# ---- check ----

def test_dangling(make_place, folder):
    place = make_place()
    ids, _ = make_maildir(folder / 'from/anna', 5)
    place.run('import', folder / 'from')
    place.bodies.remove(place.bodies.names('m/')[2])
    said = place.run('check', code=DANGLING)
    lost = re.search(r'^dangling anna [0-9a-f]{32} (\S+)$', said, re.M).group(1)
    assert lost in ids and '1 dangling' in said
    assert '0 mended' in place.run('check', '--repair', '--dry-run', code=DANGLING)
    assert '1 mended' in place.run('check', '--repair')
    assert '0 dangling' in place.run('check')
    ids.remove(lost)
    assert served(place)[0] == ids


def test_all_bodies_gone(make_place, folder):
    """A pool that was made anew is no reason to give up all mail."""
    place = make_place()
    make_maildir(folder / 'from/anna', 5)
    place.run('import', folder / 'from')
    for name in place.bodies.names():
        place.bodies.remove(name)
    size = place.indexes.size('x/anna')
    assert 'has no mark' in place.run('check', '--repair', code=78)
    assert 'has no mark' in place.run('sweep', code=78)
    assert place.indexes.size('x/anna') == size


def test_damaged_log(make_place, folder):
    place = make_place()
    make_maildir(folder / 'from/anna', 5)
    make_maildir(folder / 'from/bert', 2)
    place.run('import', folder / 'from')
    place.bodies.put_orphan('m/' + '0' * 32, b'x', time.time() - 8 * DAY, 'bert')
    before = place.bodies.names()
    place.indexes.write('x/anna', b'?', 200, folder)
    said = place.run('check', code=DANGLING)
    assert 'damaged-log anna its log is damaged at octet' in said
    assert '2 maildrops, 4 messages' in said
    # whose bodies they are is not known: none goes
    assert 'damaged' in place.run('sweep', code=65)
    assert place.bodies.names() == before


def test_damaged_body(make_place, folder):
    place = make_place()
    make_maildir(folder / 'from/anna', 3)
    place.run('import', folder / 'from')
    place.bodies.write(place.bodies.names('m/')[0], b'?', 3, folder)
    place.run('check')
    assert '1 damaged bodies' in place.run('check', '--read', code=DANGLING)
    (folder / 'back').mkdir()
    own(folder / 'back')
    said = place.run('export', folder / 'back', code=LEFT_OUT)
    assert 'its body is damaged' in said and '2 messages of' in said


def test_records_twice_and_shared(make_place, folder):
    place = make_place()
    make_maildir(folder / 'from/anna', 2)
    make_maildir(folder / 'from/bert', 1)
    place.run('import', folder / 'from')
    identity = re.search(r'm/(\S+)', place.bodies.names('m/')[0]).group(1)
    owner_of = place.bodies.attribute(f'm/{identity}', 'maildrop').strip()
    place.indexes.append(f'x/{owner_of}', add_frame(identity), folder)
    assert '0 dangling' in (said := place.run('check')) and '1 records twice' in said
    other = {'anna': 'bert', 'bert': 'anna'}[owner_of]
    place.indexes.append(f'x/{other}', add_frame(identity), folder)
    assert '1 shared' in place.run('check', code=DANGLING)


# ---- sweep ----

def test_sweep(make_place, folder):
    place = make_place()
    ids, order = make_maildir(folder / 'from/anna', 5)
    place.run('import', folder / 'from')
    real = place.bodies.names('m/')
    old = time.time() - 8 * DAY
    place.bodies.put_orphan('m/' + '1' * 32, b'x', old, 'anna')
    place.bodies.put_orphan('m/' + '2' * 32, b'x', time.time() - 6 * DAY, 'anna')
    place.bodies.put_orphan('m/' + '3' * 32, b'x', old, 'nobody')
    place.bodies.put_orphan('m/' + '4' * 32 + '.1', b'x', old, 'anna')
    place.bodies.put_orphan('m/' + '5' * 32, b'x', old)
    generation = place.indexes.attribute('x/anna', 'gen')
    said = place.run('check')
    assert '4 orphans (2 without an index), 1 that are too young' in said
    assert '2 orphans of 2 octets' in place.run('sweep', '--dry-run')
    assert len(place.bodies.names('m/')) == 10
    assert place.indexes.attribute('x/anna', 'gen') == generation
    said = place.run('sweep')
    assert '2 orphans of 2 octets' in said and '1 were seen first' in said
    assert '2 of maildrops without' in said
    assert place.indexes.attribute('x/anna', 'gen') != generation
    assert place.bodies.names('m/') == sorted(
        [*real, 'm/' + '2' * 32, 'm/' + '3' * 32, 'm/' + '5' * 32])
    assert served(place) == (ids, [wire(body(n)) for n in order])


def test_threat_80_a_sweep_believes_no_clock_of_a_node(make_place):
    """A body that lies there for as long as no sweep has seen it is as young as one of this moment:
    its delivery may have a clock of any time, and so may the node that sweeps."""
    place = make_place()
    place.node.start()
    assert place.node.deliver(b'Subject: one\r\n\r\n')[0].startswith('250')
    ancient, future = 'm/' + '1' * 32, 'm/' + '2' * 32
    place.bodies.put_orphan(ancient, b'x', owner='anna', written=1)
    place.bodies.put_orphan(future, b'x', owner='anna', written=time.time() + 90 * DAY)
    for _ in range(2):
        assert '2 were seen first' in place.run('sweep')
    seen = int(place.bodies.attribute(ancient, 'orphan'))
    assert abs(seen - time.time()) < 60
    with_clock(place, 8 * DAY, 'sweep')
    assert {ancient, future} <= set(place.bodies.names('m/'))
    for name in (ancient, future):
        place.bodies.rados('setxattr', name, 'orphan', str(seen - 8 * DAY))
    with_clock(place, -30 * DAY, 'sweep')
    assert len(place.bodies.names('m/')) == 1


def with_clock(place, seconds, *words):
    """The command on a machine whose clock is so far ahead."""
    done = subprocess.run(place.command(*words), capture_output=True, text=True, timeout=120,
                          env=os.environ | {'LD_PRELOAD': str(build_dir() / 'tests/rados/clock.so'),
                                            # its runtime need not come first for this library
                                            'ASAN_OPTIONS': 'verify_asan_link_order=0:'
                                            + os.environ.get('ASAN_OPTIONS', ''),
                                            'CLOCK_AHEAD': str(seconds)})
    assert done.returncode == 0, done.stdout + done.stderr


def test_sweep_takes_what_was_deleted(make_place, folder):
    """Bodies whose removal a node did not live to see."""
    place = make_place()
    ids, _ = make_maildir(folder / 'from/anna', 3)
    place.run('import', folder / 'from')
    identity = re.search(r'm/(\S+)', place.bodies.names('m/')[0]).group(1)
    copy = folder / 'copy'
    place.bodies.rados('get', f'm/{identity}', copy)
    place.bodies.remove(f'm/{identity}')
    place.run('check', '--repair')
    place.bodies.rados('put', f'm/{identity}', copy)
    assert '1 bodies of deleted messages' in place.run('check')
    assert '1 bodies of deleted messages removed' in place.run('sweep')
    assert len(place.bodies.names('m/')) == 2 and len(served(place)[0]) == 2


# ---- init ----

def test_init(make_place, ceph):
    place = make_place(marked=False)
    assert 'has no mark' in place.run('check', code=78)
    assert 'got their marks' in place.run('init')
    assert 'have their marks' in place.run('init')
    place.run('check')
    ceph.ceph('osd', 'pool', 'set', place.bodies.pool, 'size', '1', '--yes-i-really-mean-it')
    said = place.run('init', code=78)
    ceph.ceph('osd', 'pool', 'set', place.bodies.pool, 'size', '3')
    assert f'pool {place.bodies.pool} has size 1' in said
    assert f'ceph osd pool set {place.bodies.pool} size 3' in said


def test_init_without_pools(make_place):
    place = make_place(marked=False)
    conf = place.node.conf
    conf.write_text(conf.read_text().replace(place.indexes.pool, 'nowhere'))
    said = place.run('init', code=78)
    assert 'ceph osd pool create nowhere' in said
    assert 'ceph auth get-or-create client.valija' in said
    assert f"osd 'allow rwx pool=nowhere, allow rw pool={place.bodies.pool}'" in said


def test_arguments(make_place):
    place = make_place()
    for words in (('sweep', 'anna'), ('init', '--dry-run'), ('export',), ('check', '--rate', '0'),
                  ('stats', '--repair')):
        assert 'usage:' in place.run(*words, code=64)
    done = subprocess.run([build_dir() / 'valija', 'rados'], capture_output=True, text=True)
    assert 'usage:' in done.stderr
