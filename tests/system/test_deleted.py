"""`valija deleted`: who deleted what, when, from where, with which password."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import pytest
from office import PASSWORD, program, wait_until

MAIL = [b'Subject: %d\n\nbody %d\n' % (n, n) for n in range(1, 4)]


def deleted(*args, config=None, code=0):
    more = ['-c', str(config)] if config else []
    done = subprocess.run([str(program('valija')), 'deleted', *more, '--json', *args],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


def rows(office, user, count):
    """What the journal has, when it has so many lines: they come behind the answer to QUIT."""
    found = []

    def there():
        found[:] = deleted(user, config=office.conf)
        return len(found) == count

    wait_until(there)
    return found


def delete(connect, office, user, numbers, password=PASSWORD):
    client = connect(office)
    client.login(user, password)
    ids = client.uidl()
    for number in numbers:
        client.ok(f'DELE {number}')
    client.quit()
    return [ids[number] for number in numbers]


def test_deletions_are_listed_with_their_session(office, connect):
    office.put_many('demo', MAIL)
    assert deleted('demo', config=office.conf) == []
    begun = int(time.time())
    gone = delete(connect, office, 'demo', [1, 3])
    listed = rows(office, 'demo', 2)
    assert [row['id'] for row in listed] == gone
    assert {row['what'] for row in listed} == {'deleted'}
    assert {row['address'] for row in listed} == {'127.0.0.1'}
    assert [row['octets'] for row in listed] == [len(MAIL[0]), len(MAIL[2])]
    assert all(begun <= row['time'] <= time.time() + 1 for row in listed)
    # the session is the one of the log
    session = listed[0]['session']
    assert re.search(rf'^.*\blogin from=127\.0\.0\.1 session={session} .*$',
                     office.log_text(), re.M)


def test_an_app_password_is_named(office, connect):
    office.put_many('demo', MAIL)
    password = office.valija('user', 'app', 'add', '-c', office.conf, 'demo', '--label',
                             'phone').stdout.strip()
    delete(connect, office, 'demo', [1])
    delete(connect, office, 'demo', [1], password)
    assert [row['credential'] for row in rows(office, 'demo', 2)] == [None, 'phone']


def test_the_owner_reads_the_maildrop_itself(office, connect):
    office.put_many('demo', MAIL)
    gone = delete(connect, office, 'demo', [2])
    rows(office, 'demo', 1)
    folder = office.maildir('demo')
    assert [row['id'] for row in deleted('-m', str(folder))] == gone


@pytest.mark.skipif(os.geteuid() != 0, reason='files of another user are made by root')
def test_root_reads_it_as_the_owner_and_others_do_not(office, connect):
    """What root may read and the owner may not is not read for that owner."""
    office.put_many('demo', MAIL)
    gone = delete(connect, office, 'demo', [2])
    rows(office, 'demo', 1)
    with tempfile.TemporaryDirectory(dir='/tmp') as folder:
        os.chmod(folder, 0o755)
        copy = pathlib.Path(folder) / 'valija-deleted'
        shutil.copy(office.maildir('demo') / 'valija-deleted', copy)
        os.chmod(copy, 0o600)
        assert [row['id'] for row in deleted('-m', folder)] == gone
        os.chown(folder, 65534, 65534)
        assert 'Permission denied' in deleted('-m', folder, code=66)
        os.chown(copy, 65534, 65534)
        assert [row['id'] for row in deleted('-m', folder)] == gone


def test_wrong_calls(office):
    deleted('nobody', config=office.conf, code=67)
    deleted('demo', '-m', '/tmp', code=64)
    deleted(code=64)
    deleted('-m', '/nowhere', code=66)


@pytest.mark.parametrize('kind', ['link', 'fifo'])
def test_threat_120_what_a_neighbour_puts_in_its_place(office, connect, kind, tmp_path):
    """The owner of a maildrop puts a link or a FIFO there: root reads no other file for it."""
    secret = tmp_path / 'secret'
    secret.write_text('c0ffee00 1 deleted - - - 0 0 secret\n')
    path = office.maildir('demo') / 'valija-deleted'
    if kind == 'link':
        path.symlink_to(secret)
    else:
        os.mkfifo(path)
        office.own(path)
    office.allow('valija-deleted')
    office.put_many('demo', MAIL)
    gone = delete(connect, office, 'demo', [1])
    assert 'secret' not in deleted('demo', config=office.conf, code=66)
    assert secret.read_text().count('\n') == 1
    wait_until(lambda: 'valija-deleted' in office.log_text())
    client = connect(office)
    client.login('demo', PASSWORD)
    assert gone[0] not in client.uidl().values()


# what is kept

KEEPS = {'retention.keep_deleted': '7d'}


@pytest.fixture
def keeping(make_office):
    return make_office(settings=KEEPS)


def undelete(office, *args, code=0):
    done = subprocess.run([str(program('valija')), 'undelete', '-c', str(office.conf), *args],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def kept(office, user):
    folder = office.mail / user / 'valija-kept'
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def uidl(connect, office, user):
    client = connect(office)
    client.login(user, PASSWORD)
    ids = client.uidl()
    client.quit()
    return [ids[number] for number in sorted(ids)]


NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason='undelete is for root')


def test_deleted_messages_are_kept_and_not_shown(keeping, connect):
    keeping.put_many('demo', MAIL)
    before = uidl(connect, keeping, 'demo')
    gone = delete(connect, keeping, 'demo', [1, 3])
    wait_until(lambda: len(kept(keeping, 'demo')) == 2)
    assert uidl(connect, keeping, 'demo') == [before[1]]
    assert [row['kept'] for row in rows(keeping, 'demo', 2)] == [True, True]
    assert len(gone) == 2


@NEEDS_ROOT
def test_an_imap_server_does_not_show_them(keeping, connect, tool):
    """Dovecot, with the layout that Maildirs usually have, lists no folder of that name."""
    doveadm = tool('doveadm')
    keeping.put_many('demo', MAIL)
    delete(connect, keeping, 'demo', [1])
    wait_until(lambda: len(kept(keeping, 'demo')) == 1)
    maildir, owner = keeping.maildir('demo'), keeping.mail.stat()
    conf = keeping.scratch / 'dovecot.conf'
    conf.write_text(f'base_dir = {keeping.scratch}/dovecot\nlog_path = /dev/stderr\nssl = no\n'
                    f'mail_location = maildir:{maildir}\nmail_uid = {owner.st_uid}\n'
                    f'mail_gid = {owner.st_gid}\nfirst_valid_uid = 1\n'
                    'namespace inbox {\n inbox = yes\n}\n')
    done = subprocess.run([doveadm, '-c', str(conf), 'mailbox', 'list'], capture_output=True,
                          text=True, timeout=60, env={'USER': 'demo', 'HOME': str(maildir)})
    assert done.stdout.split() == ['INBOX'], done.stderr


@NEEDS_ROOT
def test_a_session_is_undone(keeping, connect):
    keeping.put_many('demo', MAIL)
    before = uidl(connect, keeping, 'demo')
    gone = delete(connect, keeping, 'demo', [1, 3])
    wait_until(lambda: len(kept(keeping, 'demo')) == 2)
    session = rows(keeping, 'demo', 2)[0]['session']
    said = undelete(keeping, 'demo', session)
    assert all(f'{uid} is back' in said for uid in gone)
    after = uidl(connect, keeping, 'demo')
    assert sorted(after) == sorted(before) and len(after) == 3
    assert kept(keeping, 'demo') == []
    assert 'is there' in undelete(keeping, 'demo', session)  # and once more changes nothing
    assert uidl(connect, keeping, 'demo') == after
    listed = rows(keeping, 'demo', 4)
    assert [row['what'] for row in listed] == ['deleted'] * 2 + ['restored'] * 2
    assert [row['kept'] for row in listed] == [False] * 4
    assert listed[-1]['credential'].startswith('uid=')
    # what came back is read, and deleted, as any other
    client = connect(keeping)
    client.login('demo', PASSWORD)
    ids = client.uidl()
    number = next(n for n, uid in ids.items() if uid == gone[0])
    assert client.retr(number) == MAIL[0].replace(b'\n', b'\r\n')
    client.ok(f'DELE {number}')
    client.quit()
    wait_until(lambda: len(kept(keeping, 'demo')) == 1)
    assert gone[0] in undelete(keeping, 'demo', gone[0])
    assert sorted(uidl(connect, keeping, 'demo')) == sorted(before)


@NEEDS_ROOT
def test_what_undelete_says(keeping, connect):
    keeping.put_many('demo', MAIL)
    delete(connect, keeping, 'demo', [1])
    wait_until(lambda: len(kept(keeping, 'demo')) == 1)
    assert 'is not kept' in undelete(keeping, 'demo', 'no-such-id', code=66)
    undelete(keeping, 'nobody', 'x', code=67)
    undelete(keeping, 'demo', code=64)
    client = connect(keeping)
    client.login('demo', PASSWORD)  # a session is waited for, and then said
    assert 'a session has the maildrop' in undelete(keeping, 'demo', 'x', code=75)
    client.quit()
    done = subprocess.run([str(program('valija')), 'undelete', '-c', str(keeping.conf), 'demo',
                           'x'], capture_output=True, text=True, timeout=60, user=65534)
    assert done.returncode != 0


@NEEDS_ROOT
def test_user_del_takes_what_is_kept_along(keeping, connect):
    keeping.put_many('demo', MAIL)
    delete(connect, keeping, 'demo', [1])
    wait_until(lambda: len(kept(keeping, 'demo')) == 1)
    keeping.valija('user', 'del', '-c', keeping.conf, 'demo')
    assert not (keeping.mail / 'demo' / 'valija-kept').exists()
    assert len(keeping.files('demo')) == 2


@NEEDS_ROOT
def test_threat_122_undelete_reads_and_makes_nothing_of_roots(keeping, connect, tmp_path):
    """The owner puts links where kept messages are: root's files are neither shown nor changed."""
    secret = tmp_path / 'secret'
    secret.write_text('of root\n')
    keeping.put_many('demo', MAIL)
    folder = keeping.mail / 'demo' / 'valija-kept'
    folder.mkdir(mode=0o700)
    keeping.own(folder)
    (folder / '6a0b1c2d.8.secret.m').symlink_to(secret)
    assert 'not kept' in undelete(keeping, 'demo', 'secret.m', code=66)
    os.rename(folder, tmp_path / 'aside')
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / '6a0b1c2d.8.secret.m').write_text('of root\n')
    folder.symlink_to(tmp_path / 'elsewhere')
    assert 'valija-kept' in undelete(keeping, 'demo', 'secret.m', code=77)
    assert uidl(connect, keeping, 'demo') == sorted(uidl(connect, keeping, 'demo'))
    assert len(uidl(connect, keeping, 'demo')) == 3
    assert secret.read_text() == 'of root\n'
    assert sorted(path.name for path in (tmp_path / 'elsewhere').iterdir()) == [
        '6a0b1c2d.8.secret.m']
