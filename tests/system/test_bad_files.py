"""Bad files of every kind beside good ones, that come and go between sessions: each is named in the
log once, and the numbers, ids, sizes and octets of the others stay."""
import os
import socket

import pytest
from office import PASSWORD, wait_until
from wire import wire_form

GOOD = [b'Subject: %d\n\nbody %d\n' % (n, n) * n for n in range(1, 4)]
LONGEST = 255


def second(office, user):
    """The file of message 2, when no sweep is moving it."""
    def found():
        paths = [path for path in office.files(user) if path.name.startswith('2.')]
        return paths[0] if len(paths) == 1 else None
    return wait_until(found)


def put_folder(path):
    path.mkdir()
    (path / 'inside').write_bytes(b'Subject: inside\n\nnot a message\n')


def put_socket(path):
    """Bound by its name in the folder: the whole path is too long for an address."""
    here = os.open('.', os.O_RDONLY)
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def put_mode_0(path):
    path.write_bytes(GOOD[0])
    path.chmod(0)


KINDS = {
    'mode 0': put_mode_0,
    'foreign': lambda path: path.write_bytes(GOOD[0]),
    'folder': put_folder,
    'fifo': os.mkfifo,
    'socket': put_socket,
    'dangling link': lambda path: path.symlink_to('/nowhere/at/all'),
    'link to a message': lambda path: path.symlink_to('../cur/nothing'),
    'link to itself': lambda path: path.symlink_to(path.name),
}


def put_bad(office, user, folder, kind, name):
    path = office.maildir(user) / folder / name
    KINDS[kind](path)
    if kind == 'foreign':
        os.chown(path, 0, 0)
        path.chmod(0o600)
    else:
        office.own(path)
    return path


def remove(path):
    if path.is_dir() and not path.is_symlink():
        (path / 'inside').unlink()
        path.rmdir()
    else:
        path.unlink()


def may_be_made(office, *kinds):
    if 'foreign' in kinds and os.geteuid() != 0:
        pytest.skip('needs root')
    if {'foreign', 'mode 0'} & set(kinds) and office.mail.stat().st_uid == 0:
        pytest.skip('the keeper is root here')


def seen(connect, office, user):
    """[(id, size, octets)] in the order of the numbers; LIST, UIDL, STAT and RETR agree."""
    client = connect(office)
    client.login(user, PASSWORD)
    sizes, ids = client.list(), client.uidl()
    assert list(sizes) == list(ids) == list(range(1, len(sizes) + 1))
    assert client.stat() == (len(sizes), sum(sizes.values()))
    result = [(ids[n], sizes[n], client.retr(n)) for n in sizes]
    assert all(size == len(octets) for _, size, octets in result)
    client.quit()
    return result


def times_named(office, name, since):
    return len([line for line in office.log[since:] if line and name in line])


@pytest.mark.parametrize('folder', ['new', 'cur'])
@pytest.mark.parametrize('kind', KINDS)
def test_a_bad_file_between_good_ones_comes_and_goes(shared, user, connect, kind, folder):
    """In front of, between and behind the others by name; twice, with an index and without."""
    may_be_made(shared, kind)
    for n, octets in enumerate(GOOD):
        shared.put(user, octets, name=f'{1000 + 10 * n}.good.test', folder=folder)
    before = seen(connect, shared, user)
    assert [octets for *_, octets in before] == [wire_form(octets) for octets in GOOD]
    for without_index in (False, True):
        mark = shared.mark()
        names = [f'{at}.bad{without_index:d}.test' for at in (999, 1015, 1099)]
        bad = [put_bad(shared, user, folder, kind, name) for name in names]
        if without_index:
            for path in (shared.mail / user).glob('valija-[bd]*'):
                path.unlink()
        for _ in range(3):
            assert seen(connect, shared, user) == before
        wait_until(lambda: all(times_named(shared, name, mark) for name in names))
        assert [times_named(shared, name, mark) for name in names] == [1, 1, 1]
        for path in bad:
            assert path.is_symlink() or path.exists()  # nothing of it was touched
            remove(path)
        assert seen(connect, shared, user) == before


