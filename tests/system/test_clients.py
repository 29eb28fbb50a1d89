"""Real clients of Debian 12, and ours, on the real server over TLS: fetch, delete, keep by UIDL."""
import clients
import generate
import pytest
from wire import same_message, wire_form

# what every client must carry: real mail, not the octets that some of them are known to mangle
NAMES = ('plain', 'plain-crlf', 'multipart-attachment', 'multipart-nested', 'eight-bit',
         'utf8-headers', 'dots', 'dots-crlf', 'dot-last', 'no-final-line-break', 'empty-body',
         'body-of-empty-lines', 'from-lines', 'trailing-spaces', 'forwarded', 'large-attachment')
MAIL = [(name, octets) for name, octets in generate.messages() if name in NAMES]

NEWS = b'Return-Path: <news@example.org>\nSubject: news\n\nnews\n'

EACH = pytest.mark.parametrize(
    'kind, mode', [(kind, mode) for kind in clients.ALL for mode in kind.modes],
    ids=lambda value: value if isinstance(value, str) else value.__name__)

pytestmark = pytest.mark.release


@pytest.fixture
def client(shared, user, kind, mode):
    if not clients.installed(kind):
        pytest.skip(f'{kind.needs} is not installed')
    shared.put_many(user, [octets for _, octets in MAIL])
    folder = shared.scratch / f'client-{user}'
    folder.mkdir()
    return kind(shared, user, folder, mode)


def body_of(octets):
    """Without headers, without the line breaks that a client may add or drop at the end."""
    return octets.replace(b'\r\n', b'\n').partition(b'\n\n')[2].rstrip(b'\n')


def assert_same(client, collected, mail):
    assert len(collected) == len(mail)
    for name, octets in mail:
        wire = wire_form(octets)
        if client.exact:
            found = [got for got in collected if same_message(got, wire)]
        else:
            found = [got for got in collected if body_of(got) == body_of(wire)]
        assert found, f'{name} did not arrive as it was sent'


@EACH
def test_fetch_and_delete(shared, user, client):
    assert_same(client, client.fetch(keep=False), MAIL)
    shared.has_files(user, 0)
    assert client.fetch(keep=False) == []


@EACH
def test_keep_and_fetch_only_what_is_new(shared, user, client):
    assert_same(client, client.fetch(keep=True), MAIL)
    shared.has_files(user, len(MAIL))
    assert client.fetch(keep=True) == []
    shared.put(user, NEWS)
    assert_same(client, client.fetch(keep=True), [('news', NEWS)])
    shared.has_files(user, len(MAIL) + 1)
