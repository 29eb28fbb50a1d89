"""A Debian in a container with systemd as its first process, for what only a whole system shows.

The tree of packages is made once by debootstrap and kept in $XDG_CACHE_HOME/valija-tests (default
~/.cache); each container runs on a copy. It has its own network and ends with the test.
"""
import ctypes
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import office as post
from office import wait_until

TOOLS = ('systemd-nspawn', 'debootstrap', 'nsenter', 'setpriv', 'unshare', 'dpkg-query')
MIRROR = 'http://deb.debian.org/debian'
BOOTSTRAP_SECONDS = 300
# what nspawn's own filter would take away from the unit, which makes sandboxes itself
CALLS = 'seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self'
CLONE_NEWNET = 0x40000000
# A control group of its own, in every hierarchy that systemd uses: without one, two containers
# beside each other would take each other's services for theirs.
IN_GROUP = '''
for top in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ -w "$top/cgroup.procs" ] || continue
    mkdir "$top/$1" && echo $$ >"$top/$1/cgroup.procs" || exit 1
done
shift
exec "$@"
'''
CGROUPS = [pathlib.Path('/sys/fs/cgroup', name) for name in ('', 'systemd', 'unified')]


class Impossible(Exception):
    """This machine cannot run containers: the reason."""


def release():
    """(distribution, code name) of this machine: programs built here need its libraries."""
    lines = pathlib.Path('/etc/os-release').read_text().splitlines()
    values = dict(line.split('=', 1) for line in lines if '=' in line)
    return values.get('ID', '').strip('"'), values.get('VERSION_CODENAME', '').strip('"')


def check_machine():
    if os.geteuid() != 0:
        raise Impossible('needs root')
    missing = [name for name in TOOLS if not shutil.which(name)]
    if missing:
        raise Impossible(f'{", ".join(missing)} not installed')
    if release()[0] != 'debian' or not release()[1]:
        raise Impossible('the container needs the packages of a Debian release, this is none')


def mirror(suite):
    """Where apt of this machine gets that release."""
    done = subprocess.run(['apt-get', 'indextargets', 'Created-By: Packages', '--format',
                           '$(SITE) $(CODENAME) $(COMPONENT)'], capture_output=True, text=True)
    for line in done.stdout.splitlines():
        words = line.split()
        if words[1:] == [suite, 'main']:
            return words[0]
    return MIRROR


def library_packages(programs):
    """The packages of the libraries that the programs are linked to."""
    done = subprocess.run(['ldd', *programs], check=True, capture_output=True, text=True)
    files = {os.path.realpath(path) for path in re.findall(r'(/\S+\.so\S*) \(0x', done.stdout)}
    names = {name for file in files for name in (file, file.removeprefix('/usr'))}
    done = subprocess.run(['dpkg-query', '-S', *sorted(names)], capture_output=True, text=True)
    return sorted({line.split(':')[0] for line in done.stdout.splitlines()})


