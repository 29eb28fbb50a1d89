"""The cached tree of a container: a mirror that fails or hangs leaves neither a tree, a
process nor a mount."""
import os
import pathlib

import container
import pytest
from office import wait_until

PACKAGES = ['systemd', 'libc6']
# the arguments of debootstrap: --variant, --include, suite, folder, mirror
MAKES_A_TREE = 'mkdir -p "$4/usr" && echo made >>"$COUNT"'
FAILS = f'{MAKES_A_TREE}; echo "E: the mirror is not there"; exit 1'
MOUNTS = 'mkdir "$4/proc" && mount -t proc proc "$4/proc"'
HANGS = f'{MAKES_A_TREE}; {MOUNTS}; echo "I: Retrieving"; sleep 600 & echo $! >"$CHILD"; wait'


@pytest.fixture
def debootstrap(tmp_path, monkeypatch, need_root):
    """debootstrap(SCRIPT): that stands in for it, with a cache of the test's own."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    monkeypatch.setenv('COUNT', str(tmp_path / 'count'))
    monkeypatch.setenv('CHILD', str(tmp_path / 'child'))
    monkeypatch.setattr(container, 'release', lambda: ('debian', 'test'))
    monkeypatch.setattr(container, 'mirror', lambda suite: 'http://mirror.invalid')

    def stand_in(script):
        path = tmp_path / 'debootstrap'
        path.write_text(f'#!/bin/sh\n{script}\n')
        path.chmod(0o755)
    return stand_in


def trees(tmp_path):
    return [path for path in (tmp_path / 'cache/valija-tests').iterdir() if path.is_dir()]


def test_a_tree_is_made_once_for_the_same_packages(debootstrap, tmp_path):
    debootstrap(MAKES_A_TREE)
    tree = container.cached_tree(PACKAGES)
    assert (tree / 'usr').is_dir()
    assert container.cached_tree(PACKAGES) == tree
    assert (tmp_path / 'count').read_text() == 'made\n'
    assert container.cached_tree([*PACKAGES, 'libevent']) != tree


def test_a_mirror_that_fails_is_a_reason_and_leaves_no_tree(debootstrap, tmp_path):
    debootstrap(FAILS)
    with pytest.raises(container.Impossible, match='the mirror is not there'):
        container.cached_tree(PACKAGES)
    assert trees(tmp_path) == []
    debootstrap(MAKES_A_TREE)
    assert (container.cached_tree(PACKAGES) / 'usr').is_dir()


def test_a_mirror_that_hangs_is_a_reason_and_leaves_nothing(debootstrap, tmp_path, monkeypatch):
    debootstrap(HANGS)
    monkeypatch.setattr(container, 'BOOTSTRAP_SECONDS', 2)
    with pytest.raises(container.Impossible, match='(?s)not done within 2 s.*Retrieving'):
        container.cached_tree(PACKAGES)
    assert trees(tmp_path) == []
    child = int((tmp_path / 'child').read_text())
    wait_until(lambda: not running(child))
    assert str(tmp_path) not in pathlib.Path('/proc/self/mounts').read_text()


def running(pid):
    try:
        state = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != 'Z'  # ended; its parent has not looked
