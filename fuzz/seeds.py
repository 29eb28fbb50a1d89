#!/usr/bin/env python3
"""Writes the first inputs of the targets handlers_…: a dialogue of honest processes each, from
which the fuzzer departs. Run in fuzz/ after a change of the messages: ./seeds.py"""
import pathlib
import re
import struct

ROWS = {name: int(number) for name, number in re.findall(
    r'X\((\w+), (\d+), ipc_', pathlib.Path('../src/ipc/messages.h').read_text())}


def say(text, client=0):
    text = text.encode() if isinstance(text, str) else text
    return b''.join(bytes([client, len(text[i:i + 255])]) + text[i:i + 255]
                    for i in range(0, len(text), 255))


def hang_up(client=0):
    return bytes([0x10 | client])


def send(peer, row, *fields, flags=0, tail=b''):
    """fields: numbers of 8 octets, or octets as they are."""
    fixed = b''.join(struct.pack('<Q', field) if isinstance(field, int) else field
                     for field in fields)
    tail = tail.encode() if isinstance(tail, str) else tail
    number = ROWS[row] - (0 if ROWS[row] < 256 else 0x80 if ROWS[row] < 400 else 0xd0)
    return bytes([0x20 | peer, number, flags, len(fixed), len(tail)]) + fixed + tail


def two(a, b):
    return struct.pack('<II', a, b)


def dies(peer):
    return bytes([0x40 | peer])


def monitor_answers(how):
    return bytes([0x50 | ('yes', 'no', 'other', 'never').index(how)])


TURN = b'\xff'
NAME = pathlib.Path('corpus')

# peers of a front: auth, keeper, keeper
OFFER = send(0, 'OFFER', two(1, 0), tail='PLAIN SCRAM-SHA-256\nPLAIN SCRAM-SHA-256')
CONNECTED = send(0, 'CONNECTED', 0, two(0, 0), flags=1, tail='<1.2@office.test>')
LOGIN = OFFER + say('') + CONNECTED + say('USER anna\r\nPASS secret\r\n')
OPEN = LOGIN + send(1, 'ARENA', flags=0x10) + send(1, 'OPENED', 0, 0, 0, 0, two(0, 0), flags=0x43)
BODY = struct.pack('<QII', 5, 1, 5)

FRONT = {
    'login': OPEN + say('STAT\r\nLIST\r\nUIDL\r\nNOOP\r\nQUIT\r\n'),
    'language': OFFER + say('') + CONNECTED + say('LANG es\r\nUTF8\r\nUSER anna\r\nPASS secret\r\n')
                + send(1, 'OPEN_FAILED', 0, 0, two(9, 0), flags=3)
                + say('LANG\r\nCAPA\r\nQUIT\r\n'),
    'denied': LOGIN + send(0, 'DENIED', 0, 0, two(1, 1), two(1, 0), flags=3),
    'sasl': OFFER + say('') + CONNECTED + say('AUTH PLAIN\r\n')
            + send(0, 'CHALLENGE', 0, flags=1, tail='') + say('AGFubmEAc2VjcmV0\r\n')
            + send(1, 'OPENED', 0, 0, 0, 0, two(0, 0), flags=0x43) + say('STAT\r\n'),
    'failed': LOGIN + send(1, 'OPEN_FAILED', 0, 0, two(9, 0), flags=3),
    'bodies': OPEN + say('RETR 1\r\n')
              + send(1, 'BODIES', 0, two(1, 0), flags=1, tail=BODY + b'text\n') + say('NOOP\r\n'),
    'lent': OPEN + say('RETR 3\r\n')
            + send(1, 'BODY_LENT', 0, 0, 20, 22, 20, two(3, 0), flags=1) + say('TOP 3 1\r\n'),
    'body_failed': OPEN + say('RETR 2\r\n') + send(1, 'BODY_FAILED', 0, two(2, 14), flags=1),
    'slice': OPEN + say('RETR 3\r\n')
             + send(1, 'BODY_LENT', 0, 0, 20, 22, 10, two(3, 0), flags=1)
             + send(1, 'SLICE_READY', 0, 10, 10, two(3, 0), flags=1),
    'quit': OPEN + say('DELE 1\r\nDELE 3\r\nRSET\r\nDELE 2\r\nQUIT\r\n')
            + send(1, 'COMMITTED', 0, two(0, 0), flags=1),
    'auth_dies': LOGIN + dies(0) + say('NOOP\r\n'),
    'keeper_dies': OPEN + say('DELE 1\r\n') + dies(1) + say('QUIT\r\n'),
    'two': OPEN + say('CAPA\r\n', 1) + hang_up(0) + TURN + say('QUIT\r\n', 1),
}

