"""Mail into an IMAP folder, through valija-upload: a stand-in that can do wrong, and Dovecot."""
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ('hostile', 'stand_ins')]

from dovecot_imap import DovecotImap, Relay  # noqa: E402
from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from fetching import CANTCREAT, CONFIG, DATAERR, NOPERM, PROTOCOL, TEMPFAIL, TOKEN  # noqa: E402
from fetching import UNAVAILABLE, USAGE  # noqa: E402
from hostile import PASSWORD, letter, make_certificate, wire_form  # noqa: E402
from imap import Cut, Imap  # noqa: E402
from test_fetch_refused import kept, waiting  # noqa: E402


@pytest.fixture
def imap(certificate):
    """imap(…): servers that end with the test."""
    servers = []

    def make(**more):
        servers.append(Imap(certificate, **more))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def run(fetcher, certificate):
    def go(source, target, *options, folder='INBOX', trust=True, password=True, **more):
        words = ['--to-ca', certificate[0]] if trust else []
        if password:
            words += ['--to-password-file', fetcher.password_file]
        return fetcher.run(source, *words, *options, to=target.url(folder), **more)
    return go


def bodies(texts):
    """Without our header, which is the first line of each."""
    for text in texts:
        assert re.match(rb'X-Valija-Delivery-Id: [0-9a-f]{32}\r\n', text)
    return [text.partition(b'\r\n')[2] for text in texts]


HARD = [b'Subject: 8-bit\n\n\x80\xff\xfe gr\xfc\xdf\n', b'Subject: bare\rCR\n\na\rb\r\n',
        b'Subject: long\n\n' + b'x' * 70000 + b'\n', b'Subject: dots\n\n.\n..\n.\n',
        b'no header at all\n', b'\n', b'Subject: {5}\n\n"\\ {12+}\n* BYE\nV4 OK\n',
        b'Subject: no final line break\n\nx', 'Subject: ümlaut\n\n€\n'.encode()]


@pytest.mark.parametrize('ahead', [True, False])
@pytest.mark.parametrize('starttls', [None, True])
def test_threat_88_every_octet_as_it_came(imap, run, serve, ahead, starttls):
    target = imap(starttls=starttls, capabilities=['LITERAL+'] if ahead else [])
    server = serve(HARD)
    run(server, target, '--delete')
    assert bodies(target.octets()) == [wire_form(text) for text in HARD]
    assert server.messages == [] and target.count('SEARCH') == 0
    assert target.count('CAPABILITY') <= 4, 'one connection for all'


def test_twenty_megabytes(imap, run, serve):
    big = b'Subject: big\n\n' + (b'0123456789' * 7 + b'\n') * 300000
    target = imap()
    run(serve([big]), target)
    assert bodies(target.octets()) == [wire_form(big)] and len(big) > 20 << 20


def test_a_message_with_nul_octets_is_kept_aside(imap, run, serve, fetcher):
    nul, target = b'Subject: x\n\na\0b\n', imap()
    done = run(serve([letter(1), nul, letter(2)]), target, expect=DATAERR)
    assert bodies(target.octets())[:2] == [wire_form(letter(n)) for n in (1, 2)]
    [(message, why)] = kept(fetcher)
    assert message == wire_form(nul) and 'NUL' in why and 'message 2' in done.stderr


@pytest.mark.parametrize('head, date', [
    ('Received: by b; Sat, 28 Nov 2020 15:04:05 +0100 (CET)\n'
     'Received: by a; Fri, 27 Nov 2020 10:00:00 +0000\nDate: Thu, 26 Nov 2020 10:00:00 +0000\n',
     '28-Nov-2020 14:04:05 +0000'),
    ('Received: from x (y; z)\n\tby w with ESMTP id 1;\n\t1 Jan 2021 00:00 -0800\n',
     ' 1-Jan-2021 08:00:00 +0000'),
    ('Date: Mon, 2 Feb 98 03:04:05 GMT\n', ' 2-Feb-1998 03:04:05 +0000'),
    ('Received: by a; yesterday\nDate: 3 Mar 2022 01:02:03 +0000\n', ' 3-Mar-2022 01:02:03 +0000'),
    ('Date: 3 Mar 2922 01:02:03 +0000\n', None), ('Subject: none\n', None)])
