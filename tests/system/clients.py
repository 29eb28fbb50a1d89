"""The mail fetchers of Debian behind one call: fetch what is new, keep or delete it.

Each adapter holds its own state (configuration, ids seen, what it delivered) in a folder, talks to
`localhost` with the certificate checked, and returns from fetch() the messages of this run as the
client wrote them.
"""
import mailbox
import os
import poplib
import shutil
import ssl
import subprocess

import thunderbird
from office import NOBODY, PASSWORD, build_dir, environment


class Client:
    modes = ('implicit', 'starttls')
    needs = None  # the program
    exact = True  # writes the message as it came (line ends apart)

    def __init__(self, office, user, folder, mode, password=PASSWORD):
        self.office, self.user, self.folder, self.mode = office, user, folder, mode
        self.password = password
        self.port = office.pop3s if mode == 'implicit' else office.pop3
        self.maildir = folder / 'Maildir'
        for name in ('new', 'cur', 'tmp'):
            (self.maildir / name).mkdir(parents=True)
        self.ca = str(shutil.copy(office.cert, folder / 'ca.pem'))
        self.env = {**os.environ, 'HOME': str(folder), 'LC_ALL': 'C.UTF-8'}

    def run(self, *command, good=(0,), env=None, text=True, timeout=120):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=text,
                              timeout=timeout, env=env or self.env, stdin=subprocess.DEVNULL)
        assert done.returncode in good, (command, done.returncode, done.stdout, done.stderr)
        return done

    def write(self, name, text):
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        path.chmod(0o600)
        return path

    def collected(self):
        """Takes what was delivered out of the Maildir."""
        result = []
        for path in sorted((self.maildir / 'new').iterdir()):
            result.append(path.read_bytes())
            path.unlink()
        return result


class Curl(Client):
    """Has no state: the ids are kept here."""
    needs = 'curl'

    def __init__(self, *args):
        super().__init__(*args)
        self.seen = set()
        scheme = 'pop3s' if self.mode == 'implicit' else 'pop3'
        self.url = f'{scheme}://localhost:{self.port}/'
        self.config = self.write('curlrc', f'user = "{self.user}:{self.password}"\n'
                                 f'cacert = "{self.ca}"\nssl-reqd\nsilent\nshow-error\n')

    def curl(self, *args):
        return self.run('curl', '-K', self.config, *args, text=False).stdout

    def fetch(self, keep):
        lines = self.curl('-X', 'UIDL', self.url).decode().split('\r\n')
        ids = dict(line.split() for line in lines if line)
        result = []
        for number, uid in ids.items():
            if uid not in self.seen:
                result.append(self.curl(self.url + number))
                self.seen.add(uid)
        if not keep:
            # one session a deletion: numbers move up, so always the first
            for _ in ids:
                self.curl('-I', '-X', 'DELE', self.url + '1')
        return result


class Poplib(Client):
    def __init__(self, *args):
        super().__init__(*args)
        self.seen = set()

    def session(self):
        context = ssl.create_default_context(cafile=self.ca)
        if self.mode == 'implicit':
            return poplib.POP3_SSL('localhost', self.port, context=context, timeout=60)
        session = poplib.POP3('localhost', self.port, timeout=60)
        session.stls(context)
        return session

    def fetch(self, keep):
        poplib._MAXLINE = 2 << 20
        session = self.session()
        session.user(self.user)
        session.pass_(self.password)
        result = []
        for line in session.uidl()[1]:
            number, uid = line.decode().split()
            if uid not in self.seen:
                result.append(b''.join(part + b'\r\n' for part in session.retr(int(number))[1]))
                self.seen.add(uid)
            if not keep:
                session.dele(int(number))
        session.quit()
        return result


class Mpop(Client):
    needs = 'mpop'
    auth = 'user'

    def fetch(self, keep):
        self.write('mpoprc', f'''account default
host localhost
port {self.port}
user {self.user}
passwordeval echo {self.password}
auth {self.auth}
tls on
tls_starttls {'on' if self.mode == 'starttls' else 'off'}
tls_trust_file {self.ca}
keep {'on' if keep else 'off'}
uidls_file {self.folder}/uidls
received_header off
delivery maildir {self.maildir}
''')
        self.run('mpop', '-C', self.folder / 'mpoprc', '-q')
        return self.collected()


