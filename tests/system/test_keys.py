"""The process that has the private keys: what it signs with, what happens when it dies, stands
still or gets other keys, and that no other process has a key in its memory."""
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from office import PASSWORD, sanitized
from pop import Pop, client_context
from test_attack_keeper import the
from test_lifecycle import wait_until
from test_tls import context_of, make_certificate, names_served

VERSIONS = {'1.2': ssl.TLSVersion.TLSv1_2, '1.3': ssl.TLSVersion.TLSv1_3}
KINDS = {
    'rsa': ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
    'rsa-pss': ['-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048'],
    'p256': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
    'p384': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
    'ed25519': ['-algorithm', 'ED25519'],
}
CONTEXT = client_context()  # to make one costs more than a hundred handshakes
LONE = {'processes.fronts': 1, 'processes.keepers': 1, 'limits.connections_per_address': 0}


def certificate_of_kind(tool, folder, kind, name):
    key, certificate = folder / f'{kind}-{name}.key', folder / f'{kind}-{name}.pem'
    subprocess.run([tool('openssl'), 'genpkey', *KINDS[kind], '-out', key], check=True,
                   capture_output=True)
    subprocess.run([tool('openssl'), 'req', '-x509', '-new', '-key', key, '-days', '2', '-subj',
                    f'/CN={name}', '-addext', f'subjectAltName=DNS:{name}', '-out', certificate],
                   check=True, capture_output=True)
    return certificate, key


def session_with(office, context, name):
    client = Pop(office.pop3s, context, server_name=name)
    client.login('demo', PASSWORD)
    version = client.socket.version()
    client.quit()
    return version


def test_every_kind_of_key_with_both_versions(tool, make_office):
    office = make_office(start=False)
    for kind in KINDS:
        office.add_certificate(*certificate_of_kind(tool, office.dir / 'tls', kind, f'{kind}.test'))
    office.start()
    for kind in KINDS:
        assert names_served(office, f'{kind}.test') == {f'{kind}.test'}
        for words, version in VERSIONS.items():
            context = context_of(version, 'DEFAULT')
            assert session_with(office, context, f'{kind}.test') == f'TLSv{words}'


def test_the_client_chooses_between_two_kinds_for_one_name(tool, make_office):
    office = make_office(start=False)
    for kind in ('p256', 'rsa'):
        office.add_certificate(*certificate_of_kind(tool, office.dir / 'tls', kind, 'two.test'))
    office.start()
    for ciphers, words in (('ECDHE+aRSA', 'RSA'), ('ECDHE+aECDSA', 'ECDSA')):
        context = context_of(ssl.TLSVersion.TLSv1_2, ciphers)
        with Pop(office.pop3s, context, server_name='two.test') as client:
            assert words in client.socket.cipher()[0]


# the process dies, or stands still

def begin(office, count):
    """Connections whose hello is sent, and that wait for the server's."""
    sockets = []
    for _ in range(count):
        raw = socket.create_connection(('127.0.0.1', office.pop3s))
        raw.setblocking(False)
        tls = CONTEXT.wrap_socket(raw, server_hostname='localhost', do_handshake_on_connect=False)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        sockets.append(tls)
    return sockets


def finish(tls, seconds=30):
    tls.settimeout(seconds)
    tls.do_handshake()
    assert tls.recv(4096).startswith(b'+OK')
    tls.close()


def test_handshakes_outlive_the_keys_process(make_office, connect):
    office = make_office(settings=LONE)
    office.allow('keys 0')
    established = connect(office, True)
    established.login('demo', PASSWORD)
    for _ in range(2):
        keys = the(office, 'keys')
        os.kill(keys, signal.SIGSTOP)
        waiting = begin(office, 20)
        assert established.stat() == (0, 0)
        plain = connect(office)
        plain.ok('CAPA')
        plain.body()
        os.kill(keys, signal.SIGKILL)
        for tls in waiting:
            finish(tls)
        wait_until(lambda old=keys: the(office, 'keys') != old)
    assert established.stat() == (0, 0)
    established.quit()
    assert session_with(office, CONTEXT, 'localhost')


def test_a_keys_process_that_stands_still_costs_handshakes_only(make_office, connect):
    office = make_office(settings={**LONE, 'timeouts.handshake': '"1s"'})
    established = connect(office, True)
    established.login('demo', PASSWORD)
    keys = the(office, 'keys')
    os.kill(keys, signal.SIGSTOP)
    try:
        waiting = begin(office, 700)  # more than may wait for a signature, and their deadline
        for tls in waiting:
            tls.settimeout(30)
            with pytest.raises((ssl.SSLError, OSError)):
                tls.do_handshake()
            tls.close()
        assert established.stat() == (0, 0)
    finally:
        os.kill(keys, signal.SIGCONT)
    wait_until(lambda: works(office), 20)
    assert the(office, 'keys') == keys
    established.quit()


def works(office):
    try:
        with Pop(office.pop3s, CONTEXT):
            return True
    except (OSError, EOFError, ssl.SSLError):
        return False


def test_more_handshakes_than_may_wait_all_end_well(make_office):
    office = make_office(settings=LONE)
    keys = the(office, 'keys')
    os.kill(keys, signal.SIGSTOP)
    try:
        waiting = begin(office, 600)
        for tls in waiting[:50]:
            tls.close()  # gives up while it waits
    finally:
        os.kill(keys, signal.SIGCONT)
    for tls in waiting[50:]:
        finish(tls, 60)
    assert the(office, 'keys') == keys


# other keys

