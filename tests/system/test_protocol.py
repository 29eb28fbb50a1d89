"""RFC 1939, 2449, 3206, 5034, 2595 as a client meets them: slips of other servers, each a test."""
import base64
import hashlib
import hmac

import generate
import pytest
from office import PASSWORD
from pop import Closed, login_within
from wire import top_of, wire_form

CORPUS = list(generate.messages())
THREE = [b'Subject: one\n\nfirst\n', b'Subject: two\n\n.dot\nsecond line\n', b'Subject: three\n\nx']
BAD_NUMBERS = ['0', '-1', '+1', '1x', '1;2', '01x', '4', '4294967297', '18446744073709551617',
               '9' * 40, '1.0', '0x1', '', ' ', '1 1', 'all']


@pytest.fixture
def three(shared, user, connect):
    """A session on a maildrop of three messages."""
    shared.put_many(user, THREE)
    client = connect(shared)
    client.login(user, PASSWORD)
    return client


# what is in a message

@pytest.mark.parametrize('tls', [None, True], ids=['plain', 'tls'])
def test_every_message_of_the_corpus_arrives_octet_exact(shared, user, connect, tls):
    shared.put_many(user, [octets for _, octets in CORPUS])
    wires = [wire_form(octets) for _, octets in CORPUS]
    with connect(shared, tls) as client:
        client.login(user, PASSWORD)
        assert client.stat() == (len(wires), sum(map(len, wires)))
        sizes = client.list()
        assert sizes == {n: len(wire) for n, wire in enumerate(wires, 1)}
        for number, wire in enumerate(wires, 1):
            assert client.ok(f'LIST {number}').split()[1:3] == [str(number), str(len(wire))]
            assert client.retr(number) == wire, CORPUS[number - 1][0]
        client.quit()


@pytest.mark.parametrize('lines', [0, 1, 3, 10**9])
def test_top_sends_headers_the_blank_line_and_so_many_lines(shared, user, connect, lines):
    shared.put_many(user, [octets for _, octets in CORPUS])
    client = connect(shared)
    client.login(user, PASSWORD)
    for number, (name, octets) in enumerate(CORPUS, 1):
        assert client.top(number, lines) == top_of(wire_form(octets), lines), name
    client.quit()


def test_an_empty_file_is_a_message_of_no_octets(shared, user, connect):
    shared.put(user, b'')
    client = connect(shared)
    client.login(user, PASSWORD)
    assert client.stat() == (1, 0)
    assert client.retr(1) == b''


# numbers and marks

@pytest.mark.parametrize('number', BAD_NUMBERS)
def test_threat_30_bad_message_numbers_are_refused_and_mark_nothing(three, number):
    for command in ('RETR', 'DELE'):
        three.err(f'{command} {number}')
    three.err(f'TOP {number} 0')
    if number.strip():
        three.err(f'LIST {number}')
        three.err(f'UIDL {number}')
    assert three.stat()[0] == 3


@pytest.mark.parametrize('count', ['-1', 'x', '', '1x', '18446744073709551617', '9' * 40])
def test_threat_31_bad_line_counts_of_top(three, count):
    reply = three.ask(f'TOP 2 {count}')
    if reply.startswith('+OK'):  # so many that it is all of it
        assert count.isdigit() and three.body() == wire_form(THREE[1])
    three.ok('NOOP')


def test_deleted_messages_are_out_of_every_answer(three):
    octets = sum(len(wire_form(m)) for m in THREE)
    uids = three.uidl()
    three.ok('DELE 2')
    assert three.stat() == (2, octets - len(wire_form(THREE[1])))
    assert sorted(three.list()) == [1, 3]
    assert three.uidl() == {1: uids[1], 3: uids[3]}
    for command in ('LIST 2', 'UIDL 2', 'RETR 2', 'TOP 2 0', 'DELE 2'):
        three.err(command)
    assert three.retr(3) == wire_form(THREE[2])
    three.ok('RSET')
    assert three.stat() == (3, octets)
    assert three.uidl() == uids


def test_quit_deletes_exactly_what_was_marked(shared, user, connect, three):
    uids = three.uidl()
    three.ok('DELE 1')
    three.ok('DELE 3')
    three.quit()
    client = connect(shared)
    client.login(user, PASSWORD)
    assert client.uidl() == {1: uids[2]}
    assert client.retr(1) == wire_form(THREE[1])