class MpopScram(Mpop):
    auth = 'scram-sha-256'


class Fetchmail(Client):
    """Rewrites headers: its messages are compared by their bodies."""
    needs = 'fetchmail'
    exact = False

    def fetch(self, keep):
        deliver = self.write('mda', f'#!/bin/sh\ncat >"{self.maildir}/new/$(date +%s.%N).$$"\n')
        deliver.chmod(0o700)
        secure = ('ssl sslproto TLS1.2+' if self.mode == 'implicit' else 'sslproto TLS1.2+')
        rc = self.write('fetchmailrc', f'''poll localhost service {self.port} protocol pop3 uidl
  user "{self.user}" password "{self.password}" {secure} sslcertck sslcertfile "{self.ca}"
  {'keep' if keep else 'nokeep'} no rewrite mda "{deliver}"
''')
        # 1: there was no new mail
        self.run('fetchmail', '-f', rc, '--nosyslog', '--idfile', self.folder / 'ids',
                 '--pidfile', self.folder / 'pid', '--invisible', good=(0, 1),
                 env={**self.env, 'FETCHMAILHOME': str(self.folder)})
        return self.collected()


class Getmail(Client):
    """Knows no STLS; refuses to deliver as root; sometimes waits for ever for the end of its own
    delivering child (a futex of its signal handler), before it has deleted or noted anything."""
    needs = 'getmail'
    modes = ('implicit',)

    def fetch(self, keep):
        rc = self.write('getmailrc', f'''[retriever]
type = SimplePOP3SSLRetriever
server = localhost
port = {self.port}
username = {self.user}
password = {self.password}
ca_certs = {self.ca}
[destination]
type = Maildir
path = {self.maildir}/
[options]
delete = {'false' if keep else 'true'}
read_all = false
delivered_to = false
received = false
verbose = 1
''')
        prefix = []
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.rglob('*')):
                os.chown(path, NOBODY, NOBODY)
            prefix = ['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups']
        for left in (3, 2, 1, 0):
            try:
                self.run(*prefix, 'getmail', '--getmaildir', self.folder, '--rcfile', rc,
                         timeout=25)
                break
            except subprocess.TimeoutExpired:
                assert left, 'it hung each time'
                self.collected()
        return self.collected()


class Thunderbird(Client):
    """Without a window, in a profile of its own. It writes down what it says to the server."""
    needs = 'thunderbird'
    modes = ('implicit',)
    exact = False

    def __init__(self, *args):
        super().__init__(*args)
        self.profile = self.folder / 'profile'
        self.inbox = self.profile / 'Mail/pop/Inbox'
        self.seen = 0
        thunderbird.make_profile(self.profile, self.port, self.user, self.password, self.ca)

    def fetch(self, keep):
        thunderbird.set_keep(self.profile, keep)
        thunderbird.run(self.profile, self.env)
        messages = [message.as_bytes() for message in mailbox.mbox(self.inbox)]
        new, self.seen = messages[self.seen:], len(messages)
        return new


class Valija(Client):
    """Our own."""

    def fetch(self, keep):
        password = self.write('password', self.password + '\n')
        program = build_dir() / 'valija'
        scheme = 'pop3s' if self.mode == 'implicit' else 'pop3'
        self.run(program, 'fetch', f'{scheme}://{self.user}@localhost:{self.port}',
                 '--to', f'maildir:{self.maildir}', '--keep' if keep else '--delete',
                 '--tls', self.mode, '--ca', self.ca, '--password-file', password,
                 '--state', self.folder / 'state', env={**environment(), 'HOME': str(self.folder)})
        return self.collected()


ALL = (Curl, Poplib, Mpop, MpopScram, Fetchmail, Getmail, Valija)


def installed(client):
    return client.needs is None or shutil.which(client.needs) is not None
