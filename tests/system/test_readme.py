"""README's first screen, its commands as they stand: a post office by hand, from the tree."""
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import time

import office as post
import pytest
from office import PASSWORD, wait_until
from own_network import own_network

README = pathlib.Path(__file__).resolve().parents[2] / 'README.md'
SECONDS = 60


def commands(first):
    """The commands of the console block whose first one begins so."""
    for block in re.findall(r'(?ms)^```console\n(.*?)^```$', README.read_text()):
        found = re.findall(r'(?m)^\$ (.*(?:\n {4,}.*)*)$', block)
        if found and found[0].startswith(first):
            return found
    raise AssertionError(f'README has no block that begins with {first}')


def type_in(command, folder, answers=1):
    """Runs it on a terminal of its own, and answers each question for a password."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve('/bin/sh', ['sh', '-c', command], post.environment())
    said, deadline = b'', time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            try:
                octets = os.read(terminal, 4096)
            except OSError:  # the other side is closed
                break
            if not octets:
                break
            said += octets
            if re.search(rb'(?i)(password|once more)[^\n]*: ?$', said) and answers:
                os.write(terminal, PASSWORD.encode() + b'\n')
                answers -= 1
                said += b'\n'
        else:
            os.kill(pid, signal.SIGKILL)
    finally:
        status = os.waitpid(pid, 0)[1]
        os.close(terminal)
    assert status == 0, f'{command}: {os.waitstatus_to_exitcode(status)}: {said.decode()}'
    return said.decode()


@pytest.fixture
def tree(tmp_path):
    """Where README's reader is: build/ is there."""
    (tmp_path / 'build').symlink_to(post.build_dir())
    os.chmod(tmp_path, 0o711)
    for folder in tmp_path.parents:
        if folder.is_relative_to('/tmp') and folder != pathlib.Path('/tmp'):
            folder.chmod(folder.stat().st_mode | 0o011)  # the server's users go through
    return tmp_path


@own_network
def test_the_first_screen_from_the_tree(need_root, tree):
    """Its ports are fixed, so it has a network of its own."""
    make, add, serve = commands('build/valija init')
    deliver, fetch = commands("printf 'Subject")
    assert 'Next' in type_in(make, tree)
    type_in(add, tree, answers=2)
    with open(tree / 'log', 'w') as log:
        server = subprocess.Popen(['sh', '-c', f'exec {serve}'], cwd=tree, stdout=log,
                                  stderr=subprocess.STDOUT, env=post.environment())
    try:
        wait_until(lambda: 'ready' in (tree / 'log').read_text() or server.poll() is not None)
        assert server.poll() is None, (tree / 'log').read_text()
        type_in(deliver, tree)
        type_in(fetch, tree)
        kept = [path for path in (tree / 'Mail').rglob('*') if path.is_file() and
                b'the first message' in path.read_bytes()]
        assert len(kept) == 1
        assert not list((tree / 'office/mail/anna/new').iterdir())
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(SECONDS)


def test_every_name_of_a_file_is_there():
    """Links, and paths in the tree that commands and tables name."""
    root = README.parent
    for target in re.findall(r'\]\((?!https?:|#)([^)#]+)', README.read_text()):
        assert (root / target).exists(), target
    for path in re.findall(r'\bdist/[\w./-]*\w', README.read_text()):
        assert (root / path).exists(), path
