"""Messages that `valija fetch` leaves on the server, or takes, and its announcement of them."""
import json
import pathlib
import re
import shutil
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import fetcher, serve  # noqa: E402,F401
from fetching import DATAERR, UNAVAILABLE, program  # noqa: E402
from hostile import letter  # noqa: E402


def uids(server):
    return [uid for uid, _ in server.messages]


def age(fetcher, days):
    """Moves the collection of everything into the past: rewrites the journal as a run would have
    written it then."""
    import ctypes.util  # noqa: F401

    [journal] = [p for p in fetcher.state.iterdir() if p.suffix == '.journal']
    out = []
    batch = b''
    for line in journal.read_bytes().splitlines(keepends=True):
        if line.startswith(b'C '):
            head = b' '.join(line.split()[:3]) + b' '
            out.append(batch + head + b'%08x\n' % crc32c(batch + head))
            batch = b''
        else:
            batch += re.sub(rb'^S (\d+) ',
                            lambda m: b'S %d ' % (int(m[1]) - days * 86400 * 10**6), line)
    journal.write_bytes(b''.join(out))


def crc32c(octets):
    crc = 0xffffffff
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def test_keep_for_some_days(fetcher, serve):
    server = serve()
    fetcher.run(server, '--keep-days', 7)
    assert len(server.messages) == 5
    age(fetcher, 6)
    server.messages.append(('young', letter(9)))
    fetcher.run(server, '--keep-days', 7)
    assert len(server.messages) == 6
    age(fetcher, 2)
    fetcher.run(server, '--keep-days', 7)
    assert uids(server) == ['young'] and len(fetcher.files()) == 6


def test_keep_the_newest(fetcher, serve):
    server = serve([letter(n) for n in range(10)])
    fetcher.run(server, '--keep-newest', 3)
    fetcher.run(server, '--keep-newest', 3)
    assert uids(server) == ['uid-8', 'uid-9', 'uid-10'] and len(fetcher.files()) == 10


def test_keep_the_newest_deletes_nothing_that_was_not_collected(fetcher, serve):
    server = serve([letter(n) for n in range(10)])
    fetcher.run(server, '--keep-newest', 3, '--max-messages', 2)
    fetcher.run(server, '--keep-newest', 3, '--max-messages', 2)
    assert len(fetcher.files()) == 4
    assert uids(server) == [f'uid-{n}' for n in range(3, 11)]


def test_follow_deletes_what_was_removed_here(fetcher, serve):
    server = serve([letter(n) for n in range(10)])
    fetcher.run(server, '--follow')
    fetcher.run(server, '--follow')
    assert len(server.messages) == 10
    folder = fetcher.maildir / '.Archive'
    for name in ('new', 'cur', 'tmp'):
        (folder / name).mkdir(parents=True)
    by_subject = {re.search(rb'letter (\d+)', p.read_bytes())[1]: p for p in fetcher.files()}
    by_subject[b'3'].unlink()
    by_subject[b'4'].rename(folder / 'cur' / (by_subject[b'4'].name + ':2,S'))
    by_subject[b'5'].rename(fetcher.maildir / 'cur' / (by_subject[b'5'].name + ':2,RS'))
    fetcher.run(server, '--follow')
    assert 'uid-4' not in uids(server) and len(server.messages) == 9


def test_follow_does_not_believe_an_empty_maildir(fetcher, serve):
    server = serve([letter(n) for n in range(10)])
    fetcher.run(server, '--follow')
    shutil.rmtree(fetcher.maildir)
    done = fetcher.run(server, '--follow', expect=UNAVAILABLE)
    assert '--accept-removals' in done.stderr and len(server.messages) == 10
    fetcher.run(server, '--follow', '--accept-removals')
    assert server.messages == []


def test_large_ones_headers_only_and_whole_on_demand(fetcher, serve):
    big = letter(2, 50000)
    server = serve([letter(1), big, letter(3)])
    fetcher.run(server, '--delete', '--max-size', '10K')
    assert uids(server) == ['uid-2'], 'not deleted while only its headers are here'
    partial = [p for p in fetcher.files() if b'X-Valija-Partial' in p.read_bytes()]
    assert len(partial) == 1
    head = partial[0].read_bytes()
    assert b'Subject: letter 2\n' in head and head.endswith(b'\n\n') and len(head) < 1000
    size = re.search(r',S=(\d+),W=(\d+)', partial[0].name)
    assert int(size[1]) == len(head)
    assert int(size[2]) == len(head) + head.count(b'\n')
    fetcher.run(server, '--delete', '--max-size', '10K')
    assert len(fetcher.files()) == 3, 'headers come once'
    fetcher.run(server, '--delete', '--max-size', '10K', '--whole', 'uid-2')
    assert sorted(fetcher.mail()) == sorted([letter(1), big, letter(3)])
    assert server.messages == []


def test_whole_takes_all_of_them(fetcher, serve):
    server = serve([letter(n, 20000) for n in range(4)])
    fetcher.run(server, '--max-size', '1K')
    fetcher.run(server, '--max-size', '1K', '--whole', 'all')
    assert fetcher.mail() == sorted(letter(n, 20000) for n in range(4))


