"""Mail for users whose maildrops are on another server: passed on by LMTP to the node that the
section names. The node is a second valijad, Dovecot, or one that says what the test wants."""
import concurrent.futures
import pathlib
import re
import threading

import generate
import pytest
from dovecot_pop3 import DovecotPop3, usable
from lmtp import Lmtp, split_trace, stuffed
from lmtp_node import Cut, Hang, Node
from office import PASSWORD, dead_port, wait_until
from test_remote import THERE, add_remote_user, section
from wire import wire_form

MESSAGE = b'Subject: hello\r\nMessage-ID: <one@example.com>\r\n\r\n.body\r\n..\r\n'
LATER = '451 4.3.0'
SMALL = {name: wire_form(octets) for name, octets in generate.messages(with_large=False)}
DOWN = r'lmtp of remote old is down'


@pytest.fixture
def site(make_office):
    """site(port of the node, …): the users anna, bert and berta have their mail there; demo is
    here."""
    def make(port, settings=None, fields='remote=old', **more):
        office = make_office(start=False, settings=settings)
        with office.conf.open('a') as conf:
            conf.write(section(dead_port(), lmtp=f'127.0.0.1:{port}', **more))
        for name in ('anna', 'bert'):
            add_remote_user(office, name, fields)
        add_remote_user(office, 'berta', 'remote=old remote_user=berta@node.test')
        return office.start()
    return make


@pytest.fixture
def node():
    made = []

    def make(*args, **more):
        made.append(Node(*args, **more))
        return made[-1]
    yield make
    for one in made:
        one.stop()


def deliver(office, message, *recipients, **more):
    with Lmtp(office.lmtp) as client:
        return client.deliver(message, *recipients, **more)


def content(message):
    """(our lines in front, the message) of what a node got."""
    octets = re.sub(rb'(?m)^\.\.', b'.', message[2])
    match = re.match(rb'(Received: [^\r\n]*\r\n(?:\t[^\r\n]*\r\n)*)(.*)\Z', octets, re.S)
    assert match, octets[:300]
    return match[1].decode(), match[2]


# what goes there

def test_a_message_is_passed_on(site, node):
    there = node()
    office = site(there.port)
    assert deliver(office, MESSAGE, 'anna+lists@office.test',
                   sender='"odd name"@example.com') == ['250 2.1.5 delivered']
    mail, recipients, octets, size = there.messages[0]
    assert mail == f'MAIL FROM:<"odd name"@example.com> SIZE={size - 2} BODY=8BITMIME'
    assert recipients == ['RCPT TO:<anna+lists@office.test>']
    assert b'\r\n..body\r\n...\r\n' in octets
    trace, message = content(there.messages[0])
    assert message == MESSAGE and 'by office.test with LMTP' in trace
    wait_until(lambda: there.commands[-1] == 'QUIT')
    assert there.commands[0] == 'LHLO office.test'
    office.wait_log(r'delivered .*user="anna" recipient="anna\+lists@office.test" .*'
                    r'message-id="one@example.com" '
                    rf'server="127.0.0.1:{there.port}" there="anna\+lists@office.test" '
                    r'answer="250\\x202.0.0\\x20saved\\x20as\\x20id-7"')


def test_whom_it_is_for_there(site, node):
    there = node()
    aliases = 'team: anna, bert+team@office.test, berta, demo\n'
    office = site(there.port)
    path = office.dir / 'aliases'
    path.write_text(aliases)
    path.chmod(0o644)
    office.set('lmtp.aliases', f'"{path}"')
    office.set('lmtp.catch_all', 'bert')
    office.reload()
    with Lmtp(office.lmtp) as client:
        replies = client.deliver(MESSAGE, 'team@office.test', 'berta@office.test',
                                 'berta+x@office.test', 'nobody@office.test', '"a b"@office.test')
    assert replies == ['250 2.1.5 delivered'] * 5
    # one copy a user, in one transaction
    assert len(there.messages) == 1
    assert sorted(there.messages[0][1]) == [
        'RCPT TO:<anna>', 'RCPT TO:<bert+team@office.test>', 'RCPT TO:<berta@node.test>']
    office.has_files('demo', 1)


def test_the_corpus_is_passed_on_octet_by_octet(site, node):
    there = node(chunk=1)
    office = site(there.port)
    with Lmtp(office.lmtp) as client:
        for message in SMALL.values():
            assert client.deliver(message, 'anna') == ['250 2.1.5 delivered']
    assert [content(message)[1] for message in there.messages] == list(SMALL.values())


