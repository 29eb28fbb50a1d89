"""Mail in a folder as /var/mail of Debian, served and deleted while Debian's own programs write to
the same files, and keepers and the locker are killed: Postfix's local(8), Dovecot's imapd, mutt,
procmail, formail behind dotlockfile. Users are of the system. Needs root."""
import contextlib
import grp
import imaplib
import os
import pathlib
import random
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / 'stand_ins')]

import dovecot_imap  # noqa: E402
import mutt as mutt_program  # noqa: E402
import system_users  # noqa: E402
from lmtp import Lmtp  # noqa: E402
from office import PASSWORD, program  # noqa: E402
from pop import Pop, client_context, login_within  # noqa: E402
from postfix import Postfix, why_not  # noqa: E402
from wire import wire_form  # noqa: E402

pytestmark = [pytest.mark.usefixtures('need_root'),
              pytest.mark.skipif(not program('valija-lookup-system').exists(),
                                 reason='built without PAM')]

FIRST, USERS, MAIL = 3000, 100, grp.getgrnam('mail').gr_gid
KILLED = (r'(keeper|locker) \d+ .*(ended|killed|signal|exit)', 'delivery', 'maildrop',
          'no keeper for mail')
SECONDS = 200  # at most, on a machine that is busy with something else
TOKEN = re.compile(rb'token=([a-z]+-\d+-)\r\n')


@pytest.fixture(scope='module')
def system():
    if os.geteuid() != 0:
        pytest.skip('needs root')
    if (missing := system_users.missing()):
        pytest.skip(f'{missing} is not here')
    users = system_users.SystemUsers()
    try:
        users.service((HERE.parents[1] / 'dist/pam.d/valija').read_text())
        yield users
    finally:
        users.close()


@pytest.fixture
def site(make_office, system):
    """Started; anna of the system has an empty mailbox in a folder of group mail."""
    office = make_office(start=False, users=(), inside=system.inside,
                         settings={'processes.fronts': 1})
    os.chown(office.mail, 0, MAIL)
    office.mail.chmod(0o2775)
    office.set('mail', f'"{office.mail}/{{local}}"')
    with office.conf.open('a') as file:
        file.write('\ndatabase "people" {\n\tdriver = system\n\ttimeout = 60s\n}\n')
    home, box = office.scratch / 'home', office.mail / 'anna'
    system.add('anna', FIRST, PASSWORD, home)
    home.mkdir(mode=0o700)
    os.chown(home, FIRST, USERS)
    box.touch()
    os.chown(box, FIRST, MAIL)
    box.chmod(0o660)
    office.valija('mark', office.mail)
    office.allow(*KILLED)
    yield office.start()
    office.stop()
    system.run('userdel', '--force', 'anna')  # also while a process of that uid ends


class Refused(Exception):
    """By a server whose keeper was killed, or that waits for a lock."""


