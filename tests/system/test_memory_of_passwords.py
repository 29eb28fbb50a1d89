"""No process keeps a password when the session that sent it is over (threat 68): the memory of all
processes is searched for a part of it, in the clear and as the base64 that was sent. Without the
right to read the memory of others the tests are skipped."""
import base64
import contextlib
import secrets
import time

import pytest
from office import Office, sanitized

pytestmark = pytest.mark.release  # a sanitizer keeps freed memory as it was


def b64(*parts):
    return base64.b64encode('\0'.join(parts).encode()).decode()


def memory(pid):
    """The writable memory of a process, region by region; of one that ended meanwhile, none."""
    with contextlib.ExitStack() as files:
        try:
            maps = files.enter_context(open(f'/proc/{pid}/maps'))
            mem = files.enter_context(open(f'/proc/{pid}/mem', 'rb', 0))
            lines = maps.readlines()
        except (FileNotFoundError, ProcessLookupError):
            return
        for line in lines:
            span, rights = line.split()[:2]
            if not rights.startswith('rw'):
                continue
            start, end = (int(part, 16) for part in span.split('-'))
            try:
                mem.seek(start)
                yield line.strip(), mem.read(end - start)
            except OSError:
                continue


def where(office, needles):
    """Which processes hold any of the needles, and where."""
    found = []
    for pid, command in {office.process.pid: 'monitor', **office.children()}.items():
        for region, octets in memory(pid):
            for needle in needles:
                at = octets.find(needle)
                if at >= 0:
                    found.append(f'{command} {region} +{at}: {octets[max(0, at - 24):at + 48]!r}')
    return found


class Secret:
    """A password with the parts of it that are searched for: not the whole, so that a copy whose
    beginning was overwritten is found."""

    def __init__(self):
        self.text = secrets.token_hex(20)
        self.needles = [self.text[10:26].encode(), self.text[-14:].encode()]

    def sent(self, text):
        """The same for what was made of it; returns text."""
        self.needles += [text[-16:-2].encode(), text[len(text) // 2:len(text) // 2 + 14].encode()]
        return text


@pytest.fixture(scope='module')
def place():
    if sanitized():
        pytest.skip('the sanitizer keeps freed memory')
    with Office(users=()) as office:
        try:
            with open(f'/proc/{office.process.pid}/mem', 'rb') as mem:
                mem.read(0)
            for pid in office.children():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
                        open(f'/proc/{pid}/mem', 'rb'):
                    pass  # one that ended meanwhile has nothing to read
        except PermissionError:
            pytest.skip('no right to read the memory of the processes')
        yield office


def gone(office, secret):
    deadline = time.monotonic() + 3  # the end of a session goes through three processes
    while found := where(office, secret.needles):
        assert time.monotonic() < deadline, '\n'.join(found)
        time.sleep(0.1)


def pass_right(client, name, secret):
    client.ok(f'USER {name}')
    client.ok(f'PASS {secret.text}')
    client.quit()


def pass_wrong(client, name, secret):
    client.ok(f'USER {name}x')
    client.err(f'PASS {secret.text}')
    client.ask('QUIT')


def pass_with_other_commands(client, name, secret):
    client.send(f'CAPA\r\nUSER {name}\r\nPASS {secret.text}\r\nSTAT\r\nLIST\r\nQUIT\r\n')
    client.closed()


def pass_split(client, name, secret):
    client.send_split(f'USER {name}\r\nPASS {secret.text}\r\n'.encode(), (1,))
    client.line()
    client.line()
    client.quit()


def pass_behind_quit(client, name, secret):
    client.send(f'QUIT\r\nUSER {name}\r\nPASS {secret.text}\r\n')
    client.closed()


def pass_behind_stls(client, name, secret):
    client.send(f'STLS\r\nUSER {name}\r\nPASS {secret.text}\r\n')
    client.line()


def pass_too_long(client, name, secret):
    client.ok(f'USER {name}')
    client.send(f'PASS {secret.text * 40}\r\nQUIT\r\n')
    client.closed()


def pass_cut(client, name, secret):
    client.ok(f'USER {name}')
    client.send(f'PASS {secret.text}')


def pass_with_a_bare_line_end(client, name, secret):
    client.send(f'USER {name}\nPASS {secret.text}\n')


def pass_as_an_unknown_command(client, name, secret):
    client.err(f'PASSWORD {secret.text}')
    client.ask('QUIT')


def plain_at_once(client, name, secret):
    client.ok('AUTH PLAIN ' + secret.sent(b64('', name, secret.text)))
    client.quit()


def plain_asked(client, name, secret):
    client.ask('AUTH PLAIN')
    client.ok(secret.sent(b64('', name, secret.text)))
    client.quit()


def plain_wrong(client, name, secret):
    client.err('AUTH PLAIN ' + secret.sent(b64('', name + 'x', secret.text)))
    client.ask('QUIT')


def plain_that_is_no_base64(client, name, secret):
    client.ask('AUTH PLAIN')
    client.err(secret.sent(b64('', name, secret.text)) + '!!')
    client.ask('QUIT')


def plain_cut(client, name, secret):
    client.ask('AUTH PLAIN')
    client.send(secret.sent(b64('', name, secret.text))[:-1])


def plain_too_long(client, name, secret):
    client.ask('AUTH PLAIN')
    client.send(secret.sent(b64('', name, secret.text)) * 200 + '\r\n')
    client.ask('QUIT')


def login(client, name, secret):
    client.ask('AUTH LOGIN')
    client.ask(b64(name))
    client.ok(secret.sent(b64(secret.text)))
    client.quit()


def login_wrong(client, name, secret):
    client.ask('AUTH LOGIN')
    client.ask(b64(name + 'x'))
    client.err(secret.sent(b64(secret.text)))
    client.ask('QUIT')


CASES = (pass_right, pass_wrong, pass_with_other_commands, pass_split, pass_behind_quit,
         pass_too_long, pass_cut, pass_with_a_bare_line_end, pass_as_an_unknown_command,
         plain_at_once, plain_asked, plain_wrong, plain_that_is_no_base64, plain_cut,
         plain_too_long, login, login_wrong)


@pytest.mark.parametrize('tls', [None, True], ids=['clear', 'tls'])
@pytest.mark.parametrize('case', CASES, ids=lambda case: case.__name__)
def test_threat_68_a_password_is_nowhere_after_its_session(place, connect, case, tls):
    secret = Secret()
    name = f'u{secrets.token_hex(4)}'
    place.add_user(name, secret.text, 'SHA512-CRYPT')
    client = connect(place, tls)
    case(client, name, secret)
    client.close()
    gone(place, secret)


def test_threat_68_what_comes_behind_stls(place, connect):
    secret = Secret()
    client = connect(place)
    pass_behind_stls(client, 'somebody', secret)
    client.close()
    gone(place, secret)


def test_the_search_finds_what_is_there(place, connect):
    """The control: half a line that waits for its end is in a front's memory."""
    secret = Secret()
    client = connect(place)
    pass_cut(client, 'somebody', secret)
    deadline = time.monotonic() + 5
    while not where(place, secret.needles[:1]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.close()
    gone(place, secret)
