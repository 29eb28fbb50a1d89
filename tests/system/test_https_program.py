"""The two programs with libcurl, valija-https and valija-upload, look names up inside their
sandbox: a host that is no address and not "localhost"."""
import http.server
import pathlib
import socket
import ssl
import subprocess
import sys
import threading

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ('hostile', 'stand_ins')]

from fetch_fixtures import fetcher, serve  # noqa: E402,F401
from fetching import program  # noqa: E402
from gmail import Gmail  # noqa: E402
from hostile import make_certificate  # noqa: E402
from imap import Imap  # noqa: E402


@pytest.fixture(scope='module')
def name():
    """A name of this machine that leads to its loopback."""
    found = socket.gethostname()
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(found, None)}
    except OSError:
        addresses = set()
    if found == 'localhost' or not any(a.startswith('127.') for a in addresses):
        pytest.skip('this machine has no name of its own on its loopback')
    return found


@pytest.fixture(scope='module')
def named(name, tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp('named'), name, ('127.0.0.1',))


class Page(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == '/page':
            self.send_response(200)
            self.end_headers()
            return self.wfile.write(b'the page')
        self.send_response(302)
        self.send_header('Location', self.server.target)
        self.end_headers()
        self.wfile.write(b'not this')

    def do_POST(self):
        self.do_GET()


@pytest.fixture
def pages(named):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Page)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*named)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def exchange(fetcher, named, request):
    return subprocess.run([program().parent / 'valija-https'], input=request, text=True,
                          capture_output=True, timeout=60,
                          env=fetcher.environment(SSL_CERT_FILE=named[0]))


def test_https_by_name(fetcher, named, name, pages):
    port = pages.server_address[1]
    done = exchange(fetcher, named, f'GET https://{name}:{port}/page\n')
    assert (done.returncode, done.stdout) == (0, '200\nthe page')


def test_redirects_are_followed_by_name_but_not_for_forms(fetcher, named, name, pages):
    port = pages.server_address[1]
    pages.target = f'https://{name}:{port}/page'
    done = exchange(fetcher, named, f'GET https://127.0.0.1:{port}/\n')
    assert (done.returncode, done.stdout) == (0, '200\nthe page')
    done = exchange(fetcher, named, f'POST https://127.0.0.1:{port}/\na=b')
    assert done.stdout.startswith('302\n')
    pages.target = '/again'
    assert exchange(fetcher, named, f'GET https://127.0.0.1:{port}/\n').returncode == 75
    pages.target = f'http://{name}:{port}/page'
    assert exchange(fetcher, named, f'GET https://127.0.0.1:{port}/\n').returncode == 75


def test_deliveries_by_name(fetcher, serve, named, name):
    with Imap(named) as imap:
        fetcher.run(serve(), '--to-password-file', fetcher.password_file, '--to-ca', named[0],
                    to=imap.url(host=name))
        assert len(imap.octets()) == 5
    with Gmail(named) as gmail:
        fetcher.run(serve(), '--to-token-command', 'echo token', '--to-ca', named[0],
                    '--gmail-api', f'https://{name}:{gmail.port}', to='gmail:INBOX')
        assert len(gmail.messages) == 5
