"""The part of the Gmail API that imports mail, over HTTPS in threads of a test, and alone:

    python3 tests/stand_ins/gmail.py FOLDER     (prints the options to use, stores messages there)

    with Gmail(certificate, scopes=('insert',)) as gmail:
        gmail.api            # https://localhost:PORT
        gmail.messages       # [{'labels': […names], 'octets': …, 'query': {…}}, …]
        gmail.requests       # ['POST /upload/…', …]

It does what the documentation says of users.messages.import (multipart upload), users.messages.list
(q=rfc822msgid:), users.labels.list and .create. What it shall do differently:

    tokens    access tokens that are good now
    scopes    of 'insert', 'labels', 'readonly', 'modify'
    faults    for the next requests, one each: (status, reason, message[, headers]), 'drop' (no
              answer), 'drop-after' (it is carried out, then no answer), 'html', 'long'; None:
              no fault
    refuse    a function of a message's octets: such a fault for it alone
    hooks     {'before': f, 'stored': f}: called with (gmail, octets)
"""
import email.parser
import http.server
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import urllib.parse

SYSTEM = ('INBOX', 'UNREAD', 'STARRED', 'IMPORTANT', 'SPAM', 'TRASH', 'SENT', 'DRAFT')
MAX_OCTETS = 150 << 20


class Refused(Exception):
    def __init__(self, status, reason='', message='', headers=()):
        super().__init__(status)
        self.status, self.reason, self.message, self.headers = status, reason, message, headers