def test_limits_of_a_run(fetcher, serve):
    server = serve([letter(n, 1000) for n in range(10)])
    fetcher.run(server, '--max-messages', 3)
    assert len(fetcher.files()) == 3
    fetcher.run(server, '--max-octets', '2500')
    assert len(fetcher.files()) in (5, 6)
    fetcher.run(server, '--max-octets', 1)
    assert len(fetcher.files()) in (6, 7), 'one always goes'
    fetcher.run(server)
    assert len(fetcher.files()) == 10


def test_mark_seen_starts_from_now(fetcher, serve):
    server = serve()
    fetcher.run(server, '--mark-seen')
    assert fetcher.files() == [] and server.retrieved == []
    server.messages.append(('fresh', letter(10)))
    fetcher.run(server, '--delete')
    assert fetcher.mail() == [letter(10)]
    assert len(server.messages) == 5, 'what was passed over is never deleted'


def test_dry_run_tells_and_does_nothing(fetcher, serve):
    server = serve([letter(1), letter(2, 30000), letter(3)])
    fetcher.run(server, '--max-messages', 1)
    done = fetcher.run(server, '--dry-run', '--delete', '--max-size', '10K', '-v')
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines[:3]] == ['delete', 'headers', 'fetch']
    assert [line[3] for line in lines[:3]] == ['uid-1', 'uid-2', 'uid-3']
    assert len(fetcher.files()) == 1 and len(server.messages) == 3
    before = (fetcher.state, [p.read_bytes() for p in fetcher.state.iterdir()])
    fetcher.run(server, '--dry-run', '--delete')
    assert before == (fetcher.state, [p.read_bytes() for p in fetcher.state.iterdir()])


def test_dry_run_in_json(fetcher, serve):
    server = serve([letter(1), letter(2)])
    done = fetcher.run(server, '--dry-run', '--json')
    events = [json.loads(line) for line in done.stdout.splitlines()]
    messages = [event for event in events if event['event'] == 'message']
    assert [(m['number'], m['action'], m['reason'], m['unique_id']) for m in messages] == [
        (1, 'fetch', 'new', 'uid-1'), (2, 'fetch', 'new', 'uid-2')]
    assert messages[0]['account'] == 'demo@127.0.0.1'


def test_json_events_of_a_run(fetcher, serve):
    def retr(session, number):
        if number == '2':
            session.line('-ERR broken')
            return True

    server = serve(hooks={'RETR': retr})
    done = fetcher.run(server, '--delete', '--json', expect=DATAERR)
    events = {event['event']: event for event in map(json.loads, done.stdout.splitlines())}
    assert events['plan']['messages'] == 5
    assert events['summary']['collected'] == 4 and events['summary']['deleted'] == 4
    assert events['summary']['failed'] == 1 and 'message 2' in events['warning']['text']


def test_rematch_tells_twins_apart(fetcher, serve):
    """Equal headers and sizes: as many are taken for known as there were."""
    same = [('a', letter(1)), ('b', letter(1)), ('c', letter(2)), ('d', letter(3)),
            ('e', letter(4)), ('f', letter(5))]
    server = serve(same)
    fetcher.run(server)
    server.messages[:] = [(f'n{uid}', octets) for uid, octets in same] + [('x', letter(1))]
    before = len(server.retrieved)
    fetcher.run(server, '--accept-new-uidls')
    assert len(server.retrieved) == before + 1 and len(fetcher.files()) == 7


def test_rematched_messages_are_not_taken_for_removed(fetcher, serve):
    server = serve([letter(n) for n in range(10)])
    fetcher.run(server, '--follow')
    server.messages[:] = [(f'n{uid}', octets) for uid, octets in server.messages]
    fetcher.run(server, '--follow', '--accept-new-uidls')
    fetcher.run(server, '--follow')
    assert len(server.messages) == 10 and len(fetcher.files()) == 10


def test_the_journal_stays_small(fetcher, serve):
    server = serve([])
    for round_ in range(12):
        server.messages[:] = [(f'{round_}-{n}', letter(n, 60)) for n in range(40)]
        fetcher.run(server, '--delete')
        assert server.messages == []
    [journal] = [p for p in fetcher.state.iterdir() if p.suffix == '.journal']
    assert journal.stat().st_size < 40000
    assert len(fetcher.files()) == 480


def test_configured_policies_and_selection(fetcher, serve):
    one, two = serve([letter(1)]), serve([letter(2)])
    text = f'state = "{fetcher.state}"\n'
    for name, server, policy in (('one', one, 'delete'), ('two', two, 'keep-newest 5')):
        text += (f'account "{name}" {{ server = "pop3://demo@127.0.0.1:{server.port}"\n'
                 f'tls = "none"\npolicy = "{policy}"\nto = "maildir:~/Maildir"\n'
                 f'password-file = "~/password" }}\n')
    fetcher.configured(text, 'two')
    assert fetcher.mail() == [letter(2)] and one.sessions == []
    fetcher.configured(text)
    assert fetcher.mail() == [letter(1), letter(2)] and one.messages == [] and two.messages
    fetcher.configured(text, '--delete')  # the command line counts for all of them
    assert two.messages == []
    done = fetcher.configured(text, 'three', expect=64)
    assert 'three' in done.stderr


