"""Fixtures for the tests of `valija fetch`; a test module takes them with an import."""
import pytest

from fetching import Fetcher
from hostile import Server, letter, make_certificate


@pytest.fixture
def fetcher():
    made = Fetcher()
    yield made
    made.remove()


@pytest.fixture
def serve():
    """serve(messages, …): servers that end with the test."""
    servers = []

    def make(messages=None, **more):
        servers.append(Server([letter(n) for n in range(1, 6)] if messages is None else messages,
                              **more))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()
    assert not [error for server in servers for error in server.errors]


@pytest.fixture(scope='module')
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp('tls'))