class Drop(Exception):
    """The connection ends without an answer."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def reply(self, status, octets, headers=(), kind='application/json; charset=UTF-8'):
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(octets)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(octets)

    def refuse(self, refused):
        error = {'code': refused.status, 'message': refused.message,
                 'errors': [{'message': refused.message, 'domain': 'global',
                             'reason': refused.reason}]}
        self.reply(refused.status, json.dumps({'error': error}).encode(), refused.headers)

    def handle_one(self, body):
        gmail = self.server.gmail
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        with gmail.lock:
            gmail.requests.append(f'{self.command} {url.path}')
            fault = gmail.faults.pop(0) if gmail.faults else None
        if fault == 'drop':
            raise Drop
        if fault == 'html':
            return self.reply(502, b'<html>Bad gateway</html>', kind='text/html')
        if fault == 'long':
            return self.reply(200, b' ' * (2 << 20))
        if isinstance(fault, tuple):
            raise Refused(*fault)
        token = self.headers.get('Authorization', '').removeprefix('Bearer ')
        if token not in gmail.tokens:
            raise Refused(401, 'authError', 'Invalid Credentials')
        answer = gmail.carry_out(self.command, url.path, query, self.headers, body)
        if fault == 'drop-after':
            raise Drop
        return self.reply(200, json.dumps(answer).encode())

    def do(self):
        try:
            body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
            self.handle_one(body)
        except Refused as refused:
            self.refuse(refused)
        except (Drop, OSError):
            self.close_connection = True
        except Exception as error:  # noqa: BLE001 - a test looks at it
            self.server.gmail.errors.append(error)
            self.close_connection = True

    do_GET = do_POST = do


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, gmail, context):
        self.gmail, self.context = gmail, context
        super().__init__(('127.0.0.1', 0), Handler)

    def finish_request(self, request, address):
        try:
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.context.wrap_socket(request, server_side=True) as secure:
                Handler(secure, address, self)
        except OSError:
            pass


class Gmail:
    def __init__(self, certificate, scopes=('insert',), tokens=('token',)):
        self.scopes, self.tokens = set(scopes), list(tokens)
        self.labels = {name: name for name in SYSTEM}  # name: id
        self.messages, self.requests, self.faults, self.errors = [], [], [], []
        self.hooks, self.refuse = {}, lambda octets: None
        self.lock = threading.Lock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, certificate))
        self.server = Listener(self, context)
        self.port = self.server.server_address[1]
        self.api = f'https://localhost:{self.port}'
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def need(self, *scopes):
        if not self.scopes & {*scopes, 'modify'}:
            raise Refused(403, 'insufficientPermissions', 'Insufficient Permission')

    def carry_out(self, verb, path, query, headers, body):
        if (verb, path) == ('POST', '/upload/gmail/v1/users/me/messages/import'):
            self.need('insert')
            return self.do_import(query, headers, body)
        if (verb, path) == ('GET', '/gmail/v1/users/me/messages'):
            self.need('readonly')
            return self.find(query['q'])
        if (verb, path) == ('GET', '/gmail/v1/users/me/labels'):
            self.need('labels', 'readonly')
            return {'labels': [{'id': number, 'name': name}
                               for name, number in self.labels.items()]}
        if (verb, path) == ('POST', '/gmail/v1/users/me/labels'):
            self.need('labels')
            name = json.loads(body)['name']
            self.labels[name] = f'Label_{len(self.labels)}'
            return {'id': self.labels[name], 'name': name}
        raise Refused(404, 'notFound', 'Not Found')

    def do_import(self, query, headers, body):
        boundary = re.fullmatch(r'multipart/related; boundary=(\S+)', headers['Content-Type'])[1]
        mark = b'--' + boundary.encode()
        start, head, message, end = (b'\r\n' + body).split(b'\r\n' + mark)
        assert start == b'' and end == b'--\r\n' and query['uploadType'] == 'multipart'
        kind, _, text = head.removeprefix(b'\r\n').partition(b'\r\n\r\n')
        assert kind == b'Content-Type: application/json; charset=UTF-8'
        kind, _, octets = message.removeprefix(b'\r\n').partition(b'\r\n\r\n')
        assert kind == b'Content-Type: message/rfc822'
        if len(octets) > MAX_OCTETS:
            raise Refused(413, 'uploadTooLarge', 'Request Entity Too Large')
        if 'before' in self.hooks:
            self.hooks['before'](self, octets)
        refusal = self.refuse(octets)
        if refusal:
            raise Refused(*refusal)
        names = {number: name for name, number in self.labels.items()}
        ids = json.loads(text)['labelIds']
        if any(number not in names for number in ids):
            raise Refused(400, 'invalidArgument', f'Invalid label: {ids}')
        with self.lock:
            self.messages.append({'labels': [names[number] for number in ids], 'octets': octets,
                                  'query': query})
        if 'stored' in self.hooks:
            self.hooks['stored'](self, octets)
        return {'id': str(len(self.messages)), 'threadId': '1', 'labelIds': ids}

    def find(self, text):
        wanted = text.removeprefix('rfc822msgid:')
        parser = email.parser.BytesHeaderParser()
        ids = [parser.parsebytes(message['octets']).get('Message-ID', '').strip(' <>')
               for message in self.messages]
        found = [{'id': str(n)} for n, one in enumerate(ids) if one == wanted]
        return {'messages': found, 'resultSizeEstimate': len(found)} if found else \
            {'resultSizeEstimate': 0}

    def octets(self):
        return [message['octets'] for message in self.messages]

    def count(self, text):
        return sum(1 for request in self.requests if request.endswith(text))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        assert not self.errors, self.errors

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def main():
    import pathlib
    import tempfile

    folder = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as place:
        cert, key = pathlib.Path(place) / 'cert.pem', pathlib.Path(place) / 'key.pem'
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                        'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert,
                        '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'],
                       check=True, capture_output=True)
        gmail = Gmail((cert, key), scopes=('insert', 'labels'))
        gmail.hooks['stored'] = lambda gmail, octets: (
            folder / f'{len(gmail.messages)}.eml').write_bytes(octets)
        print(f"--to gmail:INBOX --gmail-api {gmail.api} --to-ca {cert} "
              "--to-token-command 'echo token'", flush=True)
        gmail.thread.join()


if __name__ == '__main__':
    main()
