"""An IMAP server in a thread that takes mail by APPEND, good or bad; for tests, and alone:

    python3 tests/stand_ins/imap.py FOLDER     (prints its URL; stores messages in FOLDER)

    with Imap(certificate) as server:
        server.url('INBOX')      # imaps://demo@localhost:PORT/INBOX
        server.folders           # {name as on the wire: [(flags, date, octets), …]}
        server.commands          # lines of all sessions, literals left out

What it shall do differently:

    starttls       it begins in clear and offers STARTTLS; 'none': it does not offer it
    capabilities   words besides IMAP4rev1
    tokens         access tokens that XOAUTH2 and OAUTHBEARER take
    answers        {VERB: text or function(session, octets or None)}: the tagged answer,
                   "NO [CODE] …"; None from a function: the usual one. The message of APPEND is
                   stored only on OK
    hooks          {'before': f, 'stored': f, 'answered': f}: called with (server, octets) around
                   the storing of a message; Cut ends the connection
"""
import base64
import re
import socket
import ssl
import subprocess
import sys
import threading

USER, PASSWORD = 'demo', 'correct horse'


class Cut(Exception):
    """The server goes away, now."""


class Session:
    def __init__(self, server, connection):
        self.server, self.socket = server, connection
        self.file = connection.makefile('rb')
        self.selected = None
        self.tls = not server.starttls

    def send(self, text):
        self.socket.sendall(text.encode() + b'\r\n')

    def secure(self):
        self.socket = self.server.context.wrap_socket(self.socket, server_side=True)
        self.file = self.socket.makefile('rb')
        self.tls = True

    def capabilities(self):
        words = ['IMAP4rev1', *self.server.capabilities]
        if not self.tls:
            words += ['LOGINDISABLED'] + ['STARTTLS'] * (self.server.starttls != 'none')
        else:
            words += ['AUTH=PLAIN', 'SASL-IR']
            words += ['AUTH=XOAUTH2', 'AUTH=OAUTHBEARER'] if self.server.tokens is not None else []
        return ' '.join(words)

    def run(self):
        self.send(f'* OK [CAPABILITY {self.capabilities()}] stand-in')
        while True:
            line = self.file.readline()
            if not line:
                return
            text = line.decode().rstrip('\r\n')
            self.server.commands.append(text)
            tag, _, rest = text.partition(' ')
            verb, _, rest = rest.partition(' ')
            if verb == 'UID':
                verb, _, rest = rest.partition(' ')
            answer = getattr(self, 'do_' + verb.lower(), lambda *_: 'BAD what?')(rest)
            self.send(f'{tag} {answer}')
            if verb == 'STARTTLS' and answer.startswith('OK'):
                self.secure()
            if verb == 'APPEND':
                self.server.call('answered', None)
            if verb == 'LOGOUT':
                return

    def answer(self, verb, octets=None):
        wanted = self.server.answers.get(verb)
        return wanted(self, octets) if callable(wanted) else wanted

    def do_capability(self, _):
        self.send(f'* CAPABILITY {self.capabilities()}')
        return 'OK done'

    def do_starttls(self, _):
        return 'BAD no' if self.server.starttls == 'none' else 'OK go on'

    def logged_in(self, good):
        return self.answer('LOGIN') or ('OK in' if good else 'NO [AUTHENTICATIONFAILED] wrong')

    def do_login(self, rest):
        return self.logged_in(rest.replace('"', '') == f'{USER} {PASSWORD}' and self.tls)

    def do_authenticate(self, rest):
        mechanism, _, initial = rest.partition(' ')
        if not initial:
            self.send('+ ')
            initial = self.file.readline().decode().strip()
        plain = base64.b64decode(initial)
        if mechanism == 'PLAIN':
            return self.logged_in(plain.split(b'\0')[1:] == [USER.encode(), PASSWORD.encode()])
        token = re.search(rb'auth=Bearer ([^\x01]+)', plain)[1].decode()
        if token in (self.server.tokens or ()):
            return self.logged_in(True)
        self.send('+ ' + base64.b64encode(b'{"status":"401"}').decode())
        self.file.readline()
        return 'NO [AUTHENTICATIONFAILED] token'

    def do_append(self, rest):
        found = re.fullmatch(r'("(?:[^"\\]|\\.)*"|\S+) \(([^)]*)\) (?:"([^"]*)" )?'
                             r'\{(\d+)(\+?)\}', rest)
        name, flags, date, size, ahead = found.groups()
        if not ahead:
            early = self.answer('LITERAL')
            if early:
                return early
            self.send('+ go on')
        octets = self.file.read(int(size))
        assert len(octets) == int(size) and self.file.readline() == b'\r\n'
        if b'\0' in octets:
            return 'BAD a NUL'
        self.server.call('before', octets)
        answer = self.answer('APPEND', octets)
        if not answer and name not in self.server.folders:
            answer = 'NO [TRYCREATE] no such folder'
        if answer and not answer.startswith('OK'):
            return answer
        self.server.folders[name].append((flags, date, octets))
        self.server.call('stored', octets)
        return answer or f'OK [APPENDUID 1 {len(self.server.folders[name])}] taken'

    def do_examine(self, name):
        if name not in self.server.folders:
            return 'NO [NONEXISTENT] no such folder'
        self.selected = name
        self.send(f'* {len(self.server.folders[name])} EXISTS')
        return 'OK [READ-ONLY] done'

    def do_search(self, rest):
        _, field, value = rest.split(' ')
        answer = self.answer('SEARCH')
        if answer:
            return answer
        head = f'{field}: {value}'.encode().lower()
        found = [str(n + 1) for n, (_, _, octets) in enumerate(self.server.folders[self.selected])
                 if head in octets.partition(b'\r\n\r\n')[0].lower()]
        self.send(' '.join(['* SEARCH', *found]))
        return 'OK done'

    def do_close(self, _):
        self.selected = None
        return 'OK done'

    def do_create(self, name):
        answer = self.answer('CREATE')
        if not answer:
            self.server.folders[name] = []
        return answer or 'OK made'

    def do_subscribe(self, _):
        return 'OK done'

    def do_logout(self, _):
        self.send('* BYE bye')
        return 'OK done'


