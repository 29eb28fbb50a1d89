"""Large messages go to files of the spool while they come: what is delivered is what was sent,
memory stays small, nothing is left behind, and a spool that is full, missing or of no use puts
mail off or is done without."""
import contextlib
import hashlib
import os
import random
import re
import select
import signal
import socket
import struct
import subprocess
import threading

import pytest
from lmtp import Lmtp, split_trace, stuffed
from office import NOBODY, wait_until
from test_hanging import other_fd
from test_lmtp_room import LINE, files, held, held_in_memory
from test_owners import owners_office

OK = '250 2.1.5 delivered'
MIB = 1 << 20


def message(size, seed=1):
    """So many octets of lines, some with dots in front, that differ from each other."""
    source = random.Random(seed)
    lines = [b'.' * (n % 3) + source.randbytes(500).hex().encode() + b'\r\n' for n in range(64)]
    text = b'Subject: large\r\n\r\n' + b''.join(source.choices(lines, k=size // 1000))
    return text[:size - 2] + b'\r\n'


def stored(path):
    """What was sent, of a file that a delivery made."""
    octets = path.read_bytes().replace(b'\r\n', b'\n').replace(b'\n', b'\r\n')
    return split_trace(octets)[1]


def spool_is_empty(office):
    return not held(office) and not [name for name in os.listdir(office.spool)
                                     if not name.startswith(('mail-', 'last-logins-'))]


@pytest.mark.parametrize('declared', [False, True])
def test_sizes_around_each_bound(make_office, declared):
    """Of the memory file, of what a worker writes at a time, of a second MiB."""
    office = make_office()
    with Lmtp(office.lmtp) as client:
        for n, size in enumerate((MIB - 1, MIB, MIB + 1, MIB + (128 << 10) + 1, MIB + 4096,
                                  2 * MIB - 1, 2 * MIB + 1, 5 * MIB + 77)):
            text = message(size, n)
            assert client.deliver(text, 'demo',
                                  parameters=f' SIZE={size}' if declared else '') == [OK]
            newest = max(office.files('demo'), key=lambda path: path.stat().st_mtime_ns)
            assert hashlib.sha256(stored(newest)).digest() == hashlib.sha256(text).digest(), size
    wait_until(lambda: spool_is_empty(office))


def own_memory(pid):
    """KiB that are neither a program's or library's, however it was linked, nor the recorder's
    ring, which has its size whatever comes."""
    memory, counts = 0, False
    with open(f'/proc/{pid}/smaps') as file:
        for line in file:
            if re.match(r'[0-9a-f]+-[0-9a-f]+ ', line):
                name = ' '.join(line.split()[5:])
                counts = not name.startswith('/') or name.startswith('/memfd:') and \
                    'recorder' not in name
            elif counts and line.startswith('Pss:'):
                memory += int(line.split()[1])
    return memory


def test_many_large_messages_take_little_memory(make_office, need_root):
    """Eight senders whose messages are all but finished at once; more than the memory's bound."""
    office = make_office(settings={'lmtp.memory': '8M'})
    clients = [Lmtp(office.lmtp) for _ in range(8)]
    texts = [message(8 * MIB, n) for n in range(8)]
    for client, text in zip(clients, texts):
        client.begin('demo')
        client.send(stuffed(text)[:-3])
    wait_until(lambda: held(office) >= 8 * 8 * MIB - 8 * (512 << 10), 30)
    assert held_in_memory(office) == 0
    assert len([size for _, size in files(office).values() if size]) == 8
    lmtp = next(pid for pid, line in office.children().items() if 'lmtp' in line)
    memory = own_memory(lmtp)
    assert memory < 16 * 1024, f'{memory} KiB'
    for client in clients:
        client.send(b'.\r\n')
    for client in clients:
        assert client.reply() == OK
        client.close()
    got = {hashlib.sha256(stored(path)).hexdigest() for path in office.files('demo')}
    assert got == {hashlib.sha256(text).hexdigest() for text in texts}
    wait_until(lambda: spool_is_empty(office))


def test_one_large_message_for_several_owners(make_office, need_root):
    """Keepers of several users read one file, none can write to it."""
    office = owners_office(make_office, 3)
    text = message(3 * MIB)
    with Lmtp(office.lmtp, timeout=60) as client:
        assert client.deliver(text, 'o0', 'o1', 'o2') == [OK] * 3
    for n in range(3):
        newest = max(office.files(f'o{n}'), key=lambda path: path.stat().st_size)
        assert stored(newest) == text


@pytest.mark.parametrize('how', ['reset', 'close', 'killed', 'rset'])
def test_nothing_is_left_behind(make_office, need_root, how):
    office = make_office()
    office.allow('.')
    client = Lmtp(office.lmtp)
    client.begin('demo')
    client.send(LINE * 3072)
    wait_until(lambda: held(office) >= 2 * MIB)
    if how == 'killed':
        lmtp = next(pid for pid, line in office.children().items() if 'lmtp' in line)
        os.kill(lmtp, signal.SIGKILL)
        wait_until(lambda: [pid for pid, line in office.children().items()
                            if 'lmtp' in line and pid != lmtp])
    elif how == 'rset':
        client.send(b'.\r\n')
        assert client.reply() == OK
        client.expect('RSET', '250')
    else:
        getattr(client, how)()
    wait_until(lambda: spool_is_empty(office))

    def delivered():
        try:
            with Lmtp(office.lmtp) as again:
                return again.deliver(b'x\r\n', 'demo') == [OK]
        except (ConnectionError, AssertionError):
            return False

    wait_until(delivered)


# a spool that does not serve

@pytest.fixture
def small_disk(tmp_path_factory, need_root):
    """4 MiB of a filesystem of its own."""
    folder = tmp_path_factory.mktemp('disk')
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder], check=True)
    yield folder
    subprocess.run(['umount', '-l', folder], check=True)


