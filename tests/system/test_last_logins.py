"""Last logins: what a real valijad writes down, what survives an end and a damaged file, and what
`valija user` makes of it."""
import contextlib
import datetime
import json
import os
import pathlib
import signal

from office import PASSWORD, Office, owner_of, wait_until
from pop import Pop
from sasl_socket import Asker


def crc32c(data):
    crc = 0xffffffff
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def days_ago(number):
    now = datetime.datetime.now(datetime.timezone.utc).date()
    return str(now - datetime.timedelta(number))


def line(day, service, label, name):
    text = f'{day} {service} {label} {name}'
    return f'{crc32c(text.encode()):08x} {text}\n'


def folder(office):
    return next(office.state.glob('last-logins-*'))


def rows(office):
    """[(day, service, label, name)]; each line is whole and has a right checksum."""
    path, found = folder(office) / 'last', []
    for text in path.read_text().splitlines() if path.exists() else ():
        checksum, rest = text.split(' ', 1)
        assert checksum == f'{crc32c(rest.encode()):08x}'
        found.append(tuple(rest.split(' ')))
    return found


def logins(office):
    return sorted(row[1:] for row in rows(office) if row[1] in ('pop3', 'sasl'))


def login(office, name, password=PASSWORD):
    with Pop(office.pop3) as client:
        client.ok(f'USER {name}')
        client.ok(f'PASS {password}')
        client.ok('QUIT')


def has(office, *wanted):
    wait_until(lambda: logins(office) == sorted(wanted))


def leave(office, text):
    """Starts the server where the file is this, as an earlier process left it."""
    office.stop()
    path = folder(office) / 'last'
    path.write_text(text)
    os.chown(path, *owner_of(folder(office)))
    office.start()


def processes(office):
    """The pids of the processes that write."""
    found = []
    for pid in office.children():
        with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
            if pathlib.Path(f'/proc/{pid}/comm').read_text().strip() == 'logins0':
                found.append(pid)
    return found


def process(office):
    [pid] = processes(office)
    return pid


# what the server writes

def test_one_line_a_user_and_day(office):
    today = days_ago(0)
    office.add_user('bert')
    login(office, 'demo')
    login(office, 'bert')
    login(office, 'demo')
    has(office, ('pop3', '-', 'demo'), ('pop3', '-', 'bert'))
    assert rows(office)[0][1:] == ('since', '-', 'all')
    assert {row[0] for row in rows(office)} <= {today, days_ago(0)}


def test_a_wrong_password_is_no_login(office):
    with Pop(office.pop3) as client:
        client.ok('USER demo')
        assert client.ask('PASS wrong').startswith('-ERR')
    login(office, 'demo')
    has(office, ('pop3', '-', 'demo'))


def test_an_app_password_has_its_own_line(office):
    password = office.valija('user', 'app', 'add', '-c', office.conf, 'demo', '--label',
                             'phone').stdout.strip()
    login(office, 'demo', password)
    login(office, 'demo')
    has(office, ('pop3', '-', 'demo'), ('pop3', 'phone', 'demo'))


def test_a_login_at_an_mta_has_its_own_line(make_office):
    office = make_office(start=False)
    office.set('sasl.listen', f'"{office.scratch}/auth"')
    office.start()
    with Asker(office.scratch / 'auth') as asker:
        for number in (1, 2):
            asker.plain(number)
            assert asker.line().startswith(f'OK\t{number}')
    has(office, ('sasl', '-', 'demo'))
    login(office, 'demo')
    has(office, ('sasl', '-', 'demo'), ('pop3', '-', 'demo'))


def test_the_file_outlives_a_restart_and_is_compacted(office):
    login(office, 'demo')
    has(office, ('pop3', '-', 'demo'))
    office.restart()
    login(office, 'demo')
    has(office, ('pop3', '-', 'demo'), ('pop3', '-', 'demo'))
    office.restart()
    has(office, ('pop3', '-', 'demo'))


def test_threat_110_a_torn_line_joins_no_other(office):
    leave(office, line(days_ago(3), 'pop3', '-', 'bert') + 'garbage\n' +
                    line(days_ago(2), 'pop3', '-', 'demo')[:-9])
    wait_until(lambda: 'garbage' not in (folder(office) / 'last').read_text())
    login(office, 'demo')
    has(office, ('pop3', '-', 'demo'), ('pop3', '-', 'bert'))


def test_threat_110_without_its_process_logins_go_on(office):
    office.allow(r'logins 0 ')
    os.kill(process(office), signal.SIGKILL)
    login(office, 'demo')
    office.wait_log(r'logins 0')
    wait_until(lambda: processes(office))
    office.add_user('bert')
    wait_until(lambda: login(office, 'bert') or logins(office))


def test_a_reload_keeps_writing(office):
    login(office, 'demo')
    has(office, ('pop3', '-', 'demo'))
    office.reload()
    office.add_user('bert')
    login(office, 'bert')
    wait_until(lambda: ('pop3', '-', 'bert') in logins(office))


def test_the_setting_leaves_it_out():
    with Office({'login.last_logins': 'no'}) as office:
        login(office, 'demo')
        assert not processes(office)
        assert not list(office.state.glob('last-logins-*'))


def test_the_folder_belongs_to_its_process_alone(office):
    status = folder(office).stat()
    assert status.st_mode & 0o777 == 0o700
    login(office, 'demo')
    has(office, ('pop3', '-', 'demo'))
    assert (folder(office) / 'last').stat().st_mode & 0o777 == 0o600
    if os.geteuid() == 0:
        assert status.st_uid != 0
        assert f'{status.st_uid}' in (
            open(f'/proc/{process(office)}/status').read().split('Uid:')[1].split())


