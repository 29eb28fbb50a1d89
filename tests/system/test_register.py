"""The register of maildrops under what people and disks do to it and to the mail beside it: older
backups, moved roots, full and foreign state folders, cut and doubled files. What is there is
served, what was there is never shown as empty, and a login makes nothing."""
import os
import shutil
import subprocess

import pytest
from office import PASSWORD, Office, wait_until
from test_mail_not_mounted import (MAIL, MISSING, assert_here, assert_missing, deliver, login, made,
                                   reload, wait_entered)

NOBODY = 65534
MADE = 2  # the kind of an entry: a maildrop was there


@pytest.fixture
def two(make_office, connect):
    """An office with mail of demo and bob, both known, and the unique ids of demo."""
    office = make_office(start=False, users=('demo', 'bob', 'new'))
    for user in ('demo', 'bob'):
        office.put(user, MAIL)
    office.start()
    ids = login(connect, office)[1]
    assert len(login(connect, office, 'bob')[1]) == len(ids) == 1
    wait_entered(office, 2)
    office.allow(*MISSING)
    return office, ids


def register(office):
    [found] = office.state.glob('mail-register-*')
    return found


def away(office, user='demo'):
    (office.mail / user).rename(office.mail / f'.away-{user}')


def back(office, user='demo'):
    (office.mail / f'.away-{user}').rename(office.mail / user)


@pytest.fixture
def mounted(need_root):
    """mounted(PATH, *OPTIONS): a mount that ends with the test, or the test is skipped."""
    def mount(path, *words):
        done = subprocess.run(['mount', *words, path], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f'cannot mount here: {done.stderr.strip()}')
        paths.append(path)

    def off(path):
        paths.remove(path)
        subprocess.run(['umount', '-l', path], check=True)

    paths = []
    mount.off = off
    yield mount
    for path in reversed(list(paths)):
        off(path)


# a login makes nothing

@pytest.mark.parametrize('there', ['nothing', 'folder above', 'empty folder', 'tmp alone'])
@pytest.mark.parametrize('home', ['new', 'x.org/y/new'])
def test_a_login_makes_nothing_whatever_is_there(two, connect, there, home):
    office, _ = two
    users = office.dir / 'users'
    users.write_text(users.read_text() + f'late:{{PLAIN}}{PASSWORD}::::{home}\n')
    folder = office.mail / home
    made_by_test = {'nothing': None, 'folder above': folder.parent, 'empty folder': folder,
                    'tmp alone': folder / 'tmp'}[there]
    if made_by_test and made_by_test != office.mail:
        made_by_test.mkdir(parents=True)
        for path in (made_by_test, *made_by_test.parents):
            if office.mail in path.parents:
                office.own(path)
    listing = state_of(office.mail)
    for _ in range(2):
        answer, ids = login(connect, office, 'late')
        assert answer.startswith('+OK 0 ') and ids == [], answer
        assert state_of(office.mail) == listing
    assert deliver(office, 'late').startswith('250')
    assert len(login(connect, office, 'late')[1]) == 1


def state_of(root):
    """All that is in a folder, with what a writer cannot leave unchanged; but not the maildrops of
    demo and bob, where a keeper may still tidy up."""
    return {(path, path.lstat().st_ino, path.lstat().st_ctime_ns)
            for path in (root, *root.rglob('*')) if not {'demo', 'bob'} & set(path.parts)}


def test_no_command_of_a_session_without_a_maildrop_makes_one(two, connect):
    office, _ = two
    listing = state_of(office.mail)
    client = connect(office)
    client.login('new', PASSWORD)
    for command in ('STAT', 'RETR 1', 'TOP 1 0', 'DELE 1', 'LIST 1', 'UIDL 1', 'RSET', 'NOOP'):
        client.ask(command)
    client.reset()  # and one that does not end well
    wait_until(lambda: login(connect, office, 'new')[0].startswith('+OK'))
    assert state_of(office.mail) == listing


# the maildrop goes away during a session

@pytest.mark.parametrize('end', ['quit', 'break'])
def test_a_maildrop_renamed_during_its_session(two, connect, end):
    office, ids = two
    office.put('demo', MAIL + b'second\n')
    reload(office)
    office.allow('.')
    ids = login(connect, office)[1]
    client = connect(office)
    client.login('demo', PASSWORD)
    client.ok('DELE 1')
    away(office)
    client.ask('RETR 2')
    while client.buffer:
        client.take(len(client.buffer))
    if end == 'quit':
        client.send('QUIT\r\n')
        deleted = b'+OK' in client.closed().splitlines()[-1][:3]
    else:
        client.close()
        deleted = False
    assert not (office.mail / 'demo').exists()
    assert wait_until(lambda: not login(connect, office)[0].startswith('-ERR [IN-USE]'))
    answer, _ = login(connect, office)
    assert answer.startswith('-ERR [SYS/TEMP]')
    assert not (office.mail / 'demo').exists()
    back(office)
    assert_here(connect, office, ids[1:] if deleted else ids)


