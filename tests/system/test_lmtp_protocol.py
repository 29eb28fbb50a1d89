"""LMTP over the wire: RFC 2033 and what it stands on, limits, hostile input, and that what was
taken comes out over POP3 octet by octet."""
import re
import smtplib
import socket

import generate
import pytest
from lmtp import Lmtp, sizes_in_name, split_trace, stuffed
from office import PASSWORD
from wire import wire_form

SMALL = {name: wire_form(octets) for name, octets in generate.messages(with_large=False)}
MESSAGE = b'Subject: hello\r\n\r\nbody\r\n'


def collect(connect, office, user, delete=False):
    """Every message of the user in wire form."""
    client = connect(office)
    client.login(user, PASSWORD)
    sizes = client.list()
    got = [client.retr(number) for number in sorted(sizes)]
    assert [len(octets) for octets in got] == [sizes[n] for n in sorted(sizes)]
    for number in sizes if delete else ():
        client.ok(f'DELE {number}')
    client.quit()
    return got


def without_trace(got):
    return [split_trace(octets)[1] for octets in got]


@pytest.fixture
def lmtp(shared):
    with Lmtp(shared.lmtp) as client:
        yield client


# what comes out is what went in

def test_the_corpus_arrives_octet_by_octet(shared, user, connect, lmtp):
    for message in SMALL.values():
        assert lmtp.deliver(message, f'{user}@example.org') == ['250 2.1.5 delivered']
    lmtp.quit()
    got = without_trace(collect(connect, shared, user))
    assert len(got) == len(SMALL)
    for name, message in SMALL.items():
        assert message in got, f'{name} did not arrive as it was sent'


def test_crlf_stored_mail_arrives_octet_by_octet(make_office, connect):
    office = make_office(settings={'line_ends': '"crlf"'})
    with Lmtp(office.lmtp) as client:
        for message in SMALL.values():
            client.deliver(message, 'demo')
    for path in office.files('demo'):
        stored, wire = sizes_in_name(path)
        assert stored == path.stat().st_size
        assert wire == len(wire_form(path.read_bytes()))
    assert sorted(without_trace(collect(connect, office, 'demo'))) == sorted(SMALL.values())


def test_stored_with_lf_and_true_sizes_in_the_name(shared, user, lmtp):
    for message in SMALL.values():
        lmtp.deliver(message, user)
    files = shared.files(user)
    assert len(files) == len(SMALL)
    for path in files:
        octets = path.read_bytes()
        assert sizes_in_name(path) == (len(octets), len(wire_form(octets)))
    plain = [path for path in files if b'Subject: hello' in path.read_bytes()]
    assert not any(b'\r\n' in path.read_bytes() for path in plain)


def test_trace_lines(shared, user, connect, lmtp):
    lmtp.deliver(MESSAGE, f'{user}+tag@Example.ORG', sender='"odd name"@example.com')
    lmtp.deliver(MESSAGE, user, sender='')
    first, second = (split_trace(octets)[0] for octets in collect(connect, shared, user))
    assert re.search(rf'^Delivered-To: {user}\+tag@example\.org\r$', first, re.M | re.I)
    assert 'Return-Path: <"odd name"@example.com>\r\n' in first
    assert 'Return-Path: <>\r\n' in second
    received = re.search(r'^Received: from client\.example \(\[127\.0\.0\.1\]\)\r\n'
                         r'\tby office\.test with LMTP[^\r\n]*;\r\n\t(.*) \+0000\r$', first, re.M)
    assert received and re.fullmatch(r'\w{3}, \d+ \w{3} \d{4} [\d:]{8}', received[1]), first


WRITABLE = ('a..b@example.com', '.a@example.com', 'a.@example.com', 'nodomain', 'a@b..c', 'a@-b',
            '"a..b"@example.com', '"a <b>"@example.com', 'a@[192.0.2.1]', 'a@[IPv6:2001:db8::1]',
            'jürgen@bücher.example', 'SRS0=x=y=' + 'z' * 300 + '@example.com', 'l' * 900 + '@b')
UNWRITABLE = (b'a b@c', b'a>b@c', b'"a@b', b'@b', b'a,b@c', b'j\xfcrgen@b', b'\xc2\x85@b',
              b'l' * 970)


