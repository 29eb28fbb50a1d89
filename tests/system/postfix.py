"""A Postfix of the test's own: configuration, queue and log in a scratch folder, no listener but
those that a test asks for.
Needs root (Postfix wants its own users for its queue); the machine's Postfix is not touched."""
import grp
import os
import pathlib
import pwd
import shutil
import subprocess
import time

MASTER = '''\
pickup    unix n - n 1 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 1 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
showq     unix n - n - - showq
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
lmtp      unix - - n - - lmtp
anvil     unix - - n - 1 anvil
tlsmgr    unix - - n 1000? 1 tlsmgr
verify    unix - - n - 1 verify
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
valija    unix - n n - - pipe flags= user={user} null_sender=
  argv={deliver} -f ${{sender}} -- ${{recipient}}
'''

MAIN = '''\
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
myhostname = mta.test
mydestination =
mynetworks_style = host
inet_interfaces = loopback-only
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = example.org
virtual_transport = {transport}
valija_destination_recipient_limit = 1
lmtp_line_length_limit = 0
message_drop_headers =
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
'''


def why_not():
    """Why no Postfix can be run here; None if one can."""
    if os.geteuid() != 0:
        return 'needs root'
    if not shutil.which('postfix', path='/usr/sbin:' + os.environ.get('PATH', '')):
        return 'postfix is not installed'
    return None


class Postfix:
    def __init__(self, folder, transport, user='nobody', deliver='/bin/false', main='',
                 master='', inside=()):
        """inside: a command that runs it elsewhere: in namespaces."""
        self.inside = inside
        self.dir = pathlib.Path(folder)
        owner = pwd.getpwnam('postfix')
        for path in (self.dir, self.dir / 'queue', self.dir / 'data', self.dir / 'etc'):
            path.mkdir(mode=0o755, exist_ok=True)
        os.chown(self.dir / 'data', owner.pw_uid, owner.pw_gid)
        self.conf = self.dir / 'etc'
        (self.conf / 'main.cf').write_text(MAIN.format(dir=self.dir, transport=transport) + main)
        (self.conf / 'master.cf').write_text(MASTER.format(user=user, deliver=deliver) + master)
        self.environment = {'MAIL_CONFIG': str(self.conf), 'PATH': '/usr/sbin:/usr/bin:/sbin:/bin',
                            'LANG': 'C'}
        assert grp.getgrnam('postdrop')

    def __enter__(self):
        self._run('postfix', '-c', self.conf, 'check')
        self._run('postfix', '-c', self.conf, 'start')
        return self

    def __exit__(self, *_):
        self._run('postfix', '-c', self.conf, 'stop', check=False)
        self._run('postfix', '-c', self.conf, 'abort', check=False)

    def _run(self, *command, check=True, **more):
        done = subprocess.run([*self.inside, *map(str, command)], env=self.environment,
                              capture_output=True, timeout=60, cwd='/', **more)
        if check and done.returncode:
            raise AssertionError(f'{command}: {done.returncode}: {done.stderr.decode()}\n'
                                 f'{self.log()}')
        return done

    def sendmail(self, message, *recipients, sender='carol@example.org'):
        self._run('sendmail', '-C', self.conf, '-i', '-f', sender, *recipients, input=message)

    def flush(self):
        self._run('postqueue', '-c', self.conf, '-f')

    def queue(self):
        return self._run('postqueue', '-c', self.conf, '-j').stdout.decode()

    def wait_empty(self, seconds=60):
        """Waits until everything is delivered or sent back."""
        deadline = time.monotonic() + seconds
        while queue := self.queue():
            assert time.monotonic() < deadline, f'still in the queue: {queue}\n{self.log()}'
            time.sleep(0.1)

    def wait_deferred(self, seconds=30):
        deadline = time.monotonic() + seconds
        while 'status=deferred' not in self.log():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def log(self):
        path = self.dir / 'log'
        return path.read_text() if path.exists() else '(no log)'
