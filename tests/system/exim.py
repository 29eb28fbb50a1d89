"""Debian's Exim, with a configuration of the test's own: spool and log in a scratch folder, a port
on loopback. As a package it cannot be installed beside Postfix, so `./dev test` unpacks it into a
folder (build-exim). Its binary wants the user Debian-exim: it runs in a mount namespace whose
/etc/passwd has one, so root is needed; the machine's files are not touched."""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess

from office import ROOT, free_port, wait_until

UNPACKED = pathlib.Path(ROOT / os.environ.get('VALIJA_EXIM', 'build-exim')).resolve()
BINARY = UNPACKED / 'usr/sbin/exim4'
USER = 'mail'  # Debian-exim has its uid and gid: valijad finds users by the machine's own list

MAIN = '''\
primary_hostname = mta.test
qualify_domain = mta.test
exim_path = {binary}
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
pid_file_path = {dir}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
keep_environment = LD_LIBRARY_PATH
deliver_drop_privilege
never_users =
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = {dir}/cert.pem
tls_privatekey = {dir}/key.pem
message_size_limit = 50M
'''
RETRY = '''
begin retry
* * F,1h,1s
'''


def why_not():
    """Why no Exim can be run here; None if one can."""
    if os.geteuid() != 0:
        return 'needs root'
    if not BINARY.exists():
        return f'Exim is not in {UNPACKED}: ./dev test puts it there'
    if not shutil.which('unshare') or subprocess.run(['unshare', '-m', 'true'], check=False,
                                                     capture_output=True).returncode:
        return 'no mount namespaces here'
    return None


def libraries():
    return sorted({str(path.parent) for path in UNPACKED.rglob('lib*.so.*')})


def environment():
    return {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LANG': 'C',
            'LD_LIBRARY_PATH': ':'.join(libraries())}


def write_users(folder):
    """passwd and group, with Debian-exim."""
    owner = pwd.getpwnam(USER)
    for name, line in (('passwd', f'Debian-exim:x:{owner.pw_uid}:{owner.pw_gid}::/:/bin/false\n'),
                       ('group', f'Debian-exim:x:{owner.pw_gid}:\n')):
        (folder / name).write_text(line + pathlib.Path('/etc', name).read_text())


def inside(*binds):
    """A command in front of others: with those folders or files (source, target) mounted."""
    mounts = [f'mount --bind {source} {target}' for source, target in binds]
    return ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec',
            '; '.join(mounts) + '; exec "$@"', 'sh']


def start(command, log):
    """The daemon; log: what it wrote so far."""
    process = subprocess.Popen(
        ['setpriv', '--pdeathsig', 'TERM', *map(str, command)], env=environment(), cwd='/',
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: process.poll() is not None or 'daemon started' in log())
        assert process.poll() is None, process.stderr.read() + log()
    except BaseException:
        stop(process)
        raise
    return process


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.wait(20)
    process.stderr.close()


class Exim:
    """sections: the configuration from "begin acl" on; main: more settings in front of them."""

    def __init__(self, folder, certificate, key, main='', sections=''):
        self.dir = pathlib.Path(folder)
        self.port = free_port()
        self.process = None
        for path in (self.dir, self.dir / 'spool', self.dir / 'log'):
            path.mkdir(mode=0o755, exist_ok=True)
            shutil.chown(path, USER, USER)
        for source, name in ((certificate, 'cert.pem'), (key, 'key.pem')):
            shutil.copy(source, self.dir / name)
            shutil.chown(self.dir / name, USER, USER)
        # its set-uid bit would make the dynamic linker forget LD_LIBRARY_PATH
        self.binary = self.dir / 'exim4'
        shutil.copyfile(BINARY, self.binary)
        self.binary.chmod(0o755)
        self.conf = self.dir / 'exim.conf'
        self.conf.write_text(MAIN.format(dir=self.dir, port=self.port, binary=self.binary)
                             + main + sections + RETRY)
        write_users(self.dir)
        self.inside = inside(*((self.dir / name, f'/etc/{name}') for name in ('passwd', 'group')))

    def __enter__(self):
        self.process = start([*self.inside, self.binary, '-bdf', '-q1s', '-C', self.conf], self.log)
        return self

    def __exit__(self, *_):
        stop(self.process)

    def run(self, *args, check=True, stdin=''):
        done = subprocess.run([*map(str, [*self.inside, self.binary, '-C', self.conf, *args])],
                              env=environment(), cwd='/', capture_output=True, text=True,
                              input=stdin, timeout=60, check=False)
        assert not check or done.returncode == 0, done
        return done.stdout + done.stderr

    def log(self):
        return '\n'.join(path.read_text(errors='replace')
                         for path in sorted((self.dir / 'log').iterdir()))

    def queue(self):
        return self.run('-bp')

    def wait_empty(self, seconds=60):
        wait_until(lambda: not self.queue().strip(), seconds)


