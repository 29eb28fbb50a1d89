"""The log: what it says of sessions and deliveries, and that nobody waits for it."""
import base64
import fcntl
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import time

import pytest

from lmtp import Lmtp
from office import PASSWORD, wait_until
from pop import Pop

SET_PIPE_SIZE = 1031
MESSAGE = b'Message-ID: <one@example.org>\r\nSubject: x\r\n\r\nhello\r\n'


def fields(line):
    """{key: value} of a record, the quotes taken off; the event's name by "event"."""
    text = re.sub(r'^\S+ \S+\[\d+\]: (error: |warning: )?', '', line)
    found = dict(re.findall(r'(\S+?)=("[^"]*"|\S+)', text))
    return {'event': text.split()[0], **{key: value.strip('"') for key, value in found.items()}}


def wait_record(office, event, since, **wanted):
    """The next record of that event."""
    while True:
        since = office.wait_log(rf'\]: (error: )?{event} ', since=since)
        got = fields(office.log[since - 1])
        if all(got.get(key.replace('_', '-')) == value for key, value in wanted.items()):
            return got


def session_end(office, since, user='demo'):
    return wait_record(office, 'session-end', since, user=user)


def login(connect, office, user='demo', **more):
    client = connect(office, **more)
    client.login(user, PASSWORD)
    return client


def test_the_end_of_a_session_has_all_counts(office, connect):
    sizes = [len(octets) for octets in (b'Subject: a\n\n' + b'x' * n + b'\n' for n in (5, 50))]
    for size in (5, 50):
        office.put('demo', b'Subject: a\n\n' + b'x' * size + b'\n')
    mark = office.mark()
    client = login(connect, office)
    client.retr(1)
    client.retr(2)
    client.top(2, 0)
    client.ok('DELE 2')
    client.quit()
    entry = wait_record(office, 'login', mark)
    end = session_end(office, mark)
    assert entry['session'] == end['session'] and entry['from'] == end['from'] == '127.0.0.1'
    assert entry['mechanism'] == 'USER' and end['reason'] == 'quit'
    wire = [size + 3 for size in sizes]  # three lines end with CRLF
    assert end['retr'] == '2' and end['retr-octets'] == str(sum(wire))
    assert end['top'] == '1' and 0 < int(end['top-octets']) < wire[1]
    assert end['dele'] == '1' and end['dele-octets'] == str(wire[1]) and end['left'] == '1'


def test_what_was_taken_back_is_not_counted_as_deleted(office, connect):
    office.put('demo', b'a\n\nb\n')
    mark = office.mark()
    client = login(connect, office)
    client.ok('DELE 1')
    client.ok('RSET')
    client.quit()
    end = session_end(office, mark)
    assert (end['dele'], end['dele-octets'], end['left']) == ('0', '0', '1')


def test_a_cut_session_deleted_nothing(office, connect):
    office.put('demo', b'a\n\nb\n')
    mark = office.mark()
    client = login(connect, office)
    client.ok('DELE 1')
    client.close()
    end = session_end(office, mark)
    assert (end['dele'], end['left']) == ('0', '1')
    assert end['reason'] in ('cut', 'the client closed the connection')


def test_a_client_that_is_sent_away_is_named_with_the_reason(make_office, connect):
    office = make_office(settings={'timeouts.login': '1s'})
    mark = office.mark()
    connect(office)
    end = wait_record(office, 'session-end', mark, reason='no login in time')
    assert end['from'] == '127.0.0.1'


def test_a_client_that_does_not_read(make_office, connect):
    office = make_office(settings={'timeouts.write': '1s'})
    office.put('demo', b'Subject: a\n\n' + b'x' * 70 + b'\n' * 20_000_000)
    mark = office.mark()
    client = login(connect, office)
    client.send('RETR 1\r\n')
    end = session_end(office, mark)
    assert end['reason'] == 'write timeout' and end['retr'] == '1' and end['left'] == '1'
    assert 0 < int(end['retr-octets']) < 20_000_000


def test_a_session_that_a_stop_ends(office, connect):
    office.put('demo', b'a\n\nb\n')
    login(connect, office)
    office.stop()
    end = next(fields(line) for line in office.log if line and ' session-end ' in line)
    assert end['user'] == 'demo' and end['reason'] == 'drain' and end['left'] == '1'


