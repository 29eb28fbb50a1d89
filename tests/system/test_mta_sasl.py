"""The socket where an MTA asks who may send mail: the protocol, who is believed, what fails how."""
import hashlib
import hmac
import os
import re
import signal
import subprocess
import time

import pytest
from office import NOBODY, PASSWORD, TICK, free_port
from own_network import own_network
from pop import Pop, client_context
from sasl_socket import Asker, add_database_that_is_down, decode, encode


@pytest.fixture
def asked(make_office):
    """asked(…): a started office with the socket, and its path."""
    def start(**more):
        settings = more.pop('settings', {})
        office = make_office(start=False, **more)
        path = office.scratch / 'auth'
        office.set('sasl.listen', f'"{path}"')
        for name, value in settings.items():
            office.set(name, value)
        office.start()
        return office, path
    return start


def child(office, role):
    """The pid of a process of the server."""
    [pid] = [pid for pid in office.children()
             if open(f'/proc/{pid}/comm').read().strip() == f'{role}0']
    return pid


def test_the_greeting_comes_first(asked):
    """Without a word of the client, mechanisms in front of SPID, none with channel binding."""
    office, path = asked()
    with Asker(path) as one, Asker(path) as other:
        lines = one.greeting
        words = [line.split('\t')[0] for line in lines]
        assert lines[0] == 'VERSION\t1\t2'
        assert words == ['VERSION', *['MECH'] * len(one.mechanisms()), 'SPID', 'CUID', 'COOKIE',
                         'DONE']
        assert one.mechanisms() == ['SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN', 'LOGIN']
        assert 'MECH\tPLAIN\tplaintext' in lines
        assert re.fullmatch(r'COOKIE\t[0-9a-f]{32}', lines[-2])
        assert one.greeting[-3] != other.greeting[-3] and lines[-2] != other.greeting[-2]


def test_mechanisms_are_the_sites(asked):
    """A users file that has no keys for SCRAM, and a site that names one mechanism."""
    office, path = asked(users=())
    office.add_user('demo', scheme='SHA512-CRYPT')
    office.restart()
    with Asker(path) as asker:
        assert asker.mechanisms() == ['PLAIN', 'LOGIN']
    office.set('login.mechanisms', '{"LOGIN"}')
    office.restart()
    with Asker(path) as asker:
        assert asker.mechanisms() == ['LOGIN']
        asker.plain(1)  # not offered
        assert asker.line().startswith('FAIL\t1\t')


def test_plain_and_login(asked):
    office, path = asked()
    with Asker(path) as asker:
        asker.plain(1)
        assert asker.line() == 'OK\t1\tuser=demo'
        asker.start(2, 'PLAIN', 'secured')
        assert decode(asker.line()) == b''
        asker.respond(2, f'\0DEMO\0{PASSWORD}')
        assert asker.line() == 'OK\t2\tuser=demo'  # the name as the users file has it
        asker.start(3, 'LOGIN', 'secured', response='')  # as Exim, whose client sent none
        decode(asker.line())
        asker.respond(3, 'demo')
        decode(asker.line())
        asker.respond(3, PASSWORD)
        assert asker.line() == 'OK\t3\tuser=demo'
    office.wait_log(r'login from=local session=\S+ service="smtp" mechanism="LOGIN" tls="yes" '
                    r'user="demo"')


def test_app_passwords(asked):
    office, path = asked()

    def make(*options):
        return office.valija('user', 'app', 'add', '-c', office.conf, 'demo',
                             *options).stdout.strip()
    phone, helpdesk = make('--label', 'phone'), make('--label', 'helpdesk', '--no-delete')
    with Asker(path) as asker:
        asker.plain(1, 'demo', phone)
        assert asker.line() == 'OK\t1\tuser=demo'
        asker.plain(2, 'demo', helpdesk)  # good for looking at mail, not for sending it
        assert asker.line().startswith('FAIL\t2')
    office.wait_log(r'login from=local .*service="smtp".* user="demo" label="phone"')
    office.wait_log(r'login-refused .*the app password is for reading only')
    with Pop(office.pop3) as client:
        client.login('demo', helpdesk)


