"""A post office in a scratch folder for tests and the demo: `valija init` makes it, valijad serves.

Programs come from $VALIJA_BUILD. Works as root (the server then drops to the system users of
dist/sysusers.d) and without; runas=UID runs everything as that user, which needs root. Everything
ends with stop(), which also looks through the log for what must never be there.
"""
import atexit
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests/stand_ins'))

from ports import dead_port, free_port  # noqa: E402,F401  (the tests have them from here)

PASSWORD = 'correct horse'
READY_SECONDS = 30
MADE = {}  # what `valija init` of a build made for a hostname, and the ports in it
NOBODY = 65534
# wrong passwords are many in tests; what they cost is a test of its own
QUICK = {'timeouts.drain': '5s', 'login.failure_delay': '1ms', 'login.failure_delay_max': '1ms'}
SANITIZER = re.compile(r'AddressSanitizer|UndefinedBehaviorSanitizer|LeakSanitizer|runtime error:')
# a channel that one of our own processes was cut for what it sent
BROKEN = re.compile(r'channel to \w+ \d+ is gone: (?!the peer is gone)')


def build_dir():
    return (ROOT / os.environ.get('VALIJA_BUILD', 'build-test')).resolve()


def program(name):
    return build_dir() / name


def sanitized():
    return (build_dir() / 'meson-info/intro-buildoptions.json').read_text().find(
        '"value": "address,undefined"') >= 0


def environment():
    """For every program of ours: reports end the program; children that nobody may trace can't
    be searched for leaks."""
    return {**os.environ,
            'ASAN_OPTIONS': 'detect_leaks=0:abort_on_error=0:exitcode=99:handle_abort=1:'
                            'handle_sigill=1',  # undefined behaviour traps
            'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1:exitcode=99'}


