"""App passwords: made and shown once, good beside the main password or instead of it, and what the
server lets them do. The file is changed by `valija user app` while the server runs."""
import json
import pathlib
import re
import sys
import time

import pytest

import office as post
from office import PASSWORD, wait_until

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / 'stand_ins')]

from web_page import WebPage  # noqa: E402

SHOWN = re.compile(r'^([a-z2-7]{4}-){6}[a-z2-7]{4}$')


def app(office, *args, **more):
    return office.valija('user', 'app', args[0], '-c', office.conf, *args[1:], **more)


def make(office, name='demo', label='phone', *options):
    password = app(office, 'add', name, '--label', label, *options).stdout.strip()
    assert SHOWN.match(password)
    return password


def login(office, connect, password, name='demo'):
    client = connect(office)
    client.ok(f'USER {name}')
    return client, client.ask(f'PASS {password}')


def opened(office, connect, password, name='demo'):
    """A client that is logged in."""
    client, line = login(office, connect, password, name)
    assert line.startswith('+OK'), line
    return client


def works(office, connect, password, name='demo'):
    opened(office, connect, password, name).quit()


def refused(office, connect, password, name='demo'):
    return login(office, connect, password, name)[1].startswith('-ERR [AUTH]')


def check(office):
    return office.valijad('-t', '-c', office.conf)


def app_file(office):
    return office.dir / 'app-passwords'


def users_file(office):
    return office.dir / 'users'


def logged(office, pattern):
    return wait_until(lambda: re.search(pattern, office.log_text()))


# what it is good for

def test_it_logs_in_beside_the_main_password(office, connect):
    password = make(office)
    works(office, connect, password)
    assert logged(office, r'login from=\S+ session=\S+ .*user="demo" label="phone"')
    for typed in (password.upper(), password.replace('-', ''), password.replace('-', ' ')):
        works(office, connect, typed, 'DEMO')
    works(office, connect, PASSWORD)


def test_it_logs_in_by_sasl_plain(office, connect):
    password = make(office)
    client = connect(office)
    client.ok(client.plain('demo', password))
    client.quit()


def test_it_is_one_user_s(make_office, connect):
    office = make_office(users=('demo', 'bert'))
    password = make(office)
    assert refused(office, connect, password, 'bert')
    assert refused(office, connect, password, 'nobody')
    # nor does its line, copied to another user
    path = app_file(office)
    line = re.search(r'^demo:.*$', path.read_text(), re.M)[0]
    path.write_text(path.read_text() + line.replace('demo', 'bert') + '\n')
    assert refused(office, connect, password, 'bert')


def test_a_name_without_its_domain(make_office, connect):
    office = make_office(settings={'login.realm': '"office.test"'}, users=('anna@office.test',))
    password = make(office, 'anna@office.test')
    works(office, connect, password, 'Anna')


def test_wrong_ones_are_refused_with_the_same_words(office, connect):
    password = make(office)
    wrong = ('a' if password[0] != 'a' else 'b') + password[1:]
    lines = {login(office, connect, wrong)[1], login(office, connect, wrong, 'nobody')[1],
             login(office, connect, 'another form')[1]}
    assert len(lines) == 1 and lines.pop().startswith('-ERR [AUTH]')


