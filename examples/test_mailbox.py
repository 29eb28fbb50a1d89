#!/usr/bin/python3
"""Runs the example server by its pipes: every message of the corpus, octet for octet.

test_mailbox.py PROGRAM
"""
import pathlib
import subprocess
import sys


def wire_form(stored):
    """The octets RETR must send, before stuffing: CRLF line ends, the last one present."""
    lines = stored.split(b'\n')
    out = b''.join(line + (b'\n' if line.endswith(b'\r') else b'\r\n') for line in lines[:-1])
    return out + (lines[-1] + b'\r\n' if lines[-1] else b'')


def stuffed(wire):
    return (b'.' if wire.startswith(b'.') else b'') + wire.replace(b'\r\n.', b'\r\n..')


def main():
    corpus = pathlib.Path(__file__).resolve().parent.parent / 'tests' / 'corpus'
    files = sorted(corpus.glob('*.eml'))
    assert files, 'no corpus'
    wires = [wire_form(path.read_bytes()) for path in files]
    says = [b'USER bob', b'PASS wrong', b'USER bob', b'PASS x y', b'STAT', b'LIST']
    says += [b'RETR %d' % (i + 1) for i in range(len(files))]
    says += [b'DELE 1', b'UIDL 1', b'UIDL 2', b'QUIT']
    wants = [b'+OK POP3 server ready', b'+OK now PASS', b'-ERR [AUTH] wrong name or password',
             b'+OK now PASS']
    total = b'%d messages (%d octets)' % (len(files), sum(map(len, wires)))
    wants += [b'+OK ' + total, b'+OK %d %d' % (len(files), sum(map(len, wires))), b'+OK ' + total]
    wants += [b'%d %d' % (i + 1, len(wire)) for i, wire in enumerate(wires)] + [b'.']
    want = b''.join(line + b'\r\n' for line in wants)
    for wire in wires:
        want += b'+OK %d octets\r\n%s.\r\n' % (len(wire), stuffed(wire))
    want += (b'+OK message 1 is marked\r\n-ERR message is marked as deleted\r\n'
             b'+OK 2 demo-2\r\n+OK bye\r\n')
    run = subprocess.run([sys.argv[1], 'bob', 'x y', *map(str, files)], timeout=50,
                         input=b''.join(line + b'\r\n' for line in says), capture_output=True)
    assert run.returncode == 0, run
    assert run.stderr == f'would delete {files[0]}\n'.encode(), run.stderr
    if run.stdout != want:
        at = next((i for i, c in enumerate(want) if run.stdout[i:i + 1] != bytes([c])), len(want))
        near = slice(max(at - 40, 0), at + 40)
        sys.exit(f'octet {at}: {run.stdout[near]!r} instead of {want[near]!r}')


main()
