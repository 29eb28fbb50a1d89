"""Bans: networks whose connections are refused before a greeting, until a time, over restarts."""
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest
from office import PASSWORD, wait_until
from sasl_socket import Asker

WORDS = 'guesses passwords'


@pytest.fixture
def guarded(make_office):
    """A started office with a control socket."""
    def start(settings=None, **more):
        office = make_office(start=False, **more)
        office.control = office.scratch / 'control'
        office.set('control.socket', f'"{office.control}"')
        for name, value in (settings or {}).items():
            office.set(name, value)
        office.start()
        return office
    return start


def ban(office, *arguments, check=True):
    verb, *rest = arguments
    return office.valija('ban', verb, '-c', office.conf, *rest, check=check)


def banned(office):
    return {row['network']: row for row in json.loads(ban(office, 'list', '--json').stdout)}


def from_address(office, address, port=None):
    """What a client of that address gets first; b'': it is turned away."""
    with socket.socket() as client:
        client.settimeout(20)
        client.bind((address, 0))
        try:
            client.connect(('127.0.0.1', port or office.pop3))
            return client.recv(512)
        except ConnectionResetError:
            return b''


def bans_file(office):
    return next(path for path in office.state.iterdir() if path.name.startswith('bans-'))


def test_a_banned_address_gets_no_greeting_and_others_do(guarded):
    office = guarded()
    assert banned(office) == {} and ban(office, 'list').stdout == ''
    done = ban(office, 'add', '--force', '--for', '90s', '--why', WORDS, '127.0.0.7')
    assert '127.0.0.7 is banned until ' in done.stdout
    assert from_address(office, '127.0.0.7') == b''
    assert from_address(office, '127.0.0.8').startswith(b'+OK')
    office.wait_log(r'banned network="127\.0\.0\.7" seconds=90 by-uid=\d+ reason="guesses\\x20pass')
    office.wait_log(r'refused-banned from=127\.0\.0\.7$')
    row = banned(office)['127.0.0.7']
    assert row['why'] == WORDS and 80 < row['until'] - time.time() <= 90
    assert ban(office, 'del', '127.0.0.7').stdout
    office.wait_log(r'unbanned network="127\.0\.0\.7" by-uid=\d+$')
    assert from_address(office, '127.0.0.7').startswith(b'+OK') and banned(office) == {}
    assert ban(office, 'del', '127.0.0.7', check=False).returncode == 69


def test_networks_within_networks(guarded):
    office = guarded()
    for network in ('127.1.0.0/16', '127.1.2.0/24', '127.1.2.3', '192.0.2.0/24', '2001:db8::/32',
                    '2001:db8:1::7'):
        ban(office, 'add', '--force', network)
    assert set(banned(office)) == {'127.1.0.0/16', '127.1.2.0/24', '127.1.2.3', '192.0.2.0/24',
                                   '2001:db8::/32', '2001:db8:1::/64'}
    for address in ('127.1.0.1', '127.1.2.3', '127.1.2.200', '127.1.255.255'):
        assert from_address(office, address) == b'', address
    for address in ('127.0.255.255', '127.2.0.1'):
        assert from_address(office, address).startswith(b'+OK'), address
    ban(office, 'del', '127.1.0.0/16')
    assert from_address(office, '127.1.2.9') == b''
    assert from_address(office, '127.1.3.1').startswith(b'+OK')


def test_a_ban_ends_by_itself(guarded):
    office = guarded()
    ban(office, 'add', '--force', '--for', '2s', '127.0.0.7')
    assert from_address(office, '127.0.0.7') == b''
    wait_until(lambda: from_address(office, '127.0.0.7').startswith(b'+OK'), 20)
    wait_until(lambda: banned(office) == {})
    wait_until(lambda: 'end 0' in bans_file(office).read_text())


def test_no_handshake_for_a_banned_address(guarded):
    office = guarded()
    ban(office, 'add', '--force', '127.0.0.7')
    context = ssl.create_default_context(cafile=office.cert)
    with socket.socket() as client:
        client.settimeout(20)
        client.bind(('127.0.0.7', 0))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            client.connect(('127.0.0.1', office.pop3s))
            context.wrap_socket(client, server_hostname='office.test')