def test_rset_before_quit_deletes_nothing(shared, user, connect, three):
    three.ok('DELE 1')
    three.ok('RSET')
    three.quit()
    client = connect(shared)
    client.login(user, PASSWORD)
    assert client.stat()[0] == 3


def test_unique_ids_keep_to_their_alphabet_and_stay(shared, user, connect, three):
    uids = three.uidl()
    assert len(set(uids.values())) == 3
    for number, uid in uids.items():
        assert 1 <= len(uid) <= 70 and all(0x21 <= ord(c) <= 0x7e for c in uid)
        assert three.ok(f'UIDL {number}') == f'+OK {number} {uid}'
    three.close()  # not by QUIT
    client = connect(shared)
    client.login(user, PASSWORD)
    assert client.uidl() == uids


# commands

@pytest.mark.parametrize('command', ['noop', 'NoOp', 'NOOP'])
def test_keywords_in_any_case_answers_in_capitals(three, command):
    assert three.ask(command).startswith('+OK')
    assert three.ask('rEtR 99').startswith('-ERR')


@pytest.mark.parametrize('command', ['XYZZY', '', ' NOOP', 'NOOP x', 'STAT x', 'RSET x', 'QUIT x',
                                     'RETR1', 'RETR', 'DELE', 'TOP', 'TOP 1', 'CAPA x', 'HELO x'])
def test_what_is_no_command_is_refused(three, command):
    three.err(command)
    assert three.stat()[0] == 3


@pytest.mark.parametrize('command', ['STAT', 'LIST', 'UIDL', 'RETR 1', 'TOP 1 0', 'DELE 1', 'RSET',
                                     'NOOP'])
def test_transaction_commands_need_a_login(shared, connect, command):
    connect(shared).err(command)


@pytest.mark.parametrize('command', ['USER x', 'PASS x', 'AUTH PLAIN', 'STLS',
                                     'APOP x ' + '0' * 32])
def test_authorization_commands_end_with_the_login(three, command):
    three.err(command)
    assert three.stat()[0] == 3


def test_quit_without_login(shared, connect):
    connect(shared).quit()


@pytest.mark.parametrize('size', [255, 256, 257, 300, 1000, 5000, 70_000])
def test_threat_09_a_line_too_long_is_refused_whole_and_the_session_goes_on(shared, connect, size):
    client = connect(shared)
    line = b'NOOP ' + b'x' * (size - 13) + b'DELE 1'
    assert len(line) + 2 == size
    client.send(line + b'\r\nCAPA\r\n')
    assert client.line().startswith('-ERR')
    assert client.line().startswith('+OK')
    assert b'UIDL' in client.body()


def test_a_line_of_255_octets_is_taken(shared, connect):
    client = connect(shared)
    user = 'u' * (255 - 7)
    client.ok(f'USER {user}')


def test_no_reply_line_is_longer_than_512(shared, connect):
    client = connect(shared)
    for command in ('A' * 250, 'USER ' + 'b' * 240, 'PASS ' + 'c' * 240, 'AUTH ' + 'D' * 240):
        assert len(client.ask(command)) + 2 <= 512


# login

def test_a_password_may_hold_spaces(shared, connect):
    shared.add_user('spacy', ' two  spaces ')
    client = connect(shared)
    client.ok('USER spacy')
    client.ok('PASS  two  spaces ')


@pytest.mark.parametrize('between', ['NOOP', 'CAPA', 'XYZZY', 'AUTH', None])
def test_pass_comes_directly_after_user(shared, user, connect, between):
    client = connect(shared)
    if between:
        client.ok(f'USER {user}')
        if client.ask(between).startswith('+OK') and between in ('CAPA', 'AUTH'):
            client.body()
    client.err(f'PASS {PASSWORD}')
    client.err('STAT')
    client.login(user, PASSWORD)


def test_threat_19_the_same_words_for_known_and_unknown_users(shared, user, connect):
    known, unknown = connect(shared), connect(shared)
    assert known.ask(f'USER {user}') == unknown.ask('USER nobody-here')
    replies = {known.err('PASS wrong'), unknown.err('PASS wrong')}
    for client, name in ((known, user), (unknown, 'nobody-here')):
        replies.add(client.err(client.plain(name, 'wrong')))
    assert len(replies) == 1 and replies.pop().startswith('-ERR [AUTH]')


