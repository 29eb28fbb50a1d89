"""Messages on their way out: lent or by value as their filesystem allows, octet by octet; what
others change meanwhile; a filesystem that never answers."""
import os
import re
import ssl
import subprocess

import pytest
from fuse_file import Served
from office import PASSWORD, owner_of, wait_until
from pop import Closed, Pop, client_context
from wire import top_of, wire_form

CUT = (Closed, ConnectionError, ssl.SSLError)


def message(size, crlf, dots=False):
    """Lines of all lengths; no line is like another, so that octets in a wrong place are seen."""
    end = b'\r\n' if crlf else b'\n'
    lines, total, n = [b'Subject: large' + end + end], 0, 0
    while total < size:
        lines.append((b'.' if dots and n % 7 == 0 else b'') + b'%09d ' % n + b'x' * (n % 70) + end)
        total += len(lines[-1])
        n += 1
    return b''.join(lines)


@pytest.fixture
def on(need_root):
    """on(KIND, PATH): the folder PATH, which is empty, on a filesystem of that kind."""
    def put_on(kind, path):
        status = os.stat(path)
        options = []
        if kind == 'overlay':
            # above a folder of the same disk; overlayfs has no reading without waiting
            parts = [path.parent.parent / f'overlay-{part}' for part in ('lower', 'upper', 'work')]
            for part in parts:
                part.mkdir()
            options = ['-o', 'lowerdir={},upperdir={},workdir={}'.format(*parts)]
        done = subprocess.run(['mount', '-t', kind, *options, 'test', path], capture_output=True)
        if done.returncode:
            pytest.skip(f'no {kind} can be mounted here')
        mounted.append(path)
        os.chown(path, status.st_uid, status.st_gid)
        os.chmod(path, 0o700)

    mounted = []
    yield put_on
    for path in mounted:
        subprocess.run(['umount', '-l', path], check=True)


def dial(office, tls):
    client = Pop(office.pop3s, tls=client_context()) if tls else Pop(office.pop3)
    client.login('demo', PASSWORD)
    return client


def retr(client, number):
    """As Pop.retr, in a time that grows with the message only."""
    client.ok(f'RETR {number}')
    octets = bytearray(client.buffer)
    while not octets.endswith(b'\r\n.\r\n'):
        client.buffer = b''
        client.more()
        octets += client.buffer
    client.buffer = bytes(octets)
    return client.body()


def take_all(office, mail):
    wire = [wire_form(stored) for stored in mail]
    for tls in (False, True):
        client = dial(office, tls)
        assert client.list() == {n: len(octets) for n, octets in enumerate(wire, 1)}
        assert len(set(client.uidl().values())) == len(mail)
        for n, octets in enumerate(wire, 1):
            assert retr(client, n) == octets
            assert client.top(n, 3) == top_of(octets, 3)
        client.quit()


@pytest.mark.parametrize('kind', ['disk', 'tmpfs', 'overlay'])
def test_every_octet_by_every_way(request, make_office, kind):
    """disk: lent; tmpfs: lent as memory; overlay: index copied, messages in slices."""
    office = make_office()
    if kind != 'disk':
        place = office.mail / 'demo'
        place.mkdir(mode=0o700)
        office.own(place)
        request.getfixturevalue('on')(kind, place)
    mail = [message(size, crlf, dots) for size, crlf, dots in (
        (5_000_000, True, False), (5_000_000, False, True), (100_000, True, False),
        (100_000, True, True), (65_537, False, False), (32_769, False, False), (100, False, False))]
    office.put_many('demo', mail)
    take_all(office, mail)
    if kind == 'overlay':
        client = dial(office, False)
        assert lent_files(office) == []
        client.ok('DELE 1')
        client.quit()
        office.has_files('demo', len(mail) - 1)
        take_all(office, mail[1:])


def lent_files(office):
    """The files of the mail that a front has open."""
    found = []
    for pid, line in office.children().items():
        if 'front' not in line:
            continue
        for name in os.listdir(f'/proc/{pid}/fd'):
            try:
                target = os.readlink(f'/proc/{pid}/fd/{name}')
            except FileNotFoundError:
                continue
            found += [target] if str(office.mail) in target else []
    return found


# what changes while it is stored, or while it is read

def change_zeros(octets):
    at = len(octets) // 2 // 4096 * 4096
    return octets[:at] + b'\0' * 4096 + octets[at + 4096:]


def change_more_lines(octets):
    return octets.replace(b'x' * 60, b'x' * 29 + b'\n' + b'x' * 30)


