"""Commands to a server that runs: who is there, and the end of a session."""
import json
import os
import signal
import socket
import sqlite3
import subprocess
import time

import pytest
from office import NOBODY, PASSWORD, program, wait_until


@pytest.fixture
def steered(make_office):
    """A started office with a control socket."""
    def make(settings=None, start=True, **more):
        office = make_office(start=False, **more)
        office.control = office.scratch / 'control'
        office.set('control.socket', f'"{office.control}"')
        for name, value in (settings or {}).items():
            office.set(name, value)
        return office.start() if start else office
    return make


def who(office, *target):
    return json.loads(office.valija('who', '-c', office.conf, '--json', *target).stdout)


def kick(office, target, check=True):
    return office.valija('kick', '-c', office.conf, target, check=check)


class Raw:
    """A connection to the socket itself."""
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.file = self.socket.makefile('rb')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def ask(self, line):
        """The lines of the answer; b'': to what was asked before. The server may have closed the
        connection behind that."""
        if line:
            self.socket.sendall(line)
        lines = []
        while True:
            line = self.file.readline().decode()
            lines.append(line.rstrip('\n').split('\t'))
            if not line or lines[-1][0] in ('end', 'error'):
                return lines


def logged_in(connect, office, user):
    pop = connect(office)
    pop.login(user, PASSWORD)
    return pop


def test_who_lists_what_is_there(steered, connect):
    office = steered(users=('demo', 'anna'))
    assert who(office) == []
    pops = [logged_in(connect, office, 'demo'), logged_in(connect, office, 'anna'),
            connect(office), connect(office, tls=True)]
    rows = {(row['user'], row['tls']): row for row in who(office)}
    assert len(rows) == 3  # auth learns of TLS with the login
    demo, anna, stranger = rows['demo', 'no'], rows['anna', 'no'], rows[None, 'no']
    assert demo['state'] == 'mail' and stranger['state'] == 'connected'
    assert demo['address'] == '127.0.0.1' and demo['mechanism'] == 'USER'
    assert abs(demo['since'] - time.time()) < 600
    assert who(office, 'anna') == [anna] and who(office, anna['session']) == [anna]
    assert len(who(office, '127.0.0.1')) == 4
    assert who(office, '192.0.2.1') == [] and who(office, 'nobody') == []
    assert 'demo' in office.valija('who', '-c', office.conf).stdout
    pops[3].login('anna', PASSWORD)
    assert {row['tls'] for row in who(office, 'anna')} == {'no', 'TLSv1.3'}
    for pop in pops:
        pop.close()
    wait_until(lambda: who(office) == [], 20)


