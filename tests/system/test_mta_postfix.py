"""Debian's Postfix asks the server: who may send mail, and whose mail is taken."""
import os
import signal
import smtplib

import generate
import pytest
from mta import submitter
from office import PASSWORD, free_port, wait_until
from postfix import Postfix, why_not
from sasl_socket import add_database_that_is_down

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))

MESSAGE = dict(generate.messages(with_large=False))['plain']

SUBMISSION = '''\
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {path}
smtpd_sasl_security_options = noanonymous, noplaintext
smtpd_sasl_tls_security_options = noanonymous
smtpd_sasl_authenticated_header = yes
'''
SUBMITTED_ONLY = 'smtpd_relay_restrictions = permit_sasl_authenticated, reject\n'
RECIPIENTS = '''\
virtual_mailbox_domains = socketmap:unix:{maps}:domains
virtual_mailbox_maps = socketmap:unix:{maps}:users
smtpd_relay_restrictions = reject_unauth_destination
'''
POLICY = '''\
smtpd_recipient_restrictions =
    check_policy_service {{ unix:{policy}, default_action=DUNNO, timeout=20s }}
'''
FULL_AT_RCPT = RECIPIENTS + POLICY
SENDERS = '''\
smtpd_sender_login_maps = socketmap:unix:{maps}:senders
smtpd_sender_restrictions = reject_sender_login_mismatch
'''


class Submission:
    """A Postfix that takes mail from those who log in."""

    def __init__(self, office, down=False, main=''):
        self.office, self.port = office, free_port()
        self.path = office.scratch / 'auth'
        office.set('sasl.listen', f'"{self.path}"')
        self.maps = office.scratch / 'maps'
        office.set('socketmap.listen', f'"{self.maps}"')
        self.policy = office.scratch / 'policy'
        office.set('policy.listen', f'"{self.policy}"')
        if down:
            add_database_that_is_down(office)
        office.start()
        settings = SUBMISSION.format(cert=office.cert, key=office.dir / 'tls/key.pem',
                                     path=self.path)
        main = main or SUBMITTED_ONLY
        main = settings + main.format(maps=self.maps, policy=self.policy)
        self.postfix = Postfix(office.scratch / 'postfix',
                               f'lmtp:inet:127.0.0.1:{office.lmtp}', main=main,
                               master=f'127.0.0.1:{self.port} inet n - n - - smtpd\n')

    def __enter__(self):
        self.postfix.__enter__()
        return self

    def __exit__(self, *_):
        self.postfix.__exit__()

    def client(self, tls=True):
        return submitter(self.port, self.office.cert, tls, 30)


def test_submission_over_tls(make_office):
    """From the login to the maildrop, by each mechanism that smtplib knows."""
    office = make_office(start=False)
    with Submission(office) as submission:
        for mechanism in ('PLAIN', 'LOGIN'):
            with submission.client() as client:
                client.user, client.password = 'demo', PASSWORD
                assert mechanism in client.esmtp_features['auth'].split()
                client.auth(mechanism, getattr(client, f'auth_{mechanism.lower()}'))
                client.sendmail('demo@example.org', ['demo@example.org'], MESSAGE)
        submission.postfix.wait_empty()
        wait_until(lambda: (office.mail / 'demo').exists() and len(office.files('demo')) == 2)
        assert b'Authenticated sender: demo' in office.octets('demo')[0]
    office.wait_log(r'login from=127\.0\.0\.1 session=\S+ service="smtp" mechanism="PLAIN" '
                    r'tls="yes" user="demo"')


def test_nothing_without_a_login(make_office):
    office = make_office(start=False)
    with Submission(office) as submission:
        with submission.client(tls=False) as client:
            assert 'auth' not in client.esmtp_features
        with submission.client() as client:
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail('demo@example.org', ['demo@example.org'], MESSAGE)
        with submission.client() as client:
            for user, password in (('demo', 'wrong'), ('ghost', PASSWORD)):
                with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                    client.login(user, password)
                assert refused.value.smtp_code == 535
            client.login('demo', PASSWORD)  # the same connection, by Postfix's same socket
    office.wait_log(r'login-refused from=127\.0\.0\.1 session=\S+ service="smtp"')


def test_a_database_that_is_down_is_temporary(make_office):
    """… and the next login, of a user of another database, is served."""
    office = make_office(start=False)
    with Submission(office, down=True) as submission, submission.client() as client:
        client.user, client.password = 'anna@away.example', PASSWORD
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.auth('PLAIN', client.auth_plain)
        assert refused.value.smtp_code == 454, refused.value
        client.login('demo', PASSWORD)


def test_a_server_that_is_started_anew(make_office):
    """Postfix goes on with a new connection; while there is no server it says 4xx."""
    office = make_office(start=False)
    with Submission(office) as submission, submission.client() as client:
        client.login('demo', PASSWORD)
        client.close()
        with submission.client() as waiting:
            office.stop()
            waiting.user, waiting.password = 'demo', PASSWORD
            with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                waiting.auth('PLAIN', waiting.auth_plain)
            assert refused.value.smtp_code == 454
            office.start()
            waiting.login('demo', PASSWORD)


