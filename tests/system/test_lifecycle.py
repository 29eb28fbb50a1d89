"""Processes that die, configurations that change, the end: what a site lives through."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import time

import office as post
import pytest
from office import NOBODY, PASSWORD, wait_until
from pop import Closed, Pop, login_within
from wire import wire_form

MAIL = [b'Subject: %d\n\nbody %d\n' % (n, n) for n in range(1, 4)]


def serves_within(office, seconds):
    """Logs in and out again as soon as that works; the seconds it took."""
    begin = time.monotonic()
    while True:
        try:
            with Pop(office.pop3, timeout=2) as client:
                client.ok('USER demo')
                reply = client.ask(f'PASS {PASSWORD}')
                if reply.startswith('+OK'):
                    count = client.stat()[0]
                    client.quit()
                    return count, time.monotonic() - begin
                assert '[AUTH]' not in reply, reply
        except (OSError, Closed, AssertionError) as failure:
            if isinstance(failure, AssertionError) and 'AUTH' in str(failure):
                raise
        assert time.monotonic() - begin < seconds, f'no service within {seconds} s'
        time.sleep(0.02)


def slowness():
    """Sanitized programs start slowly; the promise of a second is for those that people install."""
    return 5 if post.sanitized() else 1


# processes

@pytest.mark.release
@pytest.mark.parametrize('moment', ['idle', 'session', 'deleted'])
def test_threat_39_any_child_may_be_killed_at_any_time(make_office, connect, moment):
    office = make_office()
    office.allow('.')
    office.put_many('demo', MAIL)
    kinds = {line for line in office.children().values()}
    assert len(kinds) >= 3, kinds
    for kind in sorted(kinds):
        pid = next((pid for pid, line in office.children().items() if line == kind), None)
        if pid is None:
            continue
        if moment != 'idle':
            client = login_within(connect, office, 'demo', 5)
            assert client.stat()[0] == 3
            if moment == 'deleted':
                client.ok('DELE 1')
        os.kill(pid, signal.SIGKILL)
        if moment != 'idle':
            client.close()
        count, _ = serves_within(office, slowness() + 2)
        assert count == 3, f'killing {kind} deleted something'
        office.has_files('demo', 3)
        wait_until(lambda: {*office.children().values()} >= kinds - {kind})
    assert office.process.poll() is None


@pytest.mark.figures
def test_service_is_back_within_a_second(make_office, figure):
    office = make_office()
    office.allow('.')
    figures = {}
    for kind in sorted(set(office.children().values())):
        pid = next(pid for pid, line in office.children().items() if line == kind)
        os.kill(pid, signal.SIGKILL)
        figures[kind] = serves_within(office, 3)[1]
        wait_until(lambda: pid not in office.children())
    rounded = {kind: round(seconds, 3) for kind, seconds in figures.items()}
    figure(f'back in service after a kill, seconds: {rounded}')
    assert max(figures.values()) <= 1


def test_a_child_that_keeps_dying_does_not_spin(make_office):
    office = make_office()
    office.allow('.')
    seen = set()
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        for pid, line in office.children().items():
            if 'auth' in line and pid not in seen:
                seen.add(pid)
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    assert 1 <= len(seen) <= 20, f'{len(seen)} starts in 3 s: there is no back-off'
    serves_within(office, 30)


def test_stop_by_sigterm_with_a_session_open(make_office, connect):
    """The session may finish; nothing is deleted by the end itself; new clients are turned away."""
    office = make_office()
    office.put_many('demo', MAIL)
    client = connect(office)
    client.login('demo', PASSWORD)
    client.ok('DELE 1')
    office.process.send_signal(signal.SIGTERM)

    def refused():
        try:
            Pop(office.pop3, timeout=2).close()
            return False
        except (OSError, Closed):
            return True
    wait_until(refused)
    try:
        assert client.retr(2) == wire_form(MAIL[1])
        client.quit()
        left = 2
    except (Closed, OSError, AssertionError):
        left = 3
    office.stop(seconds=60)
    office.start()
    with Pop(office.pop3) as again:
        again.login('demo', PASSWORD)
        assert again.stat()[0] == left


def test_the_monitor_killed_takes_its_children_along(make_office):
    office = make_office()
    children = office.children()
    office.process.kill()
    office.process.wait()
    wait_until(lambda: not [pid for pid in children if post._alive(pid)])
    office.process = None
    office.start()
    serves_within(office, 5)


# configuration

def test_reload_keeps_open_sessions_and_starts_new_ones(make_office, connect):
    office = make_office()
    office.put_many('demo', MAIL)
    old = connect(office)
    old.login('demo', PASSWORD)
    before = set(office.children())
    office.reload()
    office.add_user('second')
    new = connect(office)
    new.login('second', PASSWORD)
    assert set(office.children()) - before
    other = connect(office)
    other.ok('USER demo')
    assert other.ask(f'PASS {PASSWORD}').startswith('-ERR [IN-USE]')  # the old one holds it
    assert old.retr(3) == wire_form(MAIL[2])
    old.ok('DELE 1')
    old.quit()
    assert login_within(connect, office, 'demo').stat()[0] == 2
    new.quit()
    wait_until(lambda: not before & set(office.children()), 20)


def test_old_sessions_end_with_the_drain_time_after_a_reload(make_office, connect):
    office = make_office(settings={'timeouts.drain': '1s'})
    old = connect(office)
    old.login('demo', PASSWORD)
    before = set(office.children())
    office.reload()
    wait_until(lambda: not before & set(office.children()), 20)
    assert old.closed() == b''


@pytest.mark.parametrize('fault', ['nonsense = {', 'no_such_setting = 1',
                                   'timeouts {\n idle = 60\n}'])
def test_a_bad_configuration_changes_nothing_and_says_why(make_office, connect, fault):
    office = make_office()
    good = office.conf.read_text()
    office.conf.write_text(good + '\n' + fault + '\n')
    checked = office.valijad('-t', '-c', office.conf)
    assert checked.returncode == 78, checked  # EX_CONFIG
    assert f'{office.conf.name}:' in checked.stderr, checked.stderr
    office.allow('valija.conf')
    before = set(office.children())
    office.reload(r'valija\.conf:\d+')
    serves_within(office, 5)
    assert set(office.children()) >= before
    office.conf.write_text(good)
    office.reload()
    serves_within(office, 5)


def test_check_and_print_of_the_configuration(make_office):
    office = make_office(start=False)
    assert office.valijad('-t', '-c', office.conf).returncode == 0
    printed = office.valijad('-n', '-c', office.conf)
    assert printed.returncode == 0
    assert str(office.pop3) in printed.stdout


def test_arguments(make_office):
    office = make_office(start=False)
    for option in ('--help', '-h'):
        done = office.valijad(option)
        assert (done.returncode, done.stderr) == (0, '')
        assert done.stdout.startswith('usage: valijad ')
    done = office.valijad('--version')
    assert done.returncode == 0
    assert re.fullmatch(r'valijad \d+\.\d+\.\d+\S*\n', done.stdout)
    for wrong in (['more'], ['-t', '-c', office.conf, 'more'], ['-x'], ['-c'], ['--child', 'more']):
        done = office.valijad(*wrong)
        assert (done.returncode, done.stdout) == (os.EX_USAGE, '')
        assert 'usage: valijad ' in done.stderr
    done = office.valijad('-n', '-c', office.dir / 'nowhere')
    assert done.returncode == os.EX_NOINPUT
    assert done.stderr.startswith('valijad: ')


def test_the_configuration_that_the_environment_names(make_office, monkeypatch):
    office = make_office(start=False)
    monkeypatch.setenv('VALIJA_CONF', str(office.conf))
    assert str(office.pop3) in office.valijad('-n').stdout
    monkeypatch.setenv('VALIJA_CONF', str(office.dir / 'nowhere'))
    assert office.valijad('-n').returncode == os.EX_NOINPUT
    assert str(office.pop3) in office.valijad('-n', '-c', office.conf).stdout


def kill_while_it_starts(office, role, known=()):
    """A child of that role, before it is ready: of auth, which has many users to read."""
    def killed():
        for pid, line in office.children().items():
            if f' {role} ' in line and pid not in known:
                os.kill(pid, signal.SIGKILL)
                return True
        return False
    wait_until(killed)


@pytest.mark.parametrize('reloads', [False, True])
def test_a_child_that_dies_before_it_is_ready(make_office, reloads):
    """The start is over, and so is a reload; the old configuration goes on."""
    office = make_office(start=False)
    office.allow('ended by signal 9', 'is not used, the old one goes on')
    users = office.dir / 'users'
    few, many = users.read_text(), ''.join(f'u{n}:{{PLAIN}}x\n' for n in range(400_000))
    if reloads:
        office.start()
        known = set(office.children())
        users.write_text(few + many)
        office.process.send_signal(signal.SIGHUP)
        kill_while_it_starts(office, 'auth', known)
        office.wait_log('the old one goes on: a process ended while it was starting', 60)
        users.write_text(few)
        assert serves_within(office, 20)
    else:
        users.write_text(few + many)
        office.start(wait=False)
        kill_while_it_starts(office, 'auth')
        assert office.process.wait(60) == 70
        office.reader.join()
        office.process = None


def test_a_bad_configuration_is_named_by_the_print_as_by_the_check(make_office):
    office = make_office(start=False)
    with office.conf.open('a') as conf:
        conf.write('nonsense = 1\n')
    said = [office.valijad(option, '-c', office.conf) for option in ('-t', '-n')]
    for done in said:
        assert done.returncode == 78 and done.stdout == '', done
        assert f'valijad: {office.conf}:' in done.stderr and 'nonsense' in done.stderr


def test_a_missing_configuration_is_named(make_office):
    office = make_office(start=False)
    done = office.valijad('-c', office.dir / 'absent.conf')
    assert done.returncode in (66, 78) and 'absent.conf' in done.stderr


def test_init_never_overwrites(make_office):
    office = make_office(start=False)
    before = {path: path.read_bytes() for path in office.dir.rglob('*') if path.is_file()}
    done = office.valija('init', office.dir, check=False)
    assert done.returncode
    assert {path: path.read_bytes() for path in office.dir.rglob('*') if path.is_file()} == before
    private = [path for path in before if path.name in ('key.pem', 'users')]
    assert len(private) == 2 and not [p for p in private if p.stat().st_mode & 0o007]


def test_a_port_in_use_is_named(make_office):
    one = make_office()
    two = make_office(start=False, ports=(one.pop3, post.free_port(), post.free_port()))
    done = two.valijad('-c', two.conf)
    assert done.returncode and str(one.pop3) in done.stderr


# users

def test_users_are_read_again_when_the_file_changes(make_office, connect):
    office = make_office()
    client = connect(office)
    assert client.ask('USER new') and client.ask(f'PASS {PASSWORD}').startswith('-ERR [AUTH]')
    office.add_user('new')
    login_within(connect, office, 'new').quit()
    office.valija('user', 'passwd', '-c', office.conf, 'new', stdin='changed\n')
    client = connect(office)
    client.ok('USER new')
    assert client.ask(f'PASS {PASSWORD}').startswith('-ERR [AUTH]')
    client.login('new', 'changed')
    client.quit()
    assert 'new' in office.valija('user', 'list', '-c', office.conf).stdout.split()
    office.valija('user', 'del', '-c', office.conf, 'new')
    assert 'new' not in office.valija('user', 'list', '-c', office.conf).stdout.split()
    client = connect(office)
    client.ok('USER new')
    assert client.ask('PASS changed').startswith('-ERR [AUTH]')


def test_a_users_file_that_turns_bad_leaves_the_old_users(make_office, connect):
    office = make_office()
    users = office.dir / 'users'
    good = users.read_text()
    login_within(connect, office, 'demo').quit()
    users.write_text(good + 'no colon here\n')
    office.allow('users')
    login_within(connect, office, 'demo').quit()
    users.write_text(good)
    login_within(connect, office, 'demo').quit()


def test_a_password_is_never_in_the_log(make_office, connect):
    office = make_office()
    office.set('log_level', '"debug"')
    office.reload()
    secret = 'x7-never-in-a-log'
    office.add_user('quiet', secret)
    client = connect(office)
    client.ok('USER quiet')
    client.err(f'PASS {secret}-not')
    client.login('quiet', secret)
    client.quit()
    tls = connect(office, True)
    tls.ok(tls.plain('quiet', secret))
    encoded = tls.plain('quiet', secret).split()[2]
    tls.quit()
    assert secret not in office.log_text() and encoded not in office.log_text()


# privileges

def status_of(pid):
    text = pathlib.Path(f'/proc/{pid}/status').read_text()
    return dict(line.split(':\t', 1) for line in text.splitlines() if ':\t' in line)


def confined(office):
    """Ready is a server whose fronts serve: the process of last logins may still be starting."""
    wait_until(lambda: {status_of(pid)['Seccomp'] for pid in office.children()} == {'2'})


def test_as_root_every_child_has_dropped_what_it_does_not_need(make_office, need_root):
    office = make_office()
    owner = office.mail.stat().st_uid
    assert owner != 0
    users = {}
    confined(office)
    for pid, line in office.children().items():
        status = status_of(pid)
        uids = set(map(int, status['Uid'].split()))
        assert len(uids) == 1, line
        users[line] = uids.pop()
        assert int(status['CapPrm'], 16) == int(status['CapEff'], 16) == 0, line
        assert status['NoNewPrivs'] == '1', line
        assert status['Seccomp'] == '2', line
    assert 0 not in users.values()
    assert len(set(users.values())) >= 3
    assert owner in users.values()


def test_a_front_has_an_empty_root(make_office, need_root):
    office = make_office()
    fronts = [pid for pid, line in office.children().items() if 'front' in line]
    assert fronts
    for pid in fronts:
        assert list(pathlib.Path(f'/proc/{pid}/root/').iterdir()) == []


def test_no_child_is_dumpable(make_office):
    office = make_office()
    # what may not be dumped belongs to root in /proc, whoever runs it
    assert {pathlib.Path(f'/proc/{pid}/mem').stat().st_uid for pid in office.children()} == {0}


def test_without_root_everything_works_and_the_log_says_what_is_missing(make_office, connect,
                                                                        need_root):
    office = make_office(runas=NOBODY)
    office.put_many('demo', MAIL)
    confined(office)
    assert {status_of(pid)['Uid'].split()[0] for pid in office.children()} == {str(NOBODY)}
    assert {status_of(pid)['Seccomp'] for pid in office.children()} == {'2'}
    client = connect(office, True)
    client.login('demo', PASSWORD)
    assert [client.retr(n) for n in (1, 2, 3)] == [wire_form(m) for m in MAIL]
    client.ok('DELE 2')
    client.quit()
    office.has_files('demo', 2)
    assert 'root' in office.log_text()


def test_missing_system_users_are_named_with_the_command_that_makes_them(make_office, need_root):
    office = make_office(start=False)
    office.set('processes.net_user', '"valija-no-such-user"')
    done = office.valijad('-c', office.conf)
    assert done.returncode
    assert 'valija-no-such-user' in done.stderr and 'sysusers' in done.stderr


def test_readiness_is_told_to_the_service_manager(make_office, tmp_path):
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / 'notify'))
    notify.settimeout(30)
    os.environ['NOTIFY_SOCKET'] = str(tmp_path / 'notify')
    try:
        office = make_office()
        assert b'READY=1' in notify.recv(4096)
        serves_within(office, 5)
    finally:
        del os.environ['NOTIFY_SOCKET']
        notify.close()


def test_processes_that_face_no_network_have_none(make_office, need_root):
    office = make_office()
    own = os.readlink('/proc/self/ns/net')
    networks = {line.split()[1]: os.readlink(f'/proc/{pid}/ns/net')
                for pid, line in office.children().items()}
    assert networks['front'] == networks['lmtp'] == own
    if networks['auth'] == own:
        pytest.skip('no right to make a network namespace')
    assert networks['auth'] == networks['keeper'] != own
    auth = next(pid for pid, line in office.children().items() if ' auth ' in line)
    lines = pathlib.Path(f'/proc/{auth}/net/dev').read_text().splitlines()[2:]
    assert [line.split(':')[0].strip() for line in lines] == ['lo']
    office.reload()
    assert serves_within(office, slowness() + 2)


def channels(pid):
    """How many sockets between processes it has: SOCK_SEQPACKET."""
    lines = pathlib.Path('/proc/self/net/unix').read_text().splitlines()[1:]
    ours = {line.split()[6] for line in lines if line.split()[4] == '0005'}
    found = 0
    for fd in pathlib.Path(f'/proc/{pid}/fd').iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            match = re.fullmatch(r'socket:\[(\d+)\]', os.readlink(fd))
            found += bool(match) and match[1] in ours
    return found


def test_processes_have_channels_to_those_they_work_with(make_office, need_root):
    """And to no others: no front could speak to another one."""
    office = make_office(settings={'processes.fronts': 2, 'processes.keepers': 3})
    wanted = {'front': 1 + 1 + 3 + 1,  # the monitor, auth, keepers, keys
              'lmtp': 1 + 1 + 3,       # the same, without keys
              'auth': 1 + 2 + 1 + 3 + 1,  # the monitor, fronts, lmtp, keepers, logins
              'keeper': 1 + 2 + 1 + 1,
              'keys': 1 + 2,
              'logins': 1 + 1}

    def found():
        return [(line.split()[1], channels(pid)) for pid, line in office.children().items()]
    assert {role for role, _ in found()} == set(wanted)
    wait_until(lambda: all(wanted[role] == count for role, count in found()))
    auth = next(pid for pid, line in office.children().items() if ' auth ' in line)
    os.kill(auth, signal.SIGKILL)  # who comes in its place gets the same
    office.allow('ended by signal 9')
    wait_until(lambda: auth not in office.children() and len(found()) == 2 + 1 + 1 + 3 + 1 + 1 and
               all(wanted[role] == count for role, count in found()))
