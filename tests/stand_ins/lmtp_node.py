"""An LMTP server as a node of a site: what it says to each step is the test's.

    with Node({'RCPT': lambda s, line: '550 5.1.1 no' if 'bert' in line else None}) as node:
        …                # None: the usual reply; Cut: the connection ends; Hang: nothing is said
    node.messages        # (MAIL line, [RCPT lines], octets as received, before dots are taken out)
    node.commands        # all lines of all connections
"""
import socket
import threading

FEATURES = ('PIPELINING', 'SIZE 104857600', '8BITMIME', 'SMTPUTF8')


class Cut(Exception):
    """The connection ends here."""


class Hang(Exception):
    """Nothing is said any more."""


class Session:
    def __init__(self, node, connection):
        self.node, self.connection = node, connection
        self.stream = connection.makefile('rb')

    def send(self, text):
        octets = text if isinstance(text, bytes) else text.encode() + b'\r\n'
        step = self.node.chunk or len(octets) or 1
        for at in range(0, len(octets), step):
            self.connection.sendall(octets[at:at + step])

    def say(self, step, usual, line=''):
        hook = self.node.hooks.get(step)
        said = hook(self, line) if callable(hook) else hook
        said = usual if said is None else said
        self.send(said)
        return said if isinstance(said, str) else said.decode('latin-1')

    def run(self):
        self.say('greeting', '220 node.test LMTP')
        mail, recipients = None, []
        while line := self.stream.readline():
            line = line.decode('utf-8', 'surrogateescape').rstrip('\r\n')
            self.node.note(line)
            verb = line.split(' ')[0].split(':')[0].upper()
            if verb == 'LHLO':
                rows = ('node.test', *self.node.features)
                self.say('LHLO', '\r\n'.join(f'250{"-" if row != rows[-1] else " "}{row}'
                                             for row in rows), line)
            elif verb == 'MAIL':
                mail, recipients = line, []
                self.say('MAIL', '250 2.1.0 ok', line)
            elif verb == 'RCPT':
                if self.say('RCPT', '250 2.1.5 ok', line).startswith('2'):
                    recipients.append(line)
            elif verb == 'DATA':
                if self.say('DATA', '354 go', line).startswith('3'):
                    self.take_message(mail, recipients)
            else:
                self.say('QUIT', '221 bye', line)
                return

    def take_message(self, mail, recipients):
        lines, size = [], 0
        if 'content' in self.node.hooks:
            self.node.hooks['content'](self, self.stream.readline())
        while (line := self.stream.readline()) != b'.\r\n':
            if not line:
                return
            size += len(line)
            if self.node.keeps:
                lines.append(line)
        self.node.took((mail, recipients, b''.join(lines), size))
        for recipient in recipients:
            self.say('dot', '250 2.0.0 saved as id-7', recipient)


class Node:
    def __init__(self, hooks=(), features=FEATURES, chunk=0, keeps=True):
        self.hooks, self.features, self.chunk, self.keeps = dict(hooks), features, chunk, keeps
        self.messages, self.commands = [], []
        self.open, self.most, self.accepted = 0, 0, 0
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=128)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def note(self, line):
        with self.lock:
            self.commands.append(line)

    def took(self, message):
        with self.lock:
            self.messages.append(message)

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with self.lock:
            self.open += 1
            self.accepted += 1
            self.most = max(self.most, self.open)
        try:
            Session(self, connection).run()
        except (Cut, OSError):
            pass
        except Hang:
            self.over.wait()
        finally:
            with self.lock:
                self.open -= 1
            connection.close()

    def stop(self):
        self.over.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
