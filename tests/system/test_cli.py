"""valija init and valija user: what they make, what they refuse, exit codes of sysexits."""
import subprocess

import pytest
from office import NOBODY, PASSWORD
from pop import login_within

EX_USAGE, EX_DATAERR, EX_NOUSER, EX_CANTCREAT, EX_TEMPFAIL = 64, 65, 67, 73, 75
EX_NOPERM, EX_CONFIG = 77, 78


@pytest.fixture
def still(make_office):
    """An office that is not started."""
    return make_office(start=False, users=())


def names(office):
    return office.valija('user', 'list', '-c', office.conf).stdout.split()


def user(office, *args, stdin=PASSWORD + '\n', check=False):
    return office.valija('user', args[0], '-c', office.conf, *args[1:], stdin=stdin, check=check)


def test_init_makes_what_it_says(still):
    assert {path.name for path in still.dir.iterdir()} == {'valija.conf', 'users', 'tls', 'mail'}
    assert {path.name for path in (still.dir / 'tls').iterdir()} == {'cert.pem', 'key.pem'}
    assert still.valijad('-t', '-c', still.conf).returncode == 0


@pytest.mark.parametrize('there', ['nothing', 'empty', 'marked'])
def test_init_with_mail_elsewhere(still, there):
    """It serves what is there; a mark that is there stays."""
    mail, new = still.dir / 'disk', still.dir / 'new'
    if there != 'nothing':
        mail.mkdir()
    if there == 'marked':
        assert still.valija('mark', mail).returncode == 0
        (mail / 'anna').mkdir()
    mark = (mail / '.valija-root').read_bytes() if there == 'marked' else None
    still.valija('init', new, '--mail', mail, check=True)
    assert f'"{mail}"' in (new / 'valija.conf').read_text()
    assert not (new / 'mail').exists()
    assert mark in (None, (mail / '.valija-root').read_bytes())
    done = still.valijad('-t', '-c', new / 'valija.conf')
    assert done.returncode == 0, done.stderr


def test_init_with_the_homes_of_system_users(still):
    """Nothing in the folder of homes is touched; it gets the mark, once."""
    homes, new = still.dir / 'homes', still.dir / 'new'
    (homes / 'berta').mkdir(parents=True)
    done = still.valija('init', new, '--homes', homes, '--metrics', '127.0.0.1:9415',
                        '--control', 'control', check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in homes.iterdir()} == {'berta', '.valija-root'}
    shown = still.valijad('-n', '-c', new / 'valija.conf').stdout
    assert f'mail = {{"mail", "{homes}"}}' in shown
    text = (new / 'valija.conf').read_text()
    assert 'socket = {"control"}' in text and 'metrics = {"127.0.0.1:9415"}' in shown
    assert text.count('database "people" {\n\tdriver = system\n}\n') == 1
    mark = (homes / '.valija-root').read_bytes()
    again = still.valija('init', still.dir / 'second', '--homes', homes, check=False)
    assert again.returncode == 0 and (homes / '.valija-root').read_bytes() == mark


@pytest.mark.parametrize('wrong, code', [
    (('--homes', 'no-such-folder'), EX_CANTCREAT), (('--homes', '/dev/null'), EX_CANTCREAT),
    (('--metrics', 'nonsense'), EX_USAGE), (('--metrics', '127.0.0.1:1110'), EX_USAGE),
    (('--control', '127.0.0.1:99'), EX_USAGE)])
def test_init_that_cannot_serve_homes_leaves_nothing(still, wrong, code):
    mail, new = still.dir / 'disk', still.dir / 'new'
    done = still.valija('init', new, '--mail', mail, *wrong, check=False)
    assert done.returncode == code and done.stderr, done.stderr
    assert not new.exists() and not mail.exists()