def test_what_a_lenient_server_could_take_for_commands(site, node):
    """A bare LF is a line break there: no "." behind it ends the message."""
    there = node()
    office = site(there.port)
    evil = b'Subject: x\r\n\r\nbody\n.\nRSET\n.\r\nDATA\r\n'
    deliver(office, evil, 'anna')
    assert content(there.messages[0])[1] == b'Subject: x\r\n\r\nbody\r\n.\r\nRSET\r\n.\r\nDATA\r\n'
    assert b'\r\n..\r\nRSET\r\n..\r\n' in there.messages[0][2]


@pytest.mark.parametrize('features', ((), ('PIPELINING',), ('SIZE', 'SMTPUTF8', '8BITMIME')))
def test_only_what_is_offered_is_used(site, node, features):
    there = node(features=features)
    office = site(there.port)
    replies = deliver(office, MESSAGE, 'anna', 'bert', 'berta', sender='élise@example.com',
                      parameters=' SMTPUTF8 BODY=8BITMIME')
    assert replies == ['250 2.1.5 delivered'] * 3
    mail = there.messages[0][0]
    assert ('SIZE=' in mail) == ('SIZE' in features)
    assert ('BODY=8BITMIME' in mail) == ('8BITMIME' in features)
    assert mail.endswith(' SMTPUTF8') == ('SMTPUTF8' in features)
    assert mail.startswith('MAIL FROM:<élise@example.com>')
    assert 'UTF8LMTP' in content(there.messages[0])[0]


# what it says

@pytest.mark.parametrize('step', ('RCPT', 'dot'))
def test_each_recipient_has_its_own_reply(site, node, step):
    said = {'anna': None, 'bert': '452 4.2.2 mailbox\x1b full', 'berta': '554 5.7.1 no spam'}

    def reply(_, line):
        return said[re.search(r'<(\w+)', line)[1]]
    there = node({step: reply})
    office = site(there.port)
    office.allow('delivery-failed .*berta')
    replies = deliver(office, MESSAGE, 'bert', 'anna', 'demo', 'berta')
    assert replies == ['452 4.2.2 the mailbox is full, try again later', '250 2.1.5 delivered',
                       '250 2.1.5 delivered',
                       '554 5.0.0 the server of this mailbox refuses the message']
    office.has_files('demo', 1)
    assert [len(message[1]) for message in there.messages] == [1 if step == 'RCPT' else 3]
    office.wait_log(r'over-quota .*user="bert"')
    office.wait_log(r'delivery-failed .*user="berta".* 554 5.7.1 no spam"')
    office.wait_log(r'over-quota .*mailbox.*x1b full')
    assert '\x1b' not in office.log_text()


@pytest.mark.parametrize('said, here', (
    ('550 5.1.1 who?', '550 5.1.1 no such user here'),
    ('552 5.2.2 full', '552 5.2.2 the mailbox is full'),
    ('552 5.3.4 too big', '554 5.0.0'), ('550 no', '554 5.0.0'), ('501 5.1.3 what?', '554 5.0.0'),
    ('451 4.7.1 greylisted', LATER), ('421 4.3.2 going down', LATER),
    # no verdicts on the mail: one of both servers is to be mended
    ('500 5.5.1 what?', LATER), ('502 no', LATER), ('503 not now', LATER),
    ('530 5.7.0 must issue STARTTLS', LATER), ('555 5.5.4 parameter?', LATER)))
@pytest.mark.parametrize('step', ('MAIL', 'RCPT', 'DATA', 'dot'))
def test_classes_are_passed_on(site, node, step, said, here):
    there = node({step: said})
    office = site(there.port)
    office.allow('delivery-failed')
    replies = deliver(office, MESSAGE, 'anna', 'demo')
    assert replies[0].startswith(here) and replies[1] == '250 2.1.5 delivered'
    assert len(there.messages) == (step == 'dot')


# what goes wrong

def cut(*_):
    raise Cut


def hang(*_):
    raise Hang


def garbage(session, _):
    session.send(b'\0\xff' * 3000)
    raise Cut


STEPS = ('greeting', 'LHLO', 'MAIL', 'RCPT', 'DATA', 'content', 'dot')


@pytest.mark.parametrize('step, fault', [
    pytest.param(step, fault, id=f'{step}-{fault.__name__}')
    for step in STEPS for fault in (cut, hang, garbage)
    if (step, fault) != ('dot', hang)])  # that is waited for longer than a test lasts
