"""Dovecot's settings as a valija.conf: `valija import dovecot --config FILE` where there is no
configuration yet. What the real `doveconf -n` prints is translated, and users log in by the result;
the form of 2.4 is that of its documentation."""
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / 'stand_ins')]

import system_users  # noqa: E402
from dovecot_pop3 import DovecotPop3, usable  # noqa: E402
from office import PASSWORD, program  # noqa: E402
from test_mail_not_mounted import login  # noqa: E402

MAIL = b'Subject: one\n\nof a mailbox\n'
LISTEN = '''
listen = 127.0.0.1
ssl = yes
ssl_cert = <{office.cert}
ssl_key = <{office.cert.parent}/key.pem
disable_plaintext_auth = no
service pop3-login {{
  inet_listener pop3 {{
    port = {office.pop3}
  }}
  inet_listener pop3s {{
    port = {office.pop3s}
  }}
}}
'''


def printed(office, text, *options):
    """What the real doveconf makes of a configuration."""
    if not shutil.which('doveconf'):
        pytest.skip('dovecot-core is not installed')
    written = office.scratch / 'dovecot.conf'
    written.write_text(text)
    done = subprocess.run(['doveconf', '-n', *options, '-c', written], text=True, check=True,
                          capture_output=True)
    result = office.scratch / 'dovecot.txt'
    result.write_text(done.stdout)
    return result


def translate(office, source, *options, check=True):
    """Writes the new configuration of a stopped office, which it has from then on."""
    fresh = office.dir / 'of-dovecot.conf'
    done = office.valija('import', 'dovecot', '--config', source, '-c', fresh, *options,
                         check=check)
    if check and '--dry-run' not in options:
        office.conf = fresh
    return done


def lines_to_do(done):
    return [line for line in done.stdout.splitlines() if ': to do: ' in line]


def passes(office):
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def system():
    if os.geteuid() != 0:
        pytest.skip('needs root')
    if not program('valija-lookup-system').exists():
        pytest.skip('built without PAM')
    if (tool := system_users.missing()):
        pytest.skip(f'{tool} is not here')
    users = system_users.SystemUsers()
    users.service((HERE.parents[1] / 'dist/pam.d/valija').read_text())
    try:
        yield users
    finally:
        users.run('userdel', '--force', 'anna')
        users.close()


def test_virtual_users(make_office, need_root, connect):
    """passwd-file and static: the site of the stand-in, with everything that Dovecot serves."""
    if not usable():
        pytest.skip('dovecot-pop3d is not installed')
    office = make_office(start=False)
    office.put('demo', MAIL)
    dovecot = DovecotPop3(office, 'auth_mechanisms = plain login cram-md5\n'
                          'mail_max_userip_connections = 3\n'
                          'plugin {\n  quota_rule = *:storage=1G:messages=1000\n}\n')
    try:
        before = dovecot.uidl('demo')
        dovecot.stop()
        source = printed(office, (dovecot.dir / 'dovecot.conf').read_text(), '-P')
        done = translate(office, source)
        assert f'valija mark {office.mail}\n' in done.stdout, done.stdout
        passes(office)
        changed = office.valijad('-n', '-c', office.conf).stdout
        for setting in ('sessions_per_user = 3', 'octets = 1G', 'messages = 1000',
                        'plain_without_tls = yes', 'mail/{user}'):
            assert setting in changed, changed
        office.valija('import', 'dovecot', '--config', source, '-c', office.conf)
        office.start()
        assert login(connect, office)[1] == before
        client = connect(office, tls=True)
        assert 'SASL PLAIN LOGIN CRAM-MD5' in client.lines('CAPA')
        client.close()
    finally:
        dovecot.remove()


@pytest.mark.parametrize('store', ['maildir', 'mbox'])
def test_users_of_the_system(make_office, connect, system, store):
    office = make_office(start=False, users=(), inside=system.inside)
    home = office.mail / 'anna'
    system.add('anna', 3000, PASSWORD, home)
    where = f'mbox:~/mail:INBOX={office.mail}/%u' if store == 'mbox' else 'maildir:~/Maildir'
    if store == 'mbox':
        home.write_bytes(b'From a@example.org Mon Jun  1 10:00:00 2026\n' + MAIL + b'\n')
        office.mail.chmod(0o2775)
        shutil.chown(office.mail, 'root', 'mail')
        home.chmod(0o660)
    else:
        os.chown(office.mail, 0, 0)
        office.mail.chmod(0o755)
        for folder in ('', 'Maildir', 'Maildir/new', 'Maildir/cur', 'Maildir/tmp'):
            (home / folder).mkdir(mode=0o700)
            os.chown(home / folder, 3000, 100)
        (home / 'Maildir/new/1.one.test').write_bytes(MAIL)
        os.chown(home / 'Maildir/new/1.one.test', 3000, 100)
    os.chown(home, 3000, 8 if store == 'mbox' else 100)
    source = printed(office, LISTEN.format(office=office) + f'protocols = pop3 imap\n'
                     f'mail_location = {where}\npassdb {{\n  driver = pam\n}}\n'
                     'userdb {\n  driver = passwd\n}\n', '-P')
    done = translate(office, source)
    assert not lines_to_do(done), done.stdout
    if store == 'maildir':  # homes are not in /home here
        text = office.conf.read_text()
        assert 'mail = "/home"' in text
        office.conf.write_text(text.replace('"/home"', f'"{office.mail}"'))
        office.valija('mark', office.mail)
    else:
        assert f'valija mark --store mbox {office.mail}\n' in done.stdout
        assert 'valija import mbox --ids dovecot -c ' in done.stdout
        office.valija('mark', '--store', 'mbox', office.mail)
    passes(office)
    office.start()
    answer, ids = login(connect, office, 'anna')
    assert answer.startswith('+OK') and len(ids) == 1, answer


