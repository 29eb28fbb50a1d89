"""The parts that tests of sockets for an MTA share, whichever MTA or socket it is."""
import smtplib
import socket
import ssl


class Connection:
    """To a Unix socket, as a file in octets."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.file = self.socket.makefile('rb')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


def starter(make_office, listener, fixed=None):
    """start(…): a started office that listens at a path of its own for what the setting says, and
    the path."""
    def start(settings=None, aliases='', prepare=None, **more):
        office = make_office(start=False, **more)
        path = office.scratch / listener.split('.', maxsplit=1)[0]
        office.set(listener, f'"{path}"')
        (office.dir / 'aliases').write_text(aliases)
        office.set('lmtp.aliases', '"aliases"')
        for name, value in {**(fixed or {}), **(settings or {})}.items():
            office.set(name, value)
        if prepare:
            prepare(office)
        office.start()
        return office, path
    return start


def submitter(port, certificate, tls=True, timeout=60):
    """A mail program's connection to an MTA, under TLS if asked for."""
    client = smtplib.SMTP('127.0.0.1', port, timeout=timeout)
    client.ehlo()
    if tls:
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False
        client.starttls(context=context)
        client.ehlo()
    return client