class Imap:
    def __init__(self, certificate, starttls=None, capabilities=('LITERAL+', 'UIDPLUS'),
                 tokens=None, folders=('"INBOX"',)):
        self.starttls, self.capabilities, self.tokens = starttls, list(capabilities), tokens
        self.folders = {name: [] for name in folders}
        self.answers, self.hooks, self.commands, self.errors = {}, {}, [], []
        self.sessions = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*map(str, certificate))
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def url(self, folder='INBOX', host='localhost', user=USER):
        return f'imap{"" if self.starttls else "s"}://{user}@{host}:{self.port}/{folder}'

    def call(self, name, octets):
        if name in self.hooks:
            self.hooks[name](self, octets)

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self.serve, args=(connection,), daemon=True)
            self.sessions.append(thread)
            thread.start()

    def serve(self, connection):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not self.starttls:
                connection = self.context.wrap_socket(connection, server_side=True)
            session = Session(self, connection)
            with connection:
                session.run()
        except (OSError, Cut):  # the client left, or the test wants it
            connection.close()
        except Exception as error:  # noqa: BLE001 - a test looks at it
            self.errors.append(error)
            connection.close()

    def settle(self):
        """Until every session so far has ended."""
        while self.sessions:
            self.sessions.pop().join(30)

    def octets(self, folder='"INBOX"'):
        return [octets for _, _, octets in self.folders[folder]]

    def count(self, verb):
        return sum(1 for line in self.commands if re.match(rf'\S+ (UID )?{verb}\b', line))

    def stop(self):
        self.listener.close()
        assert not self.errors, self.errors

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def main():
    import pathlib
    import tempfile

    folder = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as place:
        cert, key = pathlib.Path(place) / 'cert.pem', pathlib.Path(place) / 'key.pem'
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                        'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert,
                        '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'],
                       check=True, capture_output=True)
        server = Imap((cert, key))
        server.hooks['stored'] = lambda server, octets: (
            folder / f'{len(server.octets())}.eml').write_bytes(octets)
        print(server.url(), f'--to-ca {cert}', f'password: {PASSWORD}', sep='\n', flush=True)
        server.thread.join()


if __name__ == '__main__':
    main()
