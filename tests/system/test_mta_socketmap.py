"""The socket where Postfix asks which recipients there are: the maps, what is not the protocol."""
import pytest
from mta import Connection, starter
from sasl_socket import add_database_that_is_down


class Map(Connection):
    def send(self, *questions):
        self.socket.sendall(b''.join(b'%d:%s,' % (len(q), q)
                                     for q in (question.encode() for question in questions)))

    def answer(self):
        """The content of the next netstring; '' at the end of the connection."""
        size = b''
        while not size.endswith(b':'):
            octet = self.file.read(1)
            if not octet:
                return ''
            size += octet
        text = self.file.read(int(size[:-1]))
        assert self.file.read(1) == b','
        return text.decode()

    def ask(self, question):
        self.send(question)
        return self.answer()


@pytest.fixture
def asked(make_office):
    """asked(…): a started office with the socket, and its path."""
    return starter(make_office, 'socketmap.listen')


def test_users(asked):
    """What a delivery would take: users, sub-addresses, aliases, in any case of letters."""
    _, path = asked({'lmtp.domains': '{"example.org"}'}, users=('demo', 'carol@example.org'),
                    aliases='postmaster: demo\nboth: demo, carol@example.org\n')
    with Map(path) as maps:
        for address in ('demo@example.org', 'DEMO+lists@Example.ORG', 'carol@example.org',
                        'postmaster@example.org', 'both@example.org', 'demo'):
            assert maps.ask(f'users {address}') == 'OK here', address
        for address in ('ghost@example.org', '@example.org', 'demo@example.com', '', 'a b@c',
                        'x' * 900 + '@example.org'):
            assert maps.ask(f'users {address}') == 'NOTFOUND ', address


def test_senders(asked):
    """Who may send as an address: the users that it leads to."""
    _, path = asked({'lmtp.domains': '{"example.org"}'}, users=('demo', 'carol@example.org'),
                    aliases='both: demo, carol@example.org\n')
    with Map(path) as maps:
        assert maps.ask('senders demo@example.org') == 'OK demo'
        assert maps.ask('senders both@example.org') == 'OK demo, carol@example.org'
        assert maps.ask('senders ghost@example.org') == 'NOTFOUND '


def test_domains(asked):
    _, path = asked({'lmtp.domains': '{"example.org", "example.net"}'}, prepare=lambda office:
                    add_database_that_is_down(office))
    with Map(path) as maps:
        for domain in ('example.org', 'EXAMPLE.net', 'away.example'):
            assert maps.ask(f'domains {domain}') == 'OK here', domain
        for domain in ('example.com', 'example', '', 'example.org example.net'):
            assert maps.ask(f'domains {domain}') == 'NOTFOUND ', domain
        assert maps.ask('aliases demo@example.org').startswith('PERM ')
        assert maps.ask('users').startswith('NOTFOUND ')


def test_where_no_domain_is_named_none_is_ours(asked):
    """Else an MTA that asks would take the mail of the world."""
    _, path = asked()
    with Map(path) as maps:
        assert maps.ask('domains example.org') == 'NOTFOUND '
        assert maps.ask('users demo@example.org') == 'OK here'


def test_a_database_that_is_down(asked):
    """Temporary for those it could have; others are answered."""
    _, path = asked(prepare=add_database_that_is_down)
    with Map(path) as maps:
        assert maps.ask('users anna@away.example').startswith('TEMP ')
        assert maps.ask('users demo') == 'OK here'


def test_questions_in_a_row(asked):
    """Sent at once, answered in order; split anywhere."""
    _, path = asked()
    with Map(path) as maps:
        maps.send(*['users demo', 'users ghost'] * 500)
        assert [maps.answer() for _ in range(1000)] == ['OK here', 'NOTFOUND '] * 500
        for octet in b'10:users demo,':
            maps.socket.sendall(bytes([octet]))
        assert maps.answer() == 'OK here'


GARBAGE = {
    'no size': b'hello', 'a zero in front': b'05:users,', 'no comma': b'5:hello;',
    'a size beyond all': b'99999:', 'nothing': b':', 'a comma': b',', 'minus': b'-1:x,',
    'too long': b'1025:' + b'x' * 1025 + b',', 'nul': b'\0' * 100,
}


@pytest.mark.parametrize('what', GARBAGE)
def test_threat_97_what_is_no_netstring_ends_the_connection(asked, what):
    _, path = asked()
    with Map(path) as maps, Map(path) as other:
        maps.socket.sendall(GARBAGE[what])
        assert maps.answer() == ''
        assert other.ask('users demo') == 'OK here'
