"""The guard of unique ids: folders that were replaced, unique ids that all changed, ids whose file
is lost with the index, and Maildirs that stand in the place of others are [SYS/TEMP] and 451, until
the mail is back or a person accepts them; what people, IMAP servers, backups and moves do is
served."""
import os
import shutil
import subprocess

import pytest
from office import wait_until
from test_mail_not_mounted import assert_here, deliver, entered, login, reload

REFUSED = '-ERR [SYS/TEMP] the maildrop is not the one that it was'
ALLOWED = (r'valija guard accept USER',)
SERVED, FOLDERS, BROUGHT, ALARM, FORGOTTEN = 4, 5, 6, 7, 3


def facts(office):
    """What the register knows of maildrops now, by kind."""
    known = {}
    for path in office.state.glob('mail-register-*'):
        octets = path.read_bytes()[16:]
        for at in range(0, len(octets), 16):
            known[octets[at:at + 11]] = octets[at + 11]
    kinds = list(known.values())
    return {kind: kinds.count(kind) for kind in (SERVED, FOLDERS, BROUGHT, ALARM)}


def wait_served(office, count=1):
    """What a session opened is entered a moment later."""
    wait_until(lambda: facts(office)[SERVED] == count)


def message(i):
    return b'Subject: %d\n\n' % i + b'x' * i + b'\n'


@pytest.fixture
def served(make_office, connect):
    """An office with five messages of demo that a session has shown, and their unique ids."""
    office = make_office(start=False)
    for i in range(5):
        office.put('demo', message(i), folder='cur', flags='S')
    office.start()
    office.allow(*ALLOWED)
    ids = login(connect, office)[1]
    assert len(ids) == 5
    wait_served(office)
    return office, ids


def accept(office, user='demo', check=True):
    return office.valija('guard', 'accept', '-c', office.conf, user, check=check)


def assert_refused(connect, office, why, mail=True):
    """Each time, said in the log, and nothing was changed; mail is put off."""
    before = sorted(path for path in (office.mail / 'demo').rglob('*'))
    for _ in range(2):
        mark = office.mark()
        answer, _ = login(connect, office)
        assert answer.startswith(REFUSED), answer
        office.wait_log(rf'error: maildrop-failed .*user="demo" .*maildrop demo: .*{why}.*'
                        r'valija guard accept USER', since=mark)
    if mail:
        assert deliver(office).startswith('451 4.3.0 ')
    assert sorted(path for path in (office.mail / 'demo').rglob('*')) == before
    wait_until(lambda: facts(office)[ALARM] == 1)
    shown = office.valija('guard', 'show', '-c', office.conf, 'demo').stdout
    assert 'demo: maildrop demo: ' in shown and 'REFUSED' in shown, shown
    shown = office.valija('guard', '-c', office.conf).stdout  # of all
    assert 'demo: maildrop demo: REFUSED' in shown and ' users, 1 maildrops are refused' in shown


def assert_served(connect, office, ids):
    assert_here(connect, office, ids)
    wait_until(lambda: facts(office)[ALARM] == 0)
    assert 'REFUSED' not in office.valija('guard', '-c', office.conf, 'demo').stdout
    shown = office.valija('guard', 'show', '-c', office.conf).stdout
    assert 'REFUSED' not in shown and ' users, 0 maildrops are refused' in shown


def rename_all(office):
    for i, path in enumerate(office.files('demo')):
        path.rename(path.with_name(f'18000000{i:02}.other:2,S'))


def swap(office, *folders):
    """Empty folders in place of these; returns how they come back."""
    for name in folders:
        folder = office.mail / 'demo' / name
        folder.rename(office.mail / f'.away-{name}')
        folder.mkdir(mode=0o700)
        office.own(folder)

    def back():
        for name in folders:
            shutil.rmtree(office.mail / 'demo' / name)
            (office.mail / f'.away-{name}').rename(office.mail / 'demo' / name)
    return back


