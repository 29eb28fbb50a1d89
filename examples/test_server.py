#!/usr/bin/python3
"""Runs the example server by its pipes: every reply and every message, octet for octet.

test_server.py SERVER
"""
import pathlib
import subprocess
import sys
import tempfile

import maildir


def session(folder, lines):
    run = subprocess.run([sys.argv[1], 'bob', 'x y', folder], timeout=50, capture_output=True,
                         input=b''.join(line + b'\r\n' for line in lines))
    assert run.returncode == 0 and run.stderr == b'', run
    return run.stdout


def same(got, want):
    if got != want:
        at = next((i for i, c in enumerate(want) if got[i:i + 1] != bytes([c])), len(want))
        near = slice(max(at - 40, 0), at + 40)
        sys.exit(f'octet {at}: {got[near]!r} instead of {want[near]!r}')


def main(folder):
    messages = maildir.make(folder)
    wires = [maildir.wire_form(stored) for _, stored in messages]
    count, total = len(messages), sum(map(len, wires))
    totals = b'+OK %d messages (%d octets)' % (count, total)
    commands = [b'USER bob', b'PASS wrong', b'USER bob', b'PASS x y', b'STAT', b'LIST', b'UIDL']
    want = [b'+OK POP3 server ready', b'+OK now PASS', b'-ERR [AUTH] wrong name or password',
            b'+OK now PASS', totals, b'+OK %d %d' % (count, total), totals]
    want += [b'%d %d' % (i + 1, len(wire)) for i, wire in enumerate(wires)] + [b'.', totals]
    want += [b'%d %s' % (i + 1, name.encode()) for i, (name, _) in enumerate(messages)] + [b'.']
    commands += [b'UIDL 2', b'LIST 2', b'LIST %d' % (count + 1), b'DELE 1']
    want += [b'+OK 2 ' + messages[1][0].encode(), b'+OK 2 %d' % len(wires[1]),
             b'-ERR no such message', b'-ERR this maildrop is read only']
    commands += [b'RETR %d' % (i + 1) for i in range(count)]
    octets = b''.join(line + b'\r\n' for line in want)
    for wire in wires:
        octets += b'+OK %d octets\r\n%s.\r\n' % (len(wire), maildir.stuffed(wire))
    dots = next(i for i, (name, _) in enumerate(messages) if name == 'zz-dots')
    commands += [b'TOP %d 2' % (dots + 1), b'QUIT']
    octets += b'+OK the top follows\r\nSubject: b\r\n\r\n..\r\n...\r\n.\r\n+OK bye\r\n'
    same(session(folder, commands), octets)
    # the end of input without QUIT is the end of the session
    same(session(folder, [b'USER bob']), b'+OK POP3 server ready\r\n+OK now PASS\r\n')


with tempfile.TemporaryDirectory() as temporary:
    main(pathlib.Path(temporary) / 'Maildir')
