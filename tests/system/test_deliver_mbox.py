"""valija deliver -m: one mbox, beside the programs that write to it as well."""
import mailbox
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import pytest
from office import NOBODY, SANITIZER, environment, program

EX_USAGE, EX_DATAERR, EX_CANTCREAT, EX_TEMPFAIL = 64, 65, 73, 75
MESSAGE = b'Subject: hello\n\nbody\nFrom me\n'


def command(box, *args):
    return [str(program('valija')), 'deliver', *args, '-m', str(box)]


def deliver(box, *args, message=MESSAGE, expect=0, **more):
    done = subprocess.run(command(box, *args), input=message, capture_output=True, timeout=60,
                          env=environment(), **more)
    assert not SANITIZER.search(done.stderr.decode('latin-1')), done.stderr
    assert done.returncode == expect, done.stderr
    return done.stderr.decode()


@pytest.fixture
def box(tmp_path):
    (tmp_path / 'mbox').touch(0o600)
    return tmp_path / 'mbox'


def subjects(box):
    return sorted(m['Subject'] for m in mailbox.mbox(box))


def test_a_message_is_at_the_end(box):
    deliver(box, '-f', 'carol@example.com')
    deliver(box)
    lines = box.read_bytes().split(b'\n')
    assert lines[0].startswith(b'From carol@example.com ') and lines[1] == \
        b'Return-Path: <carol@example.com>'
    assert lines.count(b'>From me') == 2 and lines.count(b'Return-Path: <>') == 1
    assert subjects(box) == ['hello', 'hello']
    assert not pathlib.Path(f'{box}.lock').exists()


def test_what_is_refused(box, tmp_path):
    deliver(box, message=b'', expect=EX_DATAERR)
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'link').symlink_to('mbox')
    (tmp_path / 'text').write_text('no mbox\n')
    os.mkfifo(tmp_path / 'fifo')
    for name in ('folder', 'link', 'text', 'fifo', 'no/such'):
        assert name.split('/')[0] in deliver(tmp_path / name, expect=EX_CANTCREAT)
    assert box.read_bytes() == b'' and (tmp_path / 'text').read_text() == 'no mbox\n'
    for args in (['deliver', '-m', str(box), 'anna'], ['deliver', '-m', str(box), '-c', 'x']):
        assert subprocess.run([str(program('valija')), *args], input=MESSAGE,
                              capture_output=True).returncode == EX_USAGE


def test_root_becomes_the_owner(need_root, tmp_path):
    import pwd

    owner = pwd.getpwuid(NOBODY)
    os.chmod(tmp_path, 0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.getuid() and parent.stat().st_mode & 0o077 == 0:
            os.chmod(parent, 0o711)
    folder = tmp_path / 'theirs'
    folder.mkdir()
    box = folder / 'mbox'
    deliver(box, expect=EX_CANTCREAT)
    assert not box.exists(), 'root makes no mailbox'
    box.touch(0o600)
    for path in (folder, box):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    deliver(box)
    assert box.stat().st_uid == owner.pw_uid and subjects(box) == ['hello']


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_it_waits(box, number):
    lock = pathlib.Path(f'{box}.lock')
    lock.write_text(f'{os.getpid()}:{socket.gethostname()}\n')
    process = subprocess.Popen(command(box), stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=environment())
    process.stdin.write(MESSAGE)
    process.stdin.close()
    deadline = time.monotonic() + 30
    while 'memfd' not in fds(process.pid) or str(box) not in fds(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(20) == EX_TEMPFAIL and b'signal' in process.stderr.read()
    process.stderr.close()
    assert lock.exists() and box.read_bytes() == b'', 'the lock is the other one\'s'


def fds(pid):
    try:
        return ' '.join(os.readlink(p) for p in pathlib.Path(f'/proc/{pid}/fd').iterdir())
    except OSError:
        return ''


def test_a_limit_of_file_size(box):
    deliver(box, message=b'Subject: x\n\n' + b'y' * 30000 + b'\n')
    before = box.read_bytes()
    limited = ['sh', '-c', 'ulimit -f 64; exec "$@"', 'sh', *command(box)]
    done = subprocess.run(limited, input=b'Subject: x\n\n' + b'y' * 6000 + b'\n',
                          capture_output=True, env=environment())
    assert done.returncode == EX_TEMPFAIL and b'mailbox' in done.stderr
    assert box.read_bytes() == before and not pathlib.Path(f'{box}.lock').exists()


def writers_at_once(box, count, writers):
    """writers: functions of a number that put one message into the box."""
    failed = []

    def run(index, write):
        for n in range(count):
            try:
                write(f'{index}.{n}')
            except Exception as error:  # noqa: BLE001: shown below
                failed.append(error)

    threads = [threading.Thread(target=run, args=(i, w)) for i, w in enumerate(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert subjects(box) == sorted(f'{i}.{n}' for i in range(len(writers)) for n in range(count))


def letter(name):
    return ('From q@example.org Tue Jan 14 09:00:00 2025\n'
            f'Subject: {name}\n\nbody of {name}\n').encode()


def ours(box):
    return lambda name: deliver(box, message=letter(name))


def test_with_procmail_at_once(box, tool, tmp_path):
    rc = tmp_path / 'rc'
    rc.write_text(f'DEFAULT={box}\nLOCKSLEEP=1\n:0:\n{box}\n')

    def procmail(name):
        subprocess.run([tool('procmail'), '-m', str(rc)], input=letter(name), check=True,
                       env=environment(), timeout=60, cwd=tmp_path)

    writers_at_once(box, 12, [ours(box), procmail, ours(box)])
    assert not pathlib.Path(f'{box}.lock').exists()


def test_with_formail_under_lockfile_at_once(box, tool, tmp_path):
    def formail(name):
        subprocess.run(
            ['sh', '-c', f'{tool("lockfile")} -1 -r 60 "$1.lock" && '
             f'{tool("formail")} >> "$1"; s=$?; rm -f "$1.lock"; exit $s', 'sh', str(box)],
            input=letter(name), check=True, env=environment(), timeout=120, cwd=tmp_path)

    writers_at_once(box, 8, [ours(box), formail, ours(box)])


def test_with_a_writer_that_takes_flock_alone(box):
    import fcntl

    deliver(box, message=letter('old'))

    def python(name):
        with open(box, 'r+b') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0, os.SEEK_END)
            file.write(letter(name) + b'\n')
            file.flush()

    def run(name):
        deliver(box, message=letter(name))

    threads = [threading.Thread(target=lambda w=w, k=k: [w(f'{k}.{n}') for n in range(20)])
               for k, w in enumerate((python, run))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert subjects(box) == sorted(['old'] + [f'{k}.{n}' for k in range(2) for n in range(20)])
