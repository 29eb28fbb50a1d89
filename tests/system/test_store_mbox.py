"""Mail in mboxes: served to POP3, delivered over LMTP, beside the programs that write to the same
files; a folder of one owner, and one as /var/mail of Debian, of group mail. Needs root."""
import contextlib
import grp
import mailbox
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / 'stand_ins')]

import system_users  # noqa: E402
from mbox_program import Ended, locked, mbox_form  # noqa: E402
from lmtp import Lmtp  # noqa: E402
from office import PASSWORD, program, wait_until  # noqa: E402
from pop import Pop, login_within  # noqa: E402

pytestmark = pytest.mark.usefixtures('need_root')

FIRST = 3000  # uid of the first owner
MAIL = grp.getgrnam('mail').gr_gid
MESSAGE = b'From: a@example.org\nSubject: one\n\nof an mbox\n'


def wire(text):
    return text.replace(b'\n', b'\r\n')


@pytest.fixture
def one_owner(make_office):
    """A folder of mboxes that belong to its owner; the users are demo and other."""
    office = make_office(start=False, users=('demo', 'other'), settings={'processes.fronts': 1})
    office.valija('mark', '--store', 'mbox', office.mail)
    return office


@pytest.fixture
def var_mail(make_office):
    """A folder as /var/mail of Debian; the users anna and bert have mailboxes of their own."""
    office = make_office(start=False, users=('anna', 'bert'), settings={'processes.fronts': 1})
    os.chown(office.mail, 0, MAIL)
    office.mail.chmod(0o2775)
    for uid, name in enumerate(('anna', 'bert'), FIRST):
        put_mailbox(office, name, uid)
    office.valija('mark', office.mail)
    return office


def put_mailbox(office, name, uid, content=b''):
    box = office.mail / name
    box.write_bytes(content)
    os.chown(box, uid, MAIL)
    box.chmod(0o660)
    return box


def collect(connect, office, user, delete=()):
    """{unique id: octets} of all messages; deletes those numbers."""
    with login_within(connect, office, user, 20) as client:
        found = {uid: client.retr(number) for number, uid in client.uidl().items()}
        for number in delete:
            client.ok(f'DELE {number}')
        client.quit()
    return found


def bodies(box):
    return [message.get_payload() for message in mailbox.mbox(box)]


def test_login_delivery_deletion(one_owner, connect):
    office = one_owner
    office.set('store', '"mbox"')
    assert 'good' in office.valijad('-t', '-c', office.conf).stdout
    office.start()
    assert collect(connect, office, 'demo') == {}
    assert not (office.mail / 'demo').exists(), 'a login makes nothing'
    with Lmtp(office.lmtp) as sender:
        for text in (b'first\nFrom me\n', b'second\n', b'third\n'):
            assert sender.deliver(wire(b'Subject: x\n\n' + text), 'demo')[0].startswith('250')
    before = collect(connect, office, 'demo')
    assert len(before) == 3
    assert any(octets.endswith(b'\r\n\r\nfirst\r\n>From me\r\n') for octets in before.values())
    assert (office.mail / 'demo').read_bytes().count(b'\n>From me\n') == 1
    assert collect(connect, office, 'demo', delete=(2,)) == before
    wait_until(lambda: bodies(office.mail / 'demo') == ['first\n>From me\n', 'third\n'])
    after = collect(connect, office, 'demo')
    assert len(after) == 2 and after.items() < before.items()
    office.stop()
    office.start()
    assert collect(connect, office, 'demo') == after


