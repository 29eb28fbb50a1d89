"""A site with mboxes moves here: `valija import mbox`. Dovecot, pop3d of GNU Mailutils or popa3d
serves the mail first, the real one, then we do, and no client loads anything twice. The folder is
of group mail, as /var/mail of Debian."""
import grp
import os
import pathlib
import sys

import moving
import pytest
from office import PASSWORD, wait_until
from pop import login_within
from test_mail_not_mounted import deliver, login

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'stand_ins'))

import system_users  # noqa: E402
from dovecot_pop3 import DovecotPop3, usable  # noqa: E402
from mbox_pop3 import Mailutils, Popa3d  # noqa: E402

pytestmark = pytest.mark.usefixtures('need_root')

FIRST, MAIL = 3000, grp.getgrnam('mail').gr_gid
USERS = ('demo', 'late', 'used')
SERVERS = {'dovecot': None, 'mailutils': Mailutils, 'popa3d': Popa3d}
OUR_FILES = ('base', 'delta', 'lock')


def letter(number, more=''):
    return (f'From a@example.org Sat Jan  1 12:34:{number:02} 2022\n'
            f'Received: from x by y id {number};\n\tSat, 1 Jan 2022 12:34:56 +0000\n'
            f'From: a@example.org\nSubject: {number}\n{more}'
            f'Message-ID: <{number}@example.org>\nDate: Sat, 1 Jan 2022 12:34:56 +0000\n'
            f'\nletter {number}\n\n')


@pytest.fixture(scope='module')
def system():
    if os.geteuid() != 0:
        pytest.skip('needs root')
    if (missing := system_users.missing()):
        pytest.skip(f'{missing} is not here')
    users = system_users.SystemUsers()
    try:
        for uid, user in enumerate(USERS, FIRST):
            users.add(user, uid, PASSWORD, '/nonexistent')
        yield users
    finally:
        users.close()


class Site:
    """A stopped office with mboxes, and another server that serves them."""

    def __init__(self, office, system, ids, more=''):
        self.office, self.system, self.ids, self.more = office, system, ids, more
        self.server = None

    def box(self, user='demo'):
        return self.office.mail / user

    def put(self, *numbers, user='demo', more=''):
        with self.box(user).open('a') as file:
            file.write(''.join(letter(number, more) for number in numbers))
        os.chown(self.box(user), FIRST + USERS.index(user), MAIL)
        self.box(user).chmod(0o660)

    def serve(self):
        if self.ids == 'dovecot':
            self.server = DovecotPop3(self.office, self.more, box=self.box())
        else:
            self.server = SERVERS[self.ids](self.office, self.system)
        return self.server

    def bring(self, *more, check=True):
        config = ('--config', self.server.conf) if self.ids == 'dovecot' else ()
        return self.office.valija('import', 'mbox', '--ids', self.ids, '-c', self.office.conf,
                                  *config, *more, check=check)

    def undo(self, *more):
        return self.office.valija('import', 'mbox', '--undo', '-c', self.office.conf, *more)

    def state(self, ending, user='demo'):
        """Our files beside the mailboxes of that owner."""
        uid = FIRST + USERS.index(user)
        return list(self.office.state.glob(f'mbox-*/{uid}/*.valija-{ending}'))

    def files(self):
        return {path: path.read_bytes()
                for top in (self.office.mail, self.office.state)
                for path in top.rglob('*') if path.is_file()}


@pytest.fixture
def move(make_office, system):
    """move(IDS, MORE): a Site with six messages; it is served when it is told to be."""
    made = []

    def begin(ids, more=''):
        if ids == 'dovecot' and not usable():
            pytest.skip('dovecot-pop3d is not installed')
        if SERVERS[ids] and (why := SERVERS[ids].why_not()):
            pytest.skip(why)
        office = make_office(start=False, users=USERS)
        os.chown(office.mail, 0, MAIL)
        office.mail.chmod(0o2775)
        made.append(Site(office, system, ids, more))
        made[-1].put(*range(6))
        office.valija('mark', '--store', 'mbox', office.mail)
        return made[-1]

    yield begin
    for site in made:
        if site.server:
            site.server.stop()
            if site.ids == 'dovecot':
                site.server.remove()


