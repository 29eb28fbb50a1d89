"""`valija migrate` where only the old server knows the passwords (credentials = same, learn): it
judges each login, what it accepts is learned, and mail moves with that. The old server is a second
valijad, whose maildrop one session has at a time."""
import subprocess

import pytest

from office import dead_port, wait_until
from pop import Pop
from test_migrate import has_switched, mail_of, migrate, session
from test_migrate_follow import Follower
from test_remote import MESSAGES, THERE, add_remote_user, section

NEW = 'a new one: of 2026'


@pytest.fixture
def upstream(make_office):
    """The old server: anna and bert have the password THERE, anna has MESSAGES."""
    other = make_office(start=False, users=(), hostname='other.test')
    for name in ('anna', 'bert'):
        other._add_line(f'{name}:{{PLAIN}}{THERE}\n')
    other.put_many('anna', MESSAGES)
    return other.start()


@pytest.fixture
def site(make_office):
    """site(port of the old server): the server that the mail of anna and bert moves to."""
    def make(port, start=True, **more):
        office = make_office(start=False, users=())
        office.key = office.scratch / 'old.key'
        office.valija('migrate', '--make-key', office.key)
        settings = {'learn': f'{office.key}.learn', **more}
        with office.conf.open('a') as conf:
            conf.write(section(port, credentials='same',
                               **{key: value for key, value in settings.items() if value}))
            conf.write(f'\ncontrol {{\n\tsocket = "{office.scratch}/control"\n}}\n')
        for name in ('anna', 'bert'):
            add_remote_user(office, name, 'migrate=old', secret='')
        return office.start() if start else office
    return make


def learned_file(office):
    return next(office.state.glob('last-logins-*')) / 'passwords'


def lines(office):
    file = learned_file(office)
    return file.read_text().splitlines() if file.exists() else []


def learn(office, user='anna', password=THERE):
    """Logs in, and waits for the line."""
    before = len(lines(office))
    with session(office, user, password) as client:
        client.quit()
    wait_until(lambda: len(lines(office)) > before)


def refused(office, user='anna', password=THERE):
    with Pop(office.pop3) as client:
        client.ok(f'USER {user}')
        answer = client.ask(f'PASS {password}')
    assert answer.startswith('-ERR')
    return answer


def test_mail_moves_with_a_password_that_was_learned(upstream, site):
    before = mail_of(upstream, 'anna', THERE)
    office = site(upstream.pop3)
    said = migrate(office, good=(75,))
    assert 'anna: has not logged in yet: the password is learned at the first login' in said
    assert '1 users wait for a later call' in said and 'failed' not in said
    assert not (office.mail / 'anna').exists()
    assert '[AUTH]' in refused(office, password='wrong')
    learn(office, 'bert')
    assert len(lines(office)) == 1  # the wrong one is not among them
    assert 'has not logged in yet' in migrate(office, good=(75,))
    learn(office)
    assert mail_of(office, password=THERE) == before
    assert 'anna: 3 messages: the mail is here' in migrate(office)
    assert has_switched(office)
    assert THERE not in learned_file(office).read_text()
    assert learned_file(office).stat().st_mode & 0o777 == 0o600


def test_a_password_is_written_down_once(upstream, site):
    office = site(upstream.pop3)
    learn(office)
    with session(office, 'anna', THERE) as client:
        client.quit()
    learn(office, 'bert')
    assert len(lines(office)) == 2


def test_after_the_switch_sessions_are_here_and_that_server_still_judges(upstream, site):
    office = site(upstream.pop3)
    learn(office)
    migrate(office)
    with session(office, 'anna', THERE) as client:
        client.ok('DELE 1')
        # what was opened there is closed again: another session gets it
        wait_until(lambda: len(mail_of(upstream, 'anna', THERE)) == 3)
        client.quit()
    assert len(mail_of(office, password=THERE)) == 2
    assert len(mail_of(upstream, 'anna', THERE)) == 3  # nothing was deleted there
    assert '[AUTH]' in refused(office, password='wrong')
    upstream.stop()
    office.allow('is down', 'cannot connect', 'login-failed', 'maildrop-failed')
    assert '[SYS/TEMP]' in refused(office)


def test_a_client_that_leaves_at_once_leaves_nothing_open(upstream, site):
    office = site(upstream.pop3)
    learn(office)
    migrate(office)
    for _ in range(10):
        client = Pop(office.pop3)
        client.ok('USER anna')
        client.send(f'PASS {THERE}')
        client.close()
    wait_until(lambda: may_log_in(upstream))
    wait_until(lambda: may_log_in(office))


def may_log_in(office, password=THERE, user='anna'):
    with Pop(office.pop3) as client:
        client.ok(f'USER {user}')
        return client.ask(f'PASS {password}').startswith('+OK')


def test_a_changed_password_is_learned_anew(upstream, site):
    office = site(upstream.pop3)
    learn(office)
    upstream.valija('user', 'passwd', '-c', upstream.conf, 'anna', stdin=NEW + '\n')
    assert 'the other server refuses the login' in migrate(office, good=(75,))
    wait_until(lambda: may_log_in(upstream, NEW))
    assert '[AUTH]' in refused(office)
    learn(office, password=NEW)
    migrate(office)
    assert has_switched(office)


def passwords(office, *args, good=(0,)):
    done = office.valija('migrate', '-c', office.conf, '--passwords', *args, check=False)
    assert done.returncode in good, (done.stdout, done.stderr)
    return done.stdout, done.stderr


