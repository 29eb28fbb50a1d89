"""A SOCKS5 and HTTP CONNECT proxy in a thread, good or bad; for tests of clients.

Proxy(kind, login=(user, password), places={(host, port): (host, port)}, answer=octets): answer is
sent in the place of the last reply. asked has what was asked for, logins what was shown."""
import base64
import socket
import struct
import threading


def pump(a, b):
    try:
        while True:
            octets = a.recv(65536)
            if not octets:
                break
            b.sendall(octets)
    except OSError:
        pass
    for end in (a, b):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Proxy:
    def __init__(self, kind, login=None, places=None, answer=None):
        self.kind, self.login, self.places, self.answer = kind, login, places or {}, answer
        self.asked, self.logins = [], []
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        scheme = 'socks5' if self.kind == 'socks5' else 'http'
        return f'{scheme}://127.0.0.1:{self.port}'

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.settimeout(30)
        try:
            getattr(self, self.kind)(connection)
        except (OSError, ValueError, IndexError, struct.error):
            pass
        finally:
            connection.close()

    @staticmethod
    def exactly(connection, size):
        octets = b''
        while len(octets) < size:
            more = connection.recv(size - len(octets))
            if not more:
                raise OSError('closed')
            octets += more
        return octets

    def socks5(self, connection):
        _, count = self.exactly(connection, 2)
        methods = self.exactly(connection, count)
        want = 2 if self.login else 0
        connection.sendall(bytes([5, want if want in methods else 255]))
        if want == 2:
            _, size = self.exactly(connection, 2)
            user = self.exactly(connection, size)
            password = self.exactly(connection, self.exactly(connection, 1)[0])
            self.logins.append((user.decode(), password.decode()))
            good = self.logins[-1] == self.login
            connection.sendall(bytes([1, 0 if good else 1]))
            if not good:
                return
        _, _, _, kind = self.exactly(connection, 4)
        if kind == 3:
            host = self.exactly(connection, self.exactly(connection, 1)[0]).decode()
        else:
            family = socket.AF_INET if kind == 1 else socket.AF_INET6
            host = socket.inet_ntop(family, self.exactly(connection, 4 if kind == 1 else 16))
        port, = struct.unpack('>H', self.exactly(connection, 2))
        self.join(connection, host, port, b'\5\0\0\1\0\0\0\0\0\0', b'\5\5\0\1\0\0\0\0\0\0')

    def http(self, connection):
        text = b''
        while b'\r\n\r\n' not in text:
            text += self.exactly(connection, 1)
        lines = text.decode().split('\r\n')
        host, port = lines[0].split(' ')[1].rsplit(':', 1)
        shown = [line.split('Basic ')[1] for line in lines if 'Basic ' in line]
        shown = [tuple(base64.b64decode(text).decode().split(':', 1)) for text in shown]
        self.logins += shown
        if self.login and shown != [self.login]:
            connection.sendall(b'HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
            return
        self.join(connection, host.strip('[]'), int(port),
                  b'HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n',
                  b'HTTP/1.1 502 Bad \x1b[2JGateway\r\n\r\n')

    def join(self, connection, host, port, good, bad):
        self.asked.append((host, port))
        if self.answer is not None:
            connection.sendall(self.answer)
            connection.recv(1)
            return
        try:
            server = socket.create_connection(self.places.get((host, port), (host, port)))
        except OSError:
            connection.sendall(bad)
            return
        connection.sendall(good)
        threading.Thread(target=pump, args=(connection, server), daemon=True).start()
        pump(server, connection)

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # ends the accept() under way
        except OSError:
            pass
        self.listener.close()