def test_failed_handshakes_and_nonsense_have_an_address(office, connect):
    mark = office.mark()
    with socket.create_connection(('127.0.0.1', office.pop3s), 10) as client:
        client.sendall(b'USER demo\r\n')
        client.recv(100)
    assert wait_record(office, 'tls-failed', mark)['from'] == '127.0.0.1'
    client = connect(office)
    for _ in range(20):
        try:
            client.ask('GET / HTTP/1.1')
        except (OSError, EOFError, AssertionError):
            break
    end = wait_record(office, 'session-end', mark, reason='too many bad commands')
    assert end['from'] == '127.0.0.1' and 'user' not in end


def versions(office):
    """(TLS context, the version that it comes to), for both that are served."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=office.cert)
        context.check_hostname = False
        context.minimum_version = context.maximum_version = version
        yield context, version.name.replace('_', '.')


def test_tls_is_named_by_its_version(office):
    for context, version in versions(office):
        mark = office.mark()
        with socket.create_connection(('127.0.0.1', office.pop3s), 10) as plain, \
                context.wrap_socket(plain) as client:
            for line in ('USER demo', f'PASS {PASSWORD}', 'QUIT'):
                client.recv(1000)
                client.sendall(line.encode() + b'\r\n')
            client.recv(1000)
            end = session_end(office, mark)
            assert end['tls'] == version and end['cipher'] == client.cipher()[0]
            assert end['service'] == 'pop3s'
            assert wait_record(office, 'login', mark)['tls'] == version


@pytest.mark.parametrize('command', ['USER', 'AUTH', 'SCRAM'])
def test_a_wrong_password_is_logged_with_the_version_of_tls(office, connect, command):
    def lines():
        if command == 'USER':
            return [b'USER demo', b'PASS wrong']
        if command == 'AUTH':
            return [b'AUTH PLAIN ' + base64.b64encode(b'\0demo\0wrong')]
        return [b'AUTH SCRAM-SHA-256 ' + base64.b64encode(b'n,,n=demo,r=abcdefghij'), b'eA==']

    def refuse(client):
        for line in lines():
            answer = client.ask(line)
        assert answer.startswith('-ERR')
        client.close()

    for context, version in versions(office):
        mark = office.mark()
        refuse(Pop(office.pop3s, tls=context))
        assert wait_record(office, 'login-refused', mark)['tls'] == version
        mark = office.mark()
        client = Pop(office.pop3)
        client.ok('STLS')
        client.start_tls(context)
        refuse(client)
        assert wait_record(office, 'login-refused', mark)['tls'] == version
    mark = office.mark()
    refuse(connect(office))
    assert wait_record(office, 'login-refused', mark)['tls'] == 'no'


@pytest.mark.parametrize('logged_in', [False, True])
def test_a_connection_that_breaks_under_tls(office, connect, logged_in):
    """Octets that are no TLS record after the handshake: the line comes, and the front lives."""
    mark = office.mark()
    client = connect(office, True)
    if logged_in:
        client.login('demo', PASSWORD)
    os.write(client.socket.fileno(), b'no record of TLS at all\r\n' * 10)
    client.close()
    login(connect, office).quit()
    wait_record(office, 'session-end', mark, reason='quit')
    if logged_in:
        office.wait_log('session-end .*tls="TLSv1', since=mark)
    assert 'ended by signal' not in office.log_text()


@pytest.mark.parametrize('name', ['x" from=6.6.6.6', 'x> from=6.6.6.6', 'x\x1b[2J', 'b\xe9 ',
                                  '\\x22'])
def test_a_name_forges_no_field(office, connect, name):
    mark = office.mark()
    client = connect(office)
    client.ask(b'AUTH PLAIN ' + base64.b64encode(f'\0{name}\0x'.encode()))
    client.close()
    office.wait_log('login-(refused|failed)', since=mark)
    line = next(line for line in office.log[mark:] if line and 'login-' in line)
    assert re.findall(r'\S*from=\S+', line) == ['from=127.0.0.1']
    assert re.search(r'user="[A-Za-z0-9@._+\\-]*"', line) and line.count('user=') == 1


def test_a_delivery_is_one_whole_line(office):
    mark = office.mark()
    with Lmtp(office.lmtp) as client:
        assert client.deliver(MESSAGE, 'demo+tag@example.org') == ['250 2.1.5 delivered']
    got = wait_record(office, 'delivered', mark)
    assert got['user'] == 'demo' and got['recipient'] == 'demo+tag@example.org'
    assert got['message-id'] == 'one@example.org' and got['client'] == '127.0.0.1'
    assert '@' in got['sender'] and got['size'] == str(len(MESSAGE))
    assert [got['file']] == [path.name for path in office.files('demo')]


def test_a_refused_recipient_is_logged(office):
    mark = office.mark()
    with Lmtp(office.lmtp) as client:
        client.expect('MAIL FROM:<s@example.org>', '250')
        client.expect('RCPT TO:<nobody.here@example.org>', '550')
    got = wait_record(office, 'recipient-refused', mark)
    assert got['recipient'] == 'nobody.here@example.org' and got['reason'] == 'no such user here'
    assert got['from'] == '127.0.0.1' and got['sender'] == 's@example.org'


def test_a_message_that_is_too_big_is_logged(make_office):
    office = make_office(settings={'lmtp.max_size': '2K'})
    mark = office.mark()
    with Lmtp(office.lmtp) as client:
        client.expect('MAIL FROM:<one@example.org> SIZE=5000', '552')
        got = wait_record(office, 'message-refused', mark)
        assert got['from'] == '127.0.0.1' and got['reason'] == 'larger than lmtp.max_size'
        assert 'sender' not in got
        mark = office.mark()
        client.expect('MAIL FROM:<two@example.org>', '250')
        client.expect('RCPT TO:<demo@example.org>', '250')
        client.expect('DATA', '354')
        client.send(b'x' * 70 + b'\r\n' + b'y' * 5000 + b'\r\n.\r\n')
        assert client.reply().startswith('552')
    got = wait_record(office, 'message-refused', mark)
    assert got['sender'] == 'two@example.org' and got['reason'] == 'larger than lmtp.max_size'
    office.stop()
    assert len([line for line in office.log if line and ' message-refused ' in line]) == 2


@pytest.mark.parametrize('command', ['USER demo', 'AUTH PLAIN AGRlbW8AeA=='])
def test_a_client_without_tls_is_logged(make_office, connect, command):
    """Its user sees that the login fails, not why."""
    office = make_office(settings={'login.plain_on_loopback': 'no'})
    mark = office.mark()
    client = connect(office)
    assert client.ask(command).startswith('-ERR')
    client.close()
    wait_record(office, 'session-end', mark,
                reason='no login in clear text: the client has to use TLS')


@pytest.mark.parametrize('name', ['valija-base', 'valija-delta'])
def test_an_index_that_is_made_anew_is_logged(office, connect, name):
    """Each time, with maildrop and reason; the first index of a maildrop is no such line."""
    office.put('demo', b'a\n\nb\n')
    login(connect, office).quit()
    path = office.mail / 'demo' / name
    wait_until(path.exists)
    assert 'made anew' not in office.log_text()
    for _ in range(2):
        login(connect, office).quit()
        mark = office.mark()
        path.write_bytes(os.urandom(4096))
        office.own(path)
        login(connect, office).quit()
        office.wait_log(r'keeper\d+\[\d+\]: maildrop demo: .*; it is made anew', since=mark)


def test_a_reader_that_stalls_stops_nobody(make_office, connect):
    """Nobody reads the log, whose pipe is small: logins and deliveries go on; later the log says
    how many lines it lacks."""
    office = make_office(start=False)
    ours, theirs = os.pipe()
    fcntl.fcntl(ours, SET_PIPE_SIZE, 4096)
    server = subprocess.Popen([office.bin / 'valijad', '-c', office.conf], stderr=theirs,
                              stdin=subprocess.DEVNULL, env=office.environment(), cwd='/')
    os.close(theirs)
    try:
        seen = b''
        while b'ready' not in seen:
            seen += os.read(ours, 4096)
        for _ in range(60):
            login(connect, office).quit()
        with Lmtp(office.lmtp) as client:
            assert client.deliver(MESSAGE, 'demo') == ['250 2.1.5 delivered']
        seen = b''
        deadline = time.monotonic() + 20
        while seen.count(b'session-end') < 60 or b'delivered' not in seen:
            assert time.monotonic() < deadline, seen[-2000:]
            if select.select([ours], [], [], 1)[0]:
                seen += os.read(ours, 65536)
    finally:
        server.terminate()
        assert server.wait(20) == 0  # nobody reads: the end waits a second for that, not more
        os.close(ours)


def summed(office, event):
    """(lines in full, lines in sums) of an event, after the end of the office."""
    full, counted = 0, 0
    for line in filter(None, office.log):
        got = fields(line)
        full += got['event'] == event
        counted += int(got['lines']) if got.get('of') == event else 0
    return full, counted


def test_a_flood_of_refusals_is_summed_up(make_office):
    """2,000 refused connections are some ten lines, and a count that is right. The end of valijad
    does not wait for the minute to be over."""
    office = make_office(settings={'limits.connections_per_address': '3',
                                   'processes.fronts': '1'})
    kept = [socket.create_connection(('127.0.0.1', office.pop3), 10) for _ in range(3)]
    for client in kept:
        assert client.recv(100).startswith(b'+OK')
    for _ in range(2000):
        with socket.create_connection(('127.0.0.1', office.pop3), 10) as client:
            assert client.recv(100).startswith(b'-ERR')
    for client in kept:
        client.close()
    office.stop()
    full, counted = summed(office, 'connection-refused')
    assert full + counted == 2000
    assert full <= 10 * 3, 'more than the first ten of three minutes'


def test_a_flood_of_wrong_passwords_is_summed_up(make_office):
    office = make_office(settings={'login.failure_delay': '0', 'login.max_failures': '1000',
                                   'limits.bad_commands': '0'})
    with socket.create_connection(('127.0.0.1', office.pop3), 10) as client:
        stream = client.makefile('rb')
        stream.readline()
        for _ in range(300):
            client.sendall(b'AUTH PLAIN ' + base64.b64encode(b'\0nobody\0x') + b'\r\n')
            assert stream.readline().startswith(b'-ERR')
    office.stop()
    full, counted = summed(office, 'login-refused')
    assert full + counted == 300 and full <= 10 * 3


# ---- other places than standard error ----

def start_logging_to(office, path, to):
    """Starts with the log in a file at path."""
    office.set('log_to', f'"{to}"')
    office.start(wait=False)
    wait_until(lambda: path.exists() and 'ready: ' in path.read_text(), 30)


def counted_lines(text):
    """Lines of sessions, and lines that the log says it lost."""
    lost = sum(map(int, re.findall(r'warning: (\d+) lines ', text)))
    whole = r'\]: (?:login .*user="demo"|session-end .*reason="quit")$'  # a full disk cuts lines
    return len(re.findall(whole, text, re.M)), lost


def test_a_file_that_logrotate_renames(make_office, connect):
    """Relative to the configuration's folder; errors of a start would be on standard error."""
    office = make_office(start=False)
    path, old = office.dir / 'valija.log', office.dir / 'valija.log.1'
    start_logging_to(office, path, './valija.log')
    assert path.stat().st_mode & 0o777 == 0o640
    login(connect, office).quit()
    wait_until(lambda: 'session-end' in path.read_text())
    path.rename(old)
    office.process.send_signal(signal.SIGUSR1)
    wait_until(path.exists)
    login(connect, office).quit()
    wait_until(lambda: 'session-end' in path.read_text())
    assert old.read_text().count(' session-end ') == path.read_text().count(' session-end ') == 1
    path.rename(old)
    office.process.send_signal(signal.SIGHUP)
    wait_until(lambda: path.exists() and 'reloaded: ' in path.read_text(), 30)
    assert all(re.match(r'\d{4}-\d\d-\d\dT[\d:]{8}[+-]\d{4} \w+\[\d+\]: ', line)
               for line in path.read_text().splitlines())
    office.stop()
    assert 'stopped' in path.read_text() and 'session-end' not in office.log_text()


