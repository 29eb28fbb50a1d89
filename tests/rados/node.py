"""A valijad of a site whose maildrops are in RADOS, in a folder of its own, and what MTAs and users
of such a site saw: nodes of one site have the same users and the same pools."""
import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / 'tests/system'), str(ROOT / 'tests/stand_ins')]

from lmtp import Lmtp  # noqa: E402
from pop import Pop  # noqa: E402
from ports import free_port  # noqa: E402

PASSWORD = 'correct horse'
SECONDS = 60
CONF = """\
hostname = "mail.example.org"
mail = "mail"
store = "rados"
users = "users"
rados {{ conf = "{ceph}"
  pool = "{pool}"
  bodies = "{bodies}" }}
pop3 {{ listen = {{{pop3_addresses}}} }}
lmtp {{ listen = "{host}:{lmtp}"
  catch_all = "anna" }}
login {{ failure_delay = 1ms
  plain_without_tls = yes }}
timeouts {{ drain = 5s {timeouts} }}
control {{ socket = "control" }}
{more}
"""


def build_dir():
    return pathlib.Path(os.environ.get('VALIJA_BUILD', ROOT / 'build-rados')).resolve()


def owner():
    """The user whose keepers reach the cluster; without root, the one who runs this."""
    return pwd.getpwnam('valija-rados').pw_uid if os.geteuid() == 0 else os.geteuid()


class Node:
    def __init__(self, folder, ceph, users=('anna',), pool='mail', bodies='bodies',
                 key='client.valija',
                 more='', timeouts='', host='127.0.0.1', where=None, programs=None,
                 proxied=''):
        """host: its address; where: its network namespace, None: this one; programs: another folder
        than that of the build; proxied: a second address of POP3."""
        self.dir, self.host, self.where = pathlib.Path(folder), host, where
        self.programs = programs or build_dir()
        self.pop3, self.lmtp = free_port(), free_port()
        self.process, self.log = None, self.dir / 'log'
        for name in ('mail', 'state'):
            (self.dir / name).mkdir(parents=True)
        os.chmod(self.dir, 0o755)
        os.chown(self.dir / 'mail', owner(), -1)
        self.write_keys(ceph, key)
        (self.dir / 'users').write_text(''.join(f'{u}:{{PLAIN}}{PASSWORD}\n' for u in users))
        if os.geteuid() == 0:
            shutil.chown(self.dir / 'users', 'valija-auth')
        os.chmod(self.dir / 'users', 0o600)
        self.conf = self.dir / 'valija.conf'
        addresses = [f'"{a}"' for a in (f'{host}:{self.pop3}', proxied) if a]
        self.conf.write_text(CONF.format(ceph=self.dir / 'ceph.conf', pool=pool, bodies=bodies,
                                         lmtp=self.lmtp,
                                         pop3_addresses=', '.join(addresses), more=more,
                                         timeouts=timeouts, host=host))
        self.run('valija', 'mark', '--store', 'rados', self.dir / 'mail')

    def write_keys(self, ceph, key):
        """The cluster's configuration, and the one key that the keeper gets."""
        lines = [line for line in ceph.conf.read_text().split('[mon]')[0].splitlines()
                 if not line.startswith(('keyring', 'log_file'))]
        (self.dir / 'ceph.conf').write_text('\n'.join(lines) + f'\nkeyring = {self.dir}/keyring\n')
        text = (ceph.folder / f'{key}.keyring').read_text()
        (self.dir / 'keyring').write_text(text.replace(key, 'client.valija'))
        os.chmod(self.dir / 'keyring', 0o400)
        os.chown(self.dir / 'keyring', owner(), -1)

    def environment(self):
        return os.environ | {'STATE_DIRECTORY': str(self.dir / 'state')}

    def run(self, program, *arguments, check=True):
        done = subprocess.run([build_dir() / program, *map(str, arguments)], capture_output=True,
                              text=True, env=self.environment(), timeout=SECONDS)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def init(self):
        """Marks the pools: once a site."""
        self.run('valija', 'rados', 'init', '-c', self.conf)
        return self

    def check(self):
        return self.run('valijad', '-c', self.conf, '-t', check=False)

    # ---- its life ----

    def start(self):
        before = len(self.text()) if self.log.exists() else 0
        with self.log.open('ab') as log:
            self.process = subprocess.Popen(
                [*(('ip', 'netns', 'exec', self.where) if self.where else ()),
                 self.programs / 'valijad', '-c', self.conf], stdout=log, stderr=log,
                env=self.environment(), start_new_session=True)
        self.wait(lambda: 'ready: ' in self.text()[before:])
        return self

    def text(self):
        return self.log.read_text(errors='replace')

    def wait(self, condition, seconds=SECONDS):
        until = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None and time.monotonic() < until, self.text()
            time.sleep(0.02)

    def command(self, *words):
        """A person's command for this node."""
        return self.run('valija', *words, '-c', self.conf, check=False)

    def children(self):
        found = subprocess.run(['pgrep', '-P', str(self.process.pid)], capture_output=True,
                               text=True)
        return [int(pid) for pid in found.stdout.split()]

    def kill(self):
        """As a machine that loses its power: nothing is given back."""
        pids = [*self.children(), self.process.pid]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        for pid in pids:
            while os.path.exists(f'/proc/{pid}'):
                time.sleep(0.01)
        self.process = None

    def stop(self):
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    # ---- its clients ----

    def deliver(self, message, *users):
        """The reply of each recipient."""
        with Lmtp((self.host, self.lmtp), timeout=SECONDS) as lmtp:
            return lmtp.deliver(message, *(f'{user}@example.org' for user in users or ('anna',)))

    def login(self, user='anna'):
        pop = Pop(self.pop3, timeout=SECONDS, host=self.host)
        pop.login(user, PASSWORD)
        return pop


