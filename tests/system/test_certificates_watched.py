"""Files of certificates that change while they are served: taken without a reload if they are good,
for new handshakes only; else the old ones go on."""
import datetime
import os
import re
import shutil
import socket
import ssl
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from office import PASSWORD, ROOT, free_port, wait_until
from pop import Pop, client_context
from test_status import metrics

MAIL = b'From: a@example.org\r\nSubject: hello\r\n\r\nhello\r\n'
TAKEN = r'files of certificates have changed: new handshakes use them'
REFUSED = r'changed files of certificates are not used, the old ones go on'


def openssl(*args):
    subprocess.run(['openssl', *map(str, args)], check=True, capture_output=True)


def make_pair(folder, key=None, days=30, name='localhost'):
    """cert.pem and key.pem in folder; of a key that is there already if it is given."""
    folder.mkdir(exist_ok=True)
    if key:
        shutil.copy(key, folder / 'key.pem')
    else:
        openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out',
                folder / 'key.pem')
    openssl('req', '-x509', '-key', folder / 'key.pem', '-subj', f'/CN={name}', '-days', days,
            '-addext', f'subjectAltName=DNS:{name}', '-out', folder / 'cert.pem')
    return folder


def served(office):
    """The certificate that a new handshake gets, in PEM."""
    return ssl.get_server_certificate(('127.0.0.1', office.pop3s)).strip()


def is_served(office, pair, seconds=15):
    want = (pair / 'cert.pem').read_text().strip()
    wait_until(lambda: served(office) == want, seconds)


@pytest.fixture
def watched(make_office, tmp_path):
    """An office whose certificate is at tmp_path/live, as PEM files that the test may change."""
    office = make_office(start=False)
    live = make_pair(tmp_path / 'live')
    text = re.sub(r'certificate = .*', f'certificate = "{live}/cert.pem"',
                  office.conf.read_text())
    office.conf.write_text(re.sub(r'\bkey = .*', f'key = "{live}/key.pem"', text))
    tmp_path.chmod(0o755)
    office.live = live
    office.start()
    is_served(office, live)
    return office


def renamed(office, pair):
    for name in ('cert.pem', 'key.pem'):
        shutil.copy(pair / name, office.live / f'{name}.new')
        os.rename(office.live / f'{name}.new', office.live / name)


def written_in_place(office, pair):
    for name in ('key.pem', 'cert.pem'):
        (office.live / name).write_bytes((pair / name).read_bytes())


def folder_swapped(office, pair):
    os.rename(office.live, office.live.parent / 'gone')
    os.rename(pair, office.live)


@pytest.mark.parametrize('change', [renamed, written_in_place, folder_swapped])
def test_a_new_pair_is_taken_without_a_reload(watched, tmp_path, change):
    mark = watched.mark()
    pair = make_pair(tmp_path / 'new')
    want = (pair / 'cert.pem').read_text().strip()
    with Pop(watched.pop3s, client_context()) as before:
        before.login('demo', PASSWORD)
        change(watched, pair)
        wait_until(lambda: served(watched) == want, 15)
        watched.wait_log(TAKEN, since=mark)
        before.ok('NOOP')  # it is as it was
        before.ok('QUIT')
    with Pop(watched.pop3s, client_context(str(watched.live / 'cert.pem'))) as after:
        after.login('demo', PASSWORD)
        after.ok('QUIT')
    assert 'reloaded' not in '\n'.join(filter(None, watched.log[mark:]))
    # and again: what is watched is what is there now
    again = make_pair(tmp_path / 'again')
    renamed(watched, again)
    is_served(watched, again)
    assert len([row for row in watched.log[mark:] if row and re.search(TAKEN, row)]) == 2


def test_links_as_certbot_changes_them(make_office, tmp_path):
    """live/NAME/fullchain.pem → ../../archive/NAME/fullchain1.pem: the link is replaced."""
    office = make_office(start=False)
    tmp_path.chmod(0o755)
    archive, live = tmp_path / 'archive', tmp_path / 'live'
    archive.mkdir()
    live.mkdir()

    def issue(number, key=None):
        pair = make_pair(tmp_path / f'issued{number}', key)
        for name in ('cert', 'key'):
            shutil.copy(pair / f'{name}.pem', archive / f'{name}{number}.pem')
        for name in ('cert', 'key'):
            link = live / f'{name}.pem'
            link.unlink(missing_ok=True)
            link.symlink_to(f'../archive/{name}{number}.pem')
        return pair
    first = issue(1)
    text = re.sub(r'certificate = .*', f'certificate = "{live}/cert.pem"', office.conf.read_text())
    office.conf.write_text(re.sub(r'\bkey = .*', f'key = "{live}/key.pem"', text))
    office.start()
    is_served(office, first)
    is_served(office, issue(2))
    is_served(office, issue(3, key=archive / 'key2.pem'))  # --reuse-key


def test_threat_129_half_of_a_pair_is_not_used(watched, tmp_path):
    """The certificate is new, the key is still old: the old pair goes on, and the log says so
    once."""
    old = (watched.live / 'cert.pem').read_text().strip()
    pair = make_pair(tmp_path / 'new')
    mark = watched.mark()
    watched.allow(REFUSED)
    (watched.live / 'cert.pem').write_bytes((pair / 'cert.pem').read_bytes())
    watched.wait_log(REFUSED + r'.*cert\.pem: the key does not belong to the certificate', 20,
                     since=mark)
    assert served(watched) == old
    os.utime(watched.live / 'cert.pem')  # seen again: said before
    time.sleep(9)
    assert len([row for row in watched.log[mark:] if row and re.search(REFUSED, row)]) == 1
    (watched.live / 'key.pem').write_bytes((pair / 'key.pem').read_bytes())
    is_served(watched, pair)


