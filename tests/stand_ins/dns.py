"""A DNS server for tests, by UDP on port 53 of 127.0.0.1, in a network namespace of the test's own.


Zone({('_pop3s._tcp.example.org', 'SRV'): [(10, 5, 995, 'pop.example.org')], …}) answers SRV, MX
and A; what it does not know is NXDOMAIN. raw: an answer for everything, octets behind the id.
"""
import socket
import struct
import threading

TYPES = {1: 'A', 15: 'MX', 33: 'SRV'}


def encode(name):
    return b''.join(bytes([len(part)]) + part.encode() for part in name.split('.') if part) + b'\0'


class Zone:
    def __init__(self, records, raw=None, port=53):
        self.records, self.raw, self.asked = records, raw, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', port))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                octets, client = self.socket.recvfrom(4096)
                self.socket.sendto(self.answer(octets), client)
            except OSError:
                return

    def answer(self, octets):
        at, parts = 12, []
        while octets[at]:
            parts.append(octets[at + 1:at + 1 + octets[at]].decode())
            at += 1 + octets[at]
        question = octets[12:at + 5]
        kind = TYPES.get(struct.unpack('>H', octets[at + 1:at + 3])[0], '')
        name = '.'.join(parts)
        self.asked.append((name, kind))
        if self.raw is not None:
            return octets[:2] + self.raw
        found = self.records.get((name, kind), [])
        known = any(owner == name for owner, _ in self.records)
        head = octets[:2] + struct.pack('>HHHHH', 0x8180 | (0 if known else 3), 1, len(found), 0, 0)
        return head + question + b''.join(self.record(kind, one) for one in found)

    @staticmethod
    def record(kind, one):
        if kind == 'SRV':
            data = struct.pack('>HHH', *one[:3]) + encode(one[3])
        elif kind == 'MX':
            data = struct.pack('>H', one[0]) + encode(one[1])
        else:
            data = socket.inet_aton(one)
        number = next(n for n, word in TYPES.items() if word == kind)
        return b'\xc0\x0c' + struct.pack('>HHIH', number, 1, 60, len(data)) + data

    def stop(self):
        self.socket.close()
