"""`valija migrate`: mail moves here from a POP3 server that lives, and clients load nothing again.
The other server is a second valijad, a real Dovecot, or one of tests/hostile."""
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from dovecot_pop3 import DovecotPop3, usable
from moving import KINDS, client_of, needs
from office import PASSWORD, dead_port, free_port, wait_until
from pop import Pop
from test_mta_sasl import child
from test_remote import MESSAGES, THERE, add_remote_user, section

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import serve  # noqa: E402,F401
from hostile import Cut, letter, wire_form  # noqa: E402

FIELDS = f'migrate=old remote_user=there remote_password={THERE}'


@pytest.fixture
def upstream(make_office):
    """The other server: a valijad with the user there (password: THERE), who has MESSAGES."""
    other = make_office(start=False, users=(), hostname='other.test')
    other._add_line(f'there:{{PLAIN}}{THERE}\n')
    other.put_many('there', MESSAGES)
    return other.start()


@pytest.fixture
def site(make_office):
    """site(port of the other server): the server that the mail of anna moves to."""
    def make(port, fields=FIELDS, start=True, settings=None, control=True, **more):
        office = make_office(start=False, users=(), settings=settings)
        with office.conf.open('a') as conf:
            conf.write(section(port, **more))
            if control:
                conf.write(f'\ncontrol {{\n\tsocket = "{office.scratch}/control"\n}}\n')
        add_remote_user(office, 'anna', fields)
        return office.start() if start else office
    return make


def migrate(office, *args, good=(0,), wait=0):
    done = office.valija('migrate', '-c', office.conf, '--wait', wait, '--user', 'anna', *args,
                         check=False)
    assert done.returncode in good, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def session(office, user='anna', password=PASSWORD):
    client = Pop(office.pop3)
    client.login(user, password)
    return client


def mail_of(office, user='anna', password=PASSWORD):
    """Unique ids and octets, in the order of the session."""
    with session(office, user, password) as client:
        ids = client.uidl()
        mail = [(uid, client.retr(number)) for number, uid in ids.items()]
        client.quit()
    return mail


def has_switched(office):
    return (office.mail / 'anna/valija-migrated').exists()


def test_mail_moves_here_with_its_ids(upstream, site):
    before = mail_of(upstream, 'there', THERE)
    office = site(upstream.pop3)
    assert mail_of(office) == before  # by the connector
    assert '1 users, 3 messages, 3 of them to be copied, 0 would be loaded again' in \
        migrate(office, '--dry-run')
    assert not (office.mail / 'anna').exists()
    assert 'anna: 3 messages: the mail is here' in migrate(office)
    assert has_switched(office)
    upstream.stop()
    assert mail_of(office) == before


# ---- sessions while it moves ----

def numbered(*numbers, **more):
    return [(f'id-{n}', letter(n, **more)) for n in numbers]


def wire_of(messages):
    return [(uid, wire_form(octets)) for uid, octets in messages]


def test_no_switch_while_a_session_is_open(site, serve):  # noqa: F811
    server = serve(numbered(*range(1, 6)))
    office = the_site(site, server)
    client = session(office)
    client.ok('DELE 2')
    assert 'a session is open' in migrate(office, good=(75,))
    assert not has_switched(office) and len(server.retrieved) == 5
    client.quit()
    assert server.deleted == ['id-2']
    migrate(office)
    assert len(server.retrieved) == 5  # none twice
    assert mail_of(office) == wire_of(numbered(1, 3, 4, 5))


def test_no_switch_while_nobody_knows_whose_a_session_is(site, serve):  # noqa: F811
    """auth was started anew meanwhile: it knows that a session is open, and not whose."""
    server = serve(numbered(1, 2, 3))
    office = the_site(site, server)
    office.allow('auth', 'is gone')
    client = session(office)
    old = child(office, 'auth')
    os.kill(old, signal.SIGKILL)

    def is_back():
        return old not in office.children() and \
            ' mail ' in office.valija('who', '-c', office.conf, check=False).stdout
    wait_until(is_back)
    assert 'a session is open' in migrate(office, good=(75,))
    client.ok('DELE 2')
    client.quit()
    migrate(office)
    assert mail_of(office) == wire_of(numbered(1, 3))


def the_site(site, server, **more):
    """A site whose anna has the maildrop of that server of tests/hostile."""
    server.password = 'correct'
    office = site(server.port, login='demo', fields='migrate=old remote_password=correct', **more)
    office.allow('maildrop-failed', 'deletions-failed', 'is down', r'old/anna: ')
    return office


