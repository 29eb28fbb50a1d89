#!/usr/bin/python3
"""The example client collects from the example server over a socket pair, octet for octet; and
from servers that refuse, break the protocol or cut the connection.

test_client.py CLIENT SERVER
"""
import pathlib
import socket
import subprocess
import sys
import tempfile

import maildir

CLIENT, SERVER = (pathlib.Path(name).resolve() for name in sys.argv[1:])
OK = b'+OK hello\r\n+OK\r\n+OK\r\n+OK 1 10\r\n'


def run_client(connection, folder, password='x y'):
    """The client in folder, with the connection as descriptor 3."""
    folder.mkdir()
    return subprocess.run(['sh', '-c', 'exec "$@" 3<&0 </dev/null', 'sh', CLIENT, 'bob', password],
                          stdin=connection, cwd=folder, timeout=50, capture_output=True, text=True)


def talk(folder, box, password='x y'):
    """Client and server joined by a socket pair; returns what the client's run was."""
    ours, theirs = socket.socketpair()
    server = subprocess.Popen([SERVER, 'bob', 'x y', box], stdin=theirs, stdout=theirs)
    theirs.close()
    try:
        run = run_client(ours, folder, password)
    finally:
        ours.close()
        status = server.wait(timeout=50)
    assert status == 0, (status, run)
    return run


def refuse(folder, sent, message):
    """A server that sends these octets and no more; the client must fail and leave no message."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        run = run_client(ours, folder)
    assert run.returncode == 1 and run.stderr == f'client: {message}\n', run
    assert not list(folder.glob('*.eml')), list(folder.iterdir())


def main(root):
    messages = maildir.make(root / 'box')
    run = talk(root / 'collected', root / 'box')
    assert run.returncode == 0 and run.stdout == f'{len(messages)} messages\n', run
    assert len(list((root / 'collected').iterdir())) == len(messages)
    for i, (name, stored) in enumerate(messages):
        want = maildir.wire_form(stored).replace(b'\r\n', b'\n')
        assert (root / 'collected' / f'{i + 1}.eml').read_bytes() == want, name
    run = talk(root / 'wrong', root / 'box', 'wrong')
    assert run.returncode == 1, run
    assert run.stderr == 'client: the server refused: wrong name or password\n', run
    assert not list((root / 'wrong').iterdir())

    cut = 'the connection was cut: '
    refuse(root / 'cut-greeting', b'+OK hel', cut)
    refuse(root / 'cut-message', OK + b'+OK\r\nSubject: a\r\n\r\nb\r\n', cut)
    refuse(root / 'bare-end', OK + b'+OK\r\nSubject: a\n\nb\n.\n', cut)
    refuse(root / 'escape', b'-ERR [SYS/TEMP] \x1b[2J later\r\n',
           'the server refused: ?[2J later')
    refuse(root / 'no-status', b'220 mail.example ESMTP\r\n',
           'the server broke the protocol: the reply begins with neither +OK nor -ERR')


with tempfile.TemporaryDirectory() as temporary:
    main(pathlib.Path(temporary))