def test_no_sender_is_refused_for_its_form(make_office, connect):
    office = make_office()
    office.allow('cannot stand in a header')
    with Lmtp(office.lmtp) as client:
        for sender in WRITABLE:
            assert client.deliver(MESSAGE, 'demo', sender=sender) == ['250 2.1.5 delivered'], sender
        for sender in UNWRITABLE:
            client.expect(b'MAIL FROM:<' + sender + b'>', '250')
            client.expect('RCPT TO:<demo>', '250')
            client.expect('DATA', '354')
            client.send(MESSAGE + b'.\r\n')
            assert client.reply() == '250 2.1.5 delivered', sender
    got = [split_trace(octets) for octets in collect(connect, office, 'demo')]
    assert all(message == MESSAGE for _, message in got)
    paths = [trace.split('\r\n')[0] for trace, _ in got]
    assert sorted(paths) == sorted([f'Return-Path: <{sender}>' for sender in WRITABLE] +
                                   ['Return-Path: <>'] * len(UNWRITABLE))
    office.wait_log(r'<a b@c> cannot stand in a header')
    office.wait_log(r'<j\\x[fF][cC]rgen@b> cannot stand')


def test_a_command_that_cannot_be_read_is_refused(lmtp, user):
    for sender in (b'<a@b>X', b'<a@b', b'a@b'):
        lmtp.expect(b'MAIL FROM:' + sender, '501')
    for sender in (b'<a\nX: y@b>', b'<a\rX: y@b>', b'<"a\0"@b>', b'<a\tb@c>'):
        lmtp.expect(b'MAIL FROM:' + sender, '500 5.5.2')


def test_large_message(shared, user, connect, lmtp):
    lines = (b'%08d ' % n + b'x' * 70 + b'\r\n' for n in range(250_000))
    message = b'Subject: large\r\n\r\n' + b''.join(lines)
    assert lmtp.deliver(message, user) == ['250 2.1.5 delivered']
    [got] = collect(connect, shared, user)
    assert split_trace(got)[1] == message


def test_utf8_addresses_and_headers(shared, connect, lmtp):
    name = 'jürgen'
    shared.add_user(name)
    message = 'Subject: Grüße\r\n\r\nschön\r\n'.encode()
    assert lmtp.deliver(message, f'{name}@example.org', sender='jürgen@bücher.example',
                        parameters=' SMTPUTF8 BODY=8BITMIME') == ['250 2.1.5 delivered']
    [path] = shared.files(name)
    octets = path.read_bytes()
    assert 'Return-Path: <jürgen@bücher.example>\n'.encode() in octets
    assert b'with UTF8LMTP' in octets and octets.endswith(message.replace(b'\r\n', b'\n'))


# the protocol

def test_features(lmtp):
    features = lmtp.features.split('\n')
    assert features[0] == '250-office.test'
    assert [line[4:] for line in features[1:]] == [
        'PIPELINING', 'ENHANCEDSTATUSCODES', '8BITMIME', 'SMTPUTF8', f'SIZE {50 << 20}']


@pytest.mark.parametrize('hello', ['HELO client.example', 'EHLO client.example'])
def test_smtp_greetings_are_refused(shared, hello):
    with Lmtp(shared.lmtp, hello=False) as client:
        client.expect(hello, '500 5.5.1')
        client.expect('MAIL FROM:<>', '503 5.5.1')
        client.expect('LHLO client.example', '250-')


def test_smtplib(shared, user, connect):
    with smtplib.LMTP('127.0.0.1', shared.lmtp) as client:
        refused = client.sendmail('carol@example.com', [user, 'nobody.here@example.org'], MESSAGE)
    assert refused['nobody.here@example.org'][0] == 550
    assert without_trace(collect(connect, shared, user)) == [MESSAGE]


@pytest.mark.parametrize('size', [0, 1, 7, 1000])
def test_pipelining_however_it_is_split(shared, user, connect, size):
    transaction = (f'MAIL FROM:<a@example.com>\r\nRCPT TO:<{user}>\r\nRCPT TO:<nobody.here>\r\n'
                   f'RCPT TO:<{user}+b>\r\nDATA\r\n').encode() + stuffed(MESSAGE)
    session = (b'LHLO x\r\n' + 2 * transaction +
               b'MAIL FROM:<a@example.com>\r\nRCPT TO:<nobody.here>\r\nDATA\r\nQUIT\r\n')
    with Lmtp(shared.lmtp, hello=False) as client:
        client.send_split(session, size or len(session))
        client.reply()  # LHLO's
        for _ in range(2):
            codes = [reply[:9] for reply in client.replies(7)]
            assert codes == ['250 2.1.0', '250 2.1.5', '550 5.1.1', '250 2.1.5', '354 Send ',
                             '250 2.1.5', '250 2.1.5']
        assert [reply[:9] for reply in client.replies(4)] == [
            '250 2.1.0', '550 5.1.1', '503 5.5.1', '221 2.0.0']
        assert client.closed() == b''
    # one copy a transaction: both recipients are one user
    assert without_trace(collect(connect, shared, user)) == [MESSAGE] * 2


