"""Machines of a site as network namespaces on one wire, so that a node can be cut off, and a proxy
has an address of its own. The hub is where the cluster, the proxy and the clients are.

    with Network(3) as network, network.inside():
        Cluster(folder, address=network.hub)    # what is started here is in the hub
        Node(..., host=network.address(1), where=network.names[1])
        network.cut(1); network.join(1)
"""
import contextlib
import ctypes
import os
import shutil
import subprocess

CLONE_NEWNET = 0x40000000


def missing():
    """Why there can be no such network here, or None."""
    if os.geteuid() != 0:
        return 'network namespaces need root'
    if not shutil.which('ip'):
        return 'there is no program ip'
    probe = f'valija-{os.getpid()}-probe'
    if subprocess.run(['ip', 'netns', 'add', probe], capture_output=True).returncode:
        return 'no network namespace can be made here'
    subprocess.run(['ip', 'netns', 'del', probe], check=True)
    return None


def ip(*words):
    subprocess.run(['ip', *words], check=True)


def enter(fd):
    """This thread, and those that it starts, are in that namespace from now on."""
    if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), 'setns')


class Network:
    def __init__(self, count):
        self.base = f'valija-{os.getpid()}'
        self.names = [f'{self.base}-{n}' for n in range(count)]
        self.hub, self.wide = '10.77.0.1', '10.77.0.0/24'

    @staticmethod
    def address(n):
        return f'10.77.0.{10 + n}'

    def __enter__(self):
        try:
            self.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def make(self):
        ip('netns', 'add', self.base)
        ip('-n', self.base, 'link', 'set', 'lo', 'up')
        ip('-n', self.base, 'link', 'add', 'wire', 'type', 'bridge')
        ip('-n', self.base, 'addr', 'add', f'{self.hub}/24', 'dev', 'wire')
        ip('-n', self.base, 'link', 'set', 'wire', 'up')
        for n, name in enumerate(self.names):
            ip('netns', 'add', name)
            ip('-n', self.base, 'link', 'add', f'node{n}', 'type', 'veth', 'peer', 'name', 'eth0',
               'netns', name)
            ip('-n', self.base, 'link', 'set', f'node{n}', 'master', 'wire', 'up')
            ip('-n', name, 'addr', 'add', f'{self.address(n)}/24', 'dev', 'eth0')
            ip('-n', name, 'link', 'set', 'eth0', 'up')
            ip('-n', name, 'link', 'set', 'lo', 'up')

    def __exit__(self, *_):
        for name in (*self.names, self.base):
            subprocess.run(['ip', 'netns', 'del', name], capture_output=True)

    @contextlib.contextmanager
    def inside(self, n=None):
        """In the hub, or in that node."""
        name = self.base if n is None else self.names[n]
        with open('/proc/thread-self/ns/net') as before, open(f'/run/netns/{name}') as there:
            enter(there.fileno())
            try:
                yield
            finally:
                enter(before.fileno())

    def cut(self, n):
        """The cable of that node is out: nothing is answered, nothing refused."""
        ip('-n', self.base, 'link', 'set', f'node{n}', 'down')

    def join(self, n):
        ip('-n', self.base, 'link', 'set', f'node{n}', 'up')
