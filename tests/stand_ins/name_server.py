"""A name server with one answer: python3 name_server.py NAME ADDRESS SRV_NAME PORT TARGET. On
127.0.0.1, port 53; prints a line when it is there."""
import socket
import struct
import sys


def packed(name):
    return b''.join(bytes([len(part)]) + part.encode() for part in name.split('.')) + b'\0'


def answer(question, records):
    end = question.index(b'\0', 12) + 5
    kind = struct.unpack('>H', question[end - 4:end - 2])[0]
    name = question[12:end - 4].lower()
    data = records.get((name, kind))
    known = any(name == known for known, _ in records)
    head = question[:2] + struct.pack('>HHHHH', 0x8580 | (0 if known else 3), 1, data is not None,
                                      0, 0)
    record = b'' if data is None else b'\xc0\x0c' + struct.pack('>HHIH', kind, 1, 60,
                                                                len(data)) + data
    return head + question[12:end] + record


def main(name, address, srv, port, target):
    records = {(packed(name), 1): socket.inet_aton(address),
               (packed(srv), 33): struct.pack('>HHH', 0, 1, int(port)) + packed(target)}
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(('127.0.0.1', 53))
    print('ready', flush=True)
    while True:
        question, client = server.recvfrom(4096)
        server.sendto(answer(question, records), client)


main(*sys.argv[1:])
