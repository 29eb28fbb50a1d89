"""Destinations of `valija fetch` besides a Maildir: mbox, a command, LMTP; and their failures."""
import email
import mailbox
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import fetcher, serve  # noqa: E402,F401
from fetching import CANTCREAT, DATAERR, TEMPFAIL  # noqa: E402
from hostile import Cut, letter, wire_form  # noqa: E402


def test_mbox_is_one_that_others_read(fetcher, serve):
    box = fetcher.scratch / 'mail.mbox'
    server = serve([letter(n) for n in range(5)])
    fetcher.run(server, '--delete', to=f'mbox:{box}')
    assert server.messages == []
    read = [m['Subject'] for m in mailbox.mbox(box)]
    assert read == [f'letter {n}' for n in range(5)]
    assert oct(stat.S_IMODE(box.stat().st_mode)) == '0o600'
    server.messages[:] = [('more', letter(9))]
    fetcher.run(server, '--delete', to=f'mbox:{box}')
    assert len(mailbox.mbox(box)) == 6
    ids = [m['X-Valija-Delivery-Id'] for m in mailbox.mbox(box)]
    assert len(set(ids)) == 6 and all(re.fullmatch('[0-9a-f]{32}', i) for i in ids)


def unquoted(text):
    """The messages of an mboxrd, without their From line and our header."""
    parts = re.split(rb'(?:^|\n\n)From MAILER-DAEMON .*\nX-Valija-Delivery-Id: .*\n', text)[1:]
    parts[-1] = parts[-1][:-1] if parts else b''  # the blank line behind the last
    parts = [p + b'\n' if i < len(parts) - 1 else p for i, p in enumerate(parts)]
    return [re.sub(rb'^>(>*From )', rb'\1', part, flags=re.M) for part in parts]


def test_mboxrd_quotes_so_that_nothing_is_lost(fetcher, serve):
    tricky = [b'Subject: a\n\nFrom here\n>From there\n>>From everywhere\n> From not\nFromage\n',
              b'Subject: b\n\nFrom ', b'Subject: c\n\nFro\n>>>>>Fro\nFrom\n',
              b'Subject: d\n\n' + b'>' * 3000 + b'From x\n', b'From forged\nSubject: e\n\nx\n']
    box = fetcher.scratch / 'mbox'
    fetcher.run(serve(tricky), to=f'mbox:{box}')
    whole = [m if m.endswith(b'\n') else m + b'\n' for m in tricky]
    got = unquoted(box.read_bytes())
    # deeper than a thousand ">" nothing is quoted any more: no program looks there
    assert got[:3] + got[4:] == whole[:3] + whole[4:]
    assert len([line for line in box.read_bytes().split(b'\n') if line.startswith(b'From ')]) == 5


def test_mbox_left_without_a_blank_line_by_others(fetcher, serve):
    box = fetcher.scratch / 'mbox'
    for end in (b'', b'\n', b'\n\n'):
        box.write_bytes(b'From x Mon Jan  1 00:00:00 2024\nSubject: old\n\nold' + end)
        fetcher.run(serve([letter(1)]), to=f'mbox:{box}')
        assert b'old\n\nFrom MAILER-DAEMON' in box.read_bytes(), end


def test_mbox_waits_for_its_lock(fetcher, serve):
    box = fetcher.scratch / 'mbox'
    box.touch()
    dotlock = pathlib.Path(f'{box}.lock')
    dotlock.touch()
    server = serve([letter(1)])
    process = subprocess.Popen(fetcher.command(server, to=f'mbox:{box}'),
                               stdin=subprocess.DEVNULL, env=fetcher.environment())
    deadline = time.monotonic() + 30
    while not server.retrieved and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)
    assert process.poll() is None and box.stat().st_size == 0
    dotlock.unlink()
    assert process.wait(40) == 0 and len(mailbox.mbox(box)) == 1 and not dotlock.exists()


@pytest.mark.parametrize('kind', ['directory', 'fifo', 'symlink'])
def test_mbox_that_is_none(fetcher, serve, kind):
    import os

    box = fetcher.scratch / 'mbox'
    if kind == 'directory':
        box.mkdir()
    elif kind == 'fifo':
        os.mkfifo(box)
    else:
        (fetcher.scratch / 'elsewhere').touch()
        box.symlink_to('elsewhere')
    fetcher.run(serve([letter(1)]), to=f'mbox:{fetcher.scratch}/mbox', expect=CANTCREAT)


