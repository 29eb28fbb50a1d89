"""A POP3 server in a thread that does what it is told, good or bad; for tests of the client.

Server(messages, …) keeps a maildrop between connections as a good server would: messages leave it
only by a QUIT behind their DELE. What a test wants done differently it says with

  hooks       {VERB: function(session, argument)}; the function may send anything and returns True
              when the command is dealt with, False for the usual answer, or raises Cut
  cut_after   the connection is torn down after so many octets sent by the server
  chunk       sends in pieces of so many octets
  capabilities, mechanisms, tls ('implicit', 'starttls', None), greeting, unique_ids
  resumes     one context for all connections: sessions of TLS can be resumed (tls_resumed)
  tokens      access tokens that XOAUTH2 and OAUTHBEARER take; token_lines, token_refusal: how

Every session's commands are in sessions[i].commands, octet for octet.
"""
import base64
import hashlib
import hmac
import os
import pathlib
import socket
import ssl
import subprocess
import threading

USER, PASSWORD = 'demo', 'correct horse'
CAPABILITIES = ('TOP', 'UIDL', 'USER', 'RESP-CODES', 'AUTH-RESP-CODE', 'PIPELINING')


class Cut(Exception):
    """The server goes away, now."""


def make_certificate(folder, name='localhost', addresses=('127.0.0.1',), days=30, extra=()):
    """(certificate, key) as PEM files in folder; made by openssl, self-signed."""
    folder = pathlib.Path(folder)
    cert, key = folder / f'{name}-cert.pem', folder / f'{name}-key.pem'
    names = ','.join([f'DNS:{name}', *(f'IP:{address}' for address in addresses)])
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert, '-days',
                    str(days), '-subj', f'/CN={name}', '-addext', f'subjectAltName={names}',
                    *extra], check=True, capture_output=True)
    return cert, key


def wire_form(octets):
    """Stored octets (LF or CRLF) in CRLF lines, complete."""
    text = octets.replace(b'\r\n', b'\n').replace(b'\n', b'\r\n')
    return text if text.endswith(b'\r\n') or not text else text + b'\r\n'


def stuffed(wire):
    """The multi-line form of a message in CRLF lines."""
    text = b'\r\n' + wire
    return text.replace(b'\r\n.', b'\r\n..')[2:] + b'.\r\n'


