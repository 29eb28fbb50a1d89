"""The maildrops of a soak, by their store: how they are made, and what other programs do there."""
import grp
import os
import re
import time

from lmtp import split_trace
from mbox_program import Ended, locked, mbox_form
from model import SENT

FIRST_OWNER = 3000
PATIENCE = 2  # seconds that a program waits for a lock file
HOLDS = re.compile(rb'^X-Soak: (\S+)\r$', re.M)


class Maildirs:
    from_line = 'From me'

    def __init__(self, office, users):
        self.office, self.users = office, users

    def make(self):
        for user in self.users:
            self.office.maildir(user)

    def drop(self, user, token, wire, chance):
        """With LF or CRLF, in new/ or, as if read elsewhere, in cur/. True: it is there."""
        stored = wire if chance.random() < 0.3 else wire.replace(b'\r\n', b'\n')
        self.office.put(user, stored, name=f'{time.time():.6f}.{token}.other',
                        folder=chance.choice(('new', 'new', 'cur')))
        return True

    def flag(self, user, chance):
        maildir = self.office.mail / user
        for path in chance.sample(paths := list(maildir.glob('new/*')) +
                                  list(maildir.glob('cur/*')), min(3, len(paths))):
            unique = path.name.split(':')[0]
            flags = ''.join(sorted(chance.sample('FRS', chance.randrange(3))))
            try:
                os.rename(path, maildir / 'cur' / f'{unique}:2,{flags}')
            except FileNotFoundError:
                pass  # the server was there first

    @staticmethod
    def is_torn(maildrop, octets):
        """Nothing is: a file has its name when it is whole."""
        return False


class Waits:
    """For a lock file, but not for ever: that of a locker that was killed stays for a while."""

    def __init__(self):
        self.over = time.monotonic() + PATIENCE

    def wait(self, seconds):
        time.sleep(seconds)
        return time.monotonic() > self.over


class Mboxes:
    from_line = 'from me'  # another line is quoted, by each program in its own way

    def __init__(self, office, users):
        self.office, self.users = office, users

    def make(self):
        group = grp.getgrnam('mail').gr_gid
        os.chown(self.office.mail, 0, group)
        self.office.mail.chmod(0o2775)
        for uid, user in enumerate(self.users, FIRST_OWNER):
            box = self.office.mail / user
            box.touch()
            os.chown(box, uid, group)
            box.chmod(0o660)
        self.office.valija('mark', '--store', 'mbox', self.office.mail)

    def drop(self, user, token, wire, chance):
        stored = mbox_form(wire.replace(b'\r\n', b'\n'))
        try:
            with locked(self.office.mail / user, Waits()) as file:
                # behind a delivery that a kill has cut off, as those programs do that look there
                whole = file.read()[-2:] in (b'', b'\n\n')
                file.write(stored if whole else b'\n\n' + stored)
        except Ended:
            return False
        return True

    def flag(self, user, chance):
        """Headers are put in and taken out, so that messages move."""
        try:
            with locked(self.office.mail / user, Waits()) as file:
                octets = file.read()
                if chance.random() < .5:
                    octets = octets.replace(b'\nX-Soak: ', b'\nStatus: RO\nX-Soak: ', 3)
                else:
                    octets = octets.replace(b'\nStatus: RO\n', b'\n')
                file.seek(0)
                file.write(octets)
                file.truncate()
        except Ended:
            pass

    @staticmethod
    def is_torn(maildrop, octets):
        """A part of a message whose delivery was cut off by a kill, and was not acknowledged."""
        found = HOLDS.search(octets)
        if not found:
            return b'\r\nSubject: ' not in octets  # cut within the trace lines
        token = found[1].decode()
        with maildrop.lock:
            wire, fate = maildrop.octets.get(token, b''), maildrop.fate.get(token)
        part = split_trace(octets)[1] if maildrop.trusted.get(token) else octets
        return fate == SENT and part != wire and wire.startswith(part.rstrip())


KINDS = {'maildir': Maildirs, 'mbox': Mboxes}
