"""Strangers of other sorts than in test_capacity.py, and keys processes at more moments than in
test_keys.py: good clients get in and are served meanwhile."""
import os
import signal
import socket
import ssl
import subprocess

import pytest
from office import PASSWORD, wait_until
from pop import Pop
from test_attack_keeper import the
from test_capacity import LONE, fill, is_open, small_office, stranger
from test_keys import CONTEXT, begin, certificate_of_kind, finish, session_with, works
from test_tls import make_certificate, names_served


def good_client(connect, office, tls=None):
    client = connect(office, tls)
    client.login('demo', PASSWORD)
    client.quit()


@pytest.mark.parametrize('words', [b'USER x\r\n', b'CAPA\r\n' * 20, b'AUTH PLAIN\r\n', b'STLS\r\n',
                                   b'x', b'AUTH SCRAM-SHA-256 biwsbj1kZW1vLHI9YWJj\r\n'])
def test_strangers_that_say_something_give_way_too(make_office, connect, words):
    """To have begun something is no session."""
    office = small_office(make_office)
    crowd = fill(office, 40, spread=251)
    for sock in crowd:
        try:
            sock.sendall(words)
        except OSError:
            pass
    crowd += fill(office, 50, spread=251)
    good_client(connect, office)
    assert not all(is_open(sock) for sock in crowd[:40])
    for sock in crowd:
        sock.close()


@pytest.mark.parametrize('octets', [b'', b'\x16', b'\x16\x03\x01\x02\x00\x01',
                                    b'GET / HTTP/1.1\r\n'])
def test_strangers_on_the_port_of_tls(make_office, connect, octets):
    """Handshakes that never begin, stop within a header, or are none."""
    office = small_office(make_office)
    session = connect(office, True)
    session.login('demo', PASSWORD)
    crowd = []
    for number in range(250):
        crowd.append(stranger(office.pop3s, 7000 + number * 251))
        try:
            crowd[-1].sendall(octets)
        except OSError:
            pass
    wait_until(lambda: works(office), 20)
    assert session.stat() == (0, 0)
    session.quit()
    for sock in crowd:
        sock.close()
    wait_until(lambda: works(office), 20)


def test_strangers_by_ipv6(make_office):
    """From one address, as ::1 is the only one: it may have no more than its share."""
    office = make_office(start=False, settings={'processes.fronts': 1,
                                                'limits.connections_per_address': 20})
    text = office.conf.read_text()
    office.conf.write_text(text.replace(f'127.0.0.1:{office.pop3}', f'[::]:{office.pop3}'))
    try:
        socket.create_server(('::1', 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip('no IPv6 on the loopback')
    office.start()
    crowd = [socket.create_connection(('::1', office.pop3)) for _ in range(40)]
    wait_until(lambda: sum(is_open(sock) for sock in crowd) <= 20)
    with Pop(office.pop3) as client:  # by IPv4 another one
        client.login('demo', PASSWORD)
        client.quit()
    for sock in crowd:
        sock.close()

    def again():
        try:
            with Pop(office.pop3, host='::1', timeout=5) as client:
                return client.greeting.startswith('+OK')
        except (OSError, EOFError):
            return False
    wait_until(again)


# the keys process

def test_the_first_of_two_deaths_within_one_handshake(make_office):
    """The process that takes the place of one that died stands still, and dies, too."""
    office = make_office(settings=LONE)
    office.allow('keys 0')
    first = the(office, 'keys')
    os.kill(first, signal.SIGSTOP)
    waiting = begin(office, 8)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: works(office), 20)
    second = the(office, 'keys')
    assert second != first
    os.kill(second, signal.SIGSTOP)
    waiting += begin(office, 8)
    os.kill(second, signal.SIGKILL)
    for tls in waiting:
        try:
            finish(tls)
        except (OSError, EOFError, ssl.SSLError) as error:
            raise AssertionError('a handshake did not outlive two deaths') from error
    assert session_with(office, CONTEXT, 'localhost')


def test_a_reload_while_the_keys_process_stands_still(make_office, connect):
    office = make_office(settings=LONE)
    office.allow('keys')
    old = connect(office, True)
    old.login('demo', PASSWORD)
    keys = the(office, 'keys')
    os.kill(keys, signal.SIGSTOP)
    try:
        office.reload()
        assert session_with(office, CONTEXT, 'localhost')
        assert old.stat() == (0, 0)
    finally:
        try:
            os.kill(keys, signal.SIGCONT)
        except ProcessLookupError:
            pass
    old.quit()
    wait_until(lambda: works(office), 20)


def test_sixty_certificates_by_name(tool, make_office):
    office = make_office(start=False)
    for number in range(60):
        office.add_certificate(*certificate_of_kind(tool, office.dir / 'tls', 'p256',
                                                    f'n{number}.test'))
    office.start()
    for number in (0, 1, 29, 58, 59):
        assert names_served(office, f'n{number}.test') == {f'n{number}.test'}
        assert names_served(office, f'N{number}.TEST') == {f'n{number}.test'}
    assert names_served(office, 'n60.test') == names_served(office, 'localhost')


def test_one_certificate_too_many(tool, make_office):
    office = make_office(start=False)
    pair = make_certificate(tool, office.scratch, 'again.test')
    text = office.conf.read_text()
    office.conf.write_text(text + ''.join(
        f'\ntls "t{n}" {{\n\tcertificate = "{pair[0]}"\n\tkey = "{pair[1]}"\n}}\n'
        for n in range(64)))
    for option in ([], ['-t']):
        done = office.valijad('-c', office.conf, *option)
        assert done.returncode and '64' in done.stderr, done.stderr


@pytest.mark.parametrize('algorithm', ['rsa_pss_rsae_sha256', 'rsa_pkcs1_sha256',
                                       'rsa_pss_rsae_sha512', 'rsa_pkcs1_sha384'])
def test_paddings_of_tls_1_2(tool, make_office, algorithm):
    """The client's only signature algorithm decides how an RSA key signs."""
    office = make_office(start=False)
    office.add_certificate(*certificate_of_kind(tool, office.dir / 'tls', 'rsa', 'rsa.test'))
    office.start()
    done = subprocess.run([tool('openssl'), 's_client', '-connect', f'127.0.0.1:{office.pop3s}',
                           '-servername', 'rsa.test', '-tls1_2', '-sigalgs', algorithm],
                          input='QUIT\r\n', capture_output=True, text=True, timeout=30)
    assert 'Cipher is ECDHE-RSA' in done.stdout, done.stdout + done.stderr
    wanted = 'RSA-PSS' if 'pss' in algorithm else 'RSA'
    assert f'Peer signature type: {wanted}\n' in done.stdout, done.stdout


def test_sha_1_alone_is_no_signature(tool, make_office):
    office = make_office(start=False)
    office.add_certificate(*certificate_of_kind(tool, office.dir / 'tls', 'rsa', 'rsa.test'))
    office.start()
    for algorithm in ('RSA+SHA1', 'RSA+SHA224'):
        done = subprocess.run([tool('openssl'), 's_client', '-connect',
                               f'127.0.0.1:{office.pop3s}', '-servername', 'rsa.test', '-tls1_2',
                               '-cipher', 'DEFAULT:@SECLEVEL=0', '-sigalgs', algorithm],
                              input='QUIT\r\n', capture_output=True, text=True, timeout=30)
        assert done.returncode and 'Cipher is (NONE)' in done.stdout, done.stdout
    assert works(office)
