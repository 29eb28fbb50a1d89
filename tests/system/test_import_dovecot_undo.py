"""A site goes back to Dovecot: `valija import dovecot --undo` gives Dovecot's list our unique ids.
We serve the mail that came from the real Dovecot, then that serves it again, and shows what we have
shown."""
import os
import pathlib
import re
import socket
import subprocess

import clients
import pytest
from dovecot_pop3 import DovecotPop3
from moving import client_of, needs, snapshot
from office import PASSWORD, wait_until
from test_import_dovecot import bring, letter, move  # noqa: F401
from test_mail_not_mounted import deliver, login

OURS = ('valija-base', 'valija-delta', 'valija-lock', 'valija-uidl')


def undo(office, *more, check=True):
    return office.valija('import', 'dovecot', '--undo', '-c', office.conf, *more, check=check)


def delete(connect, office, *numbers, user='demo'):
    client = connect(office)
    client.login(user, PASSWORD)
    for number in numbers:
        client.ok(f'DELE {number}')
    client.quit()
    client.close()


def in_dovecot(office, user='demo', more='', sessions=2):
    dovecot = DovecotPop3(office, more)
    try:
        shown = [dovecot.uidl(user) for _ in range(sessions)]
        assert shown == [shown[0]] * sessions
        return shown[0]
    finally:
        dovecot.remove()


def used_here(connect, office):
    """Mail comes by LMTP and by another program, some is deleted. The ids that we show then."""
    office.start()
    assert deliver(office).startswith('250')
    office.put('demo', letter(20), name='1400000000.M20.test,S=23')
    login(connect, office)
    assert deliver(office).startswith('250')
    delete(connect, office, 2, 5)
    office.put('demo', letter(21), name='1300000000.M21.test', folder='cur', flags='FS')
    ids = login(connect, office)[1]
    # files of deleted messages go after the reply to QUIT; undo refuses to go before them
    box = office.mail / 'demo'
    wait_until(lambda: sum(len(os.listdir(box / name)) for name in ('new', 'cur')) == len(ids))
    office.stop()
    return ids


@pytest.mark.parametrize('more', [
    '',
    'pop3_uidl_format = %f',
    'pop3_reuse_xuidl = yes\npop3_uidl_duplicates = rename',
    'pop3_save_uidl = yes'])
def test_dovecot_shows_what_we_have_shown(move, connect, more):
    office, dovecot = move(more)
    dovecot.uidl('demo')
    before = dovecot.uidl('demo')
    dovecot.stop()
    bring(office, dovecot)
    ids = used_here(connect, office)
    assert len(set(ids)) == 9 and len(set(ids) & set(before)) == 5
    files = snapshot(office)
    tried = undo(office, '--dry-run').stdout
    assert snapshot(office) == files
    assert re.search(r'demo: \d unique ids of 9 messages would be written .* 4 of them with a new',
                     tried)
    done = undo(office).stdout
    assert done.replace('were', 'would be') == tried
    box = office.mail / 'demo'
    assert not [name for name in OURS if (box / name).exists()]
    assert not list(box.glob('dovecot-uidlist?*'))
    assert in_dovecot(office, more=more) == ids
    # and back again: mail that came to Dovecot has Dovecot's id
    office.put('demo', letter(30))
    again = DovecotPop3(office, more)
    try:
        both = again.uidl('demo')
        again.stop()
        assert both[:-1] == ids
        bring(office, again)
    finally:
        again.remove()
    office.start()
    assert login(connect, office)[1] == both