def test_scram(asked):
    """RFC 7677: the last message of the server comes as a challenge, and is answered by nothing."""
    office, path = asked()
    with Asker(path) as asker:
        first = 'n=demo,r=abc'
        asker.start(1, 'SCRAM-SHA-256', response='n,,' + first)
        server = decode(asker.line()).decode()
        fields = dict(part.split('=', 1) for part in server.split(','))
        salted = hashlib.pbkdf2_hmac('sha256', PASSWORD.encode(),
                                     __import__('base64').b64decode(fields['s']), int(fields['i']))
        last = f'c={encode("n,,")},r={fields["r"]}'
        whole = f'{first},{server},{last}'.encode()

        def mac(key, text):
            return hmac.new(key, text, hashlib.sha256).digest()
        key = mac(salted, b'Client Key')
        proof = bytes(a ^ b for a, b in zip(key, mac(hashlib.sha256(key).digest(), whole)))
        asker.respond(1, f'{last},p={encode(proof)}')
        assert decode(asker.line()) == b'v=' + encode(mac(mac(salted, b'Server Key'),
                                                          whole)).encode()
        asker.respond(1, '')
        assert asker.line() == 'OK\t1\tuser=demo'


def test_wrong_passwords_and_unknown_users_look_alike(asked):
    office, path = asked()
    with Asker(path) as asker:
        asker.plain(1, password='wrong')
        wrong = asker.line()
        assert wrong == 'FAIL\t1\treason=wrong user name or password'
        asker.plain(1, user='ghost')
        assert asker.line() == wrong
        asker.plain(1, password='')
        assert asker.line() == wrong
    office.wait_log(r'login-refused from=local session=\S+ service="smtp" mechanism="PLAIN"')


def test_one_exchange_does_not_harm_another(asked):
    """Interleaved, and one of them is not base64, is cancelled, or is none."""
    office, path = asked()
    with Asker(path) as asker:
        asker.start(1, 'LOGIN', 'secured')
        decode(asker.line())
        asker.send('AUTH\t2\tPLAIN\tservice=smtp\tsecured\tresp=!!!')
        assert asker.line().startswith('FAIL\t2\t')
        asker.start(3, 'LOGIN', 'secured')
        decode(asker.line())
        asker.send('CANCEL\t3', 'CANCEL\t99', 'NEWS\tof\ta\tlater\tversion')
        asker.send('CONT\t3\t')
        assert asker.line().startswith('FAIL\t3\t')
        asker.start(4, 'X' * 500, response='')
        assert asker.line().startswith('FAIL\t4\t')
        asker.start(5, 'PLAIN', 'secured', response='x' * 12000)
        assert asker.line().startswith('FAIL\t5\t')
        asker.respond(1, 'demo')
        decode(asker.line())
        asker.respond(1, PASSWORD)
        assert asker.line() == 'OK\t1\tuser=demo'


def test_no_secret_in_clear_text(asked):
    """From a network without TLS: no, unless the site says so; on this machine: as for POP3."""
    office, path = asked()
    with Asker(path) as asker:
        asker.plain(1, 'demo', PASSWORD, 'rip=192.0.2.7')
        assert asker.line() == 'FAIL\t1\treason=not in clear text: use TLS'
        asker.plain(2, 'demo', PASSWORD, 'rip=192.0.2.7', 'secured=tls')
        assert asker.line() == 'OK\t2\tuser=demo'
        asker.plain(3, 'demo', PASSWORD, 'rip=127.0.0.1')
        assert asker.line() == 'OK\t3\tuser=demo'
    office.set('login.plain_on_loopback', 'no')
    office.reload()
    with Asker(path) as asker:
        asker.plain(1, 'demo', PASSWORD, 'rip=127.0.0.1')
        assert asker.line() == 'FAIL\t1\treason=not in clear text: use TLS'


def test_it_opens_no_maildrop(asked):
    """A login beside an open session, where a user may have one."""
    office, path = asked(settings={'limits.sessions_per_user': '1'})
    with Pop(office.pop3) as pop, Asker(path) as asker:
        pop.login('demo', PASSWORD)
        for number in range(5):
            asker.plain(number)
            assert asker.line() == f'OK\t{number}\tuser=demo'
        pop.ok('STAT')