def test_a_signal_to_all_processes_ends_none(make_office, connect):
    """systemctl kill sends to all of them."""
    office = make_office()
    children = office.children()
    for pid in children:
        os.kill(pid, signal.SIGUSR1)
    office.process.send_signal(signal.SIGUSR1)
    login(connect, office).quit()
    assert set(office.children()) == set(children)


def test_a_file_that_cannot_be_opened_again(make_office, connect):
    office = make_office(start=False)
    office.allow('cannot open the log')
    path, old = office.dir / 'valija.log', office.dir / 'valija.log.1'
    start_logging_to(office, path, path)
    path.rename(old)
    path.mkdir()
    office.process.send_signal(signal.SIGUSR1)
    office.wait_log(rf'error: cannot open the log {path}: .*; the old file is written on')
    wait_until(lambda: 'the old file is written on' in old.read_text())
    office.process.send_signal(signal.SIGHUP)
    wait_until(lambda: 'the new configuration is not used' in old.read_text())
    login(connect, office).quit()
    wait_until(lambda: 'session-end' in old.read_text())


def test_a_reload_to_another_place(make_office, connect):
    office = make_office()
    path = office.dir / 'valija.log'
    office.set('log_to', f'"{path}"')
    office.process.send_signal(signal.SIGHUP)
    wait_until(lambda: path.exists() and 'reloaded: ' in path.read_text(), 30)
    login(connect, office).quit()
    wait_until(lambda: 'session-end' in path.read_text())
    office.set('log_to', '"stderr"')
    office.reload()
    login(connect, office).quit()
    office.wait_log('session-end')
    assert 'output:' not in path.read_text()