def test_a_maildrop_replaced_during_its_session(two, connect):
    """By one that somebody made anew: the session deletes nothing in it, and it is another one."""
    office, _ = two
    office.allow('.')
    client = connect(office)
    client.login('demo', PASSWORD)
    client.ok('DELE 1')
    away(office)
    path = office.put('demo', b'Subject: other\n\nother\n')
    client.ask('QUIT')
    client.close()
    wait_until(lambda: login(connect, office)[0].startswith('-ERR [SYS/TEMP] the maildrop is not'))
    office.valija('guard', 'accept', '-c', office.conf, 'demo')
    assert len(login(connect, office)[1]) == 1
    assert office.octets('demo') == [b'Subject: other\n\nother\n']
    assert path.name.split(':')[0] in {one.name.split(':')[0] for one in office.files('demo')}


# older backups

@pytest.mark.parametrize('how', ['running', 'stopped'])
def test_a_register_from_an_older_backup(two, connect, how):
    """It does not know who came since: what is there is served, and known again from then on."""
    office, ids = two
    old = register(office).read_bytes()
    assert deliver(office, 'new').startswith('250')
    if how == 'stopped':
        office.stop()
    register(office).write_bytes(old)
    if how == 'stopped':
        office.start()
    else:
        reload(office)
    assert len(login(connect, office, 'new')[1]) == 1
    away(office, 'new')
    wait_until(lambda: register(office).stat().st_size > len(old))
    assert_missing(connect, office, 'new')
    back(office, 'new')
    assert_here(connect, office, ids)


@pytest.mark.parametrize('index', [True, False], ids=['with index', 'without index'])
def test_a_maildrop_from_an_older_backup(two, connect, index):
    """Its messages of then have their ids of then; the register does not mind other inodes."""
    office, ids = two
    office.stop()
    backup = office.scratch / 'backup'
    subprocess.run(['cp', '-a', office.mail / 'demo', backup], check=True)
    office.start()
    assert deliver(office).startswith('250')
    assert len(login(connect, office)[1]) == 2
    office.stop()
    shutil.rmtree(office.mail / 'demo')
    if not index:
        for path in backup.glob('valija-[bd]*'):
            path.unlink()
    subprocess.run(['cp', '-a', backup, office.mail / 'demo'], check=True)
    office.start()
    assert_here(connect, office, ids)
    assert deliver(office).startswith('250')
    now = login(connect, office)[1]
    assert now[:1] == ids and len(set(now)) == 2


# a site that is older than the register

def without_register(office):
    """The state folder as a version without a register leaves it."""
    office.stop()
    register(office).unlink()


@pytest.mark.parametrize('how', ['login', 'delivery', 'no other than bob'])
def test_an_upgrade_enters_what_is_opened(two, connect, how):
    """Each opening and each delivery, of the first generation after it; no others are known."""
    office, ids = two
    without_register(office)
    office.start()
    if how == 'login':
        assert_here(connect, office, ids)
    elif how == 'delivery':
        assert deliver(office).startswith('250')
    assert len(login(connect, office, 'bob')[1]) == 1
    wait_entered(office, 1 if how == 'no other than bob' else 2)
    office.restart()
    away(office)
    if how == 'no other than bob':
        assert login(connect, office)[1] == []
    else:
        assert_missing(connect, office)
    away(office, 'bob')
    office.put('new', MAIL)  # else the whole root is in doubt
    assert_missing(connect, office, 'bob')


@pytest.mark.parametrize('end', ['a session', 'a delivery', 'valija mark'])
def test_an_empty_register_is_said(two, connect, end):
    """By the check and by each start, until something is in it."""
    office, _ = two
    words = f'no maildrop of {office.mail} is in the register yet'
    without_register(office)
    assert words in office.valijad('-t', '-c', office.conf).stderr
    office.start()
    office.wait_log(words)
    if end == 'a session':
        assert len(login(connect, office)[1]) == 1
    elif end == 'a delivery':
        assert deliver(office).startswith('250')
    else:
        office.valija('mark', office.mail)
    office.restart()
    assert words not in office.log_text()
    assert words not in office.valijad('-t', '-c', office.conf).stderr