def test_only_what_dovecot_would_not_show_is_written(move, connect):
    office, dovecot = move()
    dovecot.uidl('demo')
    dovecot.stop()
    uidlist = office.mail / 'demo/dovecot-uidlist'
    lines = uidlist.read_text().splitlines()
    lines = [f'{lines[0]} Zlater'] + [line.replace(' :', ' Qlater :') for line in lines[1:]]
    uidlist.write_text('\n'.join(lines) + '\n')
    uidlist.chmod(0o640)
    bring(office, dovecot)
    office.start()
    before = login(connect, office)[1]
    office.stop()
    same = uidlist.stat()
    assert 'unique ids of' not in undo(office).stdout
    assert uidlist.stat() == same
    bring(office, dovecot)
    office.start()
    assert deliver(office).startswith('250')
    ids = login(connect, office)[1]
    assert ids[:-1] == before
    office.stop()
    undo(office)
    now = uidlist.read_text().splitlines()
    assert now[0] == lines[0].replace(' N8 ', ' N9 ') and now[1:-1] == lines[1:]
    assert re.fullmatch(rf'8 P{re.escape(ids[-1])} :\S+', now[-1])
    assert (uidlist.stat().st_mode & 0o777, uidlist.stat().st_uid) == (0o640, same.st_uid)
    assert in_dovecot(office) == ids


def test_an_index_and_a_cache_that_know_other_ids(move, connect):
    """Dovecot's own files about the ids that it has shown are no hindrance."""
    more = 'mail_always_cache_fields = pop3.uidl pop3.order hdr.x-uidl\n'
    office, dovecot = move(more)
    dovecot.uidl('demo')
    subprocess.run(['doveadm', '-c', dovecot.dir / 'dovecot.conf', 'fetch', '-u', 'demo',
                    'pop3.uidl pop3.order text', 'all'], check=True, stdout=subprocess.DEVNULL)
    bring(office, dovecot)
    dovecot.stop()
    ids = used_here(connect, office)
    # Dovecot gives numbers to what came here before undo is called, as an IMAP server beside us
    assert in_dovecot(office, more=more) != ids
    undo(office)
    assert list((office.mail / 'demo').glob('dovecot.index*'))
    assert in_dovecot(office, more=more) == ids