def refusals(client, recipients, sender='someone@elsewhere.example', size=None):
    """The code of each recipient that is refused."""
    client.ehlo_or_helo_if_needed()
    client.mail(sender, [f'size={size}'] if size else [])
    replies = {recipient: client.rcpt(recipient) for recipient in recipients}
    client.rset()
    return {recipient: (code, words.decode()) for recipient, (code, words) in replies.items()
            if code != 250}


def test_recipients_are_known_at_rcpt(make_office):
    """No mail is taken that would have to be sent back."""
    office = make_office(start=False, users=('demo', 'carol@example.org'))
    office.set('lmtp.domains', '{"example.org"}')
    office.set('lmtp.aliases', '"aliases"')
    (office.dir / 'aliases').write_text('postmaster: demo\n')
    with Submission(office, down=True, main=RECIPIENTS) as submission:
        with submission.client() as client:
            refused = refusals(client, [
                'demo@example.org', 'DEMO+lists@example.org', 'carol@example.org',
                'postmaster@example.org', 'ghost@example.org', 'anna@away.example',
                'demo@example.com'])
            assert {name: code for name, (code, _) in refused.items()} == {
                'ghost@example.org': 550, 'anna@away.example': 451, 'demo@example.com': 554}
            assert '5.1.1' in refused['ghost@example.org'][1]
            client.sendmail('a@elsewhere.example', ['postmaster@example.org'], MESSAGE)
        submission.postfix.wait_empty()
        wait_until(lambda: (office.mail / 'demo').exists() and len(office.files('demo')) == 1)


def test_full_mailboxes_are_known_at_rcpt(make_office):
    """By the code and the words of LMTP; nobody else is refused for it."""
    office = make_office(start=False, users=('demo', 'anna'), settings={'quota.octets': '100K'})
    office.set('lmtp.domains', '{"example.org"}')
    office.put('demo', b'Subject: full\r\n\r\n' + b'x' * 110_000)
    everybody = ['demo@example.org', 'demo+x@example.org', 'anna@example.org', 'ghost@example.org',
                 'anna@away.example']
    full = (452, '4.2.2')
    with Submission(office, down=True, main=FULL_AT_RCPT) as submission:
        with submission.client() as client:
            refused = refusals(client, everybody)
            assert {name: (code, words.split()[0]) for name, (code, words) in refused.items()} == {
                'demo@example.org': full, 'demo+x@example.org': full,
                'ghost@example.org': (550, '5.1.1'), 'anna@away.example': (451, '4.3.0')}
            assert 'the mailbox is full, try again later' in refused['demo@example.org'][1]
            assert not refusals(client, ['anna@example.org'], size=90_000)
            refused = refusals(client, ['anna@example.org'], size=110_000)
            assert refused['anna@example.org'][0] == 452
            client.sendmail('x@elsewhere.example', ['anna@example.org'], MESSAGE)
        submission.postfix.wait_empty()
        office.has_files('anna', 1)


def test_without_an_answer_about_the_quota_mail_is_taken(make_office):
    """Keepers that hang, and a server that is gone: Postfix takes the mail, and keeps it."""
    office = make_office(start=False, settings={'quota.messages': '1'})
    office.put('demo', MESSAGE)
    main = 'smtpd_relay_restrictions = reject_unauth_destination\n' + POLICY
    with Submission(office, main=main) as submission, submission.client() as client:
        keepers = [pid for pid, line in office.children().items() if 'keeper' in line]
        for pid in keepers:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert not refusals(client, ['demo@example.org'])
        finally:
            for pid in keepers:
                os.kill(pid, signal.SIGCONT)
        assert refusals(client, ['demo@example.org'])['demo@example.org'][0] == 452
        office.stop()
        assert not refusals(client, ['demo@example.org'])


def test_senders_are_those_of_the_login(make_office):
    office = make_office(start=False, users=('demo', 'carol'))
    office.set('lmtp.domains', '{"example.org"}')
    with Submission(office, main=RECIPIENTS + SENDERS) as submission:
        with submission.client() as client:
            client.login('demo', PASSWORD)
            assert not refusals(client, ['carol@example.org'], sender='demo+x@example.org')
            refused = refusals(client, ['carol@example.org'], sender='carol@example.org')
            assert refused['carol@example.org'][0] == 553
        with submission.client() as client:  # without a login
            refused = refusals(client, ['carol@example.org'], sender='demo@example.org')
            assert refused['carol@example.org'][0] == 553


VERIFIED = '''\
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = reject_unverified_recipient
unverified_recipient_reject_code = 550
address_verify_poll_count = 20
address_verify_poll_delay = 1s
'''


def test_recipients_verified_by_lmtp(make_office):
    """Without the map: Postfix asks as for a delivery, and remembers the answer."""
    office = make_office(start=False)
    with Submission(office, main=VERIFIED) as submission, submission.client() as client:
        refused = refusals(client, ['demo@example.org', 'ghost@example.org'])
        assert {name: code for name, (code, _) in refused.items()} == {'ghost@example.org': 550}
