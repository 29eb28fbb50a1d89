"""Mail into Gmail by messages.import, through valija-upload, against a stand-in of the API."""
import email
import json
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ('hostile', 'stand_ins')]

from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from fetching import CANTCREAT, CONFIG, DATAERR, NOPERM, PROTOCOL, TEMPFAIL, TOKEN  # noqa: E402
from fetching import UNAVAILABLE, program  # noqa: E402
from gmail import Gmail  # noqa: E402
from hostile import letter, wire_form  # noqa: E402
from oauth import OAuth  # noqa: E402
from test_fetch_imap import HARD  # noqa: E402
from test_fetch_refused import kept, waiting  # noqa: E402

IMPORT = '/upload/gmail/v1/users/me/messages/import'
LABELS = '/gmail/v1/users/me/labels'


@pytest.fixture
def gmail(certificate):
    """gmail(…): servers that end with the test."""
    servers = []

    def make(**more):
        servers.append(Gmail(certificate, **more))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def run(fetcher, certificate):
    def go(source, target, *options, labels='INBOX', token='token', **more):
        return fetcher.run(source, '--gmail-api', target.api, '--to-ca', certificate[0],
                           '--to-token-command', f'echo {token}', *options, to=f'gmail:{labels}',
                           **more)
    return go


def test_every_octet_as_it_came(gmail, run, serve):
    target = gmail()
    texts = [*HARD, b'Subject: NUL\n\na\0b\n', b'Subject: \r\n--x--\n\n--\r\n']
    server = serve(texts)
    run(server, target, '--delete')
    assert target.octets() == [wire_form(text) for text in texts] and server.messages == []
    assert [m['labels'] for m in target.messages] == [['INBOX', 'UNREAD']] * len(texts)
    assert {m['query']['internalDateSource'] for m in target.messages} == {'dateHeader'}
    assert {m['query']['neverMarkSpam'] for m in target.messages} == {'false'}
    assert target.requests == [f'POST {IMPORT}'] * len(texts), 'one request a message, no other'


def test_twenty_megabytes(gmail, run, serve):
    big = b'Subject: big\n\n' + (b'0123456789' * 7 + b'\n') * 300000
    target = gmail()
    run(serve([big]), target)
    assert target.octets() == [wire_form(big)] and len(big) > 20 << 20


def test_labels_by_name(gmail, run, serve):
    """The list is asked for once; what is missing is made; case makes no other label."""
    target = gmail(scopes=('insert', 'labels'))
    target.labels['Anna@ISP'] = 'Label_7'
    run(serve(), target, '--gmail-never-spam', labels=r'INBOX,anna@isp,new "\one"')
    assert [m['labels'] for m in target.messages] == \
        [['INBOX', 'Anna@ISP', r'new "\one"', 'UNREAD']] * 5
    assert target.count(f'GET {LABELS}') == 1 and target.count(f'POST {LABELS}') == 1
    assert {m['query']['neverMarkSpam'] for m in target.messages} == {'true'}


def test_flags(gmail, run, serve):
    target = gmail()
    run(serve([letter(1)]), target, '--to-flags', r'\Seen \Flagged')
    assert target.messages[0]['labels'] == ['INBOX', 'STARRED']


@pytest.mark.parametrize('scopes, code, words', [(('insert',), NOPERM, 'gmail.labels'),
                                                 (('insert', 'readonly'), CANTCREAT, 'make it in')])
def test_labels_that_the_scope_does_not_allow(gmail, run, serve, scopes, code, words):
    target, server = gmail(scopes=scopes), serve()
    done = run(server, target, '--delete', labels='anna@isp', expect=code)
    assert words in done.stderr and target.messages == [] and len(server.messages) == 5
    target.labels['anna@isp'] = 'Label_7'
    if 'readonly' in scopes:
        run(server, target, '--delete', labels='anna@isp')
        assert server.messages == []


@pytest.mark.parametrize('status, reason', [(400, 'invalidArgument'), (413, 'uploadTooLarge')])
def test_refused_for_good(gmail, run, serve, fetcher, status, reason):
    target, server = gmail(), serve()
    target.refuse = lambda octets: (status, reason, 'Attachment\nforbidden') \
        if b'letter 3' in octets else None
    run(server, target, '--delete', expect=DATAERR)
    [(message, why)] = kept(fetcher)
    assert message == wire_form(letter(3)) and f'{status} {reason}: Attachment' in why
    assert [uid for uid, _ in server.messages] == ['uid-3']
    notice = email.message_from_bytes(target.octets()[4])
    assert notice['Subject'] == '1 message could not be delivered here'
    run(server, target, '--delete')
    assert len(target.messages) == 5


@pytest.mark.parametrize('fault, least', [
    ((403, 'rateLimitExceeded', 'x'), 50), ((403, 'userRateLimitExceeded', 'x'), 50),
    ((429, '', 'x', [('Retry-After', '600')]), 590), ((500, 'backendError', 'x'), 50),
    ((503, '', 'x', [('Retry-After', '7200')]), 7190), ('html', 50)])
def test_refused_for_now(gmail, run, serve, fault, least):
    """One request, then nothing before its time; the time that Google names is kept to."""
    target, server = gmail(), serve()
    target.faults = [None, fault]
    run(server, target, '--delete', expect=TEMPFAIL)
    assert len(target.messages) == 1 and len(target.requests) == 2
    assert least < waiting(run(server, target, '--delete', expect=TEMPFAIL)) <= least + 10
    assert len(target.requests) == 2
    run(server, target, '--delete', '--now')
    assert sorted(target.octets()) == sorted(wire_form(letter(n)) for n in range(1, 6))
    assert server.messages == []


