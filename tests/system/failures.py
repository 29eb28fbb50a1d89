"""A log of a real server in which logins fail in each way, for the programs that ban by it."""
import base64
import hashlib
import os
import re
import socket

from office import PASSWORD, wait_until
from sasl_socket import Asker

FORGED = [
    'nobody', 'x" from=6.6.6.6', 'x from=6.6.6.6 session=a1-7 mechanism=', '\x1b[2J6.6.6.6',
    'auth0[1]: login-refused from=6.6.6.6 session=a1-7 mechanism="USER" tls="no" user="x"',
    '" reason="too many sessions of this user"', '\n2026-11-28T12:00:00+0000 auth0[1]: '
    'login-refused from=6.6.6.6 session=a1-7 mechanism="USER" tls="no" user="x"']
GUESSER, SECOND, MTA_CLIENT = '127.0.0.7', '127.0.0.9', '192.0.2.9'
IN_FULL = 9  # lines of an address in a minute: more than ten are summed up


class Line:
    def __init__(self, office, address):
        self.socket = socket.create_connection(('127.0.0.1', office.pop3), 20, (address, 0))
        self.stream = self.socket.makefile('rb')
        self.greeting = self.stream.readline()

    def ask(self, text):
        self.socket.sendall(text + b'\r\n')
        return self.stream.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()


def fail_each_way(office):
    """One connection a failure. Returns how many there were by each address."""
    def plain(name):
        return b'AUTH PLAIN ' + base64.b64encode(f'\0{name}\0wrong'.encode())
    ways = [[plain(name)] for name in ('demo', *FORGED)]
    ways += [[b'USER demo', b'PASS wrong'], [b'USER nobody', b'PASS wrong'],
             [b'AUTH LOGIN', base64.b64encode(b'demo'), base64.b64encode(b'wrong')],
             [b'AUTH SCRAM-SHA-256', base64.b64encode(b'n,,n=demo,r=abcdefghijkl'), b'SCRAM'],
             [b'APOP demo ' + hashlib.md5(b'wrong').hexdigest().encode()]]
    failures = {GUESSER: 0, SECOND: 0}
    for number, way in enumerate(ways):
        address = GUESSER if number < IN_FULL else SECOND
        with Line(office, address) as line:
            for text in way:
                if text == b'SCRAM':
                    server = base64.b64decode(answer[2:])
                    nonce = re.search(rb'r=([^,]*)', server)[1]
                    proof = base64.b64encode(bytes(32))
                    text = base64.b64encode(b'c=biws,r=' + nonce + b',p=' + proof)
                answer = line.ask(text)
            assert answer.startswith(b'-ERR'), (way, answer)
            failures[address] += 1
    return failures


def make_log(make_office, connect):
    """The path of the log, and how many failures it has of each address."""
    office = make_office(start=False, settings={'limits.sessions_per_user': '1'})
    path = office.dir / 'valija.log'
    office.set('log_to', f'"{path}"')
    office.set('apop', 'yes')
    office.set('sasl.listen', f'"{office.scratch}/auth"')
    office.start(wait=False)
    wait_until(lambda: path.exists() and 'ready: ' in path.read_text(), 30)
    failures = fail_each_way(office)
    if os.geteuid() == 0:
        with Asker(office.scratch / 'auth') as asker:
            for number in range(3):
                asker.plain(number, 'demo', 'wrong', 'secured', f'rip={MTA_CLIENT}')
                assert asker.line().startswith('FAIL\t')
        failures[MTA_CLIENT] = 3
    good = connect(office)
    good.login('demo', PASSWORD)
    with Line(office, '127.0.0.8') as more:  # the password is right
        more.ask(b'USER demo')
        assert b'too many sessions' in more.ask(b'PASS ' + PASSWORD.encode())
    good.quit()
    wait_until(lambda: path.read_text().count('login-refused from=') ==
               sum(failures.values()) + 1 and ' session-end ' in path.read_text())
    return path, failures
