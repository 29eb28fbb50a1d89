"""LOGIN-DELAY: a right login that comes too soon; announced, counted, told by `valija explain`."""
import re
import time

import pytest
from office import PASSWORD, free_port, wait_until
from pop import Pop
from test_status import has

HOUR = {'pop3.login_delay': '1h'}


def delay(client):
    return [line for line in client.lines('CAPA') if line.startswith('LOGIN-DELAY')]


def attempt(office, user='anna', password=PASSWORD):
    with Pop(office.pop3) as client:
        client.ok(f'USER {user}')
        return client.ask(f'PASS {password}')


def give(office, user, words):
    """Fields of the user's line of the users file."""
    users = office.dir / 'users'
    text = re.sub(rf'(?m)^({user}:[^:\n]*)(:.*)?$', rf'\1::::::{words}', users.read_text())
    users.write_text(text)


@pytest.fixture
def slow(make_office):
    """A started office; fields: {user: words of its entry}."""
    def start(settings, fields=None):
        office = make_office(start=False, users=('anna', 'bert'))
        for name, value in settings.items():
            office.set(name, value)
        for user, words in (fields or {}).items():
            give(office, user, words)
        office.start()
        return office
    return start


def test_off_by_default(slow):
    office = slow({})
    for _ in range(2):
        assert attempt(office).startswith('+OK')
    with Pop(office.pop3) as client:
        assert delay(client) == []
        client.login('anna', PASSWORD)
        assert delay(client) == []


def test_threat_136_only_the_right_password_is_told(slow):
    office = slow(HOUR)
    with Pop(office.pop3) as client:
        assert delay(client) == ['LOGIN-DELAY 3600']
        client.login('anna', PASSWORD)
        assert delay(client) == ['LOGIN-DELAY 3600']
        client.quit()
    wrong = attempt(office, 'nobody', 'wrong')
    for _ in range(2):
        assert attempt(office, 'anna', 'wrong') == wrong
        assert wrong == '-ERR [AUTH] wrong user name or password'
        assert attempt(office).startswith('-ERR [LOGIN-DELAY] ')
        with Pop(office.pop3) as client:  # by SASL, in another case of its letters
            assert client.ask(client.plain('ANNA', PASSWORD)).startswith('-ERR [LOGIN-DELAY] ')
    assert attempt(office, 'bert').startswith('+OK')
    office.wait_log(r'login-refused .* user="anna" reason="too soon after the last login"')


def test_the_connection_stays(slow):
    """It is no failure: more of them than login.max_failures do not end the connection."""
    office = slow({**HOUR, 'login.max_failures': '2', 'login.failure_delay': '60s',
                   'login.failure_delay_max': '60s'})
    assert attempt(office).startswith('+OK')
    began = time.monotonic()
    with Pop(office.pop3) as client:
        for _ in range(5):
            client.ok('USER anna')
            assert client.ask(f'PASS {PASSWORD}').startswith('-ERR [LOGIN-DELAY] ')
        client.login('bert', PASSWORD)
    assert time.monotonic() - began < 55  # not one of them was held back


def test_a_delay_ends(slow):
    office = slow({'pop3.login_delay': '1s'})
    assert attempt(office).startswith('+OK')
    wait_until(lambda: attempt(office).startswith('+OK'))


def test_users_have_their_own(slow):
    office = slow({'pop3.login_delay': '60s', 'pop3.login_delay_max': '2h'},
                  {'anna': 'login_delay=0', 'bert': 'login_delay=86400'})
    office.allow(r'login_delay of bert is 86400 seconds, and pop3.login_delay_max allows 7200')
    for _ in range(2):
        with Pop(office.pop3) as client:
            assert delay(client) == ['LOGIN-DELAY 7200 USER']
            client.login('anna', PASSWORD)
            assert delay(client) == ['LOGIN-DELAY 0']
            client.quit()
    with Pop(office.pop3) as client:
        client.login('bert', PASSWORD)
        assert delay(client) == ['LOGIN-DELAY 7200']
    assert attempt(office, 'bert').startswith('-ERR [LOGIN-DELAY] ')


def test_a_field_alone_is_not_used(slow):
    office = slow({}, {'anna': 'login_delay=600'})
    office.allow(r'login_delay of anna is 600 seconds, and pop3.login_delay_max allows 0')
    for _ in range(2):
        assert attempt(office).startswith('+OK')


def test_a_login_without_a_maildrop_does_not_count(slow):
    office = slow({'pop3.login_delay': '1s'})
    office.put('anna', b'Subject: one\n\n1\n')  # one that is not there has no lock
    with Pop(office.pop3) as first:
        first.login('anna', PASSWORD)
        # until the delay of that login is over, then the maildrop is in use
        wait_until(lambda: attempt(office).startswith('-ERR [IN-USE] '))
        # at once behind it, in the same connection and in others: never [LOGIN-DELAY]
        with Pop(office.pop3) as client:
            for _ in range(3):
                client.ok('USER anna')
                assert client.ask(f'PASS {PASSWORD}').startswith('-ERR [IN-USE] ')


def test_a_reload_forgets(slow):
    office = slow(HOUR)
    assert attempt(office).startswith('+OK')
    assert attempt(office).startswith('-ERR [LOGIN-DELAY] ')
    office.reload()
    assert attempt(office).startswith('+OK')
    assert attempt(office).startswith('-ERR [LOGIN-DELAY] ')


def test_it_is_counted_and_explained(slow):
    port = free_port()
    office = slow({**HOUR, 'control.metrics': f'"127.0.0.1:{port}"',
                   'control.socket': '"control"'})
    assert attempt(office).startswith('+OK')
    for _ in range(2):
        assert attempt(office).startswith('-ERR [LOGIN-DELAY] ')
    has(port, {'valija_login_failures_total{service="pop3",reason="login-delay"}': 2})
    story = re.compile('the login as anna was refused: too soon after the last login.*'
                       r'WHAT TO DO.*pop3\.login_delay', re.S)
    wait_until(lambda: story.search(
        office.valija('explain', '-c', office.conf, 'anna').stdout))


def test_a_maximum_below_the_site_s_own(make_office):
    office = make_office(start=False)
    office.set('pop3.login_delay', '10m')
    office.set('pop3.login_delay_max', '60s')
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode == 78
    assert ': login_delay_max is less than login_delay: clients get it as the longest delay ' \
        'of any user; make it at least login_delay' in done.stderr
