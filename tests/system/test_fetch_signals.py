"""Signals end a run tidily; what a dead process left behind stops no later one."""
import mailbox
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import fetcher, serve  # noqa: E402,F401
from fetching import DATAERR, SANITIZER, program  # noqa: E402
from hostile import Cut, letter  # noqa: E402

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


class Halt:
    """The server stops at this verb (RETR: of this message) until the client goes."""

    def __init__(self, verb, number=None):
        self.verb, self.number, self.reached = verb, number, threading.Event()

    def hooks(self):
        return {self.verb: self.at} if self.verb != 'greeting' else {}

    def at(self, session, argument=None):
        if self.number and argument != str(self.number):
            return False
        self.reached.set()
        session.socket.settimeout(30)
        while session.socket.recv(65536):
            pass
        raise Cut


def start(fetcher, command):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=fetcher.environment(),
                            start_new_session=True, cwd=fetcher.scratch)


def ended(process, number):
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, (process.returncode, err)
    assert not SANITIZER.search(err), err
    return err


@pytest.mark.parametrize('number', SIGNALS)
@pytest.mark.parametrize('verb', ['greeting', 'AUTH', 'UIDL', 'RETR', 'QUIT'])
def test_a_signal_ends_a_run_tidily(fetcher, serve, verb, number):
    halt = Halt(verb, 4 if verb == 'RETR' else None)
    server = serve(hooks=halt.hooks(), on_connect=halt.at if verb == 'greeting' else None)
    process = start(fetcher, fetcher.command(server, '--delete', '--no-pipelining'))
    assert halt.reached.wait(30)
    process.send_signal(number)
    err = ended(process, number)
    assert number.name in err and len(err.splitlines()) == 1
    here = {'RETR': 3, 'QUIT': 5}.get(verb, 0)
    assert len(fetcher.files()) == here and fetcher.staged() == []
    server.hooks.clear()
    server.on_connect = None
    fetcher.run(server, '--delete')
    assert fetcher.mail() == sorted(letter(n) for n in range(1, 6)) and server.messages == []
    assert len(server.retrieved) == 5, 'nothing that was complete was asked for again'


@pytest.mark.parametrize('number', SIGNALS)
def test_no_lock_of_an_mbox_stays(fetcher, serve, number):
    box = fetcher.scratch / 'mbox'
    halt = Halt('RETR', 4)
    server = serve(hooks=halt.hooks())
    process = start(fetcher, fetcher.command(server, '--keep', '--no-pipelining',
                                             to=f'mbox:{box}'))
    assert halt.reached.wait(30)
    process.send_signal(number)
    ended(process, number)
    assert not pathlib.Path(f'{box}.lock').exists() and len(mailbox.mbox(box)) == 3
    server.hooks.clear()
    fetcher.run(server, '--keep', to=f'mbox:{box}')
    assert len(mailbox.mbox(box)) == 5 and len(server.retrieved) == 5


def test_a_signal_while_the_mbox_is_locked_by_another(fetcher, serve):
    box = fetcher.scratch / 'mbox'
    lock = pathlib.Path(f'{box}.lock')
    lock.write_text(f'{os.getpid()}:{socket.gethostname()}\n')
    server = serve()
    process = start(fetcher, fetcher.command(server, to=f'mbox:{box}'))
    deadline = time.monotonic() + 30
    while not server.retrieved and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    ended(process, signal.SIGTERM)
    assert lock.exists() and box.read_bytes() == b'', 'the lock is the other one\'s'


def test_a_delivery_that_is_under_way_is_finished(fetcher, serve):
    begun, out = fetcher.scratch / 'begun', fetcher.scratch / 'out'
    out.mkdir()
    command = (f'mkdir {begun}.once && touch {begun}; while test -e {begun}; do sleep 0.05; done; '
               f'cat > {out}/$VALIJA_DELIVERY_ID')
    server = serve()
    process = start(fetcher, fetcher.command(server, '--keep', to=f'command:{command}'))
    deadline = time.monotonic() + 30
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of the group
    time.sleep(0.2)
    begun.unlink()
    ended(process, signal.SIGINT)
    assert [p.read_bytes() for p in out.iterdir()] == [letter(1)]
    fetcher.run(server, '--keep', to=f'command:{command}')
    assert sorted(p.read_bytes() for p in out.iterdir()) == sorted(letter(n) for n in range(1, 6))