def test_the_check_tries_the_file_and_leaves_none(make_office):
    office = make_office(start=False)
    path = office.dir / 'valija.log'
    office.set('log_to', f'"{path}"')
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode == 0 and not path.exists(), done.stderr
    office.set('log_to', f'"{office.dir}/missing/valija.log"')
    for args in (['-t'], []):
        done = office.valijad(*args, '-c', office.conf)
        assert done.returncode == 78 and f'{office.dir}/missing/valija.log' in done.stderr
    office.set('log_to', f'"syslog:{office.dir}/no-log"')
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode == 0 and 'syslog is not there' in done.stderr


def test_a_full_disk_is_told_afterwards(make_office, connect, tmp_path):
    """Each line is in the file, or in the count that follows when there is room again."""
    if os.geteuid() != 0 or subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', tmp_path], check=False).returncode:
        pytest.skip('no tmpfs can be mounted here')
    try:
        office = make_office(start=False)
        path, ballast = tmp_path / 'log', tmp_path / 'ballast'
        start_logging_to(office, path, path)
        with ballast.open('wb', buffering=0) as file:
            try:
                while file.write(b'x' * 1024):
                    pass
            except OSError:
                pass
        sessions = 0
        while path.read_text().endswith('\n'):  # until a line is cut short
            login(connect, office).quit()
            sessions += 1
        ballast.unlink()
        login(connect, office).quit()

        def adds_up():
            written, lost = counted_lines(path.read_text())
            return lost and written + lost == 2 * (sessions + 1)
        wait_until(adds_up)
        office.stop()
    finally:
        subprocess.run(['umount', '-l', tmp_path], check=True)