def test_internal_date(imap, run, serve, head, date):
    target = imap()
    run(serve([head.encode() + b'\nx\n']), target, '--to-flags', r'\Seen $Word')
    assert [(flags, when) for flags, when, _ in target.folders['"INBOX"']] == \
        [(r'\Seen $Word', date)]


def test_flags_are_none_by_default(imap, run, serve):
    target = imap()
    run(serve([letter(1)]), target)
    assert target.folders['"INBOX"'][0][0] == ''


@pytest.mark.parametrize('folder, wire', [
    ('', '"INBOX"'), ('Entw%C3%BCrfe', '"Entw&APw-rfe"'), ('a%20b/c', '"a b/c"'),
    ('A%26B', '"A&-B"'),
    ('%22%5C', '"\\"\\\\"'), ('%F0%9F%93%AC', '"&2D3c7A-"')])
def test_folders(imap, run, serve, folder, wire):
    """One that is missing is made."""
    target = imap(folders=())
    run(serve([letter(1), letter(2)]), target, folder=folder)
    assert len(target.octets(wire)) == 2 and target.count('CREATE') == 1


@pytest.mark.parametrize('folder', ['%ff', '%00', 'a%0d%0ab', '%zz'])
def test_folders_that_are_none(imap, run, serve, folder):
    target, source = imap(), serve()
    done = run(source, target, folder=folder, expect=None)
    assert done.returncode in (USAGE, CONFIG) and not target.commands and not source.sessions


def test_a_folder_that_cannot_be_made(imap, run, serve):
    target, server = imap(folders=()), serve()
    target.answers['CREATE'] = 'NO [NOPERM] not yours'
    done = run(server, target, '--delete', expect=CANTCREAT)
    assert 'not yours' in done.stderr and len(server.messages) == 5


@pytest.mark.parametrize('answer', ['NO [TOOBIG] no', 'NO [CANNOT] no', 'BAD [X] no'])
def test_refused_for_good(imap, run, serve, fetcher, answer):
    target, server = imap(), serve()
    target.answers['APPEND'] = lambda _, octets: answer if b'letter 3' in octets else None
    done = run(server, target, '--delete', expect=DATAERR)
    assert [uid for uid, _ in server.messages] == ['uid-3'] and 'message 3' in done.stderr
    assert [text for text, _ in kept(fetcher)] == [wire_form(letter(3))]
    assert bodies(target.octets())[:4] == [wire_form(letter(n)) for n in (1, 2, 4, 5)]
    assert b'Subject: 1 message could not be delivered here' in target.octets()[4]
    run(server, target, '--delete')
    assert len(target.octets()) == 5


def test_a_refusal_before_the_octets(imap, run, serve, fetcher):
    """Large messages wait for the go-ahead: a server that says no gets none of them."""
    target = imap()
    target.answers['LITERAL'] = 'NO [TOOBIG] not so much'
    run(serve([letter(1, 3 << 20)]), target, expect=DATAERR)
    assert [len(text) > 2 << 20 for text, _ in kept(fetcher)] == [True]
    limited = imap(capabilities=['LITERAL+', 'APPENDLIMIT=1000'])
    run(serve([letter(2, 4000), letter(3)]), limited, '--retry-refused', expect=DATAERR)
    assert bodies(limited.octets())[0] == wire_form(letter(3)) and limited.count('APPEND') == 2


def test_a_no_without_a_code_is_tried_again(imap, run, serve):
    target, server = imap(), serve()
    target.answers['APPEND'] = lambda _, octets: 'NO hm' if b'letter 3' in octets else None
    run(server, target, '--delete', expect=DATAERR)
    assert [uid for uid, _ in server.messages] == ['uid-3']
    target.answers.clear()
    run(server, target, '--delete')
    assert server.messages == [] and len(target.octets()) == 5


