"""A file system that never answers, as a dead NFS server or a hostile owner's FUSE: whoever enters
it waits in the kernel, and not even SIGKILL ends that. Needs root and /dev/fuse."""
import ctypes
import os
import struct
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
INIT, MNT_FORCE, MNT_DETACH = 26, 1, 2


class Silent:
    """Mounted over folder for as long as it is entered (with)."""

    def __init__(self, folder):
        self.folder = os.fsencode(folder)
        self.device = -1
        self.asked = threading.Event()  # something waits for it by now

    def __enter__(self):
        self.device = os.open('/dev/fuse', os.O_RDWR)
        options = f'fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other'
        if LIBC.mount(b'valija-test', self.folder, b'fuse', 6, options.encode()):
            os.close(self.device)
            raise OSError(ctypes.get_errno(), 'cannot mount FUSE')
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        return self

    def read(self):
        """Takes requests: one that was taken cannot be taken back by a signal."""
        while True:
            try:
                request = os.read(self.device, 1 << 17)
            except OSError:
                return
            _, opcode, unique = struct.unpack_from('=IIQ', request)
            if opcode == INIT:
                answer = struct.pack('=4I2H2I8I', 7, 31, 4096, 0, 12, 9, 4096, 1, *[0] * 8)
                os.write(self.device, struct.pack('=IiQ', 16 + len(answer), 0, unique) + answer)
            else:
                self.asked.set()

    def __exit__(self, *_):
        LIBC.umount2(self.folder, MNT_FORCE)  # aborts what waits, and ends the reader
        LIBC.umount2(self.folder, MNT_DETACH)
        self.reader.join(10)
        os.close(self.device)
