"""`valija fetch` into a Maildir, cut at every point: lost 0, repeated 0, truncated 0.

Killed at every system call; the connection cut behind every octet; the power cut at every file
operation, with everything that was not flushed by then happening or not.
"""
import itertools
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import fetcher, serve  # noqa: E402,F401
from fetching import program  # noqa: E402
from hostile import letter  # noqa: E402

TOOLS = program().parent / 'tests' / 'crash'
MODES = ['keep', 'delete']
PARTS = 4  # of every sweep, for as many processors

pytestmark = pytest.mark.skipif(not (TOOLS / 'fetch_kill_at').exists(),
                                reason='the programs of the crash tests are not built')


def small(number):
    return f'Subject: {number}\n\n.{number} {"x" * number}\n'.encode()


def start_again(fetcher, server, messages):
    server.messages[:] = messages
    for folder in (fetcher.maildir, fetcher.state):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    for name in ('new', 'cur', 'tmp'):
        (fetcher.maildir / name).mkdir()


def read_mail(fetcher):
    """A mail reader: everything new moves to cur, as seen."""
    for path in fetcher.files(['new']):
        path.rename(fetcher.maildir / 'cur' / (path.name + ':2,S'))


def check_middle(fetcher, server, messages, where):
    """Whatever happened: what is visible is whole and there once, and what the server has deleted
    is here."""
    here = fetcher.mail()
    assert len(here) == len(set(here)), f'repeated {where}'
    whole = {octets for _, octets in messages}
    assert set(here) <= whole, f'truncated {where}'
    gone = {octets for _, octets in messages} - {octets for _, octets in server.messages}
    # deleted there: visible here, or staged and named by the journal, so that it will be
    hidden = {path.read_bytes() for path in fetcher.staged()}
    assert gone <= set(here) | hidden, f'lost {where}'


def check_end(fetcher, server, messages, mode, where):
    fetcher.run(server, f'--{mode}')
    server.idle()
    here = fetcher.mail()
    assert here == sorted(octets for _, octets in messages), \
        f'{where}: {len(here)} of {len(messages)} here'
    assert fetcher.staged() == [], where
    assert len(server.messages) == (0 if mode == 'delete' else len(messages)), where


@pytest.mark.parametrize('part', range(PARTS))
@pytest.mark.parametrize('mode', MODES)
def test_killed_at_every_system_call(fetcher, serve, mode, part):
    messages = [(f'u{n}', small(n)) for n in range(1, 5)]
    server = serve(list(messages))
    tool = [str(TOOLS / 'fetch_kill_at')]

    def run(n):
        start_again(fetcher, server, messages)
        done = fetcher.execute([*tool, str(n), *fetcher.command(server, f'--{mode}')], expect=None)
        if done.returncode == 2:
            pytest.skip(f'processes cannot be traced here: {done.stderr}')
        server.idle()
        return done.stdout

    out = run(0)
    total = int(out.split()[1])
    assert 'exit 0' in out and total > 60
    tried = 0
    for n in range(1 + part, total + 1, PARTS):
        out = run(n)
        where = f'killed at call {n} of {total}'
        check_middle(fetcher, server, messages, where)
        if n % 3:
            read_mail(fetcher)
        check_end(fetcher, server, messages, mode, where)
        tried += 1
    print(f'{mode}: {tried} points of {total} system calls')
    assert tried >= total // PARTS


@pytest.mark.parametrize('mode', MODES)
def test_killed_in_a_run_of_several_batches(fetcher, serve, mode):
    messages = [(f'u{n}', small(n)) for n in range(600)]
    server = serve(list(messages))
    tool = str(TOOLS / 'fetch_kill_at')

    def run(n):
        start_again(fetcher, server, messages)
        done = fetcher.execute([tool, str(n), *fetcher.command(server, f'--{mode}')], expect=None)
        if done.returncode == 2:
            pytest.skip(f'processes cannot be traced here: {done.stderr}')
        server.idle()
        return done.stdout

    total = int(run(0).split()[1])
    chance = random.Random(11)
    for n in chance.sample(range(1, total), 25):
        run(n)
        check_middle(fetcher, server, messages, n)
        read_mail(fetcher)
        check_end(fetcher, server, messages, mode, f'killed at call {n} of {total}')


@pytest.mark.parametrize('part', range(PARTS))
@pytest.mark.parametrize('mode', MODES)
def test_cut_behind_every_octet(fetcher, serve, mode, part):
    messages = [(f'u{n}', small(n)) for n in range(1, 4)]
    server = serve(list(messages))
    start_again(fetcher, server, messages)
    fetcher.run(server, f'--{mode}')
    server.idle()
    total = server.sessions[0].sent
    assert total > 200
    for n in range(part, total, PARTS):
        start_again(fetcher, server, messages)
        server.cut_after = n
        fetcher.run(server, f'--{mode}', expect=None)
        server.idle()
        where = f'cut behind octet {n} of {total}'
        check_middle(fetcher, server, messages, where)
        server.cut_after = None
        if n % 2:
            read_mail(fetcher)
        check_end(fetcher, server, messages, mode, where)


