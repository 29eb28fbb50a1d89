"""The store in RADOS, driven by tests/rados/store.c without valijad, against a cluster."""
import os
import pathlib
import subprocess

import pytest

import cluster

BUILD = pathlib.Path(os.environ.get('VALIJA_BUILD', 'build-rados')).resolve()


@pytest.mark.parametrize('bodies', ['bodies', 'coded'])
def test_store(folder, bodies):
    """All of it on replicated pools, and once with bodies in an erasure-coded pool."""
    with cluster.Cluster(folder / 'ceph') as ceph:
        ceph.pool('unmarked')
        if bodies == 'coded':
            ceph.coded_pool('coded')
        done = subprocess.run([BUILD / 'tests/rados/rados_store'], capture_output=True, text=True,
                              env=os.environ | {'VALIJA_CEPH_CONF': str(ceph.conf),
                                                'VALIJA_BODIES': bodies})
        print(done.stdout)
        assert done.returncode == 0, done.stdout + done.stderr