def change_fewer_lines(octets):
    return octets[:100] + octets[100:].replace(b'x\n', b'xx')


CHANGES = {'zeros': change_zeros, 'more lines': change_more_lines,
           'fewer lines': change_fewer_lines}


@pytest.mark.parametrize('tls', [False, True], ids=['plain', 'tls'])
@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('size', [20_000, 100_000, 6_000_000])
def test_a_message_that_changed_in_place_heals(make_office, size, change, tls):
    office = make_office()
    path = office.put('demo', message(size, False), folder='cur', name='1.large.test')
    dial(office, tls).quit()
    changed = CHANGES[change](path.read_bytes())
    assert len(changed) == path.stat().st_size
    with open(path, 'r+b') as file:
        file.write(changed)
    client = dial(office, tls)
    try:
        assert client.ask('RETR 1').startswith(('+OK', '-ERR'))
        client.send('NOOP\r\n')
        client.closed() if size > 65536 else client.close()
    except CUT:
        pass
    office.wait_log(r'demo: message 1: 1\.large\.test:2, has other octets than')
    client = wait_until(lambda: login_again(office, tls))
    assert client.list() == {1: len(wire_form(changed))}
    assert client.top(1, 2) == top_of(wire_form(changed), 2)
    assert retr(client, 1) == wire_form(changed)
    client.quit()
    assert len(re.findall('has other octets than', office.log_text())) == 1


def login_again(office, tls):
    """The session before may not be over yet."""
    try:
        return dial(office, tls)
    except (AssertionError, *CUT):
        return None


@pytest.mark.parametrize('crlf', [False, True], ids=['lf', 'crlf'])
@pytest.mark.parametrize('tls', [False, True], ids=['plain', 'tls'])
def test_a_message_that_becomes_shorter_while_it_is_read(make_office, tls, crlf):
    office = make_office()
    octets = message(12_000_000, crlf)
    path = office.put('demo', octets, folder='cur', name='1.large.test')
    client = dial(office, tls)
    client.ok('RETR 1')
    os.truncate(path, 1_000_000)
    assert not client.closed().endswith(b'\r\n.\r\n')
    office.wait_log(r'demo: message 1: 1\.large\.test:2, has other octets than')
    client = wait_until(lambda: login_again(office, tls))
    assert client.list() == {1: len(wire_form(octets[:1_000_000]))}
    assert retr(client, 1) == wire_form(octets[:1_000_000])
    client.quit()


# a filesystem that never answers

@pytest.fixture
def served(need_root):
    """served(OFFICE, USER, OCTETS): a message of USER on FUSE, read once by the index."""
    def serve(office, user, octets):
        path = office.put(user, b'', folder='cur', name='1.fuse.test')
        made.append(Served(path, octets, owner_of(office.mail)[0]))
        if not made[-1].mounted:
            pytest.skip('FUSE cannot be mounted here')
        return made[-1]

    if not os.path.exists('/dev/fuse'):
        pytest.skip('no /dev/fuse here')
    made = []
    yield serve
    for one in made:
        one.end()


@pytest.mark.parametrize('command', ['RETR 1', 'TOP 1 10'])
def test_a_message_on_fuse_that_never_answers_stops_nobody_else(make_office, served, command):
    office = make_office(users=('demo', 'mallory', 'other'), start=False,
                         settings={'processes.fronts': 2, 'timeouts.write': '3s'})
    for user in ('demo', 'other'):
        office.put(user, message(1_000_000, True))
    office.start()
    fuse = served(office, 'mallory', message(5_000_000, True))
    mallory = Pop(office.pop3)
    mallory.login('mallory', PASSWORD)
    assert mallory.list() == {1: len(message(5_000_000, True))}
    fuse.hang()
    mallory.send(command + '\r\n')
    fuse.wait_asked()
    for _ in range(8):  # at every front
        for user in ('demo', 'other'):
            client = Pop(office.pop3)
            client.login(user, PASSWORD)
            assert retr(client, 1) == message(1_000_000, True)
            client.quit()
    office.wait_log('session-end .*a message is not read from its filesystem in time', 30)
    mallory.closed()
    fuse.end()


def test_a_message_on_fuse_is_served_while_it_answers(make_office, served):
    office = make_office()
    octets = message(1_000_000, False)
    served(office, 'demo', octets)
    client = dial(office, False)
    assert retr(client, 1) == wire_form(octets)
    assert client.top(1, 2) == top_of(wire_form(octets), 2)
    client.quit()
