"""A maildrop that several versions of Valija work on: the one before, in turn with this one; and
one that is yet to come, whose files must stay as they are."""
import fcntl
import os
import shutil
import struct
import subprocess

import pytest
from lmtp import Lmtp
from office import PASSWORD, ROOT, build_dir

# the last commit whose readers took everything unknown in an index for damage
BEFORE = 'f0a8d714df155e03f687fb83535ee42ee41fa5e2'
MAIL = [b'Subject: %d\n\n%s\n' % (n, b'line\n' * n) for n in range(1, 7)]
INDEX = ('valija-base', 'valija-delta')
NEWER = r'was written by a newer version of valija.*run the newer version again'


def listing(connect, office, delete=()):
    """{unique id: size}; deletes those, and ends well."""
    client = connect(office)
    client.login('demo', PASSWORD)
    ids, sizes = client.uidl(), client.list()
    for number, uid in ids.items():
        if uid in delete:
            client.ok(f'DELE {number}')
    client.quit()
    client.close()
    return {uid: sizes[number] for number, uid in ids.items()}


def deliver(office):
    with Lmtp(office.lmtp) as client:
        client.expect('MAIL FROM:<carol@example.com>', '250')
        answer = client.ask('RCPT TO:<demo>')
        if answer.startswith('250'):
            client.expect('DATA', '354')
            client.send('Subject: new\r\n\r\nnew\r\n.\r\n')
            answer = client.reply()
        return answer


# the version before

@pytest.fixture(scope='session')
def before():
    """Folder with valijad and valija of that commit, built once."""
    archive = subprocess.run(['git', '-C', ROOT, 'archive', BEFORE], capture_output=True)
    if archive.returncode:
        pytest.skip(f'the history has no commit {BEFORE}')
    folder = build_dir() / 'before' / BEFORE
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / 'lock').open('w') as lock:  # other workers want it, too
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / 'build/valija').exists():
            build(folder, archive.stdout)
    return folder / 'build'


def build(folder, archive):
    subprocess.run(['tar', '-x', '-C', folder], input=archive, check=True)
    shutil.rmtree(folder / 'build', ignore_errors=True)  # half of one
    for command in (['meson', 'setup', folder / 'build', folder, '-Dtests=false'],
                    ['ninja', '-C', folder / 'build', 'valijad', 'valija']):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


class Versions:
    """Turns an office from one version to the other."""

    def __init__(self, office, builds):
        self.office = office
        self.bins = []
        for number, build in enumerate(builds):
            self.bins.append(office.scratch / f'version{number}')
            self.bins[-1].mkdir()
            self.bins[-1].chmod(0o755)
            for name in ('valijad', 'valija'):
                shutil.copy(build / name, self.bins[-1] / name)
        self.turn = 0

    def next(self):
        if self.office.process:
            self.office.stop()
        self.office.bin = self.bins[self.turn % len(self.bins)]
        self.turn += 1
        self.office.start()


@pytest.fixture
def versions(before, make_office, monkeypatch):
    """An office that the version before made, and which both can serve."""
    this = build_dir()
    with monkeypatch.context() as m:
        m.setenv('VALIJA_BUILD', str(before))
        office = make_office(start=False)
    return Versions(office, [before, this])


def test_both_versions_see_the_same_maildrop(versions, connect):
    office = versions.office
    office.put_many('demo', MAIL)
    versions.next()
    known = listing(connect, office)
    assert len(known) == len(MAIL)
    for turn in range(5):
        gone = sorted(known)[0]
        assert listing(connect, office, delete=[gone]) == known
        del known[gone]
        versions.next()
        assert listing(connect, office) == known, f'turn {turn}'
        office.put('demo', MAIL[turn])
        assert deliver(office).startswith('250')
        now = listing(connect, office)
        assert now.items() >= known.items() and len(now) == len(known) + 2
        known = now


def test_deletions_of_the_other_version_hold_before_it_swept(versions, connect):
    """The files cannot be unlinked: all deletions stay pending in the log, and are carried on."""
    office = versions.office
    office.put_many('demo', MAIL)
    for path in office.files('demo'):
        path.rename(path.parent.parent / 'cur' / f'{path.name}:2,')
    versions.next()
    known = listing(connect, office)
    folder = office.maildir('demo') / 'cur'
    folder.chmod(0o500)
    for turn in range(4):
        gone = sorted(known)[0]
        listing(connect, office, delete=[gone])
        del known[gone]
        if turn == 2:  # built again by the other one, with three pending
            office.stop()
            (office.maildir('demo') / 'valija-base').unlink()
        versions.next()
        assert listing(connect, office) == known, f'turn {turn}'
    assert len(list(folder.iterdir())) == len(MAIL)
    folder.chmod(0o700)
    listing(connect, office)
    office.has_files('demo', len(known))


# a version to come

def set_version(path, version):
    """In the octets where all versions have theirs; the checksum would be that version's."""
    with path.open('r+b') as file:
        file.seek(8)
        file.write(struct.pack('<I', version))


def state(office):
    """The index, and the names of messages."""
    folder = office.maildir('demo')
    return ({name: (folder / name).read_bytes() for name in INDEX},
            sorted(path.name for part in ('new', 'cur') for path in (folder / part).iterdir()))


@pytest.mark.parametrize('name', INDEX)
def test_an_index_of_a_later_version_is_left_as_it_is(make_office, connect, name):
    office = make_office()
    office.put_many('demo', MAIL)
    known = listing(connect, office)
    office.has_files('demo', len(MAIL))
    gone = sorted(known)[0]
    listing(connect, office, delete=[gone])
    office.stop()
    path = office.maildir('demo') / name
    set_version(path, 2)
    before = state(office)
    office.allow(NEWER)
    office.start()
    client = connect(office)
    client.ok('USER demo')
    mark = office.mark()
    assert client.ask(f'PASS {PASSWORD}').startswith('-ERR [SYS/TEMP]')
    office.wait_log(rf'maildrop-failed session=\S+ user="demo" .*{NEWER}', since=mark)
    mark = office.mark()
    assert deliver(office).startswith('451')
    office.wait_log(rf'delivery-failed session=\S+ .*user="demo" .*{NEWER}', since=mark)
    done = subprocess.run([office.bin / 'valija', 'deliver', '-c', office.conf, 'demo'],
                          input=b'Subject: new\n\nnew\n', capture_output=True, timeout=30,
                          env=office.environment())
    assert done.returncode == os.EX_TEMPFAIL and b'newer version' in done.stderr
    assert state(office) == before
    office.stop()
    set_version(path, 1)
    office.start()
    del known[gone]
    assert listing(connect, office) == known
