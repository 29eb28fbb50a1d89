"""Dovecot's POP3 server in an office that is not started: on its ports, with its certificate,
in its mail. What a site has before it moves here. With `box`, that file is the mailbox of the user
of its name, and all mail are mboxes beside it; Dovecot runs as its owner.

    with DovecotPop3(office, 'pop3_uidl_format = %v.%u') as dovecot: dovecot.uidl('demo')
    dovecot.conf    # what `doveconf -n` prints
"""
import os
import pathlib
import poplib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from office import PASSWORD, owner_of

CONF = '''
base_dir = {d}/run
state_dir = {d}/state
protocols = pop3
listen = 127.0.0.1
log_path = {d}/log
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
ssl = yes
ssl_cert = <{office.cert}
ssl_key = <{key}
disable_plaintext_auth = no
mail_location = {location}
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {d}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}/%u
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {office.pop3}
  }}
  inet_listener pop3s {{
    port = {office.pop3s}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
{more}
'''


def usable():
    return os.geteuid() == 0 and shutil.which('dovecot') and \
        pathlib.Path('/usr/lib/dovecot/pop3').exists()


def list_ids(port, user, password, end=poplib.POP3.quit):
    """The unique ids in the order of the messages. end: of the session."""
    client = poplib.POP3('127.0.0.1', port, timeout=60)
    client.user(user)
    client.pass_(password)
    lines = client.uidl()[1]
    end(client)
    client.close()
    return [line.decode().partition(' ')[2] for line in lines]


class DovecotPop3:
    def __init__(self, office, more='', users=('demo', 'late', 'plain', 'own', 'used'),
                 box=None):
        self.office = office
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='valija-dovecot-'))
        self.dir.chmod(0o755)
        for name in ('run', 'state'):
            (self.dir / name).mkdir()
        uid, gid = owner_of(box or office.mail)
        home, location = office.mail, f'maildir:{office.mail}/%u'
        if box:
            home = self.dir / 'home'
            home.mkdir(mode=0o700)
            os.chown(home, uid, gid)
            location = f'mbox:~/mail:INBOX={office.mail}/%u'
        (self.dir / 'users').write_text(
            ''.join(f'{user}:{{PLAIN}}{PASSWORD}\n' for user in users))
        written = self.dir / 'dovecot.conf'
        written.write_text(CONF.format(d=self.dir, office=office, uid=uid, gid=gid, more=more,
                                       home=home, location=location,
                                       key=office.cert.parent / 'key.pem'))
        self.conf = self.dir / 'doveconf-n'
        printed = subprocess.run(['doveconf', '-n', '-c', written], check=True, text=True,
                                 capture_output=True)
        self.conf.write_text(printed.stdout)
        self.process = subprocess.Popen(['dovecot', '-F', '-c', written],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def wait(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection(('127.0.0.1', self.office.pop3), 5):
                    return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, \
                    (self.dir / 'log').read_text()
                time.sleep(0.05)

    def uidl(self, user, end=poplib.POP3.quit):
        return list_ids(self.office.pop3, user, PASSWORD, end)

    def kill_sessions(self):
        """Before they write what they hold back."""
        master = self.process.pid
        for pid in pathlib.Path(f'/proc/{master}/task/{master}/children').read_text().split():
            if pathlib.Path(f'/proc/{pid}/comm').read_text() == 'pop3\n':
                os.kill(int(pid), signal.SIGKILL)
                while pathlib.Path(f'/proc/{pid}').exists():  # until its parent has seen it
                    time.sleep(0.01)

    def stop(self):
        """The configuration that was printed stays until remove."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def remove(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