@own_network
def test_failures_are_counted_together_with_pop3(asked):
    """The delay of an address doubles over both: what POP3 waits for tells of SMTP's failures."""
    office, path = asked(settings={'login.failure_delay': '100ms', 'login.failure_delay_max': '3s',
                                   'pop3s.listen': '{"10.9.9.1:1995"}'})
    with Asker(path) as asker:
        for number in range(4):  # 100, 200, 400, 800 ms
            asker.plain(number, 'demo', 'wrong', 'secured', 'rip=10.9.9.2')
            assert asker.line().startswith(f'FAIL\t{number}\t')
    with Pop(1995, client_context(), host='10.9.9.1', source='10.9.9.2') as pop:
        before = time.monotonic()
        assert pop.err(pop.plain('demo', 'wrong')).startswith('-ERR [AUTH]')
        assert time.monotonic() - before >= 1.5 - TICK
    with Asker(path) as asker:
        before = time.monotonic()
        asker.plain(1, 'demo', 'wrong', 'secured', 'rip=10.9.9.2')
        assert asker.line().startswith('FAIL\t1\t')
        assert time.monotonic() - before >= 2.9 - TICK


SPOOF = '''
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile('rb')
while f.readline() != b'DONE\\n':
    pass
s.sendall(b'VERSION\\t1\\t0\\nCPID\\t1\\n' + sys.argv[2].encode() + b'\\n')
print(f.readline().decode().strip())
'''


def ask_as(uid, path, line):
    return subprocess.run(['setpriv', f'--reuid={uid}', f'--regid={uid}', '--clear-groups',
                           '/usr/bin/python3', '-c', SPOOF, str(path), line], check=True,
                          capture_output=True, text=True, cwd='/', timeout=30).stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason='needs root, to be another user')
def test_threat_96_an_address_is_believed_of_an_mta_only(asked):
    """Another user of the machine can neither put the blame on an address nor claim its TLS."""
    office, path = asked(settings={'login.plain_on_loopback': 'no'})
    wrong = f'AUTH\t1\tPLAIN\tservice=smtp\tsecured\trip=192.0.2.7\tresp={encode("demo")}'
    response = encode(f'\0demo\0{PASSWORD}')
    right = f'AUTH\t1\tPLAIN\tservice=smtp\tsecured\tresp={response}'
    assert ask_as(NOBODY, path, right) == 'FAIL\t1\treason=not in clear text: use TLS'
    assert ask_as(NOBODY, path, wrong.replace('PLAIN', 'LOGIN')).startswith('FAIL\t1\t')
    assert '192.0.2.7' not in office.log_text()
    office.set('sasl.peers', '{"nobody"}')
    office.reload()
    assert ask_as(NOBODY, path, right) == 'OK\t1\tuser=demo'
    assert ask_as(NOBODY, path, wrong).startswith('FAIL\t1\t')
    office.wait_log(r'login-refused from=192\.0\.2\.7 ')


def test_threat_96_over_tcp_nobody_is_believed(asked):
    port = free_port()
    office, _ = asked(settings={'sasl.listen': f'{{"127.0.0.1:{port}"}}'})
    with Asker(('127.0.0.1', port)) as asker:
        asker.plain(1, 'demo', 'wrong', 'secured', 'rip=192.0.2.7')
        assert asker.line().startswith('FAIL\t1\t')
    office.wait_log(r'login-refused from=127\.0\.0\.1 |login-refused from=local ')
    assert '192.0.2.7' not in office.log_text()


HELLO = b'VERSION\t1\t0\nCPID\t1\n'
GARBAGE = {
    'http': b'GET / HTTP/1.1\r\n\r\n', 'nul': b'\0' * 5000 + b'\n',
    'version': b'VERSION\t2\t0\n', 'no version': b'CPID\t1\n', 'no hello': b'AUTH\t1\tPLAIN\n',
    'two versions': b'VERSION\t1\t0\nVERSION\t1\t0\n', 'no end': b'A' * 1000000,
    'no number': HELLO + b'AUTH\tx\n',
    'no end of a response': HELLO + b'AUTH\t1\tPLAIN\tresp=' + b'A' * 100000,
    'a number twice': HELLO + b'AUTH\t1\tLOGIN\nAUTH\t1\tLOGIN\n',
}