class Scene:
    """The mailbox of anna, everybody who is at it, and the fate of each message: sent, when it was
    acknowledged; doomed, when somebody began to delete it; gone, when that was acknowledged."""

    def __init__(self, office, system, seed):
        self.office, self.inside, self.seed = office, system.inside, seed
        self.box = office.mail / 'anna'
        self.made, self.sent, self.doomed, self.gone = {}, {}, set(), set()
        self.ids, self.tokens = {}, {}
        self.ended, self.failures, self.threads = threading.Event(), [], []
        self.done, self.growing = {}, False
        self.pause, self.share = 0, .3  # seconds behind a session; of messages that one deletes

    def message(self, name, chance):
        """(token, octets): no two have one size. Growing: each is longer than those before, and
        shorter than two, so that a mailbox never gets the size that it had."""
        number = len(self.made) + 1
        token = f'{name}-{number}-'
        sizes = [63] * (300 + number) if self.growing else [
            chance.randrange(70) for _ in range(chance.randrange(30))]
        lines = ''.join(f'{"x" * size}\n' for size in sizes)
        body = f'token={token}\n{lines}{"." * number}\n'
        self.made[token] = wire_form(body.encode())
        return token, f'From: b@example.org\nSubject: {token}\n\n{body}'.encode()

    def acknowledged(self, name, token):
        self.sent[token] = True
        self.did(name)

    def did(self, name):
        self.done[name] = self.done.get(name, 0) + 1

    def start(self, work, *args):
        chance = random.Random(f'{self.seed} {work.__name__}')

        def run():
            try:
                while not self.ended.is_set():
                    work(self, chance, *args)
            except Exception as problem:  # finish() reports it
                self.failures.append(f'{work.__name__}: {problem!r}')
        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def go_on_until(self, **wanted):
        """Sessions, until each has done so much; "gone" and "killed" are names as well."""
        chance, over = random.Random(self.seed), time.monotonic() + SECONDS

        def missing():
            self.done['gone'] = len(self.gone)
            self.done['killed'] = self.office.log_text().count('by signal 9')
            return {name: self.done.get(name, 0) for name, many in wanted.items()
                    if self.done.get(name, 0) < many}
        try:
            while missing() and not self.failures:
                assert time.monotonic() < over, f'too little happened: {missing()}'
                with contextlib.suppress(Refused, OSError, EOFError):
                    self.session(chance)
                time.sleep(self.pause)
        finally:
            self.ended.set()
            self.join()
        assert not self.failures and not any(thread.is_alive() for thread in self.threads), \
            self.failures

    def join(self):
        """Until nobody is at work, with logins: they put out of the way what a killed program has
        left beside the mailbox. Dovecot waits for that lock file two minutes."""
        over = time.monotonic() + SECONDS
        while any(thread.is_alive() for thread in self.threads) and time.monotonic() < over:
            with contextlib.suppress(OSError, EOFError), \
                    Pop(self.office.pop3, timeout=60) as client:
                client.ok('USER anna')
                client.ask(f'PASS {PASSWORD}')
                client.ask('QUIT')
            time.sleep(.3)

    def session(self, chance):
        with Pop(self.office.pop3, timeout=60) as client:
            gone = set(self.gone)
            client.ok('USER anna')
            if not client.ask(f'PASS {PASSWORD}').startswith('+OK'):
                raise Refused
            sizes, marked = client.list(), []
            for number, unique_id in client.uidl().items():
                if chance.random() < .3 and unique_id in self.ids:
                    continue
                if client.ask(f'RETR {number}').startswith('-ERR'):
                    continue  # another program has moved it since the login
                token = self.look_at(unique_id, client.body(), sizes[number])
                if token in gone:
                    self.failures.append(f'a deleted message came back: {token}')
                if chance.random() < self.share and token in self.sent:
                    self.doomed.add(token)
                    if client.ask(f'DELE {number}').startswith('+OK'):
                        marked.append(token)
            if not client.ask('QUIT').startswith('+OK'):
                raise Refused
            self.gone.update(marked)

    def look_at(self, unique_id, octets, size):
        """Of a message as it was sent to a client; returns its token."""
        body = octets.partition(b'\r\n\r\n')[2]
        found = TOKEN.match(body)
        token = found[1].decode() if found else ''
        if self.made.get(token) != body or len(octets) != size:
            self.failures.append(f'message {token} of {size} octets is {octets!r}')
        if self.ids.setdefault(unique_id, token) != token or \
                self.tokens.setdefault(token, unique_id) != unique_id:
            self.failures.append(f'message {token} has the unique id {unique_id} now, which was '
                                 f'{self.ids[unique_id]}; its own was {self.tokens.get(token)}')
        return token

    def finish(self, connect):
        """In peace: what was acknowledged and not deleted is there, once, as it was sent."""
        left = []
        with login_within(connect, self.office, 'anna', 60) as client:
            sizes = client.list()
            for number, unique_id in client.uidl().items():
                left.append(self.look_at(unique_id, client.retr(number), sizes[number]))
            client.quit()
        assert not self.failures, self.failures
        assert len(left) == len(set(left)), f'twice: {left}'
        assert not (lost := set(self.sent) - set(left) - self.doomed), f'lost: {lost}'
        assert not (back := self.gone & set(left)), f'deleted, and there still: {back}'

    def by_anna(self, *command):
        """Arguments for subprocess."""
        return {'args': [*self.inside, 'setpriv', f'--reuid={FIRST}', f'--regid={USERS}',
                         '--clear-groups', *map(str, command)], 'cwd': '/',
                'env': {'PATH': '/usr/bin:/bin', 'HOME': str(self.office.scratch / 'home'),
                        'LOGNAME': 'anna', 'TERM': 'xterm', 'LANG': 'C'}}

    def as_anna(self, *command, **more):
        return subprocess.run(**self.by_anna(*command), capture_output=True, timeout=120, **more)


