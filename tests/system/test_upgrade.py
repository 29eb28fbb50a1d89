"""Another program is installed and takes over: the same pid, no session cut, no connection refused;
what cannot take over leaves the one that runs."""
import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import office as post
import pytest
from elf import break_function
from office import NOBODY, PASSWORD, wait_until
from pop import Pop
from wire import wire_form

MAIL = [b'Subject: %d\n\nbody %d\n' % (n, n) for n in range(1, 4)]


def installed(office):
    return office.bin / 'valijad'


def install(office, change=None):
    """As a package does: a new file takes the name of the old one. change(path): what is new."""
    new = office.bin / 'valijad.new'
    shutil.copy(post.program('valijad'), new)
    if change:
        change(new)
    os.rename(new, installed(office))


def program_of(pid):
    """None: that process has ended."""
    try:
        status = os.stat(f'/proc/{pid}/exe')
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def programs(office, pids):
    return {program_of(pid) for pid in pids if pid in office.children()} - {None}


def file_of(path):
    status = path.stat()
    return status.st_dev, status.st_ino


@pytest.fixture
def site(make_office):
    """site(…): an office whose programs are its own."""
    def make(**more):
        office = make_office(start=False, **more)
        if office.bin == post.build_dir():
            office._lend_programs()
        return office.start()
    return make


# an upgrade

@pytest.mark.release
def test_sessions_go_on_and_new_ones_are_of_the_new_program(site, connect):
    office = site()
    office.put_many('demo', MAIL)
    old = connect(office)
    old.login('demo', PASSWORD)
    old.ok('DELE 1')
    pid, before = office.process.pid, program_of(office.process.pid)
    children = set(office.children())
    install(office)
    office.upgrade()
    assert office.process.pid == pid and office.process.poll() is None
    assert program_of(pid) == file_of(installed(office)) != before
    now = office.children()
    assert programs(office, set(now) - children) == {program_of(pid)}
    assert programs(office, set(now) & children) == {before}
    office.add_user('other')
    office.put('other', MAIL[0])
    with Pop(office.pop3) as client:
        client.login('other', PASSWORD)
        assert client.retr(1) == wire_form(MAIL[0])
        client.quit()
    assert old.retr(2) == wire_form(MAIL[1])
    old.quit()
    with Pop(office.pop3) as client:
        client.login('demo', PASSWORD)
        assert client.stat()[0] == 2
    wait_until(lambda: not children & set(office.children()))


def test_the_same_program_may_be_started_anew(office):
    office.upgrade()
    office.upgrade()
    with Pop(office.pop3) as client:
        client.login('demo', PASSWORD)


def test_a_configuration_changed_before_the_upgrade_is_used(site):
    office = site()
    port = post.free_port()
    office.set('pop3.listen', f'{{"127.0.0.1:{office.pop3}", "127.0.0.1:{port}"}}')
    install(office)
    office.upgrade()
    with Pop(port) as client:
        client.login('demo', PASSWORD)


def test_an_upgrade_reached_by_a_link_that_leads_elsewhere_by_now(site):
    """/opt/valija/current is such a link at some sites."""
    office = site()
    office.stop()
    for name in ('one', 'two'):
        shutil.copytree(office.bin, office.scratch / name)
    link = office.scratch / 'current'
    link.symlink_to('one')
    office.bin = link
    office.start()
    link.unlink()
    link.symlink_to('two')
    office.upgrade()
    assert program_of(office.process.pid) == file_of(office.scratch / 'two/valijad')


def test_signals_that_come_meanwhile_are_kept(site):
    office = site()
    install(office)
    mark = office.mark()
    for number in (signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR2, signal.SIGUSR1, signal.SIGHUP):
        office.process.send_signal(number)
    office.wait_log(r'\bupgraded to valijad\b', 30, since=mark)
    office.process.send_signal(signal.SIGUSR2)
    office.process.send_signal(signal.SIGTERM)
    assert office.process.wait(30) == 0
    office.reader.join(5)
    office.process = None


