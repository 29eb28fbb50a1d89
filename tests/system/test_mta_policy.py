"""The socket where Postfix asks, before it takes a message, whether a mailbox is full: the policy
service. Refused is what is certain; of all that is doubtful Postfix decides ("DUNNO")."""
import os
import signal
import time

import pytest
from lmtp import Lmtp
from mta import Connection, starter
from office import wait_until
from sasl_socket import add_database_that_is_down
from test_owners import FIRST_UID, keepers, owners_office

DUNNO, FULL = 'DUNNO', '452 4.2.2 the mailbox is full, try again later'
MESSAGE = b'Subject: one\r\n\r\n' + b'x' * 400 + b'\r\n'


class Policy(Connection):
    def send(self, recipient, size=0, **more):
        """A request as Postfix 3.7 sends it at RCPT."""
        attributes = {
            'request': 'smtpd_access_policy', 'protocol_state': 'RCPT', 'protocol_name': 'ESMTP',
            'helo_name': 'client.example', 'queue_id': '', 'sender': 'x@elsewhere.example',
            'recipient': recipient, 'recipient_count': 0, 'client_address': '192.0.2.1',
            'client_name': 'unknown', 'instance': '123.456.7', 'sasl_method': '', 'size': size,
            **more}
        self.socket.sendall(''.join(f'{name}={value}\n' for name, value in attributes.items())
                            .encode() + b'\n')

    def action(self):
        """The action of the next answer; '' at the end of the connection."""
        try:
            line = self.file.readline().decode()
        except ConnectionResetError:
            return ''
        if not line:
            return ''
        assert line.startswith('action=') and self.file.readline() == b'\n', line
        return line[len('action='):-1]

    def ask(self, recipient, size=0, **more):
        self.send(recipient, size, **more)
        return self.action()


def deliver(office, *recipients):
    with Lmtp(office.lmtp) as client:
        client.expect('MAIL FROM:<carol@example.com>', '250')
        for recipient in recipients:
            client.expect(f'RCPT TO:<{recipient}>', '250')
        client.expect('DATA', '354')
        client.send(MESSAGE + b'.\r\n')
        for _ in recipients:
            assert client.reply().startswith('250')
        client.quit()


@pytest.fixture
def asked(make_office):
    """asked(…): a started office with the socket, and its path."""
    return starter(make_office, 'policy.listen', {'lmtp.domains': '{"example.org"}'})


def test_a_full_mailbox(asked):
    """By messages; for each address that leads to it, by the words that LMTP has."""
    office, path = asked({'quota.messages': '2'}, users=('demo', 'anna'),
                         aliases='both: anna, demo\n')
    with Policy(path) as policy:
        deliver(office, 'demo@example.org')
        assert policy.ask('demo@example.org') == DUNNO
        deliver(office, 'demo@example.org')
        for address in ('demo@example.org', 'DEMO+lists@Example.ORG', 'both@example.org'):
            assert policy.ask(address) == FULL, address
        for address in ('anna@example.org', 'ghost@example.org', 'demo@example.com', ''):
            assert policy.ask(address) == DUNNO, address
        with Lmtp(office.lmtp) as client:
            client.expect('MAIL FROM:<carol@example.com>', '250')
            assert client.ask('RCPT TO:<demo@example.org>') == FULL
            client.quit()
        for path in office.files('demo'):
            path.unlink()
        assert policy.ask('demo@example.org') == DUNNO


def test_for_good(asked):
    """quota.over is permanent: the same code as of LMTP."""
    office, path = asked({'quota.messages': '1', 'quota.over': '"permanent"'})
    with Policy(path) as policy:
        deliver(office, 'demo@example.org')
        assert policy.ask('demo@example.org') == '552 5.2.2 the mailbox is full'


def test_the_size_that_its_sender_says(asked):
    """A message that cannot fit is refused; one whose size is not known is taken."""
    office, path = asked({'quota.octets': '10K'})
    with Policy(path) as policy:
        for size, action in ((0, DUNNO), (10240, DUNNO), (10241, FULL), (2 ** 63 - 1, FULL),
                             (2 ** 64, DUNNO), ('-1', DUNNO), ('', DUNNO), ('much', DUNNO)):
            assert policy.ask('demo@example.org', size) == action, size
        deliver(office, 'demo@example.org')
        stored = office.files('demo')[0].stat().st_size
        assert policy.ask('demo@example.org', 10240 - stored) == DUNNO
        assert policy.ask('demo@example.org', 10241 - stored) == FULL
        assert policy.ask('demo@example.org') == DUNNO


def test_a_quota_of_the_user(asked):
    """It stands above that of the site."""
    def write(office):
        users = office.dir / 'users'
        lines = users.read_text().splitlines()
        more = {'anna': '::::::quota_messages=2', 'bert': '::::::quota_octets=1'}
        users.write_text(''.join(line + more.get(line.split(':')[0], '') + '\n' for line in lines))

    office, path = asked({'quota.messages': '1'}, users=('demo', 'anna', 'bert'), prepare=write)
    with Policy(path) as policy:
        assert policy.ask('bert@example.org', 2) == FULL
        for user in ('demo', 'anna'):
            deliver(office, f'{user}@example.org')
        assert policy.ask('demo@example.org') == FULL
        assert policy.ask('anna@example.org') == DUNNO


