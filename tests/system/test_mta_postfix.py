"""Debian's Postfix asks the server: who may send mail."""
import smtplib
import ssl

import generate
import pytest
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
smtpd_relay_restrictions = permit_sasl_authenticated, reject
'''


class Submission:
    """A Postfix that takes mail from those who log in."""

    def __init__(self, office, down=False):
        self.office, self.port = office, free_port()
        self.path = office.scratch / 'auth'
        office.set('sasl.listen', f'"{self.path}"')
        if down:
            add_database_that_is_down(office)
        office.start()
        main = SUBMISSION.format(cert=office.cert, key=office.dir / 'tls/key.pem', path=self.path)
        self.postfix = Postfix(office.scratch / 'postfix',
                               f'lmtp:inet:127.0.0.1:{office.lmtp}', main=main,
                               master=f'127.0.0.1:{self.port} inet n - n - - smtpd\n')

    def __enter__(self):
        self.postfix.__enter__()
        return self

    def __exit__(self, *_):
        self.postfix.__exit__()

    def client(self, tls=True):
        client = smtplib.SMTP('127.0.0.1', self.port, timeout=30)
        client.ehlo()
        if tls:
            context = ssl.create_default_context(cafile=str(self.office.cert))
            context.check_hostname = False
            client.starttls(context=context)
            client.ehlo()
        return client


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
        assert b'Authenticated sender: demo' in office.files('demo')[0].read_bytes()
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