def test_the_copying_gives_way_to_a_client(site, serve):  # noqa: F811
    """The message that is being copied never ends, and a client is served all the same."""
    begun, over = threading.Event(), threading.Event()

    def hang(session, number):
        if number != '2' or over.is_set():
            return False
        session.send(b'+OK\r\nSubject: slow\r\n')
        begun.set()
        while not over.is_set() and session.socket.recv(1):
            pass
        raise Cut
    server = serve(numbered(1, 2, 3), hooks={'RETR': hang})
    office = the_site(site, server)
    output = []
    thread = threading.Thread(target=lambda: output.append(migrate(office, good=(75,))))
    thread.start()
    begun.wait(60)

    def logs_in():
        client = Pop(office.pop3)
        client.ok('USER anna')
        if client.ask('PASS ' + PASSWORD).startswith('+OK'):
            return client
        client.close()
    client = wait_until(logs_in)
    thread.join(60)
    assert 'anna: a client wants the maildrop: call this again later' in output[0]
    client.quit()
    over.set()
    assert server.retrieved == ['id-1']  # whole, and kept
    migrate(office)
    assert server.retrieved == ['id-1', 'id-2', 'id-3']
    assert mail_of(office) == wire_of(numbered(1, 2, 3))


def test_a_login_during_the_copying_opens_there(site, serve):  # noqa: F811
    server = serve(numbered(1, 2))
    office = the_site(site, server)
    client = session(office)
    assert client.retr(1) == wire_form(letter(1))
    client.quit()
    assert mail_of(office) == wire_of(numbered(1, 2))
    assert not (office.mail / 'anna').exists()  # a login makes nothing


# ---- what the other server does wrong ----

@pytest.mark.parametrize('size', (1, 100000))
def test_guesses_of_sizes_do_not_matter(site, serve, size):  # noqa: F811
    def guess(session, _):
        session.multi('+OK', [f'{n} {size}' for n, _, _ in session.listed()])
        return True
    messages = numbered(1, 2, 3)
    office = the_site(site, serve(messages, hooks={'LIST': guess}))
    migrate(office)
    assert mail_of(office) == wire_of(messages)


def test_one_message_that_cannot_be_had_keeps_the_mail_there(site, serve):  # noqa: F811
    mended = []
    server = serve(numbered(1, 2, 3), hooks={
        'RETR': lambda s, n: n == '2' and not mended and (s.line('-ERR lost it') or True)})
    office = the_site(site, server)
    said = migrate(office, good=(75,))
    assert '1 of 3 messages cannot be had' in said and 'message 2 (id-2)' in said
    assert 'lost it' in said and not has_switched(office)
    assert server.retrieved == ['id-1', 'id-3']
    mended.append(True)
    migrate(office)
    assert server.retrieved == ['id-1', 'id-3', 'id-2']
    assert mail_of(office) == wire_of(numbered(1, 2, 3))


def test_one_id_for_two_messages_is_refused(site, serve):  # noqa: F811
    office = the_site(site, serve([('same', letter(1)), ('same', letter(2))]))
    said = migrate(office, good=(75,))
    assert 'messages 1 and 2 one unique id (same)' in said
    assert not has_switched(office)


def test_ids_that_all_changed(site, serve):  # noqa: F811
    server = serve(numbered(*range(1, 13)))
    office = the_site(site, server)
    client = session(office)
    migrate(office, good=(75,))
    client.quit()
    server.messages[:] = [(f'new-{uid}', octets) for uid, octets in server.messages]
    migrate(office)
    assert mail_of(office) == wire_of([(f'new-id-{n}', letter(n)) for n in range(1, 13)])


def test_a_maildrop_that_is_empty_all_at_once(site, serve):  # noqa: F811
    server = serve(numbered(*range(1, 13)))
    office = the_site(site, server)
    client = session(office)
    migrate(office, good=(75,))
    client.quit()
    server.messages[:] = []
    said = migrate(office, good=(75,))
    assert 'none of the 12 messages that were copied' in said and '--accept-deleted' in said
    assert not has_switched(office)
    migrate(office, '--accept-deleted')
    assert mail_of(office) == []


def test_a_wrong_password(upstream, site):
    office = site(upstream.pop3, fields='migrate=old remote_user=there remote_password=wrong')
    said = migrate(office, good=(75,))
    assert 'anna: the other server refuses the login' in said and '1 users failed' in said


def test_a_server_that_is_not_there(site):
    assert 'anna: cannot connect to 127.0.0.1' in migrate(site(dead_port()), good=(75,))