# peers of an LMTP front: the same
GREET = say('LHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<anna@office.test>\r\n')
RESOLVED = send(0, 'RESOLVED', 0, 0, two(1, 0), flags=3, tail=struct.pack('<Q', 11))
READY = GREET + RESOLVED + send(1, 'RCPT_READY', 0, 0, two(0, 0), flags=3)
LARGE = (say('LHLO x\r\nMAIL FROM:<> SIZE=2000000\r\nRCPT TO:<anna@office.test>\r\n')
         + RESOLVED + send(1, 'RCPT_READY', 0, 0, two(0, 1), flags=3))
LMTP = {
    'delivery': READY + say('DATA\r\n') + say('Subject: x\r\n\r\nbody\r\n.\r\n')
                + send(1, 'DELIVERED', 0, 0, two(0, 0), flags=3) + say('QUIT\r\n'),
    'refused': GREET + send(0, 'RCPT_REFUSED', 0, 0, two(18, 0), flags=3) + say('DATA\r\n'),
    'keeper_refuses': GREET + RESOLVED + send(1, 'RCPT_REFUSED', 0, 0, two(20, 0), flags=3),
    'gone': GREET + RESOLVED + send(0, 'KEEPER_GONE') + say('RSET\r\n'),
    'keeper_dies': READY + say('DATA\r\nx\r\n.\r\n') + dies(1) + say('QUIT\r\n'),
    'spooled': LARGE + say('DATA\r\n') + say('Subject: x\r\n\r\nbody\r\n') + say('.\r\n')
               + send(1, 'DELIVERED', 0, 0, two(0, 0), flags=3) + say('QUIT\r\n'),
    'spooled_in_part': LARGE + say('DATA\r\nx\r\n') + hang_up(0) + TURN,
    'too_many_owners': GREET + send(0, 'RCPT_REFUSED', 0, 0, two(25, 0), flags=3)
                       + say('RCPT TO:<b@c>\r\nRSET\r\n'),
}

# peers of auth: front, LMTP front, keeper, keeper, mta
CONNECT = send(0, 'CONNECT', 7, b'\0' * 10 + b'\xff\xff\x7f\0\0\1',
               struct.pack('<HBB', 4000, 1, 0), b'\0' * 4)
QUOTA = send(4, 'QUOTA', 9, two(0, 0), two(0, 0), 5000, tail='anna@office.test')
AUTH = {
    'pass': CONNECT + send(0, 'PASS', 7, 99, two(1, 0), tail='anna\nsecret')
            + send(0, 'DISCONNECT', 7),
    'unopened': CONNECT + send(0, 'PASS', 7, 99, two(1, 0), tail='slow\nsecret')
                + send(0, 'PASS', 7, 100, two(1, 0), tail='slow\nsecret')
                + send(0, 'UNOPENED', 7, 100)
                + send(0, 'PASS', 7, 101, two(1, 0), tail='slow\nsecret')
                + send(0, 'UNOPENED', 7, 101),
    'wrong': CONNECT + send(0, 'PASS', 7, 99, two(1, 0), tail='anna\nguess')
             + send(0, 'PASS', 7, 100, two(1, 0), tail='nobody\nguess'),
    'plain': CONNECT + send(0, 'SASL_START', 7, 99, two(1, 0), tail='PLAIN\nAGFubmEAc2VjcmV0'),
    'scram': CONNECT + send(0, 'BINDINGS', 7, two(32, 0))
             + send(0, 'SASL_START', 7, 99, two(1, 1),
                    tail='SCRAM-SHA-256\nbiwsbj1hbm5hLHI9YWJj')
             + send(0, 'SASL_RESPONSE', 7, 99, two(1, 1), tail='\nYz1iaXdzLHI9YWJj')
             + send(0, 'SASL_CANCEL', 7),
    'apop': CONNECT + send(0, 'APOP', 7, 99, two(1, 0), tail='anna\n' + '0' * 32),
    'recipient': send(1, 'RCPT', 8, two(1, 0), tail='anna@office.test')
                 + send(1, 'RCPT', 8, two(1, 1), tail='nobody@office.test') + dies(2),
    'again': CONNECT + dies(0) + CONNECT + dies(3),
    'quota': QUOTA + send(2, 'USAGE_ANSWER', 0, two(20, 0), flags=1)
             + send(3, 'USAGE_ANSWER', 0, two(20, 0), flags=1),
    'quota_late': QUOTA + dies(4) + send(2, 'USAGE_ANSWER', 1, two(0, 0))
                  + send(3, 'USAGE_ANSWER', 1, two(0, 0)),
    'quota_keepers_die': QUOTA + QUOTA + dies(2) + dies(3) + QUOTA,
    'quota_unasked': send(2, 'USAGE_ANSWER', 1, two(20, 0)) + send(3, 'USAGE_ANSWER', 5, two(0, 0)),
}

