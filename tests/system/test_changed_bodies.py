"""Messages that others change, cut, lengthen or replace while they are listed and read, at sizes
around those by which bodies are lent; and an index that is damaged right before a session under
load. A client never gets whole what is not the message, and the next session has it right."""
import concurrent.futures
import os
import ssl

import pytest
from office import PASSWORD, wait_until
from pop import Closed, Pop, client_context
from wire import top_of, wire_form

KIB, MIB = 1 << 10, 1 << 20
SIZES = [64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1]
CUT = (Closed, ConnectionError, ssl.SSLError)
TLS = pytest.mark.parametrize('tls', [False, True], ids=['plain', 'tls'])


def stored(size, crlf=False, letter=b'x'):
    """Exactly so many octets, in lines of different lengths."""
    end, lines, total, n = b'\r\n' if crlf else b'\n', [], 0, 0
    while total < size:
        lines.append((b'Subject: s' + end if n == 0 else b'') + b'%07d ' % n +
                     letter * (n % 67) + end)
        total += len(lines[-1])
        n += 1
    octets = b''.join(lines)[:size]
    return octets[:-2].rstrip(b'\r') + b'\n' * (size - len(octets[:-2].rstrip(b'\r')))


def dial(office, tls, user='demo'):
    client = Pop(office.pop3s, tls=client_context()) if tls else Pop(office.pop3)
    client.login(user, PASSWORD)
    return client


def again(office, tls, user='demo'):
    """The session before may not be over yet."""
    def attempt():
        try:
            return dial(office, tls, user)
        except (AssertionError, *CUT):
            return None
    return wait_until(attempt)


def body_or_cut(client, command):
    """The octets of a whole answer, or None: refused, or cut before its end."""
    try:
        return body(client, command)
    except CUT:
        return None


def body(client, command):
    """None: refused. In a time that grows with the message only."""
    if not client.ask(command).startswith('+OK'):
        return None
    octets = bytearray(client.buffer)
    while not octets.endswith(b'\r\n.\r\n') and octets != b'.\r\n':
        client.buffer = b''
        client.more()
        octets += client.buffer
    client.buffer = bytes(octets)
    return client.body()


def rightly_served(office, tls, path_octets):
    """What the next session says of each message, by LIST, TOP and RETR."""
    client = again(office, tls)
    wire = [wire_form(octets) for octets in path_octets]
    assert list(client.list().values()) == [len(octets) for octets in wire]
    for n, octets in enumerate(wire, 1):
        assert client.top(n, 2) == top_of(octets, 2)
        assert body(client, f'RETR {n}') == octets
    client.quit()


@TLS
@pytest.mark.parametrize('crlf', [False, True], ids=['lf', 'crlf'])
@pytest.mark.parametrize('size', SIZES)
def test_sizes_around_the_borders(make_office, size, crlf, tls):
    office = make_office()
    mail = [stored(size, crlf), b'Subject: small\n\nsmall\n', stored(size - 3, crlf)]
    assert len(mail[0]) == size
    office.put_many('demo', mail)
    for _ in range(2):
        rightly_served(office, tls, mail)


def shrink(path):
    os.truncate(path, path.stat().st_size - 100)


def grow(path):
    with open(path, 'ab') as file:
        file.write(b'more of it\n' * 10)


def link(path):
    path.rename(path.parent.parent / 'aside')
    path.symlink_to('../aside')


def replace(path):
    """By another file of the name, with other octets, as long as before."""
    fresh = path.parent.parent / 'tmp/fresh'
    fresh.write_bytes(stored(path.stat().st_size, letter=b'y'))
    os.chown(fresh, path.stat().st_uid, path.stat().st_gid)
    fresh.rename(path)


def to_nothing(path):
    os.truncate(path, 0)


CHANGES = {'shrinks': shrink, 'grows': grow, 'a link': link, 'replaced': replace,
           'empty': to_nothing}


@pytest.mark.parametrize('command, tls', [('RETR 1', False), ('RETR 1', True),
                                          ('TOP 1 100000', False), ('TOP 1 0', True)])
@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('size', [SIZES[0], SIZES[2], SIZES[4]])
def test_a_message_changes_between_login_and_reading(make_office, size, change, command, tls):
    """The old octets, or none: never the half of it as a whole, never more than was announced."""
    office = make_office()
    office.allow('.')
    before, other = stored(size), b'Subject: other\n\nother\n'
    path = office.put('demo', before, folder='cur', name='1.a.test')
    office.put('demo', other, folder='cur', name='2.b.test')
    dial(office, tls).quit()
    client = dial(office, tls)
    sizes = client.list()
    assert sizes == {1: len(wire_form(before)), 2: len(wire_form(other))}
    CHANGES[change](path)
    if change == 'replaced':  # the other octets of as many are not known to be others
        may = (wire_form(before), wire_form(path.read_bytes()))
    else:
        may = (wire_form(before),)
    if command.startswith('TOP'):
        lines = int(command.split()[2])
        now = b'' if change == 'a link' else wire_form(path.read_bytes())
        may = {*(top_of(octets, lines) for octets in may), *([top_of(now, lines)] if now else [])}
    got = body_or_cut(client, command)
    assert got is None or got in may
    client.close()
    rest = [other] if change == 'a link' else [path.read_bytes(), other]
    client = again(office, tls)
    if change == 'empty' and len(client.list()) == 1:
        rest = [other]
    client.quit()
    rightly_served(office, tls, rest)