def test_what_is_doubtful_is_not_refused(asked):
    """… but asked once more, in a clear way, it is."""
    office, path = asked({'quota.messages': '1'})
    deliver(office, 'demo@example.org')
    full = 'recipient=demo@example.org\n'
    kind = 'request=smtpd_access_policy\n'
    with Policy(path) as policy:
        for text in (kind + full + full, kind + full + 'recipient=\n', full,
                     'request=other\n' + full, kind + full + kind.replace('access', 'x'),
                     kind + full[:-1] + '\0\n', kind + full[:-1] + '\r\n',
                     kind + 'recipient=' + 'x' * 600 + '\n',
                     kind + full + 'recipient=' + 'x' * 5000 + '\n', kind, ''):
            policy.socket.sendall(text.encode() + b'\n')
            assert policy.action() == DUNNO, text
            assert policy.ask('demo@example.org') == FULL
        assert policy.ask('demo@example.org', ccert_subject='x' * 5000) == FULL
        assert policy.ask('demo@example.org', protocol_state='END-OF-MESSAGE') == FULL


def test_a_database_that_is_down(asked):
    office, path = asked({'quota.messages': '1'}, prepare=add_database_that_is_down)
    with Policy(path) as policy:
        assert policy.ask('anna@away.example') == DUNNO
        deliver(office, 'demo@example.org')
        assert policy.ask('demo@example.org') == FULL


def stop_keepers(office, how):
    pids = [pid for pid, line in office.children().items() if 'keeper' in line]
    for pid in pids:
        os.kill(pid, how)
    return pids


def test_threat_103_keepers_that_hang_hold_up_nobody(asked):
    """A question that no keeper answers is over in seconds, the next ones at once when a keeper
    owes many; logins and other questions go on. When it goes on, its late answers harm nobody."""
    office, path = asked({'quota.messages': '1'})
    deliver(office, 'demo@example.org')
    pids = stop_keepers(office, signal.SIGSTOP)
    assert pids
    try:
        policies = [Policy(path) for _ in range(200)]
        for policy in policies:
            policy.send('demo@example.org')
        for policy in policies:
            assert policy.action() == DUNNO
        begun = time.monotonic()
        assert policies[0].ask('demo@example.org') == DUNNO
        assert policies[0].ask('ghost@example.org') == DUNNO
        assert time.monotonic() - begun < 4
    finally:
        stop_keepers(office, signal.SIGCONT)
    wait_until(lambda: policies[0].ask('demo@example.org') == FULL)
    for policy in policies:
        policy.__exit__()


def test_keepers_that_die(asked):
    """The question is answered, and the next keeper answers the next one."""
    office, path = asked({'quota.messages': '1'})
    deliver(office, 'demo@example.org')
    office.allow('keeper', 'ended')
    with Policy(path) as policy:
        stop_keepers(office, signal.SIGSTOP)
        policy.send('demo@example.org')
        stop_keepers(office, signal.SIGKILL)
        assert policy.action() == DUNNO
        wait_until(lambda: policy.ask('demo@example.org') == FULL)


@pytest.mark.usefixtures('need_root')
def test_keepers_of_other_owners_are_started(make_office):
    """Mail of system users of their own: whose keeper does not run is asked all the same."""
    office = owners_office(make_office, 3)
    path = office.scratch / 'policy'
    office.set('policy.listen', f'"{path}"')
    office.set('quota.messages', '1')
    office.restart()
    assert not any(uid in keepers(office) for uid in range(FIRST_UID, FIRST_UID + 3))
    with Policy(path) as policy:
        for n in range(3):
            wait_until(lambda n=n: policy.ask(f'o{n}') == FULL)


def test_requests_in_a_row(asked):
    """Sent at once, answered in order; split anywhere."""
    office, path = asked({'quota.messages': '1'})
    deliver(office, 'demo@example.org')
    with Policy(path) as policy:
        for _ in range(50):
            policy.send('demo@example.org')
            policy.send('ghost@example.org')
        assert [policy.action() for _ in range(100)] == [FULL, DUNNO] * 50
        for octet in b'request=smtpd_access_policy\nrecipient=demo@example.org\n\n':
            policy.socket.sendall(bytes([octet]))
        assert policy.action() == FULL


GARBAGE = {
    'no attribute': b'hello\n', 'http': b'GET / HTTP/1.1\r\n\r\n', 'nul': b'\0' * 100 + b'\n',
    'no end': b'a=' + b'x' * 70000, 'attributes without end': b'a=b\n' * 20000,
    'a long line that is none': b'x' * 3000 + b'\n',
}


@pytest.mark.parametrize('what', GARBAGE)
def test_threat_104_what_is_no_request_ends_the_connection(asked, what):
    _, path = asked()
    with Policy(path) as policy, Policy(path) as other:
        try:
            policy.socket.sendall(GARBAGE[what])
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert policy.action() == ''
        assert other.ask('demo@example.org') == DUNNO
