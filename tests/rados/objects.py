"""What is in the pools, seen and changed past Valija: a fault, or a program of another version."""
import ctypes
import struct

CRC_TABLE = []
for octet in range(256):
    for _ in range(8):
        octet = octet >> 1 ^ (0x82F63B78 if octet & 1 else 0)
    CRC_TABLE.append(octet)


def crc32c(data):
    crc = 0xFFFFFFFF
    for octet in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ octet) & 255]
    return crc ^ 0xFFFFFFFF


def add_frame(identity, octets=10, stored=10, unique=b'', body=b''):
    """A record as docs/rados-format.md describes it."""
    size = 56 + len(unique)
    parts = [struct.pack('<HBB', size, 1, len(unique)),
             bytes.fromhex(identity)
             + struct.pack('<QQQII', octets, stored, 1, 0, crc32c(body)) + unique]
    return parts[0] + struct.pack('<I', crc32c(parts[0] + bytes(4) + parts[1])) + parts[1]


class Objects:
    def __init__(self, ceph, pool):
        self.ceph, self.pool = ceph, pool

    def rados(self, *command):
        return self.ceph.run('rados', '-c', self.ceph.conf, '-p', self.pool, *command).stdout

    def names(self, prefix=''):
        return sorted(n for n in self.rados('ls').splitlines() if n.startswith(prefix))

    def clear(self):
        self.rados('purge', self.pool, '--yes-i-really-really-mean-it')

    def remove(self, name):
        self.rados('rm', name)

    def size(self, name):
        return int(self.rados('stat', name).rpartition('size ')[2])

    def write(self, name, octets, offset, folder):
        path = folder / 'octets'
        path.write_bytes(octets)
        self.rados('put', name, path, '--offset', offset)

    def append(self, name, octets, folder):
        path = folder / 'octets'
        path.write_bytes(octets)
        self.rados('append', name, path)

    def attribute(self, name, attribute):
        return self.rados('getxattr', name, attribute)

    def put_orphan(self, name, octets, seen=None, owner=None, written=0):
        """A body of no record, which a sweep saw first at that time; it was written at that of some
        clock."""
        lib = ctypes.CDLL('librados.so.2')
        lib.rados_create_write_op.restype = ctypes.c_void_p
        cluster, pool = ctypes.c_void_p(), ctypes.c_void_p()
        assert lib.rados_create(ctypes.byref(cluster), b'admin') == 0
        assert lib.rados_conf_read_file(cluster, str(self.ceph.conf).encode()) == 0
        assert lib.rados_connect(cluster) == 0
        assert lib.rados_ioctx_create(cluster, self.pool.encode(), ctypes.byref(pool)) == 0
        op = ctypes.c_void_p(lib.rados_create_write_op())
        lib.rados_write_op_write_full(op, octets, ctypes.c_size_t(len(octets)))
        if owner:
            lib.rados_write_op_setxattr(op, b'maildrop', owner.encode(),
                                        ctypes.c_size_t(len(owner)))
        if seen is not None:
            note = str(int(seen)).encode()
            lib.rados_write_op_setxattr(op, b'orphan', note, ctypes.c_size_t(len(note)))
        moment = (ctypes.c_long * 2)(int(written), 0)
        assert lib.rados_write_op_operate2(op, pool, name.encode(), moment, 0) == 0
        lib.rados_release_write_op(op)
        lib.rados_ioctx_destroy(pool)
        lib.rados_shutdown(cluster)
