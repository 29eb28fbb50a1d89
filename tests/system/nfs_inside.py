"""Runs in the virtual machine of test_nfs.py: a server of the kernel's NFS on the loopback, valijad
on a client's side of it. A line a scenario: "SCENARIO VERSION good", or why not."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
import traceback

import office as post
from lmtp import Lmtp
from office import PASSWORD, Office, wait_until
from pop import Closed, Pop

SERVER = pathlib.Path('/srv/mail')  # what the NFS server has on its own disk
VMAIL = 'vmail'
OPTIONS = {'4.2': 'vers=4.2', '3': 'vers=3,nolock', '4.2 noac': 'vers=4.2,noac'}
PATIENCE = 150  # seconds: a server that was just started lets nobody in for a while
MESSAGE = b'Subject: x\n\n' + b'a line of text\n' * 10


class Site(Office):
    """An office whose mail is on NFS; server: the same folder on the server's side."""

    def __init__(self, version, **more):
        super().__init__(**more)
        name = f'site-{time.monotonic_ns()}'
        self.server = SERVER / name
        self.server.mkdir()
        self.server.chmod(0o755)
        shutil.chown(self.server, VMAIL, VMAIL)
        self.mount = pathlib.Path(f'/mnt/{name}')
        self.mount.mkdir(parents=True)
        where = '127.0.0.1:/mail/' if version.startswith('4') else '127.0.0.1:/srv/mail/'
        subprocess.run(['mount', '-t', 'nfs', '-o', OPTIONS[version] + ',soft,timeo=50,retrans=2',
                        where + name, self.mount], check=True)
        self.set('mail', f'"{self.mount}"')
        self.mail = self.mount
        # a server that was just started lets nobody open a file for some seconds
        as_vmail('touch', self.mount / 'probe')
        as_vmail('rm', self.mount / 'probe')

    def remove(self):
        subprocess.run(['umount', '-l', self.mount], check=False)
        super().remove()

    def put(self, user, octets, name=None, **_):
        """On the server: a client sees it when its caches allow."""
        maildir = self.server / user
        for folder in (maildir, *(maildir / part for part in ('new', 'cur', 'tmp'))):
            if not folder.exists():
                folder.mkdir(mode=0o700)
                shutil.chown(folder, VMAIL, VMAIL)
        self.delivered += 1
        path = maildir / 'new' / (name or f'{1700000000 + self.delivered}.M1P1.server')
        staged = maildir / 'tmp' / 'staged'
        staged.write_bytes(octets)
        shutil.chown(staged, VMAIL, VMAIL)
        os.rename(staged, path)
        return path


def as_vmail(*command):
    """Through NFS, where root is nobody."""
    subprocess.run(['setpriv', f'--reuid={VMAIL}', f'--regid={VMAIL}', '--clear-groups',
                    *map(str, command)], check=True, timeout=150)


def login(site):
    client = Pop(site.pop3, timeout=PATIENCE)
    client.ok('USER demo')
    client.ok(f'PASS {PASSWORD}')
    return client


def deliver(site, user='demo'):
    with Lmtp(site.lmtp, timeout=PATIENCE) as client:
        client.ask('MAIL FROM:<a@b.example>')
        assert client.ask(f'RCPT TO:<{user}>').startswith('250')
        client.ask('DATA')
        reply = client.ask(MESSAGE.replace(b'\n', b'\r\n') + b'.')
        assert reply.startswith('250'), reply


# the scenarios

def everyday(site):
    for _ in range(3):
        deliver(site)
    site.put('demo', MESSAGE)
    wait_until(lambda: count(site) == 4, 90)  # caches of attributes
    client = login(site)
    ids = client.uidl()
    for number in range(1, 5):
        assert client.retr(number).endswith(b'a line of text\r\n')
    client.ok('DELE 2')
    client.quit()
    client = login_soon(site)
    left = client.uidl()
    assert len(left) == 3 and set(left.values()) < set(ids.values())
    client.quit()


def count(site):
    client = login_soon(site)
    number = client.stat()[0]
    client.quit()
    return number


def login_soon(site):
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(AssertionError):
            return login(site)
        assert time.monotonic() < deadline, 'no login within a minute'
        time.sleep(0.3)


def large_message(site):
    body = b'Subject: large\n\n' + b'0123456789abcdef' * 64 + b'\n'
    site.put('demo', body * 3000)
    wait_until(lambda: count(site) == 1, 90)
    client = login_soon(site)
    assert client.retr(1) == (body * 3000).replace(b'\n', b'\r\n')
    client.quit()


def second_session(site):
    deliver(site)
    first = login_soon(site)
    second = Pop(site.pop3)
    second.ok('USER demo')
    assert second.ask(f'PASS {PASSWORD}').startswith('-ERR [IN-USE]')
    first.quit()
    login_soon(site).quit()