def test_a_new_site_says_nothing_of_its_register(make_office):
    office = make_office()
    assert 'register' not in office.log_text()


def test_a_person_enters_all_that_is_there(two, connect):
    """valija mark: at several levels, of other software, never opened; and nothing else."""
    office, _ = two
    users = office.dir / 'users'
    deep = ('x.org/y/Maildir', 'x.org/z', 'a/b/c/new')
    users.write_text(users.read_text() +
                     ''.join(f'u{n}:{{PLAIN}}{PASSWORD}::::{home}\n'
                             for n, home in enumerate(deep)))
    without_register(office)
    for home in deep:
        for part in ('cur', 'new', 'tmp'):
            (office.mail / home / part).mkdir(parents=True)
    shutil.rmtree(office.mail / 'x.org/z/cur')
    (office.mail / 'empty').mkdir()
    (office.mail / '.hidden/cur').mkdir(parents=True)
    (office.mail / 'link').symlink_to('demo')
    (office.mail / 'bob/.Sent/cur').mkdir(parents=True)
    for path in (office.mail, *office.mail.rglob('*')):
        if not path.is_symlink():
            office.own(path)
    said = office.valija('mark', office.mail).stdout
    # a/b/c is taken for one, too, for the folder "new" in it: that harms nobody
    assert '6 maildrops are there, and in the register' in said, said
    assert register(office).stat().st_size == (1 + 6) * 16
    assert '6 maildrops' in office.valija('mark', office.mail).stdout
    assert register(office).stat().st_size == (1 + 6) * 16  # no second time
    for user, home in (('demo', 'demo'), ('u0', deep[0]), ('u1', deep[1]), ('u2', deep[2])):
        (office.mail / home).rename(office.mail / f'.away-{user}')
    office.start()
    for user in ('demo', 'u0', 'u1', 'u2'):
        assert login(connect, office, user)[0].startswith('-ERR [SYS/TEMP]'), user
        assert deliver(office, user).startswith('451')
    assert len(login(connect, office, 'bob')[1]) == 1
    assert login(connect, office, 'new')[1] == []


def test_a_register_that_takes_nothing_is_said_by_the_mark(two):
    office, _ = two
    without_register(office)
    [memory] = office.state.glob('mail-root-*')
    memory.with_name(memory.name.replace('root', 'register')).mkdir()
    done = office.valija('mark', office.mail, check=False)
    assert done.returncode == os.EX_TEMPFAIL
    assert 'not all in the register' in done.stderr and 'mail-register-' in done.stderr


# the state folder

def test_a_state_folder_that_is_not_there(two, connect):
    office, ids = two
    office.stop()
    shutil.rmtree(office.state)
    office.start()
    assert_here(connect, office, ids)
    assert deliver(office, 'new').startswith('250')
    away(office)
    assert_missing(connect, office)


@pytest.mark.parametrize('how', ['read-only', 'full'])
def test_a_state_folder_that_takes_nothing(two, connect, mounted, how):
    """Nobody new gets a maildrop that the register would not know; all others go on."""
    office, ids = two
    office.stop()
    files = {path.name: path.read_bytes() for path in office.state.iterdir() if path.is_file()}
    mounted(office.state, '-t', 'tmpfs', '-o', 'size=64k', 'test')
    for name, octets in files.items():
        (office.state / name).write_bytes(octets)
    filler = office.state / 'filler'
    if how == 'full':
        fill(filler)
        # the register's page is allocated: what does not fit behind it is a new page
        room = -len(register(office).read_bytes()) % 4096
        with open(register(office), 'ab') as file:
            file.write(b'\0' * (room - room % 16))
    else:
        subprocess.run(['mount', '-o', 'remount,ro', office.state], check=True)
    office.allow('the register', 'cannot be remembered')
    office.start()
    listing = made(office)
    assert login(connect, office, 'new')[1] == []
    assert deliver(office, 'new').startswith('451 4.3.0')
    assert made(office) == listing
    assert_here(connect, office, ids)
    assert deliver(office).startswith('250')
    away(office, 'bob')
    assert_missing(connect, office, 'bob')
    back(office, 'bob')
    if how == 'full':
        filler.unlink()
    else:
        subprocess.run(['mount', '-o', 'remount,rw', office.state], check=True)
    assert deliver(office, 'new').startswith('250')
    away(office, 'new')
    assert_missing(connect, office, 'new')
    office.stop()


def fill(path):
    """Takes all room of the filesystem."""
    with open(path, 'wb', buffering=0) as file:
        try:
            while file.write(b'x' * 4096):
                pass
        except OSError:
            pass