@pytest.mark.parametrize('code', ['OVERQUOTA', 'UNAVAILABLE', 'INUSE', 'LIMIT', 'SERVERBUG'])
def test_refused_for_now(imap, run, serve, code):
    target, server = imap(), serve()
    target.answers['APPEND'] = f'NO [{code}] later'
    for _ in range(2):
        assert waiting(run(server, target, '--delete', expect=TEMPFAIL)) is None
    done = run(server, target, '--delete', expect=TEMPFAIL)
    assert waiting(done) > 50 and code in done.stderr and len(server.messages) == 5
    assert target.count('APPEND') == 2


@pytest.mark.parametrize('starttls, trust, code, words', [
    (None, False, NOPERM, 'certificate'), (True, False, NOPERM, 'certificate'),
    ('none', True, UNAVAILABLE, '')])
def test_no_secret_without_a_verified_server(imap, run, serve, starttls, trust, code, words):
    target, server = imap(starttls=starttls), serve()
    done = run(server, target, trust=trust, expect=code)
    assert words in done.stderr and len(server.messages) == 5
    assert not re.search('LOGIN|AUTHENTICATE', ' '.join(target.commands))


def test_the_name_must_fit_and_a_pin_does(imap, run, serve, tmp_path, fetcher):
    other = make_certificate(tmp_path, 'elsewhere', ())
    target = Imap(other)
    pin = subprocess.run(
        f'openssl x509 -in {other[0]} -noout -pubkey | openssl pkey -pubin -outform der | '
        'openssl dgst -sha256 -binary | openssl base64', shell=True, capture_output=True, text=True,
        check=True).stdout.strip()
    words = ['--to-password-file', fetcher.password_file]
    fetcher.run(serve(), *words, '--to-ca', other[0], to=target.url(), expect=NOPERM)
    fetcher.run(serve(), *words, '--to-pin', 'sha256//' + 'A' * 43 + '=', to=target.url(),
                expect=NOPERM)
    fetcher.run(serve(), *words, '--to-pin', f'sha256//{pin}', to=target.url())
    assert len(target.octets()) == 5
    target.stop()


def test_a_token(imap, run, serve):
    target = imap(tokens=['fresh'])
    run(serve(), target, '--to-token-command', 'echo fresh', password=False)
    assert len(target.octets()) == 5
    server = serve()
    done = run(server, target, '--to-token-command', 'echo stale', '--delete', password=False,
               expect=TOKEN)
    assert 'token' in done.stderr and len(server.messages) == 5


def test_a_wrong_password(imap, run, serve):
    target, server = imap(), serve()
    done = run(server, target, '--to-password-command', 'echo wrong', password=False, expect=NOPERM)
    assert 'AUTHENTICATIONFAILED' in done.stderr and len(server.messages) == 5
    target.answers['LOGIN'] = 'NO [UNAVAILABLE] later'
    for _ in range(2):
        run(serve(), target, expect=TEMPFAIL)
    assert waiting(run(server, target, expect=TEMPFAIL)) is None, 'another account: another wait'


@pytest.mark.parametrize('when, stored', [('before', 0), ('stored', 1)])
def test_the_connection_is_lost_under_a_message(imap, run, serve, when, stored):
    """The server is asked before the message goes again: each is there once."""
    target, server = imap(), serve()

    def cut(_, octets):
        if b'letter 3' in octets and not target.count('SEARCH'):
            raise Cut

    target.hooks[when] = cut
    run(server, target, '--delete')
    assert sorted(bodies(target.octets())) == sorted(wire_form(letter(n)) for n in range(1, 6))
    assert target.count('SEARCH') == 1 and server.messages == []


@pytest.mark.parametrize('answers', [{'SEARCH': 'BAD no such key'}, {'SEARCH': 'NO not now'}])
def test_a_server_that_cannot_be_asked_gets_it_again(imap, run, serve, answers):
    target, server = imap(), serve()

    def cut(_, octets):
        if b'letter 3' in octets and target.count('APPEND') == 3:
            raise Cut

    target.hooks['stored'] = cut
    target.answers.update(answers)
    run(server, target, '--delete', expect=TEMPFAIL)
    run(server, target, '--delete')
    here = bodies(target.octets())
    assert sorted(here) == sorted(wire_form(letter(n)) for n in (1, 2, 3, 3, 4, 5))
    assert server.messages == []


