"""The units of the server, as systemd reads them, and the sockets that it passes."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import office as post
import pytest
from office import PASSWORD, wait_until
from pop import Pop

ROOT = pathlib.Path(__file__).resolve().parents[2]


def service(target):
    """The unit with the program of this build, in target."""
    text = (ROOT / 'dist/systemd/valijad.service.in').read_text()
    text = text.replace('@sbindir@/valijad', str(post.program('valijad')))
    text = text.replace('@configuration@', '/etc/valija/valija.conf')
    (target / 'valijad.service').write_text(text)
    shutil.copy(ROOT / 'dist/systemd/valijad.socket', target)
    return target / 'valijad.service'


def analyze(*words):
    if not shutil.which('systemd-analyze'):
        pytest.skip('systemd-analyze is not here')
    done = subprocess.run(['systemd-analyze', *map(str, words)], capture_output=True, text=True,
                          env={**os.environ, 'SYSTEMD_COLORS': '0'}, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize('name', ['valijad.service', 'valijad.socket'])
def test_units_are_understood(tmp_path, name):
    service(tmp_path)
    code, said = analyze('verify', '--man=no', tmp_path / name)
    about = [line for line in said.splitlines() if str(tmp_path) in line]
    assert not about and (code == 0 or 'Failed to' in said), said


def test_the_unit_has_off_what_it_does_not_need(tmp_path):
    code, said = analyze('security', '--offline=yes', '--threshold=32', service(tmp_path))
    if 'unrecognized option' in said:
        pytest.skip('this systemd-analyze does not judge files')
    assert code == 0, said


def test_each_directive_is_set_or_has_its_reason():
    """Of those that systemd.exec(5) calls sandboxing, in this year's version."""
    text = (ROOT / 'dist/systemd/valijad.service.in').read_text()
    names = ('ProtectSystem ProtectHome ReadWritePaths PrivateTmp PrivateDevices PrivateNetwork '
             'PrivateIPC PrivateUsers PrivateMounts ProtectHostname ProtectClock '
             'ProtectKernelTunables ProtectKernelModules ProtectKernelLogs ProtectControlGroups '
             'RestrictAddressFamilies RestrictNamespaces LockPersonality MemoryDenyWriteExecute '
             'RestrictRealtime RestrictSUIDSGID RemoveIPC SystemCallFilter '
             'SystemCallArchitectures NoNewPrivileges CapabilityBoundingSet AmbientCapabilities '
             'UMask KeyringMode ProtectProc ProcSubset DevicePolicy IPAddressDeny SocketBindDeny '
             'NoExecPaths User DynamicUser WatchdogSec NotifyAccess')
    missing = [name for name in names.split() if not re.search(rf'\b{name}=', text)]
    assert not missing


# sockets of a service manager

WRAPPER = '''
import fcntl, os, sys
pid, names, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
given = [int(fd) for fd in sys.argv[4:4 + count]]
high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in given]
for at, fd in enumerate(high):
    os.dup2(fd, 3 + at)
os.environ.update(LISTEN_PID=str(os.getpid()) if pid == 'own' else pid, LISTEN_FDS=str(count),
                  LISTEN_FDNAMES=names)
os.execvp(sys.argv[4 + count], sys.argv[4 + count:])
'''


@pytest.fixture
def manager(make_office, tmp_path):
    """manager(sockets, …): an office to start by start(), with sockets that the test holds, too."""
    opened = []

    def make(sockets, pid='own', names='', **more):
        opened.extend(sockets)
        office = make_office(start=False, **more)
        fds = [each.fileno() for each in sockets]
        office.pass_fds = fds
        office.given = (sys.executable, '-c', WRAPPER, pid, names, str(len(fds)), *map(str, fds))
        return office
    yield make
    for each in opened:
        each.close()


