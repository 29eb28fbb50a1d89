"""Attacks on the server that need a server: rows of the table of threats, by number.

Rows 1-3, 9, 19, 24, 30, 31, 37, 39-42 and 44 stand beside their subject in test_protocol.py,
test_maildir.py, test_tls.py and test_lifecycle.py under the same naming.
"""
import base64
import fcntl
import hashlib
import os
import pathlib
import re
import signal
import socket
import struct
import threading
import time

import office as post
import pytest
from office import PASSWORD, TICK
from pop import Closed, Pop, client_context, login_within
from wire import wire_form

MAIL = [b'Subject: %d\n\nbody %d\n' % (n, n) for n in range(1, 4)]


def status_number(pid, field):
    text = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(re.search(rf'^{field}:\s*(\d+)', text, re.M).group(1))


def memory(office):
    """KiB that all processes of the server have in memory."""
    return sum(status_number(pid, 'VmRSS') for pid in office.children())


def cpu(office, word):
    """Seconds of processor that the children with word in their name have used: from the scheduler,
    in nanoseconds, because the clock's ticks are longer than a hash."""
    return sum(int((task / 'schedstat').read_text().split()[0])
               for pid, line in office.children().items() if word in line
               for task in pathlib.Path(f'/proc/{pid}/task').iterdir()) / 1e9


def denied(client, name, password):
    """USER and PASS that must fail; the reply to whichever failed."""
    reply = client.ask(f'USER {name}')
    if reply.startswith('+OK'):
        reply = client.ask(f'PASS {password}')
    assert reply.startswith('-ERR'), reply
    return reply


# before TLS and login

@pytest.mark.parametrize('service', ['pop3s', 'stls'])
def test_threat_04_silence_or_garbage_instead_of_a_handshake(make_office, connect, service):
    office = make_office(settings={'timeouts.handshake': '1s'})
    clients = []
    for octets in (b'', b'GET / HTTP/1.0\r\n\r\n', b'CAPA\r\n', b'\x16\x03',
                   bytes(range(256)) * 64):
        client = Pop(office.pop3s if service == 'pop3s' else office.pop3, greet=service == 'stls')
        if service == 'stls':
            client.ok('STLS')
        try:
            client.send(octets)
        except OSError:
            pass
        clients.append(client)
    for client in clients:
        assert b'+OK' not in client.closed()  # within the socket's deadline
        client.close()
    login_within(connect, office, 'demo').quit()


@pytest.mark.parametrize('command', ['USER ', 'PASS ', 'APOP ', 'AUTH ', 'AUTH PLAIN '])
@pytest.mark.parametrize('size', [250, 4096, 100_000])
def test_threat_07_long_arguments(shared, user, connect, command, size):
    client = connect(shared)
    client.ok(f'USER {user}')
    reply = client.ask(command + 'A' * size)
    assert reply.startswith('-ERR') or (command == 'USER ' and size < 250)
    client.login(user, PASSWORD)


def test_threat_08_an_endless_line_takes_no_memory(shared, user, connect):
    before = memory(shared)
    client = connect(shared)
    try:
        for _ in range(300):
            client.send(b'x' * 65536)
        client.send(b'\r\nNOOP\r\n')
        assert client.line().startswith('-ERR')
        assert client.line().startswith('-ERR')  # NOOP before the login
    except (OSError, Closed):
        pass  # closed: as good
    assert memory(shared) - before < 4096
    login_within(connect, shared, user).quit()


@pytest.mark.parametrize('line', [b'NOOP\0', b'NO\0OP', b'\0', b'NO\xffOP', b'NOOP\x7f',
                                  b'NOOP\x1b[2J',
                                  b'NOOP\rNOOP', b'NOOP\nNOOP', b'NOOP\n', b'NOOP\r', b'\r', b'\t',
                                  b'USER a\nPASS b', b'NOOP\x0b', b'RETR 1\n'])
def test_threat_10_only_crlf_ends_a_command_and_only_text_is_one(shared, user, connect, line):
    shared.put_many(user, MAIL)
    client = connect(shared)
    client.login(user, PASSWORD)
    client.send(line + b'\r\nSTAT\r\n')
    assert client.line().startswith('-ERR')
    assert client.line().startswith('+OK 3 ')


