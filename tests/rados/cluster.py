#!/usr/bin/python3
"""A small Ceph cluster for tests: one monitor, some OSDs, cephx on, in a folder of its own, on free
ports of the loopback, all of it as this process's children, which end with it.

    with Cluster(folder) as cluster:          # memstore: objects live in the OSDs' memory
        cluster.conf                          # for clients; keyrings are beside it
        cluster.kill_osd(1); cluster.revive_osd(1)

As a program, `cluster.py FOLDER [memstore|bluestore]` starts one, says how to use it, and ends with
its input.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

SECONDS = 120  # until a cluster takes writes: about two on a free machine
PR_SET_PDEATHSIG = 1

# What a keeper's key may do, and no more: docs/many-machines.md has these words.
CAPS = {
    'mon': 'allow r',
    'osd': 'allow rwx pool=mail, allow rw pool=bodies',
}

CONF = """\
[global]
fsid = {fsid}
mon_host = [v2:{address}:{port}]
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
mon_warn_on_insecure_global_id_reclaim = false
keyring = {folder}/$name.keyring
public_network = {address}/8
cluster_network = {address}/8
public_addr = {address}
cluster_addr = {address}
ms_bind_msgr1 = false
run_dir = {folder}/run
admin_socket =
log_file = {folder}/log/$name.log
log_to_stderr = false
err_to_stderr = true
crash_dir = {folder}/crash
osd_pool_default_size = {size}
osd_pool_default_min_size = {min_size}
osd_pool_default_pg_num = 16
osd_pool_default_pgp_num = 16
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
[mon]
mon_data = {folder}/mon
keyring = {folder}/mon/keyring
# proposals are gathered for a second otherwise: a start and a dead OSD would take longer
paxos_propose_interval = 0.05
paxos_min_wait = 0.02
# full well before what an OSD drops without an answer (osd_failsafe_full_ratio, 0.97): disks of
# tests are small, and the monitors hear of them seconds later
mon_osd_full_ratio = 0.75
mon_osd_backfillfull_ratio = 0.73
mon_osd_nearfull_ratio = 0.7
mon_osd_reporter_subtree_level = osd
mon_osd_min_down_reporters = {reporters}
mon_osd_down_out_interval = 600
mon_osd_adjust_heartbeat_grace = false
mon_data_avail_warn = 2
mon_data_avail_crit = 1
mon_allow_pool_delete = true
mon_allow_pool_size_one = true
osd_heartbeat_grace = 6
[osd]
osd_data = {folder}/osd$id
osd_objectstore = {store}
osd_memory_target = 939524096
osd_heartbeat_interval = 1
osd_heartbeat_grace = 6
osd_crush_initial_weight = 1
memstore_device_bytes = {memory}
bluestore_block_size = 10737418240
bluestore_block_create = true
bluestore_block_wal_create = false
bluestore_block_db_create = false
"""


def missing():
    """The program that a cluster needs and that is not there, or None."""
    return next((p for p in ('ceph-mon', 'ceph-osd', 'ceph', 'ceph-authtool', 'monmaptool')
                 if not shutil.which(p)), None)


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def end_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Cluster:
    def __init__(self, folder, store='memstore', osds=3, size=3, min_size=2,
                 pools=('mail', 'bodies'), address='127.0.0.1', memory=4 << 30):
        self.folder = pathlib.Path(folder)
        self.store, self.osds, self.pools = store, osds, pools
        self.size, self.min_size = size, min_size
        self.address, self.memory = address, memory
        self.fsid = str(uuid.uuid4())
        self.processes = {}
        self.conf = self.folder / 'ceph.conf'
        self.port = None

    # ---- programs ----

    def run(self, *command, data=None, check=True):
        return subprocess.run([str(c) for c in command], input=data, capture_output=True,
                              text=True, check=check, timeout=SECONDS)

    def ceph(self, *command, data=None):
        """A command of an administrator; its standard output."""
        result = self.run('ceph', '-c', self.conf, '--connect-timeout', '60', *command, data=data,
                          check=False)
        if result.returncode:
            raise RuntimeError(f'ceph {command} {data}: {result.stdout}{result.stderr}')
        return result.stdout

    def key(self, name, caps, path=None):
        """A key of its own, in a keyring; several of one path are in one file."""
        path = path or self.folder / f'{name}.keyring'
        words = [w for kind, cap in caps.items() for w in ('--cap', kind, cap)]
        self.run('ceph-authtool', *(() if path.exists() else ('--create-keyring',)), path,
                 '--gen-key', '-n', name, *words)
        return path

    def daemon(self, name, *command):
        out = open(self.folder / 'log' / f'{name}.out', 'ab')
        self.processes[name] = subprocess.Popen(
            [*map(str, command), '-c', str(self.conf), '-f'], stdin=subprocess.DEVNULL,
            stdout=out, stderr=out, preexec_fn=end_with_parent)
        out.close()

    # ---- the whole ----

    def start(self):
        for name in ('run', 'log', 'crash', 'mon'):
            (self.folder / name).mkdir(parents=True)
        self.port = free_port()
        self.conf.write_text(CONF.format(
            fsid=self.fsid, port=self.port, folder=self.folder, store=self.store, size=self.size,
            min_size=self.min_size, address=self.address, memory=self.memory,
            reporters=min(2, max(1, self.osds - 1))))
        keys = self.folder / 'all.keyring'
        self.key('mon.', {'mon': 'allow *'}, keys)
        self.run('ceph-authtool', keys, '--import-keyring',
                 self.key('client.admin', {'mon': 'allow *', 'osd': 'allow *', 'mgr': 'allow *'}))
        self.run('ceph-authtool', keys, '--import-keyring', self.key('client.valija', CAPS))
        for n in range(self.osds):
            (self.folder / f'osd{n}').mkdir()
            self.run('ceph-authtool', keys, '--import-keyring',
                     self.key(f'osd.{n}', {'mon': 'allow profile osd', 'osd': 'allow *'}))
        monmap = self.folder / 'monmap'
        self.run('monmaptool', '--create', '--fsid', self.fsid, '--addv', 'a',
                 f'[v2:{self.address}:{self.port}]', '--enable-all-features',
                 '--set-min-mon-release', 'pacific', monmap)
        self.run('ceph-mon', '--mkfs', '-i', 'a', '--monmap', monmap, '--keyring', keys, '-c',
                 self.conf)
        self.start_monitor()
        uuids = [str(uuid.uuid4()) for _ in range(self.osds)]
        self.ceph(data=''.join(f'osd new {u} {n}\n' for n, u in enumerate(uuids)) +
                  ''.join(f'osd pool create {pool} 16\n' for pool in self.pools))
        made = [subprocess.Popen(['ceph-osd', '-i', str(n), '--mkfs', '--osd-uuid', u, '-c',
                                  str(self.conf)],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                for n, u in enumerate(uuids)]
        if any(p.wait(SECONDS) for p in made):
            raise RuntimeError(f'ceph-osd --mkfs failed: {self.folder}/log')
        (self.folder / 'uuids').write_text(json.dumps(uuids))
        for n in range(self.osds):
            self.start_osd(n)
        self.wait_for_writes()
        return self

    def start_monitor(self):
        self.daemon('mon', 'ceph-mon', '-i', 'a')

    def start_osd(self, n):
        self.daemon(f'osd{n}', 'ceph-osd', '-i', n)

    def wait_for_writes(self):
        """A replicated write to each pool has been acknowledged."""
        until = time.monotonic() + SECONDS
        for pool in self.pools:
            while self.run('timeout', '20', 'rados', '-c', self.conf, '-p', pool, 'put', 'up',
                           '/dev/null', check=False).returncode:
                if time.monotonic() > until:
                    raise RuntimeError(f'no write to {pool}: {self.folder}/log')
            self.run('rados', '-c', self.conf, '-p', pool, 'rm', 'up')

    def stop(self):
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
        for process in self.processes.values():
            process.wait()
        self.processes = {}

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    def pool(self, name, rights='rwx', kind=()):
        """One pool more, for the keeper's key as well."""
        self.ceph('osd', 'pool', 'create', name, '8', '8', *kind)
        self.caps = getattr(self, 'caps', CAPS['osd']) + f', allow {rights} pool={name}'
        self.ceph('auth', 'caps', 'client.valija', 'mon', CAPS['mon'], 'osd', self.caps)

    def coded_pool(self, name):
        """Erasure-coded: two parts and one that makes up for either."""
        self.ceph('osd', 'erasure-code-profile', 'set', 'small', 'k=2', 'm=1',
                  'crush-failure-domain=osd')
        self.pool(name, 'rw', ('erasure', 'small'))

    # ---- faults ----

    def signal(self, name, number):
        self.processes[name].send_signal(number)

    def kill(self, name):
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def kill_osd(self, n):
        self.kill(f'osd{n}')

    def revive_osd(self, n):
        """Starts it again: with its disk, or (memstore) an empty one, which the others fill."""
        folder = self.folder / f'osd{n}'
        if self.store == 'memstore':
            keyring = (self.folder / f'osd.{n}.keyring').read_bytes()
            shutil.rmtree(folder)
            folder.mkdir()
            (folder / 'keyring').write_bytes(keyring)
            uuids = json.loads((self.folder / 'uuids').read_text())
            self.run('ceph-osd', '-i', n, '--mkfs', '--osd-uuid', uuids[n], '-c', self.conf)
        self.start_osd(n)
        self.wait_up(n)

    def wait_up(self, n, up=True):
        until = time.monotonic() + SECONDS
        while (json.loads(self.ceph('osd', 'dump', '-f', 'json'))['osds'][n]['up'] == 1) != up:
            if time.monotonic() > until:
                raise RuntimeError(f'osd.{n} is not {"up" if up else "down"}')
            time.sleep(0.1)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    began = time.monotonic()
    with Cluster(os.path.abspath(sys.argv[1]), *sys.argv[2:3]) as cluster:
        print(f'{time.monotonic() - began:.1f} s: conf = {cluster.conf}', flush=True)
        sys.stdin.read()


if __name__ == '__main__':
    main()
