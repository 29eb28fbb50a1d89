"""Listeners behind a proxy: PROXY headers by hand, by HAProxy and by nginx; what is none."""
import base64
import re
import signal
import socket
import struct
import time

import pytest

from office import PASSWORD
from own_network import own_network
from pop import Pop, client_context
from proxies import haproxy, nginx

SIGNATURE = b'\r\n\r\n\0\r\nQUIT\n'
FOUR = socket.inet_aton
MAIL = b'From: a@example.org\r\nSubject: hello\r\n\r\nhello\r\n'


def line(address='192.0.2.7', port=40000, six=False):
    """A header of version 1."""
    here = '::1' if six else '127.0.0.1'
    return f'PROXY TCP{6 if six else 4} {address} {here} {port} 110\r\n'.encode()


def packet(address='192.0.2.7', port=40000, tlvs=b'', command=1):
    """A header of version 2."""
    body = FOUR(address) + FOUR('127.0.0.1') + struct.pack('>HH', port, 110) + tlvs
    return SIGNATURE + bytes([0x20 + command, 0x11]) + struct.pack('>H', len(body)) + body


def tlv(kind, value):
    return bytes([kind]) + struct.pack('>H', len(value)) + value


def tls_tlv(version=b'TLSv1.3', client=1):
    return tlv(0x20, bytes([client]) + bytes(4) + tlv(0x21, version))


LOCAL = SIGNATURE + b'\x20\0\0\0'


def section(office, **settings):
    """Adds the section of the office's pop3 or pop3s listener."""
    port = settings.pop('port', office.pop3)
    rows = ''.join(f'\t{name} = {value}\n' for name, value in settings.items())
    with office.conf.open('a') as file:
        file.write(f'\nlistener "127.0.0.1:{port}" {{\n{rows}}}\n')


@pytest.fixture
def behind(make_office):
    """behind(settings, …): an office whose pop3 listener is behind a proxy at 127.0.0.1."""
    def make(rules=None, **more):
        office = make_office(start=False, **more)
        section(office, proxy_from='{"127.0.0.1"}', **(rules or {}))
        return office.start()
    return make


class Proxied(Pop):
    """A client whose connection begins with a header."""

    def __init__(self, port, header, tls=None, greet=True, split=None):
        super().__init__(port, greet=False)
        if split:
            self.send_split(header, split)
        else:
            self.send(header)
        if tls is not None:
            self.start_tls(tls)
        self.greeting = self.line() if greet else None


def capabilities(pop):
    pop.ok('CAPA')
    return pop.body().decode().split('\r\n')


def sasl_of(pop):
    found = [row for row in capabilities(pop) if row.startswith('SASL ')]
    return found[0].split()[1:] if found else []


def plain(pop, user='demo'):
    return pop.ask('AUTH PLAIN ' + base64.b64encode(f'\0{user}\0{PASSWORD}'.encode()).decode())


def over_tls(office, pop):
    """STLS, then a login."""
    pop.ok('STLS')
    pop.start_tls(client_context(str(office.cert)))
    return pop


# ---- by hand


@pytest.mark.parametrize('header, address', [
    (line(), '192.0.2.7'), (line('2001:db8::9', six=True), '2001:db8::9'),
    (packet(), '192.0.2.7'), (packet(tlvs=tlv(4, b'x' * 600)), '192.0.2.7')],
    ids=['line', 'line-six', 'packet', 'long'])
def test_the_header_names_the_client(behind, header, address):
    office = behind()
    office.put('demo', MAIL)
    with Proxied(office.pop3, header) as pop:
        over_tls(office, pop).login('demo', PASSWORD)
        pop.ok('QUIT')
    office.wait_log(rf' login from={re.escape(address)} .*user="demo"')
    office.wait_log(rf' session-end from={re.escape(address)} .*user="demo"')
    # in pieces, and with the client's first command right behind it
    for pieces in ((1,), (7, 1), (len(header) - 1, 1)):
        with Proxied(office.pop3, header, split=pieces) as pop:
            pop.ok('CAPA')
    with Proxied(office.pop3, header + b'CAPA\r\nQUIT\r\n') as pop:
        assert pop.line().startswith('+OK')
        assert b'STLS' in pop.body()
        assert pop.line().startswith('+OK')


def test_tls_begins_behind_the_header(make_office):
    office = make_office(start=False)
    section(office, port=office.pop3s, proxy_from='{"127.0.0.1"}')
    office.start()
    for header in (line(), packet()):
        with Proxied(office.pop3s, header, tls=client_context(str(office.cert))) as pop:
            pop.login('demo', PASSWORD)
            pop.ok('QUIT')
    office.wait_log(r' login from=192\.0\.2\.7 .*tls="TLSv1\.3"')