# peers of a keeper: auth, front, LMTP front
OPENS = send(0, 'OPEN', 11, 7, 99, tail='anna\nanna')
RCPT = send(0, 'RCPT_OPEN', 12, 8, two(1, 0), 0, 0, tail='anna\nanna\nanna@office.test')
NEW_RCPT = send(0, 'RCPT_OPEN', 12, 8, two(1, 0), 0, 0, tail='berta\nberta\nberta@office.test')
NEW_MAIL = send(2, 'DELIVER', 8, 20, two(1, 1), tail=struct.pack('<I', 0) + b'X: y\r\n')
KEEPER = {
    'fetch': OPENS + send(1, 'FETCH', 7, two(1, 2), two(0xffffffff, 0))
             + send(1, 'FETCH', 7, two(3, 1), two(0, 0)) + send(1, 'CLOSE', 7),
    'slice': OPENS + send(1, 'FETCH', 7, two(3, 1), two(0xffffffff, 0))
             + send(1, 'READ_SLICE', 7, 0, 4096, two(3, 0)) + send(1, 'INDEX_WRONG', 7),
    'quit': OPENS + send(1, 'DELETE', 7, two(2, 0), tail=struct.pack('<II', 1, 3))
            + send(1, 'COMMIT', 7, two(2, 0), 0, 0) + send(1, 'CLOSE', 7),
    'in_use': OPENS + send(0, 'OPEN', 11, 9, 98, tail='anna\nanna') + send(1, 'CLOSE', 7),
    'delivery': RCPT
                + send(2, 'DELIVER', 8, 20, two(1, 1), tail=struct.pack('<I', 0) + b'X: y\r\n')
                + send(2, 'FORGET', 8, two(1, 0)),
    'forget': RCPT + send(2, 'FORGET', 8, two(1, 0)) + dies(2),
    'new_maildrop': NEW_RCPT + NEW_MAIL + TURN * 3,
    'new_refused': monitor_answers('no') + NEW_RCPT + NEW_MAIL + TURN,
    'new_confused': monitor_answers('other') + NEW_RCPT + NEW_MAIL + TURN + dies(2),
    'new_unanswered': monitor_answers('never') + NEW_RCPT + NEW_MAIL
                      + send(0, 'OPEN', 11, 7, 99, tail='berta\nberta') + dies(2) + dies(1),
    'front_dies': OPENS + send(1, 'FETCH', 7, two(3, 1), two(0xffffffff, 0)) + dies(1),
    'usage': send(0, 'USAGE', 1, 5000, 100, 100, tail='anna\nanna') + RCPT
             + send(0, 'USAGE', 2, 0, 1, 0, tail='anna\nanna')
             + send(0, 'USAGE', 3, 9, 0, 1, tail='berta\nberta') + TURN,
    'usage_wrong': send(0, 'USAGE', 1, 0, 1, 1, tail='x\n../x')
                   + send(0, 'USAGE', 1, 0, 1, 1, tail='\n') + dies(0),
    'nobody': send(0, 'OPEN', 11, 7, 99, tail='x\nberta')
              + send(0, 'OPEN', 11, 8, 1, tail='x\n../x'),
}