@pytest.mark.parametrize('folder', ['new', 'cur'])
@pytest.mark.parametrize('kind', [None, 'mode 0', 'folder', 'dangling link'])
def test_a_name_of_255_octets(shared, user, connect, kind, folder):
    """The longest that a filesystem has: a good one is served, a bad one is left out."""
    may_be_made(shared, kind)
    shared.put(user, GOOD[0], name='1.good.test', folder=folder)
    name = '2.' + 'n' * (LONGEST - len('2.:2,')) + (':2,' if folder == 'cur' else 'nnn')
    assert len(name) == LONGEST
    if kind:
        before, mark = seen(connect, shared, user), shared.mark()
        path = put_bad(shared, user, folder, kind, name)
        for _ in range(2):
            assert seen(connect, shared, user) == before
        wait_until(lambda: times_named(shared, name[:60], mark))
        assert times_named(shared, name[:60], mark) == 1
        assert path.is_symlink() or path.exists()
        return
    path = shared.maildir(user) / folder / name
    path.write_bytes(GOOD[1])
    shared.own(path)
    shared.allow('.')
    first = seen(connect, shared, user)
    assert [octets for *_, octets in first] == [wire_form(octets) for octets in GOOD[:2]]
    assert seen(connect, shared, user) == first
    client = connect(shared)
    client.login(user, PASSWORD)
    client.ok('DELE 2')
    client.quit()
    shared.has_files(user, 1)
    assert seen(connect, shared, user) == first[:1]


@pytest.mark.parametrize('folder', ['new', 'cur'])
def test_all_kinds_at_once_and_a_delivery_between(shared, user, connect, folder):
    may_be_made(shared, 'foreign')
    shared.put_many(user, GOOD[:2])
    before, mark = seen(connect, shared, user), shared.mark()
    names = [f'5.kind{at}.test' for at in range(len(KINDS))]
    for kind, name in zip(KINDS, names):
        put_bad(shared, user, folder, kind, name)
    assert seen(connect, shared, user) == before
    shared.put(user, GOOD[2])
    after = seen(connect, shared, user)
    assert after[:2] == before and after[2][2] == wire_form(GOOD[2])
    shared.valija('deliver', '-c', shared.conf, user, stdin='Subject: new\n\nnew\n')
    assert seen(connect, shared, user)[:3] == after
    wait_until(lambda: all(times_named(shared, name, mark) for name in names))
    assert [times_named(shared, name, mark) for name in names] == [1] * len(names)


@pytest.mark.parametrize('folder', ['new', 'cur'])
def test_a_message_that_turns_bad_and_good_again(shared, user, connect, folder):
    """One that was known keeps its id; the others keep theirs, their order and sizes."""
    may_be_made(shared, 'mode 0')
    for n, octets in enumerate(GOOD):
        shared.put(user, octets, name=f'{n + 1}.good.test', folder=folder)
    before = seen(connect, shared, user)
    path = second(shared, user)
    moved = path.with_name('2.good.test:2,S' if path.parent.name == 'cur' else '2.good.test')
    path.rename(moved)  # it has to be looked at again
    moved.chmod(0)
    shared.allow('.')
    client = connect(shared)
    client.login(user, PASSWORD)
    sizes, ids = client.list(), client.uidl()
    for n, uid in ids.items():
        [(_, size, octets)] = [one for one in before if one[0] == uid]
        assert sizes[n] == size
        if uid == before[1][0]:
            assert client.ask(f'RETR {n}').startswith('-ERR')
        else:
            assert client.retr(n) == octets
    client.quit()
    path = second(shared, user)
    path.chmod(0o600)
    os.utime(path.parent)
    now = wait_until(lambda: (lambda all: all if len(all) == 3 else None)(
        seen(connect, shared, user)))
    assert sorted(now) == sorted(before)


def test_bad_files_do_not_count_in_the_quota(make_office, connect):
    office = make_office(settings={'quota.messages': '3'})
    may_be_made(office, 'foreign', 'mode 0')
    office.put_many('demo', GOOD[:2])
    for at, kind in enumerate(KINDS):
        put_bad(office, 'demo', 'new', kind, f'9.kind{at}.test')
    assert len(seen(connect, office, 'demo')) == 2
    deliver = ('deliver', '-c', office.conf, 'demo')
    assert office.valija(*deliver, stdin='Subject: x\n\nx\n').returncode == 0
    assert office.valija(*deliver, stdin='Subject: x\n\nx\n', check=False).returncode
    assert len(seen(connect, office, 'demo')) == 3