class Syslog:
    """A stand-in for syslogd: its socket, and the datagrams that were taken from it."""

    def __init__(self, path):
        self.path, self.text = path, ''
        self.socket = None

    def listen(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.path.chmod(0o666)

    def die(self):
        self.socket.close()
        self.path.unlink()

    def read(self):
        while select.select([self.socket], [], [], 0.01)[0]:
            self.text += self.socket.recv(4096).decode('ascii') + '\n'
        return self.text

    def wait(self, condition, seconds=20):
        return wait_until(lambda: condition(self.read()), seconds)


def test_a_syslog_that_stalls_dies_and_comes_back(make_office, connect):
    office = make_office(start=False)
    log = Syslog(office.scratch / 'log')
    log.listen()
    office.set('log_to', f'"syslog:{log.path}"')
    office.start(wait=False)
    log.wait(lambda text: 'ready: ' in text, 30)
    login(connect, office).quit()
    log.wait(lambda text: ' session-end ' in text)
    assert all(re.match(r'<2[0-3]>\w+\[\d+\]: ', line) for line in log.text.splitlines())
    for _ in range(40):  # it does not read
        login(connect, office).quit()
    log.wait(lambda text: counted_lines(text) == (2 * 41, 0))
    log.die()
    for _ in range(40):
        login(connect, office).quit()
    log.listen()
    login(connect, office).quit()
    # all are there, or in a count where it was away for long
    log.wait(lambda text: sum(counted_lines(text)) == 2 * 82)
    log.die()
    office.stop()