def free(folder):
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def fill(path):
    """Takes what room there is, whoever else takes of it meanwhile."""
    with open(path, 'wb', buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_full_spool_puts_one_message_off(make_office, small_disk):
    office = make_office(start=False)
    office.spool = small_disk
    office.set('lmtp.spool', f'"{small_disk}"')
    office.start()
    with Lmtp(office.lmtp) as client:
        for size in (6 * MIB, 5 * MIB + 1):
            client.begin('demo')
            client.send(stuffed(message(size)))
            assert client.reply() == '452 4.3.1 no space on the disk, try again later'
            assert client.deliver(b'small\r\n', 'demo') == [OK]
        office.wait_log('message-refused .*reason="no space on the disk')
        wait_until(lambda: free(small_disk) == 4 * MIB)
        text = message(2 * MIB)
        assert client.deliver(text, 'demo') == [OK]
    assert sorted(stored(path) for path in office.files('demo')) == sorted(
        [b'small\r\n', b'small\r\n', text])
    wait_until(lambda: free(small_disk) == 4 * MIB)


def test_the_last_octets_do_not_fit(make_office, small_disk):
    """The spool fills up between the last octets and the dot."""
    office = make_office(start=False)
    office.spool = small_disk
    office.set('lmtp.spool', f'"{small_disk}"')
    office.start()
    with Lmtp(office.lmtp) as client:
        client.begin('demo')
        client.send(message(2 * MIB) + b'x' * 100)
        wait_until(lambda: held(office) > 2 * MIB - (256 << 10))
        fill(small_disk / 'others')
        client.send(b'y' * 100 + b'\r\n.\r\n')
        assert client.reply().startswith('452 4.3.1')
        assert client.deliver(b'small\r\n', 'demo') == [OK]
    assert [stored(path) for path in office.files('demo')] == [b'small\r\n']


def test_a_spool_of_no_use_stops_the_start(make_office):
    office = make_office(start=False)
    for folder, words in ((office.dir / 'nowhere', 'nowhere'),
                          ('/proc', '/proc: its filesystem has no files without a name')):
        office.set('lmtp.spool', f'"{folder}"')
        for args in (['-t'], []):
            done = office.valijad(*args, '-c', office.conf)
            assert done.returncode and words in done.stdout + done.stderr


def test_without_a_spool_memory_serves(make_office, need_root):
    """A state folder that the server may not write to."""
    office = make_office(start=False, runas=NOBODY)
    office.start()
    os.chown(office.state, 0, 0)
    office.state.chmod(0o755)
    office.restart()
    office.wait_log('large messages are held in memory while they come, since there is no spool')
    office.put('demo', b'Subject: x\n\nx\n')
    client = Lmtp(office.lmtp)
    client.begin('demo')
    text = message(3 * MIB)
    client.send(stuffed(text)[:-3])
    wait_until(lambda: held_in_memory(office) > 2 * MIB)
    assert all(in_memory for in_memory, _ in files(office).values())
    client.send(b'.\r\n')
    assert client.reply() == OK
    client.close()


def test_a_message_beyond_all_bounds(make_office):
    """Neither the spool nor memory has room: put off, also where it was declared."""
    office = make_office(settings={'lmtp.memory': '2M', 'lmtp.spool_size': '3M'})
    with Lmtp(office.lmtp) as client:
        client.begin('demo')
        client.send(stuffed(message(4 * MIB)))
        assert client.reply().startswith('452 4.3.1')
        client.expect('MAIL FROM:<> SIZE=5000000', '250')
        client.expect('RCPT TO:<demo>', '250')
        client.expect('DATA', '452 4.3.1')
        client.expect('RSET', '250')
        assert client.deliver(b'x\r\n', 'demo') == [OK]


def test_senders_at_once_and_sessions_that_end(make_office):
    """Small and large messages, some cut off; what got 250 is there once."""
    office = make_office(settings={'lmtp.memory': '4M'})
    good, lock = [], threading.Lock()

    def sender(seed):
        source = random.Random(seed)
        for n in range(6):
            text = message(source.choice((2000, MIB, 2 * MIB, 3 * MIB + 5)), seed * 100 + n)
            with Lmtp(office.lmtp, timeout=60) as client:
                client.begin('demo')
                if source.random() < 0.3:
                    client.send(text[:source.randrange(len(text))])
                    client.reset()
                    continue
                client.send(stuffed(text))
                if client.reply() == OK:
                    with lock:
                        good.append(hashlib.sha256(text).hexdigest())

    threads = [threading.Thread(target=sender, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert good
    assert sorted(good) == sorted(hashlib.sha256(stored(path)).hexdigest()
                                  for path in office.files('demo'))


def test_few_descriptors(make_office, need_root):
    """More clients than descriptors, each with a large message: those that are served keep the
    process alive."""
    office = make_office(start=False)
    office.limit_files = 160
    office.start()
    lmtp = [pid for pid, line in office.children().items() if 'lmtp' in line]
    clients = []
    for _ in range(200):
        client = Lmtp(office.lmtp, greet=False)
        client.send('LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<demo>\r\nDATA\r\n')
        clients.append(client)
    for client in clients[:8]:
        for _ in range(5):
            client.reply()
        client.send(LINE * 1100)
    wait_until(lambda: held(office) >= 8 * MIB)
    for client in clients[:8]:
        client.send(b'.\r\n')
        assert client.reply() == OK
    for client in clients:
        client.reset()
    assert [pid for pid, line in office.children().items() if 'lmtp' in line] == lmtp
    assert len(office.files('demo')) == 8


def test_threat_62_files_without_end(make_office, need_root):
    """The test sends on the front's channel to the monitor, as a front that an attacker owns: the
    monitor serves on, keeps no descriptor, and a front that did not ask takes none."""
    office = make_office()
    office.allow('a file')
    lmtp = next(pid for pid, line in office.children().items() if 'lmtp' in line)
    office.reload()  # two generations at once have had their pages of counters, which stay
    wait_until(lambda: lmtp not in office.children())
    lmtp = next(pid for pid, line in office.children().items() if 'lmtp' in line)
    channel = socket.socket(fileno=other_fd(lmtp, 3))
    wait_until(lambda: len(files(office)) == 4)  # the front's stock
    before = len(os.listdir(f'/proc/{office.process.pid}/fd'))
    for _ in range(3000):
        assert select.select([], [channel], [], 30)[1]
        channel.send(struct.pack('=II4H', 200, 0, 0, 0, 0, 0))
    channel.close()
    with Lmtp(office.lmtp) as client:
        for _ in range(6):
            assert client.deliver(message(2 * MIB), 'demo') == [OK]
    office.reload()
    with Lmtp(office.lmtp) as client:
        assert client.deliver(message(2 * MIB), 'demo') == [OK]
    wait_until(lambda: len(os.listdir(f'/proc/{office.process.pid}/fd')) <= before + 8)
    lmtp = [pid for pid, line in office.children().items() if 'lmtp' in line]
    wait_until(lambda: all(len(files_of(pid)) <= 8 for pid in lmtp))


def files_of(pid):
    try:
        return [name for name in os.listdir(f'/proc/{pid}/fd')
                if '/#' in os.readlink(f'/proc/{pid}/fd/{name}')]
    except FileNotFoundError:
        return []
