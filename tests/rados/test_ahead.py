"""Operations of logins and deliveries, and bodies that are read ahead: tests/rados/ahead.c, without
valijad, against a cluster."""
import os
import pathlib
import subprocess

import cluster

BUILD = pathlib.Path(os.environ.get('VALIJA_BUILD', 'build-rados')).resolve()


def test_ahead(folder):
    with cluster.Cluster(folder / 'ceph') as ceph:
        done = subprocess.run([BUILD / 'tests/rados/rados_ahead'], capture_output=True, text=True,
                              env=os.environ | {'VALIJA_CEPH_CONF': str(ceph.conf)})
        print(done.stdout)
        assert done.returncode == 0, done.stdout + done.stderr