def letter(number, size=400, word='letter'):
    """A message in LF lines, told from others by its number."""
    head = (f'From: sender{number}@example.org\nTo: demo@example.org\nSubject: {word} {number}\n'
            f'Message-ID: <{word}{number}@example.org>\n\n')
    line = f'.line of {word} {number} that begins with a dot\n'
    return (head + line * max(1, (size - len(head)) // len(line))).encode()


class Session:
    def __init__(self, server, connection):
        self.server, self.socket = server, connection
        self.buffer = b''
        self.sent = 0
        self.commands = []
        self.authenticated = False
        self.tls = False
        self.marked = set()
        self.committed = False
        self.snapshot = []

    # octets

    def send(self, octets):
        limit = self.server.cut_after
        if limit is not None and self.sent + len(octets) > limit:
            octets = octets[:limit - self.sent]
            self._push(octets)
            raise Cut
        self._push(octets)

    def _push(self, octets):
        step = self.server.chunk or len(octets) or 1
        for at in range(0, len(octets), step):
            self.socket.sendall(octets[at:at + step])
        self.sent += len(octets)

    def line(self, text):
        self.send(text.encode('latin-1') + b'\r\n')

    def multi(self, first, lines):
        self.line(first)
        for line in lines:
            self.line(line)
        self.line('.')

    def read_line(self):
        while b'\r\n' not in self.buffer:
            if len(self.buffer) > 70000:
                raise Cut
            more = self.socket.recv(65536)
            if not more:
                raise Cut
            self.buffer += more
        line, self.buffer = self.buffer.split(b'\r\n', 1)
        return line.decode('latin-1')

    def make_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.server.certificate)
        if self.server.client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.server.client_ca)
        if self.server.tls_version:
            context.minimum_version = context.maximum_version = self.server.tls_version
            context.set_ciphers('ALL:@SECLEVEL=0')
        return context

    def start_tls(self):
        if not (self.server.resumes and self.server.context):
            self.server.context = self.make_context()
        self.socket = self.server.context.wrap_socket(self.socket, server_side=True)
        self.server.tls_seen.append(self.socket.version())
        self.server.tls_resumed.append(self.socket.session_reused)
        self.tls = True

    # the dialogue

    def run(self):
        if self.server.tls == 'implicit':
            self.start_tls()
        if self.server.on_connect:
            self.server.on_connect(self)
        self.line(self.server.greeting)
        while True:
            line = self.read_line()
            self.commands.append(line)
            verb, _, argument = line.partition(' ')
            verb = verb.upper()
            hook = self.server.hooks.get(verb)
            if hook and hook(self, argument):
                continue
            handler = getattr(self, 'do_' + verb.lower(), None)
            if handler is None:
                self.line('-ERR unknown command')
            elif handler(argument) == 'end':
                return

    def do_capa(self, _):
        names = list(self.server.capabilities)
        if self.server.tls == 'starttls' and not self.tls:
            names.append('STLS')
        if self.server.mechanisms:
            names.append('SASL ' + ' '.join(self.server.mechanisms))
        self.multi('+OK', names)

    def do_stls(self, _):
        if self.server.tls != 'starttls' or self.tls:
            return self.line('-ERR no TLS here')
        self.line('+OK begin')
        self.start_tls()

    def logged_in(self, good):
        if not good:
            return self.line('-ERR [AUTH] wrong')
        self.authenticated = True
        self.snapshot = list(self.server.messages)
        self.line('+OK logged in')

    def do_user(self, name):
        self.user = name
        self.line('+OK')

    def do_pass(self, password):
        self.logged_in((self.user, password) == (USER, self.server.password))

    def do_apop(self, argument):
        stamp = self.server.greeting[self.server.greeting.index('<'):]
        want = hashlib.md5((stamp + self.server.password).encode()).hexdigest()
        self.logged_in(argument == f'{USER} {want}')

    def do_auth(self, argument):
        mechanism, _, initial = argument.partition(' ')
        if mechanism not in self.server.mechanisms:
            return self.line('-ERR no such mechanism')
        getattr(self, 'sasl_' + mechanism.lower().replace('-', '_'))(initial)

    def ask(self, challenge):
        self.line('+ ' + base64.b64encode(challenge).decode())
        answer = self.read_line()
        self.commands.append(answer)
        return base64.b64decode(answer)

    def sasl_plain(self, initial):
        answer = base64.b64decode(initial) if initial else self.ask(b'')
        self.logged_in(answer == f'\0{USER}\0{self.server.password}'.encode())

    def sasl_external(self, initial):
        name = base64.b64decode(initial) if initial not in ('', '=') else b''
        known = isinstance(self.socket, ssl.SSLSocket) and self.socket.getpeercert()
        self.logged_in(bool(known) and name in (b'', USER.encode()))

    def bearer(self, initial, form, refusal, last):
        """A login with a token: form(token) is what is wanted, refusal the JSON of a refusal and
        last the client's answer to it. The server's token_lines says how it wants the token: 1
        along with AUTH, 2 behind an empty challenge, None either way."""
        if self.server.token_lines == (2 if initial else 1):
            return self.line('-ERR malformed command')
        answer = base64.b64decode(initial) if initial else self.ask(b'')
        if answer in [form(token).encode() for token in self.server.tokens]:
            return self.logged_in(True)
        if self.server.token_refusal is None:
            return self.line('-ERR Authentication failure: unknown user name or bad password.')
        if self.ask((self.server.token_refusal or refusal).encode()) != last:
            self.server.errors.append('the refusal of a token was not answered as it must be')
        self.line('-ERR bad token')

    def sasl_xoauth2(self, initial):
        self.bearer(initial, lambda token: f'user={USER}\1auth=Bearer {token}\1\1',
                    '{"status":"401","schemes":"bearer","scope":"mail"}', b'')

    def sasl_oauthbearer(self, initial):
        place = f'host={self.server.name}\1port={self.server.port}\1'
        place = place if self.server.bearer_place else ''
        self.bearer(initial, lambda token: f'n,a={USER},\1{place}auth=Bearer {token}\1\1',
                    '{"status":"invalid_token"}', b'\1')

    def sasl_login(self, _):
        pair = self.ask(b'Username:'), self.ask(b'Password:')
        self.logged_in(pair == (USER.encode(), self.server.password.encode()))

    def sasl_cram_md5(self, _):
        stamp = b'<1896.697170952@example.org>'
        digest = hmac.new(self.server.password.encode(), stamp, 'md5').hexdigest()
        self.logged_in(self.ask(stamp) == f'{USER} {digest}'.encode())

    def sasl_scram_sha_1(self, initial):
        self.sasl_scram_sha_256(initial, name='sha1')

    def sasl_scram_sha_256(self, initial, forge=False, skip_proof=False, name='sha256'):
        first = (base64.b64decode(initial) if initial else self.ask(b'')).decode()
        bare = first.split(',', 2)[2]
        nonce = bare.split('r=')[1] + base64.b64encode(os.urandom(12)).decode()
        salt = os.urandom(16)
        server_first = f'r={nonce},s={base64.b64encode(salt).decode()},i=4096'
        final = self.ask(server_first.encode()).decode()
        without, proof = final.rsplit(',p=', 1)
        salted = hashlib.pbkdf2_hmac(name, self.server.password.encode(), salt, 4096)
        key = hmac.digest(salted, b'Client Key', name)
        message = f'{bare},{server_first},{without}'.encode()
        mask = hmac.digest(hashlib.new(name, key).digest(), message, name)
        good = bytes(a ^ b for a, b in zip(key, mask)) == base64.b64decode(proof)
        signature = hmac.digest(hmac.digest(salted, b'Server Key', name), message, name)
        if forge:
            signature = bytes(len(signature))
        if good and not skip_proof:
            self.ask(b'v=' + base64.b64encode(signature))
        self.logged_in(good)

    def listed(self):
        return [(number, *message) for number, message in enumerate(self.snapshot, 1)
                if number not in self.marked]

    def do_stat(self, _):
        sizes = [len(wire_form(octets)) for _, _, octets in self.listed()]
        self.line(f'+OK {len(sizes)} {sum(sizes)}')

    def do_list(self, _):
        self.multi('+OK', [f'{number} {len(wire_form(octets))}'
                           for number, _, octets in self.listed()])

    def do_uidl(self, _):
        self.multi('+OK', [f'{number} {uid}' for number, uid, _ in self.listed()])

    def message(self, text):
        """(unique id, octets) of a message number, or None with -ERR said."""
        number = int(text) if text.isdigit() else 0
        if not 1 <= number <= len(self.snapshot) or number in self.marked:
            self.line('-ERR no such message')
            return None
        return self.snapshot[number - 1]

    def do_retr(self, argument):
        message = self.message(argument)
        if message:
            wire = wire_form(message[1])
            self.server.retrieved.append(message[0])
            self.send(f'+OK {len(wire)} octets\r\n'.encode() + stuffed(wire))

    def do_top(self, argument):
        number, _, lines = argument.partition(' ')
        message = self.message(number)
        if message:
            head, _, body = wire_form(message[1]).partition(b'\r\n\r\n')
            kept = body.split(b'\r\n')[:int(lines)]
            wire = head + b'\r\n\r\n' + b''.join(line + b'\r\n' for line in kept)
            self.send(b'+OK\r\n' + stuffed(wire))

    def do_dele(self, argument):
        if self.message(argument):
            self.marked.add(int(argument))
            self.line('+OK')

    def do_rset(self, _):
        self.marked.clear()
        self.line('+OK')

    def do_noop(self, _):
        self.line('+OK')

    def commit(self):
        """UPDATE: what is marked is gone."""
        gone = [self.snapshot[number - 1] for number in self.marked]
        self.server.messages[:] = [m for m in self.server.messages if m not in gone]
        self.server.deleted += [uid for uid, _ in gone]
        self.committed = True

    def do_quit(self, _):
        if self.authenticated:
            self.commit()
        self.line('+OK bye')
        return 'end'