# peers of keys: front, front; key 0 is of P-256, key 1 of Ed25519
VERIFY = b' ' * 64 + b'TLS 1.3, server CertificateVerify\0' + b'h' * 32
EXCHANGE = b'c' * 32 + b's' * 32 + bytes([3, 0, 29, 32]) + b'x' * 32
POINT = b'c' * 32 + b's' * 32 + bytes([3, 0, 23, 65]) + b'p' * 65
ECDSA, ED25519, RSA_PSS = 0x0403, 0x0807, 0x0804


def sign(peer, key, scheme, content, session=7, ticket=1):
    return send(peer, 'SIGN', session, ticket, two(key, scheme), tail=content)


KEYS = {
    'verify': sign(0, 0, ECDSA, VERIFY) + sign(0, 1, ED25519, VERIFY, ticket=2),
    'exchange': sign(0, 0, ECDSA, EXCHANGE) + sign(1, 0, ECDSA, POINT),
    'wrong_scheme': sign(0, 0, ED25519, VERIFY) + sign(0, 1, RSA_PSS, VERIFY)
                    + sign(1, 0, ECDSA, VERIFY),
    'no_key': sign(0, 2, ECDSA, VERIFY) + sign(1, 0, ECDSA, VERIFY),
    'no_handshake': sign(0, 0, ECDSA, b'sign this') + sign(1, 0, ECDSA, VERIFY[:-1]) + dies(0)
                    + sign(0, 0, ECDSA, POINT[:-1]),
    'many': sign(0, 0, ECDSA, VERIFY) * 20 + sign(1, 1, ED25519, VERIFY) * 3 + dies(0)
            + sign(0, 0, ECDSA, VERIFY),
}

# peers of mta: auth
MTA_OFFER = send(0, 'OFFER', two(0, 0), tail='PLAIN\nSCRAM-SHA-256 PLAIN LOGIN')
HELLO = MTA_OFFER + say('VERSION\t1\t0\nCPID\t7\n')
PLAIN = HELLO + say('AUTH\t1\tPLAIN\tservice=smtp\tsecured\trip=192.0.2.7\tresp=AGEAYg==\n')
MTA_OK = send(0, 'CONNECTED', 0, two(0, 0), flags=1, tail='')

MTA = {
    'granted': PLAIN + MTA_OK + send(0, 'GRANTED', 0, 0, flags=3, tail='anna'),
    'denied': PLAIN + MTA_OK + send(0, 'DENIED', 0, 0, two(1, 1), two(1, 0), flags=3),
    'down': PLAIN + MTA_OK + send(0, 'DENIED', 0, 0, two(3, 0), two(0, 0), flags=3),
    'refused': PLAIN + send(0, 'CONNECTED', 0, two(7, 0), flags=1, tail=''),
    'challenge': HELLO + say('AUTH\t1\tLOGIN\tservice=smtp\n') + MTA_OK
                 + send(0, 'CHALLENGE', 0, flags=1, tail='VXNlcg==') + say('CONT\t1\tYW5uYQ==\n')
                 + send(0, 'SLOW', 0, 0, flags=3) + send(0, 'GRANTED', 0, 0, flags=3, tail='anna'),
    'two': PLAIN + say('AUTH\t2\tPLAIN\tresp=AGEAYg==\nCANCEL\t1\nCONT\t9\tx\n')
           + send(0, 'DENIED', 0, 0, two(3, 0), two(0, 0), flags=3) + hang_up(),
    'auth_dies': PLAIN + say('AUTH\t2\tLOGIN\n') + dies(0) + MTA_OFFER,
    'same_id': PLAIN + say('AUTH\t1\tPLAIN\n'),
    'garbage': MTA_OFFER + say('GET / HTTP/1.1\r\n\r\n'),
    'unasked': HELLO + send(0, 'GRANTED', 1, 0, tail='anna'),
    'whose': MTA_OFFER + say('VERSION\t1\t0\n')
             + send(0, 'WHOSE_ANSWER', 1, two(0, 0), tail='anna'),
    'long': HELLO + say('AUTH\t1\tPLAIN\tresp=' + 'A' * 18000),
}