@pytest.mark.parametrize('chatter', ['* BAD\x00', 'x' * 20000, '* OK {99999999}', 'nonsense here'])
def test_threat_87_a_server_that_is_none(imap, run, serve, chatter):
    target, server = imap(), serve()

    def speak(session, _):
        session.send(chatter)
        raise Cut

    target.answers['APPEND'] = speak
    done = run(server, target, '--delete', expect=None)
    assert done.returncode in (PROTOCOL, TEMPFAIL) and len(server.messages) == 5


def test_nothing_to_do_asks_no_destination(imap, run, serve):
    target = imap()
    server = serve()
    run(server, target)

    def asked():  # the first run does not wait for the answer to its LOGOUT
        return [line for line in target.commands if not line.endswith(' LOGOUT')]
    before = asked()
    run(server, target)
    assert asked() == before


def test_in_a_configuration_file(imap, serve, fetcher, certificate):
    target, server = imap(), serve()
    (fetcher.scratch / 'secret').write_text(PASSWORD)
    (fetcher.scratch / 'secret').chmod(0o600)
    fetcher.configured(f'''
        state = "{fetcher.state}"
        account "isp" {{
            server = "pop3://demo@127.0.0.1:{server.port}"
            tls = none
            password-file = "{fetcher.password_file}"
            to = "{target.url('INBOX')}"
            to-password-file = "~/secret"
            to-ca = "{certificate[0]}"
            to-flags = "\\\\Flagged"
            refused = "~/aside"
        }}''')
    assert [flags for flags, _, _ in target.folders['"INBOX"']] == ['\\Flagged'] * 5


@pytest.fixture(scope='module')
def dovecot():
    if not DovecotImap.usable():
        pytest.skip('needs root, and dovecot-imapd')
    server = DovecotImap()
    yield server
    server.stop()


CORPUS = sorted((HERE.parent / 'corpus').glob('*.eml'))


@pytest.mark.parametrize('starttls', [False, True])
def test_dovecot_takes_all_that_imap_can_carry(fetcher, serve, dovecot, starttls):
    """Its Maildir has LF: what came with bare LF or bare CR in it is compared in that form."""
    folder = 'starttls' if starttls else 'tls'
    texts = [path.read_bytes() for path in CORPUS] + HARD
    texts = sorted({wire_form(text) for text in texts if b'\0' not in text and text})
    server = serve(texts)
    fetcher.run(server, '--delete', '--to-password-file', fetcher.password_file, '--to-ca',
                dovecot.certificate[0], to=dovecot.url(folder, starttls))
    assert server.messages == [] and len(texts) > 30
    assert dovecot.mail('.' + folder) == sorted(text.replace(b'\r\n', b'\n') for text in texts)
    assert not any(',' in path.name.partition(':2,')[2] or 'S' in path.name.partition(':2,')[2]
                   for path in dovecot.paths('.' + folder)), 'no flags'


def test_dovecot_is_one_turn_a_message_on_one_connection(fetcher, serve, dovecot):
    relay = Relay(dovecot.imaps)
    server = serve([letter(n, 4096) for n in range(100)])
    fetcher.run(server, '--delete', '--to-password-file', fetcher.password_file, '--to-ca',
                dovecot.certificate[0], to=dovecot.url('many', port=relay.port))
    relay.stop()
    assert len(dovecot.paths('.many')) == 100 and relay.connections == 1
    # handshake, login, capabilities, the folder that is made; two turns would be 200
    assert relay.turns <= 100 + 15


def test_dovecot_answers_the_question(fetcher, serve, dovecot):
    """The journal says that a message was on its way; the folder has it, by our header."""
    server = serve([letter(1)])

    def run(*options):
        fetcher.run(server, '--to-password-file', fetcher.password_file, '--to-ca',
                    dovecot.certificate[0], *options, to=dovecot.url('asked'))

    run('--keep')
    [journal] = fetcher.state.glob('*.journal')
    text = journal.read_bytes()
    cut = text.index(b'\nS ') + 1  # as a kill behind the upload leaves it
    journal.write_bytes(text[:cut])
    assert b'\nW ' in text[:cut] and len(dovecot.paths('.asked')) == 1
    run('--delete')
    assert len(dovecot.paths('.asked')) == 1 and server.messages == []
