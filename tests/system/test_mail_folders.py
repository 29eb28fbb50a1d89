"""Several mail folders, and maildrops below homes: each user has one place, and a maildrop that is
in another one is never passed over for an empty one."""
import os
import shutil
import sqlite3

import pytest
import office as post
from lmtp import Lmtp
from office import PASSWORD, stats_below
from test_mail_not_mounted import MAIL, deliver, login

MAYBE = r'the mail of \S+ may be in'
TEMP, PERM = '-ERR [SYS/TEMP]', '-ERR [SYS/PERM]'


def put(office, folder, octets=MAIL):
    """A message in a Maildir of any mail folder, whose owner it gets."""
    root = next(above for above in (folder, *folder.parents) if (above / '.valija-root').exists()
                or above.name in ('mail', 'old'))
    owner = root.stat()
    for path in (folder, *(folder / name for name in ('new', 'cur', 'tmp'))):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chown(path, owner.st_uid, owner.st_gid)
    message = folder / 'new' / f'1700000000.P{len(list((folder / "new").iterdir()))}.test'
    message.write_bytes(octets)
    os.chown(message, owner.st_uid, owner.st_gid)


def count(folder):
    return sum(len(list((folder / name).iterdir())) for name in ('new', 'cur'))


def line(name, home='', extra=''):
    return f'{name}:{{PLAIN}}{PASSWORD}:::gecos:{home}:/bin/sh:{extra}\n'


@pytest.fixture
def make_site(make_office):
    """make_site(LINES, mark=…): an office whose mail is in mail/ and old/."""
    def make(lines='', mark=True, mail='{"mail", "old"}', start=True, more='', **settings):
        office = make_office(start=False, users=(), settings={'mail': mail, **settings})
        office.old = office.dir / 'old'
        office.old.mkdir(mode=0o711)
        owner = office.mail.stat()
        os.chown(office.old, owner.st_uid, owner.st_gid)
        with open(office.dir / 'users', 'a') as users:
            users.write(lines.replace('OLD', str(office.old)).replace('MAIL', str(office.mail)))
        with office.conf.open('a') as conf:
            conf.write(more)
        office.allow('no maildrop of .* is in the register yet')
        if mark:
            office.valija('mark', office.old)
        return office.start() if start else office

    return make


def test_homes_in_two_folders(make_site, connect):
    office = make_site(line('anna') + line('otto', 'OLD/otto') + line('below', 'sub/dir') +
                       line('whole', '', 'maildir=OLD/w/Maildir'))
    put(office, office.old / 'otto')
    for _ in range(2):
        assert len(login(connect, office, 'otto')[1]) == 1
        assert login(connect, office, 'anna')[0].startswith('+OK')
        office.restart()
    for user, folder in (('anna', office.mail / 'anna'), ('otto', office.old / 'otto'),
                         ('below', office.mail / 'sub/dir'), ('whole', office.old / 'w/Maildir')):
        before = count(folder) if folder.exists() else 0
        assert deliver(office, user).startswith('250')
        assert count(folder) == before + 1
        shown = office.valija('user', 'show', '-c', office.conf, user).stdout
        assert f'maildrop: {folder}\n' in shown
    assert {path.name for path in office.old.iterdir()
            if not path.name.startswith('.valija-')} == {'otto', 'w'}
    checked = office.valijad('-t', '-c', office.conf)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(not post.program('valija-lookup-sqlite').exists(),
                    reason='no SQLite in this build')