class Site:
    """What was acknowledged, by all nodes, for one user; each message has a number of its own."""

    def __init__(self, part=2):
        """part: sessions delete every part-th message of those that there are."""
        self.part, self.lock = part, threading.Lock()
        self.sent, self.delivered, self.deleted, self.doubtful = 0, set(), set(), set()
        self.wrong = []

    @staticmethod
    def text(number):
        """Of up to some 70,000 octets: by value, and in slices."""
        return (f'Subject: number {number}\r\n\r\n' +
                f'{number:070}\r\n' * (number % 10 * number % 1000)).encode()

    def send(self, node, user='anna'):
        """True: it was answered with 250."""
        with self.lock:
            self.sent += 1
            number = self.sent
        try:
            replies = node.deliver(self.text(number), user)
        except (OSError, EOFError, AssertionError):
            return False
        if replies[0].startswith('250'):
            with self.lock:
                self.delivered.add(number)
            return True
        return False

    def numbers(self, pop):
        """{number of the site: message number} of a session, each body compared."""
        found = {}
        for n in range(1, pop.stat()[0] + 1):
            body = pop.retr(n)
            number = int(body.split(b'Subject: number ')[1].split(b'\r\n')[0])
            if not body.endswith(self.text(number)):
                self.wrong.append(f'number {number} has other octets')
            if number in found:
                self.wrong.append(f'number {number} is there twice')
            found[number] = n
        return found

    def look(self, pop, certain=()):
        """certain: what had been delivered before the login."""
        found = self.numbers(pop)
        with self.lock:
            again = self.deleted & found.keys()
            lost = set(certain) - found.keys() - self.deleted - self.doubtful
        if again:
            self.wrong.append(f'deleted, and there again: {sorted(again)}')
        if lost:
            self.wrong.append(f'acknowledged, and lost: {sorted(lost)}')
        return found

    def collect(self, node, user):
        """Reads all, deletes some; a session that is cut deletes nothing for certain."""
        with self.lock:
            certain = set(self.delivered)
        try:
            pop = node.login(user)
        except (OSError, EOFError, AssertionError):
            return False
        chosen = set()
        try:
            found = self.look(pop, certain)
            chosen = {number for number in found if number % self.part == 0}
            for number in chosen:
                pop.ok(f'DELE {found[number]}')
            with self.lock:
                self.doubtful |= chosen
            pop.quit()
        except (OSError, EOFError, AssertionError):
            pop.close()
            return False
        with self.lock:
            self.doubtful -= chosen
            self.deleted |= chosen
        return True