def test_auth_says_which_mechanisms_there_are(shared, connect):
    client = connect(shared, True)
    offered = client.lines('AUTH')
    capability = next(line for line in client.lines('CAPA') if line.startswith('SASL '))
    assert offered == capability.split()[1:]
    assert 'PLAIN' in offered


def test_auth_plain_with_and_without_an_initial_response(shared, user, connect):
    one, two = connect(shared, True), connect(shared, True)
    one.ok(one.plain(user, PASSWORD))
    one.quit()
    two.send('AUTH PLAIN\r\n')
    assert two.line() == '+ '
    two.ok(two.plain(user, PASSWORD).split()[2])


def test_auth_login(shared, user, connect):
    client = connect(shared, True)
    client.send('AUTH LOGIN\r\n')
    assert base64.b64decode(client.line()[2:]).lower().startswith(b'user')
    assert base64.b64decode(client.ask(base64.b64encode(user.encode()))[2:]).startswith(b'Pass')
    client.ok(base64.b64encode(PASSWORD.encode()))


def test_auth_is_cancelled_by_an_asterisk(shared, user, connect):
    client = connect(shared, True)
    client.send('AUTH PLAIN\r\n')
    assert client.line() == '+ '
    client.err('*')
    client.login(user, PASSWORD)


def test_an_empty_initial_response_is_an_equals_sign(shared, connect):
    client = connect(shared, True)
    client.err('AUTH PLAIN =')
    client.ok('CAPA')


@pytest.mark.parametrize('mechanism', ['NONSENSE', 'GSSAPI', 'ANONYMOUS', 'EXTERNAL', 'plain-',
                                       'DIGEST-MD5'])
def test_a_mechanism_that_is_not_offered(shared, user, connect, mechanism):
    client = connect(shared, True)
    client.err(f'AUTH {mechanism}')
    client.login(user, PASSWORD)


def cram_md5(challenge, user, password):
    digest = hmac.new(password.encode(), base64.b64decode(challenge), hashlib.md5).hexdigest()
    return base64.b64encode(f'{user} {digest}'.encode())


def test_threat_24_cram_md5_and_its_replay(make_office, connect):
    office = make_office(settings={'login.mechanisms': '"CRAM-MD5 PLAIN"'})
    client = connect(office, True)
    client.send('AUTH CRAM-MD5\r\n')
    response = cram_md5(client.line()[2:], 'demo', PASSWORD)
    client.ok(response)
    client.quit()
    again = connect(office, True)
    again.send('AUTH CRAM-MD5\r\n')
    again.line()
    assert again.ask(response).startswith('-ERR [AUTH]')


def scram(client, user, password, replay=None):
    """One SCRAM-SHA-256 exchange (RFC 7677); returns (reply, client's final message)."""
    first = f'n={user},r=rOprNGfwEbeRWgbNEkqO'
    client.send(b'AUTH SCRAM-SHA-256 ' + base64.b64encode(b'n,,' + first.encode()) + b'\r\n')
    server_first = base64.b64decode(client.line()[2:]).decode()
    parts = dict(part.split('=', 1) for part in server_first.split(','))
    assert parts['r'].startswith('rOprNGfwEbeRWgbNEkqO') and len(parts['r']) > 30
    salted = hashlib.pbkdf2_hmac('sha256', password.encode(), base64.b64decode(parts['s']),
                                 int(parts['i']))
    key = hmac.digest(salted, b'Client Key', 'sha256')
    bare = f'c=biws,r={parts["r"]}'
    auth = f'{first},{server_first},{bare}'.encode()
    proof = bytes(a ^ b for a, b in zip(key, hmac.digest(
        hashlib.sha256(key).digest(), auth, 'sha256')))
    final = replay or f'{bare},p={base64.b64encode(proof).decode()}'
    reply = client.ask(base64.b64encode(final.encode()))
    if reply.startswith('+ '):  # the server's proof, acknowledged by an empty response
        server_key = hmac.digest(salted, b'Server Key', 'sha256')
        proved = base64.b64encode(hmac.digest(server_key, auth, 'sha256')).decode()
        assert base64.b64decode(reply[2:]).decode() == f'v={proved}'
        reply = client.ask('')
    return reply, final


