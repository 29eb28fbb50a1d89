"""Debian's Exim asks the server: who may send mail, whose mail is taken, and hands it over by LMTP.
Its configuration is that of docs/delivery.md."""
import re
import smtplib

import exim
import generate
import pytest
from mta import submitter
from office import PASSWORD, ROOT, wait_until
from pop import Pop
from sasl_socket import add_database_that_is_down

pytestmark = pytest.mark.skipif(bool(exim.why_not()), reason=str(exim.why_not()))

MESSAGE = dict(generate.messages(with_large=False))['plain']
SECTIONS = ('main', 'acl', 'routers', 'transports', 'authenticators')
ACL = '''
acl_check_rcpt:
  accept
    authenticated = *
  require
    message = relay not permitted
    domains = +local_domains
  require
    verify = recipient
{ours}
  accept
'''
OURS = ['demo@example.org', 'DEMO+lists@example.org', 'postmaster@example.org']


def manual():
    """{section: lines} of the section "Exim" of docs/delivery.md."""
    text = (ROOT / 'docs/delivery.md').read_text()
    text = text[text.index('\n## Exim\n'):]
    text = text[:text.index('\n## ', 5)]
    blocks = re.findall(r'^```\n# (\w+)\n(.*?)^```', text, re.M | re.S)
    assert sorted(name for name, _ in blocks) == sorted(SECTIONS), blocks
    return dict(blocks)


class Submission:
    def __init__(self, office, down=False):
        self.office = office
        folder = office.scratch / 'sockets'
        folder.mkdir()
        for section, name in (('sasl', 'auth'), ('socketmap', 'maps'), ('policy', 'policy')):
            office.set(f'{section}.listen', f'"{folder}/{name}"')
        office.set('lmtp.listen', f'{{"{folder}/lmtp", "127.0.0.1:{office.lmtp}"}}')
        office.set('lmtp.domains', '{"example.org", "away.example"}')
        office.set('lmtp.aliases', '"aliases"')
        office.set('sasl.peers', f'{{"{exim.USER}"}}')
        (office.dir / 'aliases').write_text('postmaster: demo\n')
        if down:
            add_database_that_is_down(office)
        office.start()
        parts = {name: text.replace('/var/spool/valija-mta', str(folder)).replace(
            'example.org : example.net', 'example.org : away.example')
                 for name, text in manual().items()}
        parts['main'] += ('domainlist local_domains = +valija_domains\n'
                          'acl_smtp_rcpt = acl_check_rcpt\n')
        parts['acl'] = ACL.format(ours=parts['acl'])
        sections = ''.join(f'\nbegin {name}\n{parts[name]}' for name in SECTIONS[1:])
        self.exim = exim.Exim(office.scratch / 'exim', office.cert, office.dir / 'tls/key.pem',
                              main=parts['main'], sections=sections)

    def __enter__(self):
        self.exim.__enter__()
        return self

    def __exit__(self, *_):
        self.exim.__exit__()

    def client(self, tls=True):
        return submitter(self.exim.port, self.office.cert, tls, 60)


def refusals(client, recipients, size=None):
    client.ehlo_or_helo_if_needed()
    client.mail('someone@elsewhere.example', [f'size={size}'] if size else [])
    replies = {recipient: client.rcpt(recipient) for recipient in recipients}
    client.rset()
    return {recipient: (code, words.decode()) for recipient, (code, words) in replies.items()
            if code != 250}


def collected(office, user):
    with Pop(office.pop3) as client:
        client.ok(f'USER {user}')
        client.ok(f'PASS {PASSWORD}')
        found = [client.retr(n) for n in range(1, client.stat()[0] + 1)]
        client.quit()
    return found


def test_submission_over_tls(make_office):
    """From the login to the maildrop and out by POP3."""
    office = make_office(start=False)
    with Submission(office) as submission:
        for mechanism in ('PLAIN', 'LOGIN'):
            with submission.client() as client:
                client.user, client.password = 'demo', PASSWORD
                assert mechanism in client.esmtp_features['auth'].split()
                client.auth(mechanism, getattr(client, f'auth_{mechanism.lower()}'))
                client.sendmail('demo@example.org', ['demo@example.org'], MESSAGE)
        wait_until(lambda: (office.mail / 'demo').exists() and len(office.files('demo')) == 2)
        submission.exim.wait_empty()
        assert len(collected(office, 'demo')) == 2
        assert 'A=valija_plain:demo' in submission.exim.log()
    office.wait_log(r'login from=127\.0\.0\.1 session=\S+ service="smtp" mechanism="PLAIN" '
                    r'tls="yes" user="demo"')