FORMATS = ['%n%n%n%n', '%s' * 30, '%99999d', '{0}', '%%']
TEMPLATES = ['%u', '%{home}', '${HOME}', '%d/%n', '$(id)', '`id`', '~root']
PATHS = ['../{user}', '..', '.', '/', '/etc', 'a/../{user}', '{user}/', '{user}/.', './{user}',
         '-{user}',
         '--help', '.{user}', '{user}\\', '{user}%00', '~{user}']
QUERIES = ["' OR '1'='1", "'; DROP TABLE users; --", '*)(uid=*', '*', '{user}*', '{user}:', ':',
           '#',
           '{user}:{{PLAIN}}x']


@pytest.mark.parametrize('name', [
    *(pytest.param(name, id=f'{row}-{name[:20]}') for row, names in (
        ('11', FORMATS), ('12', TEMPLATES), ('13', PATHS), ('14', QUERIES)) for name in names)])
def test_threat_11_12_13_14_names_are_never_interpreted(shared, user, connect, name):
    shared.put_many(user, MAIL)
    name = name.format(user=user) if '{user}' in name else name
    before = set(shared.mail.iterdir())
    client = connect(shared)
    reply = denied(client, name, PASSWORD)
    assert not reply.startswith('-ERR [SYS')
    sasl = base64.b64encode(f'\0{name}\0{PASSWORD}'.encode()).decode()
    client.err(f'AUTH PLAIN {sasl}')
    assert set(shared.mail.iterdir()) == before
    client.login(user, PASSWORD)
    assert client.stat()[0] == 3


@pytest.mark.parametrize('home', ['../elsewhere', '/etc', '..', 'a/../../b', './x', 'x//y',
                                  '{mail}', '{mail}/../elsewhere', '{mail}x'])
def test_threat_13_a_home_in_the_users_file_stays_below_the_mail(make_office, connect, home):
    """A home that is none of ours (a site's users file names its own) never leads out of the mail,
    nor into the mail of somebody else."""
    office = make_office(start=False)
    office.put('demo', MAIL[0])
    with (office.dir / 'users').open('a') as file:
        file.write(f'guest:{{PLAIN}}{PASSWORD}::::{home.format(mail=office.mail)}::\n')

    def others():
        return {path for path in office.scratch.rglob('*') if office.mail not in path.parents}
    outside = others()
    office.start()
    office.allow('.')
    client = connect(office)
    if client.ask('USER guest').startswith('+OK'):
        if client.ask(f'PASS {PASSWORD}').startswith('+OK'):
            assert client.stat() == (0, 0)
    assert others() == outside
    assert {path.name for path in office.mail.iterdir()} <= {
        '.valija-root', 'demo', 'guest', 'x', 'a'}
    assert not (office.mail / 'new').exists()


@pytest.mark.parametrize('response', ['!!!!', 'AAA', 'A===', 'QQ==QQ==', '=', '\\x00', 'A' * 200])
def test_threat_15_bad_base64_fails_this_exchange_only(shared, user, connect, response):
    other, client = connect(shared, True), connect(shared, True)
    other.send('AUTH PLAIN\r\n')
    assert other.line() == '+ '
    client.send('AUTH PLAIN\r\n')
    assert client.line() == '+ '
    client.err(response)
    client.login(user, PASSWORD)
    client.quit()
    other.ok(other.plain(user, PASSWORD).split()[2])


@pytest.mark.release
def test_threat_16_cancelled_exchanges_leave_nothing_behind(make_office, connect):
    mechanisms = ('PLAIN', 'LOGIN', 'SCRAM-SHA-256')
    office = make_office(settings={'limits.bad_commands': 0,
                                   'login.mechanisms': f'"{" ".join(mechanisms)}"'})
    client = connect(office, True)

    def cancel(times):
        for n in range(times):
            client.send(f'AUTH {mechanisms[n % len(mechanisms)]}\r\n*\r\n')
            assert client.line().startswith('+ ')
            assert client.line().startswith('-ERR')
    cancel(400)
    before = memory(office)
    cancel(3000)
    grown = memory(office) - before
    # the sanitizer keeps what was freed in a quarantine of 256 MiB
    assert post.sanitized() or grown < 512, f'{grown} KiB more'
    client.login('demo', PASSWORD)