def test_threat_24_scram_and_its_replay(shared, user, connect):
    reply, final = scram(connect(shared, True), user, PASSWORD)
    assert reply.startswith('+OK')
    assert scram(connect(shared, True), user, 'wrong')[0].startswith('-ERR [AUTH]')
    assert scram(connect(shared, True), user, PASSWORD, replay=final)[0].startswith('-ERR')


@pytest.mark.parametrize('scheme', ['YESCRYPT', 'BLF-CRYPT', 'SHA512-CRYPT', 'SHA256-CRYPT',
                                    'ARGON2ID', 'SCRAM-SHA-256', 'CRAM-MD5', 'PLAIN'])
def test_every_scheme_serves_a_login(shared, connect, scheme):
    name = 'scheme-' + scheme.lower()
    shared.add_user(name, scheme=scheme)
    client = connect(shared, True)
    assert client.ask(f'USER {name}').startswith('+OK')
    assert client.ask('PASS wrong').startswith('-ERR [AUTH]')
    client.login(name, PASSWORD)


# CAPA

def test_capabilities_before_and_after_login_and_tls(shared, user, connect):
    client = connect(shared)
    before = {line.split()[0]: line for line in client.lines('CAPA')}
    assert {'TOP', 'UIDL', 'RESP-CODES', 'AUTH-RESP-CODE', 'PIPELINING', 'USER',
            'STLS'} <= set(before)
    client.login(user, PASSWORD)
    after = {line.split()[0] for line in client.lines('CAPA')}
    assert {'TOP', 'UIDL', 'RESP-CODES', 'PIPELINING'} <= after
    assert 'STLS' not in after
    assert 'STLS' not in {line.split()[0] for line in connect(shared, True).lines('CAPA')}


# pipelining

def test_pipelined_commands_are_answered_in_order(shared, user, connect):
    shared.put_many(user, THREE)
    client = connect(shared)
    client.send(f'USER {user}\r\nPASS {PASSWORD}\r\nSTAT\r\nRETR 2\r\nXYZZY\r\nDELE 1\r\nLIST\r\n'
                'RETR 1\r\nRETR 3\r\nQUIT\r\n')
    assert [client.line()[:3] for _ in range(3)] == ['+OK'] * 3
    assert client.line().startswith('+OK') and client.body() == wire_form(THREE[1])
    assert client.line().startswith('-ERR')
    assert client.line().startswith('+OK')
    assert client.line().startswith('+OK') and client.body().count(b'\r\n') == 2
    assert client.line().startswith('-ERR')
    assert client.line().startswith('+OK') and client.body() == wire_form(THREE[2])
    assert client.line().startswith('+OK')
    assert client.closed() == b''


@pytest.mark.parametrize('sizes', [(1,), (2,), (3, 1, 7), (5000,)], ids=str)
@pytest.mark.parametrize('tls', [None, True], ids=['plain', 'tls'])
def test_however_the_octets_are_split_the_answers_are_the_same(shared, user, connect, sizes, tls):
    shared.put_many(user, THREE)
    talk = (f'CAPA\r\nUSER {user}\r\nPASS {PASSWORD}\r\nSTAT\r\nLIST\r\nUIDL 2\r\nTOP 2 1\r\n'
            f'RETR 2\r\n{"x" * 400}\r\nRETR 1\r\nRETR 3\r\nNOOP\r\nQUIT\r\n').encode()
    answers = []
    for pieces in ((len(talk),), sizes):
        client = connect(shared, tls)
        client.send_split(talk, pieces)
        answers.append(client.closed())
        client.close()
    assert answers[0] == answers[1]
    assert answers[0].count(b'+OK') >= 9


# sessions

def test_the_maildrop_is_locked_for_one_session(shared, user, connect):
    shared.put_many(user, THREE)
    first, second = connect(shared), connect(shared)
    first.login(user, PASSWORD)
    second.ok(f'USER {user}')
    assert second.ask(f'PASS {PASSWORD}').startswith('-ERR [IN-USE]')
    second.ok(f'USER {user}')
    assert second.ask('PASS wrong').startswith('-ERR [AUTH]')
    first.quit()
    second.login(user, PASSWORD)


@pytest.mark.parametrize('end', ['close', 'reset', 'quit'])
def test_threat_39_the_lock_is_released_with_the_session(shared, user, connect, end):
    first = connect(shared)
    first.login(user, PASSWORD)
    getattr(first, end)()
    login_within(connect, shared, user)


def cut_close(client):
    client.close()