def test_init_with_the_mailboxes_of_system_users(still):
    """All mail is there: nothing of it changes, nor whose it is, and no other folder is made."""
    spool, new = still.dir / 'spool', still.dir / 'new'
    spool.mkdir()
    (spool / 'berta').write_bytes(b'From a@b.c Mon Jan  1 00:00:00 2024\nSubject: hi\n\nhi\n\n')
    before = (spool / 'berta').read_bytes(), spool.stat().st_uid, spool.stat().st_mode
    done = still.valija('init', new, '--spool', spool, check=False)
    assert done.returncode == 0, done.stderr
    assert before == ((spool / 'berta').read_bytes(), spool.stat().st_uid, spool.stat().st_mode)
    assert {path.name for path in spool.iterdir()} == {'berta', '.valija-root', '.valija-store'}
    assert (spool / '.valija-store').read_text() == 'mbox\n' and not (new / 'mail').exists()
    text = (new / 'valija.conf').read_text()
    assert f'mail = "{spool}/{{local}}"' in text
    assert text.count('database "people" {\n\tdriver = system\n}\n') == 1
    shown = still.valijad('-t', '-c', new / 'valija.conf')
    assert shown.returncode == 0, shown.stderr
    mark = (spool / '.valija-root').read_bytes()
    again = still.valija('init', still.dir / 'second', '--spool', spool, check=False)
    assert again.returncode == 0 and (spool / '.valija-root').read_bytes() == mark


@pytest.mark.parametrize('words, code, said', [
    (('--spool', 'missing'), EX_CANTCREAT, 'missing'),
    (('--spool', 'maildirs'), EX_CANTCREAT, 'has Maildirs'),
    (('--spool', 'spool', '--homes', 'spool'), EX_USAGE, 'neither'),
    (('--spool', 'spool', '--mail', 'spool'), EX_USAGE, 'neither')])
def test_init_with_no_folder_of_mailboxes_makes_nothing(still, words, code, said):
    for name in ('spool', 'maildirs'):
        (still.dir / name).mkdir()
    (still.dir / 'maildirs/.valija-store').write_text('maildir\n')
    before = sorted(still.dir.rglob('*'))
    words = [word if word[0] == '-' else still.dir / word for word in words]
    done = still.valija('init', still.dir / 'new', *words, check=False)
    assert done.returncode == code and said in done.stderr, done.stderr
    assert sorted(still.dir.rglob('*')) == before


def test_init_takes_no_folder_that_may_be_another(still):
    mail, new = still.dir / 'disk', still.dir / 'new'
    (mail / 'photos').mkdir(parents=True)
    done = still.valija('init', new, '--mail', mail, check=False)
    assert done.returncode == EX_CANTCREAT
    assert str(mail) in done.stderr and 'not empty' in done.stderr and 'valija mark' in done.stderr
    assert not new.exists() and [path.name for path in mail.iterdir()] == ['photos']


def test_init_that_fails_leaves_no_mail_folder(still):
    mail, new = still.dir / 'disk', still.dir / 'new'
    new.mkdir()
    (new / 'users').touch()
    done = still.valija('init', new, '--mail', mail, check=False)
    assert done.returncode == EX_CANTCREAT and 'users' in done.stderr
    assert not mail.exists()
    done = still.valija('init', still.dir / 'other', '--mail', still.dir / 'no' / 'folder',
                        check=False)
    assert done.returncode == EX_CANTCREAT and not (still.dir / 'other').exists()


def test_users_come_and_go(still):
    for name in ('anna', 'bert', 'carla@example.org'):
        assert user(still, 'add', name).returncode == 0
    assert names(still) == ['anna', 'bert', 'carla@example.org']
    assert user(still, 'del', 'bert').returncode == 0
    assert names(still) == ['anna', 'carla@example.org']


def test_a_user_is_added_once(still):
    user(still, 'add', 'anna', check=True)
    before = (still.dir / 'users').read_bytes()
    done = user(still, 'add', 'anna', stdin='other\n')
    assert done.returncode == EX_CANTCREAT and 'anna' in done.stderr
    assert (still.dir / 'users').read_bytes() == before


# the maildrop of a user who is added

def folders(office, name):
    return sorted(path.name for path in (office.mail / name).iterdir())


