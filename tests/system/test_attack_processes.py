"""Processes that lose each other, run out of descriptors, or are told to change while they are at
work: every wait ends, and service is whole again without a restart."""
import os
import select
import signal
import subprocess

import pytest

from office import NOBODY, PASSWORD
from wire import wire_form
from pop import TIMEOUT, Closed, Pop, login_within
from test_attack_keeper import the
from test_lifecycle import serves_within, slowness, wait_until

MAIL = b'Subject: one\n\nstill here\n'
LONE = {'processes.fronts': 1, 'processes.keepers': 1, 'limits.connections_per_address': 0}


# channels

def test_threat_27_a_front_that_lost_its_keeper_is_started_anew(make_office, need_root):
    """Both live, but the descriptors of an opened maildrop found no room."""
    office = make_office(settings=LONE, runas=NOBODY)
    office.allow('.')
    office.put('demo', MAIL)
    front = the(office, 'front')
    client = Pop(office.pop3)
    client.ok('USER demo')
    used = max(map(int, os.listdir(f'/proc/{front}/fd'))) + 1
    subprocess.run(['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups',
                    'prlimit', f'--pid={front}', f'--nofile={used}:{used}'], check=True)
    client.send(f'PASS {PASSWORD}\r\n')
    client.closed()
    wait_until(lambda: front not in office.children())
    assert serves_within(office, slowness() + 2)[0] == 1


def test_threat_27_as_many_sessions_as_there_are_descriptors_for(make_office, connect):
    office = make_office(start=False, settings={**LONE, 'processes.owner_keepers': 1})
    office.limit_files = 128
    names = [f'u{n}' for n in range(60)]
    with (office.dir / 'users').open('a') as file:
        file.writelines(f'{name}:{{PLAIN}}{PASSWORD}\n' for name in names)
    for name in names:
        office.put(name, b'Subject: large\n\n' + b'x' * 100_000)
    office.allow('cannot take more connections', 'oo many open files')
    office.start()
    held = 0
    for name in names:
        client = connect(office, greet=False)
        assert client.line().startswith('+OK')
        client.ok(f'USER {name}')
        client.ok(f'PASS {PASSWORD}')
        client.ok('RETR 1')
        held += 1
        if held >= 8:
            client.close()
    assert 'channel to' not in office.log_text()


# waiting

def test_more_logins_at_once_than_credits_and_auth_dies(make_office, connect):
    office = make_office(settings=LONE)
    office.allow('.')
    auth = the(office, 'auth')
    clients = [connect(office) for _ in range(1100)]  # IPC_AUTH_CREDITS and more
    os.kill(auth, signal.SIGSTOP)
    for client in clients:
        client.send(f'USER demo\r\nPASS {PASSWORD}\r\n')
    for client in clients:
        assert client.line().startswith('+OK')  # USER: then the front has seen PASS too
    os.kill(auth, signal.SIGKILL)
    for client in clients:
        assert client.line().startswith('-ERR [SYS/TEMP]')
    wait_until(lambda: any('auth' in line for line in office.children().values()))
    serves_within(office, slowness() + 2)
    for client in clients[:600]:
        client.reset()
    clients[-1].ok('CAPA')
    clients[-1].body()


def test_a_keeper_that_stands_still_stops_its_own_users_only(make_office, connect):
    office = make_office(settings={**LONE, 'processes.keepers': 2}, users=('demo',))
    names = [f'u{n}' for n in range(16)]
    with (office.dir / 'users').open('a') as file:
        file.writelines(f'{name}:{{PLAIN}}{PASSWORD}\n' for name in names)
    keeper = min(pid for pid, line in office.children().items() if 'keeper' in line)
    clients = [connect(office) for _ in names]
    os.kill(keeper, signal.SIGSTOP)
    try:
        for name, client in zip(names, clients):
            client.ok(f'USER {name}')
            client.send(f'PASS {PASSWORD}\r\n')
        sockets = [client.socket for client in clients]
        served = select.select(sockets, [], [], TIMEOUT)[0]
        assert served
        for client in clients:
            if client.socket in served:
                assert client.line().startswith('+OK')
                client.quit()
    finally:
        os.kill(keeper, signal.SIGCONT)
    for client in clients:
        if client.socket not in served:
            assert client.line().startswith('+OK')
            client.quit()