@pytest.mark.parametrize('octets', [
    b'USER demo\r\n', b'CAPA\r\n', b'QUIT\r\n', b'\x16\x03\x01\x02\0\x01\0', b'PROXY TCP4 x\r\n',
    b'PROXY TCP4 192.0.2.7 127.0.0.1 1 2\n', SIGNATURE + b'\x21\x12\0\0', b'PROXY ' + b'x' * 200,
    packet(tlvs=b'\x20\0\x09'), b'\r\n\r\n'],
    ids=['user', 'capa', 'quit', 'hello', 'words', 'lf', 'udp', 'long', 'cut', 'lines'])
def test_threat_77_what_is_no_header_closes_without_an_answer(behind, octets):
    office = behind()
    with Pop(office.pop3, greet=False) as pop:
        pop.send(octets + (b'' if len(octets) > 4 else b'USER x\r\n'))
        assert pop.closed() == b''
    office.wait_log(r' proxy-refused from=127\.0\.0\.1 .*reason="what came first is no PROXY')
    with Proxied(office.pop3, line()) as pop:  # a second one is the client's, and no command
        pop.err(line().rstrip())


def test_a_header_that_is_late_closes_without_an_answer(behind):
    office = behind()
    began = time.monotonic()
    with Pop(office.pop3, greet=False) as silent, Pop(office.pop3, greet=False) as slow:
        slow.send(line()[:20])
        for pop in (silent, slow):
            assert pop.closed() == b''
    assert 4 < time.monotonic() - began < 20
    office.wait_log(r' proxy-refused .*reason="no PROXY header in time"')


def test_others_than_the_proxy_are_turned_away(make_office):
    office = make_office(start=False)
    section(office, proxy_from='{"192.0.2.0/24", "2001:db8::/32"}')
    office.start()
    with Pop(office.pop3, greet=False) as pop:
        assert pop.closed() == b''
    office.wait_log(r' proxy-refused from=127\.0\.0\.1 .*reason="not from a network of proxy_from"')
    with Pop(office.pop3s, client_context(str(office.cert))) as pop:  # the others are as before
        pop.login('demo', PASSWORD)


def test_waiting_connections_have_a_bound_of_their_own(make_office):
    office = make_office(start=False, settings={'processes.fronts': '1'})
    section(office, proxy_from='{"127.0.0.1"}')
    office.limit_files = 300
    office.start()
    waiting = [Pop(office.pop3, greet=False) for _ in range(80)]
    assert waiting[0].closed() == b''  # long before it is late
    office.wait_log(r'reason="too many connections wait for a PROXY header"')
    with Proxied(office.pop3, line()), Pop(office.pop3s, client_context(str(office.cert))):
        pass
    waiting[-1].send(line())
    assert waiting[-1].line().startswith('+OK')
    for pop in waiting:
        pop.close()


@pytest.mark.parametrize('header', [
    line('127.0.0.1'), line('::1', six=True), line('::ffff:127.0.0.1', six=True),
    packet('127.0.0.1'), packet('127.3.2.1'), line('192.0.2.7'), LOCAL, b'PROXY UNKNOWN\r\n'],
    ids=['four', 'six', 'mapped', 'packet', 'net', 'other', 'local', 'unknown'])
def test_threat_128_no_header_makes_a_client_of_this_machine(behind, header):
    office = behind()
    with Proxied(office.pop3, header) as pop:
        assert 'USER' not in capabilities(pop) and 'PLAIN' not in sasl_of(pop)
        assert plain(pop).startswith('-ERR')
        assert pop.ask('USER demo').startswith('-ERR')
        over_tls(office, pop).login('demo', PASSWORD)


def test_networks_of_a_user_are_judged_by_the_header(make_office):
    office = make_office(start=False, users=('demo', 'here', 'away'))
    users = office.dir / 'users'
    networks = {'here': '127.0.0.0/8', 'away': '192.0.2.0/24'}
    rows = [row.split(':') for row in users.read_text().splitlines()]
    users.write_text(''.join(
        ':'.join([*(row + [''] * 7)[:7], f'allow_networks={networks[row[0]]}'
                  if row[0] in networks else '']) + '\n' for row in rows))
    section(office, proxy_from='{"127.0.0.1"}')
    office.start()
    for user, address, welcome in (('away', '192.0.2.7', True), ('away', '198.51.100.1', False),
                                   ('here', '192.0.2.7', False), ('here', '127.0.0.1', False)):
        with Proxied(office.pop3, line(address)) as pop:
            answer = plain(over_tls(office, pop), user)
            assert answer.startswith('+OK' if welcome else '-ERR'), (user, address, answer)


