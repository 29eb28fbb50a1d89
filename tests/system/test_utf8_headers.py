"""pop3.utf8_headers: messages whose header is in UTF-8, and clients that have not given UTF8 (RFC
6856), in Maildirs and in mboxes."""
import email
import email.policy
import os

import pytest

from lmtp import Lmtp, split_trace
from office import PASSWORD
from pop import Pop

LINES = b'a line of the body\r\n' * 3
ASCII = b'Subject: first\r\n\r\n' + LINES
UTF8 = 'From: josé@ejemplo.example\r\nSubject: ñandú\r\n\r\n'.encode() + LINES
LATIN = 'Subject: ñandú\r\n\r\n'.encode('latin-1') + LINES
BODY = 'Subject: fifth\r\n\r\náéí\r\n'.encode()
# beyond what comes by value; the octets stand behind the first piece of it that is looked at
LARGE = (b'Subject: sixth\r\n' + b'X-Filler: %s\r\n' % (b'x' * 70) * 600
         + 'X-Name: ñ\r\n\r\n'.encode() + b'y' * 70 + b'\r\n')
MESSAGES = [ASCII, UTF8, LATIN, UTF8, BODY, LARGE, ASCII]
NEEDS = {2, 4, 6}
REFUSED = 'this message has headers in UTF-8: set the mail program to use UTF8'
REFUSED_IN_SPANISH = 'este mensaje tiene cabeceras en UTF-8: active UTF8 en el programa de correo'


@pytest.fixture(params=['maildir', 'mbox'])
def made(make_office, request):
    """An office with all of MESSAGES, delivered by LMTP; SMTPUTF8 where the sender needs it."""
    def make(value):
        if request.param == 'mbox' and os.getuid():
            pytest.skip('mboxes are served by root')
        office = make_office(start=False, settings={'pop3.utf8_headers': f'"{value}"',
                                                    'processes.fronts': 1})
        if request.param == 'mbox':
            office.valija('mark', '--store', 'mbox', office.mail)
        office.start()
        with Lmtp(office.lmtp) as client:
            for message in MESSAGES:
                sender, parameters = (('josé@ejemplo.example', ' SMTPUTF8') if message == UTF8
                                      else ('a@example.org', ' BODY=8BITMIME'))
                assert client.deliver(message, 'demo@office.test', sender=sender,
                                      parameters=parameters) == ['250 2.1.5 delivered']
        return office
    return make


def login(office, *before):
    client = Pop(office.pop3)
    for command in before:
        client.ok(command)
    client.login('demo', PASSWORD)
    return client


def sizes(client):
    return [int(line.split()[1]) for line in client.lines('LIST')]


def retrieved(client, number):
    """The message, of the size that RETR and LIST say; None: refused."""
    reply = client.ask(f'RETR {number}')
    if reply.startswith('-ERR'):
        assert reply == f'-ERR [UTF8] {REFUSED}'
        return None
    octets = client.body()
    assert reply == f'+OK {len(octets)} octets'
    return octets


def test_refused_where_the_site_says_so(made):
    office = made('refuse')
    numbers = range(1, len(MESSAGES) + 1)
    with login(office, 'UTF8') as client:
        listed = sizes(client)
        stored = [retrieved(client, number) for number in numbers]
        assert [split_trace(octets)[1] for octets in stored] == MESSAGES
        assert [len(octets) for octets in stored] == listed
        tops = [client.body() for number in numbers if client.ok(f'TOP {number} 1')]
        ids = client.uidl()
        client.quit()
    # as clients read: forwards, which is read ahead, backwards, and with TOP first
    for order in (numbers, reversed(numbers)):
        with login(office) as client:
            assert sizes(client) == listed and client.uidl() == ids
            for number in order:
                expected = None if number in NEEDS else stored[number - 1]
                assert retrieved(client, number) == expected, number
            client.quit()
    with login(office) as client:
        for number in numbers:
            reply = client.ask(f'TOP {number} 1')
            assert reply.startswith('-ERR [UTF8] ' if number in NEEDS else '+OK'), reply
            if reply.startswith('+OK'):
                assert client.body() == tops[number - 1]
        client.ok('LANG es')
        assert client.err('RETR 2').encode('latin-1').decode() == (
            f'-ERR [UTF8] {REFUSED_IN_SPANISH}')
        client.ok('DELE 2')  # it can be deleted unread
        client.quit()
    with login(office) as client:
        assert sizes(client) == listed[:1] + listed[2:]


def test_surrogates_have_the_size_of_the_message(made):
    office = made('surrogate')
    numbers = range(1, len(MESSAGES) + 1)
    with login(office, 'UTF8') as client:
        listed = sizes(client)
        stored = [retrieved(client, number) for number in numbers]
        ids = client.uidl()
        client.quit()
    with login(office) as client:
        assert sizes(client) == listed and client.uidl() == ids
        for number, octets in enumerate(stored, 1):
            got = retrieved(client, number)
            if number not in NEEDS:
                assert got == octets
                continue
            head, _, body = got.partition(b'\r\n\r\n')
            assert head.isascii() and len(got) == len(octets)
            assert body == octets.partition(b'\r\n\r\n')[2]
            client.ok(f'TOP {number} 0')
            assert client.body() == head + b'\r\n\r\n'
        client.quit()
    with login(office) as client:
        message = email.message_from_bytes(retrieved(client, 2), policy=email.policy.default)
        assert message['Subject'] == 'ñandú'
        assert str(message['From']) == '"josé@ejemplo.example" <utf8@address.invalid>', message
        client.quit()


def test_pipelined(made):
    """Many at once, so that batches end before what is refused."""
    office = made('refuse')
    with login(office) as client:
        count = len(MESSAGES)
        client.send(''.join(f'RETR {number % count + 1}\r\n' for number in range(5 * count)))
        for number in range(5 * count):
            reply = client.line()
            assert reply.startswith('-ERR [UTF8]' if number % count + 1 in NEEDS else '+OK'), reply
            if reply.startswith('+OK'):
                assert split_trace(client.body())[1] == MESSAGES[number % count]
        client.quit()


def test_as_stored_is_for_all(made):
    office = made('as_stored')
    with login(office) as client:
        for number, message in enumerate(MESSAGES, 1):
            assert split_trace(retrieved(client, number))[1] == message
        client.quit()