def test_a_pair_that_comes_in_two_steps_is_no_fault(watched, tmp_path):
    pair = make_pair(tmp_path / 'new')
    (watched.live / 'cert.pem').write_bytes((pair / 'cert.pem').read_bytes())
    time.sleep(3)  # longer than until the look
    (watched.live / 'key.pem').write_bytes((pair / 'key.pem').read_bytes())
    is_served(watched, pair)
    assert not re.search(REFUSED, watched.log_text())


def expired(watched, pair):
    key = serialization.load_pem_private_key((pair / 'key.pem').read_bytes(), None)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'localhost')])
    now = datetime.datetime.utcnow()
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(7) \
        .public_key(key.public_key()).not_valid_before(now - datetime.timedelta(20)) \
        .not_valid_after(now - datetime.timedelta(10)).sign(key, hashes.SHA256())
    (pair / 'cert.pem').write_bytes(made.public_bytes(serialization.Encoding.PEM))
    renamed(watched, pair)


def gone(watched, _):
    (watched.live / 'key.pem').unlink()


def no_pem(watched, _):
    (watched.live / 'cert.pem').write_text('-----BEGIN CERTIFICATE-----\nAAAA\n')


def endless(watched, _):
    (watched.live / 'cert.pem').write_bytes(b'x' * 300 * 1024)


@pytest.mark.parametrize('change, words', [
    (expired, 'has expired'), (gone, 'No such file'), (no_pem, 'no certificate in PEM form'),
    (endless, 'is not a PEM file')])
def test_threat_129_what_is_not_good_keeps_the_old_one(watched, tmp_path, change, words):
    old = served(watched)
    watched.allow(REFUSED)
    change(watched, make_pair(tmp_path / 'new'))
    watched.wait_log(rf'{REFUSED}.*{words}', 20)
    assert served(watched) == old
    good = make_pair(tmp_path / 'good')
    renamed(watched, good)
    is_served(watched, good)


def test_sessions_and_tickets_go_on(watched, tmp_path):
    """A client resumes what it had under the certificate before; a handshake that is under way
    ends with the key that it began with."""
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # its ticket comes in the handshake
    with Pop(watched.pop3s, context) as pop:
        ticket = pop.socket.session
    pair = make_pair(tmp_path / 'new')
    renamed(watched, pair)
    is_served(watched, pair)
    with socket.create_connection(('127.0.0.1', watched.pop3s)) as raw:
        with context.wrap_socket(raw, server_hostname='localhost', session=ticket) as secured:
            assert secured.session_reused
            assert secured.recv(3) == b'+OK'


def test_processes_that_start_later_have_the_new_pair(watched, tmp_path):
    pair = make_pair(tmp_path / 'new')
    renamed(watched, pair)
    is_served(watched, pair)
    watched.allow(r'keys0 .*(ended|killed)|channel to')
    for role in ('keys', 'front'):
        for pid, line in watched.children().items():
            if f': {role}' in line:
                os.kill(pid, 9)

        def again():
            try:
                return served(watched) == (pair / 'cert.pem').read_text().strip()
            except OSError:
                return False
        wait_until(again, 20)


def test_many_renewals_under_handshakes(watched, tmp_path):
    """More changes than keys keeps sets of keys, with handshakes all the time."""
    pairs = [make_pair(tmp_path / f'pair{n}') for n in range(6)]
    for pair in pairs:
        renamed(watched, pair)
        want = (pair / 'cert.pem').read_text().strip()

        def now():
            with Pop(watched.pop3s, client_context()) as pop:
                pop.ok('CAPA')
                pop.body()
            return served(watched) == want
        wait_until(now, 15)


def test_metrics_have_the_new_end(make_office, tmp_path):
    port = free_port()
    office = make_office(start=False, settings={'control.metrics': f'"127.0.0.1:{port}"'})
    tmp_path.chmod(0o755)
    live = office.dir / 'tls'
    office.start()
    before = metrics(port)['valija_certificate_end_seconds{certificate="0"}']
    pair = make_pair(tmp_path / 'new', days=9)
    for name in ('cert.pem', 'key.pem'):
        (live / name).write_bytes((pair / name).read_bytes())
    wait_until(lambda: metrics(port)['valija_certificate_end_seconds{certificate="0"}'] < before)


def test_the_hook_for_certbot(watched, tmp_path):
    """dist/certbot copies a renewed pair to where valija.conf has it."""
    lineage = tmp_path / 'letsencrypt/live/mail'
    lineage.parent.mkdir(parents=True)
    pair = make_pair(lineage)
    (pair / 'cert.pem').rename(pair / 'fullchain.pem')
    (pair / 'key.pem').rename(pair / 'privkey.pem')
    before = served(watched)
    (watched.live / 'key.pem').chmod(0o640)
    environment = {**os.environ, 'VALIJA_TLS': str(watched.live), 'RENEWED_LINEAGE': str(lineage)}
    subprocess.run([ROOT / 'dist/certbot/valija'], env={**environment, 'VALIJA_LINEAGE': 'other'},
                   check=True)
    assert sorted(os.listdir(watched.live)) == ['cert.pem', 'key.pem']
    assert (watched.live / 'cert.pem').read_text().strip() == before
    subprocess.run([ROOT / 'dist/certbot/valija'], env=environment, check=True)
    wait_until(lambda: served(watched) == (lineage / 'fullchain.pem').read_text().strip(), 15)
    assert (watched.live / 'key.pem').stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(watched.live)) == ['cert.pem', 'key.pem']