def listening(address=('127.0.0.1', 0), family=socket.AF_INET, kind=socket.SOCK_STREAM):
    made = socket.socket(family, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(address)
    if kind == socket.SOCK_STREAM:
        made.listen(100)
    return made


def logs_in(client):
    client.greeting = client.line()
    client.login('demo', PASSWORD)
    client.quit()


def test_clients_that_came_before_the_start_are_served(manager):
    given = listening()
    office = manager([given], names='mail')
    office.set('pop3.listen', f'{{"127.0.0.1:{given.getsockname()[1]}"}}')
    early = [Pop(given.getsockname()[1], greet=False) for _ in range(3)]
    office.start()
    for client in early:
        logs_in(client)
    late = Pop(given.getsockname()[1], greet=False)
    logs_in(late)


def test_a_socket_outlives_stops_reloads_and_upgrades(manager):
    given = listening()
    port = given.getsockname()[1]
    office = manager([given])
    listen = f'{{"127.0.0.1:{office.pop3}", "127.0.0.1:{port}"}}'
    office.set('pop3.listen', listen)
    office.start()
    logs_in(Pop(port, greet=False))
    office.set('pop3.listen', f'{{"127.0.0.1:{office.pop3}"}}')
    office.reload()
    waits = Pop(port, greet=False)  # nobody serves it now
    waits.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        waits.line()
    waits.socket.settimeout(30)
    office.set('pop3.listen', listen)
    office.reload()
    logs_in(waits)
    office.upgrade()
    logs_in(Pop(port, greet=False))
    office.stop()
    waits = Pop(port, greet=False)
    office.start()
    logs_in(waits)


def test_a_unix_socket_is_found_by_its_path(manager):
    office = manager([])
    path = office.dir / 'lmtp'
    given = listening(str(path), socket.AF_UNIX)
    path.chmod(0o666)
    office.pass_fds = [given.fileno()]
    office.given = (*office.given[:5], '1', str(given.fileno()))
    office.set('lmtp.listen', f'{{"{path}"}}')
    with given:
        inode = path.stat().st_ino
        office.start()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            assert client.recv(100).startswith(b'220 ')
        office.stop()
        assert path.stat().st_ino == inode  # it is the manager's


def test_sockets_of_no_listener_are_named(manager):
    office = manager([listening(), listening(kind=socket.SOCK_DGRAM)], names='other:udp')
    office.start()
    office.wait_log(r'socket 2 \(udp\) of the service manager is no listening stream')
    office.wait_log(r'socket 1 \(other\) of the service manager is none of the listeners')
    with Pop(office.pop3) as client:
        client.login('demo', PASSWORD)


def test_sockets_for_another_process_are_left_alone(manager):
    given = listening()
    office = manager([given], pid='1')
    office.start()
    assert 'service manager' not in office.log_text()


# what the manager is told

def test_the_status_has_figures(make_office, tmp_path, monkeypatch):
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / 'notify'))
    notify.settimeout(30)
    monkeypatch.setenv('NOTIFY_SOCKET', str(tmp_path / 'notify'))
    office = make_office()
    with notify, Pop(office.pop3) as client:
        client.login('demo', PASSWORD)
        deadline = time.monotonic() + 30
        seen = []
        while not any(re.search(r'^STATUS=Serving pop3 .*; 1 session, \d+\.\d logins a second, '
                                r'first certificate until 20\d\d-', text) for text in seen):
            assert time.monotonic() < deadline, seen
            seen.append(notify.recv(4096).decode())
        office.process.send_signal(signal.SIGUSR2)
        while not seen[-1].startswith('RELOADING=1\nMONOTONIC_USEC='):
            seen.append(notify.recv(4096).decode())
        while not seen[-1].startswith('READY=1\nSTATUS=Serving'):
            seen.append(notify.recv(4096).decode())
        office.stop()
        while not seen[-1].startswith('STOPPING=1'):
            seen.append(notify.recv(4096).decode())


# credentials

def test_a_key_that_is_a_credential(make_office, tmp_path, monkeypatch):
    office = make_office(start=False)
    folder = office.scratch / 'credentials'
    folder.mkdir()
    shutil.move(office.dir / 'tls/key.pem', folder / 'pop')
    text = office.conf.read_text()
    assert 'tls/key.pem' in text
    office.conf.write_text(re.sub(r'"?[^"\s]*tls/key\.pem"?', '"credential:pop"', text))
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode == 78 and 'credential:pop: the service manager gives no' in done.stderr
    office.add_user('other')  # commands need no key
    monkeypatch.setenv('CREDENTIALS_DIRECTORY', str(folder))
    office.start()
    from pop import client_context
    with Pop(office.pop3s, client_context(str(office.cert))) as client:
        client.login('demo', PASSWORD)
    office.upgrade()
    with Pop(office.pop3s, client_context(str(office.cert))) as client:
        client.login('demo', PASSWORD)
    wait_until(lambda: office.process.poll() is None)


@pytest.mark.parametrize('name', ['../key', '', 'none', 'a/b'])
def test_a_credential_that_is_none(make_office, monkeypatch, name):
    office = make_office(start=False)
    monkeypatch.setenv('CREDENTIALS_DIRECTORY', str(office.scratch))
    text = office.conf.read_text()
    office.conf.write_text(re.sub(r'"?[^"\s]*tls/key\.pem"?', f'"credential:{name}"', text))
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode in (66, 78), done
    assert 'credential' in done.stderr or 'none' in done.stderr
