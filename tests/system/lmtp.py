"""An LMTP client for tests that sees every reply and can send any octets, and what mail looks like
after delivery."""
import re
import socket

TIMEOUT = 30


class Lmtp:
    """where: a port of the loopback, an address and a port, or the path of a Unix socket."""

    def __init__(self, where, greet=True, hello=True, timeout=TIMEOUT):
        if isinstance(where, (int, tuple)):
            where = where if isinstance(where, tuple) else ('127.0.0.1', where)
            self.socket = socket.create_connection(where, timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(where))
        self.buffer = b''
        self.greeting = self.reply() if greet else None
        self.features = self.ask('LHLO client.example') if greet and hello else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        self.socket.close()

    def send(self, octets):
        self.socket.sendall(octets if isinstance(octets, bytes) else octets.encode())

    def send_split(self, octets, size=1):
        for at in range(0, len(octets), size):
            self.send(octets[at:at + size])

    def line(self):
        while (end := self.buffer.find(b'\n')) < 0:
            octets = self.socket.recv(65536)
            if not octets:
                raise EOFError(f'closed after {self.buffer!r}')
            self.buffer += octets
        line, self.buffer = self.buffer[:end + 1], self.buffer[end + 1:]
        assert line.endswith(b'\r\n') and len(line) <= 512, line
        return line[:-2].decode('ascii')

    def reply(self):
        """One reply; of a reply of several lines all, joined by newlines."""
        lines = [self.line()]
        while lines[-1][3:4] == '-':
            lines.append(self.line())
        assert all(re.match(r'[2-5]\d\d[ -]', line) for line in lines), lines
        return '\n'.join(lines)

    def replies(self, count):
        return [self.reply() for _ in range(count)]

    def ask(self, command):
        self.send(command + (b'\r\n' if isinstance(command, bytes) else '\r\n'))
        return self.reply()

    def expect(self, command, code):
        reply = self.ask(command)
        assert reply.startswith(code), f'{command} got {reply}, not {code}'
        return reply

    def closed(self):
        """Waits for the end of the connection; returns what came before it."""
        octets, self.buffer = self.buffer, b''
        try:
            while more := self.socket.recv(65536):
                octets += more
        except ConnectionResetError:
            pass
        return octets

    def begin(self, *recipients, sender='carol@example.com', parameters=''):
        """MAIL, RCPT for each, DATA: up to 354."""
        self.expect(f'MAIL FROM:<{sender}>{parameters}', '250')
        for recipient in recipients:
            self.expect(f'RCPT TO:<{recipient}>', '250')
        self.expect('DATA', '354')

    def deliver(self, message, *recipients, **more):
        """One transaction; message in wire form. Returns the replies after the dot."""
        self.begin(*recipients, **more)
        self.send(stuffed(message))
        return self.replies(len(recipients))

    def quit(self):
        self.expect('QUIT', '221 2.0.0')
        assert self.closed() == b''
        self.close()


def stuffed(message):
    """What follows 354: dots doubled, the end mark; message in wire form (CRLF at its end)."""
    assert message.endswith(b'\r\n') or not message
    return re.sub(rb'(\A|(?<=\r\n))\.', b'..', message) + b'.\r\n'


TRACE = re.compile(rb'(?P<trace>(?:(?:Delivered-To|Return-Path): [^\r\n]*\r\n){2}'
                   rb'Received: [^\r\n]*\r\n(?:\t[^\r\n]*\r\n)*)(?P<message>.*)\Z', re.S)


def split_trace(wire):
    """(trace lines as text, message) of a delivered message in wire form."""
    match = TRACE.match(wire)
    assert match, f'no trace lines in front: {wire[:300]!r}'
    return match['trace'].decode('utf-8'), match['message']


def sizes_in_name(path):
    """(S, W) of a delivered file's name."""
    match = re.search(r',S=(\d+)(?:,W=(\d+))?', path.name)
    assert match, path.name
    return int(match[1]), int(match[2] or match[1])
