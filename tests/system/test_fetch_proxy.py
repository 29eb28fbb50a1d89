"""Through a proxy, from an address, by the name that the proxy knows."""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ('hostile', 'stand_ins')]

from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from fetching import NOPERM, PROTOCOL, TEMPFAIL, USAGE  # noqa: E402
from gmail import Gmail  # noqa: E402
from hostile import make_certificate  # noqa: E402
from imap import Imap  # noqa: E402
from proxy import Proxy  # noqa: E402

KINDS = ['socks5', 'http']


@pytest.fixture
def proxy():
    made = []

    def make(*arguments, **more):
        made.append(Proxy(*arguments, **more))
        return made[-1]
    yield make
    for one in made:
        one.stop()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('tls', [None, 'implicit', 'starttls'])
def test_mail_comes_through_a_proxy(fetcher, serve, proxy, certificate, kind, tls):
    server, between = serve(tls=tls, certificate=certificate), proxy(kind)
    fetcher.run(server, '--proxy', between.url, '--ca', certificate[0], '--delete')
    assert len(fetcher.files()) == 5 and between.asked == [('127.0.0.1', server.port)]
    fetcher.run(server, '--proxy', 'none', '--ca', certificate[0])
    assert len(between.asked) == 1


@pytest.mark.parametrize('kind', KINDS)
def test_the_proxy_looks_the_name_up(fetcher, serve, proxy, tmp_path, kind):
    """A name that only the proxy knows, which the certificate is for."""
    mine = make_certificate(tmp_path, 'pop.hidden.example', addresses=())
    server = serve(tls='implicit', certificate=mine)
    between = proxy(kind, places={('pop.hidden.example', server.port): ('127.0.0.1', server.port)})
    fetcher.run(server, '--proxy', between.url, '--ca', mine[0], host='pop.hidden.example')
    assert between.asked == [('pop.hidden.example', server.port)] and len(fetcher.files()) == 5


@pytest.mark.parametrize('kind', KINDS)
def test_a_proxy_with_a_login(fetcher, serve, proxy, kind):
    server, between = serve(), proxy(kind, login=('anna', 'a_word:_or_two'))
    url = between.url.replace('://', '://anna:a_word:_or_two@')

    def run(proxy_url, expect):
        return fetcher.configured(
            f'account "x" {{\nserver = "pop3://demo@127.0.0.1:{server.port}"\ntls = "none"\n'
            f'to = "maildir:{fetcher.maildir}"\npassword-file = "{fetcher.password_file}"\n'
            f'proxy = "{proxy_url}"\n}}\n', '--state', fetcher.state, expect=expect)
    run(url, 0)
    assert len(fetcher.files()) == 5 and between.logins == [('anna', 'a_word:_or_two')]
    for wrong in (between.url, url.replace('a_word', 'another')):
        done = run(wrong, NOPERM)
        assert 'proxy 127.0.0.1' in done.stderr and 'a_word' not in done.stderr
    done = fetcher.run(server, '--proxy', url, expect=USAGE)
    assert 'configuration file' in done.stderr and 'a_word' not in done.stderr


@pytest.mark.parametrize('kind', KINDS)
def test_a_server_that_the_proxy_does_not_reach(fetcher, serve, proxy, kind):
    server, between = serve(), proxy(kind)
    server.stop()
    done = fetcher.run(server, '--proxy', between.url, expect=TEMPFAIL)
    assert f'proxy 127.0.0.1:{between.port}' in done.stderr and '\x1b' not in done.stderr
    between.stop()
    done = fetcher.run(server, '--proxy', between.url, expect=TEMPFAIL)
    assert 'cannot connect to the proxy' in done.stderr


@pytest.mark.parametrize('kind, answer', [
    ('socks5', b'HTTP/1.1 200 fine\r\n\r\n'), ('socks5', b'\5\0\0\x09' + bytes(300)),
    ('socks5', b'+OK ready\r\n'), ('http', b'\5\0\0\1' + bytes(6)),
    ('http', b'+OK ready\r\n'), ('http', b'HTTP/1.1 200 ' + b'x' * 20000),
    ('http', b'HTTP/1.1 2\r\n\r\n')])
def test_threat_53_a_proxy_that_is_none(fetcher, serve, proxy, kind, answer):
    server, between = serve(), proxy(kind, answer=answer)
    done = fetcher.run(server, '--proxy', between.url, expect=PROTOCOL)
    assert 'proxy' in done.stderr and server.sessions == []


def test_threat_50_octets_behind_the_reply_are_the_server_s(fetcher, serve, proxy, certificate):
    """A proxy can put words into a session in the clear, not into one with TLS."""
    answer = b'HTTP/1.1 200 fine\r\n\r\n+OK I am the server\r\n'
    server, between = serve(tls='implicit', certificate=certificate), proxy('http', answer=answer)
    done = fetcher.run(server, '--proxy', between.url, '--ca', certificate[0], expect=PROTOCOL)
    assert 'TLS' in done.stderr and server.sessions == []


@pytest.mark.parametrize('url', ['', 'socks4://h', 'socks5://', 'socks5://h:0', 'socks5://h:x',
                                 'http://h:99999', 'http://[::1', 'http://a b', 'http://h:1/x',
                                 'http://@h', 'h:1080'])
