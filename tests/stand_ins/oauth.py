#!/usr/bin/env python3
"""A provider's OAuth server for tests, on a port of 127.0.0.1, over TLS: device flow (RFC 8628),
authorization code with PKCE (RFC 7636), refresh tokens that rotate (RFC 6749), and every error.

    python3 tests/stand_ins/oauth.py [--port N] [--folder DIR]

runs it alone, and prints the section of a configuration file that uses it. In a test:

    with OAuth(certificate) as provider:
        provider.section()          # oauth "stand-in" { … } for the configuration
        pop3.tokens = provider.access    # a list that stays alive: tokens that are good now

What it shall do differently:

    client_secret   None: a public client, which must send none
    rotate          True: each refresh gives a new refresh token, and a used one ends the whole
                    grant; 'lenient': a used one is good until the next one was used; False: none
    lifetime        seconds, of access tokens
    faults          for the next requests, one each: 'html', 'empty', 'drop', 'cut', 'slow', 'long',
                    'redirect', an HTTP status as a number, or an error code as text; None: no fault
    device          answers to the polls, one each: 'authorization_pending', 'slow_down',
                    'expired_token', 'access_denied', or a fault; then the grant
    consent         False: the person says no (access_denied)
"""
import argparse
import base64
import hashlib
import http.server
import json
import pathlib
import secrets
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse

CLIENT = 'stand-in-client'


def make_certificate(folder):
    """(certificate, key), self-signed, for localhost and 127.0.0.1."""
    cert, key = pathlib.Path(folder) / 'oauth-cert.pem', pathlib.Path(folder) / 'oauth-key.pem'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert, '-days',
                    '30', '-subj', '/CN=localhost', '-addext',
                    'subjectAltName=DNS:localhost,IP:127.0.0.1'], check=True, capture_output=True)
    return cert, key


