"""Debian's MariaDB in a folder of the test's own, on a Unix socket and a free port of loopback.

Runs as the user mysql if the test is root, and ends with stop(). sql('…') runs statements as root
of the database. kill(), pause() and go_on() are what happens to databases."""
import os
import pathlib
import shutil
import signal
import subprocess
import time

OWNER = 'mysql'
ROLE, PASSWORD = 'valija', 'maria secret'


def installed():
    return shutil.which('mariadbd', path='/usr/sbin:/usr/bin') is not None


def as_owner():
    """A command in front of those that run as its user, in the same process."""
    change = [f'--reuid={OWNER}', f'--regid={OWNER}', '--init-groups'] if os.geteuid() == 0 else []
    return ['setpriv', '--pdeathsig', 'KILL', *change]


class MariaDb:
    name = 'mysql'

    def __init__(self, folder, port, certificate=None):
        self.folder, self.port = pathlib.Path(folder), port
        self.data, self.socket = self.folder / 'data', self.folder / 'socket'
        self.process = None
        self.folder.mkdir(parents=True)
        # of its own: it removes what others have in /tmp at its start
        temporary = self.folder / 'tmp'
        temporary.mkdir()
        self.settings = ['--no-defaults', f'--datadir={self.data}', f'--tmpdir={temporary}',
                         '--innodb-buffer-pool-size=16M',
                         '--innodb-log-file-size=8M', '--innodb-flush-log-at-trx-commit=2']
        if os.geteuid() == 0:
            shutil.chown(self.folder, OWNER)
            shutil.chown(temporary, OWNER)
        for kind, name in zip(('cert', 'key'), certificate or ()):
            copy = self.folder / f'own-{kind}.pem'
            shutil.copy(name, copy)
            if os.geteuid() == 0:
                shutil.chown(copy, OWNER)
            self.settings.append(f'--ssl-{kind}={copy}')
        self.run('mariadb-install-db', *self.settings[:5], '--skip-test-db',
                 '--auth-root-authentication-method=normal')
        self.start()
        self.sql(f"CREATE DATABASE mail; CREATE USER {ROLE}@'%' IDENTIFIED BY '{PASSWORD}';"
                 f"GRANT ALL ON mail.* TO {ROLE}@'%'", database='')

    def run(self, *args, stdin=''):
        done = subprocess.run([*as_owner(), *map(str, args)], input=stdin, text=True,
                              capture_output=True, timeout=180, cwd='/')
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self):
        self.process = subprocess.Popen(
            [*as_owner(), '/usr/sbin/mariadbd', *self.settings, f'--socket={self.socket}',
             f'--port={self.port}', '--bind-address=127.0.0.1', f'--pid-file={self.folder}/pid'],
            stdout=(self.folder / 'log').open('a'), stderr=subprocess.STDOUT, cwd='/',
            start_new_session=True)
        deadline = time.monotonic() + 90
        while subprocess.run(['mariadb-admin', '--no-defaults', '-u', 'root', '-S', self.socket,
                              'ping'], capture_output=True, check=False).returncode:
            assert self.process.poll() is None and time.monotonic() < deadline, \
                (self.folder / 'log').read_text()
            time.sleep(0.1)

    def sql(self, text, database='mail'):
        return self.run('mariadb', '--no-defaults', '-N', '-B', '-u', 'root', '-S', self.socket,
                        *([database] if database else []), stdin=text).strip()

    def connect(self, socket_path=False):
        host = self.socket if socket_path else '127.0.0.1'
        port = '' if socket_path else f' port={self.port}'
        return f'mysql:host={host}{port} dbname=mail user={ROLE}'

    def kill(self):
        self.process.kill()
        self.process.wait(30)
        self.process = None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if not self.process:
            return
        self.go_on()
        self.process.terminate()
        self.process.wait(60)
        self.process = None
