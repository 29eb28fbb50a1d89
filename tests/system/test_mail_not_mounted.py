"""Mail whose filesystem is not there: no empty maildrop is shown or made for it, and no new mail is
taken; when it is back, all is as it was. A new site and a new user are none of that."""
import os
import shutil
import subprocess

import pytest
from lmtp import Lmtp
from office import PASSWORD, wait_until
from wire import wire_form

MAIL = b'Subject: here\n\nsince yesterday\n'
AWAY = r'\[SYS/TEMP\]'
SAID = (r'it is not there, and the mail folder', r'has no mark',
        r'is empty, but it had maildrops before', r'is not the folder that had maildrops before')


MISSING = (r'it is not there, but it was before: mount .* valija mark --forget',)


def login(connect, office, user='demo'):
    """The answer to PASS, and the unique ids."""
    client = connect(office)
    client.ok(f'USER {user}')
    answer = client.ask(f'PASS {PASSWORD}')
    ids = list(client.uidl().values()) if answer.startswith('+OK') else None
    if ids is not None:
        client.quit()
    client.close()
    return answer, ids


def deliver(office, user='demo'):
    """The answer to a delivery, wherever it was put off."""
    with Lmtp(office.lmtp) as client:
        client.expect('MAIL FROM:<carol@example.com>', '250')
        answer = client.ask(f'RCPT TO:<{user}>')
        if answer.startswith('250'):
            client.expect('DATA', '354')
            client.send('Subject: new\r\n\r\nnew\r\n.\r\n')
            answer = client.reply()
        return answer


def assert_away(connect, office, user='demo'):
    """Neither login nor delivery, and each says in the log what to do."""
    office.allow(*SAID)
    before = made(office)
    for attempt in (lambda: login(connect, office, user)[0], lambda: deliver(office, user)):
        mark = office.mark()
        answer = attempt()
        assert answer.startswith(('-ERR [SYS/TEMP]', '451 4.3.0')), answer
        office.wait_log(rf'error: (maildrop|delivery)-failed session=\S+ .*user="{user}" '
                        rf'.*maildrop {user}: .*(mount|make)', since=mark)
    assert made(office) == before


def made(office):
    """All that is in the mail, but for what was moved away, where a sweep may still be at work."""
    return {path for path in office.mail.rglob('*')
            if not any(part.startswith('.away') for part in path.parts)}


def assert_here(connect, office, ids, user='demo'):
    answer, now = login(connect, office, user)
    assert answer.startswith('+OK') and now == ids, answer


def memory(office):
    """The file that remembers the mail root."""
    found = list(office.state.glob('mail-root-*'))
    return found[0] if found else None


def reload(office):
    """Until nobody of the old generation can take a connection any more."""
    before = set(office.children())
    office.reload()
    wait_until(lambda: not before & set(office.children()))


def swap(office, fill=()):
    """Another folder in place of the mail; what was there lies beside it."""
    aside = office.mail.with_name('mail.disk')
    office.mail.rename(aside)
    office.mail.mkdir(mode=0o755)
    shutil.copystat(aside, office.mail)
    os.chown(office.mail, aside.stat().st_uid, aside.stat().st_gid)
    for user in fill:
        office.put(user, MAIL)
    return aside


def swap_back(office, aside):
    shutil.rmtree(office.mail)
    aside.rename(office.mail)


@pytest.fixture
def served(make_office, connect):
    """An office with mail of demo, and its unique ids."""
    office = make_office(start=False)
    office.put('demo', MAIL)
    office.start()
    return office, login(connect, office)[1]


# by renaming

def test_the_only_maildrop_is_moved_away_and_back(served, connect):
    office, ids = served
    (office.mail / 'demo').rename(office.mail / '.away')
    assert_away(connect, office)
    (office.mail / '.away').rename(office.mail / 'demo')
    assert_here(connect, office, ids)
    assert deliver(office).startswith('250')


@pytest.mark.parametrize('how', ['restart', 'reload'])
def test_an_empty_root_is_not_taken_for_a_new_site(served, connect, how):
    office, ids = served
    aside = swap(office)
    (office.mail / 'lost+found').mkdir()  # what mkfs makes is no maildrop
    office.allow(*SAID)
    mark = 0 if how == 'restart' else office.mark()
    office.restart() if how == 'restart' else reload(office)
    office.wait_log(rf'{office.mail} is .*before.*mount .*valija mark {office.mail}', since=mark)
    assert_away(connect, office)
    swap_back(office, aside)
    reload(office)
    assert_here(connect, office, ids)
    assert deliver(office).startswith('250')


