"""`valija doctor`: each finding is brought about here, and is gone when what it says was done."""
import ctypes
import datetime
import json
import os
import pathlib
import platform
import re
import socket
import subprocess
import sys
import time

import pytest
from office import PASSWORD, ROOT, free_port
from sasl_socket import add_database_that_is_down

HERE = pathlib.Path(__file__).parent
NAME_SERVER = ROOT / 'tests/stand_ins/name_server.py'


@pytest.fixture
def healthy(make_office):
    """A started office with every service, of which the doctor finds no error."""
    def start(settings=None, run=True, **more):
        office = make_office(start=False, **more)
        office.set('control.socket', f'"{office.scratch}/control"')
        for name, value in (settings or {}).items():
            office.set(name, value)
        office.set('lmtp.catch_all', '"demo"')
        return office.start() if run else office
    return start


def doctor(office, code=None):
    done = office.valija('doctor', '-c', office.conf, '--json', check=False, timeout=200)
    found = json.loads(done.stdout)
    worst = {row['severity'] for row in found}
    expected = 2 if 'error' in worst else 1 if 'warning' in worst else 0
    assert done.returncode == expected and (code is None or code == expected), found
    return found


def rows(found, severity, check, words=''):
    return [row for row in found if row['severity'] == severity and row['check'] == check and
            re.search(words, row['text'])]


def trouble(found, check):
    return rows(found, 'error', check) + rows(found, 'warning', check)


def test_a_sound_server(healthy):
    office = healthy({'control.metrics': f'"127.0.0.1:{free_port()}"'}, run=False)
    office.set('sasl.listen', f'"{office.scratch}/auth"')
    office.start()
    found = doctor(office)
    assert not [row for row in found if row['severity'] == 'error'], found
    for check in ('files', 'mail', 'disk', 'listener', 'settings', 'configuration', 'databases'):
        assert not trouble(found, check), found
    listeners = [row['text'].split(' at ')[0] for row in rows(found, 'ok', 'listener')]
    assert sorted(listeners) == ['HTTP', 'LMTP', 'POP3', 'POP3S', 'SASL', 'control']
    text = office.valija('doctor', '-c', office.conf, check=False).stdout
    assert re.search(r'^ok +listener +POP3S at ', text, re.M)
    assert re.search(r'^0 errors, \d warnings, \d notes$', text, re.M)


def test_a_server_that_does_not_run(healthy):
    office = healthy(run=False)
    found = doctor(office, 2)
    gone = rows(found, 'error', 'listener', 'refused|No such file')
    assert len(gone) == 4 and all('systemctl start valijad' in row['mend'] for row in gone)


def test_a_server_that_hangs(healthy):
    """It takes connections and says nothing: the check ends, and says so."""
    office = healthy(run=False)
    with socket.create_server(('127.0.0.1', office.pop3)), \
            socket.create_server(('127.0.0.1', office.lmtp)):
        before = time.monotonic()
        found = doctor(office, 2)
        assert time.monotonic() - before < 60
    assert rows(found, 'error', 'listener', f'POP3 at 127.0.0.1:{office.pop3}: ')
    assert rows(found, 'error', 'listener', 'LMTP at .*does not answer')


WEAK = [('login.plain_without_tls', 'yes', 'warning', 'clear text'),
        ('login.failure_delay', '0s', 'warning', 'guessing costs nothing'),
        ('limits.connections_per_address', '0', 'warning', 'one address may have all'),
        ('limits.sessions_per_user', '0', 'warning', 'one user may have any number'),
        ('login.apop', 'yes', 'note', 'APOP'),
        ('control.socket', None, 'note', 'no control.socket')]


@pytest.mark.parametrize('name, value, severity, words', WEAK, ids=[row[0] for row in WEAK])
def test_weak_settings(healthy, name, value, severity, words):
    office = healthy(run=False)
    assert not rows(doctor(office), severity, 'settings', words)
    if value is None:
        office.conf.write_text(re.sub(r'\n\tsocket = .*', '', office.conf.read_text()))
    else:
        office.set(name, value)
    [row] = rows(doctor(office), severity, 'settings', words)
    assert row['mend'].split()[0].split('.')[-1] in office.conf.read_text()


def test_listeners_that_let_in_more_than_the_site(healthy):
    """Once each, with the networks."""
    office = healthy(run=False)
    assert not rows(doctor(office), 'warning', 'settings')
    office.conf.write_text(office.conf.read_text() + f'''
listener "127.0.0.1:{office.pop3}" {{
	plain_networks = {{"192.0.2.0/24", "2001:db8::/32"}}
}}
listener "127.0.0.1:{office.pop3s}" {{
	tls_min = "1.0"
	tls_min_networks = {{"10.1.2.3"}}
}}
''')
    found = doctor(office)
    [row] = rows(found, 'warning', 'settings', 'clear text')
    assert f'127.0.0.1:{office.pop3} ' in row['text']
    assert ' from 192.0.2.0/24, 2001:db8::/32: ' in row['text'] and 'plain_networks' in row['mend']
    [row] = rows(found, 'warning', 'settings', 'TLS 1.0 from 10.1.2.3/32')
    assert f'127.0.0.1:{office.pop3s} ' in row['text'] and 'tls_min' in row['mend']
    assert not trouble(found, 'configuration'), found