def remake(office, user='demo'):
    """An empty Maildir, as an IMAP server makes it where a filesystem is not mounted."""
    (office.mail / user).rename(office.mail / f'.away-{user}')
    office.maildir(user)


# refused

@pytest.mark.parametrize('folders', [['cur'], ['cur', 'new']])
def test_a_folder_that_was_replaced(served, connect, folders):
    office, ids = served
    back = swap(office, *folders)
    assert_refused(connect, office, 'none of its 5 messages is there any more, and .*cur',
                   mail='new' in folders)
    back()
    assert_served(connect, office, ids)


def test_unique_ids_that_all_changed(served, connect):
    office, _ = served
    rename_all(office)
    assert_refused(connect, office, 'all unique ids changed at once: 5 of its 5', mail=False)
    done = accept(office)
    assert 'accepted with its 5 messages' in done.stdout
    answer, ids = login(connect, office)
    assert ids == [f'18000000{i:02}.other' for i in range(5)], answer
    wait_until(lambda: facts(office)[ALARM] == 0)


def test_names_that_change_back(served, connect):
    office, ids = served
    was = office.files('demo')
    rename_all(office)
    assert_refused(connect, office, 'all unique ids changed at once', mail=False)
    for old, path in zip(was, office.files('demo')):
        path.rename(old)
    assert_served(connect, office, ids)


def test_mail_that_comes_meanwhile_does_not_hide_it(served, connect):
    office, _ = served
    rename_all(office)
    assert deliver(office).startswith('250')
    assert_refused(connect, office, 'all unique ids changed at once: 5 of its 5', mail=False)
    accept(office)
    assert len(login(connect, office)[1]) == 6


@pytest.mark.parametrize('after', ['at once', 'restart', 'reload'])
def test_an_empty_maildir_in_the_place_of_the_one_that_was(served, connect, after):
    office, ids = served
    if after == 'restart':
        office.stop()
    remake(office)
    if after == 'restart':
        office.start()
    elif after == 'reload':
        reload(office)
    assert_refused(connect, office, 'another Maildir stands in the place')
    assert not (office.mail / 'demo/valija-lock').exists()
    shutil.rmtree(office.mail / 'demo')
    (office.mail / '.away-demo').rename(office.mail / 'demo')
    assert_served(connect, office, ids)
    assert deliver(office).startswith('250')


def test_an_empty_maildir_that_is_accepted(served, connect):
    office, _ = served
    remake(office)
    assert_refused(connect, office, 'another Maildir stands in the place')
    accept(office)
    assert_served(connect, office, [])
    assert deliver(office).startswith('250')
    assert len(login(connect, office)[1]) == 1


def test_a_recipient_with_a_quota(served, connect):
    """The usage is counted at RCPT, before there is a delivery."""
    office, _ = served
    office.set('quota.messages', '100')
    reload(office)
    assert deliver(office).startswith('250')
    remake(office)
    assert_refused(connect, office, 'another Maildir stands in the place')
    accept(office)
    assert deliver(office).startswith('250')
    assert len(login(connect, office)[1]) == 1


def test_a_command_puts_mail_off_as_well(served, connect):
    office, _ = served
    remake(office)
    done = office.valija('deliver', '-c', office.conf, 'demo', stdin='A: b\n\n', check=False)
    assert done.returncode == 75 and 'another Maildir stands in the place' in done.stderr
    assert office.files('demo') == []


@pytest.fixture
def brought(make_office, connect):
    """The same with unique ids of another server."""
    office = make_office(start=False)
    paths = [office.put('demo', message(i), folder='cur') for i in range(5)]
    ids = office.mail / 'demo/valija-uidl'
    ids.write_text(' origin 5 dovecot duplicates=allow xuidl=no format=%08Xu%08Xv\n' + ''.join(
        f'{i:08x}5f000000 {path.name.split(":")[0]}\n' for i, path in enumerate(paths)))
    office.own(ids)
    office.start()
    office.allow(*ALLOWED)
    known = login(connect, office)[1]
    assert known == [f'{i:08x}5f000000' for i in range(5)]
    wait_served(office)
    wait_until(lambda: facts(office)[BROUGHT] == 2)  # and by that rule
    return office, known