CUTS = [1, 8, 40, 90, 140, 200, 300, 420, 500, 700, 900, 1100, 1300, 1500]


def test_cut_behind_octets(site, serve):  # noqa: F811
    """Cut anywhere, again and again, it goes on: lost 0, twice 0."""
    server = serve(numbered(1, 2, 3))
    office = the_site(site, server)
    for cut in CUTS:
        server.cut_after = cut
        migrate(office, good=(0, 75))
    server.cut_after = None
    migrate(office)
    assert mail_of(office) == wire_of(numbered(1, 2, 3))
    assert sorted(set(server.retrieved)) == ['id-1', 'id-2', 'id-3']


@pytest.mark.parametrize('calls', range(5))
def test_killed_again_and_again(site, serve, calls):  # noqa: F811
    """The processes of the command are killed at any moment; the unit tests do it at each call."""
    server = serve(numbered(*range(1, 30)))
    office = the_site(site, server)
    for n in range(3):
        retrieved = len(server.retrieved)
        process = subprocess.Popen(
            office._command(office.bin / 'valija', 'migrate', '-c', office.conf, '--user', 'anna',
                            '--wait', '0'), env=office.environment(), cwd='/')
        wait_until(lambda: len(server.retrieved) > retrieved + 5 * calls or
                   process.poll() is not None)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        server.idle()
    wait_until(lambda: 'has it' not in migrate(office, good=(0, 75)))
    assert mail_of(office) == wire_of(numbered(*range(1, 30)))


# ---- the maildrop here ----

def test_a_maildrop_that_has_mail_already(upstream, site):
    there = mail_of(upstream, 'there', THERE)
    office = site(upstream.pop3, start=False)
    office.put_many('anna', [b'Subject: old\n\nhere before\n'])
    office.start()
    migrate(office)
    after = mail_of(office)
    assert [mail for mail in after if mail in there] == there and len(after) == 4


def test_a_maildrop_of_dovecot_is_for_import(upstream, site):
    office = site(upstream.pop3, start=False)
    office.put_many('anna', [b'Subject: old\n\nhere before\n'])
    (office.mail / 'anna/dovecot-uidlist').write_text('3 V1 N1 G0\n')
    office.own(office.mail / 'anna/dovecot-uidlist')
    assert 'valija import dovecot' in migrate(office, '--stopped', good=(75,))


def test_late_mail_comes_once_and_what_was_deleted_here_stays_deleted(site, serve):  # noqa: F811
    server = serve(numbered(1, 2, 3))
    office = the_site(site, server)
    migrate(office)
    client = session(office)
    client.ok('DELE 1')
    client.quit()
    server.messages.append(('id-4', letter(4)))
    assert '1 messages came late' in migrate(office)
    assert 'came late' not in migrate(office)
    assert mail_of(office) == wire_of(numbered(2, 3, 4))
    assert server.deleted == []
    # a client that holds on to the other server deletes there: nothing is deleted here
    server.messages[:] = []
    migrate(office)
    assert mail_of(office) == wire_of(numbered(2, 3, 4))


def test_nothing_is_deleted_there_unless_told_to(site, serve):  # noqa: F811
    server = serve(numbered(1, 2, 3))
    office = the_site(site, server)
    migrate(office)
    assert server.deleted == [] and len(server.messages) == 3
    server.messages.append(('id-4', letter(4)))
    assert '4 messages were deleted there' in migrate(office, '--delete-there')
    assert server.deleted == [f'id-{n}' for n in range(1, 5)]
    assert mail_of(office) == wire_of(numbered(1, 2, 3, 4))


def test_a_refused_deletion_there_is_told(site, serve):  # noqa: F811
    server = serve(numbered(1, 2), hooks={'QUIT': lambda s, _: s.line('-ERR not now') or True})
    office = the_site(site, server)
    said = migrate(office, '--delete-there')
    assert 'it is not known what was deleted there: ' in said and 'not now' in said
    assert mail_of(office) == wire_of(numbered(1, 2))


def test_undo_takes_the_copies_back(site, serve):  # noqa: F811
    server = serve(numbered(1, 2, 3))
    office = the_site(site, server)
    client = session(office)
    migrate(office, good=(75,))
    assert '3 copies would be removed' in migrate(office, '--undo', '--dry-run')
    assert '3 copies were removed' in migrate(office, '--undo')
    client.quit()
    assert not [path for path in (office.mail / 'anna').iterdir() if 'migrat' in path.name]
    assert mail_of(office) == wire_of(numbered(1, 2, 3))
    migrate(office)
    assert mail_of(office) == wire_of(numbered(1, 2, 3))
    assert 'the mail is here since the switch' in migrate(office, '--undo', good=(75,))