def test_a_user_of_a_database_that_judges_passwords_itself(make_office, connect):
    if not post.program('valija-lookup-http').exists():
        pytest.skip('built without valija-lookup-http')
    office = make_office(start=False)
    (office.scratch / 'page').mkdir(mode=0o755)
    socket = office.scratch / 'page' / 'socket'
    kinds = []

    def answer(request):
        question = json.loads(request.body)
        kinds.append(question['kind'])
        if question['names'][0] != 'carla':
            return 200, {'status': 'unknown'}
        if question['kind'] == 'verify' and question['password'] != 'sesame':
            return 200, {'status': 'wrong'}
        return 200, {'version': 1, 'status': 'found', 'matched': 0, 'fields': {'home': 'carla'}}

    with WebPage(answer, socket=socket):
        socket.chmod(0o666)
        with office.conf.open('a') as file:
            file.write(f'\ndatabase "people" {{\n\tdriver = http\n\tsocket = "{socket}"\n}}\n')
        office.start()
        password = make(office, 'carla')
        works(office, connect, password, 'carla')
        works(office, connect, password, 'Carla')
        assert kinds == ['find']  # never with the app password; then from memory
        works(office, connect, 'sesame', 'carla')
        assert kinds == ['find', 'verify']  # what is remembered of the entry proves no password
        works(office, connect, password, 'carla')
        assert refused(office, connect, 'sesam', 'carla')
        assert kinds == ['find', 'verify', 'verify']
        app(office, 'revoke', 'carla', '--all')
        assert refused(office, connect, password, 'carla')  # the database judges it now
        assert refused(office, connect, password, 'nobody')
        assert kinds[3:] == ['verify', 'verify']
        office.stop()


# what ends it

def test_a_revoked_one_is_refused_at_once_and_others_are_not(office, connect):
    phone, tablet = make(office), make(office, 'demo', 'tablet')
    said = app(office, 'list', 'demo').stdout
    assert re.search(r'^phone created=\S+Z\ntablet created=\S+Z\n$', said)
    app(office, 'revoke', 'demo', '--label', 'phone')
    assert refused(office, connect, phone)
    works(office, connect, tablet)
    app(office, 'revoke', 'Demo', '--all')
    assert refused(office, connect, tablet)
    assert app(office, 'list', 'demo').stdout == ''
    # what is not there cannot be revoked
    assert app(office, 'revoke', 'demo', '--label', 'phone', check=False).returncode == 67


def test_an_expired_one_is_refused(office, connect):
    password = make(office, 'demo', 'brief', '--expires', '1h')
    works(office, connect, password)
    path = app_file(office)
    path.write_text(re.sub(r'expires=\d+', f'expires={int(time.time()) - 1}', path.read_text()))
    assert refused(office, connect, password)
    assert logged(office, 'the app password brief has expired')
    assert ' expired=' in app(office, 'list', 'demo').stdout


def test_it_is_good_from_its_networks_only(office, connect):
    here = make(office, 'demo', 'here', '--networks', '2001:db8::/32, 127.0.0.0/8')
    there = make(office, 'demo', 'there', '--networks', '192.0.2.0/24')
    works(office, connect, here)
    assert refused(office, connect, there)
    assert logged(office, 'not from a network of the app password')


def test_threat_95_a_name_that_is_used_again_inherits_none(office, connect):
    password = make(office)
    office.valija('user', 'del', '-c', office.conf, 'demo')
    assert app(office, 'list', 'demo').stdout == ''
    office.add_user('demo')
    assert refused(office, connect, password)
    # nor where the line was taken out of the users file by hand
    password = make(office)
    users_file(office).write_text('')
    done = office.valija('user', 'add', '-c', office.conf, 'demo', stdin=PASSWORD + '\n')
    assert '1 app password' in done.stderr
    assert refused(office, connect, password)


@pytest.mark.parametrize('line, may', [('demo:!', False), ('demo:*', True),
                                       ('demo:{PLAIN}x::::::nologin', False)])
def test_a_locked_user_has_no_app_password_either(office, connect, line, may):
    password = make(office)
    users_file(office).write_text(line + '\n')
    client, answer = login(office, connect, password)
    assert answer.startswith('+OK' if may else '-ERR [AUTH]')


# no deletions

