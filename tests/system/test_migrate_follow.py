"""`valija migrate --follow`: the service that moves mail by itself. The other server is one of
tests/hostile."""
import contextlib
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

import pytest

from office import NOBODY, PASSWORD, program, wait_until
from pop import Pop
from test_fetch_units import analyze
from test_migrate import (has_switched, mail_of, numbered, session, site, the_site,  # noqa: F401
                          wire_of)
from test_remote import add_remote_user

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / folder)
                for folder in ('hostile', 'stand_ins')]

from fetch_fixtures import serve  # noqa: E402,F401
from hostile import Cut, letter  # noqa: E402
from web_page import WebPage  # noqa: E402

FIELDS = {'migrate': 'old', 'remote_password': 'correct'}


UNIT = pathlib.Path(__file__).resolve().parents[2] / 'dist/systemd/valija-migrate.service.in'


class Follower:
    """`valija migrate --follow` at work, and what it says. before: what starts it."""
    def __init__(self, office, *options, before=()):
        self.office, self.options, self.before = office, options, before
        self.path = office.scratch / 'follow.log'
        self.start()

    def start(self):
        with self.path.open('ab') as log:
            self.process = subprocess.Popen(
                [*self.before,
                 *self.office._command(self.office.bin / 'valija', 'migrate', '-c',
                                       self.office.conf, '--follow', *self.options)],
                env=self.office.environment(), cwd='/', stderr=log)
        wait_until(lambda: self.process.poll() is not None or self.catches(signal.SIGTERM))

    def catches(self, number):
        status = pathlib.Path(f'/proc/{self.process.pid}/status').read_text()
        caught = int(status.split('SigCgt:')[1].split()[0], 16)
        return caught & 1 << number - 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.text()

    def kill(self):
        self.process.kill()
        self.process.wait(60)

    def text(self):
        return self.path.read_text()

    def wait(self, words, count=1):
        """What it says has these words so many times."""
        def look():
            assert self.process.poll() is None, self.text()
            return self.text().count(words) >= count
        try:
            wait_until(look, 60)
        except AssertionError as error:
            raise AssertionError(f'no "{words}" in: {self.text()}') from error


@pytest.fixture
def unlisted():
    """unlisted(office): its user carla, whose mail is to move, is of a database that cannot be
    listed."""
    if not program('valija-lookup-http').exists():
        pytest.skip('valija-lookup-http is not built')

    def answer(request):
        if b'carla' not in request.body:
            return 200, {'status': 'unknown'}
        fields = {'password': f'{{PLAIN}}{PASSWORD}', **FIELDS}
        return 200, {'version': 1, 'status': 'found', 'matched': 0, 'fields': fields}

    def make(office):
        token = office.dir / 'people.token'
        token.write_text('token\n')
        token.chmod(0o600)
        with office.conf.open('a') as conf:
            conf.write(f'\ndatabase "people" {{\n\tdriver = http\n\tsocket = "{page.socket}"\n'
                       f'\ttoken_file = "{token}"\n}}\n')
        return office
    folder = pathlib.Path(tempfile.mkdtemp(prefix='valija-people-'))
    folder.chmod(0o755)  # for the system user of the lookup process
    with WebPage(answer, socket=folder / 'socket') as page:
        yield make
    shutil.rmtree(folder)


def test_all_that_can_be_listed_move(site, serve):  # noqa: F811
    """Nobody logs in."""
    server = serve(numbered(1, 2, 3))
    office = the_site(site, server)
    with Follower(office) as follower:
        follower.wait('anna: 3 messages: the mail is here')
        assert has_switched(office)
    assert mail_of(office) == wire_of(numbered(1, 2, 3))
    assert server.retrieved == ['id-1', 'id-2', 'id-3']