def test_who_says_what_a_session_has_sent(steered, connect):
    office = steered({'limits.connections_per_address': '0', 'processes.fronts': '2'},
                     users=('demo', 'anna'))
    for size in (10, 5000, 200000):
        office.put('demo', b'Subject: x\n\n' + b'y' * 70 * (size // 70 + 1) + b'\n')
    demo = logged_in(connect, office, 'demo')
    strangers = [connect(office) for _ in range(20)]
    row, = who(office, 'demo')
    assert (row['messages'], row['octets']) == (0, 0)
    octets = sum(len(demo.retr(n)) for n in (1, 2, 3))
    demo.ok('NOOP')
    row, = who(office, 'demo')
    assert row['messages'] == 3 and 0.95 * octets < row['octets'] < 1.1 * octets
    rows = who(office)
    assert len(rows) == 21
    assert {(row['messages'], row['octets']) for row in rows if row['user'] is None} \
        == {(None, None)}
    assert str(row['octets']) in office.valija('who', '-c', office.conf).stdout
    for pop in strangers:
        pop.close()


def test_who_waits_for_no_front(steered, connect):
    """One that hangs is listed without what its sessions have sent."""
    office = steered({'processes.fronts': '1'})
    demo = logged_in(connect, office, 'demo')
    front, = (pid for pid, line in office.children().items() if 'front' in line)
    os.kill(front, signal.SIGSTOP)
    try:
        row, = who(office, 'demo')
        assert row['state'] == 'mail' and row['messages'] is None
    finally:
        os.kill(front, signal.SIGCONT)
    demo.ok('NOOP')
    row, = who(office, 'demo')
    assert row['messages'] == 0


def test_kick_ends_the_sessions_of_a_user_and_no_other(steered, connect):
    office = steered(users=('demo', 'anna'))
    demo, anna = (logged_in(connect, office, user) for user in ('demo', 'anna'))
    assert 'demo' in kick(office, 'demo').stdout
    assert demo.closed() == b''
    anna.ok('NOOP')
    office.wait_log(r'kicked from=127\.0\.0\.1 session=\S+ by-uid=\d+ user="demo"')
    office.wait_log(r'session-end .*user="demo" reason="kicked"')
    wait_until(lambda: who(office, 'demo') == [])
    assert kick(office, 'demo', check=False).returncode == 67
    kick(office, who(office, 'anna')[0]['session'])
    assert anna.closed() == b''


def test_kick_by_address_ends_strangers_too(steered, connect):
    office = steered()
    pops = [connect(office), logged_in(connect, office, 'demo')]
    kick(office, '127.0.0.1')
    assert [pop.closed() for pop in pops] == [b'', b'']


def test_what_a_kicked_session_marked_stays(steered, connect):
    office = steered()
    office.put('demo', b'Subject: one\n\ntext\n')
    demo = logged_in(connect, office, 'demo')
    demo.ok('DELE 1')
    kick(office, 'demo')
    assert demo.closed() == b''
    wait_until(lambda: who(office, 'demo') == [])
    assert logged_in(connect, office, 'demo').stat()[0] == 1


def test_a_commit_under_way_is_finished_and_answered(steered, connect):
    """QUIT and kick at once: where QUIT is answered, the message is gone, else it stays."""
    office = steered()
    for n in range(10):
        office.put('demo', b'Subject: %d\n\ntext\n' % n)
        demo = logged_in(connect, office, 'demo')
        before = demo.stat()[0]
        demo.ok('DELE 1')
        demo.send(b'QUIT\r\n')
        kick(office, 'demo', check=False)
        answered = demo.closed().startswith(b'+OK')
        wait_until(lambda: who(office, 'demo') == [])
        after = logged_in(connect, office, 'demo')
        assert after.stat()[0] == before - answered
        after.quit()


def test_sessions_of_an_older_generation_are_seen_and_ended(steered, connect):
    office = steered({'timeouts.drain': '60s'})
    old = logged_in(connect, office, 'demo')
    office.put('demo', b'Subject: one\n\ntext\n')
    office.reload()
    office.add_user('anna')
    new = connect(office)
    assert len(who(office)) == 2
    assert [row['user'] for row in who(office, 'demo')] == ['demo']
    kick(office, '127.0.0.1')
    assert old.closed() == b'' and new.closed() == b''


def test_a_generation_ends_though_commands_reach_it(steered, connect):
    """Channels between generations keep neither of them."""
    office = steered()
    before = set(office.children())
    old = logged_in(connect, office, 'demo')
    office.reload()
    assert len(who(office)) == 1
    old.quit()
    wait_until(lambda: not before & set(office.children()), 20)
    assert who(office) == []


def test_without_root(steered, connect, need_root):
    office = steered(runas=NOBODY)
    demo = logged_in(connect, office, 'demo')
    assert [row['user'] for row in who(office)] == ['demo']
    kick(office, 'demo')
    assert demo.closed() == b''


def test_many_sessions_are_all_listed_once(steered, connect):
    office = steered({'limits.connections_per_address': '0'})
    for _ in range(600):
        connect(office)
    rows = who(office)
    assert len(rows) == 600 and len({row['session'] for row in rows}) == 600


@pytest.mark.parametrize('line', [
    b'who\n', b'2 who\n', b'1 kick\n', b'1 kick \n', b'1 die\n', b'1 who a\tb\n',
    b'1 who ' + b'x' * 513 + b'\n', b'\n', b'1 who \xff\n\n'])
def test_what_is_no_command_is_an_error(steered, line):
    office = steered()
    with Raw(office.control) as raw:
        answer = raw.ask(line)
        assert answer[-1][0] in ('error', 'end')
        assert answer[-1][0] == 'error' or line == b'1 who \xff\n\n'
    assert who(office) == []


def test_a_client_that_does_not_read_holds_up_nobody(steered, connect):
    office = steered({'limits.connections_per_address': '0'})
    for _ in range(300):
        connect(office)
    with Raw(office.control) as raw:
        raw.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:  # until neither end takes more
                raw.socket.send(b'1 who\n' * 1000)
        assert len(who(office)) == 300
        logged_in(connect, office, 'demo')
        assert [row['user'] for row in who(office, 'demo')] == ['demo']


def as_user(office, uid, group, command, *arguments):
    return subprocess.run(['setpriv', f'--reuid={uid}', f'--regid={group}', '--clear-groups',
                           str(office.bin / 'valija'), command, '--socket', str(office.control),
                           *arguments], capture_output=True, text=True, timeout=60)


def test_threat_111_a_stranger_on_the_machine_learns_and_ends_nothing(steered, connect, need_root):
    office = steered()
    demo = logged_in(connect, office, 'demo')
    for command in (['who'], ['kick', 'demo']):
        done = as_user(office, NOBODY, 'nogroup', *command)
        assert done.returncode == 69 and 'control.group' in done.stderr, done
        assert 'demo' not in done.stdout
    demo.ok('NOOP')


def test_a_member_of_the_group_may(steered, connect, need_root):
    office = steered({'control.group': '"nogroup"'})
    logged_in(connect, office, 'demo')
    done = as_user(office, 12345, 'nogroup', 'who')
    assert 'demo' in done.stdout, done


def test_without_a_socket_the_command_says_what_to_do(make_office):
    office = make_office()
    done = office.valija('who', '-c', office.conf, check=False)
    assert done.returncode == 78 and 'control {' in done.stderr


@pytest.mark.parametrize('name, value, words', [
    ('control.socket', '"127.0.0.1:4242"', 'path of a Unix socket'),
    ('control.group', '"no-such-group"', 'no such system group')])
def test_a_wrong_setting_is_refused(make_office, name, value, words):
    office = make_office(start=False)
    office.set('control.socket', f'"{office.scratch}/control"')
    office.set(name, value)
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode != 0 and words in done.stderr, done


@pytest.fixture
def with_database(steered):
    """A started office whose SQLite database has dora and emil; sets her password."""
    if not program('valija-lookup-sql').exists():
        pytest.skip('valija-lookup-sql is not built')

    def set_password(password):
        with sqlite3.connect(path) as database:
            database.execute("UPDATE users SET secret = ? WHERE name = 'dora'", (password,))

    office = steered(start=False)
    path = office.scratch / 'people.sqlite'
    with sqlite3.connect(path) as database:
        database.execute('CREATE TABLE users (name TEXT, secret TEXT)')
        database.executemany('INSERT INTO users VALUES (?, ?)',
                             [('dora', '{PLAIN}old'), ('emil', '{PLAIN}word')])
    path.chmod(0o644)
    with open(office.conf, 'a') as file:
        file.write(f'''
database "people" {{
    driver = sql
    connect = "sqlite:{path}"
    user_query = "SELECT name AS user, secret AS password FROM users WHERE name = {{user}}"
}}
''')
    office.set_password = set_password
    return office.start()


def login_reply(connect, office, user, password):
    pop = connect(office)
    pop.ok(f'USER {user}')
    return pop.ask(f'PASS {password}')


def test_flush_asks_the_database_anew(with_database, connect):
    """A changed password shuts the old one out at once, where it counted for cache_time."""
    office = with_database
    assert login_reply(connect, office, 'dora', 'old').startswith('+OK')
    assert login_reply(connect, office, 'emil', 'word').startswith('+OK')
    office.set_password('{PLAIN}new')
    assert login_reply(connect, office, 'dora', 'old').startswith('+OK')  # it is remembered
    said = office.valija('user', 'flush', '-c', office.conf, 'Dora').stdout
    assert said == 'Dora: the databases are asked anew; answers that were remembered: 1\n'
    office.wait_log(r'forgotten by-uid=\d+ entries=1 user="Dora"')
    assert login_reply(connect, office, 'dora', 'old').startswith('-ERR [AUTH]')
    assert login_reply(connect, office, 'dora', 'new').startswith('+OK')
    said = office.valija('user', 'flush', '-c', office.conf, '--all').stdout
    assert said == 'all users: the databases are asked anew; answers that were remembered: 2\n'
    assert login_reply(connect, office, 'emil', 'word').startswith('+OK')


def test_flush_says_what_was_wrong(with_database):
    office = with_database

    def fails(*arguments):
        return office.valija('user', 'flush', *arguments, check=False)

    for arguments in ((), ('a', 'b'), ('--all', 'a'), ('--socket',)):
        assert fails(*arguments).returncode == 64
    assert fails('-c', office.conf, 'a\tb').returncode == 64
    gone = fails('--socket', office.scratch / 'no', 'dora')
    assert gone.returncode == 69 and 'cannot reach valijad at' in gone.stderr
    with Raw(office.control) as raw:
        assert raw.ask(b'1 flush\n') == [['error', 'flush needs a user']]
        assert raw.ask(b'1 flush-all x\n') == [['error', 'that command has no target']]
        assert raw.ask(b'1 flush ' + b'x' * 300 + b'\n') == [['end', '0']]
