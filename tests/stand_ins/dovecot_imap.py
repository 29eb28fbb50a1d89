"""Dovecot's imapd on loopback with TLS, and a relay that counts turns; for tests, and alone:

    python3 tests/stand_ins/dovecot_imap.py [--build DIR] [MESSAGES OCTETS]

measures: so many messages of that size (2,000 of 4,096) by `valija fetch` from a POP3 server of
the tests into Dovecot over one connection: turns and milliseconds a message. As root, with
dovecot-imapd.

    dovecot = DovecotImap(); dovecot.url('INBOX'); dovecot.mail(); dovecot.stop()
"""
import argparse
import os
import pathlib
import pwd
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from hostile import PASSWORD, Server, letter, make_certificate  # noqa: E402
from ports import free_port  # noqa: E402

CONF = '''
base_dir = {d}/run
state_dir = {d}/state
protocols = imap
listen = 127.0.0.1
log_path = {d}/log
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
ssl = required
ssl_cert = <{cert}
ssl_key = <{key}
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
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
{more}
'''


class DovecotImap:
    def __init__(self, user='demo', owner=None, more=''):
        """owner: uid and gid of the mail, for nobody's; more: lines of the configuration."""
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='valija-dovecot-'))
        self.dir.chmod(0o755)
        self.certificate = make_certificate(self.dir)
        self.imap, self.imaps = free_port(), free_port()
        nobody = pwd.getpwnam('nobody')
        owner = owner or (nobody.pw_uid, nobody.pw_gid)
        for name in ('run', 'state', 'mail'):
            (self.dir / name).mkdir()
        os.chown(self.dir / 'mail', *owner)
        (self.dir / 'users').write_text(f'{user}:{{PLAIN}}{PASSWORD}\n')
        conf = self.dir / 'dovecot.conf'
        conf.write_text(CONF.format(d=self.dir, cert=self.certificate[0], key=self.certificate[1],
                                    uid=owner[0], gid=owner[1], imap=self.imap,
                                    imaps=self.imaps, more=more))
        self.process = subprocess.Popen(['dovecot', '-F', '-c', conf], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self.wait()

    @staticmethod
    def usable():
        return os.geteuid() == 0 and shutil.which('dovecot') and \
            pathlib.Path('/usr/lib/dovecot/imap').exists()

    def wait(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection(('127.0.0.1', self.imaps), 5):
                    return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, \
                    (self.dir / 'log').read_text()
                time.sleep(0.05)

    def url(self, folder='INBOX', starttls=False, port=None):
        port = port or (self.imap if starttls else self.imaps)
        return f'imap{"" if starttls else "s"}://demo@localhost:{port}/{folder}'

    def paths(self, folder=''):
        where = self.dir / 'mail' / 'demo' / folder
        return [path for name in ('new', 'cur') for path in (where / name).glob('*')]

    def mail(self, folder=''):
        """The messages as they are on the disk (LF), without our header, sorted."""
        texts = [path.read_bytes() for path in self.paths(folder)]
        assert all(re.match(rb'X-Valija-Delivery-Id: [0-9a-f]{32}\n', text) for text in texts)
        return sorted(text.partition(b'\n')[2] for text in texts)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Relay:
    """Hands a connection on, octet for octet, and counts turns: how often the server's octets
    follow the client's."""

    def __init__(self, port):
        self.to, self.turns, self.connections = port, 0, 0
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with client, socket.create_connection(('127.0.0.1', self.to)) as server:
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.hand_on(client, server)

    def hand_on(self, client, server):
        last = None
        while True:
            for end in select.select([client, server], [], [])[0]:
                octets = end.recv(65536)
                if not octets:
                    return
                self.turns += end is server and last is client
                last = end
                (server if end is client else client).sendall(octets)

    def stop(self):
        self.listener.close()


def measure(build, count, octets):
    dovecot = DovecotImap()
    relay = Relay(dovecot.imaps)
    with tempfile.TemporaryDirectory() as scratch, \
            Server([letter(n, octets) for n in range(count)]) as pop3:
        secret = pathlib.Path(scratch) / 'secret'
        secret.write_text(PASSWORD)
        secret.chmod(0o600)
        began = time.monotonic()
        subprocess.run([pathlib.Path(build).resolve() / 'valija', 'fetch',
                        f'pop3://demo@127.0.0.1:{pop3.port}', '--tls', 'none', '--password-file',
                        secret, '--state', scratch, '--to', dovecot.url(port=relay.port),
                        '--to-password-file', secret, '--to-ca', dovecot.certificate[0]],
                       check=True)
        took = time.monotonic() - began
    found = len(dovecot.paths())
    relay.stop()
    dovecot.stop()
    assert found == count and relay.connections == 1
    return relay.turns / count, took / count * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--build', default='build')
    parser.add_argument('messages', nargs='?', type=int, default=2000)
    parser.add_argument('octets', nargs='?', type=int, default=4096)
    wanted = parser.parse_args()
    turns, took = measure(wanted.build, wanted.messages, wanted.octets)
    print(f'{wanted.messages} x {wanted.octets} octets: {turns:.3f} turns a message, '
          f'{took:.2f} ms a message')


if __name__ == '__main__':
    main()