@pytest.mark.parametrize('jobs', (1, 2))
def test_a_login_begins_the_move(site, serve, unlisted, jobs):  # noqa: F811
    """Of a user that no list has; it is over when the session is, without another call."""
    server = serve(numbered(1, 2, 3))
    office = unlisted(the_site(site, server, start=False)).start()
    with Follower(office, '--jobs', str(jobs)) as follower:
        follower.wait('anna: 3 messages: the mail is here')
        assert 'carla' not in follower.text()
        client = session(office, 'carla')
        follower.wait('carla: all messages are copied; a session is open')
        client.ok('DELE 2')
        client.quit()
        follower.wait('carla: 2 messages: the mail is here')
    assert mail_of(office, 'carla') == wire_of(numbered(1, 3))
    assert sorted(server.retrieved) == sorted(2 * ['id-1', 'id-2', 'id-3'])  # each user's, once


def test_a_login_while_the_service_was_away(site, serve, unlisted):  # noqa: F811
    office = unlisted(the_site(site, serve(numbered(1, 2)), start=False)).start()
    session(office, 'carla').quit()
    with Follower(office) as follower:
        follower.wait('carla: 2 messages: the mail is here')


def test_valijad_starts_anew(site, serve, unlisted):  # noqa: F811
    office = unlisted(the_site(site, serve(numbered(1, 2)), start=False)).start()
    with Follower(office) as follower:
        follower.wait('anna: 2 messages: the mail is here')
        office.restart()
        session(office, 'carla').quit()
        follower.wait('carla: 2 messages: the mail is here')
    assert mail_of(office, 'carla') == wire_of(numbered(1, 2))


def test_it_begins_while_valijad_is_away(site, serve):  # noqa: F811
    """All is copied; the switch comes when the sessions can be asked for."""
    server = serve(numbered(1, 2))
    office = the_site(site, server, start=False)
    with Follower(office) as follower:
        follower.wait('logins are not seen meanwhile, and nobody is switched')
        wait_until(lambda: len(server.retrieved) == 2)
        assert not has_switched(office)
        office.start()
        follower.wait('anna: 2 messages: the mail is here')
    assert follower.text().count('cannot reach valijad') == 1
    assert server.retrieved == ['id-1', 'id-2']


@pytest.mark.parametrize('times', (1, 4))
def test_killed_while_it_copies(site, serve, times):  # noqa: F811
    """Lost 0, twice 0, and what it had started ends."""
    server = serve(numbered(*range(1, 30)))
    office = the_site(site, server)
    follower = Follower(office)
    for n in range(times):
        retrieved = len(server.retrieved)
        wait_until(lambda: len(server.retrieved) > retrieved + 2 or has_switched(office))
        follower.kill()
        server.idle()  # the sessions there have ended
        follower.start()
    with follower:
        wait_until(lambda: has_switched(office))
    assert mail_of(office) == wire_of(numbered(*range(1, 30)))


@contextlib.contextmanager
def hanging(serve, count=3):  # noqa: F811
    """A server whose second message never ends, until over is set: (server, begun, over)."""
    begun, over = threading.Event(), threading.Event()

    def hang(at, number):
        if number != '2' or over.is_set():
            return False
        at.send(b'+OK\r\nSubject: slow\r\n')
        begun.set()
        while not over.is_set() and at.socket.recv(1):
            pass
        raise Cut
    yield serve(numbered(*range(1, count + 1)), hooks={'RETR': hang}), begun, over
    over.set()


def test_sigterm_while_it_copies(site, serve):  # noqa: F811
    with hanging(serve) as (server, begun, over):
        office = the_site(site, server)
        with Follower(office) as follower:
            assert begun.wait(60)
        assert follower.text().count('\n') == 0
        server.idle()  # nothing of it goes on
        over.set()
        with Follower(office) as follower:
            follower.wait('anna: 3 messages: the mail is here')
    assert server.retrieved == ['id-1', 'id-2', 'id-3']
    assert mail_of(office) == wire_of(numbered(1, 2, 3))


