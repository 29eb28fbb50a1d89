"""Shared by the stand-ins that speak HTTP: a server on a Unix socket or, with TLS, on a port of
127.0.0.1, a thread a connection, that answers as a function says, or does wrong on purpose.

    with WebPage(answer, socket=PATH) as page: …
    with WebPage(answer, certificate=(cert, key)) as page: page.url

answer(request) returns (status, body), or (status, body, headers); request has method, path,
headers and body. page.fault is what it does instead: 'hang', 'drop', 'cut', 'endless' (a body
without end), 'headers' (headers without end), 'silent' (no TLS handshake, no octet), None.
"""
import http.server
import json
import pathlib
import socketserver
import ssl
import threading
import types


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def address_string(self):
        return 'client'

    def setup(self):
        page = self.server.page
        page.connections += 1
        self.stopped = page.stopped
        if page.fault == 'silent':
            self.stopped.wait()
            raise ConnectionError
        if page.context:
            self.request = page.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def faulty(self, fault):
        self.close_connection = True
        if fault == 'hang':
            self.stopped.wait()
        elif fault == 'cut':
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"status": "fo')
        elif fault in ('endless', 'headers'):
            self.wfile.write(b'HTTP/1.1 200 OK\r\n' + (b'\r\n' if fault == 'endless' else b''))
            while not self.stopped.is_set():
                self.wfile.write(b'X-More: ' + b'x' * 1000 + b'\r\n')

    def answer(self):
        page = self.server.page
        size = int(self.headers.get('Content-Length', 0))
        request = types.SimpleNamespace(method=self.command, path=self.path, headers=self.headers,
                                        body=self.rfile.read(size))
        if self.stopped.is_set():  # a connection that was kept is no way in, either
            self.close_connection = True
            return None
        page.requests.append(request)
        if page.fault:
            return self.faulty(page.fault)
        status, body, *headers = page.answer(request)
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(octets)))
        for name, value in headers[0].items() if headers else ():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(octets)
        return None

    do_GET = do_POST = answer


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads, request_queue_size = True, 64


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads, request_queue_size, allow_reuse_address = True, 64, True


class WebPage:
    def __init__(self, answer, socket=None, certificate=None, port=0):
        self.answer, self.fault = answer, None
        self.requests, self.connections = [], 0
        self.certificate, self.socket, self.port = certificate, socket, port
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        self.start()

    def start(self):
        self.stopped = threading.Event()
        if self.socket:
            pathlib.Path(self.socket).unlink(missing_ok=True)
            self.server = UnixServer(str(self.socket), Handler)
            pathlib.Path(self.socket).chmod(0o666)
        else:
            self.server = Server(('127.0.0.1', self.port), Handler)
            self.port = self.server.server_address[1]
        self.url = f'{"https" if self.context else "http"}://localhost:{self.port}'
        self.server.page = self
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """Connections are refused from then on, and those that are open answer nothing more."""
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