def test_other_programs_between_sessions(one_owner, connect):
    office = one_owner.start()
    box = office.mail / 'demo'
    box.write_bytes(mbox_form(MESSAGE, MESSAGE.replace(b'one', b'two')))
    office.own(box)
    before = collect(connect, office, 'demo')
    assert wire(MESSAGE) in before.values() and len(before) == 2
    # as mutt does: flags are put in, the file is written anew
    box.write_bytes(box.read_bytes().replace(b'\nSubject: one', b'\nStatus: RO\nSubject: one'))
    assert collect(connect, office, 'demo') == before
    box.unlink()  # as mutt does with an empty one
    assert collect(connect, office, 'demo') == {}
    with Lmtp(office.lmtp) as sender:
        assert sender.deliver(wire(MESSAGE), 'demo')[0].startswith('250')
    assert len(collect(connect, office, 'demo')) == 1
    with open(box, 'ab') as file:
        file.write(mbox_form(MESSAGE))
    assert len(collect(connect, office, 'demo')) == 2


def test_quota(one_owner):
    office = one_owner
    office.set('quota.messages', '2')
    office.start()
    with Lmtp(office.lmtp) as sender:
        for _ in range(2):
            assert sender.deliver(wire(MESSAGE), 'demo')[0].startswith('250')
        sender.expect('RSET', '250')
        sender.expect('MAIL FROM:<c@example.org>', '250')
        sender.expect('RCPT TO:<demo>', '452 4.2.2')


