"""TLS as clients and openssl see it: versions, certificates by name, ALPN, resumption."""
import pathlib
import ssl
import subprocess

import pytest
from office import PASSWORD
from pop import Pop, client_context


def context_of(version, ciphers='DEFAULT@SECLEVEL=0'):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(ciphers)
    context.minimum_version = context.maximum_version = version
    return context


def s_client(tool, office, *args, stdin='QUIT\r\n', service='pop3s'):
    port = office.pop3s if service == 'pop3s' else office.pop3
    start = [] if service == 'pop3s' else ['-starttls', 'pop3']
    return subprocess.run([tool('openssl'), 's_client', '-connect', f'localhost:{port}', '-CAfile',
                           str(office.cert), '-crlf', *start, *args], input=stdin, text=True,
                          capture_output=True, errors='replace', timeout=60)


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_new_versions_are_spoken(shared, user, connect, version):
    client = connect(shared, context_of(version))
    assert client.socket.version() == {ssl.TLSVersion.TLSv1_2: 'TLSv1.2'}.get(version, 'TLSv1.3')
    client.login(user, PASSWORD)
    client.quit()


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_threat_06_old_versions_are_refused(shared, connect, version):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(shared, context_of(version))
    connect(shared, True).ok('CAPA')


@pytest.mark.parametrize('ciphers', ['NULL', 'aNULL', '3DES', 'RC4', 'EXPORT', 'LOW', 'CAMELLIA',
                                     'AES128-SHA', 'PSK'])
def test_threat_06_weak_suites_are_refused(shared, connect, ciphers):
    try:
        context = context_of(ssl.TLSVersion.TLSv1_2, f'{ciphers}:@SECLEVEL=0')
    except ssl.SSLError:
        pytest.skip('this OpenSSL does not even know them')
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(shared, context)


@pytest.mark.parametrize('service', ['pop3s', 'stls'])
def test_openssl_verifies_name_and_certificate(tool, shared, service):
    done = s_client(tool, shared, '-verify_return_error', '-verify_hostname', 'localhost',
                    service=service)
    assert done.returncode == 0 and 'Verify return code: 0 (ok)' in done.stdout, done.stderr
    assert 'TLSv1.3' in done.stdout


def test_threat_05_a_client_cannot_renegotiate(tool, shared, user, connect):
    done = s_client(tool, shared, '-tls1_2', '-legacy_renegotiation', stdin='R\nCAPA\r\n')
    assert '+OK' in done.stdout  # it was connected
    assert 'no renegotiation' in (done.stdout + done.stderr).lower()
    connect(shared, True).login(user, PASSWORD)


def test_threat_05_key_updates_in_number(tool, shared, user, connect):
    client = subprocess.Popen(
        [tool('openssl'), 's_client', '-connect', f'localhost:{shared.pop3s}', '-CAfile',
         str(shared.cert), '-tls1_3'], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    updates = 0
    try:
        # one at a time: it takes the first letter of what it can read
        while updates < 500:
            client.stdin.write('K\n')
            client.stdin.flush()
            while (line := client.stderr.readline()) and line != 'KEYUPDATE\n':
                pass
            if not line:
                break
            updates += 1
        client.wait(30)  # the server ends it
    except BrokenPipeError:
        pass
    finally:
        client.kill()
        client.communicate()
    assert updates > 8  # some are as good as any
    connect(shared, True).login(user, PASSWORD)


def test_alpn(shared, connect):
    context = client_context()
    context.set_alpn_protocols(['pop3'])
    assert connect(shared, context).socket.selected_alpn_protocol() == 'pop3'
    other = client_context()
    other.set_alpn_protocols(['h2', 'http/1.1'])
    with pytest.raises(ssl.SSLError):
        connect(shared, other)


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_also_after_a_reload(make_office, version):
    office = make_office()
    context = context_of(version)

    def reused(session):
        raw = Pop(office.pop3s, greet=False)
        raw.socket = context.wrap_socket(raw.socket, server_hostname='localhost', session=session)
        raw.line()  # in TLS 1.3 the ticket comes behind the handshake
        result = raw.socket.session_reused, raw.socket.session
        raw.quit()
        return result

    first, session = reused(None)
    assert not first
    assert reused(session)[0]
    office.reload()
    assert reused(session)[0]


def make_certificate(tool, folder, name):
    certificate, key = folder / f'{name}.pem', folder / f'{name}.key'
    subprocess.run([tool('openssl'), 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', f'/CN={name}',
                    '-addext', f'subjectAltName=DNS:{name}', '-keyout', key, '-out', certificate],
                   check=True, capture_output=True)
    return certificate, key


def names_served(office, server_name):
    """The names in the certificate that a client asking for server_name is shown."""
    with Pop(office.pop3s, client_context(), server_name=server_name) as client:
        der = client.socket.getpeercert(True)
    pem = pathlib.Path(office.scratch / 'seen.pem')
    pem.write_text(ssl.DER_cert_to_PEM_cert(der))
    return {name for kind, name in ssl._ssl._test_decode_cert(str(pem))['subjectAltName']
            if kind == 'DNS'}


def test_certificates_by_name(tool, make_office):
    office = make_office(start=False)
    for name in ('mail.one.test', 'mail.two.test', '*.wild.test'):
        certificate, key = make_certificate(tool, office.dir / 'tls', name)
        office.add_certificate(certificate, key)
    office.start()
    assert 'localhost' in names_served(office, 'localhost')
    assert names_served(office, 'mail.one.test') == {'mail.one.test'}
    assert names_served(office, 'MAIL.Two.test') == {'mail.two.test'}
    assert names_served(office, 'pop.wild.test') == {'*.wild.test'}
    assert 'localhost' in names_served(office, 'unknown.test')
    assert 'localhost' in names_served(office, None)


def test_a_renewed_certificate_is_served_after_a_reload(tool, make_office):
    office = make_office()
    assert 'localhost' in names_served(office, 'localhost')
    certificate, key = make_certificate(tool, office.scratch, 'renewed.test')
    (office.dir / 'tls/cert.pem').write_bytes(certificate.read_bytes())
    (office.dir / 'tls/key.pem').write_bytes(key.read_bytes())
    office.reload()
    assert names_served(office, 'localhost') == {'renewed.test'}