@pytest.mark.parametrize('ids, more', [
    ('dovecot', ''),
    ('dovecot', 'pop3_uidl_format = %v.%u'),
    ('dovecot', 'pop3_uidl_format = %m'),
    ('dovecot', 'pop3_uidl_format = %g-%u'),
    ('dovecot', 'protocol pop3 {\n  pop3_uidl_format = %u-%Xv\n}'),
    ('mailutils', ''),
    ('popa3d', '')])
def test_ids_and_their_order_stay(move, connect, ids, more):
    site = move(ids, more)
    office = site.office
    server = site.serve()
    server.uidl('demo', end=lambda client: (client.dele(3), client.quit()))
    site.put(6, 7, 8)
    before = server.uidl('demo')
    server.stop()
    assert len(set(before)) == 8, before
    # flags change, as a mail program writes them
    text = site.box().read_text()
    site.box().write_text(text.replace('Subject: 3\n', 'Subject: 3\nX-Status: A\n'))
    files = site.files()
    tried = site.bring('--dry-run')
    assert '1 users, 8 messages, 8 keep their unique ids, 0 would be loaded again' in tried.stdout
    assert site.files() == files
    done = site.bring()
    assert tried.stdout.replace('; nothing was written', '') == done.stdout
    assert '2 users have no mail of another server' in done.stdout
    office.start()
    answer, ids = login(connect, office)
    assert answer.startswith('+OK') and ids == before, (answer, ids, before)
    assert deliver(office).startswith('250')
    grown = login(connect, office)[1]
    assert grown[:8] == before and len(set(grown)) == 9
    # a lost index is a lost cache
    office.stop()
    for ending in OUR_FILES:
        for path in site.state(ending):
            path.unlink()
    office.start()
    assert login(connect, office)[1] == grown


@pytest.mark.parametrize('kind', moving.KINDS)
@pytest.mark.parametrize('ids', SERVERS)
def test_no_client_loads_anything_twice(move, ids, kind):
    moving.needs(kind)
    site = move(ids)
    client = moving.client_of(kind, site.office)
    server = site.serve()

    def move_over():
        server.stop()
        site.bring()
        site.office.start()
    moving.loads_nothing_twice(client, 6, move_over, lambda: site.put(11))


def test_a_message_that_is_deleted_takes_no_id_along(move, connect):
    site = move('dovecot')
    server = site.serve()
    before = server.uidl('demo')
    server.stop()
    site.bring()
    site.office.start()
    with login_within(connect, site.office, 'demo', 20) as client:
        client.ok('DELE 2')
        client.quit()
    wait_until(lambda: 'Subject: 1\n' not in site.box().read_text())
    assert login(connect, site.office)[1] == [before[0], *before[2:]]


def test_the_rule_is_there_for_those_who_come_later(move, connect):
    site = move('mailutils')
    server = site.serve()
    before = server.uidl('demo')
    site.bring()
    assert (site.office.mail / '.valija-origin').read_text() == 'mbox-mailutils\n'
    site.put(1, 2, user='late')
    late = server.uidl('late')
    server.stop()
    site.office.start()
    assert login(connect, site.office)[1] == before
    assert login(connect, site.office, 'late')[1] == late
    site.office.wait_log('mailbox late: came from another server: 2 messages, '
                         '2 keep its unique ids')


def test_what_was_brought_is_taken_back(move, connect):
    site = move('dovecot')
    office = site.office
    server = site.serve()
    before = server.uidl('demo')
    server.stop()
    files = site.files()
    site.bring()
    assert site.state('uidl')
    assert '1 users would be taken back' in site.undo('--dry-run').stdout
    assert site.state('uidl')
    assert '1 users were taken back' in site.undo().stdout
    # the lock of sessions stays, empty
    assert {path: octets for path, octets in site.files().items() if octets} == \
        {path: octets for path, octets in files.items() if octets}
    # again; one that was used meanwhile stays
    site.bring()
    office.start()
    assert login(connect, office)[1] == before
    office.stop()
    assert 'demo: was used here since: its unique ids stay as they are' in site.undo().stdout
    office.start()
    assert login(connect, office)[1] == before