def logs_in(office, user='anna'):
    """A session, or None."""
    client = Pop(office.pop3)
    client.ok(f'USER {user}')
    if client.ask('PASS ' + PASSWORD).startswith('+OK'):
        return client
    client.close()
    return None


def test_a_client_goes_first(site, serve):  # noqa: F811
    with hanging(serve) as (server, begun, over):
        office = the_site(site, server)
        with Follower(office) as follower:
            assert begun.wait(60)
            client = wait_until(lambda: logs_in(office))
            over.set()
            client.ok('DELE 3')
            client.quit()
            follower.wait('anna: 2 messages: the mail is here')
    assert mail_of(office) == wire_of(numbered(1, 2))


def test_a_busy_user_does_not_keep_others(site, serve):  # noqa: F811
    office = the_site(site, serve(numbered(1, 2)), start=False)
    add_remote_user(office, 'berta', 'migrate=old remote_password=correct')
    office.start()
    client = session(office)
    with Follower(office, '--jobs', '1') as follower:
        follower.wait('anna: all messages are copied; a session is open')
        follower.wait('berta: 2 messages: the mail is here')
        assert not has_switched(office)
        client.quit()
        follower.wait('anna: 2 messages: the mail is here')


def test_a_server_that_is_down_and_comes_back(site, serve):  # noqa: F811
    refused = []

    def refuse(_):
        if len(refused) < 2:
            refused.append(1)
            raise Cut
    server = serve(numbered(1, 2), on_connect=refuse)
    office = the_site(site, server)
    with Follower(office) as follower:
        follower.wait('old: this server is reached again')
        follower.wait('anna: 2 messages: the mail is here')
    assert follower.text().count('its users wait') == 1
    assert follower.text().count('\n') == 4, follower.text()


def test_late_mail(site, serve):  # noqa: F811
    server = serve(numbered(1, 2))
    office = the_site(site, server)
    with Follower(office, '--every', '1') as follower:
        follower.wait('anna: 2 messages: the mail is here')
        server.messages.append(('id-3', letter(3)))
        follower.wait('anna: 1 messages came late')
        sessions = len(server.sessions)
        wait_until(lambda: len(server.sessions) > sessions + 1)  # passes go on
    assert follower.text().count('came late') == 1
    assert mail_of(office) == wire_of(numbered(1, 2, 3))


def test_a_login_that_is_refused_is_told_once(site, serve):  # noqa: F811
    server = serve(numbered(1))
    office = the_site(site, server)
    server.password = 'another'
    with Follower(office, '--every', '1') as follower:
        follower.wait('anna: the other server refuses the login')
        passes = len(server.sessions)
        server.password = 'correct'
        follower.process.send_signal(signal.SIGHUP)
        follower.wait('anna: 1 messages: the mail is here')
    assert follower.text().count('refuses the login') == 1 and passes


def test_sighup_looks_for_users_that_are_new(site, serve):  # noqa: F811
    office = the_site(site, serve(numbered(1)))
    with Follower(office) as follower:
        follower.wait('anna: 1 messages: the mail is here')
        add_remote_user(office, 'berta', 'migrate=old remote_password=correct')
        follower.process.send_signal(signal.SIGHUP)
        follower.wait('berta: 1 messages: the mail is here')


def test_without_a_control_socket_it_ends(site, serve):  # noqa: F811
    office = the_site(site, serve(numbered(1)), control=False)
    done = office.valija('migrate', '-c', office.conf, '--follow', check=False)
    assert done.returncode == 78 and 'no control.socket' in done.stderr


@pytest.mark.parametrize('options', (('--all',), ('--user', 'anna'), ('--dry-run',), ('--undo',),
                                     ('--wait', '1'), ('--stopped',), ('--accept-deleted',),
                                     ('--jobs', '0'), ('--every', '0')))
def test_options_that_do_not_go_with_it(site, serve, options):  # noqa: F811
    office = the_site(site, serve(numbered(1)), start=False)
    done = office.valija('migrate', '-c', office.conf, '--follow', *options, check=False)
    assert done.returncode == 64 and 'usage: valija migrate' in done.stderr