def test_a_fault_at_each_step_is_for_later(site, node, step, fault):
    there = node({step: fault})
    office = site(there.port, timeout='1s')
    office.allow('delivery-failed', DOWN)
    large = MESSAGE + b'x' * 8000000 + b'\r\n'  # more than sockets hold
    replies = deliver(office, large if (step, fault) == ('content', hang) else MESSAGE,
                      'anna', 'demo', 'bert')
    assert replies[0].startswith(LATER) and replies[2].startswith(LATER)
    assert replies[1] == '250 2.1.5 delivered'
    unknown = r'whether it was delivered is not known' if step == 'dot' else ''
    office.wait_log(rf'delivery-failed .*user="bert".*{unknown}')


def test_a_cut_between_two_replies(site, node):
    def second(_, line):
        if 'bert' in line:
            raise Cut
    there = node({'dot': second})
    office = site(there.port)
    office.allow('delivery-failed')
    replies = deliver(office, MESSAGE, 'anna', 'bert')
    assert replies[0] == '250 2.1.5 delivered' and replies[1].startswith(LATER)


@pytest.mark.parametrize('hooks', (
    {'greeting': '554 go away'}, {'LHLO': '500 EHLO?'}, {'LHLO': '250 x\r\n250 y'},
    {'LHLO': '250-x\r\n' * 200 + '250 y'}, {'greeting': '220 hi\r\n220 hi'},
    {'RCPT': '354 go'}, {'RCPT': '250 ok\r\n250 ok\r\n250 ok'}, {'DATA': '250 done'},
    {'MAIL': '250-ok\r\n550 no'}, {'RCPT': '25'}, {'RCPT': '250_ok'}, {'RCPT': '199 what'},
    {'DATA': '354 go\r\n250 early\r\n250 early'}, {'dot': '354 more'}, {'greeting': 'x' * 5000}))
def test_lies_deliver_nothing(site, node, hooks):
    there = node(hooks)
    office = site(there.port)
    office.allow('delivery-failed', DOWN)
    for reply in deliver(office, MESSAGE, 'anna', 'bert'):
        assert reply.startswith(LATER)


def test_a_server_that_is_down_is_not_asked_by_all(site, node):
    port = dead_port()
    office = site(port)
    office.allow('delivery-failed', DOWN)
    for _ in range(8):  # each connector learns it
        assert deliver(office, MESSAGE, 'anna', 'demo')[0].startswith(LATER)
    office.wait_log(r'lmtp of remote old is down: cannot connect .*; mail for its users is put off')
    office.wait_log(r'delivery-failed .*that server is down')
    office.has_files('demo', 8)


def test_without_lmtp_the_log_says_what_to_write(make_office):
    office = make_office(start=False)
    with office.conf.open('a') as conf:
        conf.write(section(dead_port()))
    add_remote_user(office, 'anna', 'remote=old')
    office.allow('recipient <anna@office.test>: ')
    office.start()
    with Lmtp(office.lmtp) as client:
        client.expect('MAIL FROM:<a@example.org>', '250')
        client.expect('RCPT TO:<anna@office.test>', '451')
    office.wait_log(r'recipient <anna@office.test>: .*remote "old" has no lmtp = "HOST:PORT"')


# large, and many

def peaks(office):
    """The most memory that each connector had so far, in KiB."""
    for pid, line in office.children().items():
        if 'connector' in line:
            text = pathlib.Path(f'/proc/{pid}/status').read_text()
            yield int(re.search(r'VmHWM:\s+(\d+)', text)[1])