def registers(office):
    return [path.stat().st_size // 16 - 1 for path in office.state.glob('mail-register-*')]


def test_a_user_is_added_with_a_maildrop(still, connect):
    """Of the owner of the mail, and known: it is missing if it is not there, though nobody ever
    used it."""
    done = user(still, 'add', 'anna', check=True)
    assert f'{still.mail}/anna' in done.stdout and not done.stderr
    assert folders(still, 'anna') == ['cur', 'new', 'tmp', 'valija-lock']
    root = still.mail.stat()
    for path in (still.mail / 'anna', *(still.mail / 'anna').iterdir()):
        assert (path.stat().st_uid, path.stat().st_gid) == (root.st_uid, root.st_gid)
    assert registers(still) == [2]  # that it is being made, that it was made
    (still.mail / 'anna').rename(still.mail / '.anna')
    user(still, 'add', 'bert', check=True)
    still.start()
    still.allow('it is not there, but it was before')
    for name, answer in (('anna', '-ERR [SYS/TEMP]'), ('bert', '+OK 0 ')):
        client = connect(still)
        client.ok(f'USER {name}')
        assert client.ask(f'PASS {PASSWORD}').startswith(answer)


@pytest.mark.parametrize('why', ['no mark', 'no folder', 'missing'])
def test_a_user_is_added_without_a_maildrop(still, why):
    """The user is added all the same, and the reason is said with what to type."""
    if why == 'no mark':
        (still.mail / '.valija-root').unlink()
        words = f'valija mark {still.mail}'
    elif why == 'no folder':
        still.mail.rename(still.dir / 'moved')
        words = str(still.mail)
    else:
        for verb in ('add', 'del'):
            user(still, verb, 'anna', check=True)
        (still.mail / 'anna').rename(still.mail / '.anna')
        words = f'valija mark --forget anna {still.mail}'
    before = sorted(still.dir.rglob('*')), sorted(still.state.iterdir())
    done = user(still, 'add', 'anna', check=True)
    assert 'the first delivery does that' in done.stderr and words in done.stderr
    assert names(still) == ['anna']
    assert (sorted(still.dir.rglob('*')), sorted(still.state.iterdir())) == before


def test_a_maildrop_is_made_by_hand(still):
    still.add_user('Anna')
    assert not (still.mail / 'Anna').exists()
    for _ in range(2):  # one that is there stays
        assert f'{still.mail}/Anna' in user(still, 'make', 'anna', check=True).stdout
        assert folders(still, 'Anna') == ['cur', 'new', 'tmp', 'valija-lock']
        assert registers(still) == [2]
    assert user(still, 'make', 'bert').returncode == EX_NOUSER
    (still.mail / 'Anna').rename(still.mail / '.Anna')
    done = user(still, 'make', 'anna')
    assert done.returncode == EX_TEMPFAIL and 'valija mark --forget' in done.stderr
    assert user(still, 'make', 'anna', '--scheme', 'PLAIN').returncode == EX_USAGE


def test_a_maildrop_is_not_made_by_a_stranger(still, need_root):
    if still.mail.stat().st_uid == NOBODY:
        pytest.skip('the mail is nobody\'s')
    still.add_user('anna')
    (still.dir / 'users').chmod(0o644)
    still.mail.chmod(0o755)
    done = subprocess.run(['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups',
                           still.bin / 'valija', 'user', 'make', '-c', still.conf, 'anna'],
                          capture_output=True, text=True, env=still.environment(), cwd='/')
    assert done.returncode == EX_NOPERM and 'as root' in done.stderr, done
    assert not (still.mail / 'anna').exists() and registers(still) == []


@pytest.mark.parametrize('there, added', [('Carol@Example.ORG', 'carol@example.org'),
                                          ('anna', 'ANNA'), ('Dave', 'dave')])
def test_a_user_is_added_once_in_whatever_case(still, there, added):
    user(still, 'add', there, check=True)
    before = (still.dir / 'users').read_bytes()
    done = user(still, 'add', added)
    assert done.returncode == EX_CANTCREAT and there in done.stderr and 'case' in done.stderr
    assert (still.dir / 'users').read_bytes() == before


def test_users_are_found_in_every_case_and_called_as_they_are(still):
    user(still, 'add', 'Dave', check=True)
    user(still, 'add', 'anna', check=True)
    assert user(still, 'passwd', 'DAVE', '--scheme', 'PLAIN').stdout.startswith('Dave ')
    assert f'Dave:{{PLAIN}}{PASSWORD}' in (still.dir / 'users').read_text()
    done = user(still, 'del', 'dave')
    assert done.returncode == 0 and f'{still.mail}/Dave ' in done.stdout
    assert names(still) == ['anna']


@pytest.mark.parametrize('name', ['a@b..c', 'a@', 'a@example.org.', '\udce9mile', '\ufeffanna'])
def test_a_name_that_gets_no_mail_is_not_added(still, name):
    before = (still.dir / 'users').read_bytes()
    done = user(still, 'add', name)
    assert done.returncode == EX_DATAERR and 'name' in done.stderr
    assert (still.dir / 'users').read_bytes() == before


@pytest.mark.parametrize('command', ['del', 'passwd'])
def test_an_unknown_user_is_named(still, command):
    done = user(still, command, 'nobody-here')
    assert done.returncode == EX_NOUSER and 'nobody-here' in done.stderr


@pytest.mark.parametrize('name', ['', '.', '..', 'a/b', '../x', '-x', 'a:b', 'a\nb', 'x' * 300,
                                  '.x', '#x'])
def test_names_that_cannot_be_are_refused(still, name):
    before = (still.dir / 'users').read_bytes()
    assert user(still, 'add', '--', name).returncode in (EX_USAGE, EX_DATAERR)
    assert (still.dir / 'users').read_bytes() == before


def test_an_unknown_scheme_is_refused_and_the_known_are_named(still):
    done = user(still, 'add', 'anna', '--scheme', 'ROT13')
    assert done.returncode == EX_USAGE and 'ROT13' in done.stderr
    assert names(still) == []
    assert 'YESCRYPT' in still.valija('user', check=False).stderr


def test_no_password_is_no_user(still):
    assert user(still, 'add', 'anna', stdin='').returncode
    assert names(still) == []


def test_the_usual_scheme_is_slow_to_guess_and_the_file_is_private(still):
    user(still, 'add', 'anna', check=True)
    path = still.dir / 'users'
    line = path.read_text().splitlines()[-1]
    assert line.startswith(('anna:{YESCRYPT}$y$', 'anna:{CRYPT}$y$'))
    assert PASSWORD not in line
    assert path.stat().st_mode & 0o007 == 0


def test_comments_and_other_lines_stay_as_they_are(still):
    path = still.dir / 'users'
    path.write_text('# ours\n\nanna:{PLAIN}x::::::quota_octets=5M\n# end\n')
    user(still, 'add', 'bert', '--scheme', 'PLAIN', check=True)
    user(still, 'passwd', 'anna', '--scheme', 'PLAIN', check=True)
    user(still, 'del', 'bert', check=True)
    assert path.read_text() == ('# ours\n\nanna:{PLAIN}' + PASSWORD +
                                '::::::quota_octets=5M\n# end\n')


def test_a_line_brought_from_dovecot_serves(make_office, connect):
    office = make_office(users=())
    with (office.dir / 'users').open('a') as file:
        file.write(f'dora:{{PLAIN}}{PASSWORD}:5000:5000::/var/mail/dora::userdb_quota=x\n'
                   f'emil:{{PLAIN}}{PASSWORD}:::Emil Example::\n')
    login_within(connect, office, 'emil').quit()


@pytest.mark.parametrize('args', [(), ('nonsense',), ('user',), ('user', 'nonsense'), ('init',),
                                  ('fetch', '--nonsense')])
def test_wrong_usage_is_64(still, args):
    done = still.valija(*args, check=False)
    assert done.returncode == EX_USAGE and done.stderr


def test_a_configuration_that_is_not_there(still):
    done = still.valija('user', 'list', '-c', still.dir / 'absent.conf', check=False)
    assert done.returncode in (66, EX_CONFIG) and 'absent.conf' in done.stderr
