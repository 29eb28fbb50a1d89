"""A state file that is no journal stops a run: nothing is collected twice because of it."""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import fetcher, serve  # noqa: E402,F401
from fetching import DATAERR  # noqa: E402


@pytest.mark.parametrize('ruin', [
    lambda octets: bytes(len(octets)), lambda octets: octets.replace(b'\n', b'\r\n'),
    lambda octets: b'hello\n', lambda octets: b'', lambda octets: b'\xef\xbb\xbf' + octets,
    lambda octets: octets[:9]], ids=['zeros', 'crlf', 'text', 'empty', 'mark', 'cut'])
def test_a_state_file_that_is_no_journal_is_damage(fetcher, serve, ruin):
    server = serve()
    fetcher.run(server, '--keep')
    journal, = fetcher.state.glob('*.journal')
    good = journal.read_bytes()
    journal.write_bytes(ruin(good))
    done = fetcher.run(server, '--keep', expect=DATAERR)
    assert 'damaged' in done.stderr and journal.name in done.stderr
    assert journal.read_bytes() == ruin(good) and len(server.retrieved) == 5
    journal.unlink()  # as the message says
    journal.write_bytes(good)
    fetcher.run(server, '--keep')
    assert len(server.retrieved) == 5 and len(fetcher.files()) == 5