def test_limits_are_judged_by_the_header(make_office):
    office = make_office(start=False, settings={'limits.connections_per_address': '2'})
    section(office, proxy_from='{"127.0.0.1"}')
    office.start()
    with Proxied(office.pop3, line()), Proxied(office.pop3, packet(port=2)):
        with Proxied(office.pop3, line(port=3)) as third:
            assert third.greeting.startswith('-ERR')
        with Proxied(office.pop3, line('192.0.2.8')) as other:
            assert other.greeting.startswith('+OK')
    office.wait_log(r' connection-refused from=192\.0\.2\.7 ')


@pytest.mark.parametrize('header', [LOCAL, b'PROXY UNKNOWN\r\n',
                                    packet(command=0), SIGNATURE + b'\x21\0\0\0'],
                         ids=['local', 'unknown', 'local-with-address', 'no-family'])
def test_a_health_check_is_served_without_a_line(behind, header):
    office = behind(settings={'timeouts.login': '1s'})
    mark = office.mark()
    with Proxied(office.pop3, header) as pop:
        assert pop.greeting.startswith('+OK')
        pop.ok('QUIT')
    with Proxied(office.pop3, header) as pop:
        pop.closed()  # too slow to log in: a client would have a line for that
    Pop(office.pop3, greet=False).close()  # a look whether the port is open
    with Proxied(office.pop3, line()) as pop:
        pop.closed()
    office.wait_log(r' session-end from=192\.0\.2\.7 .*no login in time', since=mark)
    assert not re.search(r'from=127\.0\.0\.1|proxy-refused', '\n'.join(office.log[mark:]))


def test_tls_of_the_proxy_counts_only_where_it_is_trusted(behind):
    office = behind()
    with Proxied(office.pop3, packet(tlvs=tls_tlv())) as pop:
        assert 'STLS' in capabilities(pop) and 'PLAIN' not in sasl_of(pop)
        assert plain(pop).startswith('-ERR')


def test_tls_of_a_trusted_proxy(behind):
    office = behind({'trust_tls': 'yes'})
    with Proxied(office.pop3, packet(tlvs=tls_tlv())) as pop:
        mechanisms = sasl_of(pop)
        assert 'PLAIN' in mechanisms and 'SCRAM-SHA-256' in mechanisms
        assert not [name for name in mechanisms if name.endswith('-PLUS')]
        assert 'USER' in capabilities(pop) and 'STLS' not in capabilities(pop)
        pop.err('STLS')
        assert pop.ask('AUTH SCRAM-SHA-256-PLUS').startswith('-ERR')
        assert plain(pop).startswith('+OK')
        pop.ok('QUIT')
    office.wait_log(r' login from=192\.0\.2\.7 .*tls="TLSv1\.3"')
    office.wait_log(r' session-end from=192\.0\.2\.7 .*tls="TLSv1\.3".*user="demo"')
    with Proxied(office.pop3, packet(tlvs=tls_tlv(b'TLSv1.1'))) as pop:
        pop.login('demo', PASSWORD)
    office.wait_log(r' login .*tls="older"')
    for header in (line(), packet(), packet(tlvs=tls_tlv(client=0)), LOCAL):
        with Proxied(office.pop3, header) as pop:
            assert 'PLAIN' not in sasl_of(pop)
            assert plain(pop).startswith('-ERR')


def test_a_reload_does_not_cut_a_connection_that_waits_for_its_header(behind):
    office = behind()
    with Pop(office.pop3, greet=False) as pop:
        pop.send(line()[:10])
        time.sleep(0.1)  # it should be accepted; if it is not yet, the new processes do
        office.process.send_signal(signal.SIGHUP)
        office.wait_log(r'\breloaded\b')
        pop.send(line()[10:])
        assert pop.line().startswith('+OK')
        over_tls(office, pop).login('demo', PASSWORD)
        pop.ok('QUIT')


# ---- real proxies


@own_network
def check_a_real_proxy(office, start):
    """Clients of two addresses through a proxy that start makes."""
    office.start()
    with start() as port:
        for source in ('10.9.9.1', '10.9.9.2'):
            with Pop(port, host='10.9.9.1', source=source) as pop:
                over_tls(office, pop).login('demo', PASSWORD)
                pop.ok('STAT')
                pop.ok('QUIT')
            office.wait_log(rf' login from={re.escape(source)} .*user="demo"')
            office.wait_log(rf' session-end from={re.escape(source)} .*user="demo"')