def test_a_state_folder_of_somebody_else(make_office, connect, need_root):
    """A server that is not root may read it, but not write."""
    office = make_office(start=False, users=('demo', 'bob', 'new'), runas=NOBODY)
    for user in ('demo', 'bob'):
        office.put(user, MAIL)
    office.start()
    ids = login(connect, office)[1]
    login(connect, office, 'bob')
    wait_entered(office, 2)
    office.stop()
    office.allow(*MISSING, 'the register', 'cannot be remembered')
    for path in (office.state, *office.state.iterdir()):
        os.chown(path, 0, 0)
    register(office).chmod(0o644)
    office.state.chmod(0o755)
    office.start()
    away(office, 'bob')
    assert_missing(connect, office, 'bob')
    assert deliver(office, 'new').startswith('451')
    assert_here(connect, office, ids)
    register(office).chmod(0)
    office.restart()
    answer, _ = login(connect, office, 'bob')
    assert answer.startswith('-ERR [SYS/TEMP]')
    assert_here(connect, office, ids)


# the file

def test_a_register_cut_at_every_octet(two, connect):
    """Whole entries in front of the cut count; an entry that was cut is never another one's."""
    office, _ = two
    office.allow('is no register')
    for user in ('demo', 'bob'):
        away(office, user)
    office.put('new', MAIL)  # else the whole root is in doubt
    whole = register(office).read_bytes()
    for length in range(len(whole) - 1, -1, -1):
        os.truncate(register(office), length)
        known = [user for user in ('demo', 'bob')
                 if not login(connect, office, user)[0].startswith('+OK')]
        # those of what is known besides are between; of less than one there is none, as a first
        # writer that was interrupted leaves it
        entries = [whole[at:at + 16] for at in range(16, length - 15, 16)]
        assert len(known) == sum(entry[11] == MADE for entry in entries), length
        assert not (office.mail / 'demo').exists() and not (office.mail / 'bob').exists()
    register(office).write_bytes(whole)
    for user in ('demo', 'bob'):
        assert_missing(connect, office, user)


@pytest.mark.parametrize('how', ['file', 'entries', 'cut and doubled'])
def test_a_doubled_register(two, connect, how):
    """As a careless restoration may append it: a second heading is no entry of anybody."""
    office, ids = two
    octets = register(office).read_bytes()
    register(office).write_bytes({'file': octets + octets, 'entries': octets + octets[16:],
                                  'cut and doubled': octets + octets[:-5]}[how])
    for user in ('demo', 'bob'):
        away(office, user)
        assert_missing(connect, office, user)
        back(office, user)
    assert deliver(office, 'new').startswith('250')
    away(office, 'new')
    assert_missing(connect, office, 'new')
    office.restart()
    assert_missing(connect, office, 'new')
    assert_here(connect, office, ids)


def test_a_register_of_another_root(two, connect):
    """Names that it has are asked for, names that it does not have are served if they are there."""
    office, ids = two
    with Office(users=('demo', 'far')) as other:
        for user in ('demo', 'far'):
            assert deliver(other, user).startswith('250')
        other.stop()
        foreign = register(other).read_bytes()
    register(office).write_bytes(foreign)
    assert_here(connect, office, ids)
    assert len(login(connect, office, 'bob')[1]) == 1
    away(office)
    assert_missing(connect, office)
    office.add_user('far')
    assert_missing(connect, office, 'far')
    assert deliver(office, 'new').startswith('250')


def test_two_sites_with_one_state_folder(two, make_office, connect):
    """The same names in both: what one of them misses is no matter of the other."""
    office, ids = two
    other = make_office(start=False, users=('demo', 'bob', 'new'))
    shutil.rmtree(other.state)
    other.state = office.state
    other.start()
    assert login(connect, other)[1] == []
    away(office)
    assert_missing(connect, office)
    assert login(connect, other)[1] == []
    for user in ('demo', 'new'):
        assert deliver(other, user).startswith('250')
    assert len(list(office.state.glob('mail-register-*'))) == 2
    other.valija('mark', '--forget', 'demo', office.mail)
    assert login(connect, office)[1] == []
    other.allow(*MISSING)
    away(other)
    assert_missing(connect, other)
    assert login(connect, office)[1] == []


# the root

def test_a_root_that_was_moved_with_its_setting(two, connect):
    office, ids = two
    office.stop()
    office.mail = office.mail.rename(office.dir / 'moved')
    office.set('mail', '"moved"')
    office.start()
    assert_here(connect, office, ids)
    assert len(login(connect, office, 'bob')[1]) == 1
    assert deliver(office, 'new').startswith('250')
    for user in ('demo', 'new'):
        away(office, user)
        assert_missing(connect, office, user)