def test_a_proxy_that_cannot_be_read(fetcher, serve, url):
    fetcher.run(serve(), '--proxy', url, expect=USAGE)


def test_the_source_address(fetcher, serve):
    seen = []
    server = serve(on_connect=lambda s: seen.append(s.socket.getpeername()[0]))
    fetcher.run(server, '--source', '127.0.0.9')
    fetcher.run(server, '--source', '127.0.0.10', '--delete')
    fetcher.run(server)
    assert seen == ['127.0.0.9', '127.0.0.10', '127.0.0.1'] and len(fetcher.files()) == 5
    done = fetcher.run(server, '--source', '::1', expect=TEMPFAIL)  # not by IPv4
    assert '::1' in done.stderr
    done = fetcher.run(server, '--source', '192.0.2.1', expect=TEMPFAIL)  # not ours
    assert '192.0.2.1' in done.stderr
    fetcher.run(server, '--source', 'localhost', expect=USAGE)


# ---- the destination's ----

@pytest.fixture
def destination(certificate):
    """destination(kind): servers that end with the test."""
    made = []

    def make(kind, authority=certificate, **more):
        server = Gmail(authority, **more) if kind == 'gmail' else Imap(authority, **more)
        made.append(server)
        return server
    yield make
    for server in made:
        server.stop()


def way(server, kind, fetcher, authority):
    """What --to says, and the other options."""
    if kind == 'gmail':
        return 'gmail:INBOX', ['--gmail-api', server.api, '--to-token-command', 'echo token',
                               '--to-ca', authority]
    return server.url('INBOX'), ['--to-password-file', fetcher.password_file, '--to-ca', authority]


def arrived(server, kind):
    return len(server.messages if kind == 'gmail' else server.folders.get('"INBOX"', ()))


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('place', ['imaps', 'imap', 'gmail'])
def test_mail_goes_through_a_proxy(fetcher, serve, proxy, destination, certificate, kind, place):
    target = destination(place, **({'starttls': True} if place == 'imap' else {}))
    source, between = serve(), proxy(kind)
    to, options = way(target, place, fetcher, certificate[0])
    environment = {**fetcher.environment(), 'no_proxy': '*'}  # meant for other programs
    fetcher.run(source, *options, '--to-proxy', between.url, '--delete', to=to, env=environment)
    assert arrived(target, place) == 5 and source.messages == []
    assert set(between.asked) == {('localhost', target.port)}, 'the mailbox has its own way'


@pytest.mark.parametrize('kind', KINDS)
def test_the_proxy_looks_the_destination_up(fetcher, serve, proxy, destination, tmp_path, kind):
    mine = make_certificate(tmp_path, 'imap.hidden.example', addresses=())
    target = destination('imap', authority=mine)
    between = proxy(kind, places={('imap.hidden.example', target.port):
                                  ('127.0.0.1', target.port)})
    _, options = way(target, 'imap', fetcher, mine[0])
    to = target.url('INBOX', host='imap.hidden.example')
    fetcher.run(serve(), *options, '--to-proxy', between.url, to=to)
    assert between.asked == [('imap.hidden.example', target.port)]
    assert arrived(target, 'imap') == 5


@pytest.mark.parametrize('kind', KINDS)
def test_a_proxy_of_the_destination_with_a_login(fetcher, serve, proxy, destination, certificate,
                                                 kind):
    target, source = destination('imap'), serve()
    between = proxy(kind, login=('anna', 'a_word:_or_two'))
    url = between.url.replace('://', '://anna:a_word:_or_two@')
    to, options = way(target, 'imap', fetcher, certificate[0])

    def run(proxy_url, expect):
        return fetcher.configured(
            f'account "x" {{\nserver = "pop3://demo@127.0.0.1:{source.port}"\ntls = "none"\n'
            f'to = "{to}"\npassword-file = "{fetcher.password_file}"\n'
            f'to-password-file = "{fetcher.password_file}"\nto-ca = "{certificate[0]}"\n'
            f'to-proxy = "{proxy_url}"\n}}\n', '--state', fetcher.state, expect=expect)
    for wrong in (between.url, url.replace('a_word', 'another')):
        done = run(wrong, NOPERM)
        assert to in done.stderr and 'a_word' not in done.stderr
    assert arrived(target, 'imap') == 0
    run(url, 0)
    assert arrived(target, 'imap') == 5 and ('anna', 'a_word:_or_two') in between.logins
    done = fetcher.run(source, *options, '--to-proxy', url, to=to, expect=USAGE)
    assert 'configuration file' in done.stderr and 'a_word' not in done.stderr


@pytest.mark.parametrize('kind', KINDS)
def test_a_destination_whose_proxy_is_away(fetcher, serve, proxy, destination, certificate, kind):
    target, source, between = destination('imap'), serve(), proxy(kind)
    to, options = way(target, 'imap', fetcher, certificate[0])
    between.stop()
    fetcher.run(source, *options, '--to-proxy', between.url, '--delete', to=to, expect=TEMPFAIL)
    assert arrived(target, 'imap') == 0 and len(source.messages) == 5