def test_open_sessions_go_on_unless_they_are_ended(guarded, connect):
    office = guarded()
    pop = connect(office)
    pop.login('demo', PASSWORD)
    ban(office, 'add', '--force', '127.0.0.0/30')
    pop.ok('NOOP')
    done = ban(office, 'add', '--force', '--kick', '127.0.0.0/30')
    assert '1 open sessions' in done.stdout
    assert pop.closed() == b''
    office.wait_log(r'session-end .*reason="kicked"')


def test_bans_hold_over_reload_restart_and_the_death_of_a_front(guarded):
    office = guarded()
    ban(office, 'add', '--force', '--why', WORDS, '127.0.0.7')
    office.reload()
    assert from_address(office, '127.0.0.7') == b''
    front = next(pid for pid, line in office.children().items() if 'front' in line)
    office.allow('front')
    mark = office.mark()
    os.kill(front, signal.SIGKILL)
    wait_until(lambda: front not in office.children() and
               sum('front' in line for line in office.children().values()) >= 1)
    office.wait_log('front', since=mark)
    for _ in range(20):
        assert from_address(office, '127.0.0.7') == b''
    before = banned(office)
    office.restart()
    assert from_address(office, '127.0.0.7') == b'' and banned(office) == before
    assert from_address(office, '127.0.0.8').startswith(b'+OK')


def test_bans_hold_over_upgrades(guarded):
    office = guarded()
    ban(office, 'add', '--force', '--why', WORDS, '127.0.0.7')
    before = banned(office)
    for _ in range(2):
        office.upgrade()
        assert from_address(office, '127.0.0.7') == b'' and banned(office) == before
        assert from_address(office, '127.0.0.8').startswith(b'+OK')
    ban(office, 'del', '127.0.0.7')
    assert from_address(office, '127.0.0.7').startswith(b'+OK')


def test_nobody_is_shut_out_by_accident(guarded):
    office = guarded()
    for network in ('0.0.0.0/0', '127.0.0.1', '127.0.0.0/8', '126.0.0.0/7', '::1', '::/0',
                    '10.0.0.0/7', '2000::/3', '::ffff:127.0.0.1'):
        done = ban(office, 'add', network, check=False)
        assert done.returncode == 69 and '--force' in done.stderr, (network, done)
    assert banned(office) == {}
    ban(office, 'add', '10.0.0.0/8')
    ban(office, 'add', '--force', '0.0.0.0/0')
    assert from_address(office, '127.0.0.1') == b''
    ban(office, 'del', '0.0.0.0/0')  # the control socket is no network
    ban(office, 'add', '--force', '::/0')
    assert from_address(office, '127.0.0.1').startswith(b'+OK')


@pytest.mark.parametrize('arguments', [
    ('add',), ('add', 'x'), ('add', '1.2.3.4/33'), ('add', '1.2.3.4', '--for', '0d'),
    ('add', '1.2.3.4', '--for', '11y'), ('add', '1.2.3.4', '--why', 'a\nb'),
    ('add', '1.2.3.4', '--why', 'x' * 121), ('del',), ('list', '1.2.3.4'), ('del', 'x', '--kick'),
    ('show',)])
def test_what_is_no_ban_is_refused(guarded, arguments):
    office = guarded()
    assert ban(office, *arguments, check=False).returncode == 64
    assert banned(office) == {}


