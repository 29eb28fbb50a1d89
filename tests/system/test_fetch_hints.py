"""Messages at a first try of `valija fetch`: each says what to do."""
import fcntl
import os
import pathlib
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from fetching import NOPERM, OK, PROTOCOL, TEMPFAIL  # noqa: E402
from hostile import Cut, letter, make_certificate  # noqa: E402
from test_fetch_hostile import spki_pin  # noqa: E402


def test_a_certificate_of_its_own_is_told_with_its_key(fetcher, serve, certificate):
    server = serve(tls='implicit', certificate=certificate)
    done = fetcher.run(server, expect=NOPERM)
    pin = spki_pin(certificate[0])
    assert f'--pin {pin}' in done.stderr and '--ca' in done.stderr
    fetcher.run(server, '--pin', pin)  # as it is written there
    assert len(fetcher.files()) == 5


def test_a_certificate_for_another_name(fetcher, serve, tmp_path):
    other = make_certificate(tmp_path, 'mail.example.org', addresses=())
    for tls in ('implicit', 'starttls'):
        server = serve(tls=tls, certificate=other)
        done = fetcher.run(server, '--ca', other[0], expect=NOPERM)
        assert '--tls-name' in done.stderr and spki_pin(other[0]) in done.stderr
        fetcher.run(server, '--ca', other[0], '--tls-name', 'mail.example.org')
        done = fetcher.run(server, '--ca', other[0], '--tls-name', 'localhost', expect=NOPERM)
        assert 'localhost' in done.stderr
    # a name that is asked for is the only one that will do
    local = make_certificate(tmp_path, 'localhost')
    fetcher.run(serve(tls='implicit', certificate=local), '--ca', local[0], '--tls-name',
                'mail.example.org', expect=NOPERM)


def test_a_certificate_that_is_over(fetcher, serve, tmp_path):
    cert, key = make_certificate(tmp_path, 'localhost')
    over = tmp_path / 'over.pem'
    subprocess.run(['openssl', 'x509', '-in', cert, '-signkey', key, '-days', '-1', '-out', over],
                   check=True, capture_output=True)
    done = fetcher.run(serve(tls='implicit', certificate=(over, key)), '--ca', over, expect=NOPERM)
    assert 'expired' in done.stderr and spki_pin(over) in done.stderr


def test_the_wrong_kind_of_port(fetcher, serve, certificate):
    done = fetcher.run(serve(), '--tls', 'implicit', expect=PROTOCOL)
    assert 'pop3://' in done.stderr and 'pop3s://' in done.stderr
    released = threading.Event()
    quiet = serve(on_connect=lambda s: released.wait(20))
    done = fetcher.run(quiet, '--tls', 'starttls', '--timeout', 1, expect=TEMPFAIL)
    released.set()
    assert 'pop3s://' in done.stderr
    # a true TLS port that waits for the client to begin
    server = serve(tls='implicit', certificate=certificate)
    done = fetcher.run(server, '--timeout', 1, scheme='pop3', expect=TEMPFAIL)
    assert 'pop3s://' in done.stderr


@pytest.mark.parametrize('greeting, words', [
    ('* OK IMAP4rev1 ready', 'IMAP'), ('220 mx.example.org ESMTP', 'SMTP'),
    ('HTTP/1.1 400 Bad Request', 'web server'), ('hello \x1b[2Jthere', 'hello \\x1b[2Jthere')])
def test_another_protocol(fetcher, serve, greeting, words):
    done = fetcher.run(serve(greeting=greeting), expect=PROTOCOL)
    assert words in done.stderr and '\x1b' not in done.stderr


@pytest.mark.parametrize('verb, words', [('AUTH', 'login'), ('CAPA', 'CAPA'), ('LIST', 'listing'),
                                         ('UIDL', 'listing')])
def test_where_the_connection_was_closed(fetcher, serve, verb, words):
    def cut(session, _):
        raise Cut
    done = fetcher.run(serve(hooks={verb: cut}), expect=TEMPFAIL)
    assert words in done.stderr.split('error:')[1]


def test_closed_at_the_password(fetcher, serve):
    def cut(session, _):
        raise Cut
    done = fetcher.run(serve(mechanisms=(), hooks={'PASS': cut}), expect=TEMPFAIL)
    assert 'login' in done.stderr and 'password is wrong' in done.stderr


def test_words_in_utf_8_are_shown_as_text(fetcher, serve):
    words = '请使用授权码登录 é'

    def refuse(session, _):
        return session.send(f'-ERR {words} \x1b[2J'.encode() + b'\x9b\r\n') or True
    hooks = {'AUTH': refuse, 'USER': refuse}
    done = fetcher.run(serve(hooks=hooks), expect=NOPERM)
    assert words in done.stderr and '\\x1b' in done.stderr and '\\x9b' in done.stderr
    done = fetcher.run(serve(hooks=hooks), expect=NOPERM,
                       env={**fetcher.environment(), 'LC_ALL': 'C'})
    assert words not in done.stderr and '\\xe8\\xaf\\xb7' in done.stderr
    done = fetcher.run(serve(hooks=hooks), '--json', expect=NOPERM)
    assert words in done.stdout


@pytest.mark.parametrize('columns', [80, 40, 200])
def test_the_time_that_is_left_is_seen(fetcher, serve, columns):
    """The bar gives way, not the end of the line."""
    big = [letter(n, 300000) for n in range(12)]
    server = serve(big, hooks={'RETR': lambda s, _: time.sleep(0.25)})
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
    process = subprocess.Popen(fetcher.command(server, '--no-pipelining'), stdin=slave,
                               stdout=slave, stderr=slave, env=fetcher.environment())
    os.close(slave)
    seen = b''
    while True:
        try:
            more = os.read(master, 65536)
        except OSError:
            break
        if not more:
            break
        seen += more
    os.close(master)
    assert process.wait(60) == OK
    lines = [part.split('\x1b[K')[0] for part in seen.decode().split('\r')]
    bars = [line for line in lines if '/12 ' in line]
    assert max(map(len, bars)) < columns
    assert any(re.search(r', \d+:\d\d left$', line) for line in bars) or columns < 60
    assert any('[#' in line for line in bars) or columns < 80