def test_all_accounts_end(fetcher, serve):
    halts = [Halt('RETR', 2), Halt('AUTH')]
    servers = [serve(hooks=halt.hooks()) for halt in halts] + [serve()]
    text = 'jobs = 2\n' + ''.join(
        f'account "a{n}" {{\nserver = "pop3://demo@127.0.0.1:{server.port}"\ntls = "none"\n'
        f'to = "maildir:{fetcher.scratch}/m{n}"\npassword-file = "{fetcher.password_file}"\n'
        f'pipelining = false\n}}\n' for n, server in enumerate(servers))
    (fetcher.scratch / 'c').write_text(text)
    process = start(fetcher, [str(program()), 'fetch', '-c', 'c', '--state', 'state'])
    for halt in halts:
        assert halt.reached.wait(30)
    process.send_signal(signal.SIGTERM)
    err = ended(process, signal.SIGTERM)
    assert len(err.splitlines()) == 2 and 'a0' in err and 'a1' in err
    assert len(list((fetcher.scratch / 'm0/new').iterdir())) == 1
    assert servers[2].sessions == [], 'what was not begun is not begun'


def gone():
    """The number of a process that is no more."""
    process = subprocess.Popen(['true'])
    process.wait()
    return process.pid


HOST = socket.gethostname()


@pytest.mark.parametrize('text, age, stale', [
    ('{dead}:' + HOST, 0, True), ('{dead}:' + HOST + '\n', 0, True), ('{dead}', 400, True),
    ('', 400, True), ('0', 400, True), ('some words', 400, True),
    ('{alive}:' + HOST, 0, False), ('{dead}:elsewhere', 0, False), ('{dead}', 0, False),
    ('', 0, False), ('{alive}', 400, False)])
def test_a_dotlock_of_a_dead_process(fetcher, serve, text, age, stale):
    box = fetcher.scratch / 'mbox'
    lock = pathlib.Path(f'{box}.lock')
    lock.write_text(text.format(dead=gone(), alive=os.getpid()))
    os.utime(lock, (time.time() - age, time.time() - age))
    server = serve([letter(1)])
    process = start(fetcher, fetcher.command(server, to=f'mbox:{box}'))
    if stale:
        assert process.wait(20) == 0 and len(mailbox.mbox(box)) == 1 and not lock.exists()
        return
    deadline = time.monotonic() + 30
    while not server.retrieved and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)
    assert process.poll() is None and box.stat().st_size == 0
    lock.unlink()
    assert process.wait(40) == 0 and len(mailbox.mbox(box)) == 1


def test_a_command_that_hangs_is_ended_with_what_it_started(fetcher, serve):
    mark = fetcher.scratch / 'child'
    server = serve([letter(1), letter(2)])
    conf = (f'account "x" {{\nserver = "pop3://demo@127.0.0.1:{server.port}"\ntls = "none"\n'
            f'to = "command:grep -q \'letter 1\' || exit 0; trap \'\' TERM; '
            f'sleep 300 & echo $! > {mark}; wait; wait"\n'
            f'password-file = "{fetcher.password_file}"\ncommand-seconds = 1\n}}\n')
    began = time.monotonic()
    done = fetcher.configured(conf, '--state', fetcher.state, expect=DATAERR)
    assert 'message 1' in done.stderr and 'command-seconds' in done.stderr
    assert time.monotonic() - began < 30 and len(server.retrieved) == 2
    child = pathlib.Path(f'/proc/{mark.read_text().strip()}/stat')
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and child.exists() and ' Z ' not in child.read_text():
        time.sleep(0.05)
    assert not child.exists() or ' Z ' in child.read_text()


@pytest.mark.parametrize('sink', ['maildir', 'mbox', 'command'])
def test_a_limit_of_file_size_is_an_error_of_one_message(fetcher, serve, sink):
    server = serve([letter(1), letter(2, 60000), letter(3)])
    to = {'maildir': f'maildir:{fetcher.maildir}', 'mbox': f'mbox:{fetcher.scratch}/mbox',
          'command': f'command:cat >> {fetcher.scratch}/out'}[sink]
    command = ['sh', '-c', 'ulimit -f 40; exec "$@"', 'sh',
               *fetcher.command(server, '--delete', to=to)]
    for _ in range(2):
        done = fetcher.execute(command, expect=DATAERR)
        assert 'File too large' in done.stderr and 'message' in done.stderr
    assert [len(octets) > 50000 for _, octets in server.messages] == [True]
    text = b''.join(p.read_bytes() for p in fetcher.files()) if sink == 'maildir' else (
        fetcher.scratch / {'mbox': 'mbox', 'command': 'out'}[sink]).read_bytes()
    assert text.count(b'Subject: letter 1\n') == text.count(b'Subject: letter 3\n') == 1
    assert b'letter 2' not in text and fetcher.staged() == []


def test_what_a_command_prints_is_not_between_the_events(fetcher, serve):
    import json

    for command in ('echo hello; cat > /dev/null', 'cat', 'echo 1 >&2; echo "{}" ; cat >/dev/null'):
        server = serve([letter(n) for n in range(20)])
        done = fetcher.run(server, '--json', to=f'command:{command}')
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert [e['event'] for e in events] == ['plan', 'summary'] and done.stderr
    done = fetcher.run(serve([letter(1)]), to='command:echo hello; cat > /dev/null')
    assert done.stdout == 'hello\n'