# ---- everybody who is at the mailbox: one message, or one visit ----

def lmtp(scene, chance):
    with contextlib.suppress(OSError, EOFError, AssertionError):
        with Lmtp(scene.office.lmtp, timeout=60) as sender:
            token, octets = scene.message('lmtp', chance)
            reply, = sender.deliver(wire_form(octets), 'anna')
            if reply.startswith('250'):
                scene.acknowledged('lmtp', token)
    scene.ended.wait(.1 + scene.pause)


def kill(scene, chance):
    """Keepers at any moment, the locker now and then; but not for ever, or nothing is done on a
    machine that is slow to start them."""
    if scene.ended.wait(chance.uniform(.5, 3)) or scene.done.get('kill', 0) > 8:
        return
    scene.did('kill')
    for pid, line in scene.office.children().items():
        if 'keeper of uid' in line or ('locker' in line and chance.random() < .3):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def sendmail(scene, chance, mta):
    token, octets = scene.message('sendmail', chance)
    # one in ten from a sender of nearly the length that Postfix takes: it is in the "From " line
    sender = 'c' * (1900 if chance.random() < .1 else 5) + '@example.org'
    mta.sendmail(octets, 'anna@mta.test', sender=sender)
    scene.acknowledged('sendmail', token)
    scene.ended.wait(.1)


def imap(scene, chance, dovecot):
    """Flags, a keyword, and an expunged message."""
    with imaplib.IMAP4_SSL('127.0.0.1', dovecot.imaps, ssl_context=client_context()) as client:
        client.login('anna', dovecot_imap.PASSWORD)
        client.select('INBOX')
        uids = client.uid('search', 'ALL')[1][0].decode().split()
        for uid in chance.sample(uids, min(4, len(uids))):
            what, found = client.uid('fetch', uid, '(BODY.PEEK[TEXT])')
            octets = found[0][1] if what == 'OK' and isinstance(found[0], tuple) else b''
            token = TOKEN.match(octets)
            if not token:
                continue
            token = token[1].decode()
            if chance.random() < .5 or token not in scene.sent:
                client.uid('store', uid, '+FLAGS', r'(\Seen \Flagged Keyword)')
                continue
            scene.doomed.add(token)
            client.uid('store', uid, '+FLAGS', r'(\Deleted)')
            if client.expunge()[0] == 'OK' and client.uid('search', f'UID {uid}')[1][0] == b'':
                scene.gone.add(token)
                scene.did('imap')
    scene.ended.wait(.1)


def procmail(scene, chance):
    """To /var/mail/anna: for no other folder does it keep the group mail, without which it cannot
    make the lock file and does without."""
    token, octets = scene.message('procmail', chance)
    done = scene.as_anna('procmail', '-f', 'b@example.org', 'LOCKSLEEP=1', 'VERBOSE=on',
                         '/dev/null', input=octets)
    assert done.returncode == 0 and b'Lock failure' not in done.stderr, done
    scene.acknowledged('procmail', token)
    scene.ended.wait(.1)


