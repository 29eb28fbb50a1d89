"""`valija explain`: nothing was turned on before, and the story names the cause and what to do. One
test a kind of trouble."""
import base64
import json
import os
import re
import ssl
import subprocess
import time

import pytest
from lmtp import Lmtp
from office import NOBODY, PASSWORD, program, wait_until

MESSAGE = b'Subject: one\r\n\r\nbody\r\n'


@pytest.fixture
def steered(make_office):
    """A started office with a control socket."""
    def start(settings=None, lines=(), **more):
        office = make_office(start=False, users=more.pop('users', ('demo', 'anna')), **more)
        office.control = office.scratch / 'control'
        office.set('control.socket', f'"{office.control}"')
        for name, value in (settings or {}).items():
            office.set(name, value)
        users = office.dir / 'users'
        for old, new in lines:
            users.write_text(users.read_text().replace(old, new))
        office.start()
        return office
    return start


def explain(office, target, *options, check=True):
    return office.valija('explain', '-c', office.conf, *options, target, check=check).stdout


def told(office, target, *patterns):
    """The story, once it has all patterns, in their order."""
    whole = re.compile('.*'.join(f'(?:{pattern})' for pattern in patterns), re.S)
    story = explain(office, target)
    deadline = time.monotonic() + 10
    while not whole.search(story) and time.monotonic() < deadline:
        time.sleep(0.05)
        story = explain(office, target)
    assert whole.search(story), f'no {patterns} in:\n{story}'
    return story


def attempt(connect, office, user='anna', password=PASSWORD, **more):
    """A login; returns the answer to PASS."""
    with connect(office, **more) as pop:
        pop.ok(f'USER {user}')
        return pop.ask(f'PASS {password}')


def test_a_login_that_came_through(steered, connect):
    office = steered()
    with connect(office) as pop:
        pop.login('anna', PASSWORD)
        pop.quit()
    story = told(office, 'anna', 'connected to pop3 from 127.0.0.1',
                 'tries to log in as anna by USER', 'the login of anna was right',
                 'maildrop of anna was opened in', 'session of anna ended', 'WHAT TO DO',
                 'nothing went wrong')
    assert re.search(r'^  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d\d\d  connected', story, re.M)
    session = re.search(r'^session (\S+)$', story, re.M).group(1)
    assert explain(office, session) == story
    assert 'anna' in explain(office, '127.0.0.1')


def test_a_wrong_password(steered, connect):
    office = steered()
    assert attempt(connect, office, password='letmein').startswith('-ERR [AUTH]')
    story = told(office, 'anna', 'login as anna was refused: wrong password', 'answered -ERR after',
                 'WHAT TO DO', 'valija user passwd anna')
    assert 'letmein' not in story and 'letmein' not in explain(office, 'anna', '--json')


def test_an_unknown_user(steered, connect):
    office = steered()
    attempt(connect, office, user='annna')
    told(office, 'annna', 'login as annna was refused: unknown user', 'WHAT TO DO',
         'valija user add annna')


def test_a_user_with_nologin(steered, connect):
    entry = f'anna:{{PLAIN}}{PASSWORD}'
    office = steered(lines=((entry, f'{entry}::::::nologin'),))
    attempt(connect, office)
    told(office, 'anna', 'refused: no login for this user: nologin in the entry', 'WHAT TO DO',
         'the entry of anna has `nologin`')


def test_a_network_that_is_not_allowed(steered, connect):
    office = steered(lines=((f'anna:{{PLAIN}}{PASSWORD}',
                             f'anna:{{PLAIN}}{PASSWORD}::::::allow_nets=192.0.2.0/24'),))
    attempt(connect, office)
    told(office, 'anna', 'refused: not from a network of allow_networks', 'WHAT TO DO',
         'and 127.0.0.1 is in none of them')


