"""POP3 servers of mboxes in an office that is not started: on its ports, with its certificate, in
its mail, which is their /var/mail. `./dev test` unpacks Debian's packages into folders
(build-mailutils, build-popa3d), since they conflict with Dovecot's. Users are of a system of our
own; each session is a process of the server as inetd would start it, and TLS is ended here.

    with Mailutils(office, system) as server: server.uidl('demo')
"""
import os
import pathlib
import poplib
import shutil
import socketserver
import ssl
import subprocess

from courier_pop3 import Server, relay
from office import PASSWORD, ROOT
from dovecot_pop3 import list_ids


class Session(socketserver.BaseRequestHandler):
    def handle(self):
        self.server.courier.serve(self.request)


class MboxPop3:
    """One of them; `system` is a system_users.SystemUsers that has the users."""
    name = folder = binary = None

    def __init__(self, office, system):
        self.office, self.system = office, system
        self.prepare()
        system.run('mount', '--bind', office.mail, '/var/mail')
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(office.cert, office.cert.parent / 'key.pem')
        self.servers = [Server(self, office.pop3, handler=Session),
                        Server(self, office.pop3s, context, handler=Session)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @classmethod
    def unpacked(cls):
        variable = f'VALIJA_{cls.name.upper()}'
        return pathlib.Path(ROOT / os.environ.get(variable, f'build-{cls.name}')).resolve()

    @classmethod
    def why_not(cls):
        """Why it cannot be run here; None if it can."""
        if not (cls.unpacked() / cls.binary).exists():
            return f'{cls.name} is not in {cls.unpacked()}: ./dev test puts it there'
        return None

    def prepare(self):
        pass

    def options(self):
        return ()

    def serve(self, connection):
        """One session, between the process's pipes and the client."""
        libraries = {str(path.parent) for path in self.unpacked().rglob('lib*.so.*')}
        with subprocess.Popen(
                [*self.system.inside, self.unpacked() / self.binary, *self.options()], cwd='/',
                env={'LD_LIBRARY_PATH': ':'.join(sorted(libraries)), 'PATH': '/usr/bin:/bin'},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                bufsize=0) as process:
            try:
                relay(connection, process)
            except OSError:
                pass  # one of them was gone first
            process.stdin.close()

    def uidl(self, user, end=poplib.POP3.quit):
        return list_ids(self.office.pop3, user, PASSWORD, end)

    def stop(self):
        if self.servers:
            for server in self.servers:
                server.stop()
            self.servers = []
            self.system.run('umount', '/var/mail')


class Mailutils(MboxPop3):
    """pop3d of GNU Mailutils."""
    name = 'mailutils'
    binary = 'usr/sbin/pop3d'

    def prepare(self):
        self.conf = self.system.etc / 'mailutils-test.conf'
        self.conf.write_text('auth {\n  authentication "generic:system";\n'
                             '  authorization "system";\n}\n'
                             'mailbox {\n  mail-spool "mbox:/var/mail";\n}\n'
                             'logging {\n  syslog no;\n}\n')

    def options(self):
        return '--inetd', f'--config-file=/etc/{self.conf.name}'


class Popa3d(MboxPop3):
    name = 'popa3d'
    binary = 'usr/sbin/popa3d'

    def prepare(self):
        if '\npopa3d:' not in (self.system.etc / 'passwd').read_text():
            self.system.run('useradd', '--system', '--no-create-home', 'popa3d')
        shutil.copy(self.unpacked() / 'etc/pam.d/popa3d', self.system.etc / 'pam.d')
        # it is confined to a folder that its package makes
        self.system.run('sh', '-ec', 'mountpoint -q /var/lib/popa3d && exit; '
                        'mount -t tmpfs -o mode=755 tmpfs /var/lib; mkdir /var/lib/popa3d')