def test_another_root_serves_who_is_there_and_makes_nobody(served, connect):
    """Another disk at the place of the right one, with mail of others."""
    office, ids = served
    office.add_user('bob')
    aside = swap(office, fill=['bob'])
    office.allow(*SAID)
    office.restart()
    answer, others = login(connect, office, 'bob')
    assert answer.startswith('+OK 1 ') and len(others) == 1
    assert deliver(office, 'bob').startswith('250')
    assert_away(connect, office)
    # an empty folder is no maildrop either
    (office.mail / 'demo').mkdir()
    office.own(office.mail / 'demo')
    assert_away(connect, office)
    swap_back(office, aside)
    office.restart()
    assert_here(connect, office, ids)


def test_mail_that_was_moved_on_purpose_is_accepted_by_a_person(served, connect):
    office, _ = served
    swap(office, fill=['bob'])
    office.allow(*SAID)
    office.restart()
    assert_away(connect, office)
    office.valija('mark', office.mail)  # as the log says
    reload(office)
    # the folder is accepted, but not that a maildrop was lost on the way
    office.allow(*MISSING)
    answer, _ = login(connect, office)
    assert answer.startswith('-ERR [SYS/TEMP]')
    office.valija('mark', '--forget', 'demo', office.mail)
    answer, ids = login(connect, office)
    assert answer.startswith('+OK 0 ') and ids == []
    assert memory(office).exists()
    mark = office.mark()
    reload(office)
    assert 'had maildrops before' not in '\n'.join(filter(None, office.log[mark:]))


def test_the_command_puts_mail_off_too(served):
    office, _ = served
    aside = swap(office)
    done = subprocess.run([office.bin / 'valija', 'deliver', '-c', office.conf, 'demo'],
                          input=b'Subject: new\n\nnew\n', capture_output=True, timeout=30,
                          env=office.environment())
    assert done.returncode == os.EX_TEMPFAIL, done
    assert b'it had maildrops before' in done.stderr and b'valija mark' in done.stderr
    assert list(office.mail.iterdir()) == []
    swap_back(office, aside)


def test_the_check_of_the_configuration_says_it(served):
    office, _ = served
    swap(office)
    done = office.valijad('-t', '-c', office.conf)
    assert 'it had maildrops before' in done.stderr + done.stdout
    before = memory(office).read_bytes()
    assert office.valijad('-t', '-c', office.conf).returncode == done.returncode
    assert memory(office).read_bytes() == before


# what is new

def test_a_new_site_serves_at_once_and_is_known_from_then_on(make_office, connect):
    office = make_office(users=('demo', 'bob'))
    assert memory(office) is None  # nothing was there yet: nothing is remembered
    assert login(connect, office)[1] == []
    assert not (office.mail / 'demo').exists()  # a login makes nothing
    for user in ('demo', 'bob'):
        assert deliver(office, user).startswith('250')
    # without a restart
    for user in ('demo', 'bob'):
        (office.mail / user).rename(office.mail / f'.{user}')
    assert_away(connect, office, 'bob')
    for user in ('demo', 'bob'):
        (office.mail / f'.{user}').rename(office.mail / user)
    # and after one
    office.stop()
    assert str(office.mail) in memory(office).read_text()
    aside = swap(office)
    office.start()
    assert_away(connect, office)
    swap_back(office, aside)


def test_a_site_that_nobody_used_stays_new(make_office, connect):
    office = make_office()
    office.restart()
    reload(office)
    assert memory(office) is None
    assert login(connect, office)[1] == []


def test_a_new_user_beside_others_is_served(served, connect):
    office, _ = served
    for user in ('new1', 'new2'):
        office.add_user(user)
    assert login(connect, office, 'new1')[1] == []
    assert deliver(office, 'new2').startswith('250')


def test_a_memory_that_cannot_be_kept_is_said(make_office, connect, monkeypatch):
    office = make_office(start=False)
    office.put('demo', MAIL)
    (office.state / 'file').touch()
    monkeypatch.setattr(office, 'state', office.state / 'file')
    office.allow('bans: .*/file/bans-.* cannot be opened')
    office.start()
    office.wait_log(r'warning: .*mail: its filesystem cannot be remembered, .*/file/mail-root-')
    assert len(login(connect, office)[1]) == 1
    (office.mail / 'demo').rename(office.mail / '.away')
    assert_away(connect, office)


