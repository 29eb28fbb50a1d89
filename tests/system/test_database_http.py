"""Users whom a program of the site's own knows, asked over a Unix socket and over HTTPS."""
import json
import pathlib
import shutil
import sys
import tempfile
import time

import office as post
import pytest
from lmtp import Lmtp
from pop import Pop

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / 'stand_ins')]

import oauth  # noqa: E402
from web_page import WebPage  # noqa: E402

MESSAGE = b'Subject: hello\r\n\r\nbody\r\n'
TOKEN = 'a-secret-of-the-site'


class Users:
    """name → (password, fields)"""
    def __init__(self):
        self.users = {'anna': ('sesame', {'home': 'anna-home'}),
                      'uwe': ('sesame', {'home': 'uwe', 'nologin': True}),
                      'bad': ('sesame', {'home': '../../etc'}),
                      'more': ('sesame', {'home': 'more', 'favourite_colour': 'blue'}),
                      'sales': (None, {'alias': ['anna', 'demo']})}
        self.questions = []

    def __call__(self, request):
        if request.headers.get('Authorization') != f'Bearer {TOKEN}':
            return 401, {}
        question = json.loads(request.body)
        self.questions.append(question)
        known = [name in self.users for name in question['names']]
        if True not in known:
            return 200, {'status': 'unknown'}
        place = known.index(True)
        password, fields = self.users[question['names'][place]]
        if question['kind'] == 'verify' and question['password'] != password:
            return 200, {'status': 'wrong'}
        return 200, {'version': 1, 'status': 'found', 'matched': place, 'fields': fields}


def add_section(office, name='shop', **settings):
    secret = office.dir / 'shop.token'
    secret.write_text(TOKEN + '\n')
    secret.chmod(0o600)
    settings = {'driver': 'http', 'token_file': secret, **settings}
    lines = ''.join(f'\t{key} = "{value}"\n' for key, value in settings.items())
    with office.conf.open('a') as file:
        file.write(f'\ndatabase "{name}" {{\n{lines}}}\n')


@pytest.fixture(params=['socket', 'https'])
def page(request):
    """The program, by either way; page.settings for the section."""
    if not post.program('valija-lookup-http').exists():
        pytest.skip('valija-lookup-http is not built')
    folder = pathlib.Path(tempfile.mkdtemp(prefix='valija-shop-'))
    folder.chmod(0o755)  # for the system user of the lookup process
    if request.param == 'socket':
        made = WebPage(Users(), socket=folder / 'socket')
        made.settings = {'socket': made.socket}
    else:
        certificate = oauth.make_certificate(folder)
        made = WebPage(Users(), certificate=certificate)
        made.settings = {'url': made.url + '/users', 'ca_file': certificate[0]}
    with made:
        yield made
    shutil.rmtree(folder)


@pytest.fixture
def make_site(make_office, page):
    def make(**settings):
        office = make_office(start=False)
        office.allow(r'database shop cannot be asked', r'auth\d+\[\d+\]: error: recipient <')
        add_section(office, **{**page.settings, 'timeout': '1s', 'cache_time': '0', **settings})
        return office.start()
    return make


def login(office, user, password='sesame'):
    with Pop(office.pop3) as client:
        client.ok(f'USER {user}')
        return client.ask(f'PASS {password}')


def good(office, user, password='sesame'):
    reply = login(office, user, password)
    assert reply.startswith('+OK'), reply


def wrong(office, user, password='sesame'):
    reply = login(office, user, password)
    assert reply.startswith('-ERR [AUTH]'), reply


def temporary(office, user, password='sesame'):
    reply = login(office, user, password)
    assert reply.startswith('-ERR [SYS/TEMP]'), reply


def test_logins(make_site, page):
    office = make_site()
    good(office, 'anna')
    question = page.answer.questions[-1]
    assert question.pop('names')[0] == 'anna'
    assert question == {'version': 1, 'kind': 'verify', 'password': 'sesame', 'service': 'pop3',
                        'tls': False, 'address': '127.0.0.1'}
    wrong(office, 'anna', 'open')
    wrong(office, 'nobody')
    wrong(office, 'uwe')  # nologin
    good(office, 'demo', post.PASSWORD)  # of the users file