def test_no_accepted_recipient_no_data(shared, lmtp):
    lmtp.expect('DATA', '503 5.5.1')
    lmtp.expect('MAIL FROM:<>', '250')
    lmtp.expect('DATA', '503 5.5.1')
    lmtp.expect('RCPT TO:<nobody.here@example.org>', '550 5.1.1')
    lmtp.expect('DATA', '503 5.5.1')
    lmtp.expect('RSET', '250')


def test_one_reply_per_recipient_in_order(shared, connect, make_office):
    """Quota for one, another twice, unknown ones between: each gets its own, in order."""
    office = make_office(users=('anna', 'bert', 'full'), settings={'quota.octets': '2K'})
    with Lmtp(office.lmtp) as client:
        client.deliver(b'x' * 1500 + b'\r\n', 'full')
        client.expect('MAIL FROM:<>', '250')
        for name, code in (('anna', '250'), ('nobody', '550 5.1.1'), ('full', '250'),
                           ('bert', '250'), ('anna+x', '250')):
            client.expect(f'RCPT TO:<{name}@example.org>', code)
        client.expect('DATA', '354')
        client.send(stuffed(b'y' * 700 + b'\r\n'))
        assert [reply[:9] for reply in client.replies(4)] == [
            '250 2.1.5', '452 4.2.2', '250 2.1.5', '250 2.1.5']
        client.expect('NOOP', '250')
    assert [len(office.files(name)) for name in ('anna', 'bert', 'full')] == [1, 1, 1]


# limits

def test_size(make_office):
    office = make_office(settings={'lmtp.max_size': '10K'}, users=('anna', 'bert'))
    big = b'x' * 10_000 + b'\r\n' + b'y' * 500 + b'\r\n'
    with Lmtp(office.lmtp) as client:
        assert 'SIZE 10240' in client.features
        client.expect('MAIL FROM:<> SIZE=10241', '552 5.3.4')
        client.expect('MAIL FROM:<> SIZE=99999999999999999999', '5')
        client.expect('RCPT TO:<anna>', '503')
        assert [r[:9] for r in client.deliver(big, 'anna', 'bert', parameters=' SIZE=10240')] == [
            '552 5.3.4'] * 2
        exact = b'z' * 10_238 + b'\r\n'
        assert client.deliver(exact, 'anna', parameters=' SIZE=10240') == ['250 2.1.5 delivered']
        assert client.deliver(exact[1:] + b'z\r\n', 'anna')[0].startswith('552 5.3.4')
    assert len(office.files('anna')) == 1


def test_recipients(make_office):
    office = make_office(settings={'lmtp.max_recipients': '3'})
    with Lmtp(office.lmtp) as client:
        client.expect('MAIL FROM:<>', '250')
        for n in range(3):
            client.expect(f'RCPT TO:<demo+{n}>', '250')
        client.expect('RCPT TO:<demo+3>', '452 4.5.3')
        client.expect('RCPT TO:<demo+4>', '452 4.5.3')
        client.expect('DATA', '354')
        client.send(stuffed(MESSAGE))
        assert client.replies(3) == ['250 2.1.5 delivered'] * 3
        client.expect('NOOP', '250')
    assert len(office.files('demo')) == 1


def test_many_recipients(make_office, connect):
    office = make_office(users=('demo', 'other'))
    with Lmtp(office.lmtp) as client:
        client.send(b'MAIL FROM:<>\r\n' + b''.join(
            b'RCPT TO:<%s+%d>\r\n' % (b'demo' if n % 2 else b'other', n) for n in range(1000)) +
            b'DATA\r\n')
        assert all(reply.startswith('250') for reply in client.replies(1001))
        assert client.reply().startswith('354')
        client.send(stuffed(MESSAGE))
        assert client.replies(1000) == ['250 2.1.5 delivered'] * 1000
    assert without_trace(collect(connect, office, 'demo')) == [MESSAGE]
    assert without_trace(collect(connect, office, 'other')) == [MESSAGE]


def test_bad_commands_end_the_session(make_office):
    office = make_office(settings={'limits.bad_commands': '3'})
    with Lmtp(office.lmtp) as client:
        client.expect('FOO', '500 5.5.1')
        client.expect('FOO', '500 5.5.1')
        client.expect('NOOP', '250')
        client.expect('FOO', '500 5.5.1')
        client.expect('STARTTLS', '502 5.5.1')
        client.expect('FOO', '421 4.7.0')
        assert client.closed() == b''


def test_threat_08_endless_line(shared, lmtp):
    """20 MB without CRLF: refused once, nothing kept, the session goes on."""
    lmtp.send(b'RCPT TO:<')
    for _ in range(320):
        lmtp.send(b'x' * 65536)
    lmtp.send(b'>\r\n')
    assert lmtp.reply().startswith('500 5.5.2')
    lmtp.expect('NOOP', '250')