def test_a_database_whose_mail_is_in_the_second_folder(make_site, connect):
    office = make_site(line('anna'), start=False, more='''
database "old" {
    driver = sql
    connect = "sqlite:DB"
    user_query = "SELECT name AS user, secret AS password, home FROM users WHERE name = {user}"
    mail = "old/{domain}/{local}"
}
''')
    folder = office.scratch / 'db'
    folder.mkdir()
    with sqlite3.connect(folder / 'users.sqlite') as database:
        database.execute('CREATE TABLE users (name TEXT, secret TEXT, home TEXT)')
        for name, home in (('otto@one.test', None), ('ida@one.test', str(office.mail / 'ida')),
                           ('uta@one.test', '/srv/elsewhere/uta')):
            database.execute('INSERT INTO users VALUES (?, ?, ?)',
                             (name, '{PLAIN}' + PASSWORD, home))
    if os.geteuid() == 0:
        shutil.chown(folder, 'valija-lookup')
        shutil.chown(folder / 'users.sqlite', 'valija-lookup')
    office.conf.write_text(office.conf.read_text().replace(
        'sqlite:DB', f'sqlite:{folder}/users.sqlite'))
    office.start()
    put(office, office.old / 'one.test/otto')
    answer, ids = login(connect, office, 'otto@one.test')
    assert answer.startswith('+OK') and len(ids) == 1
    assert deliver(office, 'otto@one.test').startswith('250')
    assert count(office.old / 'one.test/otto') == 2
    assert deliver(office, 'ida@one.test').startswith('250')
    assert count(office.mail / 'ida') == 1
    office.allow('the home /srv/elsewhere/uta of uta@one.test is not below any mail directory',
                 'login-failed .*uta@one.test')
    assert login(connect, office, 'uta@one.test')[0].startswith(TEMP)
    assert login(connect, office, 'anna')[0].startswith('+OK')
    shown = office.valija('user', 'show', '-c', office.conf, 'otto@one.test').stdout
    assert f'maildrop: {office.old}/one.test/otto\n' in shown


def test_threat_107_users_of_a_folder_that_is_not_mounted(make_site, connect):
    """The mail of the other folder goes on, new users' as well: the register knows who had mail."""
    office = make_site(line('anna') + line('otto', 'OLD/otto') + line('neo'))
    put(office, office.mail / 'anna')
    put(office, office.old / 'otto')
    assert len(login(connect, office, 'otto')[1]) == 1
    assert len(login(connect, office, 'anna')[1]) == 1
    office.stop()
    os.rename(office.old, office.dir / 'away')
    office.old.mkdir(mode=0o711)
    shutil.copystat(office.dir / 'away', office.old)
    os.chown(office.old, *post.owner_of(office.mail))
    office.allow('is not the folder that had maildrops|is empty, but it had maildrops|'
                 'it is not there, and the mail folder')
    office.start()
    for _ in range(2):
        assert login(connect, office, 'otto')[0].startswith(TEMP)
        assert deliver(office, 'otto').startswith('451')
        assert len(login(connect, office, 'anna')[1]) >= 1
        assert deliver(office, 'anna').startswith('250')
        assert login(connect, office, 'neo')[0].startswith('+OK')
        assert deliver(office, 'neo').startswith('250')
    assert not [path for path in office.old.iterdir() if path.name != '.valija-root']
    office.stop()
    office.old.rmdir()
    os.rename(office.dir / 'away', office.old)
    office.start()
    assert len(login(connect, office, 'otto')[1]) == 1


def test_a_second_folder_without_a_mark(make_site, connect):
    """Nobody knows who has mail there: who has none in the first one may have."""
    office = make_site(line('anna') + line('neo'), mark=False, start=False)
    put(office, office.mail / 'anna')
    office.allow('has no mark', MAYBE)
    office.start()
    assert len(login(connect, office, 'anna')[1]) == 1
    mark = office.mark()
    assert login(connect, office, 'neo')[0].startswith(TEMP)
    office.wait_log(rf'maildrop neo: .* may be in {office.old}/neo \(that folder has no mark',
                    since=mark)
    assert deliver(office, 'neo').startswith('451')
    assert not (office.mail / 'neo').exists()
    made = office.valija('user', 'make', '-c', office.conf, 'neo', check=False)
    assert made.returncode and 'no mark' in made.stderr
    office.valija('mark', office.old)
    office.restart()
    assert login(connect, office, 'neo')[0].startswith('+OK')
    assert deliver(office, 'neo').startswith('250')


