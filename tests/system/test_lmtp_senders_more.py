"""Senders and recipients that an MTA may send but people rarely write, and unfinished messages of
one sender beside those of others; relatives of what test_lmtp_protocol.py and test_lmtp_room.py
try."""
import hashlib
import re
import time

import pytest
from lmtp import Lmtp, split_trace
from office import PASSWORD
from pop import login_within
from test_lmtp_protocol import collect
from test_lmtp_recipients import counts
from test_lmtp_room import IN_MEMORY, LINE, ON_DISK, held

MESSAGE = b'Subject: hello\r\n\r\nbody\r\n'
OK = '250 2.1.5 delivered'


def raw_delivery(client, sender, recipient=b'demo'):
    client.expect(b'MAIL FROM:<' + sender + b'>', '250')
    client.expect(b'RCPT TO:<' + recipient + b'>', '250')
    client.expect('DATA', '354')
    client.send(MESSAGE + b'.\r\n')
    assert client.reply() == OK, sender


KEPT = (b'.', b'..', b'...@example.com', b'a...b@example.com', b'.@.', b'a@.', b'a@b.',
        b'"."@example.com', b'"a@b"@example.com', b'"a>b"@example.com', b'"(x)"@example.com',
        b'"a;b,c"@example.com', rb'"a\"b"@example.com', rb'"a\\"@example.com', b'""@example.com',
        b"o'neil/x=y#z!{}|~$%&*?^`@example.com", 'почта@пример.рф'.encode(),
        '\U0001f4ee@example.com'.encode(), 'e\u0301@example.com'.encode(),
        '"jürgen weiß"@example.com'.encode(), b'q' * 64 + b'@' + b'd' * 255)
NULL = (b'\xc0\x80@b', b'\xed\xa0\x80@b', b'\xf4\x90\x80\x80@b', b'a@b\xe2\x82', b'\xff\xfe',
        b'\xc2\x80@b', b'\xc2\x9f@b', b'a;b@c', b'a(b)@c', b'a<b@c', rb'a\b@c', b'a@b c',
        b'"a"b"@c')


def test_more_senders_that_are_taken(make_office, connect):
    office = make_office()
    office.allow('cannot stand in a header')
    with Lmtp(office.lmtp) as client:
        for sender in KEPT + NULL:
            raw_delivery(client, sender)
    got = [split_trace(octets) for octets in collect(connect, office, 'demo')]
    assert all(message == MESSAGE for _, message in got)
    paths = sorted(trace.split('\r\n')[0].encode() for trace, _ in got)
    assert paths == sorted([b'Return-Path: <' + sender + b'>' for sender in KEPT] +
                           [b'Return-Path: <>'] * len(NULL))


@pytest.mark.parametrize('line', [
    b'<a@b\r\nBcc: x@y>', b'<"a\rBcc: x"@b>', b'<"a\nBcc: x"@b>', b'<a@b>\rX: y', b'<a@b\x0b>',
    b'<a@b\x7f>', b'<"\x1b[2J"@b>', b'<a@b\0>'])
def test_no_line_gets_into_a_header(make_office, connect, line):
    """Whatever the answer: what is delivered has three trace fields, and no other."""
    office = make_office()
    office.allow('cannot stand in a header')
    with Lmtp(office.lmtp) as client:
        client.send(b'MAIL FROM:' + line + b'\r\nRSET\r\n')
        replies = [client.reply()]
        while not replies[-1].startswith('250 2.0.0'):
            replies.append(client.reply())
        assert not replies[0].startswith('2'), replies
        raw_delivery(client, b'good@example.com')
    [octets] = collect(connect, office, 'demo')
    names = [field.split(b':')[0] for field in octets.split(b'\r\n\r\n')[0].split(b'\r\n')
             if not field.startswith(b'\t')]
    assert sorted(names) == [b'Delivered-To', b'Received', b'Return-Path', b'Subject']


def test_recipients_bring_no_line_into_a_header(make_office, connect):
    office = make_office(settings={'lmtp.catch_all': '"demo"'})
    taken = 0
    with Lmtp(office.lmtp) as client:
        for recipient in (b'"a b"@x', b'"a\\\rb"@x', b'a\nX: y', b'"x: y"', b'a>b', b'demo+<x>',
                          b'demo+\xff', 'demo+ü'.encode(), b'demo+' + b'x' * 400, b'"\x01"@x'):
            client.send(b'MAIL FROM:<>\r\nRCPT TO:<' + recipient + b'>\r\n')
            client.reply()
            if client.reply().startswith('250'):
                taken += 1
                client.expect('DATA', '354')
                client.send(MESSAGE + b'.\r\n')
                client.reply()
            client.expect('RSET', '250')
    got = collect(connect, office, 'demo')
    assert taken and got
    for octets in got:
        trace, message = split_trace(octets)
        assert message == MESSAGE
        assert not [c for c in trace if ord(c) < 32 and c not in '\r\n\t'], trace
        assert trace.count('\r\n') == trace.count('\n') == trace.count('\r')


def with_aliases(make_office, text, users, settings=None):
    office = make_office(start=False, users=users, settings=settings)
    aliases = office.dir / 'aliases'
    aliases.write_text(text)
    office.own(aliases)
    aliases.chmod(0o644)
    office.set('lmtp.aliases', f'"{aliases}"')
    return office.start()