@pytest.mark.parametrize('octets', [b'', b'inode=', b'\xff' * 5000,
                                    b'inode=1 born=2.3 /elsewhere\n'],
                         ids=['empty', 'cut', 'garbage', 'of another root'])
def test_a_memory_that_cannot_be_read_is_made_anew(served, connect, octets):
    office, ids = served
    good = memory(office).read_bytes()
    memory(office).write_bytes(octets)
    office.restart()
    assert_here(connect, office, ids)
    assert memory(office).read_bytes() == good


# the register: one maildrop among others

@pytest.fixture
def together(make_office, connect):
    """An office with mail of demo and bob, both known."""
    office = make_office(start=False, users=('demo', 'bob', 'new'))
    for user in ('demo', 'bob'):
        office.put(user, MAIL)
    office.start()
    ids = login(connect, office)[1]
    login(connect, office, 'bob')
    wait_entered(office, 2)
    office.allow(*MISSING)
    return office, ids


def wait_entered(office, count):
    """An opening is entered in the register a moment after it."""
    wait_until(lambda: len(entered(office)) == count)


def entered(office):
    """What the register has of maildrops that are there, a digest of each. Of its entries, octet 11
    is the kind: 2, a maildrop; others are what is known of it besides."""
    octets = b''.join(path.read_bytes()[16:] for path in office.state.glob('mail-register-*'))
    entries = [octets[at:at + 16] for at in range(0, len(octets), 16)]
    return {entry[:11] for entry in entries if len(entry) == 16 and entry[11] == 2}


def assert_missing(connect, office, user='demo'):
    for attempt in (lambda: login(connect, office, user)[0], lambda: deliver(office, user)):
        mark = office.mark()
        assert attempt().startswith(('-ERR [SYS/TEMP]', '451 4.3.0'))
        office.wait_log(rf'error: (maildrop|delivery)-failed .*maildrop {user}: '
                        rf'{MISSING[0]} {user} {office.mail}', since=mark)
    assert not (office.mail / user).exists()


@pytest.mark.parametrize('when', ['at once', 'restart', 'reload', 'killed'])
def test_one_maildrop_that_is_missing_beside_others(together, connect, when):
    office, ids = together
    if when == 'killed':
        office.stop(check=False)  # what was entered without a flush is in the file all the same
        office.start()
    (office.mail / 'demo').rename(office.mail / '.away')
    office.restart() if when == 'restart' else reload(office) if when == 'reload' else None
    assert_missing(connect, office)
    done = subprocess.run([office.bin / 'valija', 'deliver', '-c', office.conf, 'demo'],
                          input=b'Subject: new\n\nnew\n', capture_output=True, timeout=30,
                          env=office.environment())
    assert done.returncode == os.EX_TEMPFAIL and b'valija mark --forget demo' in done.stderr
    # the others, and new users, are served
    assert len(login(connect, office, 'bob')[1]) == 1
    assert login(connect, office, 'new')[1] == []
    assert deliver(office, 'new').startswith('250')
    (office.mail / '.away').rename(office.mail / 'demo')
    assert_here(connect, office, ids)


def test_a_maildrop_that_only_got_mail_is_known_too(together, connect):
    """By LMTP, and by the command: nobody ever logged in."""
    office, _ = together
    office.add_user('other')
    assert deliver(office, 'new').startswith('250')
    office.valija('deliver', '-c', office.conf, 'other', stdin='Subject: new\n\nnew\n')
    for user in ('new', 'other'):
        assert len(office.files(user)) == 1
        (office.mail / user).rename(office.mail / f'.{user}')
        assert_missing(connect, office, user)


def test_a_maildrop_that_was_removed_on_purpose(together, connect):
    office, _ = together
    done = office.valija('mark', '--forget', 'demo', office.mail, check=False)
    assert done.returncode == os.EX_USAGE and 'is there' in done.stderr
    shutil.rmtree(office.mail / 'demo')
    assert_missing(connect, office)
    done = office.valija('mark', '--forget', 'demi', office.mail, check=False)
    assert done.returncode == os.EX_NOINPUT
    office.valija('mark', '--forget', 'demo', office.mail)
    assert login(connect, office)[1] == []
    assert not (office.mail / 'demo').exists()
    assert deliver(office).startswith('250')
    shutil.rmtree(office.mail / 'demo')
    assert_missing(connect, office)