def bootstrap(suite, folder, packages, log):
    """Makes the tree. A mirror that fails, or does not answer in time, is no fault of ours. What
    debootstrap mounts in the tree is seen by itself only, and gone when it is killed: nobody may
    remove a tree with /proc and /sys in it."""
    with open(log, 'w') as output:
        process = subprocess.Popen(
            ['unshare', '--mount', 'debootstrap', '--variant=minbase',
             f'--include={",".join(packages)}', suite, str(folder), mirror(suite)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True)
        try:
            code = process.wait(BOOTSTRAP_SECONDS)
        except subprocess.TimeoutExpired:
            code = f'not done within {BOOTSTRAP_SECONDS} s'
        finally:
            if process.poll() is None:  # its session: downloads run as children of its own
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code:
        raise Impossible(f'debootstrap cannot make a system ({code}): {log.read_text()[-500:]}')


def cached_tree(packages):
    """The folder of a system with these packages; two runs at once make it once."""
    suite = release()[1]
    cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache')
    cache /= 'valija-tests'
    cache.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(' '.join(packages).encode()).hexdigest()[:12]
    tree, new = cache / f'{suite}-{key}', cache / f'{suite}-{key}.new'
    with open(cache / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if tree.exists():
            return tree
        shutil.rmtree(new, ignore_errors=True)
        try:
            bootstrap(suite, new, packages, cache / 'debootstrap.log')
        except Impossible:
            shutil.rmtree(new, ignore_errors=True)
            raise
        for name in ('usr/share/doc', 'usr/share/locale', 'usr/share/man', 'var/cache/apt',
                     'var/lib/apt/lists'):
            shutil.rmtree(new / name, ignore_errors=True)
        new.rename(tree)
    return tree


def remove_group(path):
    """False: a process in it has not ended yet."""
    try:
        path.rmdir()
        return True
    except OSError:
        return not path.exists()


class Container:
    def __init__(self, programs):
        check_machine()
        tree = cached_tree(['systemd', 'systemd-sysv', *library_packages(programs)])
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix='valija-test-'))
        self.root = self.scratch / 'root'
        subprocess.run(['cp', '-a', '--reflink=auto', tree, self.root], check=True)
        self.log = self.scratch / 'console'
        self.process = self.leader = None
        self.name = self.scratch.name.replace('_', 'x')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.scratch, ignore_errors=True)

    # running it

    def start(self):
        """Boots it. A host that runs systemd gives it a scope; else it gets a group from here."""
        host = pathlib.Path('/run/systemd/system').exists()
        group = [] if host else ['sh', '-c', IN_GROUP, 'sh', self.name]
        keep = [] if host else ['--keep-unit']
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.settimeout(0.2)
        ready.bind(str(self.scratch / 'ready'))
        with ready, open(self.log, 'w') as log:
            self.process = subprocess.Popen(
                [*group, 'setpriv', '--pdeathsig', 'TERM', 'systemd-nspawn', '--boot', '--quiet',
                 '--register=no', *keep, '--private-network', '--settings=no', '--link-journal=no',
                 '--resolv-conf=off', '--timezone=off', f'--system-call-filter={CALLS}',
                 '--notify-ready=yes', f'--machine={self.name}', f'--directory={self.root}'],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, 'NOTIFY_SOCKET': str(self.scratch / 'ready')},
                start_new_session=True)
            wait_until(lambda: self._booted(ready), 60)
        self.leader = self._first_process()
        return self

    def _first_process(self):
        children = pathlib.Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children')
        pids = children.read_text().split()
        return int(pids[0]) if pids else None

    def _booted(self, ready):
        if self.process.poll() is not None:
            raise Impossible(f'systemd-nspawn ended: {self.log.read_text()[-500:]}')
        try:
            return b'READY=1' in ready.recv(4096)
        except TimeoutError:
            return False

    def stop(self):
        """Ends the first process, and with it all others; nspawn ends when it is gone."""
        if not self.process:
            return
        if self.process.poll() is None and (pid := self._first_process()):
            os.kill(pid, signal.SIGKILL)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = self.leader = None
        for top in CGROUPS:
            folders = [path for path in (top / self.name).rglob('*') if path.is_dir()]
            for path in [*sorted(folders, reverse=True), top / self.name]:
                if path.exists():
                    wait_until(lambda: remove_group(path))

    # inside

    def run(self, *command, check=True):
        """Runs a command in the container; its output."""
        done = subprocess.run(
            ['nsenter', '-t', str(self.leader), '-m', '-u', '-i', '-n', '-p', '-r', '-w', '--',
             '/usr/bin/env', '-i', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin',
             'LANG=C.UTF-8', *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors='replace', timeout=60)
        assert not check or done.returncode == 0, f'{command}: {done.returncode}: {done.stdout}'
        return done

    def connect(self, address, timeout=10):
        """A socket in the container's network, connected: a thread goes there to make it."""
        result = []

        def enter():
            try:
                with open(f'/proc/{self.leader}/ns/net') as namespace:
                    libc = ctypes.CDLL(None, use_errno=True)
                    if libc.setns(namespace.fileno(), CLONE_NEWNET) < 0:
                        raise OSError(ctypes.get_errno(), 'setns')
                result.append(socket.create_connection(address, timeout))
            except OSError as failure:
                result.append(failure)
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if isinstance(result[0], OSError):
            raise result[0]
        return result[0]

    def properties(self, unit, *names):
        done = self.run('systemctl', 'show', unit, *(f'--property={name}' for name in names))
        return dict(line.split('=', 1) for line in done.stdout.splitlines())

    def journal(self, *options):
        return self.run('journalctl', '--no-pager', '-o', 'cat', *options).stdout

    def install(self):
        """What `ninja install` puts on a system."""
        subprocess.run(['/usr/bin/meson', 'install', '-C', str(post.build_dir()), '--no-rebuild',
                        '--quiet', '--destdir', str(self.root)], check=True, capture_output=True)
