"""When connections are short: strangers give way, good clients get in, the log says so. Strangers
come from addresses of the loopback network, so no other network is needed."""
import socket
import ssl
import time

import pytest
from lmtp import Lmtp
from office import PASSWORD
from pop import Closed, login_within

LONE = {'processes.fronts': 1, 'limits.connections_per_address': 0}


def stranger(port, number):
    sock = socket.socket()
    sock.bind((f'127.{1 + number // 60000 % 200}.{number // 250 % 240}.{1 + number % 250}', 0))
    sock.settimeout(10)
    sock.connect(('127.0.0.1', port))
    return sock


def fill(office, count, port=None, spread=1):
    """So many idle connections, from addresses of their own (spread: in networks of their own)."""
    return [stranger(port or office.pop3, 1000 + number * spread) for number in range(count)]


def is_open(sock):
    sock.setblocking(False)
    try:
        while True:
            if not sock.recv(4096):
                return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def small_office(make_office, files=400, settings=None):
    office = make_office(start=False, settings={**LONE, **(settings or {})})
    office.limit_files = files
    office.start()
    return office


@pytest.mark.parametrize('spread', [0, 1, 251])
def test_threat_74_good_clients_get_in(make_office, connect, spread):
    """More idle strangers than there is room for, from one address, one network, many networks: a
    good client is greeted and served at once; its own session is not ended by those that come
    later."""
    office = small_office(make_office)
    crowd = fill(office, 150, spread=spread)
    times = []
    held = connect(office)
    held.login('demo', PASSWORD)
    for _ in range(50):
        start = time.monotonic()
        client = connect(office)
        times.append(time.monotonic() - start)
        client.close()
    times.sort()
    print(f'greeting: median {times[25] * 1e3:.1f} ms, slowest of 50 {times[-1] * 1e3:.1f} ms')
    crowd += fill(office, 150, spread=spread)
    held.ok('NOOP')
    held.quit()
    office.wait_log('connections are short .*the oldest that has not logged in is ended')
    assert sum('is ended (' in line for line in office.log) == 1
    alive = [is_open(sock) for sock in crowd]
    assert not all(alive[:100]), 'the oldest are still there'
    for sock in crowd:
        sock.close()
    login_within(connect, office, 'demo').quit()


def test_who_is_alone_keeps_its_place_before_a_crowd(make_office, connect):
    """A stranger from an address of its own is older than a crowd, and stays."""
    office = small_office(make_office)
    lone = stranger(office.pop3, 0)
    crowd = fill(office, 250, spread=0)
    deadline = time.monotonic() + 20
    while all(is_open(sock) for sock in crowd):
        assert time.monotonic() < deadline
        crowd.append(stranger(office.pop3, 1000))
    assert is_open(lone)
    lone.setblocking(True)
    lone.sendall(b'CAPA\r\n')
    assert lone.recv(4096)
    for sock in (lone, *crowd):
        sock.close()


def test_sessions_give_way_to_nobody(make_office, connect):
    """Where all connections are sessions, another one waits, and gets its turn as one ends."""
    office = make_office(start=False, settings={**LONE, 'processes.keepers': 4})
    office.limit_files = 400
    names = [f'u{number}' for number in range(150)]
    with (office.dir / 'users').open('a') as file:
        file.writelines(f'{name}:{{PLAIN}}{PASSWORD}\n' for name in names)
    office.start()
    held = []
    for name in names:
        client = connect(office, greet=False, timeout=2)
        try:
            greeting = client.line()
        except TimeoutError:
            break
        assert greeting.startswith('+OK')
        client.login(name, PASSWORD)
        held.append(client)
    assert 10 <= len(held) < len(names)
    office.wait_log('connections are short .*others wait')
    client.socket.settimeout(30)
    held.pop(0).close()
    assert client.line().startswith('+OK')
    for other in held:
        other.ok('NOOP')


def test_all_connections_of_the_site_are_in_use(make_office, connect):
    """limits.connections, too, is no wall of strangers: the oldest one gives way."""
    office = make_office(settings={**LONE, 'limits.connections': 20})
    crowd = fill(office, 20)
    deadline = time.monotonic() + 20
    while True:
        client = connect(office, greet=False)
        if client.line().startswith('+OK'):
            break
        client.close()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    client.ok('USER demo')
    client.ok(f'PASS {PASSWORD}')
    client.quit()
    assert sum(is_open(sock) for sock in crowd) < 20
    for sock in crowd:
        sock.close()


def test_handshakes_have_a_bound_of_their_own(make_office, connect):
    """Half-open TLS sessions end for others, while sessions in clear text stay."""
    office = small_office(make_office)
    plain = fill(office, 10)
    hello = ssl.MemoryBIO()
    context = ssl.create_default_context()
    client = context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname='office.test')
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    half = hello.read()[:100]
    open_ones = []
    for number in range(120):
        sock = stranger(office.pop3s, 5000 + number)
        sock.sendall(half)
        open_ones.append(sock)
    deadline = time.monotonic() + 20
    while all(is_open(sock) for sock in open_ones):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not is_open(open_ones[0]) and is_open(open_ones[-1])
    assert all(is_open(sock) for sock in plain)
    tls = connect(office, True)
    tls.login('demo', PASSWORD)
    tls.quit()
    for sock in open_ones + plain:
        sock.close()


def test_idle_lmtp_clients_give_way(make_office):
    """The one that has waited longest for a command gets 421; one that works stays."""
    office = make_office(settings={'limits.connections_per_address': 0})
    busy = Lmtp(office.lmtp)
    busy.begin('demo')
    busy.send(b'Subject: x\r\n')
    idle = []
    for number in range(2000):
        sock = stranger(office.lmtp, number)
        idle.append(sock)
    deadline = time.monotonic() + 30
    while True:
        with Lmtp(office.lmtp, greet=False, timeout=5) as late:
            try:
                if late.line().startswith('220'):
                    break
            except (TimeoutError, EOFError):
                pass
        assert time.monotonic() < deadline
    busy.send(b'\r\nbody\r\n.\r\n')
    assert busy.reply() == '250 2.1.5 delivered'
    idle.append(stranger(office.lmtp, 5))
    idle.append(stranger(office.lmtp, 6))
    deadline = time.monotonic() + 30
    got = b''
    while b'421' not in got:
        for sock in idle[:3]:
            sock.settimeout(0.05)
            try:
                got += sock.recv(4096)
            except (TimeoutError, OSError):
                pass
        assert time.monotonic() < deadline, got
    assert b'421 4.3.2 too many connections' in got
    for sock in idle:
        sock.close()
