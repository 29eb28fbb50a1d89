"""Listening sockets: addresses of both families, and sockets that another process shuts, steers or
removes while they are served."""
import ctypes
import os
import pathlib
import signal
import socket
import stat
import subprocess

import pytest

from lmtp import Lmtp
from office import NOBODY, PASSWORD, wait_until
from pop import Pop, client_context

MAIL = b'From: a@example.org\r\n\r\nhello\r\n'
SYS_PIDFD_GETFD = 438
SO_ATTACH_REUSEPORT_CBPF = 51
SERVICES = ('pop3', 'pop3s', 'lmtp', 'path')


def copies_of_listeners(pid):
    """Duplicates of all listening sockets of a process, as one who owns it could use them."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    found = []
    for name in os.listdir(f'/proc/{pid}/fd'):
        if not os.readlink(f'/proc/{pid}/fd/{name}').startswith('socket:'):
            continue
        fd = libc.syscall(SYS_PIDFD_GETFD, pidfd, int(name), 0)
        assert fd >= 0, os.strerror(ctypes.get_errno())
        copy = socket.socket(fileno=fd)
        if copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            found.append(copy)
        else:
            copy.close()
    os.close(pidfd)
    return found


def place_of(office, service):
    return office.dir / 'lmtp.sock' if service == 'path' else getattr(office, service)


def greet(office, service, host='127.0.0.1'):
    """A greeting of the service, or an OSError."""
    if service == 'pop3':
        return Pop(office.pop3, host=host)
    if service == 'pop3s':
        return Pop(office.pop3s, client_context(str(office.cert)), host=host)
    return Lmtp(place_of(office, service))


def serves(office, service):
    try:
        greet(office, service).close()
    except (OSError, EOFError):
        return False
    return True


def listens_at(copy, office, service):
    name = copy.getsockname()
    place = place_of(office, service)
    return name == str(place) if service == 'path' else not isinstance(name, str) and \
        name[1] == place


def fronts(office):
    return [pid for pid, line in office.children().items() if ': front' in line or
            ': lmtp' in line]


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf('SC_CLK_TCK')


def with_path(office):
    office.set('lmtp.listen', f'{{"127.0.0.1:{office.lmtp}", "{office.dir}/lmtp.sock"}}')
    return office.start()


@pytest.mark.parametrize('how', [socket.SHUT_RD, socket.SHUT_RDWR])
@pytest.mark.parametrize('service', SERVICES)
def test_threat_60_a_listener_that_was_shut_is_opened_anew(make_office, need_root, service, how):
    office = with_path(make_office(start=False))
    office.allow('was shut')
    before = fronts(office)
    copies = copies_of_listeners(office.process.pid)
    shut = [copy for copy in copies if listens_at(copy, office, service)]
    assert shut
    for copy in shut:
        copy.shutdown(how)
    office.wait_log('listening socket of .* was shut by another process')
    assert wait_until(lambda: all(serves(office, service) for _ in range(8)))
    for other in SERVICES:
        assert serves(office, other)
    assert sorted(fronts(office)) == sorted(before), 'fronts were restarted'
    used = cpu_seconds(before)
    with pytest.raises(subprocess.TimeoutExpired):  # an idle second
        office.process.wait(1)
    assert cpu_seconds(before) - used < 0.3, 'a front spins'
    for copy in copies:
        copy.close()


def test_threat_60_a_listener_shut_again_and_again(make_office, need_root):
    """Each death is mended, none more than once a second, and the log stays short."""
    office = make_office()
    office.allow('was shut')
    for _ in range(3):
        mark = office.mark()
        for copy in copies_of_listeners(office.process.pid):
            if listens_at(copy, office, 'pop3s'):
                copy.shutdown(socket.SHUT_RDWR)
            copy.close()
        office.wait_log('a new socket listens', since=mark)
        assert wait_until(lambda: serves(office, 'pop3s'))
    assert len(office.log) < 100


@pytest.mark.parametrize('event', ['reload', 'a front dies'])
@pytest.mark.parametrize('runas', [None, NOBODY])
def test_threat_60_what_no_front_reports_is_mended(make_office, need_root, event, runas):
    """The fronts stand still, as they could if they were owned."""
    office = make_office(runas=runas)
    office.allow('was shut', 'ended by signal')
    still = fronts(office)
    for pid in still:
        os.kill(pid, signal.SIGSTOP)
    for copy in copies_of_listeners(office.process.pid):
        if listens_at(copy, office, 'pop3'):
            copy.shutdown(socket.SHUT_RD)
        copy.close()
    if event == 'reload':
        office.reload()
    else:
        os.kill(still[0], signal.SIGKILL)
    office.wait_log('a new socket listens')
    for pid in still[event != 'reload':]:
        os.kill(pid, signal.SIGCONT)
    assert wait_until(lambda: all(serves(office, 'pop3') for _ in range(8)))


def test_threat_60_listeners_cannot_be_steered(make_office, need_root):
    office = with_path(make_office(start=False))
    program = (ctypes.c_uint64 * 1)(0x0000000100000006)  # "return 1"
    held = ctypes.c_void_p(ctypes.addressof(program))
    option = bytes(ctypes.c_uint16(1)) + bytes(6) + bytes(held)
    copies = copies_of_listeners(office.process.pid)
    assert copies
    for copy in copies:
        for name in (SO_ATTACH_REUSEPORT_CBPF, 26):  # SO_ATTACH_FILTER
            with pytest.raises(PermissionError):
                copy.setsockopt(socket.SOL_SOCKET, name, option)
        with pytest.raises(PermissionError):
            copy.setsockopt(socket.SOL_SOCKET, 44, 0)  # SO_LOCK_FILTER
        copy.close()


def is_six_here():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(('::1', 0))
    except OSError:
        return False
    return True


need_six = pytest.mark.skipif(not is_six_here(), reason='no IPv6 here')


def listen(office, *hosts):
    for service in ('pop3', 'pop3s', 'lmtp'):
        port = getattr(office, service)
        office.set(f'{service}.listen', '{' + ', '.join(f'"{h}:{port}"' for h in hosts) + '}')


def check_both(office, hosts=('127.0.0.1', '::1')):
    for host in hosts:
        for service in ('pop3', 'pop3s'):
            with greet(office, service, host) as client:
                client.login('demo', PASSWORD)
                client.quit()
        with socket.create_connection((host, office.lmtp), 10) as client:
            assert client.recv(3) == b'220'


@need_six
@pytest.mark.parametrize('hosts', [('[::]',), ('[::]', '0.0.0.0'), ('0.0.0.0', '[::]'),
                                   ('[::]', '127.0.0.1'), ('[::1]', '127.0.0.1')])
def test_every_address_takes_both_families(make_office, hosts):
    office = make_office(start=False)
    listen(office, *hosts)
    office.start()
    check_both(office)
    assert wait_until(lambda: 'from=127.0.0.1' in office.log_text())
    assert '::ffff' not in office.log_text()


@need_six
def test_a_mapped_address_has_the_rights_and_limits_of_ipv4(make_office):
    """Clear text from 127.0.0.1 is let in, and each IPv4 address has a count of its own."""
    office = make_office(start=False)
    listen(office, '[::]')
    office.set('limits.connections_per_address', 3)
    office.start()
    clients = [Pop(office.pop3, source='127.0.0.5') for _ in range(3)]
    clients[0].login('demo', PASSWORD)
    with Pop(office.pop3, source='127.0.0.5', greet=False) as extra:
        assert extra.line().startswith('-ERR')
    with Pop(office.pop3, source='127.0.0.6') as other:
        other.err('PASS before user')
        other.ok('USER demo')
        other.err('PASS wrong')
    for client in clients:
        client.close()
    assert wait_until(lambda: 'from=127.0.0.6' in office.log_text())
    assert '::ffff' not in office.log_text()


@need_six
def test_a_reload_changes_the_families_of_a_port(make_office):
    office = make_office(start=False)
    listen(office, '[::]')
    office.start()
    for hosts, reached in ((('0.0.0.0',), ['127.0.0.1']), (('[::]',), ['127.0.0.1', '::1']),
                           (('[::]', '0.0.0.0'), ['127.0.0.1', '::1']), (('[::1]',), ['::1']),
                           (('[::]',), ['127.0.0.1', '::1'])):
        listen(office, *hosts)
        before = set(fronts(office))
        office.reload()
        # the sockets of the old form are open until the last of its fronts has gone
        assert wait_until(lambda old=before: not old & set(fronts(office)))
        for _ in range(3):
            check_both(office, reached)
        for host in {'127.0.0.1', '::1'} - set(reached):
            with pytest.raises(ConnectionRefusedError):
                greet(office, 'pop3', host)


def test_a_second_server_on_the_port_is_refused(make_office):
    """Also where the first listens in another form of the address."""
    first = make_office()
    second = make_office(start=False)
    second.set('pop3.listen', f'{{"0.0.0.0:{first.pop3}"}}')
    done = second.start(wait=False)
    done.process.wait(20)
    assert done.process.returncode != 0 and wait_until(lambda: 'in use' in done.log_text())
    done.stop(check=False)
    assert serves(first, 'pop3')


def path_office(make_office):
    office = make_office(start=False)
    office.set('lmtp.listen', f'{{"{office.dir}/lmtp.sock"}}')
    return office


@pytest.mark.parametrize('mask', [0, 0o022, 0o077])
def test_threat_65_a_socket_is_born_with_its_mode(make_office, mask):
    office = path_office(make_office)
    before = os.umask(mask)
    try:
        office.start()
    finally:
        os.umask(before)
    status = (office.dir / 'lmtp.sock').stat()
    assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o666
    assert serves(office, 'path')
    office.stop()
    assert not (office.dir / 'lmtp.sock').exists()


@pytest.mark.parametrize('kind', ['file', 'link', 'socket'])
def test_threat_65_what_took_the_name_of_a_socket_stays(make_office, kind):
    office = path_office(make_office).start()
    path, other = office.dir / 'lmtp.sock', office.dir / 'other'
    other.write_text('not yours')
    path.unlink()
    if kind == 'file':
        path.write_text('not yours')
    elif kind == 'link':
        path.symlink_to(other)
    else:
        foreign = socket.socket(socket.AF_UNIX)
        foreign.bind(str(path))
    office.stop()
    assert path.is_symlink() if kind == 'link' else path.exists()
    assert other.read_text() == 'not yours'


def test_threat_65_no_change_of_mode_by_name(make_office):
    """The folder is watched while the socket is made: it is created, its mode is never set."""
    office = path_office(make_office)
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    attributes, created = 0x4, 0x100
    assert libc.inotify_add_watch(watch, bytes(office.dir), attributes | created) >= 0
    office.start()
    octets, seen = os.read(watch, 65536), set()
    os.close(watch)
    while octets:
        mask, size = (int.from_bytes(octets[at:at + 4], 'little') for at in (4, 12))
        seen.add((octets[16:16 + size].rstrip(b'\0'), mask))
        octets = octets[16 + size:]
    assert (b'lmtp.sock', created) in seen and (b'lmtp.sock', attributes) not in seen


def test_threat_65_a_stale_socket_is_replaced_and_a_link_is_not_followed(make_office):
    office = path_office(make_office)
    path, other = office.dir / 'lmtp.sock', office.dir / 'other.sock'
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    office.own(path)
    office.start()
    assert serves(office, 'path')
    office.stop()
    with socket.socket(socket.AF_UNIX) as served:
        served.bind(str(other))
        served.listen()
        path.symlink_to(other)
        office.start(wait=False)
        assert office.process.wait(20) != 0
        assert wait_until(lambda: 'is not a socket' in office.log_text())
        office.stop(check=False)
    assert path.is_symlink() and other.exists()


@pytest.mark.parametrize('mask', [0, 0o022, 0o077])
def test_threat_65_init_sets_modes_whatever_the_umask(make_office, mask):
    before = os.umask(mask)
    try:
        office = make_office(start=False)
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((office.dir / name).stat().st_mode)
             for name in ('mail', 'tls', 'users', 'tls/key.pem', 'tls/cert.pem')}
    assert modes == {'mail': 0o711, 'tls': 0o755, 'users': 0o640, 'tls/key.pem': 0o600,
                     'tls/cert.pem': 0o644}
