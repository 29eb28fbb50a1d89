"""Mail that belongs to many owners: a keeper each, started on demand, ended when it has nothing to
do. Needs root."""
import concurrent.futures
import contextlib
import os
import pathlib
import signal
import socket
import struct
import sys
import time

import pytest

from lmtp import Lmtp
from office import PASSWORD, wait_until
from pop import Pop
from test_hanging import other_fd

pytestmark = pytest.mark.usefixtures('need_root')

FIRST_UID, GID = 70000, 71000
MAIL = b'Subject: one\n\nof its owner\n'


def owners_office(make_office, count, **settings):
    """count users o0 …, each with a message and an own uid."""
    office = make_office(start=False, users=(), settings={
        'processes.fronts': 1, 'processes.keepers': 1, 'limits.connections_per_address': 0,
        **{f'processes.{name}': value for name, value in settings.items()}})
    office.mail.chmod(0o755)
    with (office.dir / 'users').open('a') as file:
        file.writelines(f'o{n}:{{PLAIN}}{PASSWORD}\n' for n in range(count))
    for n in range(count):
        office.put(f'o{n}', MAIL)
        give(office, n, FIRST_UID + n)
    return office.start()


def give(office, n, uid):
    home = office.mail / f'o{n}'
    for path in (home, *home.rglob('*')):
        os.chown(path, uid, GID)


def login(office, n, timeout=60):
    client = Pop(office.pop3, timeout=timeout)
    client.ok(f'USER o{n}')
    client.ok(f'PASS {PASSWORD}')
    return client


def visit(office, n):
    with login(office, n) as client:
        assert client.stat()[0] >= 1
        client.quit()


def deliver(office, *numbers):
    with Lmtp(office.lmtp, timeout=60) as client:
        client.ask('MAIL FROM:<>')
        for n in numbers:
            assert client.ask(f'RCPT TO:<o{n}>').startswith('250'), n
        assert client.ask('DATA').startswith('354')
        client.send(b'Subject: delivered\r\n\r\nx\r\n.\r\n')
        for n in numbers:
            assert client.reply().startswith('250'), n


def keepers(office):
    """{uid: pid} of the keepers that were started on demand."""
    return {int(line.split()[4]): pid for pid, line in office.children().items()
            if 'keeper of uid' in line}


def test_more_owners_than_keepers_one_after_the_other(make_office):
    office = owners_office(make_office, 24, owner_keepers=4)
    for n in range(24):
        visit(office, n)
        deliver(office, n)
        assert len(keepers(office)) <= 4
    for n in range(24):
        assert len(office.files(f'o{n}')) == 2
    assert 'channel to' not in office.log_text()
    assert 'ended' not in office.log_text()


def test_as_many_owners_at_once_as_keepers_and_one_more(make_office):
    office = owners_office(make_office, 9, owner_keepers=8)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(lambda n: login(office, n), range(8)))
    assert sorted(keepers(office)) == [FIRST_UID + n for n in range(8)]
    with Pop(office.pop3, timeout=60) as last:
        last.ok('USER o8')
        last.send(f'PASS {PASSWORD}\r\n')
        for client in clients[1:]:
            assert client.stat()[0] == 1  # none was ended for it
        clients[0].quit()
        assert last.line().startswith('+OK')  # it had waited for a keeper
        assert last.stat()[0] == 1
    for client in clients:
        client.close()


def test_recipients_of_many_owners_in_one_transaction(make_office):
    office = owners_office(make_office, 6, owner_keepers=6)
    deliver(office, *range(6))
    for n in range(6):
        assert len(office.files(f'o{n}')) == 2


def test_a_keeper_with_nothing_to_do_ends(make_office):
    office = owners_office(make_office, 2, owner_idle='1s')
    visit(office, 0)
    with login(office, 1) as held:
        wait_until(lambda: FIRST_UID not in keepers(office))
        assert held.stat()[0] == 1
        time.sleep(1.5)  # one that has a session is not idle
        assert FIRST_UID + 1 in keepers(office)
        assert held.stat()[0] == 1
        held.quit()
    wait_until(lambda: not keepers(office))
    visit(office, 0)
    deliver(office, 1)
    assert 'channel to' not in office.log_text()


def test_a_request_that_meets_the_end_of_a_keeper(make_office):
    """Room for one keeper, wanted by three owners at once, again and again."""
    office = owners_office(make_office, 3, owner_keepers=1)
    end = time.monotonic() + 4

    def visits(n):
        count = 0
        while time.monotonic() < end:
            visit(office, n) if n else deliver(office, n)
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert all(pool.map(visits, range(3)))
    assert len(keepers(office)) <= 1


def test_a_keeper_that_dies_on_demand_comes_again(make_office):
    office = owners_office(make_office, 2)
    office.allow('.')
    with login(office, 0), login(office, 1) as other:
        killed = keepers(office)[FIRST_UID]
        os.kill(killed, signal.SIGKILL)
        assert other.stat()[0] == 1
    wait_until(lambda: keepers(office).get(FIRST_UID, killed) != killed)
    visit(office, 0)
    deliver(office, 0)


def test_threat_66_uid_and_gid_are_those_of_the_folder(make_office):
    office = owners_office(make_office, 1)
    visit(office, 0)
    status = pathlib.Path(f'/proc/{keepers(office)[FIRST_UID]}/status').read_text()
    lines = dict(line.split(':', 1) for line in status.splitlines() if ':' in line)
    assert set(lines['Uid'].split()) == {str(FIRST_UID)}
    assert set(lines['Gid'].split()) == {str(GID)}
    assert lines['Groups'].split() == []