class Replay(Session):
    """Plays the server's side of a transcript (--record); the client's lines must be those of the
    transcript, but for what is masked there. Server(session=Replay, transcript=TEXT)."""

    def run(self):
        for line in self.server.transcript.splitlines():
            kind, text = line[:3], line[3:].encode().decode('unicode_escape').encode('latin-1')
            if kind == 'S: ':
                self.send(text + b'\r\n')
            elif kind == 'S- ':
                self.send(text)
            elif kind == 'C: ':
                got = self.read_line().encode('latin-1')
                assert line.endswith('<masked>') or got == text, (got, text)


class Server:
    def __init__(self, messages=(), tls=None, certificate=None, capabilities=CAPABILITIES,
                 mechanisms=('PLAIN',), password=PASSWORD, greeting='+OK ready', hooks=None,
                 cut_after=None, chunk=None, on_connect=None, client_ca=None, tls_version=None,
                 session=Session, transcript=None, tokens=(), token_lines=None, token_refusal='',
                 name='127.0.0.1', resumes=False):
        self.messages = [message if isinstance(message, tuple) else (f'uid-{number}', message)
                         for number, message in enumerate(messages, 1)]
        self.tls, self.certificate, self.client_ca = tls, certificate, client_ca
        self.tls_version = tls_version
        self.tokens, self.token_lines, self.name = list(tokens), token_lines, name
        self.bearer_place = True  # OAUTHBEARER with host and port, which bearer tokens may lack
        self.token_refusal = token_refusal  # JSON; '': the usual one; None: -ERR at once
        self.capabilities, self.mechanisms = tuple(capabilities), tuple(mechanisms)
        self.password, self.greeting = password, greeting
        self.hooks, self.on_connect = dict(hooks or {}), on_connect
        self.cut_after, self.chunk = cut_after, chunk
        self.session_class, self.transcript = session, transcript
        self.sessions, self.retrieved, self.deleted, self.errors = [], [], [], []
        self.tls_seen, self.tls_resumed = [], []
        self.resumes, self.context = resumes, None
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.threads = []
        self.stopped = threading.Event()
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    def _accept(self):
        while not self.stopped.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(60)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            thread.start()
            self.threads.append(thread)

    def _serve(self, connection):
        session = self.session_class(self, connection)
        self.sessions.append(session)
        try:
            session.run()
        except (Cut, OSError, ssl.SSLError):
            pass
        except Exception as error:  # a mistake of the test itself must show
            self.errors.append(repr(error))
        finally:
            for thing in (session.socket, connection):
                try:
                    thing.close()
                except OSError:
                    pass

    def idle(self):
        """Waits until every connection so far has been dealt with."""
        for thread in list(self.threads):
            thread.join(60)

    def commands(self):
        """All commands of all sessions, in order."""
        return [command for session in self.sessions for command in session.commands]

    def stop(self):
        self.stopped.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            assert not self.errors, self.errors