def test_users_of_a_database(make_office, need_root, connect):
    """The queries of Dovecot work as ours; its password is in a file of its own."""
    if not program('valija-lookup-sqlite').exists():
        pytest.skip('built without SQLite')
    office = make_office(start=False, users=())
    folder = office.scratch / 'base'
    folder.mkdir(mode=0o755)
    with sqlite3.connect(folder / 'users.db') as base:
        base.execute('CREATE TABLE users (username, domain, password)')
        base.execute("INSERT INTO users VALUES ('anna', 'example.org', ?)", (PASSWORD,))
    (folder / 'users.db').chmod(0o644)
    sql = office.scratch / 'dovecot-sql.conf.ext'
    sql.write_text(f'driver = sqlite\nconnect = {folder}/users.db\ndefault_pass_scheme = PLAIN\n'
                   'password_query = SELECT username, domain, password \\\n'
                   "  FROM users WHERE username = '%n' AND domain = '%d'\n"
                   "user_query = SELECT '%d/%n' AS home, 'vmail' AS uid FROM users \\\n"
                   "  WHERE username || '@' || domain = '%Lu';\n"
                   'iterate_query = SELECT username, domain FROM users\n')
    source = printed(office, LISTEN.format(office=office) +
                     f'mail_location = maildir:{office.mail}/%d/%n\n'
                     f'passdb {{\n  driver = sql\n  args = {sql}\n}}\n'
                     f'userdb {{\n  driver = sql\n  args = {sql}\n}}\n', '-P')
    done = translate(office, source)
    assert re.search(rf'{sql}:6: user_query: to do: the field home is not taken', done.stdout)
    passes(office)
    (office.mail / 'example.org').mkdir()
    office.own(office.mail / 'example.org')
    office.put('example.org/anna', MAIL)
    office.start()
    assert len(login(connect, office, 'anna@example.org')[1]) == 1
    assert login(connect, office, 'bert@example.org')[0].startswith('-ERR')
    assert office.valija('user', 'list', '-c', office.conf).stdout.split()[0] == 'anna@example.org'


def test_secrets_are_files_of_their_own(make_office):
    office = make_office(start=False)
    sql = office.scratch / 'dovecot-sql.conf.ext'
    sql.write_text('driver = mysql\nconnect = host=db1 host=db2 dbname=mail user=mail '
                   'password=geheim\ndefault_pass_scheme = SHA512\npassword_query = SELECT '
                   "password, concat('/srv/', '%d/%n') AS userdb_home FROM users WHERE "
                   "name = '%u'\n")
    source = printed(office, f'mail_location = maildir:~/Maildir\npassdb {{\n  driver = sql\n'
                     f'  args = {sql}\n}}\nuserdb {{\n  driver = prefetch\n}}\n')
    done = translate(office, source)
    text = office.conf.read_text()
    secret = office.dir / re.search(r'password_file = "(.*)"', text)[1]
    assert secret.read_text() == 'geheim' and secret.stat().st_mode & 0o777 == 0o600
    assert 'geheim' not in text + done.stdout + done.stderr
    assert 'connect = "mysql:host=db1,db2 dbname=mail user=mail"' in text
    assert "CONCAT('{SHA512}', p.password)" in text
    assert "concat('/srv/', CONCAT({domain}, '/', {local})) AS userdb_home" in text


def test_nothing_is_written_over(make_office):
    office = make_office(start=False)
    before = office.conf.read_bytes()
    source = printed(office, 'mail_location = maildir:/srv/mail/%d/%n\n')
    tried = translate(office, source, '--dry-run')
    assert not (office.dir / 'of-dovecot.conf').exists()
    assert 'mail = "/srv/mail/{domain}/{local}"' in tried.stdout
    # with a configuration the command is for unique ids
    done = office.valija('import', 'dovecot', '--config', source, '-c', office.conf, '--dry-run')
    assert 'origin of unique ids' in done.stdout and office.conf.read_bytes() == before
    assert f'{office.conf} is there, and stays as it is' in done.stdout
    # a secret that is there: nothing of the rest stays
    (office.dir / 'sql2.secret').write_text('mine')
    sql = office.scratch / 'q'
    sql.write_text('driver = pgsql\nconnect = host=a dbname=b password=c\npassword_query = '
                   "SELECT password FROM u WHERE n = '%u'\n")
    source.write_text(f'mail_location = maildir:/srv/mail/%u\npassdb {{\n  driver = sql\n'
                      f'  args = {sql}\n}}\n')
    done = translate(office, source, check=False)
    assert done.returncode == 73 and 'sql2.secret: File exists' in done.stderr, done
    assert (office.dir / 'sql2.secret').read_text() == 'mine'
    assert not (office.dir / 'of-dovecot.conf').exists()


