"""A folder that system users may go through: pytest's own are for their maker alone."""
import contextlib
import pathlib
import shutil
import tempfile

import pytest


@contextlib.contextmanager
def open_folder():
    folder = pathlib.Path(tempfile.mkdtemp(prefix='valija-rados-'))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder():
    with open_folder() as made:
        yield made


@pytest.fixture(scope='module')
def module_folder():
    with open_folder() as made:
        yield made
