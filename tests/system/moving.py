"""A site that moves here from another server, as its clients see it, and its files."""
import os

import clients
import pytest

KINDS = [clients.Mpop, clients.Fetchmail, clients.Getmail, clients.Thunderbird]


def needs(kind):
    if kind is clients.Thunderbird and not os.environ.get('VALIJA_THUNDERBIRD'):
        pytest.skip('it takes minutes: ./dev test thunderbird')
    if not clients.installed(kind):
        pytest.skip(f'{kind.needs} is not installed')


def client_of(kind, office):
    """One that has fetched nothing yet."""
    folder = office.scratch / 'client'
    folder.mkdir()
    return kind(office, 'demo', folder, 'implicit')


def loads_nothing_twice(client, count, move_over, put):
    """count: messages there. move_over: the other server ends, its ids are brought, ours starts.
    put: another message comes."""
    assert len(client.fetch(keep=True)) == count
    assert client.fetch(keep=True) == []
    move_over()
    assert client.fetch(keep=True) == []
    put()
    assert len(client.fetch(keep=True)) == 1
    assert client.fetch(keep=True) == []


def snapshot(office):
    return {path: path.read_bytes() for path in office.mail.rglob('*') if path.is_file()}