def test_commands(one_owner, connect):
    office = one_owner.start()
    done = subprocess.run([office.bin / 'valija', 'deliver', '-c', office.conf, 'demo'],
                          input=MESSAGE, env=office.environment(), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert len(collect(connect, office, 'demo')) == 1
    for command in (('undelete', '-c', office.conf, 'demo', '1-1'),
                    ('deleted', '-c', office.conf, 'demo')):
        refused = office.valija(*command, check=False)
        assert refused.returncode == 69 and 'an mbox' in refused.stderr, refused


def test_what_does_not_start(one_owner):
    office = one_owner

    def refused(words):
        done = office.valijad('-t', '-c', office.conf)
        assert done.returncode == 78 and words in done.stderr, done

    office.set('store', '"maildir"')
    refused('is marked as a folder of the kind mbox')
    office.set('store', '"mbox"')
    (office.mail / '.valija-store').unlink()
    refused(f'valija mark --store mbox {office.mail}')
    office.valija('mark', '--store', 'mbox', office.mail)
    office.set('retention.keep_deleted', '7d')
    refused('Maildirs only')


def test_threat_134_a_folder_without_its_mark_is_not_empty(one_owner, connect):
    """The disk is not mounted: neither an empty mailbox nor a Maildir is in its place."""
    office = one_owner.start()
    with Lmtp(office.lmtp) as sender:
        sender.deliver(wire(MESSAGE), 'demo')
    office.stop()
    below = office.mail.rename(office.dir / 'the-disk')
    office.mail.mkdir(mode=0o711)
    shutil.copystat(below, office.mail)
    os.chown(office.mail, below.stat().st_uid, below.stat().st_gid)
    office.allow('is not the folder that had maildrops', 'it is not there',
                 'had maildrops before')
    office.start()
    client = connect(office)
    client.ok('USER demo')
    assert client.ask(f'PASS {PASSWORD}').startswith('-ERR [SYS/TEMP]')
    with Lmtp(office.lmtp) as sender:
        assert sender.deliver(wire(MESSAGE), 'demo')[0].startswith('451')
    assert list(office.mail.iterdir()) == []
    office.mail.rmdir()
    below.rename(office.mail)
    office.reload()
    assert len(collect(connect, office, 'demo')) == 1


def test_mark_finds_out_the_kind(tmp_path, make_office):
    office = make_office(start=False)

    def mark(folder, *args):
        return office.valija('mark', *args, folder, check=False)

    for name, inside, mode, kind in (('a', 'box', 0o755, 'mbox'), ('b', None, 0o755, 'maildir'),
                                     ('c', None, 0o2775, 'mbox'), ('d', 'user/cur', 0o755,
                                                                   'maildir')):
        folder = tmp_path / name
        folder.mkdir()
        os.chown(folder, 0, MAIL)
        folder.chmod(mode)
        if inside == 'box':
            (folder / inside).write_bytes(mbox_form(MESSAGE))
        elif inside:
            (folder / inside).mkdir(parents=True)
        assert mark(folder).returncode == 0
        assert (folder / '.valija-store').read_text() == f'{kind}\n', name
    both = tmp_path / 'both'
    (both / 'user/cur').mkdir(parents=True)
    (both / 'box').write_bytes(mbox_form(MESSAGE))
    assert 'say which' in mark(both).stderr and not (both / '.valija-root').exists()
    assert mark(both, '--store', 'mbox').returncode == 0
    assert mark(both, '--store', 'what').returncode == 64


# ---- /var/mail ----

def keepers(office):
    return [pid for pid, line in office.children().items() if 'keeper' in line]


def of_group(pid, gid):
    fields = dict(line.split(':', 1) for line in
                  pathlib.Path(f'/proc/{pid}/status').read_text().splitlines())
    return str(gid) in (fields['Gid'] + fields['Groups']).split()


def test_var_mail(var_mail, connect):
    """No keeper has group mail; the locker makes NAME.lock, and messages are cut."""
    office = var_mail.start()
    with Lmtp(office.lmtp) as sender:
        for text in (b'first\n', b'second\n'):
            assert sender.deliver(wire(b'Subject: x\n\n' + text), 'anna')[0].startswith('250')
    with login_within(connect, office, 'anna') as client:
        assert client.stat()[0] == 2
        processes = office.children()
        assert not any(of_group(pid, MAIL) for pid in keepers(office))
        assert [line for pid, line in processes.items() if of_group(pid, MAIL)] == \
            ['valijad: locker 0 --child']
        client.ok('DELE 1')
        client.quit()
    box = office.mail / 'anna'
    wait_until(lambda: bodies(box) == ['second\n'])
    status = box.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (FIRST, MAIL, 0o660)
    wait_until(lambda: not (office.mail / 'anna.lock').exists())
    state = list(office.state.glob('mbox-*/*'))
    assert {path.stat().st_uid for path in state if path.stat().st_uid} == {FIRST}
    assert all(path.stat().st_mode & 0o777 == 0o700 for path in state)


def test_a_foreign_lock_is_waited_for(var_mail, connect):
    office = var_mail.start()
    lock = office.mail / 'anna.lock'
    lock.write_text(f'{os.getpid()}:{socket.gethostname()}\n')
    done = []

    def deliver():
        with Lmtp(office.lmtp, timeout=60) as sender:
            done.extend(sender.deliver(wire(MESSAGE), 'anna'))

    thread = threading.Thread(target=deliver)
    thread.start()
    thread.join(1)
    assert thread.is_alive() and (office.mail / 'anna').read_bytes() == b''
    assert lock.exists()
    lock.unlink()
    thread.join(30)
    assert done[0].startswith('250')
    assert len(collect(connect, office, 'anna')) == 1


def test_a_lock_of_a_dead_process_is_replaced(var_mail, connect):
    office = var_mail.start()
    dead = subprocess.Popen(['true'])
    dead.wait()
    (office.mail / 'anna.lock').write_text(f'{dead.pid}:{socket.gethostname()}\n')
    with Lmtp(office.lmtp) as sender:
        assert sender.deliver(wire(MESSAGE), 'anna')[0].startswith('250')
    assert not (office.mail / 'anna.lock').exists()


def test_a_mailbox_that_is_not_there(var_mail, connect):
    """Of a user without a uid, in a folder in which no keeper makes files."""
    office = var_mail
    (office.mail / 'bert').unlink()
    office.allow('only root can make it', 'delivery')
    office.start()
    assert collect(connect, office, 'bert') == {}
    with Lmtp(office.lmtp) as sender:
        assert sender.deliver(wire(MESSAGE), 'bert')[0].startswith('451')
    assert not (office.mail / 'bert').exists()
    put_mailbox(office, 'bert', FIRST + 1)
    time.sleep(2.1)  # for so long auth remembers whose it is
    with Lmtp(office.lmtp) as sender:
        assert sender.deliver(wire(MESSAGE), 'bert')[0].startswith('250')
    assert len(collect(connect, office, 'bert')) == 1


def test_mail_of_system_users(make_office, connect, tool):
    """Home and mail apart: the name service has /home/NAME, the mail is in the folder of all."""
    if not program('valija-lookup-system').exists() or system_users.missing():
        pytest.skip('no PAM, or no tools for users')
    system = system_users.SystemUsers()
    try:
        system.service((HERE.parents[1] / 'dist/pam.d/valija').read_text())
        office = make_office(start=False, users=(), inside=system.inside,
                             settings={'processes.fronts': 1})
        os.chown(office.mail, 0, MAIL)
        office.mail.chmod(0o2775)
        office.set('mail', f'"{office.mail}/{{local}}"')
        with office.conf.open('a') as file:
            file.write('\ndatabase "people" {\n\tdriver = system\n\ttimeout = 60s\n}\n')
        system.add('gerda', FIRST + 7, PASSWORD, office.scratch / 'home')
        put_mailbox(office, 'gerda', FIRST + 7, mbox_form(MESSAGE))
        office.valija('mark', office.mail)
        office.start()
        with login_within(connect, office, 'gerda', 60) as client:
            assert client.retr(1) == wire(MESSAGE)
            client.ok('DELE 1')
            client.quit()
        wait_until(lambda: (office.mail / 'gerda').read_bytes() == b'')
        (office.mail / 'gerda').unlink()
        assert collect(connect, office, 'gerda') == {}
        office.stop()
    finally:
        system.close()


def test_procmail_beside_a_session(var_mail, connect, tool):
    """procmail has group mail, as Debian installs it; its mail comes into a session's mailbox."""
    procmail, box = tool('procmail'), var_mail.mail / 'anna'
    office = var_mail.start()

    def put(text):
        subprocess.run(['setpriv', f'--reuid={FIRST}', f'--regid={MAIL}', '--clear-groups',
                        procmail, '-f', 'b@example.org', f'DEFAULT={box}', '/dev/null'],
                       check=True, timeout=60, cwd='/',
                       input=f'From: b@example.org\nSubject: {text}\n\n{text}\n'.encode(),
                       env={'PATH': os.environ['PATH'], 'HOME': '/', 'LOGNAME': 'anna'})

    put('one')
    with login_within(connect, office, 'anna') as client:
        assert client.stat()[0] == 1
        put('two')
        client.ok('DELE 1')
        client.quit()
    put('three')
    wait_until(lambda: bodies(box) == ['two\n', 'three\n'])
    assert len(collect(connect, office, 'anna')) == 2


# ---- nothing is lost ----

class Writer(threading.Thread):
    """Another program: appends messages, and puts flags into those that are there."""

    def __init__(self, box, name):
        super().__init__()
        self.box, self.name = box, name
        self.sent, self.ended = [], threading.Event()

    def run(self):
        with contextlib.suppress(Ended):
            self.write()

    def write(self):
        number = 0
        while not self.ended.is_set():
            number += 1
            text = f'{self.name}-{number}'
            with locked(self.box, self.ended) as file:
                octets = file.read()
                if number % 10 == 0:
                    octets = octets.replace(b'\nStatus: O\n', b'\nStatus: RO\n', 1)
                    file.seek(0)
                    file.write(octets)
                file.seek(0, os.SEEK_END)
                file.write(mbox_form(f'Subject: {text}\nStatus: O\n\n{text}\n'.encode()))
                file.flush()
                os.fsync(file.fileno())
            self.sent.append(text)
            time.sleep(.1)


def deliver_for(office, sent, ended):
    number = 0
    while not ended.is_set():
        with contextlib.suppress(OSError, EOFError, AssertionError):
            with Lmtp(office.lmtp, timeout=60) as sender:
                while not ended.is_set():
                    number += 1
                    text = f'lmtp-{number}'
                    reply, = sender.deliver(wire(f'Subject: {text}\n\n{text}\n'.encode()), 'anna')
                    if reply.startswith('250'):
                        sent.append(text)


class Refused(Exception):
    """By a server whose keeper was killed."""


def text_of(octets):
    return octets.split(b'\r\n\r\n', 1)[1].strip().decode()


def session(office, chance, ids, deleted, gone):
    """One session: some is read, some is deleted. Ids keep their messages."""
    with Pop(office.pop3, timeout=60) as client:
        client.ok('USER anna')
        if not client.ask(f'PASS {PASSWORD}').startswith('+OK'):
            raise Refused
        marked = []
        listed = list(client.uidl().items())
        for number, uid in sorted(chance.sample(listed, min(20, len(listed)))):
            if client.ask(f'RETR {number}').startswith('-ERR'):
                continue  # the other program has moved it since the login
            text = text_of(client.body())
            assert ids.setdefault(uid, text) == text, 'a unique id became another message'
            assert text not in gone, 'a deleted message came back'
            if chance.random() < .4:
                assert client.ask(f'DELE {number}').startswith('+OK')
                marked.append(text)
        deleted.update(marked)  # whatever becomes of QUIT
        if not client.ask('QUIT').startswith('+OK'):
            raise Refused
        gone.update(marked)


def kill(office, chance, ended):
    """Keepers at any moment, the locker now and then."""
    while not ended.wait(chance.uniform(.5, 4)):
        for pid, line in office.children().items():
            if 'keeper of uid' in line or ('locker' in line and chance.random() < .2):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize('seed', (1, 2))
def test_threat_133_kills_beside_other_programs(var_mail, connect, seed):
    """Keepers and the locker are killed at random; a delivery that was acknowledged, and a message
    of another program, is there until its owner deletes it."""
    office, chance = var_mail, random.Random(seed)
    office.allow(r'(keeper|locker) \d+ .*(ended|killed|signal|exit)', 'delivery', 'maildrop',
                 'no keeper for mail')
    office.start()
    writer = Writer(office.mail / 'anna', 'other')
    sent, ended = [], threading.Event()
    threads = [writer, threading.Thread(target=deliver_for, args=(office, sent, ended)),
               threading.Thread(target=kill, args=(office, random.Random(seed), ended))]
    ids, deleted, gone = {}, set(), set()
    for thread in threads:
        thread.start()
    # until enough has happened, whatever the machine's speed
    until = time.monotonic() + 240
    while time.monotonic() < until and not (min(map(len, (sent, writer.sent, gone))) > 40
                                            and office.log_text().count('by signal 9') > 4):
        try:
            session(office, chance, ids, deleted, gone)
        except (Refused, OSError, EOFError):
            pass
    writer.ended.set()
    ended.set()
    for thread in threads:
        thread.join(90)
    assert not any(thread.is_alive() for thread in threads)
    assert min(map(len, (sent, writer.sent, gone))) > 40, 'too little happened'
    left = {text_of(octets) for octets in collect(connect, office, 'anna').values()}
    missing = (set(sent) | set(writer.sent)) - left - deleted
    assert not missing, f'lost: {sorted(missing)}'
    assert not (back := left & gone), f'deleted, and there still: {sorted(back)}'


def test_nothing_is_left_beside_the_mailboxes(var_mail):
    """Beside the mailboxes nothing is left, and nothing else was changed."""
    office = var_mail
    other = office.mail / 'carl'
    other.write_bytes(mbox_form(MESSAGE))
    os.chown(other, FIRST + 5, MAIL)
    office.start()
    with Lmtp(office.lmtp) as sender:
        for user in ('anna', 'bert'):
            assert sender.deliver(wire(MESSAGE), user)[0].startswith('250')
    assert other.read_bytes() == mbox_form(MESSAGE)
    assert {path.name for path in office.mail.iterdir()} == \
        {'anna', 'bert', 'carl', '.valija-root', '.valija-store'}