def test_a_configuration_that_is_wrong(healthy):
    office = healthy(run=False)
    office.conf.write_text(office.conf.read_text() + 'nonsense = 1\n')
    found = doctor(office, 2)
    assert rows(found, 'error', 'configuration', 'nonsense') and len(found) == 1


def test_what_a_start_would_refuse(healthy):
    office = healthy()
    other = office.scratch / 'other.pem'
    subprocess.run(['openssl', 'genpkey', '-algorithm', 'EC', '-pkeyopt',
                    'ec_paramgen_curve:P-256', '-out', other], check=True, capture_output=True)
    key = office.dir / 'tls/key.pem'
    office.allow('changed files of certificates are not used')  # seen after some seconds
    key.write_bytes(other.read_bytes())
    found = doctor(office, 2)
    assert rows(found, 'error', 'configuration', 'key'), found


FILES = [('users', 0o644, 'password hashes'), ('users', 0o660, 'change users'),
         ('tls/key.pem', 0o604, 'have the private key'), ('mail', 0o777, 'rename mail'),
         ('valija.conf', 0o666, 'change the configuration')]


@pytest.mark.parametrize('path, mode, words', FILES, ids=[f'{row[0]}-{row[1]:o}' for row in FILES])
def test_permissions(healthy, path, mode, words):
    """The command that it names mends it."""
    office = healthy(run=False)
    assert not rows(doctor(office), 'error', 'files')
    (office.dir / path).chmod(mode)
    [row] = rows(doctor(office, 2), 'error', 'files', words)
    subprocess.run(['sh', '-c', row['mend']], check=True)
    assert not rows(doctor(office), 'error', 'files')


def test_a_group_that_can_read_a_key(healthy):
    """As ssl-cert of Debian: it may be meant."""
    office = healthy(run=False)
    (office.dir / 'tls/key.pem').chmod(0o640)
    found = doctor(office)
    assert rows(found, 'note', 'files', 'private key') and not rows(found, 'error', 'files')


def test_permissions_of_the_state_folder(healthy):
    office = healthy(run=False)
    office.state.chmod(0o777)
    [row] = rows(doctor(office, 2), 'error', 'files', 'remembers')
    subprocess.run(['sh', '-c', row['mend']], check=True)
    assert not rows(doctor(office), 'error', 'files')


def test_a_mail_folder_without_its_mark(healthy):
    office = healthy()
    office.put('demo', b'Subject: x\n\nx\n')
    office.stop()
    (office.mail / '.valija-root').unlink()
    for path in office.state.glob('mail-root-*'):
        path.unlink()
    [row] = rows(doctor(office, 2), 'error', 'mail', 'has no mark')
    subprocess.run([office.bin / 'valija', 'mark', office.mail], check=True, capture_output=True,
                   env=office.environment())
    assert 'valija mark' in row['mend'] and not trouble(doctor(office), 'mail')


def test_another_mail_folder(healthy, connect):
    office = healthy()
    office.put('demo', b'Subject: x\n\nx\n')
    pop = connect(office)
    pop.login('demo', PASSWORD)
    pop.quit()
    office.restart()
    office.stop()
    office.mail.rename(office.dir / 'elsewhere')
    office.mail.mkdir()
    (office.mail / '.valija-root').write_text('0' * 32 + '\n')
    assert trouble(doctor(office, 2), 'mail')
    office.mail.joinpath('.valija-root').unlink()
    office.mail.rmdir()
    assert rows(doctor(office, 2), 'error', 'mail', 'cannot be opened')


def test_a_register_that_is_gone(healthy, connect):
    office = healthy()
    office.put('demo', b'Subject: x\n\nx\n')
    pop = connect(office)
    pop.login('demo', PASSWORD)
    pop.quit()
    office.restart()
    office.stop()
    assert not trouble(doctor(office), 'mail')
    for path in office.state.glob('mail-register-*'):
        path.unlink()
    assert rows(doctor(office), 'warning', 'mail', 'no register')


