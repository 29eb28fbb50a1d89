"""`valija fetch` against real servers: Dovecot's pop3d from Debian, and valijad."""
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import fetcher  # noqa: E402,F401
from hostile import letter, make_certificate, wire_form  # noqa: E402
from office import PASSWORD, free_port  # noqa: E402

CORPUS = sorted((HERE.parent / 'corpus').glob('*.eml'))
CONF = '''
base_dir = {d}/run
state_dir = {d}/state
protocols = pop3
listen = 127.0.0.1
log_path = {d}/log
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
mail_location = maildir:{d}/mail/%u
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {d}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={d}/mail/%u
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
'''


class Dovecot:
    def __init__(self, mechanisms='plain login scram-sha-256 scram-sha-1 cram-md5'):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='valija-dovecot-'))
        self.dir.chmod(0o755)
        self.cert, key = make_certificate(self.dir)
        self.pop3, self.pop3s = free_port(), free_port()
        self.owner = pwd.getpwnam('nobody')
        for name in ('run', 'state', 'mail'):
            (self.dir / name).mkdir()
        os.chown(self.dir / 'mail', self.owner.pw_uid, self.owner.pw_gid)
        (self.dir / 'users').write_text(f'demo:{{PLAIN}}{PASSWORD}\n')
        conf = self.dir / 'dovecot.conf'
        conf.write_text(CONF.format(d=self.dir, cert=self.cert, key=key, pop3=self.pop3,
                                    pop3s=self.pop3s, uid=self.owner.pw_uid,
                                    gid=self.owner.pw_gid, mechanisms=mechanisms))
        self.process = subprocess.Popen(['dovecot', '-F', '-c', conf], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self.wait()

    def wait(self):
        import socket

        deadline = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection(('127.0.0.1', self.pop3s), 5):
                    return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, \
                    (self.dir / 'log').read_text()
                time.sleep(0.05)

    def put(self, messages):
        maildir = self.dir / 'mail/demo'
        for name in ('', 'new', 'cur', 'tmp'):
            (maildir / name).mkdir(exist_ok=True)
            os.chown(maildir / name, self.owner.pw_uid, self.owner.pw_gid)
        for number, octets in enumerate(messages):
            path = maildir / 'new' / f'{1700000000 + number}.M{number}.test'
            path.write_bytes(octets)
            os.chown(path, self.owner.pw_uid, self.owner.pw_gid)

    def left(self):
        return [p for name in ('new', 'cur') for p in (self.dir / 'mail/demo' / name).iterdir()]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture
def dovecot(need_root):
    if not shutil.which('dovecot') or not pathlib.Path('/usr/lib/dovecot/pop3').exists():
        pytest.skip('dovecot-pop3d is not installed')
    server = Dovecot()
    yield server
    server.stop()


class At:
    """Where a server listens, in the words of hostile.Server."""

    def __init__(self, port, tls):
        self.port, self.tls = port, tls


def collect(fetcher, port, tls, cert, *options, **more):
    fetcher.password_file.write_text(PASSWORD + '\n')
    trust = ['--ca', cert] if tls else []
    return fetcher.run(At(port, tls), *trust, *options, host='localhost', **more)


@pytest.mark.release
@pytest.mark.parametrize('tls', [None, 'starttls', 'implicit'])
def test_dovecot_keep_then_delete(fetcher, dovecot, tls):
    port = dovecot.pop3s if tls == 'implicit' else dovecot.pop3
    mail = [letter(n, 3000) for n in range(300)]
    dovecot.put(mail)
    collect(fetcher, port, tls, dovecot.cert, '--keep')
    assert fetcher.mail() == sorted(mail) and len(dovecot.left()) == 300
    collect(fetcher, port, tls, dovecot.cert, '--keep')
    assert len(fetcher.files()) == 300
    collect(fetcher, port, tls, dovecot.cert, '--delete')
    assert len(fetcher.files()) == 300 and dovecot.left() == []


@pytest.mark.parametrize('auth', ['scram-sha-256', 'scram-sha-1', 'cram-md5', 'plain', 'login',
                                  'user'])
def test_dovecot_mechanisms(fetcher, dovecot, auth):
    dovecot.put([letter(1)])
    collect(fetcher, dovecot.pop3s, 'implicit', dovecot.cert, '--auth', auth)
    assert fetcher.mail() == [letter(1)]


def test_dovecot_real_shapes(fetcher, dovecot):
    """What Dovecot sends as it is: no NUL, no CR; and it forgets to stuff a dot that is the very
    first octet of a message."""
    mail = [octets for octets in (p.read_bytes() for p in CORPUS)
            if not set(b'\0\r') & set(octets) and len(octets) > 1 and octets[0] != ord('.')]
    assert len(mail) > 15
    dovecot.put(mail)
    collect(fetcher, dovecot.pop3s, 'implicit', dovecot.cert, '--delete')
    got = {m.rstrip(b'\n') for m in fetcher.mail()}
    assert len(fetcher.files()) == len(mail) and got == {m.rstrip(b'\n') for m in mail}
    assert dovecot.left() == []


def test_dovecot_headers_only(fetcher, dovecot):
    dovecot.put([letter(1), letter(2, 50000)])
    collect(fetcher, dovecot.pop3, None, None, '--max-size', '10K', '--delete')
    assert len(fetcher.files()) == 2 and len(dovecot.left()) == 1
    collect(fetcher, dovecot.pop3, None, None, '--max-size', '10K', '--delete', '--whole', 'all')
    assert fetcher.mail() == sorted([letter(1), letter(2, 50000)]) and dovecot.left() == []


@pytest.mark.release
@pytest.mark.parametrize('tls', [None, 'starttls', 'implicit'])
def test_valijad_octet_exact(fetcher, make_office, tls):
    office = make_office()
    mail = [path.read_bytes() for path in CORPUS]
    office.put_many('demo', mail)
    port = office.pop3s if tls == 'implicit' else office.pop3
    collect(fetcher, port, tls, office.cert, '--keep')
    collect(fetcher, port, tls, office.cert, '--keep')
    expected = sorted(wire_form(m).replace(b'\r\n', b'\n') for m in mail)
    assert fetcher.mail() == expected
    collect(fetcher, port, tls, office.cert, '--delete')
    assert fetcher.mail() == expected
    deadline = time.monotonic() + 30  # files are unlinked behind the reply to QUIT
    while office.files('demo') and time.monotonic() < deadline:
        time.sleep(0.05)
    assert office.files('demo') == []


def test_valijad_channel_binding(fetcher, make_office):
    """The server offers SCRAM-SHA-256-PLUS under TLS: it is taken, and the channel is bound."""
    office = make_office()
    office.put('demo', letter(1))
    transcript = fetcher.scratch / 'transcript'
    collect(fetcher, office.pop3s, 'implicit', office.cert, '--record', transcript)
    assert fetcher.mail() == [letter(1)]
    assert 'C: AUTH SCRAM-SHA-256-PLUS <masked>' in transcript.read_text(), transcript.read_text()


@pytest.mark.figures
def test_nothing_new_costs_little(fetcher, dovecot):
    """10,000 kept and nothing new: processor time and memory of the run."""
    import resource

    dovecot.put([b'Subject: %d\n\nx\n' % n for n in range(10000)])
    collect(fetcher, dovecot.pop3, None, None, '--auth', 'plain')
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    collect(fetcher, dovecot.pop3, None, None, '--auth', 'plain')
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f'nothing new among 10,000: {seconds:.3f} s of processor time')
    assert seconds < 0.2, 'ten times the budget: something is wrong, not just slow'