@pytest.mark.parametrize('home, words', [
    (b'o0', 'the maildrop o0 belongs to uid 70000, not to uid 12345'),
    (b'../../../../etc', 'cannot find the owner of the maildrop'),
    (b'/etc', 'cannot find the owner of the maildrop'),
    (b'link', 'cannot find the owner of the maildrop'),
    (b'o0/new/file', 'would be in a folder of uid 70000, not of uid 12345'),
    (b'none', 'would be in a folder of uid '),
    (b'', 'cannot find the owner of the maildrop')])
def test_threat_66_auth_asks_for_what_is_not_so(make_office, home, words):
    """The test sends on auth's channel to the monitor, as an auth that an attacker owns."""
    office = owners_office(make_office, 1)
    office.allow('cannot start')
    os.symlink('o0', office.mail / 'link')
    auth = next(pid for pid, line in office.children().items() if ' auth ' in line)
    channel, mark = socket.socket(fileno=other_fd(auth, 3)), office.mark()
    channel.send(struct.pack('=II4HII', 13, len(home), len(home), 0, 0, 0, 12345, 0) + home)
    office.wait_log(words, since=mark)
    wait_until(lambda: not keepers(office))
    channel.close()
    visit(office, 0)


def test_threat_66_auth_asks_for_keepers_in_a_loop(make_office):
    office = owners_office(make_office, 1)
    office.allow('cannot start', 'no keeper for')
    auth = next(pid for pid, line in office.children().items() if ' auth ' in line)
    channel, mark = socket.socket(fileno=other_fd(auth, 3)), office.mark()

    def want(uid):
        channel.send(struct.pack('=II4HII', 13, 2, 2, 0, 0, 0, uid, 0) + b'o0')

    for uid in range(20000, 20040):
        want(uid)
    for _ in range(32):
        mark = office.wait_log('(cannot start: the maildrop o0 belongs|too many such)', since=mark)
    want(20999)
    office.wait_log('uid 20999: too many such keepers could not start', since=mark)
    wait_until(lambda: not keepers(office))
    channel.close()


def test_a_maildrop_that_gets_another_owner(make_office):
    office = owners_office(make_office, 1, owner_idle='1s')
    visit(office, 0)
    wait_until(lambda: not keepers(office))
    give(office, 0, FIRST_UID + 500)
    for path in (office.mail / 'o0').glob('valija-*'):
        os.chown(path, FIRST_UID + 500, GID)
    office.allow('belongs to uid', 'no keeper for mail')

    def served():  # the owner is known for two seconds; the keeper that refused must have ended
        with contextlib.suppress(AssertionError):
            visit(office, 0)
            return True

    wait_until(served)
    assert list(keepers(office)) == [FIRST_UID + 500]


# mail of root

def without_landlock(office):
    script = pathlib.Path(__file__).with_name('without_calls.py')
    office._command = lambda *args: [sys.executable, script, 'landlock', *map(str, args)]


def test_mail_of_root_needs_landlock(make_office):
    office = make_office(start=False, users=('demo', 'rooty'))
    office.put('demo', MAIL)
    office.put('rooty', MAIL)
    for path in (office.mail / 'rooty', *(office.mail / 'rooty').rglob('*')):
        os.chown(path, 0, 0)
    without_landlock(office)
    office.allow('keeper 0 cannot start')
    office.start()
    with Pop(office.pop3) as client:
        client.ok('USER rooty')
        assert client.ask(f'PASS {PASSWORD}').startswith('-ERR [SYS/TEMP]')
    with Pop(office.pop3) as client:
        client.ok('USER demo')
        client.ok(f'PASS {PASSWORD}')
        assert client.stat()[0] == 1
    office.wait_log('cannot start: mail that belongs to root is not served')
    assert not keepers(office)


def test_mail_of_root_is_warned_of_and_no_other(make_office):
    office = owners_office(make_office, 2)
    for path in (office.mail / 'o1', *(office.mail / 'o1').rglob('*')):
        os.chown(path, 0, 0)
    words = 'belongs to root: its keeper runs as root'
    visit(office, 0)
    assert words not in office.log_text()
    visit(office, 1)
    office.wait_log(words)


def test_a_mail_folder_of_root_needs_landlock(make_office):
    office = make_office(start=False)
    os.chown(office.mail, 0, 0)
    assert office.valijad('-t', '-c', office.conf).returncode == 0
    without_landlock(office)
    checked = office.valijad('-t', '-c', office.conf)
    assert checked.returncode == 69
    assert 'mail that belongs to root is not served' in checked.stderr
    started = office.valijad('-c', office.conf)
    assert started.returncode == 69
    assert 'mail that belongs to root is not served' in started.stdout + started.stderr


def test_many_first_logins_at_once(make_office):
    """auth says of each that it takes time, and a keeper may answer before the front reads that."""
    users = [f'u{i}' for i in range(80)]
    office = make_office(users=users, settings={'processes.fronts': '1', 'processes.keepers': '1'})
    for _ in range(3):
        clients = [Pop(office.pop3) for _ in users]
        for client, user in zip(clients, users):
            client.send(f'USER {user}\r\nPASS {PASSWORD}\r\nSTAT\r\nQUIT\r\n')
        for client in clients:
            assert [client.line()[:3] for _ in range(4)] == ['+OK'] * 4
        time.sleep(2.1)  # whose mail it is, is known no more