def test_dotlocks_that_nobody_holds(healthy):
    office = healthy(run=False)
    gone = subprocess.Popen(['true'])
    gone.wait()
    old = time.time() - 3600
    for name, text, when in (('dead', str(gone.pid), old), ('empty', '', old),
                             ('held', str(os.getpid()), old), ('new', '', time.time())):
        path = office.mail / f'{name}.lock'
        path.write_text(text)
        os.utime(path, (when, when))
    found = rows(doctor(office), 'warning', 'mail', 'dotlock')
    assert sorted(re.search(r'(\w+)\.lock', row['text'])[1] for row in found) == ['dead', 'empty']
    for row in found:
        subprocess.run(['sh', '-c', row['mend']], check=True)
    assert not rows(doctor(office), 'warning', 'mail')


@pytest.fixture
def small(need_root, tmp_path):
    """small(options): a filesystem of its own."""
    made = []

    def mount(options):
        folder = tmp_path / f'small{len(made)}'
        folder.mkdir()
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', folder],
                              capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f'no tmpfs can be mounted here: {done.stderr}')
        made.append(folder)
        return folder
    yield mount
    for folder in made:
        subprocess.run(['umount', folder], check=True)


def test_a_disk_that_is_nearly_full(healthy, small):
    folder = small('size=300m')
    office = healthy({'lmtp.spool': f'"{folder}"'}, run=False)
    assert rows(doctor(office), 'ok', 'disk', str(folder))
    (folder / 'a').write_bytes(b'x' * (220 << 20))
    assert rows(doctor(office), 'warning', 'disk', f'{folder}: 80 MB')
    (folder / 'b').write_bytes(b'x' * (75 << 20))
    [row] = rows(doctor(office, 2), 'error', 'disk', str(folder))
    assert 'df -h' in row['mend']


def test_a_disk_without_inodes(healthy, small):
    folder = small('size=300m,nr_inodes=60')
    office = healthy({'lmtp.spool': f'"{folder}"'}, run=False)
    assert not trouble(doctor(office), 'disk')
    for number in range(59):
        (folder / str(number)).touch()
    assert rows(doctor(office, 2), 'error', 'disk', 'inodes')


def without(office, *names):
    if platform.machine() not in ('x86_64', 'aarch64'):
        pytest.skip('the numbers of calls are known of two machines')
    office.inside = ('/usr/bin/python3', HERE / 'without_calls.py', ','.join(names))
    return doctor(office)


def test_what_the_kernel_lacks(healthy):
    office = healthy(run=False)
    found = without(office, 'landlock', 'openat2', 'preadv2')
    assert rows(found, 'warning', 'kernel', 'Landlock is not there')
    assert rows(found, 'note', 'kernel', 'openat2 is not there')
    assert rows(found, 'note', 'kernel', 'cannot read without waiting')
    office.inside = ()
    found = doctor(office)
    assert not rows(found, 'note', 'kernel', 'openat2')


def test_a_kernel_without_filters(healthy):
    office = healthy(run=False)
    found = without(office, 'seccomp')
    assert rows(found, 'error', 'kernel', 'filters of system calls are not there')


def test_the_clock(healthy):
    """What the kernel says of it; setting it would be this machine's."""
    office = healthy(run=False)
    timex = ctypes.create_string_buffer(512)
    state = ctypes.CDLL(None).adjtimex(timex)
    status = int.from_bytes(timex.raw[40:44], sys.byteorder)
    bad = state == 5 or status & 0x40
    [row] = [row for row in doctor(office) if row['check'] == 'clock']
    assert row['severity'] == ('warning' if bad else 'ok')
    [row] = [row for row in without(office, 'adjtimex', 'clock_adjtime')
             if row['check'] == 'clock']
    assert row['severity'] == 'note' and 'cannot be asked' in row['text']


def test_a_damaged_list_of_bans(healthy):
    office = healthy()
    office.valija('ban', 'add', '-c', office.conf, '192.0.2.1')
    office.stop()
    [path] = office.state.glob('bans-*')
    path.write_text('valija-bans 1\n')
    office.allow('bans: ')
    office.start()
    [row] = rows(doctor(office, 2), 'error', 'bans', r'bans-\w+:2: ')
    path.unlink()
    office.reload()
    assert not trouble(doctor(office), 'bans')


def test_a_database_that_is_down(healthy):
    office = healthy(run=False)
    add_database_that_is_down(office)
    [row] = rows(doctor(office, 2), 'error', 'databases')
    assert 'valija user test' in row['mend']