def test_a_child_that_dies_after_an_upgrade_is_started_again(site):
    office = site()
    office.allow('.')
    install(office)
    office.upgrade()
    new = program_of(office.process.pid)
    for kind in ('front', 'keeper', 'auth'):
        pid = next(pid for pid, line in office.children().items()
                   if kind in line and program_of(pid) == new)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: pid not in office.children())
        wait_until(lambda: serves(office), 20)


def serves(office):
    with contextlib.suppress(OSError, AssertionError, Exception), \
            Pop(office.pop3, timeout=5) as client:
        client.login('demo', PASSWORD)
        return True
    return False


def test_a_unix_socket_stays_where_it_is(site):
    office = site()
    path = office.dir / 'control'
    with office.conf.open('a') as file:
        file.write(f'\ncontrol {{\n\tsocket = "{path}"\n}}\n')
    office.reload()
    before = path.stat().st_ino
    with Pop(office.pop3) as client:
        client.login('demo', PASSWORD)
        install(office)
        office.upgrade()
        assert path.stat().st_ino == before
        wait_until(lambda: 'demo' in office.valija('who', '-c', office.conf, check=False).stdout)
    office.stop()
    assert not path.exists()


def test_counters_go_on(site):
    office = site()
    port = post.free_port()
    with office.conf.open('a') as file:
        file.write(f'\ncontrol {{\n\tmetrics = "127.0.0.1:{port}"\n}}\n')
    office.reload()

    def count(name):
        done = subprocess.run(['curl', '-s', f'http://127.0.0.1:{port}/metrics'],
                              capture_output=True, text=True)
        return sum(float(line.split()[1]) for line in done.stdout.split('\n')
                   if line.startswith(f'valija_{name}'))
    wait_until(lambda: count('start_time_seconds'))
    began = count('start_time_seconds')
    for _ in range(3):
        with Pop(office.pop3) as client:
            client.login('demo', PASSWORD)
    wait_until(lambda: count('logins_total') == 3)
    install(office)
    office.upgrade()
    wait_until(lambda: count('upgrades_total{result="ok"}') == 1)
    assert count('logins_total') == 3
    assert count('start_time_seconds') == began
    assert count('generation') == 3


@pytest.mark.parametrize('where', ['file', 'standard error'])
def test_the_log_goes_on_where_it_was(site, where):
    office = site()
    path = office.scratch / 'log'
    if where == 'file':
        office.set('log_to', f'"{path}"')
        office.process.send_signal(signal.SIGHUP)
        wait_until(lambda: path.exists() and 'reloaded' in path.read_text(), 30)
    install(office)
    with Pop(office.pop3) as client:
        client.login('demo', PASSWORD)
        office.process.send_signal(signal.SIGUSR2)
        if where == 'file':
            wait_until(lambda: re.search('upgraded to', path.read_text()), 30)
            assert 'this process is valijad' in path.read_text()
        else:
            office.wait_log('upgraded to', 30)


def test_a_reload_that_is_asked_for_during_a_refused_upgrade(site):
    office = site()
    office.allow('no upgrade')
    install(office, not_executable)
    office.process.send_signal(signal.SIGSTOP)  # both are there when it looks
    mark = office.mark()
    office.process.send_signal(signal.SIGUSR2)
    office.process.send_signal(signal.SIGHUP)
    office.process.send_signal(signal.SIGCONT)
    for words in ('no upgrade', r'\breloaded\b'):
        office.wait_log(words, 30, since=mark)


def test_threat_126_another_user_asks_for_an_upgrade(site, need_root):
    """Its processes cannot either: test_walls.py, "signal the parent"."""
    office = site()
    before = office.log_text()
    done = subprocess.run(['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups',
                           '--', 'sh', '-c', f'kill -USR2 {office.process.pid}'],
                          capture_output=True, text=True)
    assert done.returncode and 'permitted' in done.stderr
    with Pop(office.pop3) as client:
        client.login('demo', PASSWORD)
    assert 'an upgrade is asked for' not in office.log_text()[len(before):]


# what cannot take over

def not_executable(path):
    path.chmod(0o644)


def ends_with_a_signal(path):
    break_function(path, 'monitor_check')


def another_state(path):
    path.write_bytes(path.read_bytes().replace(b'valstat1', b'valstat2'))


def no_program(path):
    path.write_bytes(path.read_bytes()[:4000])