def test_learned_passwords_become_a_users_file(upstream, site):
    before = mail_of(upstream, 'anna', THERE)
    office = site(upstream.pop3)
    learn(office)
    out, said = passwords(office, '--user', 'anna', good=(75,))
    assert out == '' and 'anna: the mail is not here yet' in said
    migrate(office)
    out, said = passwords(office, '--all', good=(75,))
    assert 'bert: ' in said and 'anna' not in said  # he never logged in
    assert out.startswith('anna:{YESCRYPT}') and out.count('\n') == 1
    learn(office, 'bert')
    migrate(office, '--user', 'bert')
    upstream.stop()
    out, said = passwords(office, '--all')
    assert said == '' and sorted(line.split(':')[0] for line in out.splitlines()) == [
        'anna', 'bert']
    (office.dir / 'users').write_text(out)
    office.reload()
    assert mail_of(office, password=THERE) == before
    assert '[AUTH]' in refused(office, password='wrong')


def test_a_login_while_mail_is_copied(upstream, site):
    """The old server has one session at a time, and that is the copying's."""
    office = site(upstream.pop3)
    learn(office)
    copying = subprocess.Popen(
        office._command(office.bin / 'valija', 'migrate', '-c', office.conf, '--user', 'anna',
                        '--wait', '0', '--rate', '20'),
        env=office.environment(), cwd='/', stdout=subprocess.PIPE, text=True)
    wait_until((office.mail / 'anna/valija-migrating/.begun').exists)
    with session(office, 'anna', THERE) as client:
        assert len(client.uidl()) == 3
        assert 'a client wants the maildrop' in copying.communicate(timeout=60)[0]
        assert copying.returncode == 75
        client.quit()
    migrate(office)
    assert len(mail_of(office, password=THERE)) == 3


def test_followed_it_waits_for_the_first_login_in_silence(upstream, site):
    """Users of a pass: bert, who was never here, is behind one of whom something is said."""
    office = site(upstream.pop3)
    add_remote_user(office, 'zoe', 'migrate=old', secret='')
    upstream._add_line(f'zoe:{{PLAIN}}{THERE}\n')
    wait_until(lambda: may_log_in(upstream, user='zoe'))
    learn(office)
    learn(office, 'zoe')
    with Follower(office, '--jobs', '1') as follower:
        follower.wait('the mail is here', 2)
        assert 'bert' not in follower.text()
    assert has_switched(office) and not (office.mail / 'bert').exists()


def test_without_the_private_key_nothing_moves(upstream, site):
    office = site(upstream.pop3)
    learn(office)
    kept = office.key.rename(office.scratch / 'kept')
    assert f'{office.key}, the key that opens learned passwords' in migrate(office, good=(75,))
    office.valija('migrate', '--make-key', office.scratch / 'other')
    (office.scratch / 'other').rename(office.key)
    assert 'cannot be opened with' in migrate(office, good=(75,))
    kept.rename(office.key)
    office.key.chmod(0o640)
    assert 'chmod 600' in migrate(office, good=(75,))
    office.key.chmod(0o600)
    migrate(office)


def test_threat_159_a_damaged_or_moved_line_is_nothing(upstream, site):
    office = site(upstream.pop3)
    learn(office)
    learn(office, 'bert')
    file = learned_file(office)
    annas, berts = lines(office)
    moved = annas.replace(' anna ', ' bert ').split(' ', 1)[1]
    for text in ('', annas[:-1], annas.replace(' anna ', ' anno ') + '\n', 'x' * 5000 + '\n',
                 f'{annas[9:]}\n', '\0\xff\n'):
        file.write_text(text)
        assert 'has not logged in yet' in migrate(office, good=(75,)), text
    # anna's password for bert, with a checksum that is right
    file.write_text(checked(office, moved) + '\n')
    assert 'cannot be opened with' in migrate_bert(office)
    file.write_text(f'{annas}\n{berts[:40]}')  # a power cut
    migrate(office)


def migrate_bert(office):
    done = office.valija('migrate', '-c', office.conf, '--wait', '0', '--user', 'bert', check=False)
    assert done.returncode == 75
    return done.stdout


def checked(office, words):
    """With the checksum of such a line: CRC-32C."""
    crc = 0xffffffff
    for octet in words.encode():
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return f'{crc ^ 0xffffffff:08x} {words}'


def test_lines_of_the_file_have_the_checksum_that_is_made_here(upstream, site):
    """Or the test above would try nothing."""
    office = site(upstream.pop3)
    learn(office)
    line = lines(office)[0]
    assert checked(office, line.split(' ', 1)[1]) == line


def test_without_learn_it_is_refused(site):
    office = site(dead_port(), learn=None)
    said = migrate(office, good=(75,))
    assert 'valija migrate --make-key FILE' in said and 'learn = "FILE.learn"' in said
    refused(office)


def test_a_key_that_is_none_is_refused_at_the_start(site):
    office = site(dead_port(), start=False)
    (office.scratch / 'old.key.learn').write_text('nonsense\n')
    office.allow('no key of valija migrate --make-key')
    done = office.valijad('-c', office.conf)
    assert done.returncode == 65 and 'old.key.learn: no key of valija migrate' in done.stderr
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode == 65 and 'remote "old": learn: no key of valija' in done.stderr


def test_a_key_is_not_written_over(make_office):
    office = make_office(start=False)
    key = office.scratch / 'k'
    office.valija('migrate', '--make-key', key)
    before = key.read_text()
    for name in (key, f'{key}.learn'):
        assert (office.scratch / name).stat().st_mode & 0o777 == 0o600
    done = office.valija('migrate', '--make-key', key, check=False)
    assert done.returncode and 'cannot be made' in done.stderr
    assert key.read_text() == before
