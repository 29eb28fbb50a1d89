"""A Maildir made of the corpus, and what a server must make of it."""
import pathlib

OWN = {
    'zz-empty': b'',
    'zz-no-line-end': b'Subject: a\n\nno line end',
    'zz-dots': b'Subject: b\n\n.\n..\n.x\n\n.',
    'zz-bare-cr': b'Subject: c\n\na\rb\r\nc\x00d\n',
    'zz-long': b'Subject: d\n\n' + b'0123456789abcde\n' * 5000,
}


def wire_form(stored):
    """The octets RETR must send, before stuffing: CRLF line ends, the last one present."""
    lines = stored.split(b'\n')
    out = b''.join(line + (b'\n' if line.endswith(b'\r') else b'\r\n') for line in lines[:-1])
    return out + (lines[-1] + b'\r\n' if lines[-1] else b'')


def stuffed(wire):
    return (b'.' if wire.startswith(b'.') else b'') + wire.replace(b'\r\n.', b'\r\n..')


def make(folder):
    """Fills folder; returns (unique id, stored octets) of each message, in the server's order."""
    corpus = pathlib.Path(__file__).resolve().parent.parent / 'tests' / 'corpus'
    messages = [(path.name, path.read_bytes()) for path in sorted(corpus.glob('*.eml'))]
    assert messages, 'no corpus'
    messages += OWN.items()
    for name in ('cur', 'new', 'tmp'):
        (folder / name).mkdir(parents=True)
    (folder / 'tmp' / 'half').write_bytes(b'not a message yet')
    new, cur = messages[::2], messages[1::2]
    for name, stored in new:
        (folder / 'new' / name).write_bytes(stored)
    for name, stored in cur:
        (folder / 'cur' / f'{name}:2,S').write_bytes(stored)
    return sorted(new) + sorted(cur)