def empty(path):
    path.write_bytes(b'')


def a_script(path):
    path.write_text('#!/bin/sh\nexit 0\n')


def another_program(name):
    def change(path):
        shutil.copy(shutil.which(name), path)
    return change


def all_may_write(path):
    path.chmod(0o777)


BAD = {
    'not executable': (not_executable, 'cannot be executed: Permission denied'),
    'it dies': (ends_with_a_signal, 'was ended by signal 9'),
    'another state': (another_state, 'has version 1, and this program understands version 2'),
    'cut': (no_program, r'cannot start|was ended by signal \d+'),
    'empty': (empty, 'cannot start .*: Exec format error'),
    'a script': (a_script, 'cannot start|exit code'),
    'it ends well': (another_program('true'), 'it may be no valijad'),
    'it ends badly': (another_program('false'), 'exit code 1'),
    'it is another program': (another_program('ls'), 'exit code 2|take over'),
    'all may write it': (all_may_write, 'can be written by everybody'),
}


def refused(office, why):
    """… and all is as before."""
    pid, before = office.process.pid, program_of(office.process.pid)
    office.allow('no upgrade, the version that runs goes on')
    office.upgrade(f'no upgrade, the version that runs goes on: .*({why})')
    assert office.process.pid == pid and program_of(pid) == before
    with Pop(office.pop3) as client:
        client.login('demo', PASSWORD)
        client.quit()


@pytest.mark.release
@pytest.mark.parametrize('case', BAD)
def test_threat_127_a_program_that_cannot_take_over_does_not(site, connect, case):
    office = site()
    client = connect(office)
    client.login('demo', PASSWORD)
    change, why = BAD[case]
    install(office, change)
    refused(office, why)
    client.ok('NOOP')
    install(office)
    office.upgrade()
    client.ok('NOOP')


def test_a_program_that_is_not_there(site):
    office = site()
    installed(office).unlink()
    refused(office, 'No such file')


def test_a_configuration_that_is_wrong(site):
    office = site()
    text = office.conf.read_text()
    office.conf.write_text(text + '\nnonsense = 1\n')
    install(office)
    refused(office, r'valija\.conf:\d+')
    office.conf.write_text(text)
    office.upgrade()


def test_threat_127_a_folder_that_others_may_write(site):
    office = site()
    office.bin.chmod(0o777)
    refused(office, 'can be written by everybody')
    office.bin.chmod(0o755)
    office.upgrade()


def test_threat_127_a_program_of_another_user(site, need_root):
    office = site()
    install(office, lambda path: os.chown(path, NOBODY, NOBODY))
    refused(office, 'belongs to neither root nor the user of valijad')
    os.chown(office.bin, NOBODY, NOBODY)
    refused(office, 'belongs to neither root nor the user of valijad')


@pytest.mark.release
def test_processes_that_cannot_start_leave_those_of_the_version_before(site, connect):
    office = site()
    office.allow('.')
    office.put_many('demo', MAIL)
    client = connect(office)
    client.login('demo', PASSWORD)
    old = program_of(office.process.pid)
    install(office, lambda path: break_function(path, 'child_main'))
    office.upgrade('those of the version before go on')
    assert program_of(office.process.pid) == file_of(installed(office))
    assert client.retr(1) == wire_form(MAIL[0])
    client.quit()
    wait_until(lambda: programs(office, office.children()) == {old})
    for kind in ('front', 'keeper', 'auth', 'keys', 'lmtp'):  # they are supervised
        pid = next(pid for pid, line in office.children().items() if kind in line)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: pid not in office.children())
        wait_until(lambda: any(kind in line for line in office.children().values()))
        wait_until(lambda: serves(office), 20)
    with Pop(office.pop3s, context_of(office)) as client:
        client.login('demo', PASSWORD)
    office.reload('goes on')  # these processes can still not start
    install(office)
    office.upgrade()
    assert serves(office)
    wait_until(lambda: programs(office, office.children()) == {program_of(office.process.pid)}, 30)


def context_of(office):
    from pop import client_context
    return client_context(str(office.cert))


# threat 125: states by hand