def test_an_app_password_that_has_expired(steered, connect):
    office = steered()
    password = office.valija('user', 'app', 'add', '-c', office.conf, 'anna', '--label', 'phone',
                             '--expires', '1h').stdout.split()[-1]
    path = next(office.dir.glob('*app-passwords*'))
    path.write_text(re.sub(r'expires=\d+', f'expires={int(time.time()) - 1}', path.read_text()))
    attempt(connect, office, password=password)
    told(office, 'anna', 'refused: the app password phone has expired', 'WHAT TO DO',
         'valija user app list anna')


def test_a_maildrop_in_use(steered, connect):
    office = steered()
    office.put('anna', b'Subject: one\n\ntext\n')
    with connect(office) as holder:
        holder.login('anna', PASSWORD)
        assert attempt(connect, office).startswith('-ERR [IN-USE]')
        story = told(office, 'anna', r'in use: session \S+ has it open since \d{4}-\S+ \S+ UTC, '
                     r'from 127\.0\.0\.1, idle for \d+ ms', 'WHAT TO DO', r'valija kick \S+`')
        session = re.search(r'valija kick (\S+)`', story).group(1)
        office.valija('kick', '-c', office.conf, session)
        assert holder.closed() == b''
    wait_until(lambda: attempt(connect, office).startswith('+OK'))
    told(office, 'anna', 'WHAT TO DO', 'the last login came through',
         'ended the session by `valija kick`')


def test_clear_text_without_tls(steered, connect):
    office = steered({'login.plain_on_loopback': 'no'})
    with connect(office) as pop:
        assert 'TLS' in pop.ask('USER anna')
    story = told(office, '127.0.0.1', 'ended after .* without a login: no login in clear text',
                 'WHAT TO DO', r'SSL/TLS \(port 995\)')
    assert 'anna' not in story  # the name was never asked for


def test_a_certificate_that_the_client_refuses(steered, connect):
    office = steered()
    with connect(office, tls=True) as pop:  # the person was here before
        pop.login('anna', PASSWORD)
    with pytest.raises(ssl.SSLError):
        connect(office, tls=ssl.create_default_context())
    for target in ('127.0.0.1', 'anna'):
        told(office, target, 'the TLS handshake failed: .*alert', 'WHAT TO DO',
             'does not accept the certificate')


def test_penalties(steered, connect):
    office = steered({'login.failure_delay': '200ms', 'login.failure_delay_max': '1s'})
    with connect(office) as pop:
        for _ in range(2):
            pop.ok('USER anna')
            pop.err('PASS wrong')
    told(office, 'anna',
         r'the answer is held back for \d{3,4} ms: failed logins of this connection: [12]',
         'WHAT TO DO', 'make each further one slower')


def test_too_many_sessions_and_connections(steered, connect):
    office = steered({'limits.sessions_per_user': '1', 'limits.connections_per_address': '2'})
    with connect(office) as first:
        first.login('anna', PASSWORD)
        assert attempt(connect, office).startswith('-ERR')
        told(office, 'anna', 'refused: too many sessions of this user', 'WHAT TO DO',
             'valija who anna')


def test_a_database_that_is_down(steered, connect):
    if not program('valija-lookup-http').exists():
        pytest.skip('valija-lookup-http is not built')
    office = steered(users=('demo',))
    secret = office.dir / 'token'
    secret.write_text('secret\n')
    secret.chmod(0o600)
    with office.conf.open('a') as conf:
        conf.write(f'\ndatabase "shop" {{\n\tdriver = "http"\n\ttoken_file = "{secret}"\n'
                   f'\tsocket = "{office.scratch}/nobody"\n\ttimeout = 2s\n}}\n')
    office.allow('database shop')
    office.reload()
    assert attempt(connect, office, user='carla').startswith('-ERR [SYS/TEMP]')
    told(office, 'carla', r'database shop is down: .*, after \d+ ms',
         'could not be judged: the user database is down', 'WHAT TO DO',
         'database shop does not answer')