@pytest.mark.parametrize('octets', [b'', b'demo', b'\0', b'\0\0', b'\0{u}', b'{u}\0{p}',
                                    b'\0{u}\0{p}\0',
                                    b'\0{u}\0', b'\0\0{p}', b'other\0{u}\0{p}', b'\0{u}\0{p}\0x',
                                    b'{u}x\0{u}\0{p}', b'\xff\0\xff\0\xff'])
def test_threat_17_malformed_plain_and_foreign_identities(shared, user, connect, octets):
    octets = octets.replace(b'{u}', user.encode()).replace(b'{p}', PASSWORD.encode())
    client = connect(shared, True)
    client.err(b'AUTH PLAIN ' + (base64.b64encode(octets) or b'='))
    client.login(user, PASSWORD)


@pytest.mark.parametrize('size', [16_000, 65_536, 4_000_000])
def test_threat_18_a_huge_sasl_response(shared, user, connect, size):
    client = connect(shared, True)
    before = memory(shared)
    client.send('AUTH PLAIN\r\n')
    assert client.line() == '+ '
    try:
        client.send(b'QUFB' * (size // 4) + b'\r\n')
        assert client.line().startswith('-ERR')
    except (OSError, Closed):
        pass  # closed: as good
    assert memory(shared) - before < 4096
    login_within(connect, shared, user).quit()


@pytest.mark.parametrize('scheme', ['YESCRYPT', 'SHA512-CRYPT'])
def test_threat_20_an_unknown_user_costs_the_work_of_a_known_one(make_office, connect, scheme):
    """Work is measured as processor time of auth, which a busy machine does not change."""
    office = make_office(users=(), settings={'login.max_failures': 100})
    for n in range(3):
        office.add_user(f'known{n}', scheme=scheme)
    spent = {}
    for name in ('unknown{}', 'known{}', 'unknown{}', 'known{}'):
        before = cpu(office, 'auth')
        for n in range(12):
            with Pop(office.pop3) as client:
                denied(client, name.format(n % 3), f'wrong{n}')
        spent[name] = spent.get(name, 0) + cpu(office, 'auth') - before
    ratio = spent['unknown{}'] / max(spent['known{}'], 0.01)
    assert spent['known{}'] > 0.02 and 0.5 < ratio < 2, spent


def test_threat_22_a_remembered_password_is_one_users_and_one_entrys(make_office, connect):
    office = make_office(users=())
    for name, password in (('anna', 'annas secret'), ('bert', 'berts secret')):
        office.add_user(name, password, scheme='YESCRYPT')
    for _ in range(2):
        for name, password in (('anna', 'annas secret'), ('bert', 'berts secret')):
            client = connect(office)
            client.login(name, password)
            client.quit()
    for name, password in (('anna', 'berts secret'), ('bert', 'annas secret'),
                           ('ann', 'aannas secret')):
        assert denied(connect(office), name, password).startswith('-ERR [AUTH]')
    office.valija('user', 'passwd', '-c', office.conf, 'anna', stdin='fresh secret\n')
    assert denied(connect(office), 'anna', 'annas secret').startswith('-ERR [AUTH]')
    connect(office).login('anna', 'fresh secret')


def stamp_of(client):
    found = re.search(r'<[^<>@\s]+@[^<>@\s]+>', client.greeting)
    return found and found.group(0)


def apop(user, stamp, password=PASSWORD):
    return f'APOP {user} {hashlib.md5((stamp + password).encode()).hexdigest()}'


def test_threat_23_apop_is_off_by_default(shared, user, connect):
    client = connect(shared)
    assert stamp_of(client) is None and '<' not in client.greeting
    client.err(f'APOP {user} {"0" * 32}')


def test_threat_23_apop_stamps_are_fresh_and_answers_good_once(make_office, connect):
    office = make_office(settings={'login.apop': 'yes'})
    clients = [connect(office, True) for _ in range(30)]
    stamps = [stamp_of(client) for client in clients]
    assert None not in stamps and len(set(stamps)) == len(stamps)
    answer = apop('demo', stamps[0])
    assert clients[1].ask(answer).startswith('-ERR [AUTH]')
    clients[0].ok(answer)
    clients[0].quit()
    assert clients[2].ask(answer).startswith('-ERR [AUTH]')
    assert clients[3].ask(apop('demo', stamps[3], 'wrong')).startswith('-ERR [AUTH]')
    clients[3].err('APOP demo')
    clients[3].err('APOP demo xyz')


def test_threat_25_guessing_gets_slower_and_ends_the_connection(make_office, connect):
    office = make_office(settings={'login.failure_delay': '100ms',
                                   'login.failure_delay_max': '400ms',
                                   'login.max_failures': 3})
    client = connect(office, source='127.0.0.2')
    begin = time.monotonic()
    with pytest.raises((Closed, OSError)):
        for n in range(10):
            client.ok('USER demo')
            client.err(f'PASS guess{n}')
    assert n == 3
    assert time.monotonic() - begin >= 0.1 + 0.2 + 0.4 - 3 * TICK
    # nobody is locked out of their mail by somebody else's guesses
    owner = connect(office)
    owner.login('demo', PASSWORD)
    owner.quit()


def test_threat_25_many_guessers_do_not_keep_the_owner_out(make_office, connect):
    office = make_office(users=())
    office.add_user('demo', scheme='YESCRYPT')
    stop = threading.Event()

    def guess(address):
        while not stop.is_set():
            try:
                with Pop(office.pop3, source=address) as client:
                    for n in range(3):
                        client.ask('USER demo')
                        client.ask(f'PASS wrong{n}')
            except (OSError, Closed):
                pass
    guessers = [threading.Thread(target=guess, args=(f'127.0.1.{n}',)) for n in range(1, 9)]
    for thread in guessers:
        thread.start()
    try:
        for _ in range(5):
            owner = connect(office, source='127.0.2.1')
            owner.login('demo', PASSWORD)
            owner.quit()
    finally:
        stop.set()
        for thread in guessers:
            thread.join()


def test_threat_26_connections_of_one_address_are_limited(make_office, connect):
    office = make_office(settings={'limits.connections_per_address': 5})
    clients = [connect(office, source='127.0.0.5') for _ in range(5)]
    extra = connect(office, source='127.0.0.5', greet=False)
    try:
        assert not extra.line().startswith('+OK')
    except (Closed, OSError):
        pass
    good = connect(office, source='127.0.0.6')
    good.login('demo', PASSWORD)
    good.quit()
    clients[0].quit()
    deadline = time.monotonic() + 5
    while True:
        try:
            if connect(office, source='127.0.0.5').greeting.startswith('+OK'):
                break
        except (Closed, OSError):
            pass
        assert time.monotonic() < deadline, 'the slot was never freed'


def test_threat_26_who_does_not_log_in_is_put_out_without_a_word(make_office, connect):
    office = make_office(settings={'timeouts.login': '2s'})
    silent, slow, tls = connect(office), connect(office), connect(office, True)
    begin = time.monotonic()
    with pytest.raises(OSError):  # every octet renews nothing: the deadline is for the login
        while time.monotonic() < begin + 20:
            slow.send(b'N')
            time.sleep(0.1)
    for client in (silent, tls):
        assert client.closed() == b''
    login_within(connect, office, 'demo').quit()


@pytest.mark.release
def test_threat_26_good_clients_are_served_through_a_flood(make_office, connect):
    office = make_office(settings={'limits.connections_per_address': 20})
    office.put_many('demo', MAIL)
    flood = []
    for n in range(600):
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((f'127.9.{n % 7}.1', 0))
        try:
            sock.connect(('127.0.0.1', office.pop3 if n % 2 else office.pop3s))
        except BlockingIOError:
            pass
        flood.append(sock)
    for _ in range(3):
        client = connect(office, True)
        client.login('demo', PASSWORD)
        assert client.retr(1) == wire_form(MAIL[0])
        client.quit()
    for sock in flood:
        sock.close()


def test_threat_26_sessions_of_all_are_limited(make_office, connect):
    office = make_office(settings={'limits.connections': 20, 'limits.connections_per_address': 0})

    def greeted():
        client = connect(office, greet=False)
        try:
            return client if client.line().startswith('+OK') else None
        except (Closed, OSError):
            return None

    def lives(client):
        try:
            return client.ask('USER demo').startswith('+OK')
        except (Closed, OSError):
            return False

    # one that has not logged in may give way to a later one
    opened = [client for client in (greeted() for _ in range(40)) if client]
    assert 10 <= len([client for client in opened if lives(client)]) <= 20
    for client in opened:
        client.close()
    deadline = time.monotonic() + 10
    while not (client := greeted()):  # the ends are on their way to who counts them
        assert time.monotonic() < deadline
    client.ok('USER demo')
    client.ok(f'PASS {PASSWORD}')
    client.quit()


def test_threat_27_no_descriptors_left_and_back_again(make_office, connect):
    office = make_office(start=False, settings={'limits.connections_per_address': 0})
    office.allow('.')
    office.limit_files = 120
    office.start()
    clients = []
    for _ in range(600):
        client = connect(office, greet=False, timeout=2)
        clients.append(client)
    for client in clients:
        client.close()
    login_within(connect, office, 'demo', 15).quit()
    assert office.process.poll() is None


@pytest.mark.parametrize('name', ['x\x1b[2Jx', 'x\x07', 'x\u202ex', 'x\xa0y', 'x' * 240,
                                  'x error: y',
                                  'x\\x0ay'])
def test_threat_28_nothing_from_outside_forges_the_log(shared, user, connect, name):
    mark = shared.mark()
    client = connect(shared)
    client.ask(f'USER {name}'.encode())
    client.ask('PASS nonsense')
    client.ask(b'AUTH PLAIN ' + base64.b64encode(f'\0{name}\nforged[1]: line\0x'.encode()))
    client.login(user, PASSWORD)
    client.quit()
    lines = [line for line in shared.log[mark:] if line]
    assert all(0x20 <= ord(c) <= 0x7e for line in lines for c in line)
    assert all(len(line) <= 1200 for line in lines)
    head = re.compile(r'[\d-]{10}T[\d:]{8}[+-]\d{4} (front|auth|keeper|lmtp|valijad)\d*\[\d+\]: ')
    assert all(head.match(line) for line in lines)
    assert not [line for line in lines if re.search(r'(^|\S+ )forged', line)]


# after the login

def test_threat_33_34_ends_and_dots_at_buffer_edges(shared, user, connect):
    """Line breaks and dots moved across every edge that a buffer of a power of two may have."""
    messages = []
    for edge in (4096, 16384, 32768, 65536, 131072):
        for shift in range(-4, 4):
            head = b'Subject: edge\n\n'
            fill = b'x' * (edge + shift - len(head))
            messages.append(head + fill + b'\n.\n..\n\r\n.\r\n.')
    shared.put_many(user, messages)
    client = connect(shared)
    client.login(user, PASSWORD)
    for number, message in enumerate(messages, 1):
        assert client.retr(number) == wire_form(message)


def test_threat_32_a_huge_header_is_only_octets(shared, user, connect):
    people = b',\n '.join(b'<a%d@example.com>' % n for n in range(100_000))
    header = b'Cc: ' + people + b'\n\nbody\n'
    nested = b''.join(b'Content-Type: multipart/mixed; boundary=%d\n\n--%d\n' % (n, n)
                      for n in range(20_000))
    shared.put_many(user, [header, nested])
    client = connect(shared)
    client.login(user, PASSWORD)
    before = cpu(shared, '')
    assert client.top(1, 0) == wire_form(header)[:-len(b'body\r\n')]
    assert client.retr(1) == wire_form(header)
    assert client.retr(2) == wire_form(nested)
    assert cpu(shared, '') - before < 3


@pytest.mark.release
@pytest.mark.parametrize('tls', [None, True], ids=['plain', 'tls'])
def test_threat_36_a_client_that_never_reads(make_office, connect, tls):
    office = make_office(settings={'timeouts.write': '3s'}, users=('demo', 'other'))
    office.put('demo', b'Subject: long\n\n' + b'line of a long message\n' * 60_000)
    office.put_many('other', MAIL)
    warm = connect(office, tls)
    warm.login('demo', PASSWORD)
    warm.retr(1)
    warm.quit()
    before = memory(office)
    mute = connect(office, tls)
    login = b'USER demo\r\nPASS ' + PASSWORD.encode() + b'\r\n'
    mute.socket.settimeout(0.5)
    mute.send(login)
    try:
        mute.send(b'RETR 1\r\n' * 4000)
    except TimeoutError:
        pass  # back-pressure reached us
    other = connect(office, tls)
    other.login('other', PASSWORD)
    assert [other.retr(n) for n in (1, 2, 3)] == [wire_form(m) for m in MAIL]
    other.quit()
    grown = memory(office) - before
    assert grown < (65536 if post.sanitized() else 2048), f'{grown} KiB more'
    # put out for not reading: its maildrop becomes free
    login_within(connect, office, 'demo', 30)


@pytest.mark.parametrize('tls', [None, True], ids=['plain', 'tls'])
def test_pipelining_without_reading_is_no_deadlock(shared, user, connect, tls):
    shared.put(user, b'Subject: middling\n\n' + b'some text\n' * 3000)
    client = connect(shared, tls)
    client.login(user, PASSWORD)
    count = 2000
    writer = threading.Thread(target=client.send, args=(b'TOP 1 0\r\nRETR 1\r\n' * count,))
    if tls:
        # one SSL object must not be used from two threads: send what fits without blocking
        count = 300
        client.send(b'TOP 1 0\r\nRETR 1\r\n' * count)
    else:
        writer.start()
    for _ in range(count):
        assert client.line().startswith('+OK') and client.body().endswith(b'\r\n\r\n')
        assert client.line().startswith('+OK') and client.body().endswith(b'text\r\n')
    client.ok('NOOP')


def test_threat_38_a_quit_that_cannot_delete_says_so(make_office, connect, need_root):
    """The store refuses everything at the last moment: -ERR, everything kept, the lock free."""
    office = make_office()
    office.put_many('demo', MAIL)
    client = connect(office)
    client.login('demo', PASSWORD)
    client.ok('DELE 1')
    maildir = office.mail / 'demo'
    office.allow('.')
    immutable = [maildir, maildir / 'new', maildir / 'cur', *(
        path for path in maildir.iterdir() if path.is_file())]
    if not set_immutable(immutable, True):
        pytest.skip('this filesystem has no immutable files')
    try:
        reply = client.ask('QUIT')
    finally:
        set_immutable(immutable, False)
    assert reply.startswith('-ERR'), reply
    assert client.closed() == b''
    office.has_files('demo', 3)
    assert login_within(connect, office, 'demo').stat()[0] == 3


def set_immutable(paths, on):
    """FS_IOC_SETFLAGS with FS_IMMUTABLE_FL; False where the filesystem lacks it."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            flags = struct.unpack('l', fcntl.ioctl(fd, 0x80086601, struct.pack('l', 0)))[0]
            flags = flags | 0x10 if on else flags & ~0x10
            fcntl.ioctl(fd, 0x40086602, struct.pack('l', flags))
        except OSError:
            return False
        finally:
            os.close(fd)
    return True


def test_threat_39_the_holder_killed_frees_the_lock(make_office, connect):
    office = make_office()
    office.allow('.')
    office.put_many('demo', MAIL)
    client = connect(office)
    client.login('demo', PASSWORD)
    client.ok('DELE 2')
    for pid, line in office.children().items():
        if 'keeper' in line:
            os.kill(pid, signal.SIGKILL)
    again = login_within_restart(connect, office)
    assert again.stat()[0] == 3


def login_within_restart(connect, office, seconds=10):
    deadline = time.monotonic() + seconds
    while True:
        try:
            client = connect(office)
            client.ok('USER demo')
            if client.ask(f'PASS {PASSWORD}').startswith('+OK'):
                return client
        except (Closed, OSError):
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_threat_39_two_deleters_of_one_message(shared, user, connect):
    """Twenty sessions in turn from two sides: each message is deleted by exactly one of them."""
    shared.put_many(user, MAIL * 4)
    deleted = []

    def side():
        for _ in range(10):
            client = login_within(connect, shared, user, 30)
            uids = client.uidl()
            if uids:
                client.ok(f'DELE {min(uids)}')
            client.quit()
            if uids:
                deleted.append(uids[min(uids)])
    sides = [threading.Thread(target=side) for _ in range(2)]
    for thread in sides:
        thread.start()
    for thread in sides:
        thread.join()
    assert len(deleted) == len(set(deleted)) == 12


def test_clear_text_logins_only_where_allowed(make_office, connect):
    office = make_office(settings={'login.plain_on_loopback': 'no'})
    client = connect(office)
    assert 'USER' not in [line.split()[0] for line in client.lines('CAPA')]
    denied(client, 'demo', PASSWORD)
    client.err(client.plain('demo', PASSWORD))
    client.ok('STLS')
    client.start_tls(client_context(str(office.cert)))
    client.login('demo', PASSWORD)