class Imap:
    """A session of Dovecot's IMAP server that is logged in."""

    def __init__(self, dovecot):
        self.process = subprocess.Popen(
            ['doveadm', '-c', dovecot.dir / 'dovecot.conf', 'exec', 'imap', '-u', 'demo'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, command):
        self.process.stdin.write(f'a {command}\r\n')
        self.process.stdin.flush()
        lines = []
        while not (lines and lines[-1].startswith('a ')):
            lines.append(self.process.stdout.readline())
            assert lines[-1], lines
        assert lines[-1].startswith('a OK'), lines
        return ''.join(lines)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.mark.skipif(not pathlib.Path('/usr/lib/dovecot/imap').exists(),
                    reason='dovecot-imapd is not installed')
def test_beside_a_session_of_imap(move, connect):
    """Dovecot goes on while undo writes its list, and keeps what was written."""
    office, dovecot = move()
    dovecot.uidl('demo')
    dovecot.stop()
    bring(office, dovecot)
    office.start()
    for _ in range(2):
        assert deliver(office).startswith('250')
    ids = login(connect, office)[1]
    office.stop()
    again = DovecotPop3(office)
    imap = Imap(again)
    try:
        assert '* 9 EXISTS' in imap.ask('SELECT INBOX')
        office.put('demo', letter(24))  # no session of ours has seen it
        undo(office)
        assert '* 10 EXISTS' in imap.ask('NOOP')
        imap.ask('STORE 1 +FLAGS (\\Seen)')
        shown = again.uidl('demo')
        assert shown[:9] == ids and len(shown) == 10
        office.put('demo', letter(25))
        assert '* 11 EXISTS' in imap.ask('NOOP')
        assert again.uidl('demo')[:10] == shown
    finally:
        imap.end()
        again.remove()


def test_a_maildrop_that_dovecot_never_had(move, connect):
    office, dovecot = move(users=('demo', 'late'))
    dovecot.uidl('demo')
    dovecot.stop()
    bring(office, dovecot)
    office.start()
    for _ in range(3):
        assert deliver(office, 'late').startswith('250')
    ids = login(connect, office, 'late')[1]
    office.stop()
    assert '3 messages: 3 unique ids were written' in undo(office, '--user', 'late').stdout
    assert len(ids) == 3 and in_dovecot(office, 'late') == ids


@pytest.mark.parametrize('kind', [clients.Mpop, clients.Fetchmail])
def test_no_client_loads_anything_twice(move, kind):
    needs(kind)
    office, dovecot = move()
    client = client_of(kind, office)
    assert len(client.fetch(keep=True)) == 7
    dovecot.stop()
    bring(office, dovecot)
    office.start()
    assert deliver(office).startswith('250')
    office.put('demo', letter(22))
    assert len(client.fetch(keep=True)) == 2
    office.stop()
    undo(office)
    again = DovecotPop3(office)
    try:
        assert client.fetch(keep=True) == []
        office.put('demo', letter(23))
        assert len(client.fetch(keep=True)) == 1
    finally:
        again.remove()


def test_a_session_keeps_undo_away(move, connect):
    office, dovecot = move()
    dovecot.uidl('demo')
    dovecot.stop()
    bring(office, dovecot)
    office.start()
    client = connect(office)
    client.login('demo', PASSWORD)
    files = snapshot(office)
    done = undo(office, check=False)
    assert done.returncode == 75 and 'a session has it: stop valijad' in done.stdout
    assert {path: text for path, text in snapshot(office).items() if path in files
            and path.name != '.valija-origin'} == \
        {path: text for path, text in files.items() if path.name != '.valija-origin'}
    client.quit()
    client.close()
    office.stop()
    undo(office)


def test_a_lock_that_a_killed_dovecot_left(move, connect):
    """Dovecot knows ours, and we know Dovecot's."""
    office, dovecot = move()
    dovecot.uidl('demo')
    dovecot.stop()
    bring(office, dovecot)
    ids = used_here(connect, office)
    gone = subprocess.Popen(['true'])
    gone.wait()
    lock = office.mail / 'demo/dovecot-uidlist.lock'
    lock.write_text(f'{gone.pid}:{socket.gethostname()}')
    office.own(lock)
    undo(office)
    assert not lock.exists()
    assert in_dovecot(office) == ids


@pytest.mark.parametrize('spoil, words', [
    (lambda lines: lines[:2] + ['what is this'] + lines[2:], '1 lines make no sense'),
    (lambda lines: lines[:1] + lines[:0:-1], 'number 6 stands behind 7'),
    (lambda lines: [], 'first line')])
def test_a_list_that_dovecot_would_throw_away(move, connect, spoil, words):
    office, dovecot = move()
    dovecot.uidl('demo')
    dovecot.stop()
    bring(office, dovecot)
    used_here(connect, office)
    uidlist = office.mail / 'demo/dovecot-uidlist'
    good = uidlist.read_text()
    uidlist.write_text(''.join(f'{line}\n' for line in spoil(good.splitlines())))
    files = snapshot(office)
    files.pop(office.mail / '.valija-origin')
    done = undo(office, check=False)
    assert done.returncode == 75 and words in done.stdout, done
    assert snapshot(office) == files
    uidlist.unlink()
    done = undo(office, check=False)
    assert done.returncode == 75 and 'give the --from of the import' in done.stdout, done
    lists = office.scratch / 'control/demo'
    lists.mkdir(parents=True)
    (lists / 'dovecot-uidlist').write_text(good)
    office.own(lists)
    office.own(lists / 'dovecot-uidlist')
    os.chmod(lists.parent, 0o755)
    undo(office, '--from', lists.parent)
    assert not uidlist.exists() and not (office.mail / 'demo/valija-lock').exists()


@pytest.mark.parametrize('kept', [False, True])
def test_a_deletion_that_did_not_end(move, connect, kept):
    """The file of a message that was deleted here could not be removed: Dovecot does not get it."""
    office, dovecot = move()
    dovecot.uidl('demo')
    before = dovecot.uidl('demo')
    dovecot.stop()
    bring(office, dovecot)
    if kept:
        office.set('retention.keep_deleted', '30d')
    office.start()
    assert login(connect, office)[1] == before
    office.stop()
    box = office.mail / 'demo'
    office.start()
    for name in ('new', 'cur'):
        (box / name).chmod(0o500)
    delete(connect, office, 1)
    office.stop()
    for name in ('new', 'cur'):
        (box / name).chmod(0o700)
    count = sum(len(os.listdir(box / name)) for name in ('new', 'cur'))
    assert count == len(before), 'the deletion has ended'
    undo(office, '--dry-run')
    assert sum(len(os.listdir(box / name)) for name in ('new', 'cur')) == count
    undo(office)
    assert sum(len(os.listdir(box / name)) for name in ('new', 'cur')) == count - 1
    assert len(list(box.glob('valija-kept/*'))) == kept
    assert in_dovecot(office) == before[1:]


def test_lists_that_were_elsewhere_are_found_again(move, connect):
    """Where --from said at the import that they are."""
    office, dovecot = move()
    dovecot.uidl('demo')
    dovecot.uidl('demo')
    dovecot.stop()
    box, lists = office.mail / 'demo', office.scratch / 'lists/demo'
    lists.mkdir(parents=True)
    (box / 'dovecot-uidlist').rename(lists / 'dovecot-uidlist')
    for path in (lists.parent, lists):
        office.own(path)
    bring(office, dovecot, '--from', f'{lists}/..')
    remembered = office.mail / '.valija-origin-lists'
    assert remembered.read_text() == f'{lists.parent}\n'
    ids = used_here(connect, office)
    undo(office, '--dry-run')
    assert remembered.exists()
    undo(office)
    assert not remembered.exists() and not (box / 'dovecot-uidlist').exists()
    (lists / 'dovecot-uidlist').rename(box / 'dovecot-uidlist')
    assert in_dovecot(office) == ids


def test_what_was_hidden_from_pop3_stays_hidden(move, connect):
    """pop3_deleted_flag: Dovecot keeps what POP3 deletes, for IMAP."""
    more = 'pop3_deleted_flag = "$POP3Deleted"'
    office, dovecot = move(more)
    dovecot.uidl('demo')
    delete(connect, office, 1, 3, 5)
    ids = dovecot.uidl('demo')
    dovecot.stop()
    assert len(ids) == 4
    hidden = {path.name.split(':')[0] for path in (office.mail / 'demo/cur').glob('*:2,*a')}
    assert len(hidden) == 3
    done = bring(office, dovecot, '--dry-run')
    assert '3 messages that pop3_deleted_flag hid stay hidden' in done.stdout
    assert '1 users, 4 messages, 4 keep their unique ids, 0 would be loaded again' in done.stdout
    bring(office, dovecot)
    office.start()
    assert login(connect, office)[1] == ids
    delete(connect, office, 2)
    assert deliver(office).startswith('250')
    left = login(connect, office)[1]
    assert len(left) == 4 and left[:3] == ids[:1] + ids[2:]
    # both folders are looked at again, and the index is made anew
    for name in ('new', 'cur'):
        (office.mail / 'demo' / name / 'touched').touch()
        (office.mail / 'demo' / name / 'touched').unlink()
    assert login(connect, office)[1] == left
    office.stop()
    for name in ('valija-base', 'valija-delta', 'valija-lock'):
        (office.mail / 'demo' / name).unlink()
    office.start()
    assert login(connect, office)[1] == left
    office.stop()
    # IMAP has them still
    assert hidden < {path.name.split(':')[0] for path in (office.mail / 'demo/cur').iterdir()}
    undo(office)
    assert in_dovecot(office, more=more) == left


def test_the_keyword_is_remembered_for_those_who_come_later(move, connect):
    office, dovecot = move('pop3_deleted_flag = "$POP3Deleted"', users=('demo', 'late'))
    dovecot.uidl('demo')
    bring(office, dovecot)
    assert ' hidden=$POP3Deleted ' in (office.mail / '.valija-origin').read_text()
    for number in range(3):
        office.put('late', letter(number), name=f'{1700000000 + number}.L{number}.test')
    dovecot.uidl('late')
    delete(connect, office, 2, user='late')
    ids = dovecot.uidl('late')
    dovecot.stop()
    office.start()
    assert login(connect, office, 'late')[1] == ids and len(ids) == 2