def certificate(office, days, host='office.test', path=None):
    """Of the office's key, for so many days."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    key = serialization.load_pem_private_key((office.dir / 'tls/key.pem').read_bytes(), None)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'office.test')])
    path = path or office.cert
    now = datetime.datetime.utcnow()
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(
        key.public_key()).serial_number(1).not_valid_before(
            now - datetime.timedelta(days=20)).not_valid_after(
                now + datetime.timedelta(days=days, hours=1)).add_extension(
                    x509.SubjectAlternativeName([x509.DNSName(host)]), False).sign(
                        key, hashes.SHA256())
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def test_certificates_that_end_or_are_not_trusted(healthy, monkeypatch):
    office = healthy()
    found = doctor(office)
    assert rows(found, 'warning', 'certificate', 'POP3S at .*self-signed')
    monkeypatch.setenv('SSL_CERT_FILE', str(office.cert))
    assert not trouble(doctor(office), 'certificate')
    certificate(office, 5)
    office.reload()
    found = doctor(office)
    assert rows(found, 'warning', 'certificate', 'POP3S at .* expires in 5 days')


def test_certificates_of_other_names(healthy, monkeypatch):
    """Each is asked for by its name, at each listener, as it is served."""
    office = healthy(run=False)
    monkeypatch.setenv('SSL_CERT_FILE', str(office.cert))
    paths = {host: office.dir / f'tls/{host.replace("*", "all")}.pem'
             for host in ('other.test', '*.wide.test')}
    for host, path in paths.items():
        certificate(office, 6, host, path)
        office.conf.write_text(office.conf.read_text() +
                               f'tls "{host}" {{\n\tcertificate = "{path}"\n'
                               f'\tkey = "{office.dir}/tls/key.pem"\n}}\n')
    office.start()
    found = doctor(office)
    for host in ('other.test', 'mail.wide.test'):
        for service in ('POP3', 'POP3S'):
            place = f'{service} at .* as {host}: '
            assert rows(found, 'warning', 'certificate',
                        f'{place}the certificate expires in 6 days')
            assert rows(found, 'warning', 'certificate', f'{place}mail programs of others')
    certificate(office, -1, 'other.test', paths['other.test'])
    office.stop()
    office.start()
    [row] = rows(doctor(office, 2), 'error', 'certificate', 'POP3S at .* as other.test: .*expired')
    assert 'certbot renew' in row['mend']
    certificate(office, -1)
    office.restart()
    assert rows(doctor(office, 2), 'error', 'certificate', 'POP3S at [^ ]*: .*expired')


def test_a_name_without_an_address(healthy):
    office = healthy(run=False)
    assert rows(doctor(office), 'warning', 'names', 'office.test has no address')
    office.set('hostname', '"localhost"')
    found = doctor(office)
    assert rows(found, 'warning', 'names', 'has no domain')
    assert rows(found, 'ok', 'names', 'localhost is an address of this machine')


@pytest.fixture
def named(need_root, tmp_path):
    """named(office, …): the doctor's findings with a name server of ours."""
    def run(office, *records):
        resolv = tmp_path / 'resolv.conf'
        resolv.write_text('nameserver 127.0.0.1\n')
        script = (f'ip link set lo up && mount --bind {resolv} /etc/resolv.conf && '
                  f'mkfifo {tmp_path}/ready && (/usr/bin/python3 {NAME_SERVER} "$@" > '
                  f'{tmp_path}/ready 2>&1 & echo $! > {tmp_path}/pid) && read word < '
                  f'{tmp_path}/ready && [ "$word" = ready ] && {office.bin}/valija doctor --json '
                  f'-c {office.conf}; kill $(cat {tmp_path}/pid); rm {tmp_path}/ready')
        done = subprocess.run(['unshare', '--mount', '--net', 'sh', '-c', script, 'sh',
                               *map(str, records)], capture_output=True, text=True, timeout=200,
                              env=office.environment())
        if not done.stdout:
            pytest.skip(f'no namespaces, or no name server: {done.stderr}')
        return json.loads(done.stdout)
    return run


def test_names_in_dns(healthy, named):
    office = healthy(run=False)
    office.set('hostname', '"mail.office.test"')
    name, srv = 'mail.office.test', '_pop3s._tcp.office.test'
    found = named(office, name, '127.0.0.1', srv, office.pop3s, name)
    assert rows(found, 'ok', 'names', 'mail.office.test is an address of this machine')
    assert rows(found, 'ok', 'names', f'{srv} names this server')
    found = named(office, name, '192.0.2.1', srv, 1995, 'old.office.test')
    assert rows(found, 'note', 'names', 'no address of mail.office.test is one of this machine')
    [row] = rows(found, 'warning', 'names', r'names old\.office\.test, port 1995')
    assert row['mend'] == f'DNS: {srv}. SRV 0 1 {office.pop3s} {name}.'
    found = named(office, name, '127.0.0.1', 'other.test', 1, 'x.test')
    assert rows(found, 'note', 'names', f'{srv} has no record')


@pytest.mark.parametrize('arguments', [('x',), ('--no',), ('--json', 'x')])
def test_usage(healthy, arguments):
    office = healthy(run=False)
    assert office.valija('doctor', *arguments, check=False).returncode == 64
