"""Cyrus IMAP's POP3 server in an office that is not started: on its ports, with its certificate and
its users, with a spool of its own that Cyrus's LMTP server filled. `./dev test` unpacks Debian's
packages into a folder (build-cyrus), since installed it would start itself.

    with Cyrus(office, 'uidl_format: dovecot') as cyrus: cyrus.deliver('demo', octets)
"""
import os
import pathlib
import poplib
import shutil
import signal
import smtplib
import socket
import socketserver
import struct
import subprocess
import tempfile
import threading
import time

from office import PASSWORD, ROOT, owner_of

UNPACKED = pathlib.Path(ROOT / os.environ.get('VALIJA_CYRUS', 'build-cyrus')).resolve()
PROGRAMS = UNPACKED / 'usr/lib/cyrus/bin'
MASTER = PROGRAMS / 'master'
SPOOL_USER = 'games'  # stands for "cyrus": neither root nor the owner of our mail
SECONDS = 60


def why_not():
    """Why Cyrus cannot be run here; None if it can."""
    if os.geteuid() != 0:
        return 'needs root'
    if not MASTER.exists():
        return f'Cyrus is not in {UNPACKED}: ./dev test puts it there'
    return None


def libraries():
    return ':'.join(sorted({str(path.parent) for path in UNPACKED.rglob('lib*.so.*')}))


class Lmtp(smtplib.LMTP):
    """Over a socket file; smtplib has no timeout for that."""

    def connect(self, host='localhost', port=0, source_address=None):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(host)
        self.file = None
        return self.getreply()


class Passwords(socketserver.StreamRequestHandler):
    """The other side of saslauthd's socket: name, password, service, realm, each counted."""

    def handle(self):
        words = []
        for _ in range(4):
            size = struct.unpack('!H', self.rfile.read(2))[0]
            words.append(self.rfile.read(size).decode())
        answer = b'OK' if words[1] == PASSWORD else b'NO'
        self.wfile.write(struct.pack('!H', len(answer)) + answer)


class PasswordServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class Cyrus:
    def __init__(self, office, more='', names=('demo',)):
        self.office = office
        # socket files have short names
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='cyrus-', dir='/tmp'))
        self.conf = self.folder / 'imapd.conf'
        self.spool = self.folder / 'spool'
        self.process = None
        self.passwords = PasswordServer(str(self.folder / 'mux'), Passwords)
        self.thread = threading.Thread(target=self.passwords.serve_forever, args=(0.05,),
                                       daemon=True)
        self.thread.start()
        self._write(more)
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def _write(self, more):
        certificate = shutil.copy(self.office.cert, self.folder / 'cert.pem')
        key = shutil.copy(self.office.cert.parent / 'key.pem', self.folder / 'key.pem')
        given = {line.partition(':')[0] for line in more.splitlines()}
        lines = {'configdirectory': self.folder / 'lib', 'defaultpartition': 'default',
                 'partition-default': self.spool, 'hashimapspool': 'true',
                 'cyrus_user': SPOOL_USER, 'cyrus_group': SPOOL_USER,
                 'proc_path': self.folder / 'proc', 'mboxname_lockpath': self.folder / 'lock',
                 'lmtpsocket': self.folder / 'lmtp', 'admins': 'admin', 'allowplaintext': 'yes',
                 'sasl_pwcheck_method': 'saslauthd', 'sasl_mech_list': 'PLAIN',
                 'sasl_saslauthd_path': self.folder / 'mux', 'popminpoll': '0',
                 'autocreate_quota': '0', 'autocreate_post': 'yes',
                 'tls_server_cert': certificate, 'tls_server_key': key, 'statuscache': 'no'}
        text = ''.join(f'{key}: {value}\n' for key, value in lines.items() if key not in given)
        self.conf.write_text(text + more + '\n')
        option = f'-C {self.conf}'
        (self.folder / 'cyrus.conf').write_text(
            'START {\n'
            f'  recover cmd="{PROGRAMS}/ctl_cyrusdb {option} -r"\n'
            '}\nSERVICES {\n'
            f'  pop3 cmd="{PROGRAMS}/pop3d {option}" listen="127.0.0.1:{self.office.pop3}"\n'
            f'  pop3s cmd="{PROGRAMS}/pop3d {option} -s" listen="127.0.0.1:{self.office.pop3s}"\n'
            f'  lmtp cmd="{PROGRAMS}/lmtpd {option} -a" listen="{self.folder}/lmtp"\n'
            f'  imap cmd="{PROGRAMS}/imapd {option}" listen="{self.folder}/imap" proto="tcp"\n'
            '}\nEVENTS {\n}\n')
        for folder in ('lib', 'lib/db', 'lib/proc', 'lib/socket', 'spool', 'proc', 'lock'):
            (self.folder / folder).mkdir(exist_ok=True)
        for path in (self.folder, *self.folder.rglob('*')):
            shutil.chown(path, SPOOL_USER, SPOOL_USER)
        self.folder.chmod(0o755)
        (self.folder / 'mux').chmod(0o777)
        self.spool.chmod(0o700)

    def run(self, program, *words):
        return subprocess.run([PROGRAMS / program, '-C', self.conf, *words], check=True,
                              env=self.environment(), capture_output=True, text=True,
                              timeout=SECONDS).stdout

    @staticmethod
    def environment():
        return {'LD_LIBRARY_PATH': libraries(), 'PATH': '/usr/bin:/bin', 'CYRUS_VERBOSE': '1'}

    def start(self):
        self.process = subprocess.Popen(
            [MASTER, '-C', self.conf, '-M', self.folder / 'cyrus.conf', '-D',
             '-p', self.folder / 'pid', '-L', self.folder / 'master.log'],
            env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True)  # master ends its whole group
        limit = time.monotonic() + SECONDS
        for port in (self.office.pop3, self.office.pop3s):
            self._wait(limit, socket.AF_INET, ('127.0.0.1', port))
        for name in ('lmtp', 'imap'):
            self._wait(limit, socket.AF_UNIX, str(self.folder / name))

    def _wait(self, limit, family, address):
        """Until somebody listens there."""
        while True:
            try:
                with socket.socket(family, socket.SOCK_STREAM) as probe:
                    probe.connect(address)
                return
            except (ConnectionRefusedError, FileNotFoundError):
                assert self.process.poll() is None and time.monotonic() < limit, \
                    (self.folder / 'master.log').read_text()
                time.sleep(0.02)

    def deliver(self, user, octets):
        with Lmtp(str(self.folder / 'lmtp')) as lmtp:
            lmtp.sendmail('sender@example.org', [user], octets)

    def pop(self, user):
        client = poplib.POP3('127.0.0.1', self.office.pop3, timeout=SECONDS)
        client.user(user)
        client.pass_(PASSWORD)
        return client

    def uidl(self, user):
        """The unique ids in the order of the messages."""
        client = self.pop(user)
        lines = client.uidl()[1]
        client.quit()
        return [line.decode().partition(' ')[2] for line in lines]

    def messages(self, user):
        """What RETR sends of each, line by line."""
        client = self.pop(user)
        all_lines = [client.retr(number + 1)[1] for number in range(client.stat()[0])]
        client.quit()
        return all_lines

    def stop(self):
        """With the sessions of clients that did not end."""
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(SECONDS)
            self.process = None

    def remove(self):
        self.stop()
        self.passwords.shutdown()
        self.passwords.server_close()
        self.thread.join()
        shutil.rmtree(self.folder, ignore_errors=True)