@pytest.mark.parametrize('what', GARBAGE)
def test_threat_97_what_is_not_the_protocol_ends_the_connection(asked, what):
    """… and no other one."""
    octets = GARBAGE[what]
    office, path = asked()
    with Asker(path) as other, Asker(path, greet=False) as asker:
        other.start(1, 'LOGIN', 'secured')
        decode(other.line())
        try:
            asker.socket.sendall(octets)
        except (BrokenPipeError, ConnectionResetError):
            pass
        while asker.line():  # the greeting, then the end
            pass
        other.respond(1, 'demo')
        decode(other.line())
        other.respond(1, PASSWORD)
        assert other.line() == 'OK\t1\tuser=demo'


def test_threat_97_more_exchanges_than_it_may_have(asked):
    """Those beyond wait until others are over; nothing is lost."""
    office, path = asked(settings={'limits.connections_per_address': '0'})
    with Asker(path) as asker:
        for number in range(300):
            asker.plain(number)
        answers = {asker.line() for _ in range(300)}
        assert answers == {f'OK\t{number}\tuser=demo' for number in range(300)}


def test_a_database_that_is_down_closes_the_connection(make_office):
    """An MTA takes FAIL for a wrong password, the end of the connection for a fault that passes."""
    office = make_office(start=False)
    add_database_that_is_down(office)
    path = office.scratch / 'auth'
    office.set('sasl.listen', f'"{path}"')
    office.start()
    with Asker(path) as asker:
        asker.plain(1, user='anna@away.example')
        assert asker.line() == ''
    with Asker(path) as asker:  # another exchange is open: it goes on
        asker.start(1, 'LOGIN', 'secured')
        decode(asker.line())
        asker.plain(2, user='anna@away.example')
        assert re.fullmatch(r'FAIL\t2\treason=.*\tcode=temp_fail\ttemp', asker.line())
        asker.respond(1, 'demo')  # of no domain: that database cannot have it
        decode(asker.line())
        asker.respond(1, PASSWORD)
        assert asker.line() == 'OK\t1\tuser=demo'


def test_an_auth_that_dies(asked):
    """What it was asked fails for now; the next one serves."""
    office, path = asked()
    office.allow('auth')
    with Asker(path) as asker:
        asker.start(1, 'LOGIN', 'secured')
        decode(asker.line())
        os.kill(child(office, 'auth'), signal.SIGKILL)
        assert asker.line() == ''
    with Asker(path) as asker:  # waits for the next one, if need be
        asker.plain(1)
        assert asker.line() == 'OK\t1\tuser=demo'


def test_an_auth_that_does_not_answer(asked):
    """Before Postfix gives up, which is after ten seconds."""
    office, path = asked()
    office.allow('auth')
    with Asker(path) as asker:
        pid = child(office, 'auth')
        os.kill(pid, signal.SIGSTOP)
        try:
            before = time.monotonic()
            asker.plain(1)
            assert asker.line() == ''
            assert 7 < time.monotonic() - before < 10
        finally:
            os.kill(pid, signal.SIGCONT)


def test_a_reload_ends_idle_connections_only(asked):
    office, path = asked()
    with Asker(path) as idle, Asker(path) as busy:
        busy.start(1, 'LOGIN', 'secured')
        decode(busy.line())
        office.reload()
        assert idle.line() == ''
        busy.respond(1, 'demo')
        decode(busy.line())
        busy.respond(1, PASSWORD)
        assert busy.line() == 'OK\t1\tuser=demo'
    with Asker(path) as asker:
        asker.plain(1)
        assert asker.line() == 'OK\t1\tuser=demo'


@pytest.mark.parametrize('value, words', [
    ('{"0.0.0.0:1200"}', 'on this machine'), ('{"[::]:1200"}', 'on this machine'),
    ('{"192.0.2.1:1200"}', 'on this machine')])
def test_other_machines_cannot_ask(make_office, value, words):
    office = make_office(start=False)
    office.set('sasl.listen', value)
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode and words in done.stderr


def test_peers_that_do_not_exist(make_office):
    office = make_office(start=False)
    office.set('sasl.listen', f'"{office.scratch}/auth"')
    office.set('sasl.peers', '{"no-such-user"}')
    done = office.valijad('-c', office.conf, timeout=20)
    assert done.returncode == 67 and 'no-such-user' in done.stderr + done.stdout
    office.set('sasl.peers', '{"a b/c"}')
    assert office.valijad('-t', '-c', office.conf).returncode