FOLLOW = """
import socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect(sys.argv[1])
link.sendall(b'1 logins migrate\\n')
print(link.makefile().readline())
"""


def test_logins_are_for_those_who_may_give_commands(site, serve, need_root):  # noqa: F811
    office = the_site(site, serve(numbered(1)))
    session(office).quit()

    def first_line(**whose):
        return subprocess.run([sys.executable, '-c', FOLLOW, f'{office.scratch}/control'],
                              capture_output=True, text=True, check=True, timeout=60,
                              **whose).stdout
    assert first_line().split('\t')[2:] == ['anna', 'old\n\n']
    assert first_line(user=NOBODY, group=NOBODY, extra_groups=()).startswith(
        'error\tthat is for root and the members of control.group')


def where(office, user='anna'):
    """As `valija user show` has it."""
    done = office.valija('user', 'show', '-c', office.conf, user)
    lines = re.findall(r'^mail that moves: (.*)$', done.stdout, re.M)
    assert len(lines) == 1, done.stdout
    return lines[0]


def test_where_the_mail_is(site, serve):  # noqa: F811
    office = the_site(site, serve(numbered(1, 2)))
    assert where(office) == 'there (old); nothing is copied yet'
    client = session(office)
    with Follower(office) as follower:
        follower.wait('anna: all messages are copied; a session is open')
        assert where(office) == 'there (old); 2 messages are copied here'
        client.quit()
        follower.wait('anna: 2 messages: the mail is here')
    assert re.fullmatch(r'here since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, from old', where(office))
    office.add_user('berta')
    assert 'mail that moves' not in office.valija('user', 'show', '-c', office.conf, 'berta').stdout
    office.conf.write_text(office.conf.read_text().replace('login = "demo"', 'login = "other"'))
    assert 'it cannot be told: ' in where(office) and 'another source' in where(office)


# ---- the unit ----

def unit(target):
    text = UNIT.read_text().replace('@bindir@/valija', str(program('valija')))
    text = text.replace('@configuration@', '/etc/valija/valija.conf')
    assert '@' not in re.sub(r'@(system-service|sandbox)\b', '', text)
    (target / 'valija-migrate.service').write_text(text)
    return target / 'valija-migrate.service'


def test_the_unit_is_understood(tmp_path):
    code, said = analyze('verify', '--man=no', unit(tmp_path))
    about = [line for line in said.splitlines() if str(tmp_path) in line]
    assert not about and (code == 0 or 'Failed to' in said), said


def test_the_unit_has_off_what_it_does_not_need(tmp_path):
    code, said = analyze('security', '--offline=yes', '--threshold=35', unit(tmp_path))
    if 'unrecognized option' in said:
        pytest.skip('this systemd-analyze does not judge files')
    assert code == 0, said


def test_the_units_capabilities_are_enough(site, serve, unlisted, need_root):  # noqa: F811
    """Of users that can be listed and of one that cannot, with maildrops that have to be made."""
    if not shutil.which('setpriv'):
        pytest.skip('setpriv is not here')
    words = re.findall(r'^CapabilityBoundingSet=(.*)$', UNIT.read_text(), re.M)
    wanted = [word.removeprefix('CAP_').lower() for word in ' '.join(words).split()]
    bound = ','.join(['-all', *(f'+{word}' for word in wanted)])
    office = unlisted(the_site(site, serve(numbered(1, 2)), start=False)).start()
    with Follower(office, before=('setpriv', '--no-new-privs', '--bounding-set', bound,
                                  '--inh-caps', bound)) as follower:
        follower.wait('anna: 2 messages: the mail is here')
        session(office, 'carla').quit()
        follower.wait('carla: 2 messages: the mail is here')
    assert office.valijad('-t', '-c', office.conf).returncode == 0
    assert mail_of(office) == wire_of(numbered(1, 2))