@pytest.mark.parametrize('option', ['send-proxy', 'send-proxy-v2',
                                    'send-proxy-v2 proxy-v2-options crc32c,unique-id'])
def test_haproxy(make_office, option):
    office = make_office(start=False)
    section(office, proxy_from='{"127.0.0.0/8"}')
    check_a_real_proxy(office, lambda: haproxy(office.pop3, option, host='10.9.9.1'))


def test_nginx(make_office):
    office = make_office(start=False)
    section(office, proxy_from='{"127.0.0.0/8"}')
    check_a_real_proxy(office, lambda: nginx(office.pop3, host='10.9.9.1'))


@pytest.mark.parametrize('option', ['send-proxy', 'send-proxy-v2'])
def test_health_checks_of_haproxy(behind, option):
    office = behind()
    mark = office.mark()
    with haproxy(office.pop3, f'{option} check inter 100ms') as port:
        time.sleep(1)  # several checks
        with Pop(port) as pop:
            assert pop.greeting.startswith('+OK')
            over_tls(office, pop).login('demo', PASSWORD)
            pop.ok('QUIT')
        office.wait_log(r' session-end from=127\.0\.0\.1 .*user="demo"')
    lines = [row for row in office.log[mark:] if row and 'from=' in row]
    assert len(lines) == 2 and all('user="demo"' in row for row in lines), lines


def test_tls_that_ends_at_haproxy(behind, tmp_path):
    office = behind({'trust_tls': 'yes'})
    pem = tmp_path / 'both.pem'
    pem.write_bytes(office.cert.read_bytes() + (office.dir / 'tls/key.pem').read_bytes())
    with haproxy(office.pop3, 'send-proxy-v2-ssl', bind=f'ssl crt {pem}') as port:
        with Pop(port, client_context(str(office.cert))) as pop:
            assert plain(pop).startswith('+OK')
            pop.ok('QUIT')
    office.wait_log(r' login from=127\.0\.0\.1 .*mechanism="PLAIN" tls="TLSv1\.3"')


def test_tls_through_haproxy(make_office):
    office = make_office(start=False)
    section(office, port=office.pop3s, proxy_from='{"127.0.0.1"}')
    office.start()
    with haproxy(office.pop3s, 'send-proxy-v2 check') as port:
        with Pop(port, client_context(str(office.cert))) as pop:
            assert 'SCRAM-SHA-256-PLUS' in sasl_of(pop)  # it is our own TLS
            pop.login('demo', PASSWORD)


# ---- the configuration


def test_a_section_is_about_an_address_that_is_served(make_office):
    office = make_office(start=False)
    good = office.conf.read_text()
    for text, words in (
            ('listener "127.0.0.1:9" { proxy_from = {"10.0.0.1"} }', 'neither pop3 nor pop3s'),
            (f'listener "127.0.0.1:{office.lmtp}" {{ proxy_from = {{"10.0.0.1"}} }}',
             'neither pop3 nor pop3s'),
            (f'listener "127.0.0.1:{office.pop3}" {{ proxy_from = {{"10.0.0/8"}} }}',
             'is not a network'),
            (f'listener "127.0.0.1:{office.pop3}" {{ trust_tls = yes }}', 'name its network')):
        office.conf.write_text(f'{good}\n{text}\n')
        done = office.valijad('-t', '-c', office.conf)
        assert done.returncode == 78 and words in done.stderr, done.stderr
    office.conf.write_text(good)
    section(office, proxy_from='{"10.0.0.1", "2001:db8::/32"}', trust_tls='yes')
    assert office.valijad('-t', '-c', office.conf).returncode == 0
    shown = office.valijad('-n', '-c', office.conf).stdout
    assert 'proxy_from = {"10.0.0.1/32", "2001:db8::/32"}' in shown and 'trust_tls = yes' in shown



def test_bans_are_judged_by_the_header(make_office):
    """Neither the proxy's connections end by a ban of one client, nor does that client get in."""
    office = make_office(start=False)
    section(office, proxy_from='{"127.0.0.1"}')
    office.set('control.socket', f'"{office.dir}/control"')
    office.start()
    office.valija('ban', 'add', '-c', office.conf, '192.0.2.7')
    with Proxied(office.pop3, line(), greet=False) as banned:
        assert banned.closed() == b''
    with Proxied(office.pop3, line('192.0.2.8')) as other:
        assert other.greeting.startswith('+OK')
    office.wait_log(r'refused-banned from=192\.0\.2\.7')