def remove_ours(office, *but):
    """The files that are kept beside the mail, but these."""
    for path in (office.mail / 'demo').glob('valija-*'):
        if path.name not in but:
            path.unlink()


@pytest.mark.parametrize('but', [(), ('valija-lock',), ('valija-lock', 'valija-delta')])
def test_brought_ids_that_are_lost_with_the_index(brought, connect, but):
    office, ids = brought
    lines = (office.mail / 'demo/valija-uidl').read_bytes()
    remove_ours(office, *but)
    assert_refused(connect, office, 'ids came from another server, and valija-uidl.* is gone')
    (office.mail / 'demo/valija-uidl').write_bytes(lines)
    office.own(office.mail / 'demo/valija-uidl')
    assert_served(connect, office, ids)


def test_brought_ids_that_are_given_up(brought, connect):
    office, ids = brought
    remove_ours(office)
    assert_refused(connect, office, 'ids came from another server')
    accept(office)
    answer, now = login(connect, office)
    assert len(now) == 5 and not set(now) & set(ids), answer
    wait_until(lambda: facts(office)[ALARM] == 0)
    remove_ours(office)  # from now on they are of the names
    assert_here(connect, office, now)


@pytest.mark.parametrize('lost', ['valija-uidl', 'valija-base', 'valija-delta', 'valija-lock'])
def test_one_file_that_is_lost_changes_no_id(brought, connect, lost):
    office, ids = brought
    (office.mail / 'demo' / lost).unlink()
    assert_served(connect, office, ids)


def test_the_rule_of_another_server_for_a_maildrop_of_ours(served, connect):
    """dovecot-uidlist came later; the index is lost, and the root has Dovecot's rule by now."""
    office, ids = served
    names = [path.name.split(':')[0] for path in office.files('demo')]
    (office.mail / 'demo/dovecot-uidlist').write_text(
        '3 V1600000000 N6 G0123456789abcdef0123456789abcdef\n' + ''.join(
            f'{i + 1} :{name}\n' for i, name in enumerate(names)))
    (office.mail / '.valija-origin').write_text(
        'dovecot duplicates=allow xuidl=no format=%08Xu%08Xv\n')
    for path in (office.mail / 'demo/dovecot-uidlist', office.mail / '.valija-origin'):
        office.own(path)
    assert_here(connect, office, ids)
    remove_ours(office)
    assert_refused(connect, office, 'ids were of our own, .* rule of another server')
    (office.mail / '.valija-origin').write_text('none\n')
    assert_served(connect, office, ids)


def test_another_format_than_the_ids_came_by(brought, connect):
    office, ids = brought
    names = [path.name.split(':')[0] for path in office.files('demo')]
    (office.mail / 'demo/dovecot-uidlist').write_text(
        f'3 V{0x5f000000} N6 G0123456789abcdef0123456789abcdef\n' + ''.join(
            f'{i} :{name}\n' for i, name in enumerate(names) if i) +
        f'9 :{names[0]}\n')
    origin = office.mail / '.valija-origin'
    origin.write_text('dovecot duplicates=allow xuidl=no format=%v.%u\n')
    for path in (office.mail / 'demo/dovecot-uidlist', origin):
        office.own(path)
    remove_ours(office)
    assert_refused(connect, office, 'ids came by another rule')
    origin.write_text('dovecot duplicates=allow xuidl=no format=%08Xu%08Xv\n')
    answer, now = login(connect, office)
    assert set(ids[1:]) < set(now) and len(now) == 5, answer


# served

def test_an_inbox_that_is_emptied_and_filled_again(served, connect):
    office, _ = served
    for path in office.files('demo'):
        path.unlink()
    assert_served(connect, office, [])
    assert deliver(office).startswith('250')
    assert len(login(connect, office)[1]) == 1


def test_flags_and_moves_of_an_imap_server(served, connect):
    office, ids = served
    for path in office.files('demo'):
        path.rename(path.with_name(path.name.replace(':2,S', ':2,FRS')))
    assert_served(connect, office, ids)