@pytest.mark.parametrize('folders', ['none', 'some', 'all'])
def test_a_making_that_a_crash_cut_short_needs_no_person(together, connect, folders):
    """The register has the intention on the disk; what came behind it may be there in part."""
    office, _ = together
    [register] = office.state.glob('mail-register-*')
    before = register.stat().st_size
    assert deliver(office, 'new').startswith('250')
    # making, made; and an opening before, which is entered when there is time
    assert register.stat().st_size >= before + 2 * 16
    office.stop()
    os.truncate(register, before + 16)
    shutil.rmtree(office.mail / 'new')
    for folder in {'none': [], 'some': ['.', 'tmp'], 'all': ['.', 'tmp', 'new', 'cur']}[folders]:
        (office.mail / 'new' / folder).mkdir(mode=0o700, exist_ok=True)
        office.own(office.mail / 'new' / folder)
    office.start()
    assert login(connect, office, 'new')[1] == []
    assert deliver(office, 'new').startswith('250')
    assert len(login(connect, office, 'new')[1]) == 1
    (office.mail / 'new').rename(office.mail / '.new')
    assert_missing(connect, office, 'new')


def test_a_damaged_entry_hurts_no_other(together, connect):
    office, ids = together
    [register] = office.state.glob('mail-register-*')
    octets = bytearray(register.read_bytes())
    assert deliver(office, 'new').startswith('250')
    office.stop()
    register.write_bytes(octets + register.read_bytes()[len(octets):-3])  # a torn end
    for user in ('demo', 'bob'):
        (office.mail / user).rename(office.mail / f'.{user}')
    office.start()
    for user in ('demo', 'bob'):
        assert_missing(connect, office, user)
    (office.mail / '.demo').rename(office.mail / 'demo')
    assert_here(connect, office, ids)


def test_a_session_without_a_maildrop(together, connect):
    office, _ = together
    first, second = connect(office), connect(office)
    for client in (first, second):
        client.login('new', PASSWORD)
        assert client.stat() == (0, 0)
        assert client.lines('UIDL') == client.lines('LIST') == []
        assert client.ask('RETR 1').startswith('-ERR')
        assert client.ask('DELE 1').startswith('-ERR')
    assert deliver(office, 'new').startswith('250')
    assert first.stat() == (0, 0)
    for client in (first, second):
        client.quit()
    assert len(login(connect, office, 'new')[1]) == 1


def test_a_register_that_cannot_be_read_shows_nobody_an_empty_maildrop(together, connect):
    office, ids = together
    [register] = office.state.glob('mail-register-*')
    good = register.read_bytes()
    assert len(entered(office)) == 2
    register.write_bytes(b'something else' * 10)
    office.allow('is no register')
    assert login(connect, office, 'new')[0].startswith('-ERR [SYS/TEMP]')
    assert deliver(office, 'new').startswith('451')
    assert_here(connect, office, ids)
    register.write_bytes(good)
    assert login(connect, office, 'new')[1] == []


def test_a_register_that_cannot_be_written_makes_no_maildrop(together, connect):
    office, ids = together
    [register] = office.state.glob('mail-register-*')
    good = register.read_bytes()
    register.unlink()
    register.mkdir()
    office.allow('the register .* cannot be')
    assert deliver(office, 'new').startswith('451')
    assert not (office.mail / 'new').exists()
    assert_here(connect, office, ids)
    assert deliver(office).startswith('250')  # one that is there needs no register
    register.rmdir()
    register.write_bytes(good)
    assert deliver(office, 'new').startswith('250')


# the mark

def test_an_empty_folder_that_was_never_marked_gets_nothing(make_office, connect):
    """It may be the one beneath a filesystem that was not mounted at the very first start."""
    office = make_office(start=False)
    (office.mail / '.valija-root').unlink()
    office.allow(*SAID)
    office.start()
    office.wait_log(rf'{office.mail} has no mark .*mounted.* valija mark {office.mail}')
    assert 'has no mark' in office.valijad('-t', '-c', office.conf).stderr
    assert_away(connect, office)
    done = subprocess.run([office.bin / 'valija', 'deliver', '-c', office.conf, 'demo'],
                          input=MAIL, capture_output=True, timeout=30, env=office.environment())
    assert done.returncode == os.EX_TEMPFAIL and b'valija mark' in done.stderr, done
    office.valija('mark', office.mail)
    assert deliver(office).startswith('250')  # without a reload
    office.restart()
    assert str(office.mail) in memory(office).read_text()
    aside = swap(office)
    reload(office)
    assert_away(connect, office)
    swap_back(office, aside)