COLLECT = 'cat > "{out}/$VALIJA_DELIVERY_ID" && echo "$VALIJA_ACCOUNT $VALIJA_USER" >> "{out}/log"'


def test_a_command_gets_each_message(fetcher, serve):
    out = fetcher.scratch / 'out'
    out.mkdir()
    server = serve()
    fetcher.run(server, '--delete', to='command:' + COLLECT.format(out=out))
    assert server.messages == []
    mail = sorted(p.read_bytes() for p in out.iterdir() if p.name != 'log')
    assert mail == sorted(letter(n) for n in range(1, 6))
    assert (out / 'log').read_text() == 'demo@127.0.0.1 demo\n' * 5


def test_a_command_that_puts_one_message_off(fetcher, serve):
    out = fetcher.scratch / 'out'
    out.mkdir()
    command = f'f={out}/$VALIJA_DELIVERY_ID; cat > $f; ! grep -q "letter 3" $f || exit 75'
    server = serve()
    done = fetcher.run(server, '--delete', to=f'command:{command}', expect=DATAERR)
    assert [uid for uid, _ in server.messages] == ['uid-3'] and 'status 75' in done.stderr
    first = {p.name for p in out.iterdir()}
    fetcher.run(server, '--delete', to=f'command:{command}', expect=DATAERR)
    assert {p.name for p in out.iterdir()} == first, 'the delivery id is the same the second time'


def test_a_command_that_is_not_there(fetcher, serve):
    server = serve()
    fetcher.run(server, '--delete', to='command:no-such-program-at-all', expect=TEMPFAIL)
    assert len(server.messages) == 5


def test_a_command_that_does_not_read(fetcher, serve):
    server = serve([letter(1, 300000)])
    fetcher.run(server, '--delete', to='command:true')
    assert server.messages == []


class Lmtp:
    """An LMTP server for one test: takes mail, or says what `answers` says; `judge`, a function of
    a message's octets, may give the answer behind it."""

    def __init__(self, answers=None, path=None, judge=None):
        self.answers, self.mail, self.lines, self.path = answers or {}, [], [], path
        self.judge = judge or (lambda text: None)
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            self.listener.listen()
        else:
            self.listener = socket.create_server(('127.0.0.1', 0))
        self.target = str(path) if path else f'127.0.0.1:{self.listener.getsockname()[1]}'
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            try:
                with connection, connection.makefile('rwb') as file:
                    self.talk(file)
            except (OSError, ValueError):  # it left, perhaps before the last answer was sent
                pass

    def talk(self, file):
        def say(text):
            file.write(text.encode() + b'\r\n')
            file.flush()

        say(self.answers.get('greeting', '220-a\r\n220 b'))
        for line in file:
            line = line.decode().rstrip('\r\n')
            self.lines.append(line)
            verb = line.split(' ')[0].upper()
            if verb == 'DATA' and 'DATA' not in self.answers:
                say('354 go')
                text = b''
                while not text.endswith(b'\r\n.\r\n'):
                    text += file.readline()
                text = re.sub(rb'\r\n\.', b'\r\n', b'\r\n' + text[:-3])[2:]
                answer = self.judge(text) or self.answers.get('.', '250 2.0.0 taken')
                if answer.startswith('2'):
                    self.mail.append(text)
                say(answer)
            elif verb == 'QUIT':
                return say('221 bye')
            else:
                say(self.answers.get(verb, '250 fine'))


def test_lmtp(fetcher, serve):
    lmtp = Lmtp()
    server = serve()
    fetcher.run(server, '--delete', '--recipient', 'me@example.org', to=f'lmtp:{lmtp.target}')
    assert server.messages == []
    bodies = [text.partition(b'\r\n')[2] for text in lmtp.mail]
    assert bodies == [wire_form(letter(n)) for n in range(1, 6)]
    heads = {text.partition(b'\r\n')[0] for text in lmtp.mail}
    assert len(heads) == 5 and all(h.startswith(b'X-Valija-Delivery-Id: ') for h in heads)
    assert lmtp.lines[:4] == ['LHLO localhost', 'MAIL FROM:<>', 'RCPT TO:<me@example.org>', 'DATA']
    assert email.message_from_bytes(lmtp.mail[0])['Subject'] == 'letter 1'


def test_lmtp_on_a_socket(fetcher, serve, tmp_path):
    lmtp = Lmtp(path=tmp_path / 's')
    fetcher.run(serve(), '--recipient', 'me', to=f'lmtp:{lmtp.target}')
    assert len(lmtp.mail) == 5


