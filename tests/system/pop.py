"""A POP3 client for tests that sees every octet and can send them anyhow.

Pop speaks plain or TLS over a blocking socket with a deadline; nothing is hidden: line() returns a
reply line without CRLF and insists on CRLF, multi() a list unstuffed, raw() what came.
"""
import base64
import re
import socket
import ssl
import time

from office import PASSWORD

TIMEOUT = 30


class Closed(EOFError):
    """The server closed the connection."""


def client_context(ca=None):
    context = ssl.create_default_context(cafile=ca)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Pop:
    def __init__(self, port, tls=None, host='127.0.0.1', source=None, greet=True,
                 server_name='localhost', timeout=TIMEOUT):
        self.socket = socket.create_connection((host, port), timeout,
                                               source_address=(source, 0) if source else None)
        self.buffer = b''
        if tls is not None:
            self.start_tls(tls, server_name)
        self.greeting = self.line() if greet else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start_tls(self, context=None, server_name='localhost'):
        context = context or client_context()
        self.socket = context.wrap_socket(self.socket, server_hostname=server_name)

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        self.socket.close()

    def send(self, octets):
        self.socket.sendall(octets if isinstance(octets, bytes) else octets.encode())

    def send_split(self, octets, sizes=(1,)):
        """Sends in pieces of these sizes, taken round; each leaves in a packet of its own."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        at = turn = 0
        while at < len(octets):
            size = sizes[turn % len(sizes)]
            self.send(octets[at:at + size])
            at, turn = at + size, turn + 1

    def more(self):
        """Receives something into the buffer."""
        octets = self.socket.recv(65536)
        if not octets:
            raise Closed
        self.buffer += octets

    def take(self, size):
        octets, self.buffer = self.buffer[:size], self.buffer[size:]
        return octets

    def line(self):
        while (end := self.buffer.find(b'\n')) < 0:
            self.more()
        line = self.take(end + 1)
        assert line.endswith(b'\r\n'), f'a line not ended by CRLF: {line!r}'
        return line[:-2].decode('latin-1')

    def body(self):
        """A multi-line reply's octets, unstuffed, without the end mark."""
        searched = 0
        while True:
            if self.buffer.startswith(b'.\r\n'):
                octets, self.buffer = b'', self.buffer[3:]
                break
            end = self.buffer.find(b'\r\n.\r\n', max(0, searched - 4))
            if end >= 0:
                octets = self.take(end + 5)[:-3]
                break
            searched = len(self.buffer)
            self.more()
        return re.sub(rb'(?:(?<=\r\n)|\A)\.', b'', octets)

    def closed(self):
        """Waits for the end of the connection; returns what came before it."""
        try:
            while True:
                self.more()
        except (Closed, ConnectionResetError, ssl.SSLEOFError):
            octets, self.buffer = self.buffer, b''
            return octets

    def ask(self, command):
        self.send(command + (b'\r\n' if isinstance(command, bytes) else '\r\n'))
        return self.line()

    def ok(self, command):
        reply = self.ask(command)
        assert reply.startswith('+OK'), f'{command} got {reply}'
        return reply

    def err(self, command):
        reply = self.ask(command)
        assert reply.startswith('-ERR'), f'{command} got {reply}'
        return reply

    def lines(self, command):
        """The lines of a multi-line reply."""
        self.ok(command)
        return self.body().decode('latin-1').split('\r\n')[:-1]

    def login(self, user, password):
        self.ok(f'USER {user}')
        return self.ok(f'PASS {password}')

    def plain(self, user, password):
        return 'AUTH PLAIN ' + base64.b64encode(f'\0{user}\0{password}'.encode()).decode()

    def stat(self):
        _, count, octets = self.ok('STAT').split()[:3]
        return int(count), int(octets)

    def list(self):
        return {int(n): int(size) for n, size in (line.split() for line in self.lines('LIST'))}

    def uidl(self):
        return {int(n): uid for n, uid in (line.split(' ') for line in self.lines('UIDL'))}

    def retr(self, number):
        self.ok(f'RETR {number}')
        return self.body()

    def top(self, number, lines):
        self.ok(f'TOP {number} {lines}')
        return self.body()

    def quit(self):
        reply = self.ok('QUIT')
        assert self.closed() == b''
        self.close()
        return reply


def login_within(connect, office, user, seconds=3):
    """Logs in as soon as the lock is free."""
    deadline = time.monotonic() + seconds
    while True:
        client = connect(office)
        client.ok(f'USER {user}')
        reply = client.ask(f'PASS {PASSWORD}')
        if reply.startswith('+OK'):
            return client
        assert reply.startswith('-ERR [IN-USE]') and time.monotonic() < deadline, reply
        client.close()