def test_a_reload_with_another_key_under_load(tool, make_office, connect):
    office = make_office(settings=LONE)
    old = connect(office, True)
    old.login('demo', PASSWORD)
    failures, done, stop = [], [0], threading.Event()

    def load():
        while not stop.is_set():
            try:
                Pop(office.pop3s, CONTEXT).quit()
                done[0] += 1
            except Exception as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=load) for _ in range(1)]
    for thread in threads:
        thread.start()
    try:
        for n, kind in enumerate(('rsa', 'p384', 'ed25519')):
            certificate, key = certificate_of_kind(tool, office.scratch, kind, f'new{n}.test')
            (office.dir / 'tls/cert.pem').write_bytes(certificate.read_bytes())
            (office.dir / 'tls/key.pem').write_bytes(key.read_bytes())
            office.reload()
            assert names_served(office, 'localhost') == {f'new{n}.test'}
            before = done[0]
            wait_until(lambda n=before: done[0] > n + 1)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures[:3]
    # the first generation has its own keys as long as its session
    assert len([line for line in office.children().values() if 'keys' in line]) >= 2
    assert old.stat() == (0, 0)
    old.quit()
    wait_until(lambda: len([line for line in office.children().values() if 'keys' in line]) == 1)


@pytest.mark.parametrize('how', ['other', 'junk'])
def test_a_key_that_does_not_fit_is_refused_by_every_check(tool, make_office, how):
    office = make_office(start=False)
    key = make_certificate(tool, office.scratch, 'other.test')[1]
    good = (office.dir / 'tls/key.pem').read_bytes()
    words = {'other': 'does not belong to the certificate', 'junk': 'not in PEM form'}[how]
    bad = key.read_bytes() if how == 'other' else b'junk\n'
    (office.dir / 'tls/key.pem').write_bytes(bad)
    for option in ([], ['-t']):
        done = office.valijad('-c', office.conf, *option)
        assert done.returncode and words in done.stderr and 'cert.pem' in done.stderr
    (office.dir / 'tls/key.pem').write_bytes(good)
    office.allow(words)
    office.start()
    (office.dir / 'tls/key.pem').write_bytes(bad)
    office.reload(r'the old one goes on')
    assert session_with(office, CONTEXT, 'localhost')


def test_a_missing_user_is_named_where_keys_are_used(make_office, need_root):
    office = make_office(start=False)
    office.set('processes.keys_user', '"valija-no-such-user"')
    for option in ([], ['-t']):
        done = office.valijad('-c', office.conf, *option)
        assert done.returncode and 'valija-no-such-user' in done.stderr
        assert 'sysusers' in done.stderr


# no key but in keys

def secrets_of(tool, key):
    """The private numbers of a key, as octets in both orders, and lines of its PEM form."""
    text = subprocess.run([tool('openssl'), 'pkey', '-in', key, '-noout', '-text'], check=True,
                          capture_output=True, text=True).stdout
    found = []
    for name in ('priv', 'privateExponent', 'prime1', 'prime2', 'exponent1', 'coefficient'):
        match = re.search(rf'^{name}:\n((?:    [0-9a-f:]+\n)+)', text, re.M)
        if match:
            octets = bytes.fromhex(re.sub(r'[\s:]', '', match[1])).lstrip(b'\0')
            assert len(octets) >= 30
            found += [octets, octets[::-1]]
    lines = [line for line in key.read_text().splitlines() if not line.startswith('-')]
    assert found
    return found + [line.encode() for line in lines if len(line) >= 40]


def holds(pid, secrets):
    """Whether the memory of a process has one of the secrets."""
    with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as memory:
        for line in maps:
            limits, rights = line.split()[:2]
            begin, end = (int(limit, 16) for limit in limits.split('-'))
            if rights[0] != 'r' or end - begin > 1 << 28:
                continue
            try:
                memory.seek(begin)
                octets = memory.read(end - begin)
            except OSError:
                continue  # [vvar]
            if any(secret in octets for secret in secrets):
                return True
    return False


@pytest.mark.parametrize('together', [False, True], ids=['two files', 'one file'])
def test_no_process_but_keys_has_a_private_key(tool, make_office, connect, need_root, together):
    if sanitized():
        pytest.skip('sanitizers map too much to read')
    office = make_office(start=False)
    keys = {'init': office.dir / 'tls/key.pem'}
    for kind in ('rsa', 'p256', 'ed25519'):
        certificate, key = certificate_of_kind(tool, office.dir / 'tls', kind, f'{kind}.test')
        if together:  # as some programs that get certificates write them
            certificate.write_text(key.read_text() + certificate.read_text())
        office.add_certificate(certificate, certificate if together else key)
        keys[kind] = key
    office.start()
    for kind in keys:
        for version in VERSIONS.values():
            for _ in range(5):
                session_with(office, context_of(version), f'{kind}.test')
    open_one = connect(office, True)
    open_one.login('demo', PASSWORD)
    secrets = {kind: secrets_of(tool, key) for kind, key in keys.items()}
    signer = the(office, 'keys')
    for kind, wanted in secrets.items():
        assert holds(signer, wanted), f'the search cannot find the key of {kind} where it is'
    everything = [secret for wanted in secrets.values() for secret in wanted]
    for pid, line in {**office.children(), office.process.pid: 'monitor'}.items():
        assert pid == signer or not holds(pid, everything), f'{line} has a private key'
    links = {os.readlink(entry) for entry in pathlib.Path(f'/proc/{signer}/fd').iterdir()}
    assert not any('memfd' in link for link in links), links
    for pid, line in office.children().items():
        if 'front' in line:
            links = {os.readlink(entry) for entry in pathlib.Path(f'/proc/{pid}/fd').iterdir()}
            assert not any('memfd:keys' in link for link in links), links