UPDATE = """\
dc_eximconfig_configtype='internet'
dc_other_hostnames='mta.test'
dc_local_interfaces='127.0.0.1.{port}'
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='{split}'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
"""
MACROS = """\
MAIN_TLS_ENABLE = 1
MAIN_HOST_LOOKUP = :
"""
KEPT = ('nsswitch.conf', 'hosts', 'hostname', 'resolv.conf', 'services', 'protocols',
        'alternatives', 'ld.so.conf', 'ld.so.conf.d', 'localtime', 'debian_version')


class DebianExim:
    """Exim with the configuration and the programs of Debian's packages, in their places: in mount
    namespaces with folders of ours over /etc, /usr/sbin, /var/lib, /var/spool and /var/log."""

    def __init__(self, folder, certificate, key, split):
        self.dir = pathlib.Path(folder)
        self.port = free_port()
        self.process = None
        self.etc = self.dir / 'etc'
        for name in ('etc', 'sbin', 'real-sbin', 'lib/exim4', 'spool/exim4', 'log/exim4'):
            (self.dir / name).mkdir(parents=True)
        for name in ('spool/exim4', 'log/exim4'):
            shutil.chown(self.dir / name, USER, USER)
        for name in KEPT:
            source = pathlib.Path('/etc', name)
            if source.is_dir():
                shutil.copytree(source, self.etc / name, symlinks=True)
            elif source.exists():
                shutil.copy(source, self.etc / name)
        write_users(self.etc)
        (self.etc / 'mailname').write_text('mta.test\n')
        (self.etc / 'ld.so.conf.d').mkdir(exist_ok=True)
        (self.etc / 'ld.so.conf.d/exim.conf').write_text('\n'.join(libraries()) + '\n')
        self.conf = self.etc / 'exim4'
        shutil.copytree(UNPACKED / 'etc/exim4', self.conf)
        for source, name in ((certificate, 'exim.crt'), (key, 'exim.key')):
            shutil.copy(source, self.conf / name)
            shutil.chown(self.conf / name, USER, USER)
        self.settings = self.conf / 'update-exim4.conf.conf'
        self.settings.write_text(UPDATE.format(port=self.port, split=str(split).lower()))
        (self.conf / ('conf.d/main/000_localmacros' if split else 'exim4.conf.localmacros')
         ).write_text(MACROS)
        self._fill_sbin()
        self.run('ldconfig')
        self.run('update-exim4.conf')

    def _fill_sbin(self):
        """Those of the machine, and those of Exim's packages, in /usr/sbin."""
        for path in pathlib.Path('/usr/sbin').iterdir():
            (self.dir / 'sbin' / path.name).symlink_to(self.dir / 'real-sbin' / path.name)
        for path in (UNPACKED / 'usr/sbin').iterdir():
            target = self.dir / 'sbin' / path.name
            target.unlink(missing_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)
        (self.dir / 'sbin/exim4').chmod(0o4755)
        self.inside = inside(
            ('/usr/sbin', self.dir / 'real-sbin'), (self.dir / 'sbin', '/usr/sbin'),
            (self.etc, '/etc'),
            *((self.dir / name, f'/var/{name}') for name in ('lib', 'spool', 'log')))

    def __enter__(self):
        self.process = start([*self.inside, '/usr/sbin/exim4', '-bdf', '-q1s'], self.log)
        return self

    def __exit__(self, *_):
        stop(self.process)
        self.process = None

    def run(self, *args, check=True, stdin=''):
        done = subprocess.run([*map(str, [*self.inside, *args])], cwd='/', capture_output=True,
                              env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LANG': 'C'},
                              text=True, input=stdin, timeout=60, check=False)
        assert not check or done.returncode == 0, done
        return done

    def files(self):
        """{path: octets} of the configuration."""
        return {str(path.relative_to(self.conf)): path.read_bytes()
                for path in sorted(self.conf.rglob('*')) if path.is_file()}

    def log(self):
        return '\n'.join(path.read_text(errors='replace')
                         for path in sorted((self.dir / 'log/exim4').iterdir()))
