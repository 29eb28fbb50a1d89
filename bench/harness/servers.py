"""Servers under test: start, stop, processor time, where their mail is. Ours and the bare one here,
the peers in peers.py.

Each has a folder of its own below the scratch folder, with real copies of the mail: none shares
files with another.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
import time

from . import machine

MAIL_UID = 20000  # owns the mail when the bench runs as root; needs no account


class Server:
    name = "server"
    users = "u"
    password = "secret"
    pop3 = pop3s = lmtp = None
    netns = None
    maildirs = True
    speaks_tls = True
    has_lmtp = True
    load_options = {}  # what the load generator does for it

    def __init__(self, bench, **settings):
        self.bench = bench
        self.settings = settings
        self.root = f"{bench.scratch}/{self.name}"
        self.mail = f"{self.root}/mail"
        self.process = None
        self.meter = None
        self.cores = bench.cores.server
        self.owner = MAIL_UID if os.getuid() == 0 else os.getuid()
        shutil.rmtree(self.root, ignore_errors=True)
        os.makedirs(self.mail)
        os.chmod(self.root, 0o755)

    @classmethod
    def named(cls, bench, label, **settings):
        """Another one of its kind, with other settings, under another name."""
        return type(cls.__name__, (cls,), {"name": label})(bench, **settings)

    # what each server says for itself
    def configure(self, accounts):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def drop_mail(self, number):
        """The next maildrop of that user is another one, and no reason for an alarm."""
        super().drop_mail(number)
        subprocess.run([f"{self.bench.build}/valija", "mark", "--forget",
                        f"{self.users}{number:06d}", f"{self.root}/office/mail"], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       env={**os.environ, "STATE_DIRECTORY": f"{self.root}/state"})

    def forget_index(self, user):
        """Removes what the server keeps about a maildrop, not the mail; the server may be running,
        nobody is logged in."""

    # mail
    def uid(self, _number):
        """Who owns a user's mail."""
        return self.owner

    def maildir(self, number):
        return f"{self.mail}/{self.users}{number:06d}"

    def make_mail(self, first, users, count, octets, names="sw", ends="lf", folder="cur"):
        """The same small maildrop for users first … first + users - 1."""
        for number in range(first, first + users) if users <= 64 else ():
            self.bench.makemail(maildir=self.maildir(number), count=count, octets=octets,
                                names=names, ends=ends, folder=folder,
                                owner=f"{self.owner}:{self.owner}")
        if users > 64:
            assert first == 0
            self.bench.makemail(maildirs=f"{self.mail}/{self.users}", users=users, count=count,
                                octets=octets, names=names, ends=ends, folder=folder,
                                owner=f"{self.owner}:{self.owner}")

    def drop_mail(self, number):
        shutil.rmtree(self.maildir(number), ignore_errors=True)

    # running
    def start(self, accounts):
        os.chown(self.mail, self.owner, -1)
        self.configure(accounts)
        self.meter = machine.Meter(self.name)
        log = open(f"{self.root}/stderr", "ab")
        # what is known of maildrops goes with them: the next ones here are others
        state = f"{self.root}/state"
        os.makedirs(state, exist_ok=True)
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log,
                                        stdin=subprocess.DEVNULL, preexec_fn=self._enter,
                                        cwd=self.root,
                                        env={**os.environ, "STATE_DIRECTORY": state})
        log.close()
        self.meter.root = self.process.pid
        self.wait_ready()
        return self

    def _enter(self):
        os.sched_setaffinity(0, self.cores)
        self.meter.enter()
        _raise_limit()
        os.setsid()

    def wait_ready(self):
        try:
            machine.wait_for_port(self.pop3, alive=lambda: self.process.poll() is None)
        except RuntimeError as error:
            raise RuntimeError(f"{self.name}: {error}: {self.last_words()}") from None

    def last_words(self):
        words = ""
        for name in ("stderr", "log"):
            try:
                with open(f"{self.root}/{name}", errors="replace") as file:
                    words += " ".join(file.read().splitlines()[-3:])
            except OSError:
                pass
        return words[-400:]

    def cpu(self):
        return self.meter.seconds()

    def rest(self, seconds=60):
        """Waits until the server has nothing left to do on its own (indexing, flushing)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            before = self.cpu()
            time.sleep(0.5)
            if self.cpu() - before < 0.005:
                return

    def pss(self):
        return machine.pss(self.meter.pids())

    def processes(self):
        return len(self.meter.pids())

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in self.meter.pids():
            if pid != os.getpid():
                _kill(pid)
        self.meter.close()
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def _kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


def _raise_limit():
    import resource

    for limit in (1048576, resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return
        except (ValueError, OSError):
            continue


class Bare(Server):
    """The trivial epoll server: the machine's limit and the load generator's."""

    name = "bare"
    speaks_tls = has_lmtp = False

    def configure(self, accounts):
        self.pop3 = machine.free_port()

    def command(self):
        return [f"{self.bench.programs}/bare_pop3", "--port", str(self.pop3),
                "--core", str(self.cores[0]),
                "--octets", str(self.settings.get("octets", 4096)),
                "--count", str(self.settings.get("count", 10))]


class Valija(Server):
    name = "valija"

    def configure(self, accounts):
        self.pop3, self.pop3s, self.lmtp = (machine.free_port() for _ in range(3))
        office = f"{self.root}/office"
        if os.getuid() == 0:
            self._need_users()
        shutil.rmtree(office, ignore_errors=True)
        subprocess.run([f"{self.bench.build}/valija", "init", office, "--hostname", "localhost",
                        "--pop3", f"127.0.0.1:{self.pop3}", "--pop3s", f"127.0.0.1:{self.pop3s}",
                        "--lmtp", f"127.0.0.1:{self.lmtp}"], check=True,
                       stdout=subprocess.DEVNULL)
        shutil.copy(f"{self.bench.scratch}/cert.pem", f"{office}/tls/cert.pem")
        shutil.copy(f"{self.bench.scratch}/key.pem", f"{office}/tls/key.pem")
        os.makedirs(self.mail, exist_ok=True)
        for name in os.listdir(f"{office}/mail"):  # the mark of the folder, which stands in for it
            shutil.move(f"{office}/mail/{name}", f"{self.mail}/{name}")
        os.rmdir(f"{office}/mail")
        os.symlink(self.mail, f"{office}/mail")
        scheme = self.settings.get("secret", "{PLAIN}secret")
        with open(f"{office}/users", "w") as file:
            for number in range(accounts):
                file.write(f"{self.users}{number:06d}:{scheme}\n")
        # the limits on connections are lifted: all of them come from one address here
        self._set({"connections": 200000, "connections_per_address": 0, "sessions_per_user": 100,
                   "cache_entries": 200000, "login": "10m"} | self.settings.get("conf", {}))
        self.office = office

    def _set(self, values):
        """Changes settings in the file that init wrote, where they are comments with defaults."""
        path = f"{self.root}/office/valija.conf"
        with open(path) as file:
            text = file.read()
        for name, value in values.items():
            text, changed = re.subn(rf"(?m)^\s*#{name} = .*$", f"{name} = {value}", text)
            if changed != 1:
                raise RuntimeError(f"valija.conf has {changed} settings called {name}")
        with open(path, "w") as file:
            file.write(text)

    @staticmethod
    def _need_users():
        for name in ("valija-net", "valija-auth", "valija-keys"):
            try:
                pwd.getpwnam(name)
            except KeyError:
                raise RuntimeError(f"no system user {name}: ./dev demo makes it, or "
                                   "systemd-sysusers dist/sysusers.d/valija.conf") from None

    def command(self):
        return [f"{self.bench.build}/valijad", "-c", f"{self.root}/office/valija.conf"]

    def forget_index(self, user):
        for name in os.listdir(self.maildir(user)):
            if name.startswith("valija") and name != "valija-uidl":
                path = f"{self.maildir(user)}/{name}"
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def may_raise_limit():
    """Whether this process has CAP_SYS_RESOURCE, which root in a container may lack."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> 24 & 1)
    return False


def settle():
    """Gives the kernel a moment to finish what the last round left (sockets, write-back)."""
    time.sleep(0.2)