@TLS
@pytest.mark.parametrize('change', ['shrinks', 'grows', 'empty', 'replaced'])
def test_a_message_changes_while_it_is_on_its_way(make_office, change, tls):
    office = make_office()
    office.allow('.')
    before = stored(12 * MIB)
    path = office.put('demo', before, folder='cur', name='1.a.test')
    client = dial(office, tls)
    client.send('RETR 1\r\n')
    client.more()  # the rest does not fit into what is between client and server
    CHANGES[change](path)
    octets = bytearray(client.buffer)
    try:
        while not octets.endswith(b'\r\n.\r\n'):
            client.buffer = b''
            client.more()
            octets += client.buffer
        if change != 'replaced':
            assert octets.split(b'\r\n', 1)[1] == wire_form(before) + b'.\r\n'
        assert change in ('grows', 'replaced')
    except CUT:
        pass
    client.close()
    after = path.read_bytes()
    client = again(office, tls)
    if after:
        body_or_cut(client, 'RETR 1')  # by which a message that has grown is noticed
        client.close()
        rightly_served(office, tls, [after])
    else:
        assert client.list() in ({}, {1: 0})
        client.quit()


@TLS
def test_messages_change_while_they_are_counted_for_list(make_office, tls):
    """LIST at a login without an index, while somebody writes: sizes and bodies agree at last."""
    office = make_office()
    office.allow('.')
    paths = [office.put('demo', stored(65_530 + n), folder='cur') for n in range(40)]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        def write():
            for _ in range(5):
                for path in paths:
                    grow(path)
        writer = pool.submit(write)
        while not writer.done():
            client = again(office, tls)
            sizes = client.list()
            assert list(sizes) == list(range(1, 41))
            client.close()
        writer.result()
    # one that was counted while it grew heals when it is read
    for _ in range(len(paths) + 1):
        client = again(office, tls)
        sizes = client.list()
        good = [n for n in sizes if (body_or_cut(client, f'RETR {n}') or b'') ==
                wire_form(paths[n - 1].read_bytes())]
        client.close()
        if len(good) == len(paths):
            break
    rightly_served(office, tls, [path.read_bytes() for path in paths])


# the index

def zero(path):
    path.write_bytes(b'\0' * path.stat().st_size)


def flip(path):
    octets = bytearray(path.read_bytes())
    for at in range(0, len(octets), 7):
        octets[at] ^= 0x55
    path.write_bytes(octets)


def noise(path):
    path.write_bytes(os.urandom(8192))


DAMAGE = {'gone': lambda path: path.unlink(), 'empty': to_nothing, 'zeros': zero, 'flipped': flip,
          'noise': noise, 'cut': lambda path: os.truncate(path, path.stat().st_size * 2 // 3),
          'one octet': lambda path: os.truncate(path, 1),
          'longer': lambda path: path.open('ab').write(os.urandom(1000)),
          'huge': lambda path: os.truncate(path, 1 << 40)}


@pytest.mark.parametrize('name', ['valija-base', 'valija-delta', 'both'])
@pytest.mark.parametrize('damage', DAMAGE)
def test_an_index_damaged_right_before_a_session_under_load(make_office, damage, name):
    """Other users log in all the time; this one has all messages with their ids and octets."""
    office = make_office(users=('demo', 'busy0', 'busy1'), settings={'processes.keepers': 1})
    office.allow('.')
    mail = [stored(1000 + n) for n in range(60)]
    office.put_many('demo', mail)
    for user in ('busy0', 'busy1'):
        office.put_many(user, mail[:20])
    for _ in range(2):
        client = again(office, False)
        ids = client.uidl()
        client.quit()

    def busy(user):
        count = 0
        while not done:
            client = again(office, False, user)
            assert len(client.list()) == 20
            assert body(client, 'RETR 7') == wire_form(mail[6])
            client.quit()
            count += 1
        return count

    done = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        work = [pool.submit(busy, user) for user in ('busy0', 'busy1')]
        try:
            for _ in range(2):
                for path in (office.mail / 'demo').glob('valija-[bd]*'):
                    if name in (path.name, 'both'):
                        DAMAGE[damage](path)
                client = again(office, False)
                assert client.uidl() == ids
                assert list(client.list().values()) == [len(wire_form(octets)) for octets in mail]
                for n in (1, 30, 60):
                    assert body(client, f'RETR {n}') == wire_form(mail[n - 1])
                client.quit()
        finally:
            done.append(True)
        assert all(one.result() for one in work)