# what the command line makes of it

def user(office, *args, **more):
    return office.valija('user', args[0], '-c', office.conf, *args[1:], **more)


def unused(office, days='180d'):
    done = user(office, 'list', '--unused', days)
    return done.stdout.splitlines(), done.stderr


def test_the_users_who_did_not_log_in(make_office):
    office = make_office(users=('anna', 'bert', 'carla', 'demo', 'eve'), start=False)
    office.start()
    leave(office, line(days_ago(400), 'since', '-', 'all')
          + line(days_ago(200), 'pop3', '-', 'anna') + line(days_ago(200), 'pop3', '-', 'bert')
          + line(days_ago(179), 'sasl', 'phone', 'bert') + line(days_ago(180), 'pop3', '-', 'demo')
          + line(days_ago(181), 'pop3', '-', 'carla') + line(days_ago(300), 'sasl', '-', 'carla'))
    names, said = unused(office)
    assert names == [f'anna {days_ago(200)}', f'carla {days_ago(181)}', 'eve never']
    assert said == ''
    login(office, 'carla')
    wait_until(lambda: unused(office)[0] == [f'anna {days_ago(200)}', 'eve never'])
    assert user(office, 'list').stdout.split() == ['anna', 'bert', 'carla', 'demo', 'eve']


def test_never_is_not_more_than_is_known(office):
    login(office, 'demo')
    office.add_user('bert')
    has(office, ('pop3', '-', 'demo'))
    names, said = unused(office, '30d')
    assert names == ['bert never']
    assert f'since {rows(office)[0][0]} only' in said
    office.set('login.last_logins', 'no')
    office.stop()
    for path in folder(office).iterdir():
        path.unlink()
    assert 'says nothing' in unused(office, '30d')[1]


def test_the_list_as_json(make_office):
    office = make_office(users=('anna', 'bert'), start=False)
    with (office.dir / 'users').open('ab') as file:
        file.write('\u00e4nne:{PLAIN}x\n'.encode() + b'"b\\\xff:{PLAIN}x\n')
    office.start()
    login(office, 'anna')
    has(office, ('pop3', '-', 'anna'))
    listed = [json.loads(text) for text in user(office, 'list', '--json').stdout.splitlines()]
    assert listed == [{'name': 'anna', 'database': None, 'last_login': rows(office)[-1][0]},
                      {'name': 'bert', 'database': None, 'last_login': None},
                      {'name': '\u00e4nne', 'database': None, 'last_login': None},
                      {'name': '"b\\\ufffd', 'database': None, 'last_login': None}]


def test_days_are_days(office):
    for wrong in ('180', '0d', 'd', '-1d', '99999d', '1h'):
        assert user(office, 'list', '--unused', wrong, check=False).returncode == 64


def test_show_has_the_last_login(office):
    assert 'last login: none is known' in user(office, 'show', 'demo').stdout
    login(office, 'demo')
    has(office, ('pop3', '-', 'demo'))
    assert f'last login: {rows(office)[-1][0]}\n' in user(office, 'show', 'DEMO').stdout


def app(office, *args):
    return office.valija('user', 'app', args[0], '-c', office.conf, *args[1:]).stdout


def test_app_list_has_the_last_use(office):
    phone = app(office, 'add', 'demo', '--label', 'phone').strip()
    app(office, 'add', 'demo', '--label', 'desk')
    login(office, 'demo', phone)
    has(office, ('pop3', 'phone', 'demo'))
    today = rows(office)[-1][0]
    used = {text.split()[0]: f'used={today}' in text for text in
            app(office, 'list', 'demo').splitlines()}
    assert used == {'phone': True, 'desk': False}


def test_a_label_used_again_inherits_no_use_and_the_user_keeps_the_login(office):
    phone = app(office, 'add', 'demo', '--label', 'phone').strip()
    login(office, 'demo', phone)
    has(office, ('pop3', 'phone', 'demo'))
    app(office, 'revoke', 'demo', '--label', 'phone')
    app(office, 'add', 'demo', '--label', 'phone')
    assert 'used=' not in app(office, 'list', 'demo')
    assert 'none is known' not in user(office, 'show', 'demo').stdout
    office.restart()  # which compacts
    has(office, ('pop3', '-', 'demo'))
    assert 'none is known' not in user(office, 'show', 'demo').stdout


def test_a_name_used_again_inherits_no_login(office):
    """While the server runs and appends, and after a compaction."""
    office.add_user('bert')
    login(office, 'demo')
    login(office, 'bert')
    has(office, ('pop3', '-', 'demo'), ('pop3', '-', 'bert'))
    user(office, 'del', 'demo')
    office.add_user('demo')
    assert 'none is known' in user(office, 'show', 'demo').stdout
    assert 'none is known' not in user(office, 'show', 'bert').stdout
    office.restart()
    has(office, ('pop3', '-', 'bert'))
    login(office, 'demo')
    wait_until(lambda: 'none is known' not in user(office, 'show', 'demo').stdout)


def test_a_user_taken_out_by_hand_leaves_nothing_to_the_next(office):
    login(office, 'demo')
    has(office, ('pop3', '-', 'demo'))
    (office.dir / 'users').write_text('bert:{PLAIN}x\n')
    user(office, 'add', 'demo', '--scheme', 'PLAIN', stdin=PASSWORD + '\n')
    assert 'none is known' in user(office, 'show', 'demo').stdout