def test_threat_94_one_without_deletions_keeps_everything_and_says_so(office, connect):
    password = make(office, 'demo', 'helpdesk', '--expires', '1h', '--no-delete')
    office.put_many('demo', [b'Subject: one\n\none\n', b'Subject: two\n\ntwo\n'])
    client = opened(office, connect, password)
    client.ok('RETR 1')
    client.body()
    client.ok('DELE 1')
    assert client.quit() == '+OK nothing was deleted: this password may not delete'
    assert logged(office, r'login .*label="helpdesk" deletes="no"')
    assert logged(office, r'deletions-kept session=\S+ user="demo".* label="helpdesk" dele=1')
    assert logged(office, r'session-end .* dele=0 .*left=2')
    client = opened(office, connect, PASSWORD)
    assert client.stat()[0] == 2
    client.ok('DELE 1')  # another password deletes as always
    client.quit()
    client = opened(office, connect, PASSWORD)
    assert client.stat()[0] == 1
    client.quit()


# the setting

def test_only_app_passwords_closes_the_others(make_office, connect):
    office = make_office(settings={'login.app_passwords': 'only', 'login.apop': 'yes'})
    users_file(office).write_text(f'demo:{{PLAIN}}{PASSWORD}\n')
    password = make(office)
    assert refused(office, connect, PASSWORD)
    client = connect(office)
    assert '<' not in client.greeting  # no stamp: no APOP
    assert 'SCRAM' not in ' '.join(client.lines('CAPA'))
    client.err('AUTH SCRAM-SHA-256 biwsbj1kZW1vLHI9MDEyMw==')
    works(office, connect, password)


def test_scram_is_not_offered_where_there_are_app_passwords(office, connect):
    users_file(office).write_text(f'demo:{{PLAIN}}{PASSWORD}\n')

    def offered():
        client = connect(office)
        capabilities = ' '.join(client.lines('CAPA'))
        client.quit()
        return 'SCRAM-SHA-256' in capabilities
    assert wait_until(offered)
    make(office)
    assert wait_until(lambda: not offered())


# the file

def test_threat_93_a_file_that_is_bad_leaves_the_old_one_in_force(office, connect):
    password = make(office)
    works(office, connect, password)
    path = app_file(office)
    good = path.read_text()
    for bad in (good + 'demo:bad:line\n', good[:-1], '', good.replace('key ', 'key x'),
                good[:-1] + ' only_on_sundays\n'):
        office.allow(r'app-passwords.*stay in force')
        path.write_text(bad)
        works(office, connect, password)
    assert logged(office, r'app-passwords:\d+: .*stay in force')
    path.write_text(good.replace('key ', 'key x'))
    done = check(office)
    assert done.returncode == 78 and 'app-passwords' in done.stderr
    # nothing is changed in a bad file
    assert app(office, 'add', 'demo', '--label', 'more', check=False).returncode == 78
    path.unlink()
    assert refused(office, connect, password)
    path.write_text(good)
    works(office, connect, password)


def test_the_file_holds_no_password_and_has_the_users_file_s_rights(office):
    password = make(office)
    path = app_file(office)
    assert password.replace('-', '') not in path.read_text().replace('-', '')
    ours, users = path.stat(), users_file(office).stat()
    assert (ours.st_uid, ours.st_gid) == (users.st_uid, users.st_gid)
    assert ours.st_mode & 0o7777 == users.st_mode & 0o740


@pytest.mark.parametrize('args', [
    ('add', 'demo'), ('add', '--label', 'x'), ('revoke', 'demo'), ('list',),
    ('revoke', 'demo', '--label', 'x', '--all'), ('list', 'demo', '--no-delete'),
    ('add', 'demo', '--label', 'a b'), ('add', 'demo', '--label', '-x'),
    ('add', 'demo', '--label', 'x', '--expires', '90'),
    ('add', 'demo', '--label', 'x', '--expires', '0d'),
    ('add', 'demo', '--label', 'x', '--networks', 'home')])
def test_wrong_uses_change_nothing(office, args):
    assert app(office, *args, check=False).returncode == 64
    assert not app_file(office).exists()


def test_a_user_who_is_not_there_gets_none(office):
    assert app(office, 'add', 'nobody', '--label', 'x', check=False).returncode == 67
    make(office)
    assert app(office, 'add', 'demo', '--label', 'phone', check=False).returncode == 73