@pytest.mark.parametrize('mode', MODES)
def test_cut_again_and_again_gets_there(fetcher, serve, mode):
    """Every session is cut a little later than the one before; nothing is fetched twice."""
    messages = [(f'u{n}', letter(n)) for n in range(1, 21)]
    server = serve(list(messages))
    start_again(fetcher, server, messages)
    for n in range(100, 14000, 700):
        server.cut_after = n
        fetcher.run(server, f'--{mode}', expect=None)
        server.idle()
        check_middle(fetcher, server, messages, f'cut behind {n}')
        read_mail(fetcher)
    server.cut_after = None
    check_end(fetcher, server, messages, mode, 'at the end')


# Power cut

class Disk:
    """A filesystem that remembers what was flushed. Strict: a file's flush says nothing of its
    name, a folder's flush says nothing of the files; a rename is one thing, or both names at once
    while the folder it left is not flushed."""

    def __init__(self, root, tree):
        self.root = root
        self.files = {}    # inode: [flushed octets, [later contents…]]
        self.folders = {}  # inode: {name: inode}
        self.pending = []  # changes of folders not flushed: (inodes of folders, function, op)
        self.load(root, tree)

    def load(self, inode, tree):
        self.folders[inode] = {}
        for name, (child, content) in tree.items():
            self.folders[inode][name] = child
            if isinstance(content, dict):
                self.load(child, content)
            else:
                self.files[child] = [content, []]

    def now(self, inode):
        flushed, later = self.files[inode]
        return later[-1] if later else flushed

    def do(self, op):
        kind = op[0]
        if kind == 'create':
            self.files[op[3]] = [None, [b'']]
            self.change(op, [op[1]])
        elif kind == 'mkdir':
            self.folders.setdefault(op[3], {})
            self.change(op, [op[1]])
        elif kind == 'write':
            old, data = self.now(op[1]), bytes.fromhex(op[3])
            old = old.ljust(op[2], b'\0')
            self.files[op[1]][1].append(old[:op[2]] + data + old[op[2] + len(data):])
        elif kind == 'truncate':
            self.files[op[1]][1].append(self.now(op[1])[:op[2]])
        elif kind == 'fsync' and op[1] in self.files:
            self.files[op[1]] = [self.now(op[1]), []]
        elif kind == 'fsync':
            self.flush(lambda folders: op[1] in folders)
        elif kind == 'syncfs':
            for inode in self.files:
                self.files[inode] = [self.now(inode), []]
            self.flush(lambda folders: True)
        elif kind == 'rename':
            self.change(op, [op[1], op[3]])
        elif kind == 'unlink':
            self.change(op, [op[1]])
        else:
            raise AssertionError(op)

    def change(self, op, folders):
        self.pending.append((set(folders), op))

    def flush(self, wanted):
        """Changes of a flushed folder are there for good, in their order."""
        keep = []
        for folders, op in self.pending:
            if wanted(folders):
                if op[0] == 'rename' and not wanted({op[1]}) and op[1] != op[3]:
                    self.apply(self.folders, ['link', *op[1:]])
                    keep.append(({op[1]}, ['unlink', op[1], op[2]]))
                else:
                    self.apply(self.folders, op)
            else:
                keep.append((folders, op))
        self.pending = keep

    @staticmethod
    def inode_of(op, folders, created):
        return folders[op[1]].get(op[2]) or created.get((op[1], op[2]))

    def apply(self, folders, op, created=None):
        created = self.created if created is None else created
        if op[0] in ('create', 'mkdir'):
            folders[op[1]][op[2]] = op[3]
        elif op[0] == 'unlink':
            folders[op[1]].pop(op[2], None)
        else:
            inode = self.inode_of(op, folders, created)
            if op[0] == 'rename':
                folders[op[1]].pop(op[2], None)
            if inode:
                folders[op[3]][op[4]] = inode

    created = {}

    def names_made(self):
        """Where files were made, for renames of names that themselves did not last."""
        return {(op[1], op[2]): op[3] for _, op in self.pending if op[0] == 'create'}

    def choices(self):
        """What a power cut now may do: one entry a thing that is not flushed."""
        return ([('folder', op) for _, op in self.pending] +
                [('file', inode) for inode, (_, later) in self.files.items() if later])

    def after(self, fate):
        """The tree on the disk, given for each choice what became of it."""
        folders = {inode: dict(names) for inode, names in self.folders.items()}
        contents = {}
        created = self.names_made()
        for (kind, thing), what in zip(self.choices(), fate):
            if kind == 'folder' and what:
                self.apply(folders, thing, created)
            elif kind == 'file':
                flushed, later = self.files[thing]
                last = later[-1]
                # octets that were flushed stay; those appended since may be zeros, or cut
                kept = flushed if flushed and last.startswith(flushed) else b''
                more = len(last) - len(kept)
                contents[thing] = {0: flushed or b'', 1: last, 2: kept + bytes(more),
                                   3: last[:len(kept) + more // 2]}[what]
        for inode, (flushed, later) in self.files.items():
            contents.setdefault(inode, flushed if not later else later[-1])
        return folders, contents

    def lay_out(self, path, folders, contents):
        made = {}

        def lay(inode, where):
            where.mkdir(exist_ok=True)
            for name, child in folders[inode].items():
                if child in self.folders:
                    lay(child, where / name)
                elif child in made:
                    os.link(made[child], where / name)
                else:
                    (where / name).write_bytes(contents[child])
                    made[child] = where / name
        lay(self.root, path)


def read_tree(path):
    return {entry.name: (entry.stat().st_ino,
                         read_tree(entry) if entry.is_dir() else entry.read_bytes())
            for entry in path.iterdir()}


def fates(choices, chance, bound=6, extra=12):
    """All combinations when they are few; else nothing, all, and some at random."""
    ways = [(0, 1) if kind == 'folder' else (0, 1, 2, 3) for kind, _ in choices]
    total = 1
    for way in ways:
        total *= len(way)
    if total <= 2 ** bound:
        return list(itertools.product(*ways))
    some = {tuple(0 for _ in ways), tuple(1 for _ in ways)}
    # folders keep their names while the files lost their octets, and the other way round
    some.add(tuple(1 if kind == 'folder' else 2 for kind, _ in choices))
    some.add(tuple(0 if kind == 'folder' else 1 for kind, _ in choices))
    while len(some) < 4 + extra:
        some.add(tuple(chance.choice(way) for way in ways))
    return sorted(some)


def is_confirmation(op):
    """The journal's note that the server confirmed deletions."""
    return op[0] == 'write' and bytes.fromhex(op[3]).startswith(b'D ')


@pytest.mark.parametrize('part', range(PARTS))
@pytest.mark.parametrize('count', [3, 17], ids=['flush-each', 'flush-all'])
@pytest.mark.parametrize('mode', MODES)
def test_power_cut_at_every_operation(fetcher, serve, mode, count, part):
    messages = [(f'u{n}', small(n)) for n in range(1, count + 1)]
    server = serve(list(messages))
    start_again(fetcher, server, messages)
    world = fetcher.scratch / 'world'
    world.mkdir()
    fetcher.maildir.rename(world / 'Maildir')
    fetcher.maildir = world / 'Maildir'
    fetcher.state.rmdir()
    fetcher.state = world / 'state'
    before = read_tree(world)
    log = fetcher.scratch / 'operations'
    words = fetcher.command(server, f'--{mode}')
    fetcher.execute([str(TOOLS / 'fetch_record'), str(log), *words[2:]])
    server.idle()
    operations = [json.loads(line) for line in log.read_text().splitlines()]
    assert any(op[0] == ('syncfs' if count > 16 else 'fsync') for op in operations)

    chance = random.Random(count)
    disk = Disk(world.stat().st_ino, before)
    tried, seen = 0, set()
    confirmed = False
    for at in range(len(operations) + 1):
        asked = mode == 'delete' and at < len(operations) and is_confirmation(operations[at])
        for fate in fates(disk.choices(), chance):
            for server_deleted in {confirmed, confirmed or asked}:
                folders, contents = disk.after(fate)
                key = json.dumps([sorted(map(str, folders.items())), server_deleted,
                                  [(i, c.hex()) for i, c in sorted(contents.items())
                                   if any(i in names.values() for names in folders.values())]])
                if key in seen:
                    continue
                seen.add(key)
                tried += 1
                if tried % PARTS != part:
                    continue
                shutil.rmtree(world)
                disk.lay_out(world, folders, contents)
                server.messages[:] = [] if server_deleted else messages
                where = f'power cut before operation {at} of {len(operations)}, fate {fate}'
                whole = {octets for _, octets in messages}
                assert set(fetcher.mail()) <= whole, f'torn mail is shown, {where}'
                check_end(fetcher, server, messages, mode, where)
        if at < len(operations):
            confirmed |= asked
            disk.do(operations[at])
            disk.created = {**disk.created, **disk.names_made()}
    print(f'{mode}: {tried} states of the disk behind {len(operations)} operations')
    assert tried > 30
