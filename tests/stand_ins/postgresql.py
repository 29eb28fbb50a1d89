"""Debian's PostgreSQL in a folder of the test's own, on a Unix socket and a free port of loopback.

Runs as the user postgres if the test is root, and ends with stop(). sql('…') runs statements as the
role that a site would have. kill(), pause() and go_on() are what happens to databases."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time

OWNER = 'postgres'
ROLE, PASSWORD = 'valija', 'pg secret'


def programs():
    """The folder of its programs; None: it is not installed."""
    found = sorted(pathlib.Path('/usr/lib/postgresql').glob('*/bin/initdb'))
    return found[-1].parent if found else None


def as_owner():
    """A command in front of those that run as its user, in the same process."""
    change = [f'--reuid={OWNER}', f'--regid={OWNER}', '--init-groups'] if os.geteuid() == 0 else []
    return ['setpriv', '--pdeathsig', 'QUIT', *change]


class PostgreSql:
    name = 'postgresql'

    def __init__(self, folder, port, certificate=None):
        self.folder, self.port = pathlib.Path(folder), port
        self.data = self.folder / 'data'
        self.process = None
        self.folder.mkdir(parents=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, OWNER)
        self.run(programs() / 'initdb', '-D', self.data, '-U', 'owner', '--auth-local=trust',
                 '--auth-host=scram-sha-256', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync')
        self.settings = ['fsync=off', f'unix_socket_directories={self.folder}',
                         'max_connections=40']
        if certificate:
            self.settings.append('ssl=on')
            for kind, name in zip(('cert', 'key'), certificate):
                copy = self.data / f'own-{kind}.pem'
                shutil.copy(name, copy)
                copy.chmod(0o600)
                if os.geteuid() == 0:
                    shutil.chown(copy, OWNER)
                self.settings.append(f'ssl_{kind}_file={copy}')
        self.start()
        for text in (f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'",
                     f'CREATE DATABASE mail OWNER {ROLE}'):
            self.sql(text, database='postgres', user='owner')

    def run(self, *args, stdin=''):
        done = subprocess.run([*as_owner(), *map(str, args)], input=stdin, text=True,
                              capture_output=True, timeout=120, cwd='/')
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self):
        words = [word for setting in self.settings for word in ('-c', setting)]
        self.process = subprocess.Popen(
            [*as_owner(), programs() / 'postgres', '-D', self.data, '-p', str(self.port),
             '-h', '127.0.0.1', *words],
            stdout=(self.folder / 'log').open('a'), stderr=subprocess.STDOUT, cwd='/',
            start_new_session=True)
        deadline = time.monotonic() + 60
        while subprocess.run([programs() / 'pg_isready', '-q', '-h', self.folder, '-p',
                              str(self.port)], check=False).returncode:
            assert self.process.poll() is None and time.monotonic() < deadline, \
                (self.folder / 'log').read_text()
            time.sleep(0.05)

    def sql(self, text, database='mail', user=ROLE):
        return self.run(programs() / 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h',
                        self.folder, '-p', self.port, '-U', user, database, stdin=text).strip()

    def connect(self, socket_path=False):
        """The setting connect: by TCP, or by its socket."""
        host = self.folder if socket_path else '127.0.0.1'
        return f'postgresql:host={host} port={self.port} dbname=mail user={ROLE}'

    def server_pids(self):
        """It and its children."""
        first = self.process.pid
        children = pathlib.Path(f'/proc/{first}/task/{first}/children').read_text().split()
        return [first, *map(int, children)]

    def kill(self):
        """At once, as a machine that fails: nobody says goodbye."""
        for pid in self.server_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)
        self.process = None
        (self.data / 'postmaster.pid').unlink(missing_ok=True)

    def pause(self):
        self.paused = self.server_pids()
        for pid in self.paused:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def go_on(self):
        for pid in self.paused:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def stop(self):
        if not self.process:
            return
        for pid in self.server_pids():
            with contextlib.suppress(ProcessLookupError):  # workers come and go
                os.kill(pid, signal.SIGCONT)
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.process = None