# whose mail

def status_of(office, name):
    return [line.split()[1] for pid in office.children()
            for line in open(f'/proc/{pid}/status') if line.startswith(name + ':')]


def test_mail_of_root_is_kept_without_its_powers(make_office, connect, need_root):
    """docs/decisions/0007: a folder that root made is served, by a keeper that is root in name."""
    office = make_office(users=('demo', 'other'))
    for folder in ('new', 'cur', 'tmp'):
        (office.mail / 'other' / folder).mkdir(parents=True)
    (office.mail / 'other/new/1.made.by.root').write_bytes(MAIL)
    client = login_within(connect, office, 'other')
    assert client.retr(1) == wire_form(MAIL)
    client.ok('DELE 1')
    client.quit()
    assert '0' in status_of(office, 'Uid')
    assert set(status_of(office, 'CapEff')) == {'0' * 16}
    assert set(status_of(office, 'Seccomp')) == {'2'}


def test_a_link_to_files_of_root_starts_no_keeper_of_root(make_office, connect, need_root):
    office = make_office(users=('demo', 'other'))
    office.allow('other')
    (office.mail / 'other').symlink_to('/root')
    client = connect(office, timeout=10)
    client.ok('USER other')
    assert client.ask(f'PASS {PASSWORD}').startswith('-ERR [SYS/')
    assert '0' not in status_of(office, 'Uid')
    login_within(connect, office, 'demo').quit()


# reloads

def test_a_reload_cuts_nobody_who_is_logging_in(make_office, connect):
    office = make_office()
    office.put('demo', MAIL)
    client = connect(office)
    client.ok('USER demo')
    fresh = connect(office)
    office.reload()
    client.ok(f'PASS {PASSWORD}')
    assert client.stat()[0] == 1
    client.quit()
    login_within(lambda *_: fresh, office, 'demo').quit()


def test_a_reload_asked_for_during_another_is_carried_out(make_office):
    office = make_office()
    good = office.conf.read_text()
    office.allow('not used')
    office.process.send_signal(signal.SIGHUP)
    office.wait_log('reloaded|still starting|ready')
    for _ in range(3):
        mark = office.mark()
        office.conf.write_text(good)
        office.process.send_signal(signal.SIGHUP)
        office.conf.write_text(good + '\nno_such_setting = 1\n')
        office.process.send_signal(signal.SIGHUP)
        office.wait_log('not used', since=mark)
    office.conf.write_text(good)
    office.reload()
    serves_within(office, slowness())


def test_a_storm_of_reloads_under_traffic(make_office, connect):
    """Sessions before, during and after; at the end one generation serves."""
    office = make_office(settings={'timeouts.drain': '2m'})  # twenty reloads take a while
    office.put('demo', MAIL)
    with (office.dir / 'users').open('a') as file:
        file.writelines(f'u{n}:{{PLAIN}}{PASSWORD}\n' for n in range(20))
    held = []
    for turn in range(20):
        mark = office.mark()
        office.process.send_signal(signal.SIGHUP)
        client = connect(office)
        client.login(f'u{turn}', PASSWORD)
        held.append(client)
        office.wait_log('reloaded', since=mark)
        with Pop(office.pop3) as short:
            short.login('demo', PASSWORD)
            assert short.stat()[0] == 1
            short.quit()
    alive = 0
    for client in held:
        try:
            client.quit()
            alive += 1
        except (Closed, OSError):
            pass  # more than 32 generations are not kept
    assert alive == 20
    wait_until(lambda: sum('auth' in line for line in office.children().values()) == 1, 20)
    serves_within(office, slowness())


# what the operator is told

@pytest.mark.parametrize('content, status', [(None, 66), (b'demo:{PLAIN}x\nno colon here\n', 78),
                                             (b'\xff\0\n', 78)])
def test_a_users_file_that_cannot_be_used_is_named(make_office, content, status):
    """By the check as by the start, with the same exit code."""
    office = make_office(start=False)
    users = office.dir / 'users'
    users.unlink() if content is None else users.write_bytes(content)
    for arguments in (['-t'], []):
        done = office.valijad(*arguments, '-c', office.conf)
        assert done.returncode == status, done
        assert f'cannot use {users}: ' in done.stderr