def test_logins_of_a_banned_address_at_an_mta_fail(guarded, need_root):
    """The address that the MTA names (rip=); the right password does not help. Mail for LMTP and
    questions of the MTA itself go on."""
    office = guarded()
    office.stop()
    path = office.scratch / 'auth'
    office.set('sasl.listen', f'"{path}"')
    office.start()
    ban(office, 'add', '192.0.2.0/24')
    with Asker(path) as asker:
        asker.plain(1, 'demo', PASSWORD, 'secured', 'rip=192.0.2.9')
        line = asker.line()
        assert line.startswith('FAIL\t1\t') and 'temp' not in line
    with Asker(path) as asker:
        asker.plain(1, 'demo', PASSWORD, 'secured', 'rip=198.51.100.9')
        assert asker.line().startswith('OK\t1\t')
        ban(office, 'add', '--force', '127.0.0.0/8')
        asker.plain(2, 'demo', PASSWORD)
        assert asker.line().startswith('OK\t2\t')
    assert from_address(office, '127.0.0.1', office.lmtp).startswith(b'220 ')
    office.wait_log(r'mta0\[\d+\]: refused-banned from=192\.0\.2\.9$')


def test_many_refusals_are_summed_up(guarded):
    office = guarded()
    ban(office, 'add', '--force', '127.0.0.7')
    for _ in range(30):
        assert from_address(office, '127.0.0.7') == b''
    office.stop()
    fronts = len(set(re.findall(r'(front\d+)\[\d+\]: refused-banned', office.log_text())))
    assert 1 <= office.log_text().count('refused-banned from=') <= 10 * fronts
    sums = re.findall(r'summed-up from=\S+ lines=(\d+) .*of="refused-banned"', office.log_text())
    assert office.log_text().count('refused-banned from=') + sum(map(int, sums)) == 30


DAMAGE = [('no head', 'bans\nend 0\n', ':1:'),
          ('nothing', '', ':1:'),
          ('cut', 'valija-bans 1\n192.0.2.0/24 until=9999999999 since=1 by-uid=0 why=\n', ':3:'),
          ('cut within', 'valija-bans 1\n192.0.2.0/24 until=99', ':2:'),
          ('no network', 'valija-bans 1\nx until=9999999999 since=1 by-uid=0 why=\nend 1\n', ':2:'),
          ('no number', 'valija-bans 1\n192.0.2.0/24 until= since=1 by-uid=0 why=\nend 1\n', ':2:'),
          ('a count', 'valija-bans 1\nend 1\n', ':2:'),
          ('more behind', 'valija-bans 1\nend 0\nend 0\n', ':3:')]


@pytest.mark.parametrize('text, line', [case[1:] for case in DAMAGE],
                         ids=[case[0] for case in DAMAGE])
def test_a_damaged_file_is_an_error_with_its_line(guarded, text, line):
    office = guarded()
    ban(office, 'add', '--force', '127.0.0.7')
    office.stop()
    path = bans_file(office)
    path.write_text(text)
    office.allow('bans: ')
    office.start()
    office.wait_log(rf'error: bans: {path}{line}')
    for command in (('list',), ('add', '192.0.2.1'), ('del', '192.0.2.1')):
        done = ban(office, *command, check=False)
        assert done.returncode == 69 and f'{path}{line}' in done.stderr, done
    assert path.read_text() == text
    path.unlink()
    office.reload()
    assert banned(office) == {}


def test_what_is_sound_in_a_damaged_file_holds(guarded):
    office = guarded()
    ban(office, 'add', '--force', '127.0.0.7')
    office.stop()
    path = bans_file(office)
    path.write_text(path.read_text().replace('end', 'x\nend'))
    office.allow('bans: ')
    office.start()
    assert from_address(office, '127.0.0.7') == b''
    path.write_text(path.read_text().replace('x\n', ''))
    office.reload()
    assert set(banned(office)) == {'127.0.0.7'}


def test_what_cannot_be_written_down_holds_and_says_so(guarded):
    office = guarded()
    ban(office, 'add', '192.0.2.1')
    path = bans_file(office)
    office.allow('not written down')
    staged = path.with_name(path.name + '.new')
    staged.mkdir()
    done = ban(office, 'add', '--force', '127.0.0.7', check=False)
    assert done.returncode == 69 and 'not written down' in done.stderr, done
    assert from_address(office, '127.0.0.7') == b''
    staged.rmdir()
    ban(office, 'add', '192.0.2.2')
    office.restart()
    assert set(banned(office)) == {'127.0.0.7', '192.0.2.1', '192.0.2.2'}