def test_one_copy_by_whatever_way_it_comes(make_office):
    """Alias, sub-address of an alias, case, catch-all and the name itself, in one transaction."""
    office = with_aliases(make_office, 'Sales: anna+shop, ANNA\nall: sales, bert\n',
                          ('anna', 'bert'), {'lmtp.catch_all': '"bert"'})
    ways = ('anna', 'SALES+2026', 'All@example.org', 'anna+a+b@EXAMPLE.org', 'whoever@example.org',
            'bert+y', 'sales', 'BERT')
    with Lmtp(office.lmtp) as client:
        assert client.deliver(MESSAGE, *ways) == [OK] * len(ways)
        assert counts(office, 'anna', 'bert') == [1, 1]
        assert client.deliver(MESSAGE, *reversed(ways)) == [OK] * len(ways)
        assert counts(office, 'anna', 'bert') == [2, 2]
        # what was named before RSET is not of the next transaction
        client.expect('MAIL FROM:<>', '250')
        client.expect('RCPT TO:<anna>', '250')
        client.expect('RSET', '250')
        assert client.deliver(MESSAGE, 'bert') == [OK]
        assert counts(office, 'anna', 'bert') == [2, 3]


def test_postmaster_in_each_form(make_office):
    office = with_aliases(make_office, 'Postmaster: anna\n', ('anna',),
                          {'lmtp.domains': '"example.org example.net"'})
    forms = ('postmaster', 'POSTMASTER', 'Postmaster@example.org', 'postMaster@EXAMPLE.NET',
             '"postmaster"@example.org', 'postmaster+x@example.net')
    with Lmtp(office.lmtp) as client:
        for form in forms:
            assert client.deliver(MESSAGE, form) == [OK], form
        client.expect('MAIL FROM:<>', '250')
        client.expect('RCPT TO:<postmaster@elsewhere.example>', '550')
    assert counts(office, 'anna') == [len(forms)]


def test_names_in_utf8(make_office, connect):
    """By RCPT, by an alias in UTF-8, by USER; letters that are not ASCII have no other case."""
    office = with_aliases(make_office, 'büro: Zoë, иван\nинфо@example.org: Zoë\n', ('Zoë', 'иван'))
    with Lmtp(office.lmtp) as client:
        for address in ('Zoë', 'zoë@example.org', 'ZOë+x', 'BüRO', 'инфо@example.org', '"иван"@x'):
            assert client.deliver(MESSAGE, address, parameters=' SMTPUTF8') == [OK], address
        client.expect('MAIL FROM:<>', '250')
        for address in ('ZOË', 'Иван', 'Инфо@example.org', 'zoe', 'zoe\u0308', 'zo\xeb'):
            octets = address.encode('latin-1' if address == 'zo\xeb' else 'utf-8')
            reply = client.ask(b'RCPT TO:<' + octets + b'>')
            assert reply[0] == '5', (address, reply)
    for name, count in (('zoë', 5), ('Zoë', 5), ('иван', 2)):
        session = connect(office)
        session.login(name, PASSWORD)
        assert session.stat()[0] == count, name
        session.quit()
    session = connect(office)
    session.ok('USER ZOË')
    session.err(f'PASS {PASSWORD}')


def test_apop_with_a_name_in_utf8(make_office, connect):
    office = make_office(users=('Zoë',), settings={'login.apop': 'yes'})
    for name, good in (('Zoë', True), ('zoë', True), ('ZOË', False), ('zoe', False)):
        client = connect(office)
        stamp = re.search('<.*>', client.greeting)[0]
        digest = hashlib.md5((stamp + PASSWORD).encode()).hexdigest()
        reply = client.ask(f'APOP {name} {digest}')
        assert reply.startswith('+OK' if good else '-ERR [AUTH]'), (name, reply)
        if good:
            client.quit()


# unfinished messages

@pytest.mark.parametrize('settings', [ON_DISK, IN_MEMORY], ids=['disk', 'memory'])
def test_messages_that_are_given_up_leave_their_room(make_office, need_root, settings):
    """By RST, by QUIT within the message's connection, by an end without a dot: all room is free
    again, and what was unfinished is in nobody's maildrop."""
    office = make_office(settings=settings)
    office.allow('a message from .* was refused')
    for end in ('reset', 'close', 'half'):
        clients = [Lmtp(office.lmtp) for _ in range(8)]
        for client in clients:
            client.begin('demo')
            client.send(LINE * 2048)
        deadline = time.monotonic() + 20
        while held(office) < 8 * (1 << 20):
            assert time.monotonic() < deadline, held(office)
            time.sleep(0.02)
        for client in clients:
            if end == 'half':
                client.socket.shutdown(1)
            else:
                getattr(client, end)()
        while held(office):
            assert time.monotonic() < deadline, (end, held(office))
            time.sleep(0.02)
        for client in clients:
            client.close()
        with Lmtp(office.lmtp) as client:
            assert client.deliver(MESSAGE, 'demo') == [OK]
    assert len(office.files('demo')) == 3


def test_what_follows_a_message_that_was_too_large(make_office, connect):
    """Sent ahead, in one piece with it: replies in order, nothing of the refused is delivered."""
    office = make_office(settings={'lmtp.max_size': '1M'})
    with Lmtp(office.lmtp) as client:
        client.begin('demo')
        client.send(LINE * 1500 + b'.\r\nMAIL FROM:<>\r\nRCPT TO:<demo>\r\nDATA\r\n' + MESSAGE +
                    b'.\r\n')
        replies = [client.reply()[:9] for _ in range(5)]
        assert replies == ['552 5.3.4', '250 2.1.0', '250 2.1.5', '354 Send ', '250 2.1.5']
    session = login_within(connect, office, 'demo')
    assert session.stat()[0] == 1
    session.quit()