class Office:
    def __init__(self, settings=None, users=('demo',), hostname='office.test', runas=None,
                 folder=None, ports=None, inside=()):
        self.scratch = pathlib.Path(folder or tempfile.mkdtemp(prefix='valija-test-'))
        self.scratch.chmod(0o755)
        self.runas = runas
        self.inside = inside  # a command that runs a program elsewhere: in namespaces
        self.bin = build_dir()
        self.process = None
        self.log = []
        self.allowed, self.allowed_later = [], []
        self.checked = 0
        self.limit_files = None
        self.given, self.pass_fds = (), ()  # a command that passes sockets, and those
        self.news = threading.Condition()
        self.delivered = 0
        if not _reachable(self.bin):
            self._lend_programs()
        # beside it, so that what lies in the office is the office
        self.state = pathlib.Path(f'{self.scratch}-state')
        self.state.mkdir(exist_ok=True)
        self.spool = self.state  # of large messages, unless lmtp.spool says otherwise
        if runas is not None:
            os.chown(self.scratch, runas, runas)
            os.chown(self.state, runas, runas)
        self.dir = self.scratch / 'office'
        self.conf = self.dir / 'valija.conf'
        self.pop3, self.pop3s, self.lmtp = ports or (free_port(), free_port(), free_port())
        if runas is None and not inside:
            self._copy_made(hostname)
        else:
            self._init(self.dir, hostname)
        self.cert = self.dir / 'tls/cert.pem'
        self.mail = self.dir / 'mail'
        for name, value in {**QUICK, **(settings or {})}.items():
            self.set(name, value)
        for user in users:
            self.add_user(user)

    def __enter__(self):
        if not self.process:
            self.start()
        return self

    def __exit__(self, kind, *_):
        self.stop(check=kind is None)
        self.remove()

    # the programs

    def _lend_programs(self):
        """Copies the programs to where every user can run them."""
        self.bin = self.scratch / 'bin'
        self.bin.mkdir()
        lookups = (path.name for path in build_dir().glob('valija-lookup-*') if path.is_file())
        for name in ('valijad', 'valija', *lookups):
            shutil.copy(program(name), self.bin / name)

    def environment(self):
        return {**environment(), 'STATE_DIRECTORY': str(self.state)}

    def _command(self, *args):
        prefix = [*self.inside]
        if self.runas is not None and os.geteuid() == 0:
            prefix += ['setpriv', f'--reuid={self.runas}', f'--regid={self.runas}',
                       '--clear-groups']
        if self.limit_files:
            prefix += ['prlimit', f'--nofile={self.limit_files}']
        return [*prefix, *map(str, args)]

    def valija(self, *args, stdin='', check=True, timeout=60):
        done = subprocess.run(self._command(self.bin / 'valija', *args), input=stdin, text=True,
                              capture_output=True, env=self.environment(), timeout=timeout, cwd='/')
        assert not SANITIZER.search(done.stderr), done.stderr
        if check and done.returncode:
            raise AssertionError(f'valija {" ".join(map(str, args))}: exit {done.returncode}\n'
                                 f'{done.stdout}{done.stderr}')
        return done

    def valijad(self, *args, timeout=60):
        """valijad run to its end: -t, -n, refusals."""
        return subprocess.run(self._command(self.bin / 'valijad', *args), text=True,
                              capture_output=True, env=self.environment(), timeout=timeout, cwd='/')

    # what it is made of

    def _init(self, folder, hostname):
        self.valija('init', folder, '--hostname', hostname,
                    *(f'--{service}=127.0.0.1:{port}' for service, port in
                      (('pop3', self.pop3), ('pop3s', self.pop3s), ('lmtp', self.lmtp))))

    def _copy_made(self, hostname):
        """What `valija init` makes, made once by each process for a build and a hostname: it would
        be run thousands of times. Of their own, offices have the ports and the mark of the mail."""
        key = build_dir(), hostname
        if key not in MADE:
            folder = pathlib.Path(tempfile.mkdtemp(prefix='valija-made-'))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            self._init(folder / 'office', hostname)
            MADE[key] = folder / 'office', (self.pop3, self.pop3s, self.lmtp)
        made, ports = MADE[key]
        shutil.copytree(made, self.dir)
        for path in (made, *made.rglob('*')):
            os.chown(self.dir / path.relative_to(made), *owner_of(path))
        # at once: a new port may be one of the old ones
        new = dict(zip(map(str, ports), (self.pop3, self.pop3s, self.lmtp)))
        self.conf.write_text(re.sub(r'127\.0\.0\.1:(\d+)"',
                                    lambda m: f'127.0.0.1:{new.get(m[1], m[1])}"',
                                    self.conf.read_text()))
        (self.dir / 'mail/.valija-root').write_text(secrets.token_hex(16) + '\n')

    def set(self, name, value):
        """A setting, "name" or "section.name"; takes effect at the next start or reload."""
        section, _, key = name.rpartition('.')
        text = self.conf.read_text()
        begin, end = 0, len(text)
        if section:
            found = re.search(rf'^{section} {{\n(.*?)^}}', text, re.M | re.S)
            assert found, f'{self.conf} has no section {section}'
            begin, end = found.span(1)
        lines, count = re.subn(rf'^(\s*)#?{key} = .*$', lambda m: f'{m[1]}{key} = {value}',
                               text[begin:end], 1, re.M)
        assert count, f'{self.conf} has no setting {name}'
        self.conf.write_text(text[:begin] + lines + text[end:])

    def add_certificate(self, certificate, key):
        """Another certificate, served to clients that ask for its name."""
        for path in (certificate, key):
            os.chown(path, *owner_of(self.dir))
        title = pathlib.Path(certificate).stem
        with self.conf.open('a') as file:
            file.write(f'\ntls "{title}" {{\n\tcertificate = "{certificate}"\n'
                       f'\tkey = "{key}"\n}}\n')

    def add_user(self, name, password=PASSWORD, scheme='PLAIN'):
        """A user who has no maildrop yet: the command finds no mail folder to make one in."""
        if scheme == 'PLAIN' and re.fullmatch('[a-z0-9@.]+', name) and '\n' not in password:
            self._add_line(f'{name}:{{PLAIN}}{password}\n')
            return
        conf = self.scratch / 'add-user.conf'
        text = re.sub(r'(?m)^(mail|users)\s*=.*\n', '', self.conf.read_text())
        conf.write_text(f'mail = "{self.scratch}/nowhere"\nusers = "{self.dir}/users"\n' + text)
        self.valija('user', 'add', '-c', conf, name, '--scheme', scheme, stdin=password + '\n')

    def _add_line(self, line):
        """What `valija user add` does to the users file, without a process for it."""
        users = self.dir / 'users'
        staged = self.scratch / 'users.new'
        status = users.stat()
        staged.touch(0o600)
        os.chown(staged, status.st_uid, status.st_gid)
        staged.chmod(status.st_mode & 0o777)
        staged.write_text(users.read_text() + line)
        os.rename(staged, users)

    def maildir(self, user):
        """The user's Maildir, made if it is not there, owned by the owner of DIR/mail."""
        maildir = self.mail / user
        for folder in (maildir, *(maildir / name for name in ('new', 'cur', 'tmp'))):
            if not folder.exists():
                folder.mkdir(mode=0o700)
                self.own(folder)
        return maildir

    def own(self, path):
        """What root makes in the mail would be root's: gives it to the owner of the mail."""
        os.chown(path, *owner_of(self.mail), follow_symlinks=False)

    def put(self, user, octets, name=None, folder='new', flags=None):
        """Delivers as an MDA would: written in tmp, renamed into place. Returns the path."""
        maildir = self.maildir(user)
        self.delivered += 1
        name = name or f'{1700000000 + self.delivered}.M{self.delivered}P{os.getpid()}.test'
        if folder == 'cur':
            name += f':2,{flags or ""}'
        staged, path = maildir / 'tmp' / 'being-written', maildir / folder / name
        staged.write_bytes(octets)
        self.own(staged)
        os.rename(staged, path)
        return path

    def put_many(self, user, messages):
        return [self.put(user, octets) for octets in messages]

    def files(self, user):
        """The message files of the user's Maildir. One that is being moved may be seen twice, one
        that was deleted stays for a moment: see has_files. Folders of one that is being made may
        be missing still."""
        maildir = self.mail / user
        assert maildir.exists(), f'{user} has no Maildir'
        return sorted(path for name in ('new', 'cur') if (maildir / name).exists()
                      for path in (maildir / name).iterdir())

    def octets(self, user):
        """What the files hold, in their order, of one moment: begun again where one was moved."""
        def look():
            try:
                return [[path.read_bytes() for path in self.files(user)]]
            except FileNotFoundError:
                return None
        return wait_until(look)[0]

    def has_files(self, user, count):
        """Waits until the Maildir has so many messages: the server tidies up behind its answer."""
        wait_until(lambda: len(self.files(user)) == count)

    # running it

    def start(self, wait=True):
        assert not self.process
        self.log, self.checked = [], 0
        self.process = subprocess.Popen(
            # it ends with us, also when pytest is interrupted or killed
            self._command('setpriv', '--pdeathsig', 'TERM', *self.given, self.bin / 'valijad',
                          '-c', self.conf),
            stdin=subprocess.DEVNULL, pass_fds=self.pass_fds,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
            env=self.environment(), cwd='/', start_new_session=True)  # Ctrl-C is not for it
        self.reader = threading.Thread(target=self._read_log,
                                       args=(self.process.stdout, self.log), daemon=True)
        self.reader.start()
        if wait:
            self.wait_log(r'\bready\b', READY_SECONDS)
        return self

    def _read_log(self, stream, log):
        """Into the log of this start: the end of a server that was killed may be read only when
        the next one has begun its own."""
        for line in stream:
            with self.news:
                log.append(line.rstrip('\n'))
                self.news.notify_all()
        with self.news:
            log.append(None)  # the end
            self.news.notify_all()

    def wait_log(self, pattern, seconds=15, since=0):
        """Waits for a log line; returns the line's number + 1, to go on from."""
        deadline = time.monotonic() + seconds
        with self.news:
            at = since
            while True:
                while at < len(self.log):
                    line = self.log[at]
                    at += 1
                    if line is None:
                        raise AssertionError(f'valijad ended, no "{pattern}":\n{self.log_end()}')
                    if re.search(pattern, line):
                        return at
                left = deadline - time.monotonic()
                if left <= 0 or not self.news.wait(left):
                    if time.monotonic() >= deadline:
                        raise AssertionError(
                            f'no "{pattern}" within {seconds} s:\n{self.log_end()}')

    def log_text(self):
        return '\n'.join(line for line in self.log if line is not None)

    def log_end(self):
        """Of a server that logs without end, as much as a person reads."""
        return self.log_text()[-6000:]

    def mark(self):
        """Where the log ends now, for wait_log(since=…)."""
        with self.news:
            return len(self.log)

    def reload(self, words=r'\breloaded\b'):
        """SIGHUP, and waits for what the log says about it."""
        mark = self.mark()
        self.process.send_signal(signal.SIGHUP)
        self.wait_log(words, since=mark)

    def upgrade(self, words=r'\bupgraded to valijad\b', seconds=READY_SECONDS):
        """SIGUSR2, and waits for what the log says about it."""
        mark = self.mark()
        self.process.send_signal(signal.SIGUSR2)
        self.wait_log(words, seconds, since=mark)

    def allow(self, *patterns):
        """Error lines that this test brings about."""
        self.allowed += patterns

    def children(self):
        """{pid: command line} of the server's processes, without the monitor, and without one that
        looks at the mail folder for it for a moment: that has the monitor's command line."""
        monitor, result, todo = None, {}, [self.process.pid]
        while todo:
            pid = todo.pop()
            try:
                for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
                    todo += map(int, (task / 'children').read_text().split())
                line = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()
                if pid == self.process.pid:
                    monitor = line
                elif line != monitor:
                    result[pid] = line.replace(b'\0', b' ').decode('latin-1').strip()
            except (FileNotFoundError, ProcessLookupError):
                continue
        return result

    def stop(self, check=True, seconds=20):
        if not self.process:
            return
        children = {pid: _started(pid) for pid in self.children()}
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = 'killed: it did not end by itself'
        self.reader.join(5)
        self.process = None
        if check:
            assert status == 0, f'valijad ended with {status}\n{self.log_end()}'
            left = [pid for pid, started in children.items()
                    if _alive(pid) and _started(pid) == started]
            assert not left, 'children outlived the monitor'
            self.check_log()

    def restart(self):
        self.stop()
        return self.start()

    def check_log(self):
        """Looks at what was said since the last look."""
        since, self.checked = self.checked, self.mark()
        text = '\n'.join(line for line in self.log[since:] if line is not None)
        assert not SANITIZER.search(text), text
        allowed = self.allowed + self.allowed_later
        bad = [line for line in text.split('\n')
               if (re.search(r'\]: error: ', line) or BROKEN.search(line)) and
               not any(re.search(pattern, line) for pattern in allowed)]
        assert not bad, 'unexpected errors in the log:\n' + '\n'.join(bad)

    def remove(self):
        shutil.rmtree(self.scratch, ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)


# valijad's loop counts with the kernel's coarse clock: a timer may come a tick (1 to 10 ms) early
TICK = 0.02


def wait_until(condition, seconds=10):
    """For what no event tells of; returns what condition returned."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, 'it did not come true in time'
        time.sleep(0.01)
    return result


def stats_below(folder):
    """{path: stat} of the folder and all below it, of one moment: where the server moves a file
    while we look, the look is begun again."""
    def look():
        try:
            return {path: path.lstat() for path in (folder, *folder.rglob('*'))}
        except FileNotFoundError:
            return None
    return wait_until(look)


def owner_of(path):
    status = path.stat()
    return status.st_uid, status.st_gid


def _reachable(path):
    """Whether every user of the machine may go there: a checkout in root's home is not."""
    return all(place.stat().st_mode & 0o001 for place in (path, *path.parents))


def _stat(pid):
    return pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()


def _started(pid):
    """A number is given again within seconds where many tests run."""
    try:
        return _stat(pid)[19]
    except (FileNotFoundError, ProcessLookupError):
        return None


def _alive(pid):
    try:
        return _stat(pid)[0] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False