def cut_reset(client):
    client.reset()


def cut_half_close(client):
    client.socket.shutdown(1)
    client.closed()


def cut_quit_without_line_end(client):
    client.send('QUIT')
    client.close()


def cut_quit_with_bare_lf(client):
    client.send('QUIT\n')
    client.close()


def cut_in_a_message(client):
    client.send('RETR 1\r\n')
    client.line()
    client.close()


@pytest.mark.parametrize('tls', [None, True], ids=['plain', 'tls'])
@pytest.mark.parametrize('cut', [cut_close, cut_reset, cut_half_close, cut_quit_without_line_end,
                                 cut_quit_with_bare_lf, cut_in_a_message])
def test_threat_37_any_end_but_quit_deletes_nothing(shared, user, connect, cut, tls):
    shared.put_many(user, [*THREE, b'Subject: long\n\n' + b'line\n' * 300_000])
    client = connect(shared, tls)
    client.login(user, PASSWORD)
    for number in (2, 3, 4):
        client.ok(f'DELE {number}')
    try:
        cut(client)
    except (Closed, OSError):
        pass
    again = login_within(connect, shared, user)
    assert again.stat()[0] == 4
    shared.has_files(user, 4)


# TLS in the middle

def test_stls_then_everything(shared, user, connect):
    shared.put_many(user, THREE)
    client = connect(shared)
    client.ok('STLS')
    client.start_tls()
    client.login(user, PASSWORD)
    assert client.retr(2) == wire_form(THREE[1])
    client.quit()


@pytest.mark.parametrize('injected', [b'CAPA\r\n', b'USER x\r\nPASS y\r\n', b'QUIT\r\n', b'NO'])
def test_threat_01_what_is_sent_behind_stls_is_never_run(shared, connect, injected):
    client = connect(shared)
    client.send(b'STLS\r\n' + injected)
    assert client.line().startswith('+OK')
    assert client.buffer == b''
    try:
        client.start_tls()
    except OSError:
        return  # closing is right as well
    client.send('NOOP-AFTER\r\n')
    assert client.line().startswith('-ERR')
    client.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.more()


def test_threat_02_user_before_stls_is_forgotten(shared, user, connect):
    client = connect(shared)
    client.ok(f'USER {user}')
    client.ok('STLS')
    client.start_tls()
    client.err(f'PASS {PASSWORD}')
    client.login(user, PASSWORD)


def test_threat_03_stls_at_the_wrong_time(shared, user, connect):
    client = connect(shared, True)
    client.err('STLS')
    client.login(user, PASSWORD)
    client.err('STLS')
    plain = connect(shared)
    plain.login(user, PASSWORD) if client.quit() else None
    plain.err('STLS')
    assert plain.stat()[0] == 0


def test_threat_03_stls_inside_an_exchange(shared, user, connect):
    client = connect(shared)
    client.send('AUTH PLAIN\r\n')
    reply = client.line()
    if reply == '+ ':
        client.err('STLS')  # a response that is no base64, and nothing else
    client.login(user, PASSWORD)


# names that are no ASCII

@pytest.mark.parametrize('name', ['jürgen', 'Émile@example.org', '用户', 'naïve.я'])
def test_a_name_in_utf_8_logs_in_by_every_command(make_office, connect, name):
    office = make_office(users=(name,), settings={'login.apop': 'yes'})
    office.put(name, THREE[0])
    client = connect(office)
    assert client.login(name, PASSWORD).startswith('+OK 1 ')
    client.quit()
    client = connect(office)
    assert client.ok(client.plain(name, PASSWORD)).startswith('+OK 1 ')
    client.quit()
    client = connect(office)
    stamp = client.greeting[client.greeting.index('<'):]
    digest = hashlib.md5((stamp + PASSWORD).encode()).hexdigest()
    assert client.ok(f'APOP {name} {digest}').startswith('+OK 1 ')
    client.quit()


@pytest.mark.parametrize('name', [b'j\xfcrgen', b'\xff\xfe', b'j\xc3', b'\xed\xa0\x80'])
def test_a_name_in_another_encoding_is_a_wrong_name(shared, connect, name):
    client = connect(shared)
    client.send(b'USER ' + name + b'\r\n')
    assert client.line().startswith('+OK')
    assert client.ask(f'PASS {PASSWORD}').startswith('-ERR [AUTH]')
