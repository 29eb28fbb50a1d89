"""valija mbox: a look at mailboxes, and what a crash left."""
import os
import pathlib
import socket
import subprocess

import pytest
from office import NOBODY, SANITIZER, environment, program

EX_USAGE, EX_NOINPUT, EX_TEMPFAIL, EX_NOPERM = 64, 66, 75, 77
FROM = b'From a@example.org Sat Jan  1 12:34:56 2022\n'
MAIL = FROM + b'Subject: one\nStatus: RO\n\nbody\n\n' + FROM + b'Subject: two\n\nFrom here\n\n'


def mbox(*args, expect=0):
    done = subprocess.run([str(program('valija')), 'mbox', *map(str, args)], capture_output=True,
                          timeout=90, env=environment(), cwd='/')
    assert not SANITIZER.search(done.stderr.decode('latin-1')), done.stderr
    assert done.returncode == expect, done.stderr
    return (done.stdout if expect == 0 else done.stderr).decode()


@pytest.fixture
def box(tmp_path):
    (tmp_path / 'box').write_bytes(MAIL)
    return tmp_path / 'box'


def test_a_look(box, tmp_path):
    assert mbox('check', box) == f'{box}: 2 messages, 49 octets\n'
    assert box.read_bytes() == MAIL
    assert [p.name for p in tmp_path.iterdir()] == ['box'], 'nothing was made'
    box.write_bytes(b'no mbox\n')
    assert 'mbox' in mbox('check', box, expect=EX_NOPERM)
    mbox('check', tmp_path / 'none', expect=EX_NOINPUT)
    for args in ([], ['check'], ['cut', box], ['check', '-x', box], ['check', box, box]):
        mbox(*args, expect=EX_USAGE)


def test_the_state_folder(box, tmp_path):
    """A mailbox that was never served gets no index: its unique ids may be another server's."""
    state = tmp_path / 'state'
    state.mkdir(0o700)
    mbox('recover', '-s', state, box)
    assert [p.suffix for p in state.iterdir()] == ['.valija-lock']
    assert sorted(p.name for p in tmp_path.iterdir()) == ['box', 'state']


def test_a_journal_that_was_not_completed(box, tmp_path):
    journal = tmp_path / '.box.valija-journal'
    journal.write_bytes(b'VALIJA-J' + bytes(500))
    assert 'cut off' in mbox('check', box) and journal.exists()
    mbox('recover', box)
    assert not journal.exists() and box.read_bytes() == MAIL


def test_a_lock_with_a_journal_behind_it(box):
    """Neither a dead process nor age make it stale for a program that does not know the journal."""
    dead = subprocess.Popen(['true'])
    dead.wait()
    lock = pathlib.Path(f'{box}.lock')
    lock.write_text(f'{dead.pid}:{socket.gethostname()}\nvalija 0123\njournal\n')
    os.utime(lock, (1, 1))
    assert 'recover' in mbox('check', box, expect=EX_TEMPFAIL)
    done = subprocess.run([str(program('valija')), 'deliver', '-m', str(box)], input=b'a: b\n\n',
                          capture_output=True, env=environment())
    assert done.returncode == EX_TEMPFAIL and b'recover' in done.stderr
    assert box.read_bytes() == MAIL and lock.exists()


def test_as_root_it_is_the_owner(need_root, box, tmp_path):
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.getuid() and parent.stat().st_mode & 0o077 == 0:
            os.chmod(parent, 0o711)
    folder = tmp_path / 'theirs'
    folder.mkdir()
    box.rename(folder / 'box')
    for path in (folder, folder / 'box'):
        os.chown(path, NOBODY, NOBODY)
    mbox('recover', folder / 'box')
    assert {p.stat().st_uid for p in folder.iterdir()} == {NOBODY}
