"""An issuer of tokens for tests: signs JWTs, publishes its keys, answers introspection, over TLS on
a port of 127.0.0.1.

    with Issuer(certificate) as issuer:
        issuer.settings()           # of a database { driver = oauth }, by discovery
        issuer.token(email='anna@example.org')

What it does differently: see page.fault (web_page.py); issuer.document and issuer.keys are what it
publishes; issuer.redirects sends a path elsewhere; issuer.active maps tokens to what introspection
says of them; issuer.client and issuer.secret are wanted then.
"""
import base64
import json
import time
import urllib.parse

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from web_page import WebPage


def octets(value):
    return base64.urlsafe_b64encode(value).rstrip(b'=').decode()


def compact(value):
    return octets(json.dumps(value, separators=(',', ':')).encode())


class Key:
    def __init__(self, kid):
        self.kid = kid
        self.private = ec.generate_private_key(ec.SECP256R1())

    def public(self):
        numbers = self.private.public_key().public_numbers()
        return {'kty': 'EC', 'crv': 'P-256', 'kid': self.kid, 'use': 'sig', 'alg': 'ES256',
                'x': octets(numbers.x.to_bytes(32, 'big')),
                'y': octets(numbers.y.to_bytes(32, 'big'))}

    def sign(self, claims, **header):
        text = compact({'alg': 'ES256', 'kid': self.kid, 'typ': 'at+jwt', **header}) + '.'
        text += compact(claims)
        r, s = utils.decode_dss_signature(
            self.private.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return text + '.' + octets(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))


class Issuer:
    def __init__(self, certificate):
        self.certificate = certificate
        self.key = Key('key-1')
        self.keys = [self.key]
        self.redirects, self.active = {}, {}
        self.client, self.secret, self.auth = 'mail', 'p%ss word', 'basic'
        self.page = WebPage(self.answer, certificate=certificate)
        self.url = self.page.url + '/realm'
        self.document = {'issuer': self.url, 'jwks_uri': self.page.url + '/keys'}

    def settings(self, **more):
        return {'driver': 'oauth', 'issuer': self.url, 'audience': 'mail',
                'ca_file': str(self.certificate[0]), **more}

    def claims(self, **changes):
        """changes: None leaves a claim out."""
        all_of = {'iss': self.url, 'aud': ['account', 'mail'], 'email': 'demo',
                  'email_verified': True, 'exp': int(time.time()) + 3600,
                  'scope': 'openid mail', **changes}
        return {name: value for name, value in all_of.items() if value is not None}

    def token(self, **changes):
        return self.key.sign(self.claims(**changes))

    def rotate(self, kid='key-2'):
        """A new key; the old one is not published any more."""
        self.key = Key(kid)
        self.keys = [self.key]

    def asked(self, path):
        return [one for one in self.page.requests if one.path == path]

    def answer(self, request):
        if request.path in self.redirects:
            return 302, {}, {'Location': self.redirects[request.path]}
        if request.path == '/realm/.well-known/openid-configuration':
            return 200, self.document
        if request.path in ('/keys', '/more-keys'):
            return 200, {'keys': [key.public() for key in self.keys]}
        if request.path == '/introspect' and request.method == 'POST':
            return self.introspect(request)
        return 404, {}

    def introspect(self, request):
        form = dict(urllib.parse.parse_qsl(request.body.decode(), keep_blank_values=True))
        if self.auth == 'basic':
            pair = urllib.parse.quote(self.client) + ':' + urllib.parse.quote(self.secret)
            good = request.headers.get('Authorization') == \
                'Basic ' + base64.b64encode(pair.encode()).decode()
        else:
            good = (form.get('client_id'), form.get('client_secret')) == (self.client, self.secret)
        if not good:
            return 401, {'error': 'invalid_client'}
        found = self.active.get(form['token'])
        return 200, {'active': True, **found} if found else {'active': False}

    def stop(self):
        self.page.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
