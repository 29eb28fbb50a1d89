"""Mail on NFS: a kernel's server on the loopback and a client on the same machine, by NFS 4.2, 3
and 4.2 without caches of attributes. In a virtual machine: what is tried is the kernel's NFS, which
the machine of the tests need not have. nfs_inside.py has the scenarios; docs/durability.md the
result."""
import re

import pytest

import vm
from container import Impossible
from office import ROOT, build_dir

INIT = '''#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
hostname vm
ln -sf /proc/self/mounts /etc/mtab
echo '127.0.0.1 localhost vm' >/etc/hosts
ip link set lo up
modprobe nfsd
modprobe nfs
mount -t nfsd nfsd /proc/fs/nfsd
mkdir -p /var/lib/nfs/v4recovery /srv/mail
rpcbind -w
rpc.statd --no-notify
echo '/srv *(rw,sync,no_subtree_check,fsid=0,crossmnt,root_squash,insecure)' >/etc/exports
exportfs -ra
echo 10 >/proc/fs/nfsd/nfsv4leasetime
echo 10 >/proc/fs/nfsd/nfsv4gracetime
rpc.nfsd 4
rpc.mountd
echo Y >/proc/fs/nfsd/v4_end_grace
/make-users </sysusers
useradd --system --user-group --no-create-home vmail 2>/dev/null
cd /valija/tests/system
PYTHONDONTWRITEBYTECODE=1 VALIJA_BUILD=/valija/build python3 nfs_inside.py 2>&1
echo o >/proc/sysrq-trigger
sleep 60
'''
PACKAGES = ['linux-image-cloud-amd64', 'nfs-kernel-server', 'python3', 'kmod', 'procps',
            'iproute2', 'netbase', 'findutils',
            'passwd', 'openssl']


@pytest.mark.vm
def test_mail_on_nfs():
    build = build_dir()
    programs = [build / 'valijad', build / 'valija']
    files = {f'/valija/tests/system/{path.name}': path
             for path in (ROOT / 'tests/system').glob('*.py')}
    files |= {'/valija/build/valijad': programs[0], '/valija/build/valija': programs[1],
              '/valija/build/meson-info/intro-buildoptions.json':
                  build / 'meson-info/intro-buildoptions.json',
              '/make-users': ROOT / 'dist/make-users',
              '/sysusers': ROOT / 'dist/sysusers.d/valija.conf'}
    try:
        console = vm.run(programs, PACKAGES, files, INIT)
    except Impossible as reason:
        pytest.skip(str(reason))
    results = re.findall(r'^RESULT (.*?)\r?$', console, re.M)
    print(console[-20000:])
    assert re.search(r'^END\r?$', console, re.M), console[-3000:]
    assert len(results) >= 26
    assert not [line for line in results if not line.endswith(' good')]