def lock_of_another_machine(site):
    """A lock that a program on the server holds is seen through NFS, where locks are shared."""
    deliver(site)
    login_soon(site).quit()
    code = ('import fcntl, sys; f = open(sys.argv[1], "r+b"); fcntl.lockf(f, fcntl.LOCK_EX);'
            'print("held", flush=True); sys.stdin.read()')
    holder = subprocess.Popen([sys.executable, '-c', code, str(site.server / 'demo/valija-lock')],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        client = Pop(site.pop3)
        client.ok('USER demo')
        assert client.ask(f'PASS {PASSWORD}').startswith('-ERR [IN-USE]')
    finally:
        holder.communicate()
    login_soon(site).quit()


def message_removed_by_the_server(site):
    paths = [site.put('demo', MESSAGE) for _ in range(3)]
    wait_until(lambda: count(site) == 3, 90)
    client = login_soon(site)
    client.list()
    for folder in ('new', 'cur'):
        for path in (site.server / 'demo' / folder).iterdir():
            if path.name.startswith(paths[1].name.split(',')[0]):
                path.unlink()
    for number in (1, 3):
        assert client.retr(number)
    reply = client.ask('RETR 2')
    if reply.startswith('+OK'):  # read before it was removed: whole
        assert client.body().endswith(b'a line of text\r\n')
    else:
        assert reply.startswith('-ERR [SYS/'), reply
    client.quit()
    wait_until(lambda: count(site) == 2, 90)


def maildrop_replaced_under_a_session(site):
    site.put('demo', MESSAGE)
    wait_until(lambda: count(site) == 1, 90)
    client = login_soon(site)
    shutil.rmtree(site.server / 'demo')
    site.put('demo', MESSAGE + b'another\n', name='1800000000.M1P1.other')
    client.ask('RETR 1')  # an answer, whatever it is; then the session goes on or ends
    client.close()
    wait_until(lambda: other_message(site), 120)


def other_message(site):
    client = Pop(site.pop3)
    client.ok('USER demo')
    if not client.ask(f'PASS {PASSWORD}').startswith('+OK'):
        return False
    good = client.stat()[0] == 1 and client.retr(1).endswith(b'another\r\n')
    client.quit()
    return good


def deleted_while_it_is_read(site):
    """A file that is removed while this client has it open is renamed to .nfs…: no message. The
    rest of it is sent, or the session is cut: nothing else ends a reply."""
    line = b'0123456789abcdef' * 4 + b'\n'
    site.put('demo', b'Subject: x\n\n' + line * 40000)
    wait_until(lambda: count(site) == 1, 90)
    client = login_soon(site)
    client.send('RETR 1\r\n')
    client.line()
    # by this client's kernel: a silly rename
    as_vmail('find', site.mail / 'demo/new', site.mail / 'demo/cur', '-type', 'f', '-delete')
    with contextlib.suppress(Closed):
        assert client.body().count(b'\r\n') >= 40000
        client.quit()
    wait_until(lambda: count(site) == 0, 90)


def root_is_squashed(site):
    """The monitor is root, whom the server takes for nobody; a folder of 0700 shuts it out."""
    site.stop()
    site.server.chmod(0o700)
    try:
        done = site.valijad('-t', '-c', site.conf)
        assert done.returncode != 0, 'called good'
        assert str(site.mount) in done.stderr and 'root_squash' in done.stderr, done.stderr
    finally:
        site.server.chmod(0o755)


def server_stops_for_a_while(site):
    deliver(site)
    login_soon(site).quit()
    subprocess.run(['rpc.nfsd', '0'], check=True)
    client = Pop(site.pop3, timeout=120)
    client.ok('USER demo')
    answer = client.ask(f'PASS {PASSWORD}')  # from memory, or after the mount gives up
    assert answer.startswith(('+OK', '-ERR [SYS/TEMP]', '-ERR [IN-USE]')), answer
    client.close()
    subprocess.run(['rpc.nfsd', '4'], check=True)
    pathlib.Path('/proc/fs/nfsd/v4_end_grace').write_text('Y')
    wait_until(lambda: count_or_none(site) == 1, 120)
    deliver(site)
    wait_until(lambda: count_or_none(site) == 2, 120)


def count_or_none(site):
    try:
        client = Pop(site.pop3)
        client.ok('USER demo')
        if not client.ask(f'PASS {PASSWORD}').startswith('+OK'):
            return None
        number = client.stat()[0]
        client.quit()
        return number
    except (AssertionError, OSError, EOFError):
        return None


SCENARIOS = [everyday, large_message, second_session, lock_of_another_machine,
             message_removed_by_the_server, maildrop_replaced_under_a_session,
             deleted_while_it_is_read, root_is_squashed, server_stops_for_a_while]


def run(scenario, version):
    site = Site(version)
    site.allow('.')
    try:
        site.start()
        scenario(site)
        if site.process:
            site.stop()
        print(f'RESULT {scenario.__name__} {version} good', flush=True)
    except Exception as failure:  # pylint: disable=broad-except
        print(f'RESULT {scenario.__name__} {version} FAILED {failure!r}'[:300].replace('\n', ' '),
              flush=True)
        traceback.print_exc(limit=-3)
        print(site.log_text()[-3000:], flush=True)
        with contextlib.suppress(Exception):
            site.stop(check=False)
    finally:
        site.remove()


def main():
    post.QUICK['timeouts.drain'] = '5s'
    for version in OPTIONS:
        for scenario in SCENARIOS:
            if scenario is lock_of_another_machine and 'nolock' in OPTIONS[version]:
                continue  # locks are this client's own there
            run(scenario, version)
    print('END', flush=True)


main()