MAP = {
    'users': say('10:users demo,14:senders demo@x,')
             + send(0, 'WHOSE_ANSWER', 0, two(0, 0), flags=1)
             + send(0, 'WHOSE_ANSWER', 0, two(0, 0), flags=1, tail='demo, carol'),
    'unknown': say('11:users ghost,') + send(0, 'WHOSE_ANSWER', 0, two(18, 0), flags=1),
    'down': say('10:users demo,') + send(0, 'WHOSE_ANSWER', 0, two(19, 0), flags=1),
    'domains': say('15:domains x.test,9:nothing x,0:,'),
    'auth_dies': say('10:users demo,') + dies(0) + say('10:users demo,'),
    'hang_up': say('10:users demo,') + hang_up() + send(0, 'WHOSE_ANSWER', 0, two(0, 0), flags=1),
    'garbage': say('users demo\n') + say('99999:', client=1),
}

ASK = 'request=smtpd_access_policy\nrecipient=demo@x.test\nsize=9\n\n'
POLICY = {
    'full': say(ASK + ASK) + send(0, 'WHOSE_ANSWER', 0, two(20, 0), flags=1, tail='')
            + send(0, 'WHOSE_ANSWER', 0, two(21, 0), flags=1, tail=''),
    'room': say(ASK) + send(0, 'WHOSE_ANSWER', 0, two(0, 0), flags=1, tail=''),
    'down': say(ASK) + send(0, 'WHOSE_ANSWER', 0, two(19, 0), flags=1, tail=''),
    'nobody': say('request=smtpd_access_policy\n\n\n'),
    'unasked': say(ASK[:-1]) + send(0, 'WHOSE_ANSWER', 7, two(20, 0), tail='demo') + say('\n'),
    'auth_dies': say(ASK) + dies(0) + say(ASK),
    'hang_up': say(ASK) + hang_up() + send(0, 'WHOSE_ANSWER', 0, two(20, 0), flags=1, tail=''),
    'garbage': say('GET / HTTP/1.1\r\n\r\n') + say('a=' + 'x' * 60000, client=1),
}

# peers of the locker: two keepers; the first one's are the mailboxes box and other
LOCK_KEY = '0123456789abcdef0123456789abcdef'


def lock(what, name, key='', peer=0):
    return send(peer, 'LOCK', 1, two(('take', 'mark', 'release').index(what), 0),
                tail=f'{name}\n{key}')


LOCKER = {
    'take': lock('take', 'box') + lock('take', 'other', LOCK_KEY) + lock('release', 'box')
            + lock('release', 'other'),
    'journal': lock('take', 'box', LOCK_KEY) + lock('mark', 'box') + dies(0)
               + lock('take', 'box') + lock('take', 'box', LOCK_KEY) + lock('release', 'box'),
    'twice': lock('take', 'box') + lock('take', 'box') + lock('take', 'box', peer=1) + dies(0)
             + lock('release', 'box') + lock('mark', 'box'),
    'of_another': lock('take', 'box', peer=1) + lock('mark', 'box', peer=1)
                  + lock('release', 'box', peer=1),
    'no_mailbox': b''.join(lock('take', name) for name in (
        '', '.', '..', 'folder', 'link', 'none', 'folder/x', '../users', 'box.lock', 'x' * 200)),
    'no_key': lock('take', 'box', 'x') + lock('take', 'box', '0' * 65) + lock('take', 'box', '0'),
}

# peers of a connector: auth, two fronts, an LMTP front; the clients are the servers it dials
def open_remote(session=7, remote=0, judge=0, front=11):
    return send(0, 'OPEN_REMOTE', front, session, 99, two(remote, 0), two(0, judge),
                tail='anna\n\nanna\nsecret') + TURN * 4


def ask(row, *fields, peer=1):
    return send(peer, row, 7, *fields) + TURN * 4


def go(reason=0):
    return send(0, 'GO', 11, 7, 99, two(reason, 0)) + TURN * 4


def server(text, client=0):
    return say(text, client) + TURN * 4


CAPABILITIES = '+OK\r\nTOP\r\nUIDL\r\nUSER\r\nPIPELINING\r\nRESP-CODES\r\n.\r\n'
INSIDE = server('+OK hello\r\n') + server(CAPABILITIES) + server('+OK\r\n+OK in\r\n')
LISTED = (INSIDE + server('+OK\r\n1 20\r\n2 10\r\n.\r\n')
          + server('+OK\r\n1 a\r\n2 b\r\n.\r\n'))