def test_a_root_that_was_moved_without_its_setting(two):
    """Neither a check nor a start makes another one in its place."""
    office, _ = two
    office.stop()
    office.mail.rename(office.dir / 'moved')
    for words in (['-t', '-c', office.conf], ['-c', office.conf]):
        done = office.valijad(*words)
        assert done.returncode and str(office.mail) in done.stderr + done.stdout
        assert not office.mail.exists()


def test_the_same_root_by_a_bind_mount(two, connect, mounted):
    """Over itself, and at another place with the setting changed: it is the same folder."""
    office, ids = two
    office.stop()
    mounted(office.mail, '--bind', office.mail)
    office.start()
    assert_here(connect, office, ids)
    assert deliver(office, 'new').startswith('250')
    away(office)
    assert_missing(connect, office)
    back(office)
    office.stop()
    elsewhere = office.dir / 'elsewhere'
    elsewhere.mkdir()
    mounted(elsewhere, '--bind', office.mail)
    office.mail, mail = elsewhere, office.mail
    office.set('mail', '"elsewhere"')
    office.start()
    assert_here(connect, office, ids)
    office.stop()
    office.mail = mail


def test_another_folder_bound_over_the_root(two, connect, mounted):
    office, ids = two
    office.stop()
    empty = office.dir / 'empty'
    empty.mkdir()
    shutil.copystat(office.mail, empty)
    os.chown(empty, office.mail.stat().st_uid, office.mail.stat().st_gid)
    mounted(office.mail, '--bind', empty)
    office.allow('.')
    office.start()
    for user in ('demo', 'new'):  # the whole root is in doubt, for new users as well
        assert login(connect, office, user)[0].startswith('-ERR [SYS/TEMP]')
        assert deliver(office, user).startswith('451')
    assert list(empty.iterdir()) == []
    office.stop()
    mounted.off(office.mail)
    office.start()
    assert_here(connect, office, ids)


# users

@pytest.mark.parametrize('there', [True, False], ids=['mail there', 'mail away'])
def test_a_user_who_is_removed_and_added_again(two, connect, there):
    office, ids = two
    office.valija('user', 'del', '-c', office.conf, 'demo')
    assert deliver(office).startswith('550')
    if not there:
        away(office)
    office.add_user('demo')
    if there:
        assert_here(connect, office, ids)
        assert deliver(office).startswith('250')
    else:
        assert_missing(connect, office)
        office.valija('mark', '--forget', 'demo', office.mail)
        assert login(connect, office)[1] == []
        assert deliver(office).startswith('250')


def test_a_missing_home_of_another_user_of_the_system(make_office, connect, need_root):
    """Its keeper is started for an uid that the mail folder's owner is not."""
    office = make_office(start=False, users=('bob',))
    office.mail.chmod(0o755)
    office.put('bob', MAIL)
    office.put('far', MAIL)
    for path in (office.mail / 'far', *(office.mail / 'far').rglob('*')):
        os.chown(path, 70001, 70001)
    with open(office.dir / 'users', 'a') as users:
        users.write(f'far:{{PLAIN}}{PASSWORD}:70001:70001\nlate:{{PLAIN}}{PASSWORD}:70002:70002\n')
    office.start()
    ids = login(connect, office, 'far')[1]
    assert len(ids) == 1
    office.allow(*MISSING)
    away(office, 'far')
    for when in (lambda: None, office.restart):
        when()
        listing = made(office)
        assert login(connect, office, 'far')[0].startswith('-ERR [SYS/TEMP]')
        assert deliver(office, 'far').startswith('451')
        assert made(office) == listing
    back(office, 'far')
    office.allow('cannot be opened')  # by the keeper that was right while it was away
    wait_until(lambda: login(connect, office, 'far')[1] == ids)
    assert login(connect, office, 'late')[0].startswith(('+OK', '-ERR [SYS/TEMP]'))
    assert not (office.mail / 'late').exists()


def test_the_check_names_the_folder_and_what_to_type(two):
    office, _ = two
    office.stop()
    office.mail.rename(office.dir / 'moved')
    office.mail.mkdir()
    os.chown(office.mail, *(getattr((office.dir / 'moved').stat(), name)
                            for name in ('st_uid', 'st_gid')))
    done = office.valijad('-t', '-c', office.conf)
    said = done.stdout + done.stderr
    assert 'it had maildrops before' in said and str(office.mail) in said
    assert 'mount' in said and 'valija mark' in said
    assert list(office.mail.iterdir()) == []