def test_mail_that_is_not_mounted(steered, connect):
    office = steered()
    office.put('anna', b'Subject: here\n\nx\n')
    assert attempt(connect, office).startswith('+OK')
    office.stop()
    office.mail.rename(office.mail.with_name('mail.disk'))
    office.mail.mkdir(mode=0o755)
    os.chown(office.mail, office.mail.with_name('mail.disk').stat().st_uid,
             office.mail.with_name('mail.disk').stat().st_gid)
    office.allow('mail folder', 'mount')
    office.start()
    assert attempt(connect, office).startswith('-ERR [SYS/TEMP]')
    told(office, 'anna', 'the maildrop anna of anna cannot be used: .*mail folder', 'WHAT TO DO',
         'mount its filesystem')


def test_a_delivery_and_one_over_quota(steered):
    office = steered({'quota.messages': '1'})
    with Lmtp(office.lmtp) as client:
        assert client.deliver(MESSAGE, 'anna@office.test')[0].startswith('250')
        assert client.ask('MAIL FROM:<carol@example.com>').startswith('250')
        assert client.ask('RCPT TO:<anna@office.test>').startswith('452')
    told(office, 'anna', 'a message of .* octets from carol@example.com was delivered to anna',
         'mail from carol@example.com to anna@office.test was refused: .*full', 'WHAT TO DO',
         'raise the quota')


def test_nobody_came(steered):
    office = steered()
    story = explain(office, 'anna')
    assert 'There is nothing about anna' in story and 'right host and port' in story
    assert re.search(r'remembers back to \d{4}-', story)


def test_json(steered, connect):
    office = steered()
    attempt(connect, office, password='wrong')
    told(office, 'anna', 'wrong password')
    told_as_json = json.loads(explain(office, 'anna', '--json'))
    events = told_as_json['events']
    assert [event['v'] for event in events] == [1] * len(events)
    refused = next(event for event in events if event['event'] == 'login-refused')
    assert refused['user'] == 'anna' and refused['reason'] == 'wrong password'
    assert refused['from'] == '127.0.0.1' and refused['session'] == events[0]['session']
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', refused['time'])
    assert any('valija user passwd anna' in words for words in told_as_json['advice'])
    assert json.loads(explain(office, 'nobody', '--json'))['events'] == []


def test_a_crash_leaves_what_was_recorded(steered, connect):
    """The next process of the role records on behind."""
    office = steered()
    attempt(connect, office, password='wrong')
    told(office, 'anna', 'wrong password')
    office.allow('auth', 'ended by signal')
    pid = next(pid for pid, name in office.children().items() if 'auth' in name)
    os.kill(pid, 9)
    wait_until(lambda: pid not in office.children())
    wait_until(lambda: attempt(connect, office).startswith('+OK'))
    told(office, 'anna', 'refused: wrong password', 'the login of anna was right',
         'the last login came through')


def test_a_reload_leaves_it_too(steered, connect):
    office = steered()
    attempt(connect, office, password='wrong')
    office.reload()
    wait_until(lambda: attempt(connect, office).startswith('+OK'))
    told(office, 'anna', 'refused: wrong password', 'the login of anna was right')


def test_threat_117_names_cannot_write_into_the_story(steered, connect):
    """A client's name with escape sequences and forged fields."""
    office = steered()
    with connect(office) as pop:
        secret = base64.b64encode(b'\0"\t\x1b[2Jx\\\xc3\xa9\xff\0wrong').decode()
        pop.err(f'AUTH PLAIN {secret}')
    story = told(office, '127.0.0.1', r'refused: unknown user')
    assert '\x1b' not in story and '\t' not in story
    assert '\\x1b[2J' in story
    events = json.loads(explain(office, '127.0.0.1', '--json'))['events']
    assert any(event.get('user') == '"\t\x1b[2Jx\\\u00e9\ufffd' for event in events)


def test_threat_118_others_get_nothing(steered, connect, need_root):
    """The kernel's uid is judged, as for who."""
    office = steered()
    attempt(connect, office)
    os.chmod(office.scratch, 0o755)
    os.chmod(office.control, 0o777)
    done = subprocess.run([program('valija'), 'explain', '--socket', str(office.control), 'anna'],
                          capture_output=True, text=True, user=NOBODY, group=NOBODY, check=False,
                          timeout=60)
    assert done.returncode != 0 and 'root and the members' in done.stderr and not done.stdout