# by https://doc.dovecot.org/2.4.0/: names of settings and sections
FORM_OF_2_4 = '''# 2.4.1 (abc): /etc/dovecot/dovecot.conf
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
auth_allow_cleartext = yes
listen = 192.0.2.1, 2001:db8::1
mail_driver = maildir
mail_home = /srv/mail/%{user | domain}/%{user | username | lower}
mail_path = ~/Maildir
mail_uid = vmail
protocols {
  pop3 = yes
  lmtp = yes
}
passdb passwd-file {
  passwd_file_path = /etc/dovecot/users
}
userdb passwd-file {
  passwd_file_path = /etc/dovecot/users
}
passdb sql {
  passdb_sql_query = SELECT password FROM users WHERE name = '%{user}'
}
sql_driver = pgsql
pgsql localhost {
  parameters {
    dbname = mail
    user = mail
    password = # hidden, use -P to show it
  }
}
quota "User quota" {
  quota_storage_size = 2G
}
service pop3-login {
  inet_listener pop3s {
    listen = 192.0.2.9
    port = 1995
    ssl = yes
  }
}
ssl_server_cert_file = /etc/ssl/mail.pem
ssl_server_key_file = /etc/ssl/mail.key
local_name pop.example.org {
  ssl_server_cert_file = /etc/ssl/pop.pem
  ssl_server_key_file = /etc/ssl/pop.key
}
service lmtp {
  inet_listener lmtp {
    port = 24
  }
}
'''


def test_the_form_of_2_4(make_office):
    office = make_office(start=False)
    source = office.scratch / 'dovecot.txt'
    source.write_text(FORM_OF_2_4)
    done = translate(office, source)
    text = office.conf.read_text()
    for line in ('mail = "/srv/mail/{domain}/{local}/Maildir"', 'users = "/etc/dovecot/users"',
                 'listen = {"192.0.2.1:110", "[2001:db8::1]:110"}',
                 'listen = {"192.0.2.9:1995"}', 'listen = {"192.0.2.1:24", "[2001:db8::1]:24"}',
                 'octets = 2G', 'plain_without_tls = yes', 'certificate = "/etc/ssl/pop.pem"',
                 'tls "pop.example.org"', 'connect = "postgresql:host=localhost dbname=mail '
                 'user=mail"', 'password_file = "/FILL-IN"',
                 'FROM (SELECT password FROM users WHERE name = {user}) p'):
        assert line in text, text
    assert ':26: ' not in done.stdout or 'hidden' in done.stdout
    assert [line for line in lines_to_do(done) if 'the password is hidden' in line], done.stdout


def test_every_setting_is_answered(make_office):
    """With the line of the setting; Debian's own configuration has nothing unknown."""
    office = make_office(start=False)
    source = printed(office, pathlib.Path('/etc/dovecot/dovecot.conf').read_text().replace(
        '!include_try /usr/share', '#').replace('conf.d/', '/etc/dovecot/conf.d/').replace(
            '!include_try local.conf', '') + '''
mail_location = mbox:~/mail:INBOX=/var/mail/%u
pop3_enable_last = yes
no_such_thing_in_plugins = 1
'''.replace('no_such_thing_in_plugins = 1\n', '') + 'plugin {\n  strange = 1\n}\n')
    done = translate(office, source)
    lines = source.read_text().splitlines()
    said = dict(re.findall(r':(\d+): ([^:]*): ', done.stdout))
    assert [name for number, name in said.items()
            if not lines[int(number) - 1].strip().startswith(name.rpartition('/')[2] or name)
            ] == []
    assert 'is not known here: look in' not in done.stdout
    assert 'pop3_enable_last: to do: LAST' in done.stdout
    assert 'plugin/strange: nothing is lost' in done.stdout


@pytest.mark.parametrize('text, words', [
    ('service pop3 {\n', 'it ends within a section'),
    ('}\n', ':1: a section ends that did not begin'),
    ('hello\n', ':1: "hello" is no setting'),
    ('!include conf.d/*.conf\n', 'give what `doveconf -n` prints'),
    ('mail_location = ' + 'x' * (1 << 20) + '\n', ':1: the line has more than'),
    ('a = b\0c\n', ':1: the line has an octet NUL'),
], ids=['unclosed', 'closed', 'word', 'include', 'long', 'nul'])
def test_what_is_no_configuration_is_refused(make_office, text, words):
    office = make_office(start=False)
    source = office.scratch / 'dovecot.txt'
    source.write_text(text)
    done = translate(office, source, check=False)
    assert done.returncode == 65 and words in done.stderr, done
    assert not (office.dir / 'of-dovecot.conf').exists()