def test_what_cannot_be_brought_is_said(move, connect):
    """A message with the X-UIDL of another one, one that Mailutils never showed, and one with an
    X-UIDL that looks like an id of ours."""
    site = move('mailutils')
    server = site.serve()
    server.uidl('demo')
    site.put(7, more='X-UIDL: twice\n')
    site.put(8, more='X-UIDL: twice\n')
    site.put(9, more=f'X-UIDL: {"0123456789abcdef" * 2}\n')
    before = server.uidl('demo')
    server.stop()
    site.put(10)
    done = site.bring()
    assert ('1 users, 10 messages, 7 keep their unique ids, 2 would be loaded again (by 1 users)'
            in done.stdout)
    assert '1 messages have no unique id of that server in the mailbox' in done.stdout
    assert "demo: 2 of 10 messages are loaded again: message 8: its id twice is another" in \
        done.stdout
    site.office.start()
    ids = login(connect, site.office)[1]
    assert ids[:7] == before[:7] and len(set(ids)) == 10


def test_those_that_were_ours_stay_ours(move, connect):
    site = move('dovecot')
    server = site.serve()
    server.uidl('demo')
    server.stop()
    site.office.start()
    ids = login(connect, site.office)[1]
    site.office.stop()
    done = site.bring('--user', 'demo')
    assert 'demo: was here already: its unique ids stay as they are' in done.stdout
    site.office.start()
    assert login(connect, site.office)[1] == ids


def test_dovecot_did_not_end_its_session(move, connect):
    """It writes X-UID when a session ends; what it had shown until then counts."""
    site = move('dovecot')
    server = site.serve()
    server.uidl('demo')
    site.put(7, 8)
    before = server.uidl('demo', end=lambda client: server.kill_sessions())
    server.stop()
    assert site.box().read_text().count('X-UID:') == 6
    site.bring()
    site.office.start()
    assert login(connect, site.office)[1] == before


def test_the_wrong_kind_is_refused(move, make_office):
    site = move('dovecot')
    site.serve().stop()
    conf = site.office.conf
    for wrong, words in (
            (('dovecot', '--config', site.server.conf), 'run valija import mbox --ids'),
            (('courier',), 'run valija import mbox --ids'),
            (('mbox',), 'usage: '), (('mbox', '--ids', 'cyrus'), 'usage: '),
            (('mbox-popa3d',), 'usage: '),
            (('mbox', '--ids', 'popa3d', '--config', site.server.conf), 'usage: ')):
        done = site.office.valija('import', *wrong, '-c', conf, check=False)
        assert done.returncode and words in done.stderr, (wrong, done)
    site.bring()
    done = site.office.valija('import', 'mbox', '--ids', 'popa3d', '-c', conf, check=False)
    assert 'has another origin of ids already (mbox-dovecot ' in done.stderr
    maildirs = make_office(start=False)
    done = maildirs.valija('import', 'mbox', '--ids', 'popa3d', '-c', maildirs.conf, check=False)
    assert done.returncode == 78 and 'the mail folder has Maildirs' in done.stderr


def test_it_is_hinted_before_the_first_session(move, connect):
    """Nothing in a mailbox says that another server gave it ids, so a person is asked in time."""
    site = move('popa3d')
    office = site.office
    hint = f'{site.box()} has mail and was never opened here: if Dovecot, Mailutils, popa3d'
    assert hint in office.valijad('-t', '-c', office.conf).stderr
    assert hint in office.valija('doctor', '-c', office.conf, check=False).stdout
    site.bring()
    assert 'never opened here' not in office.valijad('-t', '-c', office.conf).stderr
    site.bring('--undo')
    office.start()
    login(connect, office)
    assert 'never opened here' not in office.valijad('-t', '-c', office.conf).stderr
