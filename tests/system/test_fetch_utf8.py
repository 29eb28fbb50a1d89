"""`valija fetch` gives UTF8 (RFC 6856) where a server offers it."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'hostile'))

from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from hostile import letter  # noqa: E402


@pytest.mark.parametrize('refuses', [False, True])
def test_fetch_gives_utf8_where_it_is_offered(fetcher, serve, refuses):
    answer = '-ERR not now' if refuses else '+OK'
    server = serve([letter(1)], capabilities=('TOP', 'UIDL', 'USER', 'UTF8'), mechanisms=(),
                   hooks={'UTF8': lambda session, _: session.line(answer) or True})
    fetcher.run(server)
    commands = [command.split()[0] for command in server.sessions[0].commands]
    assert commands.index('CAPA') < commands.index('UTF8') < commands.index('USER')
    assert commands.count('UTF8') == 1 and len(fetcher.files()) == 1
    fetcher.run(server)  # capabilities are remembered, CAPA is not asked again
    commands = [command.split()[0] for command in server.sessions[1].commands]
    assert 'CAPA' not in commands and commands.index('UTF8') < commands.index('USER')


def test_fetch_gives_it_behind_stls_only(fetcher, serve, certificate):
    server = serve([letter(1)], tls='starttls', certificate=certificate,
                   capabilities=('TOP', 'UIDL', 'USER', 'UTF8 USER'), mechanisms=(),
                   hooks={'UTF8': lambda session, _: session.line('+OK') or True})
    fetcher.run(server, '--ca', certificate[0])
    commands = [command.split()[0] for command in server.sessions[0].commands]
    assert commands.index('STLS') < commands.index('UTF8')


def test_fetch_asks_no_server_that_does_not_offer_it(fetcher, serve):
    server = serve([letter(1)])
    fetcher.run(server)
    assert 'UTF8' not in server.commands() and len(fetcher.files()) == 1