def test_threat_10_control_characters_in_commands(lmtp):
    for line in (b'NOOP\0', b'NOOP\rQUIT', b'NOOP\nQUIT', b'RCPT TO:<a\tb>', b'\x1b[2J'):
        assert lmtp.ask(line).startswith('500 5.5.2')
    lmtp.expect('NOOP', '250')


@pytest.mark.parametrize('end', [
    b'\n.\n', b'\r.\r', b'\n.\r\n', b'\r\n.\n', b'\r\n.\r', b'\r.\r\n', b'\r\n\0.\r\n',
    b'\r\n.\0\r\n', b'\r\r\n.\r\r\n', b'\n\r.\r\n', b'\r\n.\r\r\n'], ids=repr)
def test_threat_smuggling(shared, user, connect, lmtp, end):
    """No spelling but CRLF.CRLF ends a message: one arrives, and what stands behind is in it."""
    evil = b'MAIL FROM:<>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: evil\r\n\r\nevil\r\n' % user.encode()
    lmtp.begin(user)
    lmtp.send(b'Subject: good\r\n\r\ngood' + end + evil + b'.\r\n')
    assert lmtp.reply() == '250 2.1.5 delivered'
    lmtp.quit()
    [got] = collect(connect, shared, user)
    message = split_trace(got)[1]
    assert message.startswith(b'Subject: good\r\n\r\ngood') and message.endswith(evil)


# when it is cut

@pytest.mark.parametrize('how', ['close', 'reset', 'half'])
def test_a_cut_connection_delivers_nothing(shared, user, connect, how):
    full = stuffed(b'Subject: cut\r\n\r\n' + b'x' * 100 + b'\r\n')
    for cut in (0, 10, len(full) - 3, len(full) - 2, len(full) - 1):
        client = Lmtp(shared.lmtp)
        client.begin(user)
        client.send(full[:cut])
        if how == 'half':
            client.socket.shutdown(socket.SHUT_WR)
            assert b'250' not in client.closed()
        client.reset() if how == 'reset' else client.close()
    with Lmtp(shared.lmtp) as client:
        assert client.deliver(MESSAGE, user) == ['250 2.1.5 delivered']
    assert without_trace(collect(connect, shared, user)) == [MESSAGE]
    assert not list((shared.maildir(user) / 'tmp').iterdir())


def test_delivery_while_a_session_is_open(shared, user, connect, lmtp):
    lmtp.deliver(MESSAGE, user)
    client = connect(shared)
    client.login(user, PASSWORD)
    assert client.stat()[0] == 1
    assert lmtp.deliver(b'Subject: second\r\n\r\n', user) == ['250 2.1.5 delivered']
    assert client.stat()[0] == 1
    assert split_trace(client.retr(1))[1] == MESSAGE
    client.ok('DELE 1')
    client.quit()
    assert without_trace(collect(connect, shared, user)) == [b'Subject: second\r\n\r\n']


def test_unique_ids_of_deliveries_never_repeat(shared, user, connect, lmtp):
    seen = set()
    for _ in range(3):
        for _ in range(5):
            lmtp.deliver(MESSAGE, user)
        client = connect(shared)
        client.login(user, PASSWORD)
        new = set(client.uidl().values())
        assert len(new) == 5 and not new & seen
        seen |= new
        for number in range(1, 6):
            client.ok(f'DELE {number}')
        client.quit()


def test_unix_socket(make_office, connect):
    office = make_office(start=False)
    path = office.scratch / 'lmtp.sock'
    office.own(office.scratch)
    office.set('lmtp.listen', f'"{path}"')
    office.start()
    with Lmtp(path) as client:
        assert client.deliver(MESSAGE, 'demo') == ['250 2.1.5 delivered']
    [got] = collect(connect, office, 'demo')
    trace, message = split_trace(got)
    assert message == MESSAGE and 'Received: from client.example\r\n' in trace


def test_port_25_is_refused(make_office):
    office = make_office(start=False)
    office.set('lmtp.listen', '"127.0.0.1:25"')
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode == 78 and re.search(r'valija\.conf:\d+: .*25', done.stderr), done.stderr


def test_many_connections_at_once(shared, user, connect):
    """16 clients, each 10 transactions, all interleaved: everything arrives, once."""
    clients = [Lmtp(shared.lmtp) for _ in range(16)]
    sent = []
    for turn in range(10):
        for number, client in enumerate(clients):
            message = b'Subject: %d of %d\r\n\r\n' % (turn, number)
            sent.append(message)
            client.send(b'MAIL FROM:<>\r\nRCPT TO:<%s>\r\nDATA\r\n' % user.encode() +
                        stuffed(message))
        for client in clients:
            assert [reply[:3] for reply in client.replies(4)] == ['250', '250', '354', '250']
    for client in clients:
        client.quit()
    assert sorted(without_trace(collect(connect, shared, user))) == sorted(sent)
