"""./dev soak SECONDS [SEED [STORE]]: everything at once; a model knows every message's fate.

Deliveries by LMTP, mail that other programs put into the maildrop and flags that they set, sessions
that read, delete, quit and are cut, processes killed and stopped, reloads. STORE: maildir (as it is
without), or mbox: mailboxes of several owners in a folder as /var/mail, which needs root. What each
thread does is drawn from SEED; when it happens is the machine's affair. Ends all that it started.
Programs: $VALIJA_BUILD. Exit status 1 and what was wrong if a promise was broken.
"""
import os
import pathlib
import random
import re
import signal
import ssl
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / 'system'), str(HERE.parent / 'stand_ins')]

import office as post  # noqa: E402
from kinds import KINDS  # noqa: E402
from lmtp import Lmtp, split_trace  # noqa: E402
from model import SENT, THERE, Maildrop, Wrong  # noqa: E402
from pop import Pop, client_context  # noqa: E402

USERS, KEPT_MAX = 6, 60
CUT = (EOFError, OSError, ssl.SSLError)  # what a connection may end with while processes die
TOKEN = re.compile(rb'^X-Soak: (\S+)\r$', re.M)


class Soak:
    def __init__(self, seconds, seed, store='maildir'):
        self.seed = seed
        self.over = time.monotonic() + seconds
        self.maildrops = [Maildrop(f'user{n}') for n in range(USERS)]
        self.counted = dict.fromkeys(
            ('deliveries', 'drops', 'sessions', 'cut', 'deleted', 'kills', 'stops', 'reloads'), 0)
        self.counting = threading.Lock()
        self.failures, self.tokens = [], 0
        self.office = post.Office(users=[m.user for m in self.maildrops],
                                  settings={'timeouts.drain': '5s'})
        self.stopped = set()
        self.store = KINDS[store](self.office, [m.user for m in self.maildrops])

    def count(self, name):
        with self.counting:
            self.counted[name] += 1

    def running(self):
        return not self.failures and time.monotonic() < self.over

    def token(self, chance):
        with self.counting:
            self.tokens += 1
            return f'{self.tokens}-{chance.randrange(1 << 32):08x}'

    def message(self, chance):
        """(token, octets in wire form): short ones, long ones, dots, long lines."""
        token = self.token(chance)
        lines = [f'Subject: {token}', f'X-Soak: {token}', '']
        for _ in range(chance.choice((0, 1, 3, 20, 20, 200, 3000))):
            lines.append(chance.choice(('', '.', '..', '.x', self.store.from_line,
                                        'x' * chance.randrange(900), f'line {chance.random()}')))
        return token, ''.join(line + '\r\n' for line in lines).encode()

    # those who bring mail

    def deliver(self, chance):
        client = None
        while self.running():
            maildrop = chance.choice(self.maildrops)
            if maildrop.count(THERE, SENT) > KEPT_MAX:
                time.sleep(0.02)
                continue
            token, wire = self.message(chance)
            begun = False
            try:
                client = client or Lmtp(self.office.lmtp)
                client.begin(maildrop.user)
                maildrop.begin(token, wire, True)
                begun = True
                self.send_message(client, wire, chance)
                reply = client.reply()
                if reply.startswith('250'):
                    maildrop.arrived(token)
                    self.count('deliveries')
                elif reply.startswith('5'):
                    maildrop.refused(token)
                # 451: of a keeper that died, perhaps behind the rename; to be sent once more
            except (*CUT, AssertionError) as problem:
                # AssertionError: of the client, a code it did not expect: begun nothing, or 421
                if isinstance(problem, Wrong) or isinstance(problem, AssertionError) and begun:
                    raise
                client = self.away(client)
            if client and chance.random() < 0.1:
                client = self.away(client)

    @staticmethod
    def send_message(client, wire, chance):
        octets = re.sub(rb'(\A|(?<=\r\n))\.', b'..', wire) + b'.\r\n'
        if chance.random() < 0.05:
            client.send(octets[:chance.randrange(len(octets))])
            raise OSError('cut on purpose')
        client.send(octets)

    @staticmethod
    def away(client):
        if client:
            client.close()
        time.sleep(0.02)

    def drop(self, chance):
        """Another program delivers."""
        while self.running():
            maildrop = chance.choice(self.maildrops)
            if maildrop.count(THERE, SENT) <= KEPT_MAX:
                token, wire = self.message(chance)
                maildrop.begin(token, wire, False)
                if self.store.drop(maildrop.user, token, wire, chance):
                    maildrop.arrived(token)
                    self.count('drops')
            time.sleep(chance.random() * 0.1)

    def flag(self, chance):
        """A mail program next to us sees messages and sets flags."""
        while self.running():
            self.store.flag(chance.choice(self.maildrops).user, chance)
            time.sleep(chance.random() * 0.1)

    # those who read it

    def read(self, chance):
        while self.running():
            maildrop = chance.choice(self.maildrops)
            if not maildrop.session.acquire(timeout=1):
                continue
            try:
                self.session(maildrop, chance)
            except (*CUT, AssertionError) as problem:
                if isinstance(problem, Wrong):
                    raise
                self.count('cut')
                time.sleep(0.02)
            finally:
                maildrop.session.release()

    def session(self, maildrop, chance):
        before = maildrop.before()
        tls = client_context() if chance.random() < 0.2 else None
        with Pop(self.office.pop3s if tls else self.office.pop3, tls) as client:
            client.login(maildrop.user, post.PASSWORD)
            tokens = self.listed(client, maildrop, before, chance)
            ending = chance.random()
            if ending < 0.1:
                raise OSError('cut on purpose')
            deleted = [n for n in tokens if chance.random() < 0.4]
            deleted += [n for n in range(1, client.stat()[0] + 1) if n not in tokens]  # torn ones
            if deleted:
                client.send(''.join(f'DELE {n}\r\n' for n in deleted))
                for _ in deleted:
                    if not client.line().startswith('+OK'):
                        raise OSError('the session was cut')
            if ending < 0.2:
                raise OSError('cut on purpose, with marks')
            self.quit(client, maildrop, [tokens[n] for n in deleted if n in tokens], ending < 0.3)

    def listed(self, client, maildrop, before, chance):
        """{number: token}, after everything that a client can see was held against the model."""
        ids, sizes = client.uidl(), client.list()
        if ids.keys() != sizes.keys():
            raise Wrong(f'{maildrop.user}: UIDL and LIST differ')
        tokens = {}
        for number, unique_id in ids.items():
            token = maildrop.known(unique_id)
            if token and chance.random() > 0.1:
                tokens[number] = token
                continue
            body = client.retr(number)
            if self.store.is_torn(maildrop, body):
                continue
            tokens[number] = self.checked(maildrop, body, sizes[number])
            maildrop.id_of(tokens[number], unique_id)
        maildrop.saw(before, list(tokens.values()))
        return tokens

    @staticmethod
    def checked(maildrop, body, size):
        token = TOKEN.search(body)
        if not token:
            raise Wrong(f'{maildrop.user}: not one of ours: {body[:200]!r}')
        token = token[1].decode()
        with maildrop.lock:
            wire, traced = maildrop.octets.get(token), maildrop.trusted.get(token)
        if wire is None:
            raise Wrong(f'{maildrop.user}: message {token} belongs to somebody else')
        message = split_trace(body)[1] if traced else body
        if message != wire or len(body) != size:
            raise Wrong(f'{maildrop.user}: message {token} has {len(body)} octets, {size} were '
                        f'announced, and differs from the {len(wire)} sent')
        return token

    def quit(self, client, maildrop, tokens, silent):
        maildrop.leaving(tokens)
        client.send('QUIT\r\n')
        if silent:
            raise OSError('cut on purpose, after QUIT')
        reply = client.line()
        if reply.startswith('+OK'):
            maildrop.left(tokens)
            self.count('sessions')
            with self.counting:
                self.counted['deleted'] += len(tokens)

    # those who break things

    def break_things(self, chance):
        while self.running():
            time.sleep(0.1 + chance.random() * 0.6)
            children = self.office.children()
            if not children:
                continue
            pid = chance.choice(sorted(children))
            what = chance.random()
            try:
                if what < 0.6:
                    os.kill(pid, signal.SIGKILL)
                    self.count('kills')
                elif what < 0.85:
                    self.stopped.add(pid)
                    os.kill(pid, signal.SIGSTOP)
                    self.count('stops')
                    time.sleep(chance.random() * 0.8)
                    os.kill(pid, signal.SIGCONT)
                    self.stopped.discard(pid)
                else:
                    self.office.process.send_signal(signal.SIGHUP)
                    self.count('reloads')
            except ProcessLookupError:
                self.stopped.discard(pid)

    # all of it

    def thread(self, work, number):
        def guarded():
            try:
                work(random.Random(f'{self.seed} {work.__name__} {number}'))
            except BaseException as problem:  # said by run()
                self.failures.append(f'{work.__name__}: {type(problem).__name__}: {problem}')
        return threading.Thread(target=guarded, name=f'{work.__name__}{number}')

    def run(self):
        self.store.make()
        with_numbers = [(self.deliver, 2), (self.drop, 1), (self.flag, 1), (self.read, 3),
                        (self.break_things, 1)]
        threads = [self.thread(work, n) for work, many in with_numbers for n in range(many)]
        try:
            self.office.start()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for pid in self.stopped:
                try:
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    pass
            if not self.failures:
                self.look_at_the_end()
            status = self.end()
        finally:
            self.office.stop(check=False)
            log = self.office.log_text()
            self.office.remove()
        if post.SANITIZER.search(log):
            self.failures.append('a sanitizer complains in the log')
        return self.report(log) or status

    def look_at_the_end(self):
        """In peace, every maildrop opens and holds what it must."""
        chance = random.Random(f'{self.seed} end')
        for maildrop in self.maildrops:
            deadline = time.monotonic() + 30
            while True:
                before = maildrop.before()
                try:
                    with Pop(self.office.pop3) as client:
                        client.login(maildrop.user, post.PASSWORD)
                        for _ in range(2):  # each read once more, by chance
                            self.listed(client, maildrop, before, chance)
                        client.quit()
                    break
                except Wrong as wrong:
                    self.failures.append(str(wrong))
                    break
                except (*CUT, AssertionError) as problem:
                    if time.monotonic() > deadline:
                        self.failures.append(f'{maildrop.user} cannot be opened in peace: '
                                             f'{problem}')
                        break
                    time.sleep(0.1)

    def end(self):
        """SIGTERM ends everything, with status 0."""
        children, process = self.office.children(), self.office.process
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(40)
        except Exception:
            status = 'no end'
        left = [pid for pid in children if post._alive(pid)]
        if status != 0 or left:
            self.failures.append(f'valijad ended with {status}; processes left: {left}')
        return 0

    def report(self, log):
        lost = sum('lost' in failure for failure in self.failures)
        repeated = sum('repeated' in failure for failure in self.failures)
        counted = self.counted
        print(f'seed {self.seed}: {counted["deliveries"]} deliveries, {counted["drops"]} drops, '
              f'{counted["sessions"]} sessions, {counted["cut"]} cut, {counted["deleted"]} '
              f'messages deleted, {counted["kills"]} kills, {counted["stops"]} stops, '
              f'{counted["reloads"]} reloads, {lost} lost, {repeated} repeated', flush=True)
        for failure in self.failures:
            print(f'soak: {failure}', flush=True)
        if self.failures:
            print('\n'.join(log.splitlines()[-40:]))
        return 1 if self.failures else 0


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    seed = sys.argv[2] if len(sys.argv) > 2 else str(random.SystemRandom().randrange(1 << 32))
    store = sys.argv[3] if len(sys.argv) > 3 else 'maildir'
    if store not in KINDS:
        sys.exit(f'soak: there is no store "{store}": {", ".join(KINDS)}')
    sys.exit(Soak(seconds, seed, store).run())


if __name__ == '__main__':
    main()
