"""Files in a Maildir that others write to: odd entries, moving flags, new and vanished mail."""
import os
import pathlib
import re
import socket
import time

import pytest
from office import PASSWORD, wait_until
from pop import Closed, login_within
from wire import wire_form

MAIL = [b'Subject: %d\n\nbody %d\n' % (n, n) for n in range(1, 4)]
SECRET = b'Subject: secret\n\nnot yours\n'
INDEX = ('valija-base', 'valija-delta')


def session(connect, office, user):
    client = connect(office)
    client.login(user, PASSWORD)
    return client


def uids(connect, office, user):
    client = session(connect, office, user)
    result = [uid for _, uid in sorted(client.uidl().items())]
    client.quit()
    return result


def rename_flags(office, user, flags=':2,S'):
    """What an IMAP server does: from new to cur, with flags."""
    for path in office.files(user):
        base = path.name.split(':')[0]
        path.rename(path.parent.parent / 'cur' / (base + flags))


# unique ids

def test_unique_ids_survive_restart_flags_and_the_loss_of_the_index(make_office, connect):
    office = make_office()
    office.put_many('demo', MAIL)
    before = uids(connect, office, 'demo')
    assert len(set(before)) == 3
    office.restart()
    assert uids(connect, office, 'demo') == before
    rename_flags(office, 'demo', ':2,RS')
    assert uids(connect, office, 'demo') == before
    for name in INDEX:
        (office.mail / 'demo' / name).unlink(missing_ok=True)
    assert uids(connect, office, 'demo') == before
    rename_flags(office, 'demo', ':2,')
    office.restart()
    assert uids(connect, office, 'demo') == before


