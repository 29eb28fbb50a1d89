"""A stand-in for qmail-pop3d, which Debian does not have, in an office that is not started: on its
ports, with its certificate, in its mail. It does what notqmail 1.09's does: messages of new and cur
in the order of their times, a message's name up to its colon is its unique id, sizes are those of
the files, and QUIT moves messages of new into cur.

    with QmailPop3(office) as qmail: qmail.uidl('demo')
"""
import ssl

from courier_pop3 import CourierPop3, Server


class QmailPop3(CourierPop3):
    def __init__(self, office):
        self.office = office
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(office.cert, office.cert.parent / 'key.pem')
        self.servers = [Server(self, office.pop3), Server(self, office.pop3s, context)]

    def messages(self, user):
        found = [path for folder in ('new', 'cur')
                 for path in (self.office.mail / user / folder).iterdir()
                 if not path.name.startswith('.')]
        return sorted(found, key=lambda path: (int(path.stat().st_mtime), path.name))

    def serve(self, user, connection):
        messages = self.messages(user)
        gone = set()
        stream = connection.makefile('rwb')

        def say(text):
            stream.write(text.encode('latin-1') + b'\r\n')
            stream.flush()

        def listing(argument, value):
            shown = [number for number in range(1, len(messages) + 1) if number not in gone]
            if argument:
                say(f'+OK {argument} {value(messages[int(argument) - 1])}')
                return
            say('\r\n'.join(['+OK ', *(f'{number} {value(messages[number - 1])}'
                                       for number in shown), '.']))

        def show(path):
            lines = path.read_bytes().decode('latin-1').split('\n')
            lines = lines[:-1] if lines[-1] == '' else lines
            say('\r\n'.join(['+OK ', *('.' + line if line.startswith('.') else line
                                       for line in lines), '', '.']))

        say('+OK ')
        while line := stream.readline(1024):
            verb, _, argument = line.decode().strip().partition(' ')
            verb = verb.lower()
            if verb == 'uidl':
                listing(argument, lambda path: path.name.partition(':')[0])
            elif verb == 'list':
                listing(argument, lambda path: path.stat().st_size)
            elif verb in ('retr', 'top'):
                show(messages[int(argument.split()[0]) - 1])
            elif verb == 'dele':
                gone.add(int(argument))
                say('+OK ')
            elif verb == 'stat':
                sizes = [path.stat().st_size for number, path in enumerate(messages, 1)
                         if number not in gone]
                say(f'+OK {len(sizes)} {sum(sizes)}')
            elif verb == 'quit':
                self.end(messages, gone)
                say('+OK ')
                return
            elif verb in ('noop', 'rset', 'last'):
                say('+OK ')
            else:
                say('-ERR unimplemented')

    @staticmethod
    def end(messages, gone):
        for number, path in enumerate(messages, 1):
            if number in gone:
                path.unlink(missing_ok=True)
            elif path.parent.name == 'new':
                path.rename(path.parent.parent / 'cur' / f'{path.name}:2,')