def test_a_site_that_is_older_than_the_mark_gets_it_at_the_start(served, connect):
    office, ids = served
    office.stop()
    memory(office).unlink()
    (office.mail / '.valija-root').unlink()
    checked = office.valijad('-t', '-c', office.conf)
    assert checked.returncode == 0 and 'has no mark' not in checked.stderr
    assert not (office.mail / '.valija-root').exists()  # a check writes nothing
    office.start()
    mark = (office.mail / '.valija-root').read_text().strip()
    assert f'mark={mark} ' in memory(office).read_text()
    assert_here(connect, office, ids)
    office.add_user('new')
    assert deliver(office, 'new').startswith('250')


def test_maildirs_of_other_software_are_served_and_none_is_made(make_office, connect):
    office = make_office(start=False, users=('demo', 'bob'))
    office.put('demo', MAIL)
    (office.mail / '.valija-root').unlink()
    office.allow(*SAID)
    office.start()
    assert not (office.mail / '.valija-root').exists()
    assert_away(connect, office, 'bob')
    assert len(login(connect, office)[1]) == 1
    assert deliver(office).startswith('250')


def test_mail_that_moves_with_its_mark_needs_no_person(served, connect):
    office, ids = served
    office.stop()
    aside = office.mail.with_name('mail.disk')
    office.mail.rename(aside)
    subprocess.run(['cp', '-a', aside, office.mail], check=True)
    office.start()
    assert_here(connect, office, ids)
    office.add_user('new')
    assert deliver(office, 'new').startswith('250')


def test_a_mark_that_goes_away_under_a_running_server(served, connect):
    office, ids = served
    office.allow(*SAID)
    office.add_user('new')
    (office.mail / '.valija-root').rename(office.mail / '.away')
    assert_here(connect, office, ids)
    assert_away(connect, office, 'new')
    (office.mail / '.away').rename(office.mail / '.valija-root')
    assert deliver(office, 'new').startswith('250')


# by mounting

@pytest.fixture
def mount(need_root):
    """mount(PATH): an empty filesystem over it, until unmount(PATH) or the end of the test."""
    def on(path):
        status = os.stat(path)
        done = subprocess.run(['mount', '-t', 'tmpfs', 'test', path], capture_output=True)
        if done.returncode:
            pytest.skip('nothing can be mounted here')
        mounted.append(path)
        os.chown(path, status.st_uid, status.st_gid)
        os.chmod(path, 0o755)

    def off(path):
        mounted.remove(path)
        subprocess.run(['umount', '-l', path], check=True)

    mounted = []
    on.off = off
    yield on
    for path in reversed(list(mounted)):
        off(path)


def test_an_empty_filesystem_over_the_root(served, connect, mount):
    """A server that runs goes on with the folder that it holds; a new start or a reload sees the
    empty one."""
    office, ids = served
    mount(office.mail)
    assert_here(connect, office, ids)
    office.allow(*SAID)
    reload(office)
    assert_away(connect, office)
    office.restart()
    assert_away(connect, office)
    mount.off(office.mail)
    office.restart()
    assert_here(connect, office, ids)


def test_the_filesystem_of_the_root_is_unmounted(make_office, connect, mount):
    office = make_office(start=False)
    mount(office.mail)
    office.put('demo', MAIL)
    office.start()
    ids = login(connect, office)[1]
    assert len(ids) == 1
    office.stop()
    mount.off(office.mail)
    office.allow(*SAID)
    office.start()
    assert_away(connect, office)


def test_an_empty_filesystem_over_one_maildrop(served, connect, mount):
    """With others beside it. One that somebody made three folders in is another Maildir still."""
    office, ids = served
    office.put('bob', MAIL)
    office.allow(r'a filesystem without new, cur and tmp is mounted here')
    mount(office.mail / 'demo')
    assert_away(connect, office)
    mount.off(office.mail / 'demo')
    assert_here(connect, office, ids)
    mount(office.mail / 'demo')
    for folder in ('new', 'cur', 'tmp'):
        (office.mail / 'demo' / folder).mkdir(mode=0o700)
        office.own(office.mail / 'demo' / folder)
    office.allow('another Maildir stands in the place of the one that was served')
    assert login(connect, office)[0].startswith('-ERR [SYS/TEMP]')
    assert deliver(office).startswith('451')
    office.valija('guard', 'accept', '-c', office.conf, 'demo')
    assert login(connect, office)[1] == []


def test_bodies_are_served_while_another_filesystem_covers_the_root(served, connect, mount):
    office, _ = served
    client = connect(office)
    client.login('demo', PASSWORD)
    mount(office.mail)
    assert client.retr(1) == wire_form(MAIL)
    client.quit()