@pytest.mark.parametrize('damage', ['truncate', 'garbage', 'flip', 'directory'])
@pytest.mark.parametrize('name', INDEX)
def test_a_damaged_index_is_made_anew(shared, user, connect, name, damage):
    shared.put_many(user, MAIL)
    before = uids(connect, shared, user)
    path = shared.maildir(user) / name
    wait_until(path.exists)  # the session's upkeep goes on behind its answer
    client = login_within(connect, shared, user)  # and holds the maildrop until it is done
    client.quit()
    octets = path.read_bytes()
    if damage == 'truncate':
        path.write_bytes(octets[:len(octets) // 2])
    elif damage == 'garbage':
        path.write_bytes(os.urandom(4096))
    elif damage == 'flip':
        path.write_bytes(bytes(octet ^ 0x55 for octet in octets))
    else:
        path.unlink(missing_ok=True)
        path.mkdir()
    shared.own(path)
    shared.allow('index', 'valija-')
    client = connect(shared)
    client.ok(f'USER {user}')
    reply = client.ask(f'PASS {PASSWORD}')
    if damage == 'directory' and not reply.startswith('+OK'):
        assert reply.startswith('-ERR [SYS/')  # a person must look: never an empty list
        return
    assert reply.startswith('+OK')
    try:
        ids = client.uidl()
    except (Closed, AssertionError):  # found out while it was read: made anew for the next
        client.close()
        client = login_within(connect, shared, user)
        ids = client.uidl()
    assert [uid for _, uid in sorted(ids.items())] == before
    assert [client.retr(n) for n in (1, 2, 3)] == [wire_form(m) for m in MAIL]


@pytest.mark.parametrize('command, block', [('LIST', 3), ('UIDL', 3), ('UIDL', -1)])
def test_a_listing_that_meets_damage_is_cut(shared, user, connect, command, block):
    """Never a shorter list; and sizes are told without a look at the names."""
    shared.put_many(user, [b'Subject: %d\n\n' % n for n in range(500)])
    client = session(connect, shared, user)
    with open(shared.maildir(user) / 'valija-base', 'r+b') as file:
        at = file.seek(block * 4096 + 100, os.SEEK_SET if block > 0 else os.SEEK_END)
        octet = file.read(1)[0]
        file.seek(at)
        file.write(bytes([octet ^ 0x55]))
    shared.allow('index', 'valija-')
    if block < 0:
        assert len(client.list()) == 500
    client.send(f'{command}\r\n')
    told = client.closed()
    assert not told.endswith(b'\r\n.\r\n') and told.count(b'\r\n') < 500
    client = login_within(connect, shared, user)
    assert len(client.list()) == len(client.uidl()) == 500


def test_deletions_survive_the_loss_of_the_index(shared, user, connect):
    shared.put_many(user, MAIL)
    client = session(connect, shared, user)
    client.ok('DELE 2')
    client.quit()
    kept = uids(connect, shared, user)
    shared.has_files(user, 2)  # until then, the index is what says that one was deleted
    for name in INDEX:
        (shared.maildir(user) / name).unlink(missing_ok=True)
    assert uids(connect, shared, user) == kept and len(kept) == 2


# what happens during a session

def test_threat_40_new_mail_waits_for_the_next_session(shared, user, connect):
    shared.put_many(user, MAIL)
    client = session(connect, shared, user)
    before = client.stat()
    shared.put(user, b'Subject: late\n\nlate\n')
    assert client.stat() == before
    client.err('RETR 4')
    client.ok('DELE 1')
    client.quit()
    assert session(connect, shared, user).stat()[0] == 3


def test_threat_40_a_vanished_message_is_an_error_for_that_message(shared, user, connect):
    paths = shared.put_many(user, MAIL)
    client = session(connect, shared, user)
    gone = [path for path in shared.files(user) if path.name.startswith(paths[1].name)]
    gone[0].unlink()
    client.err('RETR 2')
    assert client.retr(3) == wire_form(MAIL[2])
    client.ok('DELE 3')
    client.quit()
    after = session(connect, shared, user)
    assert after.stat()[0] == 1
    assert after.retr(1) == wire_form(MAIL[0])


def test_flags_renamed_during_a_session(shared, user, connect):
    shared.put_many(user, MAIL)
    client = session(connect, shared, user)
    rename_flags(shared, user, ':2,S')
    assert [client.retr(n) for n in (1, 2, 3)] == [wire_form(m) for m in MAIL]
    rename_flags(shared, user, ':2,FRS')
    assert client.retr(2) == wire_form(MAIL[1])
    client.ok('DELE 2')
    client.quit()
    assert session(connect, shared, user).stat()[0] == 2


def test_threat_42_a_message_replaced_between_scan_and_open(shared, user, connect):
    """Its size is announced already: other octets must not go out under it."""
    shared.put_many(user, MAIL)
    client = session(connect, shared, user)
    secret = shared.scratch / f'secret-{user}'
    secret.write_bytes(SECRET)
    first, second, third = shared.files(user)
    for path, make in ((first, lambda p: p.symlink_to(secret)), (second, os.mkfifo)):
        path.unlink()
        make(path)
        shared.own(path)
    staged = third.parent.parent / 'tmp/replaced'
    staged.write_bytes(MAIL[2] + b'longer than it was\n')
    shared.own(staged)
    staged.rename(third)
    shared.allow('.')
    client.err('RETR 1')
    client.err('RETR 2')
    try:
        reply = client.ask('RETR 3')
        assert not reply.startswith('+OK') or len(client.body()) == len(wire_form(MAIL[2]))
    except EOFError:
        pass  # cut: the announced octets could not be sent
    client.close()
    again = login_within(connect, shared, user)
    assert again.stat()[0] == 1
    assert again.retr(1) == wire_form(MAIL[2] + b'longer than it was\n')


# odd entries

def test_threat_41_only_regular_files_are_messages(shared, user, connect):
    shared.put_many(user, MAIL)
    maildir = shared.maildir(user)
    secret = shared.scratch / f'secret-{user}'
    secret.write_bytes(SECRET)
    secret.chmod(0o644)
    (maildir / 'new/link').symlink_to(secret)
    (maildir / 'cur/link:2,S').symlink_to('/etc/passwd')
    (maildir / 'new/dangling').symlink_to('nowhere')
    os.mkfifo(maildir / 'new/fifo')
    os.mkfifo(maildir / 'cur/fifo:2,')
    (maildir / 'new/folder').mkdir()
    (maildir / 'cur/folder:2,').mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(maildir / 'new/socket'))
    for name in ('new/link', 'cur/link:2,S', 'new/dangling', 'new/fifo', 'cur/fifo:2,',
                 'new/folder', 'cur/folder:2,', 'new/socket'):
        shared.own(maildir / name)
    client = session(connect, shared, user)
    assert client.stat()[0] == 3
    assert [client.retr(n) for n in (1, 2, 3)] == [wire_form(m) for m in MAIL]
    for n in (1, 2, 3):
        client.ok(f'DELE {n}')
    client.quit()
    assert secret.read_bytes() == SECRET
    assert (maildir / 'new/folder').is_dir() or (maildir / 'cur/folder').is_dir()
    listener.close()


@pytest.mark.parametrize('folder', ['new', 'cur', 'maildir'])
def test_threat_41_a_maildir_that_is_a_link_elsewhere(shared, user, connect, folder):
    """A user's own maildir must not lead into another's."""
    victim = f'{user}-victim'
    shared.add_user(victim)
    shared.put_many(victim, [SECRET])
    maildir = shared.maildir(user)
    if folder == 'maildir':
        for name in ('new', 'cur', 'tmp'):
            (maildir / name).rmdir()
        for path in maildir.iterdir():
            path.unlink()
        maildir.rmdir()
        maildir.symlink_to(shared.maildir(victim))
        shared.own(maildir)
    else:
        (maildir / folder).rmdir()
        (maildir / folder).symlink_to(shared.maildir(victim) / folder)
        shared.own(maildir / folder)
    shared.allow('.')
    client = connect(shared)
    client.ok(f'USER {user}')
    assert client.ask(f'PASS {PASSWORD}').startswith('-ERR [SYS/')


ODD_NAMES = [
    b'1.plain', b'2.newline\nname', b'3.two:2,S:2,F', b'4.' + b'n' * 240, b'5.\xff\xfe\x80',
    b'6.space in it', b'7.esc\x1b[2J', b'8.S,S=5', b'9.lie,S=99999,W=1',
    b'10.lie,W=18446744073709551616', b'11.comma,,S=',
    b'12.\xc3\xbc', b'13.%n%s', b'14.:2,', b'15.-dash', b'-16',
    b'17.quote"\'',
]


@pytest.mark.parametrize('folder', ['new', 'cur'])
def test_threat_44_odd_names_are_served_right_or_left_out(shared, user, connect, folder):
    maildir = shared.maildir(user)
    contents = {}
    for n, name in enumerate(ODD_NAMES):
        contents[wire_form(b'Subject: odd %d\n\nbody\n' % n)] = name
        path = os.path.join(os.fsencode(maildir / folder), name)
        with open(path, 'wb') as file:
            file.write(b'Subject: odd %d\n\nbody\n' % n)
        shared.own(path)
    hidden = maildir / folder / '.hidden'
    hidden.write_bytes(SECRET)
    shared.own(hidden)
    client = session(connect, shared, user)
    sizes, ids = client.list(), client.uidl()
    assert len(set(ids.values())) == len(ids) == len(sizes)
    for uid in ids.values():
        assert 1 <= len(uid) <= 70 and all(0x21 <= ord(c) <= 0x7e for c in uid)
    got = {client.retr(n): n for n in sizes}
    assert all(len(octets) == sizes[n] for octets, n in got.items())
    missing = [name for octets, name in contents.items() if octets not in got]
    assert missing == []
    assert len(got) == len(ODD_NAMES)
    for n in sizes:
        client.ok(f'DELE {n}')
    client.quit()
    assert session(connect, shared, user).stat() == (0, 0)
    assert hidden.exists()


def test_names_that_differ_in_their_flags_only(shared, user, connect):
    """Two files of one unique part: both are mail, neither may be lost, ids must differ."""
    shared.put(user, MAIL[0], name='1700000000.same.test', folder='cur', flags='S')
    shared.put(user, MAIL[1], name='1700000000.same.test', folder='cur', flags='FS')
    client = session(connect, shared, user)
    ids = client.uidl()
    assert len(set(ids.values())) == 2
    assert {client.retr(1), client.retr(2)} == {wire_form(MAIL[0]), wire_form(MAIL[1])}


@pytest.mark.parametrize('name', ['1.x,S={stored},W={wire}', '1.x,S={stored}', '1.x,W={wire}'])
def test_sizes_in_names_are_used_when_true(shared, user, connect, name):
    octets = b'Subject: sizes\n\nbody\n'
    shared.put(user, octets, name=name.format(stored=len(octets), wire=len(wire_form(octets))))
    client = session(connect, shared, user)
    assert client.list() == {1: len(wire_form(octets))}
    assert client.retr(1) == wire_form(octets)


@pytest.mark.parametrize('stored, wire', [(-1, 0), (+1, 0), (0, -1), (0, +1), (0, 10**9)])
def test_threat_44_sizes_that_lie_never_reach_a_client(shared, user, connect, stored, wire):
    octets = b'Subject: lies\n\nbody\n'
    true = wire_form(octets)
    shared.put(user, octets, name=f'1.x,S={len(octets) + stored},W={len(true) + wire}')
    shared.allow('.')
    for _ in range(3):
        client = session(connect, shared, user)
        announced = client.list()[1]
        try:
            reply = client.ask('RETR 1')
            if reply.startswith('+OK'):
                assert len(client.body()) == announced == len(true)
                break
        except EOFError:
            pass  # the lie was found while sending; the record is mended for the next session
        client.close()
        login_within(connect, shared, user).quit()
    else:
        pytest.fail('the size was never mended')


def wait_for_lock(connect, office, user):
        login_within(connect, office, user).quit()


@pytest.mark.parametrize('folder', ['new', 'cur', ''])
def test_an_unreadable_maildrop_is_an_error_and_never_empty(shared, user, connect, folder):
    shared.put_many(user, MAIL)
    before = uids(connect, shared, user)
    path = shared.maildir(user) / folder
    path.chmod(0)
    shared.allow('.')
    if os.geteuid() == 0 and shared.mail.stat().st_uid == 0:
        pytest.skip('the keeper is root here')
    for _ in range(20):
        os.utime(path)  # something changed: the index alone cannot answer
        client = connect(shared)
        client.ok(f'USER {user}')
        reply = client.ask(f'PASS {PASSWORD}')
        if reply.startswith('-ERR'):
            break
        # the last session was still putting its things in order: an answer of the index is right
        assert client.stat()[0] == 3
        client.quit()
    assert reply.startswith('-ERR [SYS/')
    path.chmod(0o700)
    assert uids(connect, shared, user) == before


def test_a_maildrop_that_is_not_there_yet_is_empty(shared, user, connect):
    client = session(connect, shared, user)
    assert client.stat() == (0, 0)
    assert client.lines('LIST') == client.lines('UIDL') == []


def test_mail_may_be_a_symbolic_link(make_office, connect):
    office = make_office(start=False)
    office.mail.rename(office.scratch / 'elsewhere')
    office.mail.symlink_to(office.scratch / 'elsewhere')
    office.put_many('demo', MAIL)
    office.start()
    assert session(connect, office, 'demo').stat()[0] == 3


@pytest.mark.parametrize('indexed', [False, True])
@pytest.mark.parametrize('folder', ['new', 'cur'])
@pytest.mark.parametrize('bad, cause', [
    ('mode', 'its mode is 0000'), ('owner', 'belongs to uid 0'), ('folder', 'it is a folder'),
    ('link', 'it is a symbolic link'), ('fifo', 'it is a FIFO')])
def test_one_bad_file_is_one_bad_message_and_named_once(shared, user, connect, folder, indexed,
                                                        bad, cause):
    root = os.geteuid() == 0
    if bad == 'owner' and (not root or shared.mail.stat().st_uid == 0):
        pytest.skip('needs root, and mail of somebody else')
    if bad == 'mode' and root and shared.mail.stat().st_uid == 0:
        pytest.skip('the keeper is root here')
    for octets in MAIL[:2]:
        shared.put(user, octets, folder=folder)
    before = uids(connect, shared, user) if indexed else None
    mark = shared.mark()
    path = shared.put(user, MAIL[2], folder=folder)
    if bad == 'owner':
        os.chown(path, 0, 0)
        path.chmod(0o600)
    elif bad == 'mode':
        path.chmod(0)
    else:
        path.unlink()
        if bad == 'folder':
            path.mkdir()
        elif bad == 'link':
            path.symlink_to('/nowhere/at/all')
        else:
            os.mkfifo(path)
        shared.own(path)
    first = uids(connect, shared, user)
    assert len(first) == 2 and before in (None, first)
    line = rf'warning: maildrop {user}: {folder}/{path.name} is left out.*{cause}'
    shared.wait_log(line, since=mark)
    os.utime(path.parent)
    assert uids(connect, shared, user) == first
    assert len([text for text in shared.log[mark:] if path.name in (text or '')]) == 1
    if bad in ('mode', 'owner'):
        shared.own(path)
        path.chmod(0o600)
        os.utime(path.parent)
        now = uids(connect, shared, user)
        assert now[:2] == first and len(now) == 3


def test_a_home_with_its_mail_below_is_refused_and_nothing_is_made(shared, user, connect):
    """As Dovecot's passwd-file has it: home is the home, the mail is in Maildir below it."""
    home = shared.mail / user
    below = home / 'Maildir'
    for path in (home, below, below / 'cur', below / 'new', below / 'tmp'):
        path.mkdir(mode=0o700)
        shared.own(path)
    shared.allow('.')
    mark = shared.mark()
    client = connect(shared)
    client.ok(f'USER {user}')
    assert client.ask(f'PASS {PASSWORD}').startswith('-ERR [SYS/PERM]')
    shared.wait_log(rf'maildrop {user}: the folder is no Maildir.*Maildir is in it', since=mark)
    assert [path.name for path in home.iterdir()] == ['Maildir']


def test_a_missing_tmp_is_made_by_the_next_delivery(shared, user, connect):
    shared.put_many(user, MAIL[:1])
    assert len(uids(connect, shared, user)) == 1
    (shared.mail / user / 'tmp').rmdir()
    shared.valija('deliver', '-c', shared.conf, user, stdin='Subject: new\n\nnew\n')
    assert len(uids(connect, shared, user)) == 2


def switches(office):
    """How often each thread but the first of each process of valijad had work."""
    counts = {}
    for pid in office.children():
        for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
            if task.name != str(pid):
                status = (task / 'status').read_text()
                counts[task] = int(re.search(r'^voluntary_ctxt_switches:\s*(\d+)', status, re.M)[1])
    return counts


def test_a_session_whose_mail_is_in_memory_needs_no_thread(make_office, connect):
    """Two changes of thread cost more than the work."""
    office = make_office()
    office.put_many('demo', MAIL)
    for _ in range(50):  # a folder that changed just now is looked at again
        before = switches(office)
        client = session(connect, office, 'demo')
        client.retr(2)
        client.quit()
        if switches(office) == before:
            return
        time.sleep(0.01)
    raise AssertionError('each of them used threads')