@pytest.mark.parametrize('fault, code', [
    ((403, 'insufficientPermissions', 'scope'), NOPERM),
    ((403, 'accessNotConfigured', 'x'), NOPERM),
    ((404, 'notFound', 'x'), UNAVAILABLE), ((400, 'failedPrecondition', 'x'), UNAVAILABLE),
    ((400, 'invalidArgument', 'Invalid label: Label_9'), UNAVAILABLE), ('long', PROTOCOL),
    ('drop', TEMPFAIL)])
def test_no_verdict_on_the_message(gmail, run, serve, fault, code, fetcher):
    target, server = gmail(), serve()
    target.faults = [fault]
    run(server, target, '--delete', expect=code)
    assert len(server.messages) == 5 and not (fetcher.state / 'refused').exists()
    run(server, target, '--delete')
    assert server.messages == [] and len(target.messages) == 5


def test_a_token_that_is_refused(gmail, run, serve):
    target, server = gmail(), serve()
    done = run(server, target, '--delete', token='stale', expect=TOKEN)
    assert 'token' in done.stderr and 'stale' not in done.stderr and len(server.messages) == 5


@pytest.mark.parametrize('scopes', [('insert',), ('insert', 'readonly')])
@pytest.mark.parametrize('fault', ['drop', 'drop-after'])
def test_a_lost_answer(gmail, run, serve, scopes, fault):
    """Asked once, where the token allows it; else the message comes again."""
    target, server = gmail(scopes=scopes), serve()
    target.faults = [None, None, fault]
    may_ask = 'readonly' in scopes
    run(server, target, '--delete', expect=0 if may_ask else TEMPFAIL)
    run(server, target, '--delete')
    twice = [3] if fault == 'drop-after' and not may_ask else []
    assert sorted(target.octets()) == sorted(wire_form(letter(n)) for n in [1, 2, 3, 4, 5, *twice])
    assert server.messages == []


@pytest.mark.parametrize('options', [['--gmail-api', 'http://localhost'], ['--gmail-api', 'x'],
                                     ['--gmail-api', 'https://a@b']])
def test_never_without_tls(fetcher, serve, options):
    server = serve()
    fetcher.run(server, '--to-token-command', 'echo token', *options, to='gmail:INBOX',
                expect=CONFIG)
    assert server.sessions == []


def test_the_certificate_is_verified(gmail, fetcher, serve):
    target, server = gmail(), serve()
    done = fetcher.run(server, '--gmail-api', target.api, '--to-token-command', 'echo token',
                       to='gmail:INBOX', expect=NOPERM)
    assert 'certificate' in done.stderr and not target.requests and len(server.messages) == 5


def test_events(gmail, run, serve):
    target = gmail()
    target.refuse = lambda octets: (400, 'bad', 'x') if b'letter 3' in octets else None
    done = run(serve(), target, '--json', expect=DATAERR)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary['collected'], summary['refused'], summary['failed']) == (4, 1, 1)


class Consented:
    """An account whose destination takes tokens of the provider (stand_ins/oauth.py)."""

    def __init__(self, fetcher, server, target, provider, certificate):
        self.fetcher, self.server, self.target = fetcher, server, target
        self.provider, self.certificate = provider, certificate
        target.tokens = provider.access  # alive

    def run(self, *words, expect=0):
        # a consented token has no limits here; the stand-in knows it by its scopes
        return self.fetcher.configured(f'''
            state = "{self.fetcher.state}"
            {self.provider.section()}
            account "isp" {{
                server = "pop3://demo@127.0.0.1:{self.server.port}"
                tls = none
                policy = delete
                password-file = "{self.fetcher.password_file}"
                to = "gmail:INBOX"
                to-oauth = "stand-in"
                to-ca = "{self.certificate[0]}"
                gmail-api = "{self.target.api}"
            }}''', *words, expect=expect, env=self.fetcher.environment(
                SSL_CERT_FILE=self.certificate[0]))

    def login(self):
        command = [str(program()), 'fetch', 'login', '-c', str(self.fetcher.scratch / 'fetch.conf'),
                   'isp']
        return self.fetcher.execute(command, env=self.fetcher.environment(
            SSL_CERT_FILE=self.certificate[0]))


@pytest.fixture
def consented(fetcher, serve, gmail, certificate):
    with OAuth(certificate) as provider:
        yield Consented(fetcher, serve(), gmail(), provider, certificate)


def test_consent_for_the_destination(consented):
    """Login, delivery, and a token that Google refuses is renewed once under way."""
    done = consented.run(expect=TOKEN)
    assert 'consent needed: valija fetch login isp' in done.stderr
    assert len(consented.server.messages) == 5
    consented.login()
    consented.run()
    assert len(consented.target.messages) == 5 and consented.server.messages == []
    consented.server.messages.extend([('new', letter(6)), ('newer', letter(7))])
    consented.target.tokens[:] = []  # it is good by its time, but not accepted any more
    consented.run()
    assert consented.target.octets()[5:] == [wire_form(letter(6)), wire_form(letter(7))]
    refreshed = [form for form in consented.provider.asked('/token')
                 if form.get('grant_type') == 'refresh_token']
    assert len(refreshed) == 1 and consented.server.messages == []


def test_consent_that_ended(consented):
    consented.run(expect=TOKEN)
    consented.login()
    consented.target.tokens[:] = []
    consented.provider.faults = ['invalid_grant', 'invalid_grant']
    done = consented.run(expect=TOKEN)
    assert 'consent needed: valija fetch login isp' in done.stderr
    assert len(consented.server.messages) == 5
