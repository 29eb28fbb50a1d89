"""A client of the auth protocol that MTAs speak: every line is seen and can be sent anyhow."""
import base64
import shutil
import socket

from office import PASSWORD

TIMEOUT = 30


class Asker:
    def __init__(self, place, greet=True, process=4711):
        family = socket.AF_INET if isinstance(place, tuple) else socket.AF_UNIX
        self.socket = socket.socket(family)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(place if isinstance(place, tuple) else str(place))
        self.file = self.socket.makefile('rb')
        self.greeting = []
        if greet:
            while not self.greeting or self.greeting[-1] != 'DONE':
                self.greeting.append(self.line())
            self.send('VERSION\t1\t0', f'CPID\t{process}')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, *lines):
        self.socket.sendall(''.join(line + '\n' for line in lines).encode('latin-1'))

    def line(self):
        """The next line; '' at the end of the connection."""
        try:
            return self.file.readline().decode().rstrip('\n')
        except ConnectionResetError:
            return ''

    def mechanisms(self):
        return [line.split('\t')[1] for line in self.greeting if line.startswith('MECH\t')]

    def start(self, number, mechanism, *parameters, response=None):
        fields = ['AUTH', str(number), mechanism, 'service=smtp', *parameters]
        if response is not None:
            fields.append('resp=' + encode(response))
        self.send('\t'.join(fields))

    def respond(self, number, response):
        self.send(f'CONT\t{number}\t{encode(response)}')

    def plain(self, number, user='demo', password=PASSWORD, *parameters):
        """PLAIN under TLS."""
        self.start(number, 'PLAIN', *(parameters or ('secured',)),
                   response=f'\0{user}\0{password}')


def add_database_that_is_down(office):
    """… with the users of away.example: its program ends as soon as it starts."""
    office._lend_programs()  # pylint: disable=protected-access
    shutil.copy('/bin/false', office.bin / 'valija-lookup-system')
    with office.conf.open('a') as file:
        file.write('\ndatabase "away" {\n\tdriver = "system"\n\tdomains = {"away.example"}\n}\n')
    office.allow('lookup', 'away')


def encode(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def decode(line):
    """The challenge of a CONT line."""
    verb, _, text = line.split('\t')
    assert verb == 'CONT', line
    return base64.b64decode(text)