def formail(scene, chance):
    """The lock file alone: dotlockfile is setgid mail."""
    token, octets = scene.message('formail', chance)
    done = scene.as_anna('dotlockfile', '-r', 60, '-i', 1, '-l', f'{scene.box}.lock',
                         'sh', '-c', f'formail >>{shlex.quote(str(scene.box))}', input=octets)
    if done.returncode == 0:
        scene.acknowledged('formail', token)
    scene.ended.wait(.1)


def mutt(scene, chance):
    """Flags, and a message deleted. mutt takes a mailbox of the same size for the same: messages
    grow for it. If others change the mailbox meanwhile, mutt may leave without having saved."""
    tokens = [token for token in list(scene.sent) if token not in scene.gone]
    if len(tokens) < 5:
        scene.ended.wait(.1)
        return
    token = chance.choice(tokens)
    rc = scene.office.scratch / 'home' / 'rc'
    rc.write_text(mutt_program.configuration(token, chance.choice([0, .3, 1])))
    scene.doomed.add(token)
    screen = mutt_program.visit(
        SECONDS, **scene.by_anna('mutt', '-n', '-F', rc, '-f', '/var/mail/anna'))
    if mutt_program.saved_deleted(screen):
        scene.gone.add(token)
        scene.did('mutt')
    scene.ended.wait(.1)


@pytest.fixture
def scene(site, system, connect):
    made = Scene(site, system, 1)
    yield made
    made.ended.set()


@pytest.fixture
def var_mail(scene, system):
    """The mailboxes are in /var/mail as well."""
    system.run('mount', '--bind', scene.office.mail, '/var/mail')
    yield
    system.run('umount', '/var/mail')


def test_postfix_local(scene, connect):
    if why_not():
        pytest.skip(why_not())
    with Postfix(scene.office.scratch / 'postfix', 'local:', inside=scene.inside, main=f'''
mydestination = mta.test
mail_spool_directory = {scene.office.mail}
mailbox_size_limit = 0
''', master='local unix - n n - - local\n') as mta:
        scene.start(sendmail, mta)
        scene.start(lmtp)
        scene.start(kill)
        scene.go_on_until(sendmail=20, lmtp=8, gone=12, killed=3)
        # which puts out of the way what a dead locker has left
        login_within(connect, scene.office, 'anna', 60).quit()
        mta.wait_empty()
    scene.finish(connect)


def test_dovecot_imap(scene, connect):
    if not dovecot_imap.DovecotImap.usable():
        pytest.skip('needs dovecot-imapd')
    dovecot = dovecot_imap.DovecotImap(user='anna', owner=(FIRST, USERS), more=f'''
mail_location = mbox:~/mail:INBOX={scene.office.mail}/%u
mail_privileged_group = mail
''')
    try:
        scene.start(imap, dovecot)
        scene.start(lmtp)
        scene.start(kill)
        scene.go_on_until(imap=6, lmtp=15, gone=15, killed=3)
        scene.finish(connect)
    finally:
        scene.ended.set()
        dovecot.stop()


@pytest.mark.usefixtures('var_mail')
def test_procmail_and_dotlockfile(scene, connect, tool):
    for name in ('procmail', 'formail', 'dotlockfile'):
        tool(name)
    scene.start(procmail)
    scene.start(formail)
    scene.start(kill)
    scene.go_on_until(procmail=12, formail=12, gone=12, killed=3)
    scene.finish(connect)


@pytest.mark.usefixtures('var_mail')
def test_mutt(scene, connect, tool):
    tool('mutt')
    scene.growing, scene.pause, scene.share = True, .2, .05
    scene.start(mutt)
    scene.start(lmtp)
    scene.start(kill)
    scene.go_on_until(mutt=5, lmtp=12, gone=12, killed=3)
    scene.finish(connect)
