"""Users files as Dovecot sites have them: homes with the mail below, mail= in every form. What can
be served is; what cannot is named with its line, and its user never gets an empty maildrop."""
import os
import re

import pytest
from office import PASSWORD
from test_mail_not_mounted import MAIL, deliver, login

NAME = 'jo@example.org'


@pytest.fixture
def brought(make_office):
    """brought(*LINES, mail=[FOLDERS]): an office with these lines in its users file, and a message
    in each of the folders."""
    def bring(*lines, mail=()):
        office = make_office(start=False, users=('other',))
        with open(office.dir / 'users', 'a') as users:
            users.writelines(line.replace('MAIL', str(office.mail)) + '\n' for line in lines)
        for folder in mail:
            for path in reversed([office.mail / folder, *(office.mail / folder).parents]):
                if office.mail in path.parents and not path.exists():
                    path.mkdir(mode=0o700)
                    office.own(path)
            office.put(folder, MAIL)
        return office.start()
    return bring


def user(home='', extra='', name=NAME):
    return f'{name}:{{PLAIN}}{PASSWORD}:::gecos:{home}:/bin/sh:{extra}'


def listing(office):
    return {path for path in office.mail.rglob('*') if not path.name.startswith('valija-')}


@pytest.mark.parametrize('home, extra, folder', [
    ('', 'userdb_mail=maildir:MAIL/jo', 'jo'),
    ('jo', 'userdb_mail=maildir:~/Maildir', 'jo/Maildir'),
    ('MAIL/jo', 'userdb_mail=maildir:~/Maildir', 'jo/Maildir'),
    ('MAIL/jo', 'mail=maildir:%h/Maildir', 'jo/Maildir'),
    ('MAIL/jo', 'mail=maildir:%h', 'jo'),
    ('jo/Maildir', '', 'jo/Maildir'),
    ('', 'userdb_mail=maildir:%d/%n', 'example.org/jo'),
    ('elsewhere', 'userdb_mail=maildir:MAIL/%d/%n/Maildir', 'example.org/jo/Maildir'),
    ('', 'userdb_mail=maildir:MAIL/%u', NAME),
    ('', 'userdb_quota_rule=*:storage=1G userdb_mail=maildir:MAIL/%n-%d', 'jo-example.org')])
def test_mail_is_found(brought, connect, home, extra, folder):
    office = brought(user(home, extra), mail=[folder])
    for _ in range(2):
        answer, ids = login(connect, office, NAME)
        assert answer.startswith('+OK') and len(ids) == 1, answer
        office.restart()
    assert deliver(office, NAME).startswith('250')
    assert len(office.files(folder)) == 2
    checked = office.valijad('-t', '-c', office.conf)
    assert checked.returncode == 0 and NAME not in checked.stdout + checked.stderr


@pytest.mark.parametrize('home, extra', [
    ('jo', 'userdb_mail=mbox:~/mail'),
    ('jo', 'userdb_mail=mbox:~/mail:INBOX=/var/mail/%u'),
    ('jo', 'mail=mdbox:~/mdbox'),
    ('jo', 'mail=sdbox:~/sdbox'),
    ('jo', 'mail=~/Maildir'),
    ('jo', 'mail=auto'),
    ('jo', 'userdb_mail=maildir:~/Maildir:INBOX=~/Maildir/.INBOX'),
    ('jo', 'userdb_mail=maildir:~/Maildir:LAYOUT=fs'),
    ('jo', 'userdb_mail=maildir:MAIL/jo:INDEX=/var/indexes/%u'),
    ('jo', 'userdb_mail=maildir:/srv/elsewhere/jo'),
    ('jo', 'userdb_mail=maildir:~/../../jo'),
    ('jo', 'userdb_mail=maildir:%{user}/Maildir'),
    ('jo', 'userdb_mail=maildir:%Lu'),
    ('jo', 'userdb_mail=maildir:%1u/%u'),
    ('jo', 'userdb_mail=maildir:~other/Maildir'),
    ('jo', 'userdb_mail=maildir:'),
    ('jo', 'userdb_mail='),
    ('jo', 'mail= x=y'),
    ('/elsewhere/jo', ''),
    ('/elsewhere/jo', 'userdb_mail=maildir:~/Maildir'),
    ('../jo', ''),
    ('MAIL/../jo', ''),
    ('MAIL', 'userdb_mail=maildir:%h'),
    ('.jo', '')])