def test_fifty_megabytes_are_not_held(site, node):
    there = node(keeps=False)
    office = site(there.port, settings={'lmtp.max_size': '60M'})
    line = b'0123456789' * 7 + b'12345678\r\n'
    message = b'Subject: large\r\n\r\n' + line * (50 * 1024 * 1024 // len(line))
    for _ in range(8):  # each connector has some
        assert deliver(office, MESSAGE, 'anna') == ['250 2.1.5 delivered']
    before = sum(peaks(office))
    assert deliver(office, message, 'anna', 'bert') == ['250 2.1.5 delivered'] * 2
    _, recipients, _, size = there.messages[-1]
    assert len(recipients) == 2 and len(message) < size < len(message) + 1000
    assert 0 < before and sum(peaks(office)) - before < 5000


def test_sixty_four_senders_at_once(site, node):
    here = threading.Barrier(64)
    there = node()
    office = site(there.port)

    def one(number):
        message = b'Subject: %d\r\n\r\n' % number + b'x' * 70 + b'\r\n' * (number * 100 + 1)
        with Lmtp(office.lmtp) as client:
            client.begin('anna', 'bert')
            here.wait(60)
            client.send(stuffed(message))
            return client.replies(2), message
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        done = list(pool.map(one, range(64)))
    assert all(replies == ['250 2.1.5 delivered'] * 2 for replies, _ in done)
    assert sorted(content(message)[1] for message in there.messages) == \
        sorted(message for _, message in done)
    assert all(len(message[1]) == 2 for message in there.messages)


# real nodes

@pytest.fixture
def second(make_office):
    """A valijad that has the mail of anna."""
    other = make_office(start=False, users=('bert',), hostname='node.test')
    other._add_line(f'anna:{{PLAIN}}{THERE}\n')
    return other.start()


def test_another_valijad_is_the_node(second, make_office, connect):
    """One door: mail comes in here, lies there, and is collected here."""
    office = make_office(start=False)
    with office.conf.open('a') as conf:
        conf.write(section(second.pop3, lmtp=f'127.0.0.1:{second.lmtp}'))
    add_remote_user(office, 'anna', f'remote=old remote_password={THERE}')
    office.start()
    messages = list(SMALL.values())[:5]
    with Lmtp(office.lmtp) as client:
        for message in messages:
            assert client.deliver(message, 'anna@office.test') == ['250 2.1.5 delivered']
    client = connect(office)
    client.login('anna', PASSWORD)
    got = [client.retr(number) for number in range(1, 6)]
    client.quit()
    for octets, message in zip(got, messages):
        trace, rest = split_trace(octets)
        assert trace.count('Delivered-To:') == trace.count('Return-Path:') == 1
        assert 'by node.test with LMTP' in trace
        received, sent = split_off_received(rest)
        assert sent == message and 'by office.test with LMTP' in received
    second.has_files('anna', 5)


def split_off_received(octets):
    match = re.match(rb'(Received: [^\r\n]*\r\n(?:\t[^\r\n]*\r\n)*)(.*)\Z', octets, re.S)
    assert match, octets[:300]
    return match[1].decode(), match[2]


def test_a_quota_there_is_said_here(second, site):
    second.set('quota.messages', '1')
    second.reload()
    office = site(second.lmtp)
    assert deliver(office, MESSAGE, 'anna') == ['250 2.1.5 delivered']
    assert deliver(office, MESSAGE, 'anna')[0].startswith('452 4.2.2')
    office.wait_log(r'over-quota .*user="anna"')
    office.allow('delivery-failed .*berta')
    assert deliver(office, MESSAGE, 'berta') == ['550 5.1.1 no such user here']


DOVECOT = """
protocols = pop3 lmtp
postmaster_address = postmaster@node.test
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
    ssl = {ssl}
  }}
}}
"""


@pytest.fixture
def dovecot(make_office):
    if not usable() or not pathlib.Path('/usr/lib/dovecot/lmtp').exists():
        pytest.skip('needs root and dovecot-lmtpd')
    made = []

    def make(ssl):
        other = make_office(start=False, users=(), hostname='localhost')
        other.maildir('there')
        more = DOVECOT.format(port=other.lmtp, ssl=ssl)
        made.append(DovecotPop3(other, more, users=('there',)))
        return made[-1]
    yield make
    for server in made:
        server.remove()


@pytest.mark.parametrize('tls', ('no', 'starttls', 'yes'))
def test_a_dovecot_is_the_node(dovecot, make_office, tls):
    server = dovecot('yes' if tls == 'yes' else 'no')
    other = server.office
    office = make_office(start=False)
    with office.conf.open('a') as conf:
        conf.write(section(other.pop3, lmtp=f'localhost:{other.lmtp}', lmtp_tls=tls,
                           verify=str(other.cert)))
    add_remote_user(office, 'anna', 'remote=old remote_user=there')
    add_remote_user(office, 'bert', 'remote=old remote_user=nobody')
    office.allow('delivery-failed .*bert')
    office.start()
    for number, message in enumerate(list(SMALL.values())[:4], 1):
        assert deliver(office, message, 'bert', 'anna') == \
            ['550 5.1.1 no such user here', '250 2.1.5 delivered']
        assert len(server.uidl('there')) == number
    office.wait_log(r'delivered .*there="there" answer="250.*Saved"')


def test_a_node_whose_certificate_is_not_trusted_gets_nothing(dovecot, make_office):
    server = dovecot('no')
    other = server.office
    office = make_office(start=False)
    office.allow('delivery-failed .*anna', DOWN)
    with office.conf.open('a') as conf:
        conf.write(section(other.pop3, lmtp=f'localhost:{other.lmtp}', lmtp_tls='starttls',
                           verify='/etc/ssl/certs/ca-certificates.crt'))
    add_remote_user(office, 'anna', 'remote=old remote_user=there')
    office.start()
    assert deliver(office, MESSAGE, 'anna')[0].startswith(LATER)
    office.wait_log(r'delivery-failed .*certificate of localhost is not accepted')
    assert server.uidl('there') == []