@pytest.mark.parametrize('answers, code', [
    ({'.': '552 5.2.2 full'}, DATAERR), ({'RCPT': '550 5.1.1 who?'}, DATAERR),
    ({'RCPT': '451 4.3.0 later'}, TEMPFAIL), ({'DATA': '451 later'}, TEMPFAIL),
    ({'greeting': '421 busy'}, TEMPFAIL), ({'LHLO': '500 what?'}, 69),
    ({'greeting': 'SSH-2.0'}, 76), ({'MAIL': 'x' * 5000}, 76)])
def test_lmtp_that_refuses_loses_nothing(fetcher, serve, answers, code):
    lmtp = Lmtp(answers)
    server = serve()
    done = fetcher.run(server, '--delete', '--recipient', 'me', to=f'lmtp:{lmtp.target}',
                       expect=code)
    assert len(server.messages) == 5 and done.stderr


def test_lmtp_that_is_not_there(fetcher, serve):
    server = serve()
    done = fetcher.run(server, '--delete', '--recipient', 'me', to='lmtp:127.0.0.1:1',
                       expect=TEMPFAIL)
    assert 'LMTP' in done.stderr and len(server.messages) == 5


def test_lmtp_recipient_cannot_smuggle(fetcher, serve):
    server = serve()
    fetcher.run(server, '--recipient', 'me> SIZE=1', to='lmtp:127.0.0.1:1', expect=78)
    assert server.sessions == []


def test_a_full_disk(fetcher, serve):
    """On a filesystem of one megabyte: nothing is deleted that is not here."""
    disk = fetcher.scratch / 'disk'
    disk.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk],
                      capture_output=True).returncode:
        pytest.skip('cannot mount a small filesystem here')
    try:
        server = serve([letter(n, 100000) for n in range(20)])
        done = fetcher.run(server, '--delete', to=f'maildir:{disk}/Maildir', expect=TEMPFAIL)
        assert 'No space left' in done.stderr
        here = sorted(p.read_bytes() for p in (disk / 'Maildir/new').iterdir())
        assert len(here) + len(server.messages) >= 20
        for path in (disk / 'Maildir/new').iterdir():
            shutil.move(path, fetcher.scratch / path.name)  # room is made, the rest comes
        while server.messages:
            before = len(server.messages)
            fetcher.run(server, '--delete', '--max-messages', 5, to=f'maildir:{disk}/Maildir')
            for path in (disk / 'Maildir/new').iterdir():
                shutil.move(path, fetcher.scratch / path.name)
            assert len(server.messages) < before
        mail = sorted(p.read_bytes() for p in fetcher.scratch.glob('*,W=*'))
        assert mail == sorted(letter(n, 100000) for n in range(20))
    finally:
        subprocess.run(['umount', disk], check=True)


@pytest.mark.parametrize('kind', ['command', 'lmtp', 'mbox'])
def test_what_was_delivered_is_noted_although_the_rest_fails(fetcher, serve, kind):
    """The third message cannot be delivered, nor can any other: the first two do not come again."""
    server, broken, lmtp = serve(), fetcher.scratch / 'broken', Lmtp()

    def retr(_, number):
        if number == '3':
            broken.touch()
            lmtp.answers['MAIL'] = '451 later'
            if kind == 'mbox':
                raise Cut

    to = {'command': f'command:test ! -e {broken} || exit 127; cat > /dev/null',
          'lmtp': f'lmtp:{lmtp.target}', 'mbox': f'mbox:{fetcher.scratch}/mbox'}[kind]
    server.hooks['RETR'] = retr
    fetcher.run(server, '--recipient', 'me', '--no-pipelining', to=to, expect=TEMPFAIL)
    server.hooks.clear()
    server.retrieved.clear()
    broken.unlink()
    lmtp.answers.clear()
    fetcher.run(server, '--recipient', 'me', '--no-pipelining', to=to)
    assert server.retrieved == ['uid-3', 'uid-4', 'uid-5']


def test_confined(fetcher, serve):
    """Landlock and seccomp hold while it talks to the server."""
    seen = []

    def look(session, _):
        for path in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                if f':{server.port}'.encode() in (path / 'cmdline').read_bytes():
                    seen.append((path / 'status').read_text())
            except OSError:
                pass

    server = serve(hooks={'UIDL': look})
    fetcher.run(server)
    assert seen and all(re.search(r'^Seccomp:\s+2$', text, re.M) and
                        re.search(r'^NoNewPrivs:\s+1$', text, re.M) for text in seen)
