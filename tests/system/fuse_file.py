"""One file served by FUSE, without libfuse: what a user with a shell can mount over his message.

Served('/path/of/the/file', octets, uid) mounts over the file; from hang() on no READ is answered,
until the end. As root only (mount(2) in place of fusermount). The server is a process of its own:
what waits for it is woken when that process ends.
"""
import ctypes
import errno
import os
import struct
import subprocess
import sys
import threading

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
FLUSH, INIT, INTERRUPT, BATCH_FORGET = 25, 26, 36, 42
DIRECT_IO = 1  # nothing is kept in memory: each reading asks
MS_NOSUID, MS_NODEV, MNT_DETACH = 2, 4, 2
HANGING = threading.Event()
HEADER = struct.Struct('<IIQQIIII')


class Served:
    def __init__(self, path, octets, uid):
        self.path = str(path)
        self.process = subprocess.Popen([sys.executable, __file__, self.path, str(uid)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdin.write(struct.pack('<Q', len(octets)) + octets)
        self.process.stdin.flush()
        self.mounted = self.process.stdout.readline() == b'mounted\n'

    def hang(self):
        """No READ is answered from now on."""
        self.process.stdin.write(b'h')
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b'hanging\n'

    def wait_asked(self):
        """Waits until a READ is left without an answer."""
        assert self.process.stdout.readline() == b'asked\n'

    def end(self):
        self.process.kill()
        self.process.wait()
        libc().umount2(self.path.encode(), MNT_DETACH)


def libc():
    return ctypes.CDLL(None, use_errno=True)


def attributes(size, uid):
    return struct.pack('<QQQQQQIIIIIIIIII', 1, size, (size + 511) // 512, 0, 0, 0, 0, 0, 0,
                       0o100600, 1, uid, uid, 0, 4096, 0)


def answer(device, unique, octets=b'', error=0):
    os.write(device, struct.pack('<IiQ', 16 + len(octets), -error, unique) + octets)


def serve(device, octets, uid):
    """Until the file is unmounted."""
    while True:
        try:
            request = os.read(device, 1 << 20)
        except OSError as failed:
            if failed.errno == errno.ENODEV:
                return
            raise
        _, kind, unique = HEADER.unpack_from(request)[:3]
        body = request[HEADER.size:]
        if kind == INIT:
            answer(device, unique, struct.pack('<IIIIHHIIHHI28x', 7, 31, 65536, 0, 16, 12, 131072,
                                               1, 32, 0, 0))
        elif kind == GETATTR:
            answer(device, unique, struct.pack('<QII', 0, 0, 0) + attributes(len(octets), uid))
        elif kind == OPEN:
            answer(device, unique, struct.pack('<QII', 1, DIRECT_IO, 0))
        elif kind == READ:
            _, offset, size = struct.unpack_from('<QQI', body)
            if HANGING.is_set():
                say('asked')
            else:
                answer(device, unique, octets[offset:offset + size])
        elif kind in (FLUSH, RELEASE):
            answer(device, unique)
        elif kind == STATFS:
            answer(device, unique, struct.pack('<QQQQQIIII24x', 1, 1, 1, 1, 1, 4096, 255, 4096, 0))
        elif kind not in (FORGET, BATCH_FORGET, INTERRUPT):
            answer(device, unique, error=errno.ENOSYS)


def say(word):
    sys.stdout.write(word + '\n')
    sys.stdout.flush()


def wait_for_hang():
    if sys.stdin.buffer.read(1):
        HANGING.set()
        say('hanging')


def main():
    path, uid = sys.argv[1], int(sys.argv[2])
    size, = struct.unpack('<Q', sys.stdin.buffer.read(8))
    octets = sys.stdin.buffer.read(size)
    device = os.open('/dev/fuse', os.O_RDWR)
    options = f'fd={device},rootmode=100600,user_id={uid},group_id={uid}'.encode()
    if libc().mount(b'test', path.encode(), b'fuse', MS_NOSUID | MS_NODEV, options):
        sys.exit(f'mount: {os.strerror(ctypes.get_errno())}')
    say('mounted')
    threading.Thread(target=wait_for_hang, daemon=True).start()
    serve(device, octets, uid)


if __name__ == '__main__':
    main()