def test_what_cannot_be_served_is_named_and_never_an_empty_maildrop(brought, connect, home, extra):
    office = brought('# a comment', user(home, extra), mail=['jo/Maildir', 'jo'])
    office.allow('.')
    number = [at for at, line in enumerate((office.dir / 'users').read_text().split('\n'), 1)
              if line.startswith(NAME)][0]
    before, mark = listing(office), 0
    answer, ids = login(connect, office, NAME)
    assert re.match(r'-ERR \[SYS/(PERM|TEMP)\]', answer), answer
    assert ids is None
    assert deliver(office, NAME).startswith('451')
    assert listing(office) == before
    office.wait_log(rf'users:{number}: .*{re.escape(NAME)}', since=mark)
    checked = office.valijad('-t', '-c', office.conf)
    assert re.search(rf'users:{number}: ', checked.stdout + checked.stderr), checked
    done = office.valija('deliver', '-c', office.conf, NAME, stdin='Subject: x\n\nx\n', check=False)
    assert done.returncode == os.EX_TEMPFAIL, done
    assert listing(office) == before
    # nobody else is the worse for it
    assert login(connect, office, 'other')[1] == []


@pytest.mark.parametrize('above', ['Maildir', 'mail', '.maildir'])
def test_a_home_in_use_is_never_made_a_maildrop(brought, connect, above):
    """By login, LMTP or command; the answer and the log say where the mail may be."""
    office = brought(user('home/jo'), mail=[f'home/jo/{above}'])
    office.allow('.')
    before = listing(office)
    for _ in range(2):
        assert re.match(r'-ERR \[SYS/(PERM|TEMP)\]', login(connect, office, NAME)[0])
        assert deliver(office, NAME).startswith('451')
        done = office.valija('deliver', '-c', office.conf, NAME, stdin='Subject: x\n\nx\n',
                             check=False)
        assert done.returncode == os.EX_TEMPFAIL
        assert listing(office) == before
    office.wait_log(r'maildrop home/jo: the folder is no Maildir')


def test_a_home_with_files_alone_is_none_either(brought, connect):
    office = brought(user('jo'))
    office.allow('.')
    for path in (office.mail / 'jo', office.mail / 'jo/.profile'):
        path.mkdir() if path.name == 'jo' else path.write_text('x')
        office.own(path)
    assert re.match(r'-ERR \[SYS/(PERM|TEMP)\]', login(connect, office, NAME)[0])
    assert deliver(office, NAME).startswith('451')
    assert [path.name for path in (office.mail / 'jo').iterdir()] == ['.profile']


def test_a_line_that_is_mended_serves_without_a_restart(brought, connect):
    office = brought(user('jo', 'userdb_mail=mbox:~/mail'), mail=['jo/Maildir'])
    office.allow('.')
    assert login(connect, office, NAME)[0].startswith('-ERR [SYS/')
    users = office.dir / 'users'
    text = users.read_text().replace('mbox:~/mail', 'maildir:~/Maildir')
    fresh = users.with_name('users.new')
    fresh.write_text(text)
    os.chown(fresh, users.stat().st_uid, users.stat().st_gid)
    fresh.chmod(users.stat().st_mode)
    fresh.rename(users)
    answer, ids = login(connect, office, NAME)
    assert answer.startswith('+OK') and len(ids) == 1
    assert deliver(office, NAME).startswith('250')


def test_two_words_for_the_mail(brought, connect):
    """The last one of a line that a careless hand wrote, or neither: never an empty maildrop."""
    office = brought(user('jo', 'mail=maildir:~/one userdb_mail=maildir:~/two'),
                     mail=['jo/one', 'jo/two'])
    office.allow('.')
    answer, ids = login(connect, office, NAME)
    assert len(ids) == 1 if answer.startswith('+OK') else answer.startswith('-ERR [SYS/'), answer
