"""Killed on the way to IMAP and Gmail: nothing is lost, the destination is asked at most once a
run, and a message comes again only where it cannot be asked."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ('hostile', 'stand_ins')]

from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from fetching import program  # noqa: E402
from gmail import Gmail  # noqa: E402
from hostile import letter, wire_form  # noqa: E402
from imap import Imap  # noqa: E402

TOOL = program().parent / 'tests' / 'crash' / 'fetch_kill_at'
MAIL = [wire_form(letter(n)) for n in range(1, 5)]


class ImapPlace:
    def __init__(self, certificate, askable=True):
        self.server = Imap(certificate)
        if not askable:
            self.server.answers['SEARCH'] = 'NO cannot'
        self.certificate = certificate

    def words(self, fetcher):
        return ['--to-password-file', fetcher.password_file, '--to-ca', self.certificate[0]]

    to = property(lambda self: self.server.url())
    asked = property(lambda self: self.server.count('SEARCH'))

    def mail(self):
        return sorted(text.partition(b'\r\n')[2] for text in self.server.octets())

    def empty(self):
        self.server.folders['"INBOX"'].clear()


class GmailPlace:
    def __init__(self, certificate, askable=True):
        self.server = Gmail(certificate, scopes=('insert', 'readonly') if askable else ('insert',))
        self.certificate = certificate

    def words(self, _):
        return ['--to-token-command', 'echo token', '--to-ca', self.certificate[0], '--gmail-api',
                self.server.api]

    to = 'gmail:INBOX'
    asked = property(lambda self: self.server.count('GET /gmail/v1/users/me/messages'))

    def mail(self):
        return sorted(self.server.octets())

    def empty(self):
        self.server.messages.clear()


@pytest.fixture
def place(request, certificate):
    places = []

    def make(kind, askable=True):
        places.append(kind(certificate, askable))
        return places[-1]

    yield make
    for one in places:
        one.server.stop()


def again(fetcher, server, place):
    fetcher.run(server, '--delete', *place.words(fetcher), to=place.to)
    server.idle()
    assert server.messages == []


@pytest.mark.parametrize('kind', [ImapPlace, GmailPlace])
@pytest.mark.parametrize('askable', [True, False], ids=['askable', 'mute'])
@pytest.mark.parametrize('when', ['before', 'stored'])
@pytest.mark.parametrize('which', [1, 3, 4])
def test_threat_89_killed_between_sending_and_sent(fetcher, serve, place, kind, askable, when,
                                                   which):
    """The whole process group dies while the destination has a message in hand."""
    server, target = serve([letter(n) for n in range(1, 5)]), place(kind, askable)
    process = subprocess.Popen(
        fetcher.command(server, '--delete', *target.words(fetcher), to=target.to),
        stdin=subprocess.DEVNULL, start_new_session=True, env=fetcher.environment(),
        cwd=fetcher.scratch, stderr=subprocess.DEVNULL)

    def kill(_, octets):
        if octets and f'Subject: letter {which}\r\n'.encode() in octets:
            target.server.hooks.clear()
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    target.server.hooks[when] = kill
    assert process.wait(60) == -signal.SIGKILL
    server.idle()
    # the server of both kinds stores the message whatever became of the client
    assert target.asked == 0 and len(server.messages) == 4
    deadline = time.monotonic() + 30
    while len(target.mail()) < which and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(target.mail()) == which
    again(fetcher, server, target)
    assert target.asked == 1, 'one question'
    expected = MAIL if askable else [*MAIL, MAIL[which - 1]]
    assert target.mail() == sorted(expected)


@pytest.mark.parametrize('kind', [ImapPlace, GmailPlace])
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_ends_a_run_tidily(fetcher, serve, place, kind, number):
    """As from a terminal or a service manager: the message under way is delivered and noted."""
    server, target = serve([letter(n) for n in range(1, 5)]), place(kind)
    process = subprocess.Popen(
        fetcher.command(server, '--delete', '--no-pipelining', *target.words(fetcher),
                        to=target.to),
        stdin=subprocess.DEVNULL, start_new_session=True, env=fetcher.environment(),
        cwd=fetcher.scratch, stderr=subprocess.PIPE, text=True)

    def interrupt(_, octets):
        if octets and b'Subject: letter 2\r\n' in octets:
            target.server.hooks.clear()
            os.killpg(process.pid, number)

    target.server.hooks['before'] = interrupt
    words = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number, words
    server.idle()
    again(fetcher, server, target)
    assert target.mail() == MAIL and target.asked == 0, 'nothing was in doubt'


@pytest.mark.parametrize('part', range(2))
def test_killed_at_system_calls(fetcher, serve, place, part):
    """At points all over a run: each message is there once in the end, in an askable place."""
    messages = [(f'u{n}', letter(n)) for n in range(1, 5)]
    server, target = serve(list(messages)), place(ImapPlace)

    def run(n):
        server.messages[:] = messages
        target.empty()
        shutil.rmtree(fetcher.state, ignore_errors=True)
        done = fetcher.execute([str(TOOL), str(n), *fetcher.command(
            server, '--delete', *target.words(fetcher), to=target.to)], expect=None)
        if done.returncode == 2:
            pytest.skip(f'processes cannot be traced here: {done.stderr}')
        server.idle()
        return done.stdout

    if not TOOL.exists():
        pytest.skip('the programs of the crash tests are not built')
    out = run(0)
    total = int(out.split()[1])
    assert 'exit 0' in out and total > 100 and target.mail() == MAIL
    for n in range(1 + part * 3, total + 1, 6):
        out, before = run(n), target.asked
        assert set(target.mail()) <= set(MAIL)
        gone = {text for _, text in messages} - {text for _, text in server.messages}
        assert {wire_form(text) for text in gone} <= set(target.mail()), f'lost at call {n}'
        target.server.settle()
        again(fetcher, server, target)
        assert target.asked <= before + 1, f'asked again and again, call {n}'
        assert target.mail() == MAIL, f'killed at call {n} of {total}'