@pytest.mark.parametrize('with_ours', [True, False])
def test_a_maildir_that_is_restored(served, connect, with_ours):
    """A copy has other inodes. Without its index it is one only a person knows."""
    office, ids = served
    ignore = None if with_ours else shutil.ignore_patterns('valija-*')
    shutil.copytree(office.mail / 'demo', office.mail / '.copy', ignore=ignore)
    (office.mail / 'demo').rename(office.mail / '.away-demo')
    (office.mail / '.copy').rename(office.mail / 'demo')
    for path in (office.mail / 'demo', *(office.mail / 'demo').rglob('*')):
        office.own(path)
    if not with_ours:
        assert_refused(connect, office, 'another Maildir stands in the place')
        accept(office)
    assert_served(connect, office, ids)
    wait_until(lambda: facts(office)[FOLDERS] == 2)


def test_our_files_removed_by_hand(served, connect):
    office, ids = served
    remove_ours(office)
    assert_served(connect, office, ids)


def test_a_maildrop_that_was_removed_on_purpose(served, connect):
    office, _ = served
    (office.mail / 'demo').rename(office.mail / '.away-demo')  # a sweep may be at work in it
    office.valija('mark', '--forget', 'demo', office.mail)
    office.maildir('demo')
    office.put('demo', b'A: b\n\n')
    assert len(login(connect, office)[1]) == 1


def test_a_register_of_an_older_version(served, connect):
    """It has locations alone. They are served, and the guard learns."""
    office, ids = served
    office.stop()
    [register] = office.state.glob('mail-register-*')
    octets = register.read_bytes()
    entries = [octets[at:at + 16] for at in range(16, len(octets), 16)]
    register.write_bytes(octets[:16] + b''.join(e for e in entries if e[11] <= FORGOTTEN))
    assert len(entered(office)) == 1 and facts(office)[SERVED] == 0
    remove_ours(office)
    office.start()
    assert_here(connect, office, ids)
    wait_served(office)


# the command

def test_accept_that_is_cut_off(served, connect, need_root):
    """Behind the index and before the register: the session is served, and the same again is."""
    office, _ = served
    remake(office)
    assert_refused(connect, office, 'another Maildir')
    [register] = office.state.glob('mail-register-*')
    aside = register.with_name('aside')
    register.rename(aside)
    register.mkdir()
    done = accept(office, check=False)
    assert done.returncode and str(register) in done.stderr
    register.rmdir()
    aside.rename(register)
    assert facts(office)[ALARM] == 1
    assert_served(connect, office, [])
    accept(office)
    assert_served(connect, office, [])


def test_accept_of_a_maildrop_that_is_right(served, connect):
    office, ids = served
    accept(office)
    assert_served(connect, office, ids)


def test_the_command_says_what_is_wrong(served):
    office, _ = served
    for words in (('--no',), ('accept',), ('show', '--no'), ('accept', '-c', office.conf)):
        done = office.valija('guard', *words, check=False)
        assert done.returncode == 64 and 'usage: valija guard' in done.stderr, words
    done = office.valija('guard', 'accept', '-c', office.conf, 'nobody', 'demo', check=False)
    assert done.returncode == 67 and 'nobody' in done.stderr
    assert 'demo: maildrop demo is accepted' in done.stdout
    office.add_user('new')
    done = accept(office, 'new', check=False)
    assert done.returncode == 66 and 'has no maildrop' in done.stderr


def test_a_session_has_the_maildrop(served, connect):
    office, _ = served
    client = connect(office)
    client.login('demo', 'correct horse')
    done = subprocess.Popen([office.bin / 'valija', 'guard', 'accept', '-c', office.conf, 'demo'],
                            stdout=subprocess.PIPE, text=True, env=office.environment())
    client.quit()
    assert done.wait(30) == 0 and os.path.exists(office.mail / 'demo')
    assert 'accepted' in done.stdout.read()