class Refused(Exception):
    """An error code of RFC 6749, with its description."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def answer(self, status, text, kind='application/json', headers=()):
        octets = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(octets)))
        self.send_header('Connection', 'close')
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(octets)
        self.close_connection = True

    def fault(self, kind):
        """True: this was the answer."""
        self.close_connection = True
        if kind is None:
            return False
        if kind == 'drop':
            self.connection.close()
        elif kind == 'cut':
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"access_token": "x')
        elif kind == 'slow':
            self.server.provider.stopped.wait(self.server.provider.slowness)
            return False
        elif kind == 'empty':
            self.answer(200, '')
        elif kind == 'long':
            self.answer(200, '{"x": "' + 'y' * 400000 + '"}')
        elif kind == 'redirect':
            self.answer(302, '', headers=[('Location', self.server.provider.url + '/token')])
        elif kind == 'html':
            self.answer(400, '<html><h1>Bad Gateway</h1></html>', 'text/html')
        elif isinstance(kind, int):
            self.answer(kind, '<html>trouble</html>', 'text/html')
        else:
            self.answer(400, json.dumps({'error': kind, 'error_description': f'fault {kind}'}))
        return True

    def do_GET(self):
        provider = self.server.provider
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        provider.requests.append((address.path, query, time.monotonic()))
        if address.path == '/authorize':
            where = provider.authorize(query)
            self.answer(302, '', headers=[('Location', where)])
        elif address.path in provider.pages:
            self.answer(*provider.pages[address.path])
        else:
            self.answer(404, 'nothing here', 'text/plain')

    def do_POST(self):
        provider = self.server.provider
        size = int(self.headers.get('Content-Length', 0))
        form = dict(urllib.parse.parse_qsl(self.rfile.read(size).decode(), keep_blank_values=True))
        provider.requests.append((self.path, form, time.monotonic()))
        with provider.lock:
            kind = provider.faults.pop(0) if provider.faults else None
        if self.fault(kind):
            return
        try:
            with provider.lock:
                self.answer(200, json.dumps(provider.post(self.path, form, self)))
        except Refused as refusal:
            if refusal.args[0] is not True:
                self.answer(400, json.dumps({'error': refusal.args[0], 'error_description':
                                             ' '.join(refusal.args[1:])}))


class OAuth:
    def __init__(self, certificate, client_secret=None, rotate=True, lifetime=3600, port=0):
        self.certificate = certificate
        self.client_secret, self.rotate, self.lifetime = client_secret, rotate, lifetime
        self.consent, self.faults, self.device, self.slowness = True, [], [], 3
        self.interval, self.device_seconds = 1, 60
        self.requests, self.access, self.pages = [], [], {}
        self.refresh = {}  # token → grant
        self.codes, self.device_codes = {}, {}
        self.scope, self.login_hint, self.give_refresh = None, None, True
        self.lock, self.stopped = threading.Lock(), threading.Event()
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', port), Handler)
        self.server.daemon_threads = True
        self.server.provider = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        # the handshake is made by the thread of the connection, not by the one that accepts
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        self.server.handle_error = lambda *_: None
        self.port = self.server.server_address[1]
        self.url = f'https://localhost:{self.port}'
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def section(self, name='stand-in', device=True, **more):
        """The section of a configuration file that uses this server."""
        lines = {'authorize': self.url + '/authorize', 'token': self.url + '/token',
                 'scope': 'mail offline', 'client-id': CLIENT}
        if device:
            lines['device'] = self.url + '/device'
        if self.client_secret:
            lines['client-secret'] = self.client_secret
        lines.update({key.replace('_', '-'): value for key, value in more.items()})
        body = ''.join(f'\t{key} = "{value}"\n' for key, value in lines.items() if value)
        return f'oauth "{name}" {{\n{body}}}\n'

    # what it grants

    def grant(self, family=None):
        """A new pair of tokens."""
        access = 'access-' + secrets.token_urlsafe(600)
        self.access.append(access)
        answer = {'access_token': access, 'token_type': 'Bearer', 'expires_in': self.lifetime}
        if family is None:
            family = {'alive': True}
        if self.give_refresh:
            answer['refresh_token'] = 'refresh-' + secrets.token_urlsafe(48)
            self.refresh[answer['refresh_token']] = {'family': family, 'used': False}
        return answer

    def end_grants(self):
        """The person took the consent back, or a project's seven days are over."""
        self.refresh.clear()
        self.access.clear()

    def authorize(self, query):
        """The browser's visit, and the person's answer: where the browser is sent then."""
        redirect, state = query['redirect_uri'], query.get('state', '')
        self.scope, self.login_hint = query.get('scope'), query.get('login_hint')
        if query.get('response_type') != 'code' or query.get('client_id') != CLIENT:
            back = {'error': 'invalid_request', 'state': state}
        elif query.get('code_challenge_method') != 'S256' or not query.get('code_challenge'):
            back = {'error': 'invalid_request', 'error_description': 'PKCE is needed',
                    'state': state}
        elif not self.consent:
            back = {'error': 'access_denied', 'state': state}
        else:
            code = secrets.token_urlsafe(24)
            self.codes[code] = (query['code_challenge'], redirect)
            back = {'code': code, 'state': state}
        return redirect + ('&' if '?' in redirect else '?') + urllib.parse.urlencode(back)

    def post(self, path, form, handler):
        if form.get('client_id') != CLIENT:
            raise Refused('invalid_client', 'this client is not known')
        if path == '/device':
            return self.begin_device()
        if path != '/token':
            raise Refused('invalid_request', 'no such address')
        if form.get('client_secret') != self.client_secret:
            raise Refused('invalid_client', 'the secret is wrong, or one too many')
        kind = form.get('grant_type')
        if kind == 'refresh_token':
            return self.take_refresh(form.get('refresh_token'))
        if kind == 'authorization_code':
            return self.take_code(form)
        if kind == 'urn:ietf:params:oauth:grant-type:device_code':
            return self.take_device(form.get('device_code'), handler)
        raise Refused('unsupported_grant_type')

    def take_refresh(self, token):
        entry = self.refresh.get(token)
        if not entry or not entry['family']['alive']:
            raise Refused('invalid_grant', 'the token has been expired or revoked')
        if not self.rotate:
            self.give_refresh, kept = False, self.give_refresh
            answer = self.grant(entry['family'])
            self.give_refresh = kept
            return answer
        if self.rotate == 'lenient':
            if entry['used'] == 'for good':
                raise Refused('invalid_grant', 'the token was replaced')
            if entry.get('before'):
                self.refresh[entry['before']]['used'] = 'for good'
            answer = self.grant(entry['family'])
            self.refresh[answer['refresh_token']]['before'] = token
            return answer
        if entry['used']:  # somebody has stolen it
            entry['family']['alive'] = False
            raise Refused('invalid_grant', 'the token was used before')
        entry['used'] = True
        return self.grant(entry['family'])

    def take_code(self, form):
        challenge, redirect = self.codes.pop(form.get('code'), (None, None))
        digest = hashlib.sha256(form.get('code_verifier', '').encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b'=').decode() != challenge:
            raise Refused('invalid_grant', 'code or verifier are wrong')
        if not 43 <= len(form['code_verifier']) <= 128 or form.get('redirect_uri') != redirect:
            raise Refused('invalid_grant', 'the redirect is another one')
        return self.grant()

    def begin_device(self):
        code = secrets.token_urlsafe(32)
        self.device_codes[code] = 0.0
        return {'device_code': code, 'user_code': 'WDJB-MJHT',
                'verification_uri': self.url + '/enter', 'expires_in': self.device_seconds,
                'interval': self.interval}

    def take_device(self, code, handler):
        if code not in self.device_codes:
            raise Refused('invalid_grant', 'this device code is not known')
        if self.device:
            step = self.device.pop(0)
            if step in ('authorization_pending', 'slow_down', 'expired_token', 'access_denied'):
                raise Refused(step)
            if handler.fault(step):
                raise Refused(True)
        del self.device_codes[code]
        return self.grant()

    def asked(self, path):
        """Forms and queries that came for a path, in order."""
        return [form for where, form, _ in self.requests if where == path]

    def stop(self):
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--port', type=int, default=0)
    parser.add_argument('--folder', help='where the certificate is put; a new one if not given')
    options = parser.parse_args()
    folder = options.folder or tempfile.mkdtemp(prefix='oauth-')
    certificate = make_certificate(folder)
    with OAuth(certificate, port=options.port) as provider:
        print(f'# export SSL_CERT_FILE={certificate[0]}')
        print(provider.section(), flush=True)
        threading.Event().wait()


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        pass