def test_another_section_is_another_source(site, serve):  # noqa: F811
    server = serve(numbered(1, 2))
    office = the_site(site, server)
    client = session(office)
    migrate(office, good=(75,))
    client.quit()
    office.conf.write_text(office.conf.read_text().replace('login = "demo"', 'login = "other"'))
    assert 'is of another source' in migrate(office, good=(75,))


# ---- settings ----

def test_same_has_no_password_in_the_background(upstream, site):
    office = site(upstream.pop3, fields='migrate=old', credentials='same', start=False)
    assert 'credentials = same' in migrate(office, good=(75,))
    assert 'credentials = same' in office.valijad('-t', '-c', office.conf).stderr


def test_a_section_that_is_not_there(upstream, site):
    office = site(upstream.pop3, fields='migrate=elsewhere', start=False)
    assert 'no section remote "elsewhere"' in migrate(office, good=(75,))


def test_without_the_socket_of_control_nothing_switches(upstream, site):
    office = site(upstream.pop3, control=False)
    said = migrate(office, good=(75,))
    assert 'control.socket' in said and not has_switched(office)
    migrate(office, '--stopped')
    assert has_switched(office)


def test_users_without_the_field_are_left_alone(upstream, site):
    office = site(upstream.pop3)
    office._add_line(f'berta:{{PLAIN}}{PASSWORD}\n')
    done = office.valija('migrate', '-c', office.conf, '--all', '--wait', 0)
    assert '1 users, 3 messages' in done.stdout and not (office.mail / 'berta').exists()
    done = office.valija('migrate', '-c', office.conf, '--user', 'berta', check=False)
    assert 'no mail of this user moves here' in done.stderr


def test_the_field_of_a_database(upstream, site):
    """Of a passwd-file that a process of its own asks: all databases have the same fields."""
    office = site(upstream.pop3, start=False)
    people = office.dir / 'people'
    people.write_text(f'carla:{{PLAIN}}{PASSWORD}::::::{FIELDS}\n')
    people.chmod(0o644)
    with office.conf.open('a') as conf:
        conf.write(f'database "people" {{\n\tdriver = passwd-file\n\tfile = "{people}"\n}}\n')
    office.start()
    before = mail_of(upstream, 'there', THERE)
    assert mail_of(office, 'carla') == before
    done = office.valija('migrate', '-c', office.conf, '--user', 'carla')
    assert 'carla: 3 messages: the mail is here' in done.stdout
    upstream.stop()
    assert mail_of(office, 'carla') == before


# ---- clients ----

@pytest.mark.parametrize('kind', KINDS, ids=lambda kind: kind.__name__.lower())
def test_clients_load_nothing_again_from_dovecot(make_office, kind):
    """Dovecot goes on behind us at another port, clients stay where they were."""
    needs(kind)
    if not usable():
        pytest.skip('Dovecot is not installed, or this is not root')
    old = make_office(start=False)
    old.put_many('demo', MESSAGES)
    with DovecotPop3(old):
        client = client_of(kind, old)
        assert len(client.fetch(keep=True)) == 3 and client.fetch(keep=True) == []
    office = make_office(start=False, users=(), ports=(old.pop3, old.pop3s, free_port()))
    old.pop3, old.pop3s = free_port(), free_port()
    password = office.scratch / 'password'
    password.write_text(PASSWORD + '\n')
    password.chmod(0o600)
    with office.conf.open('a') as conf:
        conf.write(section(old.pop3, password_file=password))
        conf.write(f'\ncontrol {{\n\tsocket = "{office.scratch}/control"\n}}\n')
    add_remote_user(office, 'demo', 'migrate=old')
    with DovecotPop3(old):
        office.start()
        assert client.fetch(keep=True) == []  # by the connector
        office.put('demo', b'Subject: here\n\nfrom here\n')
        assert len(client.fetch(keep=True)) == 1 and client.fetch(keep=True) == []  # from both
        old.put('demo', b'Subject: late\n\nfrom there\n')
        done = office.valija('migrate', '-c', office.conf, '--all', '--wait', 0)
        assert 'demo: 4 messages: the mail is here' in done.stdout
    assert len(client.fetch(keep=True)) == 1
    assert client.fetch(keep=True) == []
