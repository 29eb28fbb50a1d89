"""Dovecot's POP3 server in an office that is not started: on its ports, with its certificate,
in its mail. What a site has before it moves here.

    with DovecotPop3(office, 'pop3_uidl_format = %v.%u') as dovecot: dovecot.uidl('demo')
    dovecot.conf    # what `doveconf -n` prints
"""
import os
import pathlib
import poplib
import shutil
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
mail_location = maildir:{office.mail}/%u
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {d}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={office.mail}/%u
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


class DovecotPop3:
    def __init__(self, office, more='', users=('demo', 'late', 'plain', 'own', 'used')):
        self.office = office
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='valija-dovecot-'))
        self.dir.chmod(0o755)
        for name in ('run', 'state'):
            (self.dir / name).mkdir()
        uid, gid = owner_of(office.mail)
        (self.dir / 'users').write_text(
            ''.join(f'{user}:{{PLAIN}}{PASSWORD}\n' for user in users))
        written = self.dir / 'dovecot.conf'
        written.write_text(CONF.format(d=self.dir, office=office, uid=uid, gid=gid, more=more,
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

    def uidl(self, user):
        """The unique ids in the order of the messages."""
        client = poplib.POP3('127.0.0.1', self.office.pop3, timeout=60)
        client.user(user)
        client.pass_(PASSWORD)
        lines = client.uidl()[1]
        client.quit()
        return [line.decode().partition(' ')[2] for line in lines]

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