@pytest.mark.parametrize('line, complaint', [
    ('policy = "sometimes"', 'policy'),
    ('policy = "keep-days"', 'policy'),
    ('max-size = "10X"', 'max-size'),
    ('reply-seconds = -3', 'reply-seconds'),
    ('pin = {"sha256//short"}', 'pin'),
    ('colour = "red"', 'colour'),
    ('tls = "perhaps"', 'tls'),
    ('password-env = "A"\npassword-file = "b"', 'one place'),
    ('to = "lmtp:localhost:24"', 'recipient'),
])
def test_mistakes_in_the_file_are_named(fetcher, line, complaint):
    text = ('account "home" {\nserver = "pop3s://demo@127.0.0.1"\n'
            f'to = "maildir:~/Maildir"\n{line}\n}}\n')
    done = fetcher.configured(text, expect=78)
    assert complaint in done.stderr and 'fetch.conf' in done.stderr


def test_without_a_file_it_says_how_to_make_one(fetcher):
    done = fetcher.execute([str(program()), 'fetch'], expect=66)
    assert '--init' in done.stderr and '.config/valija/fetch.conf' in done.stderr


def test_init_makes_a_file_that_is_understood_and_never_overwrites(fetcher):
    file = fetcher.scratch / '.config/valija/fetch.conf'
    done = fetcher.execute([str(program()), 'fetch', '--init'])
    assert str(file) in done.stdout and oct(file.stat().st_mode & 0o777) == '0o600'
    before = file.read_text()
    fetcher.execute([str(program()), 'fetch', '--init'], expect=73)
    assert file.read_text() == before
    done = fetcher.execute([str(program()), 'fetch', '--dry-run'], expect=None)
    assert 'fetch.conf' not in done.stderr, 'the example itself has no mistakes'
    # every line that is commented out is right, too
    words = re.sub(r'^(\s*)#(\w[\w-]* = )', r'\1\2', before, flags=re.M)
    words = words.replace('{"sha256//..."}', f'{{"sha256//{"A" * 43}="}}').replace(
        'password-command = "pass show mail/home"', '')
    file.write_text(words)
    done = fetcher.execute([str(program()), 'fetch', '--dry-run'], expect=None)
    assert 'fetch.conf' not in done.stderr, done.stderr


def test_several_accounts_at_once(fetcher, serve):
    import threading

    together = threading.Barrier(3, timeout=60)

    def meet(session, _):
        together.wait()

    servers = [serve([letter(n)], hooks={'CAPA': meet}) for n in range(3)]
    text = f'state = "{fetcher.state}"\njobs = 3\n' + ''.join(
        f'account "a{n}" {{ server = "pop3://demo@127.0.0.1:{server.port}"\ntls = "none"\n'
        f'to = "maildir:~/Maildir"\npassword-file = "~/password" }}\n'
        for n, server in enumerate(servers))
    fetcher.configured(text, timeout=90)
    assert fetcher.mail() == sorted(letter(n) for n in range(3))


def test_one_account_that_fails_stops_no_other(fetcher, serve):
    bad, good = serve(greeting='-ERR closed'), serve([letter(1)])
    text = f'state = "{fetcher.state}"\n' + ''.join(
        f'account "a{n}" {{ server = "pop3://demo@127.0.0.1:{server.port}"\ntls = "none"\n'
        f'to = "maildir:~/Maildir"\npassword-file = "~/password" }}\n'
        for n, server in enumerate([bad, good]))
    done = fetcher.configured(text, expect=75)
    assert fetcher.mail() == [letter(1)] and 'a0' in done.stderr and 'a1' not in done.stderr


def test_a_bar_on_a_terminal(fetcher, serve):
    import os
    import pty
    import subprocess

    server = serve([letter(n, 2000) for n in range(30)])
    master, slave = pty.openpty()
    process = subprocess.Popen(fetcher.command(server), stdin=slave, stdout=slave, stderr=slave,
                               env={**fetcher.environment(), 'TERM': 'xterm'})
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
    assert process.wait(30) == 0
    text = seen.decode()
    assert re.search(r'demo@127.0.0.1 \[#+-*\] 30/30  .* of .*/s', text), text
    assert re.search(r'30 collected', text)


def test_every_number_of_the_progress_is_right_in_the_end(fetcher, serve):
    server = serve([letter(n, 2000) for n in range(7)])
    done = fetcher.run(server, '--json')
    summary = json.loads(done.stdout.splitlines()[-1])
    total = sum(len(m[1].replace(b'\n', b'\r\n')) for m in server.messages)
    assert (summary['collected'], summary['octets']) == (7, total)
    assert 0 <= summary['milliseconds'] < time.monotonic() * 1000 + 60000
