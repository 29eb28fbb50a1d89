"""Costs of a login that fails or is given up, the sessions of a user, and the mechanisms that are
allowed where. Delays are tested from below only."""
import base64
import hashlib
import hmac
import itertools
import re
import time

import pytest

from office import PASSWORD, TICK, wait_until
from own_network import own_network
from pop import Closed, Pop

HERE, THERE = '10.9.9.1', '10.9.9.2'


def encode(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def begin_scram(client, name='demo'):
    client.send(f'AUTH SCRAM-SHA-256 {encode(f"n,,n={name},r=0123456789abcdef")}\r\n')
    return client.line()


def give_up(client, name='demo'):
    assert begin_scram(client, name).startswith('+ ')
    client.err('*')


def finish_scram(client, password=PASSWORD, name='demo'):
    first = f'n={name},r=0123456789abcdef'
    challenge = base64.b64decode(begin_scram(client, name).split()[1]).decode()
    nonce, salt, count = re.fullmatch(r'r=([^,]+),s=([^,]+),i=(\d+)', challenge).groups()
    salted = hashlib.pbkdf2_hmac('sha256', password.encode(), base64.b64decode(salt), int(count))

    def mac(key, text):
        return hmac.new(key, text.encode(), 'sha256').digest()
    client_key = mac(salted, 'Client Key')
    last = f'c=biws,r={nonce}'
    signature = mac(hashlib.sha256(client_key).digest(), f'{first},{challenge},{last}')
    proof = bytes(a ^ b for a, b in zip(client_key, signature))
    client.send(encode(f'{last},p={encode(proof)}') + '\r\n')
    line = client.line()
    if line.startswith('+ '):
        client.send('\r\n')
        line = client.line()
    return line


# given up

def test_threat_70_one_cancel_costs_nothing(make_office, connect):
    office = make_office(settings={'login.failure_delay': '60s', 'login.failure_delay_max': '60s'})
    client = connect(office)
    give_up(client)
    assert finish_scram(client).startswith('+OK')
    client.quit()


def test_threat_70_cancels_are_failures_from_the_second_on(make_office, connect):
    office = make_office(settings={'login.failure_delay': '300ms',
                                   'login.failure_delay_max': '600ms', 'login.max_failures': 3})
    client = connect(office)
    begin = time.monotonic()
    for _ in range(4):  # none, 300 ms, 600 ms, 600 ms
        give_up(client)
    client.send('AUTH SCRAM-SHA-256\r\n')
    assert client.line().startswith('-ERR [AUTH]')
    assert time.monotonic() - begin >= 1.5 - 3 * TICK
    with pytest.raises((Closed, OSError)):
        client.ok('NOOP')
        client.ok('NOOP')
    office.wait_log(r'login-given-up .*user="demo"')
    other = connect(office)  # it is the connection that failed, not the user
    assert finish_scram(other).startswith('+OK')
    other.quit()


def test_threat_70_what_cost_no_work_is_no_failure(make_office, connect):
    office = make_office(settings={'login.failure_delay': '60s', 'login.failure_delay_max': '60s',
                                   'login.max_failures': 3,
                                   'login.mechanisms': '"SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"'})
    client = connect(office)
    for mechanism in ('SCRAM-SHA-256', 'LOGIN', 'CRAM-MD5', 'PLAIN') * 2:
        client.send(f'AUTH {mechanism}\r\n')
        assert client.line().startswith('+ ')
        client.err('*')
    client.login('demo', PASSWORD)
    client.quit()


def test_threat_70_other_names_and_a_right_login_after_the_delay(make_office, connect):
    office = make_office(settings={'login.failure_delay': '200ms',
                                   'login.failure_delay_max': '200ms', 'login.max_failures': 9})
    client = connect(office)
    begin = time.monotonic()
    for name in ('demo', 'nobody', 'nobody-else'):
        give_up(client, name)
    assert finish_scram(client).startswith('+OK')
    assert time.monotonic() - begin >= 0.4 - 2 * TICK
    client.quit()


@own_network
def test_threat_70_cut_exchanges_are_failures_of_the_address(make_office, need_root):
    office = make_office(settings={'login.failure_delay': '200ms',
                                   'login.failure_delay_max': '30s',
                                   'login.plain_without_tls': 'yes'})
    for _ in range(4):
        client = Pop(office.pop3, source=HERE)
        begin_scram(client)
        client.reset()
    wait_until(lambda: office.log_text().count('login-given-up') == 4)
    assert delay_of(office, HERE) >= 0.2 * 2 ** 3 - TICK  # three were failures, this is the fourth
    assert delay_of(office, THERE) < 0.2 * 2 ** 3
    with Pop(office.pop3, source=HERE) as client:  # the owner gets in
        client.login('demo', PASSWORD)


# failures

def delay_of(office, source):
    with Pop(office.pop3, source=source, timeout=60) as client:
        client.ok('USER demo')
        begin = time.monotonic()
        client.err('PASS wrong')
        return time.monotonic() - begin


@own_network
def test_threat_25_delays_grow_over_the_connections_of_an_address(make_office, need_root):
    office = make_office(settings={'login.failure_delay': '200ms',
                                   'login.failure_delay_max': '1s',
                                   'login.plain_without_tls': 'yes'})
    for least in (0.2, 0.4, 0.8, 1, 1):
        assert delay_of(office, HERE) >= least - TICK
    begin = time.monotonic()
    delay_of(office, THERE)  # another address has its own
    with Pop(office.pop3, source=HERE) as client:
        client.login('demo', PASSWORD)
    assert time.monotonic() - begin < 60


@own_network
def test_threat_25_addresses_of_one_ipv6_network_are_one(make_office, need_root):
    office = make_office(start=False, settings={'login.failure_delay': '200ms',
                                                'login.failure_delay_max': '30s',
                                                'login.plain_without_tls': 'yes'})
    text = office.conf.read_text()
    office.conf.write_text(text.replace(f'127.0.0.1:{office.pop3}', f'[::]:{office.pop3}'))
    office.start()
    for n, source in enumerate(('fd09:9::1', 'fd09:9::2', 'fd09:9::1')):
        with Pop(office.pop3, host='::1', source=source, timeout=60) as client:
            client.ok('USER demo')
            begin = time.monotonic()
            client.err('PASS wrong')
            assert time.monotonic() - begin >= 0.2 * 2 ** n - TICK


# sessions of a user

@pytest.mark.parametrize('source', ['127.0.0.1', '127.0.0.9'])
def test_threat_26_sessions_of_a_user_are_limited(make_office, connect, source):
    office = make_office(settings={'limits.sessions_per_user': 1}, users=('demo', 'anna'))
    first = connect(office, source=source)
    first.login('demo', PASSWORD)
    second = connect(office)
    second.ok('USER DEMO')  # in whatever spelling
    assert second.err(f'PASS {PASSWORD}').startswith('-ERR [IN-USE]')
    other = connect(office)
    other.login('anna', PASSWORD)
    other.quit()
    first.quit()

    def free():
        with connect(office) as client:
            client.ok('USER demo')
            client.send(f'PASS {PASSWORD}\r\n')
            return client.line().startswith('+OK')
    wait_until(free)


# what is allowed where

def login_by(client, mechanism):
    """The first line of the answer that decides."""
    if mechanism == 'PASS':
        client.send('USER demo\r\n')
        line = client.line()
        if not line.startswith('+OK'):
            return line
        client.send(f'PASS {PASSWORD}\r\n')
    elif mechanism == 'PLAIN':
        client.send(f'AUTH PLAIN {encode(chr(0) + "demo" + chr(0) + PASSWORD)}\r\n')
    elif mechanism == 'LOGIN':
        client.send('AUTH LOGIN\r\n')
        line = client.line()
        if not line.startswith('+ '):
            return line
        client.send(encode('demo') + '\r\n')
        assert client.line().startswith('+ ')
        client.send(encode(PASSWORD) + '\r\n')
    elif mechanism == 'CRAM-MD5':
        client.send('AUTH CRAM-MD5\r\n')
        line = client.line()
        if not line.startswith('+ '):
            return line
        stamp = base64.b64decode(line.split()[1])
        proof = hmac.new(PASSWORD.encode(), stamp, 'md5').hexdigest()
        client.send(encode(f'demo {proof}') + '\r\n')
    else:
        return finish_scram(client)
    return client.line()


MECHANISMS = {'PASS': True, 'PLAIN': True, 'LOGIN': True, 'CRAM-MD5': False,
              'SCRAM-SHA-256': False}  # in clear text?


@pytest.mark.parametrize('on_loopback,without_tls', itertools.product(('no', 'yes'), repeat=2))
@own_network
def test_where_passwords_may_be_in_clear_text(make_office, need_root, on_loopback, without_tls):
    office = make_office(settings={
        'login.plain_on_loopback': on_loopback, 'login.plain_without_tls': without_tls,
        'login.mechanisms': '"SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"'})
    for mechanism, source, tls in itertools.product(MECHANISMS, ('127.0.0.1', HERE), (0, 1)):
        allowed = (tls or not MECHANISMS[mechanism] or without_tls == 'yes' or
                   (source == '127.0.0.1' and on_loopback == 'yes'))
        with Pop(office.pop3, source=source) as client:
            if tls:
                client.ok('STLS')
                client.start_tls()
            line = login_by(client, mechanism)
            assert line.startswith('+OK' if allowed else '-ERR'), (mechanism, source, tls, line)
            if allowed:
                client.quit()
