"""Users of a system of our own: a copy of /etc that is mounted over /etc in a mount namespace,
which lasts as long as the object. Users are made by useradd and chpasswd, PAM is the machine's own.
Needs root; the machine's files stay as they are."""
import pathlib
import shutil
import subprocess
import tempfile

TOOLS = ('unshare', 'nsenter', 'useradd', 'usermod', 'chage', 'chpasswd')
MODULES = [folder / 'security' for folder in (*pathlib.Path('/lib').glob('*-linux-gnu*'),
                                              pathlib.Path('/lib'), pathlib.Path('/lib64'))]


def missing():
    """What this machine does not have; None: all is there."""
    for tool in TOOLS:
        if not shutil.which(tool):
            return tool
    if not any((folder / 'pam_unix.so').exists() for folder in MODULES):
        return 'pam_unix'
    if not pathlib.Path('/etc/pam.d/common-auth').exists():
        return "Debian's /etc/pam.d/common-auth"
    return None


class SystemUsers:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='valija-etc-'))
        self.folder.chmod(0o755)
        self.etc = self.folder / 'etc'
        self.holder = None
        subprocess.run(['cp', '-a', '/etc', self.etc], check=True)
        self.holder = subprocess.Popen(
            ['unshare', '--mount', '--propagation', 'private', 'setpriv', '--pdeathsig', 'KILL',
             'sh', '-ec', f'mount --bind {self.etc} /etc; echo there; exec sleep infinity'],
            stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == 'there\n'

    @property
    def inside(self):
        return ['nsenter', '--mount', f'--target={self.holder.pid}']

    def run(self, *command, stdin=''):
        done = subprocess.run([*self.inside, *map(str, command)], input=stdin, text=True,
                              capture_output=True, cwd='/')
        assert done.returncode == 0, f'{command}: {done.stdout}{done.stderr}'
        return done.stdout

    def add(self, name, uid, password, home, *options):
        self.run('useradd', '--badname', '--uid', uid, '--no-user-group', '--gid', 100,
                 '--home-dir', home, '--no-create-home', *options, name)
        if password is not None:
            # a hash that costs next to nothing
            self.run('chpasswd', '--crypt-method', 'SHA256', '--sha-rounds', 1000,
                     stdin=f'{name}:{password}\n')

    def service(self, text, name='valija'):
        (self.etc / 'pam.d' / name).write_text(text)

    def close(self):
        if self.holder:
            self.holder.kill()
            self.holder.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