def test_threat_123_only_who_may_bans(guarded, need_root):
    """Another user of the machine neither bans, nor lifts a ban, nor reads the list."""
    office = guarded()
    ban(office, 'add', '--force', '--why', WORDS, '127.0.0.7')
    for command in (['add', '192.0.2.1'], ['del', '127.0.0.7'], ['list']):
        done = subprocess.run(
            ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups',
             str(office.bin / 'valija'), 'ban', command[0], '--socket', str(office.control),
             *command[1:]], capture_output=True, text=True, timeout=60)
        assert done.returncode == 69 and 'control.group' in done.stderr, done
        assert WORDS not in done.stdout
    assert set(banned(office)) == {'127.0.0.7'}
    assert bans_file(office).stat().st_mode & 0o077 == 0


def penalties(office):
    """Asked again where auth is being started."""
    def ask():
        done = office.valija('ban', 'list', '-c', office.conf, '--penalties', '--json',
                             check=False)
        return done if done.returncode == 0 else None
    return {row['network']: row for row in json.loads(wait_until(ask, 20).stdout)}


@pytest.fixture
def guessed(guarded, need_root):
    """guessed(): an office where addresses have failed: 192.0.2.9 three times, 2001:db8::7 once."""
    def start(**settings):
        office = guarded({'login.failure_delay_max': '60s'})
        office.stop()
        office.asker = office.scratch / 'auth'
        office.set('sasl.listen', f'"{office.asker}"')
        office.start()
        for address in ('192.0.2.9', '192.0.2.9', '2001:db8::7', '192.0.2.9'):
            guess(office, address)
        return office
    return start


def guess(office, address):
    with Asker(office.asker) as asker:
        asker.plain(1, 'demo', 'wrong', 'secured', f'rip={address}')
        assert asker.line().startswith('FAIL\t1\t')


def test_a_reload_wipes_no_penalty(guessed):
    office = guessed()
    before = penalties(office)
    assert before['192.0.2.9']['failures'] == 3 and before['192.0.2.9']['delay_ms'] == 8
    assert set(before) == {'192.0.2.9', '2001:db8::/64'}
    for _ in range(3):
        office.reload()
        wait_until(lambda: penalties(office).get('192.0.2.9', {}).get('delay_ms') == 8)
    guess(office, '192.0.2.9')
    after = penalties(office)
    assert after['192.0.2.9']['failures'] == 4 and after['2001:db8::/64']['failures'] == 1
    assert 'FAILURES' in office.valija('ban', 'list', '-c', office.conf, '--penalties').stdout


def test_an_upgrade_wipes_no_penalty(guessed):
    office = guessed()
    for _ in range(2):
        office.upgrade()
        wait_until(lambda: penalties(office).get('192.0.2.9', {}).get('failures') == 3)
    assert penalties(office)['2001:db8::/64']['failures'] == 1


def test_neither_does_the_death_of_auth(guessed):
    office = guessed()
    time.sleep(6)  # auth sends its table every 5 s; nothing tells when it did
    [auth] = [pid for pid in office.children()
              if open(f'/proc/{pid}/comm').read().strip() == 'auth0']
    office.allow('auth')
    os.kill(auth, signal.SIGKILL)
    wait_until(lambda: auth not in office.children())
    failures = {network: row['failures'] for network, row in penalties(office).items()}
    assert failures == {'192.0.2.9': 3, '2001:db8::/64': 1}


def test_threat_124_what_an_older_generation_failed_counts(guessed):
    """Failures of sessions that a reload left in the old generation reach the new one."""
    office = guessed()
    with Asker(office.asker) as old:
        old.plain(7, 'demo', 'wrong', 'secured', 'rip=198.51.100.1')
        assert old.line().startswith('FAIL\t7\t')
        old.start(8, 'LOGIN', 'secured', 'rip=198.51.100.1')
        old.line()
        office.reload()
        old.respond(8, b'demo')
        old.line()
        old.respond(8, b'wrong')
        assert old.line().startswith('FAIL\t8\t')
    wait_until(lambda: penalties(office).get('198.51.100.1', {}).get('failures') == 2, 20)