def test_logins_that_are_refused(make_office):
    office = make_office(start=False)
    with Submission(office) as submission:
        with submission.client(tls=False) as client:
            assert 'auth' not in client.esmtp_features
        with submission.client() as client:
            for user, password in (('demo', 'wrong'), ('ghost', PASSWORD)):
                client.user, client.password = user, password
                for mechanism in ('PLAIN', 'LOGIN'):
                    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                        client.auth(mechanism, getattr(client, f'auth_{mechanism.lower()}'))
                    assert refused.value.smtp_code == 535
            client.login('demo', PASSWORD)  # on the same connection
        with submission.client() as client:
            refused = refusals(client, ['x@elsewhere.example'])
            assert refused['x@elsewhere.example'][0] == 550
    office.wait_log(r'login-refused from=127\.0\.0\.1 session=\S+ service="smtp"')


def test_a_database_that_is_down_is_temporary(make_office):
    office = make_office(start=False)
    with Submission(office, down=True) as submission, submission.client() as client:
        client.user, client.password = 'anna@away.example', PASSWORD
        for _ in range(2):
            with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                client.auth('PLAIN', client.auth_plain)
            assert refused.value.smtp_code == 435, refused.value
        client.login('demo', PASSWORD)


def test_a_server_that_is_started_anew(make_office):
    """Exim opens a connection for each login, and each question."""
    office = make_office(start=False)
    with Submission(office) as submission, submission.client() as client:
        office.stop()
        client.user, client.password = 'demo', PASSWORD
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.auth('PLAIN', client.auth_plain)
        assert refused.value.smtp_code == 435
        assert refusals(client, ['demo@example.org'])['demo@example.org'][0] == 451
        office.start()
        client.login('demo', PASSWORD)
        assert not refusals(client, ['demo@example.org'])


def test_recipients_are_known_at_rcpt(make_office):
    """No mail is taken that would have to be sent back."""
    office = make_office(start=False)
    with Submission(office, down=True) as submission, submission.client() as client:
        refused = refusals(client, [*OURS, 'ghost@example.org', 'anna@away.example',
                                    '"a b"@example.org', 'demo@example.com'])
        assert {name: code for name, (code, _) in refused.items()} == {
            'ghost@example.org': 550, '"a b"@example.org': 550, 'anna@away.example': 451,
            'demo@example.com': 550}
        assert 'no such user' in refused['ghost@example.org'][1]
        client.sendmail('a@elsewhere.example', OURS, MESSAGE)
        submission.exim.wait_empty()
        office.has_files('demo', 1)  # one maildrop gets one copy


def test_full_mailboxes_are_known_at_rcpt(make_office):
    office = make_office(start=False, users=('demo', 'anna'), settings={'quota.octets': '100K'})
    office.put('demo', b'Subject: full\r\n\r\n' + b'x' * 110_000)
    with Submission(office) as submission, submission.client() as client:
        refused = refusals(client, ['demo@example.org', 'anna@example.org'])
        assert refused == {'demo@example.org': (
            452, '4.2.2 the mailbox is full, try again later')}
        assert not refusals(client, ['anna@example.org'], size=90_000)
        assert refusals(client, ['anna@example.org'], size=110_000)['anna@example.org'][0] == 452


def test_mail_waits_for_a_server_that_is_away(make_office):
    """Taken before, delivered when it is back; nothing is sent back."""
    office = make_office(start=False)
    with Submission(office) as submission:
        with submission.client() as client:
            client.mail('someone@elsewhere.example')
            assert client.rcpt('demo@example.org')[0] == 250
            office.stop()
            assert client.data(MESSAGE)[0] == 250
        wait_until(lambda: 'defer' in submission.exim.log())
        office.start()
        submission.exim.wait_empty()
        office.has_files('demo', 1)