def test_mail_in_the_other_folder_is_not_passed_over(make_site, connect):
    """A folder was put in front, and nobody wrote homes: no empty maildrop, no mail beside it."""
    office = make_site(line('otto'), start=False)
    put(office, office.old / 'otto')
    office.valija('mark', office.old)  # the register gets what is there
    checked = office.valijad('-t', '-c', office.conf)
    assert checked.returncode == 78
    assert f'{office.old}/otto is a Maildir, too' in checked.stderr
    office.allow(MAYBE)
    office.start()
    mark = office.mark()
    assert login(connect, office, 'otto')[0].startswith(TEMP)
    office.wait_log(rf'may be in {office.old}/otto .* write that path', since=mark)
    assert deliver(office, 'otto').startswith('451')
    delivered = office.valija('deliver', '-c', office.conf, 'otto', stdin='A: b\n\nc\n',
                              check=False)
    assert delivered.returncode == 75 and f'{office.old}/otto' in delivered.stderr
    assert not (office.mail / 'otto').exists()
    (office.dir / 'users').write_text(line('otto', office.old / 'otto'))
    post.wait_until(lambda: login(connect, office, 'otto')[0].startswith('+OK'))
    assert deliver(office, 'otto').startswith('250')
    assert office.valija('deliver', '-c', office.conf, 'otto', stdin='A: b\n\nc\n').returncode == 0
    assert count(office.old / 'otto') == 3
    assert office.valijad('-t', '-c', office.conf).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason='two owners need root')
def test_a_second_folder_of_another_owner(make_site, connect):
    office = make_site(line('anna') + line('otto', 'OLD/otto') + line('new', 'OLD/x/new'),
                       start=False)
    os.chown(office.old, 4711, 4712)
    put(office, office.old / 'otto')
    office.start()
    assert len(login(connect, office, 'otto')[1]) == 1
    assert login(connect, office, 'new')[0].startswith('+OK')
    for user, folder in (('otto', 'otto'), ('new', 'x/new')):
        assert deliver(office, user).startswith('250')
        below = stats_below(office.old / folder)
        assert {status.st_uid for status in below.values()} == {4711}, below
    assert deliver(office, 'anna').startswith('250')
    assert (office.mail / 'anna').stat().st_uid == office.mail.stat().st_uid


def test_a_folder_that_is_moved_while_valijad_runs(make_site, connect):
    office = make_site(line('anna') + line('otto', 'OLD/otto'))
    put(office, office.mail / 'anna')
    put(office, office.old / 'otto')
    assert len(login(connect, office, 'otto')[1]) == 1
    office.allow('is not the folder any more', 'leads elsewhere', 'cannot log in')
    mark = office.mark()
    os.rename(office.old, office.dir / 'away')
    office.old.mkdir(mode=0o711)
    office.wait_log(rf'{office.old} is not the folder any more', 40, since=mark)
    post.wait_until(lambda: login(connect, office, 'otto')[0].startswith(TEMP))
    assert deliver(office, 'otto').startswith('451')
    assert len(login(connect, office, 'anna')[1]) == 1
    assert deliver(office, 'anna').startswith('250')
    mark = office.mark()
    office.old.rmdir()
    os.rename(office.dir / 'away', office.old)
    office.wait_log(rf'{office.old} is the folder again', 40, since=mark)
    post.wait_until(lambda: login(connect, office, 'otto')[0].startswith('+OK'))


@pytest.mark.parametrize('mail, words', [
    ('{"mail", "mail/old"}', 'one is in the other'),
    ('{"mail", "mail/{user}"}', 'one is in the other'),
    ('{"mail", "link"}', 'are the same folder'),
    ('{"mail", "nowhere"}', 'nowhere'),
    ('{' + ', '.join(f'"m{i}"' for i in range(9)) + '}', 'at most 8')])
def test_folders_that_are_none(make_site, mail, words):
    office = make_site(line('anna'), start=False)
    (office.dir / 'link').symlink_to('mail')
    office.set('mail', mail)
    checked = office.valijad('-t', '-c', office.conf)
    assert checked.returncode != 0 and words in checked.stderr


# ---- maildrops below homes ----

def test_maildrops_below_homes(make_site, connect):
    office = make_site(line('anna', 'MAIL/anna') + line('otto') +
                       line('ida', 'MAIL/ida', 'maildir=m') +
                       line('uta', 'MAIL/uta', 'maildir=MAIL/uta') +
                       line('dove', 'MAIL/dove', 'userdb_mail=maildir:~/Mail'),
                       mail='mail', maildir='"Maildir"', start=False)
    (office.mail / 'anna').mkdir(mode=0o700)
    (office.mail / 'anna/notes').write_text('a file of the home')
    os.chown(office.mail / 'anna', *post.owner_of(office.mail))
    put(office, office.mail / 'anna/Maildir')
    office.start()
    assert len(login(connect, office, 'anna')[1]) == 1
    for user, folder in (('anna', 'anna/Maildir'), ('otto', 'otto/Maildir'), ('ida', 'ida/m'),
                         ('uta', 'uta'), ('dove', 'dove/Mail')):
        before = count(office.mail / folder) if (office.mail / folder).exists() else 0
        assert deliver(office, user).startswith('250')
        assert count(office.mail / folder) == before + 1
    checked = office.valijad('-t', '-c', office.conf)
    assert checked.returncode == 0, checked.stderr