def memory_file(octets, seal=True):
    fd = os.memfd_create('state', os.MFD_ALLOW_SEALING)
    os.write(fd, octets)
    if seal:
        fcntl.fcntl(fd, 1033, 0xf)
    return fd


@pytest.mark.parametrize('option', ['--resume', '--state'])
def test_threat_125_a_state_that_somebody_made(office, option):
    """What no running valijad handed over is refused before any of it is used."""
    head = b'valstat1'
    states = {
        'nothing': b'', 'a word': b'valija', 'another version': b'valstat7' + bytes(64),
        'no records': head + (16).to_bytes(8, 'little'),
        'zeros': head + (4096).to_bytes(8, 'little') + bytes(4080),
        'ones': head + (4096).to_bytes(8, 'little') + b'\xff' * 4080,
        'another size': head + (99).to_bytes(8, 'little') + bytes(4080),
    }
    for name, octets in states.items():
        for seal in (True, False):
            fd = memory_file(octets, seal)
            more = ['-t'] if option == '--state' else []
            done = subprocess.run([office.bin / 'valijad', '-c', office.conf, *more,
                                   f'{option}={fd}'], pass_fds=[fd], text=True,
                                  capture_output=True, env=office.environment(), timeout=60)
            os.close(fd)
            assert done.returncode == 65, (name, done)
            assert 'the state of the running valijad' in done.stderr, (name, done)
    with open(office.conf) as file:
        done = subprocess.run([office.bin / 'valijad', '-c', office.conf, '--resume=3'],
                              pass_fds=[file.fileno()], capture_output=True, text=True,
                              env=office.environment(), timeout=60)
    assert done.returncode == 65, done
    assert serves(office)


# under load

class Load:
    """Clients that connect, read the greeting, log in and say QUIT; each that does not get all of
    it is a failure."""
    def __init__(self, office, rate, threads=8):
        self.office, self.done, self.failures = office, 0, []
        self.pause = threads / rate
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def session(self, user):
        with socket.create_connection(('127.0.0.1', self.office.pop3), timeout=30) as client, \
                client.makefile('rwb') as file:
            for command in (None, f'USER {user}', f'PASS {PASSWORD}', 'STAT', 'QUIT'):
                if command:
                    file.write(f'{command}\r\n'.encode())
                    file.flush()
                line = file.readline()
                if not line.startswith(b'+OK'):
                    raise OSError(f'{command}: {line}')

    def run(self, number):
        due = time.monotonic()
        while not self.over.is_set():
            try:
                self.session(f'user{number}')
                self.done += 1
            except OSError as failure:
                self.failures.append(f'{time.monotonic():.3f} {failure!r}')
            due = max(due + self.pause, time.monotonic() - 1)
            self.over.wait(max(0, due - time.monotonic()))


def test_upgrades_under_load_refuse_and_cut_nobody(site, connect, figure):
    """Five here; `./dev upgrade-soak` does twenty under 500 sessions a second."""
    upgrades = int(os.environ.get('VALIJA_UPGRADES', 5))
    rate = int(os.environ.get('VALIJA_UPGRADE_RATE', 20 if post.sanitized() else 100))
    office = site(users=('demo', *(f'user{n}' for n in range(8))),
                  settings={'timeouts.drain': '10m'})
    office.put_many('demo', MAIL)
    idle = [connect(office) for _ in range(5)]
    idle[0].login('demo', PASSWORD)
    time_of, began = [], time.monotonic()
    with Load(office, rate) as load:
        for n in range(upgrades):
            before = load.done
            wait_until(lambda: load.done >= before + rate // 2, 60)
            install(office)
            begin = time.monotonic()
            office.upgrade()
            time_of.append(time.monotonic() - begin)
            idle.append(connect(office))
        before = load.done
        wait_until(lambda: load.done >= before + rate, 60)
    reached = load.done / (time.monotonic() - began)
    assert not load.failures, load.failures[:20]
    assert idle[0].retr(1) == wire_form(MAIL[0])
    for client in idle:
        client.ask('NOOP')
    for client in idle:
        client.ok('QUIT')
    figure(f'{upgrades} upgrades under {load.done} sessions ({reached:.0f} a second): 0 refused, '
           f'0 cut; an upgrade takes {max(time_of):.2f} s at most')
