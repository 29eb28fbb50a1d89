"""Courier's POP3 server in an office that is not started: on its ports, with its certificate, in
its mail. `./dev test` unpacks Debian's package into a folder (build-courier), since it conflicts
with Dovecot's. USER and PASS are answered here, as couriertcpd and courierpop3login would; what
comes then is courierpop3d itself, as the owner of the mail.

    with CourierPop3(office) as courier: courier.uidl('demo')
"""
import os
import pathlib
import poplib
import select
import socketserver
import ssl
import subprocess
import threading

from office import PASSWORD, ROOT, owner_of

UNPACKED = pathlib.Path(ROOT / os.environ.get('VALIJA_COURIER', 'build-courier')).resolve()
BINARY = UNPACKED / 'usr/lib/courier/courier/courierpop3d'


def why_not():
    """Why Courier cannot be run here; None if it can."""
    if os.geteuid() != 0:
        return 'needs root'
    if not BINARY.exists():
        return f"Courier's POP3 server is not in {UNPACKED}: ./dev test puts it there"
    return None


def libraries():
    return ':'.join(sorted({str(path.parent) for path in UNPACKED.rglob('lib*.so.*')}))


def relay(connection, process):
    """Commands to the process, its answers to the client, until one of them ends."""
    while True:
        ready = [connection] if isinstance(connection, ssl.SSLSocket) and connection.pending() \
            else select.select([connection, process.stdout], [], [], 60)[0]
        if connection in ready:
            octets = connection.recv(65536)
            if not octets:
                return
            process.stdin.write(octets)
        if process.stdout in ready:
            octets = process.stdout.read(65536)
            if not octets:
                return
            connection.sendall(octets)
        if not ready:
            return


class Session(socketserver.StreamRequestHandler):
    rbufsize = 0  # what comes behind PASS is courierpop3d's

    def handle(self):
        user = self.log_in()
        if user:
            self.server.courier.serve(user, self.connection)

    def say(self, line):
        self.wfile.write(line + b'\r\n')

    def log_in(self):
        """The user's name; None: the client went away."""
        user = None
        self.say(b'+OK Hello there.')
        while line := self.rfile.readline(1024):
            verb, _, value = line.decode().rstrip('\r\n').partition(' ')
            if verb.upper() == 'CAPA':
                self.say(b'+OK Here is what I can do:\r\nUSER\r\nTOP\r\nUIDL\r\n.')
            elif verb.upper() == 'USER':
                user = value
                self.say(b'+OK Password required.')
            elif verb.upper() == 'PASS' and user and value == PASSWORD:
                return user
            elif verb.upper() == 'QUIT':
                self.say(b'+OK Better luck next time.')
                return None
            else:
                self.say(b'-ERR Login failed.')
        return None


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, courier, port, context=None, handler=Session):
        self.courier = courier
        self.context = context
        super().__init__(('127.0.0.1', port), handler)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def finish_request(self, request, client_address):
        """In the thread of the connection."""
        request.settimeout(60)
        if not self.context:
            super().finish_request(request, client_address)
            return
        with self.context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def stop(self):
        self.shutdown()
        self.server_close()
        self.thread.join()


class CourierPop3:
    def __init__(self, office):
        self.office = office
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(office.cert, office.cert.parent / 'key.pem')
        self.servers = [Server(self, office.pop3), Server(self, office.pop3s, context)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def serve(self, user, connection):
        """One session of courierpop3d, between its pipes and the client."""
        maildir = self.office.mail / user
        uid, gid = owner_of(self.office.mail)
        with subprocess.Popen(
                [BINARY, maildir], user=uid, group=gid, extra_groups=(), cwd='/',
                env={'LD_LIBRARY_PATH': libraries(), 'AUTHENTICATED': user, 'AUTHADDR': user,
                     'PATH': '/usr/bin:/bin'},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                bufsize=0) as process:
            try:
                relay(connection, process)
            except OSError:
                pass  # one of them was gone first

    def uidl(self, user):
        """The unique ids in the order of the messages."""
        client = poplib.POP3('127.0.0.1', self.office.pop3, timeout=60)
        client.user(user)
        client.pass_(PASSWORD)
        lines = client.uidl()[1]
        client.quit()
        return [line.decode().partition(' ')[2] for line in lines]

    def stop(self):
        for server in self.servers:
            server.stop()
        self.servers = []
