"""Logins by a client's certificate: EXTERNAL, offered only to those that have one."""
import base64
import datetime
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from office import PASSWORD, wait_until
from pop import Pop, client_context
from test_behind_proxy import sasl_of

MECHANISMS = '{"SCRAM-SHA-256", "PLAIN", "EXTERNAL"}'


class Authority:
    def __init__(self, folder, name='clients'):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = self._builder(self.name, self.key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), True).sign(
                self.key, hashes.SHA256())
        self.file = folder / f'{name}.pem'
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject, key, days=10):
        now = datetime.datetime.utcnow()
        return x509.CertificateBuilder().subject_name(subject).issuer_name(self.name) \
            .serial_number(x509.random_serial_number()).public_key(key.public_key()) \
            .not_valid_before(now - datetime.timedelta(20)) \
            .not_valid_after(now + datetime.timedelta(days))

    def issue(self, *names, emails=(), days=10):
        """A context of a client with a certificate of these common names and mail addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)
                             for name in names])
        builder = self._builder(subject, key, days)
        if emails:
            builder = builder.add_extension(x509.SubjectAlternativeName(
                [x509.RFC822Name(email) for email in emails]), False)
        file = self.folder / f'client{x509.random_serial_number()}.pem'
        file.write_bytes(
            builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) +
            key.private_bytes(serialization.Encoding.PEM,
                              serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        context = client_context()
        context.load_cert_chain(file)
        return context


@pytest.fixture
def authority(tmp_path):
    tmp_path.chmod(0o755)
    return Authority(tmp_path)


@pytest.fixture
def certified(make_office, authority):
    def make(users=('demo', 'anna'), **settings):
        office = make_office(start=False, users=users, settings={
            'login.mechanisms': MECHANISMS, 'login.client_ca': f'"{authority.file}"',
            **{f'login.{name}': value for name, value in settings.items()}})
        mark_users(office)
        return office.start()
    return make


def mark_users(office, without=()):
    """Gives them the field that lets them log in by certificate."""
    users = office.dir / 'users'
    rows = [row.split(':') for row in users.read_text().splitlines()]
    users.write_text(''.join(
        ':'.join([*(row + [''] * 7)[:7], '' if row[0] in without else 'external=yes']) + '\n'
        for row in rows))


def external(pop, authzid=''):
    return pop.ask(f'AUTH EXTERNAL {base64.b64encode(authzid.encode()).decode() or "="}')


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_login_by_certificate(certified, authority, version):
    office = certified()
    context = authority.issue('demo')
    context.minimum_version = context.maximum_version = version
    with Pop(office.pop3s, context) as pop:
        assert 'EXTERNAL' in sasl_of(pop)
        assert external(pop).startswith('+OK')
        pop.ok('STAT')
        pop.ok('QUIT')
    office.wait_log(r' login .*mechanism="EXTERNAL" tls="TLSv1\.\d" user="demo"')
    with Pop(office.pop3) as pop:  # by STLS, in two lines, with the name said again
        assert 'EXTERNAL' not in sasl_of(pop)
        pop.ok('STLS')
        pop.start_tls(context)
        assert 'EXTERNAL' in sasl_of(pop)
        assert pop.ask('AUTH EXTERNAL').startswith('+ ')
        assert pop.ask(base64.b64encode(b'demo')).startswith('+OK')


def test_a_password_goes_on_beside_it(certified, authority):
    office = certified()
    for context in (authority.issue('demo'), client_context()):
        with Pop(office.pop3s, context) as pop:
            pop.login('anna', PASSWORD)


# (the names of these are what an attacker may have)
@pytest.mark.parametrize('names, emails, days', [
    ((), (), 10), (('demo', 'anna'), (), 10), (('de\x01mo',), (), 10), (('demo',), (), -1)],
    ids=['none', 'two', 'control', 'expired'])
def test_threat_131_certificates_that_give_no_name(certified, authority, names, emails, days):
    office = certified()
    with Pop(office.pop3s, authority.issue(*names, emails=emails, days=days)) as pop:
        assert 'EXTERNAL' not in sasl_of(pop)
        assert external(pop).startswith('-ERR')
        pop.login('demo', PASSWORD)


def test_threat_131_a_certificate_of_another_authority(certified, authority, tmp_path):
    office = certified()
    (tmp_path / 'other').mkdir()
    for context in (Authority(tmp_path / 'other').issue('demo'),
                    Authority(tmp_path / 'other', 'others').issue('demo'), client_context()):
        with Pop(office.pop3s, context) as pop:
            assert 'EXTERNAL' not in sasl_of(pop)
            assert external(pop).startswith('-ERR')


def test_threat_131_a_name_that_may_not_log_in(certified, authority):
    office = certified(users=('demo', 'anna', 'locked', 'unmarked'))
    mark_users(office, without=('unmarked',))
    users = office.dir / 'users'
    users.write_text(''.join(
        'locked:!::::::external\n' if row.startswith('locked:') else f'{row}\n'
        for row in users.read_text().splitlines()))
    office.reload()
    for name, authzid in (('nobody', ''), ('locked', ''), ('unmarked', ''), ('demo', 'anna'),
                          ('x' * 60, '')):
        with Pop(office.pop3s, authority.issue(name)) as pop:
            assert 'EXTERNAL' in sasl_of(pop)
            assert external(pop, authzid).startswith('-ERR'), name
    office.wait_log(r' login-refused .*mechanism="EXTERNAL".*user="demo" '
                    r'reason="the certificate is another user')


def test_the_address_is_the_name(certified, authority):
    office = certified(users=('anna@example.org', 'demo'), client_name='"email"')
    with Pop(office.pop3s, authority.issue('demo', emails=['anna@example.org'])) as pop:
        assert external(pop).startswith('+OK')
    office.wait_log(r' login .*user="anna@example\.org"')
    for emails in ((), ('anna@example.org', 'demo@example.org')):
        with Pop(office.pop3s, authority.issue('demo', emails=emails)) as pop:
            assert 'EXTERNAL' not in sasl_of(pop)


def test_it_is_off(make_office, authority):
    """By default, and with only one of its two settings."""
    office = make_office()
    with Pop(office.pop3s, authority.issue('demo')) as pop:
        assert 'EXTERNAL' not in sasl_of(pop)
        assert external(pop).startswith('-ERR')
    office.set('login.mechanisms', MECHANISMS)
    office.reload()
    with Pop(office.pop3s, authority.issue('demo')) as pop:
        assert 'EXTERNAL' not in sasl_of(pop)
        assert external(pop).startswith('-ERR')
    office.set('login.mechanisms', '{"PLAIN"}')
    office.set('login.client_ca', f'"{authority.file}"')
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode == 78 and 'client_ca is for the mechanism EXTERNAL' in done.stderr


def test_a_resumed_session_has_the_certificate(certified, authority):
    office = certified()
    context = authority.issue('demo')
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Pop(office.pop3s, context) as pop:
        ticket = pop.socket.session
    other = client_context()
    other.maximum_version = ssl.TLSVersion.TLSv1_2
    with Pop(office.pop3s, greet=False) as pop:
        pop.socket = context.wrap_socket(pop.socket, server_hostname='localhost', session=ticket)
        pop.line()
        assert pop.socket.session_reused
        assert external(pop).startswith('+OK')


def test_other_authorities_are_taken_without_a_reload(certified, authority, tmp_path):
    office = certified()
    (tmp_path / 'other').mkdir()
    other = Authority(tmp_path / 'other', 'others')
    theirs, ours = other.issue('demo'), authority.issue('demo')
    authority.file.write_bytes(other.file.read_bytes())

    def offers(context):
        with Pop(office.pop3s, context) as pop:
            return 'EXTERNAL' in sasl_of(pop)
    wait_until(lambda: offers(theirs), 15)
    assert not offers(ours)