def test_a_home_that_was_the_maildir(make_site, connect):
    """The setting maildir came later: mail in the home is not passed over."""
    office = make_site(line('anna') + line('otto'), mail='mail')
    put(office, office.mail / 'anna')
    assert len(login(connect, office, 'anna')[1]) == 1
    office.set('maildir', '"Maildir"')
    checked = office.valijad('-t', '-c', office.conf)
    assert checked.returncode == 78
    assert 'anna/Maildir, but' in checked.stderr and 'is a Maildir, too' in checked.stderr
    office.allow(MAYBE)
    office.restart()
    mark = office.mark()
    assert login(connect, office, 'anna')[0].startswith(TEMP)
    office.wait_log(MAYBE, since=mark)
    assert deliver(office, 'anna').startswith('451')
    assert not (office.mail / 'anna/Maildir').exists()
    assert deliver(office, 'otto').startswith('250')
    assert count(office.mail / 'otto/Maildir') == 1


@pytest.mark.parametrize('maildir', ['"/Maildir"', '"../x"', '"a//b"', '".Maildir"', '"Maildir/"'])
def test_a_maildir_that_is_none(make_site, maildir):
    office = make_site(mail='mail', maildir=maildir, start=False)
    checked = office.valijad('-t', '-c', office.conf)
    assert checked.returncode == 78 and 'below each home' in checked.stderr


# ---- fields ----

def test_threat_108_a_field_that_is_not_known(make_site, connect):
    office = make_site(line('anna') + line('otto', '', 'allow_real_nets=192.0.2.0/24') +
                       line('ida', '', 'userdb_gecos=Ida nodelay'), start=False)
    put(office, office.mail / 'otto')
    office.allow('there is no field allow_real_nets', 'login-failed .*user="otto"')
    office.start()
    office.wait_log('users:2: there is no field allow_real_nets, .* take it out')
    mark = office.mark()
    assert login(connect, office, 'otto')[0].startswith(TEMP)
    office.wait_log('login-failed .*users:2: there is no field allow_real_nets', since=mark)
    assert deliver(office, 'otto').startswith('451')
    for user in ('anna', 'ida'):
        assert login(connect, office, user)[0].startswith('+OK')
        assert deliver(office, user).startswith('250')
    checked = office.valijad('-t', '-c', office.conf)
    assert checked.returncode == 0 and 'no field allow_real_nets' in checked.stderr
    tested = office.valija('user', 'test', '-c', office.conf, 'otto', stdin=PASSWORD + '\n',
                           check=False)
    assert tested.returncode == 78 and 'no field allow_real_nets' in tested.stdout


def test_threat_108_mail_on_another_server(make_site, connect):
    """No connector yet: an empty maildrop here would pass for that mail."""
    office = make_site(line('anna') + line('otto', '', 'remote=provider'), start=False)
    office.allow('is on another server', 'login-failed .*user="otto"')
    office.start()
    mark = office.mark()
    client = connect(office)
    client.ok('USER otto')
    assert client.ask(f'PASS {PASSWORD}').startswith(PERM)
    office.wait_log('login-failed .*user="otto".* is on another server .*valija fetch', since=mark)
    client.ok('USER otto')
    assert client.ask('PASS wrong').startswith('-ERR [AUTH]')
    client.ok('USER anna')
    assert client.ask(f'PASS {PASSWORD}').startswith('+OK')
    with Lmtp(office.lmtp) as lmtp:
        lmtp.expect('MAIL FROM:<>', '250')
        assert lmtp.ask('RCPT TO:<otto>').startswith('451')
        assert lmtp.ask('RCPT TO:<anna>').startswith('250')
    assert not (office.mail / 'otto').exists()