FETCH_ONE = ask('FETCH', two(1, 1), two(0xffffffff, 0), two(0, 0), 0)
FETCH_TOP = ask('FETCH', two(1, 1), two(0xffffffff, 0), two(1, 0), 2)
def passed_on(*users):
    return b''.join(send(0, 'RCPT_REMOTE', 13, 8, two(1, i), two(0, 0),
                         tail=f'{user}\n{user}\n{user}@x.y') for i, user in enumerate(users)) \
        + send(3, 'DELIVER', 8, 20, two(1, len(users)), two(0, 0),
               tail=struct.pack(f'<{len(users)}I', *range(len(users)))
               + b'Return-Path: <s@y.z>\r\nReceived: x\r\n') + TURN * 4


LMTP_HELLO = server('220 x LMTP\r\n') + server('250-x\r\n250-SIZE\r\n250 PIPELINING\r\n')
MESSAGE = server('+OK 20\r\nSubject: x\r\n\r\nbody\r\n') + server('..\r\n.\r\n')
CONNECTOR = {
    'open': open_remote() + LISTED + FETCH_ONE + MESSAGE + ask('READ_STREAM', two(1, 0), 65536)
            + ask('CLOSE'),
    'judged': open_remote(judge=1) + LISTED + go() + FETCH_ONE + MESSAGE + ask('COMMIT')
              + server('+OK\r\n'),
    'not_yet': open_remote(judge=1) + LISTED + FETCH_ONE + ask('COMMIT') + go(4) + go(),
    'refused': open_remote(judge=1) + server('+OK\r\n') + server(CAPABILITIES)
               + server('+OK\r\n-ERR [AUTH] no\r\n'),
    'top': open_remote() + LISTED + FETCH_TOP + MESSAGE,
    'deleted': open_remote() + LISTED + ask('DELETE', two(1, 0)) + ask('COMMIT')
               + server('+OK\r\n') + server('+OK bye\r\n'),
    'cut': open_remote(remote=1) + LISTED + FETCH_ONE
           + server('+OK\r\nSubject: x\r\n') + hang_up(0),
    'front_dies': open_remote() + LISTED + FETCH_ONE + dies(1) + MESSAGE,
    'auth_dies': open_remote(judge=1) + LISTED + dies(0) + go(),
    'no_section': open_remote(remote=9),
    'two': open_remote() + LISTED + open_remote(session=8, front=12) + server('+OK\r\n', 1)
           + server(CAPABILITIES, 1) + server('-ERR [IN-USE] busy\r\n' * 3, 1),
    'another_session': open_remote() + LISTED + ask('FETCH', two(1, 1), 0, 0, 0, peer=2),
    'passed_on': passed_on('anna', 'berta') + LMTP_HELLO + server('250 a\r\n250 b\r\n550 c\r\n')
                 + server('354 go\r\n') + server('250 saved\r\n') + send(3, 'FORGET', 8, two(1, 0)),
    'passed_on_later': passed_on('anna') + LMTP_HELLO + server('451 a\r\n'),
    'passed_on_cut': passed_on('anna', 'berta') + LMTP_HELLO
                     + server('250 a\r\n250 b\r\n250 c\r\n354 go\r\n250 saved\r\n') + hang_up(0),
    'lmtp_front_dies': passed_on('anna') + LMTP_HELLO + dies(3)
                       + server('250 a\r\n250 b\r\n354 go\r\n250 saved\r\n'),
    'mail_and_session': open_remote() + LISTED + passed_on('anna') + server('220 x\r\n', 1)
                        + FETCH_ONE + MESSAGE,
}

for role, seeds in (('front', FRONT), ('lmtp', LMTP), ('auth', AUTH), ('keeper', KEEPER),
                    ('keys', KEYS), ('mta', MTA),
                    ('map', MAP), ('policy', POLICY), ('locker', LOCKER),
                    ('connector', CONNECTOR)):
    folder = NAME / f'handlers_{role}'
    folder.mkdir(exist_ok=True)
    for name, octets in seeds.items():
        (folder / name).write_bytes(octets)
