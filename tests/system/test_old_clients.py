"""tls_min, tls_min_networks and plain_networks of a listener: what one network may, others may
not."""
import shutil
import subprocess

import pytest

from office import PASSWORD
from own_network import own_network
from pop import Pop, client_context
from test_behind_proxy import Proxied, capabilities, line, plain, sasl_of, section

def handshake(port, *options, host='127.0.0.1', source=None, starttls=False):
    """What openssl s_client says of a session with QUIT."""
    program = shutil.which('openssl')
    if not program:
        pytest.skip('there is no openssl here')
    done = subprocess.run(
        [program, 's_client', '-connect', f'{host}:{port}', '-cipher', 'DEFAULT@SECLEVEL=0',
         *(['-bind', f'{source}:0'] if source else []),
         *(['-starttls', 'pop3'] if starttls else []), *options],
        input='QUIT\n', text=True, capture_output=True, timeout=30)
    return done.stdout + done.stderr


OLD = pytest.mark.parametrize('option, version', [('-tls1', 'TLSv1'), ('-tls1_1', 'TLSv1.1')])


@OLD
@pytest.mark.parametrize('kind', ['ec', 'rsa'])
@own_network
def test_old_tls_from_one_network(make_office, option, version, kind):
    office = make_office(start=False)
    if kind == 'rsa':
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj',
                        '/CN=localhost', '-keyout', office.dir / 'tls/key.pem', '-out',
                        office.dir / 'tls/cert.pem'], check=True, capture_output=True)
    office.set('pop3s.listen', f'{{"10.9.9.1:{office.pop3s}"}}')
    office.set('pop3.listen', f'{{"10.9.9.1:{office.pop3}"}}')
    with office.conf.open('a') as file:
        for port in (office.pop3, office.pop3s):
            file.write(f'\nlistener "10.9.9.1:{port}" {{ tls_min = 1.0 '
                       'tls_min_networks = {"10.9.9.2"} }\n')
    office.start()
    for port, starttls in ((office.pop3s, False), (office.pop3, True)):
        let = handshake(port, option, host='10.9.9.1', source='10.9.9.2', starttls=starttls)
        assert f'Protocol  : {version}' in let and 'Cipher is ECDHE' in let, let
        shut = handshake(port, option, host='10.9.9.1', source='10.9.9.1', starttls=starttls)
        assert 'Cipher is (NONE)' in shut, shut
    # those that know better get better
    best = handshake(office.pop3s, host='10.9.9.1', source='10.9.9.2')
    assert 'TLSv1.3' in best


def test_old_tls_is_off_elsewhere(make_office):
    """The second listener of the same site, and a site without such a section."""
    office = make_office(start=False)
    section(office, tls_min='1.0', tls_min_networks='{"127.0.0.0/8"}')
    office.start()
    assert 'Cipher is (NONE)' in handshake(office.pop3s, '-tls1')
    assert 'Cipher is ECDHE' in handshake(office.pop3, '-tls1', starttls=True)
    with Pop(office.pop3s, client_context(str(office.cert))) as pop:
        pop.login('demo', PASSWORD)


def test_a_login_with_old_tls(make_office):
    office = make_office(start=False)
    section(office, port=office.pop3s, tls_min='1.1', tls_min_networks='{"127.0.0.1"}')
    office.start()
    program = shutil.which('openssl')
    done = subprocess.run(
        [program, 's_client', '-connect', f'127.0.0.1:{office.pop3s}', '-tls1_1', '-quiet', '-crlf',
         '-cipher', 'DEFAULT@SECLEVEL=0'],
        input=f'USER demo\nPASS {PASSWORD}\nQUIT\n', text=True, capture_output=True, timeout=30)
    assert done.stdout.count('+OK') >= 3, done.stdout + done.stderr
    office.wait_log(r' login .*tls="older"')
    office.wait_log(r' session-end .*tls="TLSv1\.1"')


def test_a_listener_for_the_newest_alone(make_office):
    office = make_office(start=False)
    section(office, port=office.pop3s, tls_min='"1.3"')
    office.start()
    assert 'Cipher is (NONE)' in handshake(office.pop3s, '-tls1_2')
    assert 'TLSv1.3' in handshake(office.pop3s)
    assert 'Cipher is ECDHE' in handshake(office.pop3, '-tls1_2', starttls=True)


# ---- clear text


@own_network
def test_clear_text_from_one_network(make_office):
    office = make_office(start=False)
    office.set('pop3.listen', f'{{"10.9.9.1:{office.pop3}"}}')
    with office.conf.open('a') as file:
        file.write(f'\nlistener "10.9.9.1:{office.pop3}" {{ plain_networks = {{"10.9.9.2"}} }}\n')
    office.start()
    with Pop(office.pop3, host='10.9.9.1', source='10.9.9.2') as scanner:
        assert 'USER' in capabilities(scanner) and 'PLAIN' in sasl_of(scanner)
        assert 'STLS' in capabilities(scanner)
        scanner.login('demo', PASSWORD)
        scanner.ok('QUIT')
    with Pop(office.pop3, host='10.9.9.1', source='10.9.9.2') as scanner:
        assert plain(scanner).startswith('+OK')
    with Pop(office.pop3, host='10.9.9.1', source='10.9.9.1') as other:
        assert 'USER' not in capabilities(other) and 'PLAIN' not in sasl_of(other)
        assert other.ask('USER demo').startswith('-ERR')
        assert plain(other).startswith('-ERR')


def test_threat_130_clear_text_behind_a_proxy(make_office):
    """The header's address is judged; loopback that a proxy names is in no network."""
    office = make_office(start=False)
    section(office, proxy_from='{"127.0.0.1"}', plain_networks='{"192.0.2.0/24", "127.0.0.0/8"}')
    office.start()
    for address, welcome in (('192.0.2.7', True), ('198.51.100.7', False), ('127.0.0.1', False)):
        with Proxied(office.pop3, line(address)) as pop:
            assert ('USER' in capabilities(pop)) == welcome
            assert plain(pop).startswith('+OK' if welcome else '-ERR')


# ---- the configuration


def test_below_the_defaults_only_with_networks(make_office):
    office = make_office(start=False)
    good = office.conf.read_text()
    for rules, words in (('tls_min = 1.0', 'only for networks that are named'),
                         ('tls_min = 1.4', 'write one of "1.2", "1.3", "1.0", "1.1"'),
                         ('tls_min_networks = {"10.0.0.1"}', 'a tls_min below 1.2'),
                         ('tls_min = 1.3 tls_min_networks = {"10.0.0.1"}',
                          'a tls_min below 1.2')):
        office.conf.write_text(f'{good}\nlistener "127.0.0.1:{office.pop3}" {{ {rules} }}\n')
        done = office.valijad('-t', '-c', office.conf)
        assert done.returncode == 78 and words in done.stderr, (rules, done.stderr)
    office.conf.write_text(good)
    section(office, tls_min='1.0', tls_min_networks='{"10.0.0.1"}', plain_networks='{"10.0.0.2"}')
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode == 0, done.stderr
    assert 'takes passwords in clear text from its plain_networks' in done.stderr
    assert 'takes TLS below 1.2 from its tls_min_networks' in done.stderr
    shown = office.valijad('-n', '-c', office.conf).stdout
    assert 'tls_min = "1.0"' in shown and 'plain_networks = {"10.0.0.2/32"}' in shown
    office.conf.write_text(good)
    section(office, tls_min='1.3')
    assert ' takes ' not in office.valijad('-t', '-c', office.conf).stderr