@pytest.mark.parametrize('user, words', [('bad', 'home'), ('more', 'favourite_colour')])
def test_fields_that_cannot_be(make_site, page, user, words):
    """Nor is one passed over that is not known: the log names it."""
    office = make_site()
    office.allow('error: database shop: the entry of ')
    assert login(office, user).startswith('-ERR')
    office.wait_log(f'database shop: the entry of {user} cannot be used: .*{words}')


def test_mail(make_site, page):
    """A delivery goes to where the login looks; one alias to two users."""
    office = make_site()
    with Lmtp(office.lmtp) as client:
        assert all(reply.startswith('250') for reply in client.deliver(MESSAGE, 'anna', 'sales'))
        client.expect('MAIL FROM:<carol@example.com>', '250')
        client.expect('RCPT TO:<nobody@office.test>', '550')
    assert len(office.files('anna-home')) == 1  # one of both
    assert len(office.files('demo')) == 1
    with Pop(office.pop3) as client:
        client.ok('USER anna')
        client.ok('PASS sesame')
        assert client.ok('STAT').split()[1] == '1'


def test_stored_password(make_site, page):
    """verify = no: the program is never asked about a password."""
    page.answer.users['anna'] = ('?', {'home': 'anna-home', 'password': '{PLAIN}sesame'})
    office = make_site(verify='no')
    good(office, 'anna')
    wrong(office, 'anna', 'open')
    assert {question['kind'] for question in page.answer.questions} == {'find'}


def test_remembered(make_site, page):
    office = make_site(cache_time='5m')
    good(office, 'anna')
    asked = len(page.answer.questions)
    good(office, 'anna')
    good(office, 'anna')
    assert len(page.answer.questions) == asked


@pytest.mark.parametrize('fault', ['hang', 'drop', 'cut', 'endless', 'headers', 'silent'])
def test_faults(make_site, page, fault):
    """Only users of the database have trouble, and for as long as it lasts."""
    office = make_site()
    good(office, 'anna')
    page.fault = fault
    begun = time.monotonic()
    temporary(office, 'anna')
    assert time.monotonic() - begun < 15
    good(office, 'demo', post.PASSWORD)
    page.fault = None
    office.wait_log(r'database shop cannot be asked')
    post.wait_until(lambda: login(office, 'anna').startswith('+OK'), 60)


def test_away(make_site, page):
    """Stopped and started again; mail is put off meanwhile, not refused."""
    office = make_site()
    good(office, 'anna')
    page.stop()
    temporary(office, 'anna')
    temporary(office, 'nobody')
    good(office, 'demo', post.PASSWORD)
    with Lmtp(office.lmtp) as client:
        client.expect('MAIL FROM:<carol@example.com>', '250')
        client.expect('RCPT TO:<anna@office.test>', '451')
    page.start()
    post.wait_until(lambda: login(office, 'anna').startswith('+OK'), 60)


@pytest.mark.parametrize('answer', [(500, {}), (401, {}), (200, b'<html>'), (200, {}),
                                    (200, {'status': 'found', 'user_may_log_in': False}),
                                    (200, b'{"status": "wrong", "status": "found"}'),
                                    (307, {}, {'Location': 'http://127.0.0.1:1/'}),
                                    (200, b'{"status": "unknown"}' + b' ' * 70000)])
def test_answers_that_are_none(make_site, page, answer):
    office = make_site()
    users, page.answer = page.answer, lambda request: answer
    temporary(office, 'anna')
    page.answer = users
    good(office, 'anna')


def test_refused(make_site, page):
    """Right, and not to log in: the client sees what it sees for a wrong password."""
    office = make_site()
    page.answer = lambda request: (200, {'status': 'refused'})
    wrong(office, 'anna')


def test_settings(make_office):
    """What cannot work is named at the start."""
    if not post.program('valija-lookup-http').exists():
        pytest.skip('valija-lookup-http is not built')
    office = make_office(start=False)
    office.allow('database shop: url = ')
    add_section(office, url='http://users.example.org/')
    office.start(wait=False)
    office.wait_log(r'database shop: url = "http://users.example.org/": the URL begins with https')
    office.stop(check=False)
