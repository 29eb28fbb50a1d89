"""Single sign-on: OAUTHBEARER and XOAUTH2 against an issuer that signs tokens, publishes keys and
is asked about tokens, or does neither as it should."""
import base64
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import office as post
import pytest
from pop import Pop

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / 'stand_ins')]

pytest.importorskip('cryptography', reason='python3-cryptography is not installed')

import oauth  # noqa: E402
from issuer import Issuer, Key, compact  # noqa: E402

MECHANISMS = ('OAUTHBEARER', 'XOAUTH2')


@pytest.fixture
def issuer():
    if not post.program('valija-lookup-oauth').exists():
        pytest.skip('valija-lookup-oauth is not built')
    folder = pathlib.Path(tempfile.mkdtemp(prefix='valija-issuer-'))
    folder.chmod(0o755)  # for the system user of the lookup process
    with Issuer(oauth.make_certificate(folder)) as made:
        made.folder = folder
        yield made
    shutil.rmtree(folder)


def add_section(office, settings, name='sso'):
    lines = ''.join(f'\t{key} = "{value}"\n' for key, value in settings.items() if value)
    with office.conf.open('a') as file:
        file.write(f'\ndatabase "{name}" {{\n{lines}}}\n')


@pytest.fixture
def make_site(make_office, issuer):
    """A started office with the users demo and anna, whose tokens the issuer signs."""
    def make(**settings):
        office = make_office(start=False, users=('demo', 'anna'))
        office.allow('database sso cannot be asked')
        add_section(office, issuer.settings(**{'timeout': '2s', **settings}))
        return office.start()
    return make


def response(mechanism, user, token):
    if mechanism == 'XOAUTH2':
        text = f'user={user}\1auth=Bearer {token}\1\1'
    else:
        text = f'n,a={user},\1host=localhost\1port=110\1auth=Bearer {token}\1\1'
    return base64.b64encode(text.encode()).decode()


def login(office, token, user='demo', mechanism='OAUTHBEARER', lines=2):
    """(reply, challenge in front of it or None)"""
    with Pop(office.pop3) as client:
        words = response(mechanism, user, token)
        if lines == 1:
            reply = client.ask(f'AUTH {mechanism} {words}')
        else:
            assert client.ask(f'AUTH {mechanism}') == '+ '
            reply = client.ask(words)
        if not reply.startswith('+ '):
            return reply, None
        challenge = json.loads(base64.b64decode(reply[2:]))
        return client.ask('AQ==' if mechanism == 'OAUTHBEARER' else ''), challenge


def good(office, token, **more):
    reply, _ = login(office, token, **more)
    assert reply.startswith('+OK'), reply


def refused(office, token, words=None, **more):
    mark = office.mark()
    reply, challenge = login(office, token, **more)
    assert reply.startswith('-ERR [AUTH]') and challenge, (reply, challenge)
    if words:
        office.wait_log(f'the token of "[^"]*" is refused: .*{words}', since=mark)
    return challenge


def temporary(office, token, **more):
    reply, challenge = login(office, token, **more)
    assert reply.startswith('-ERR [SYS/TEMP]') and challenge is None, (reply, challenge)


@pytest.mark.parametrize('lines', [1, 2])
@pytest.mark.parametrize('mechanism', MECHANISMS)
def test_logins(make_site, issuer, mechanism, lines):
    office = make_site()
    with Pop(office.pop3) as client:
        sasl = next(line for line in client.lines('CAPA') if line.startswith('SASL'))
        assert mechanism in sasl.split()
    how = {'mechanism': mechanism, 'lines': lines}
    good(office, issuer.token(), **how)
    good(office, issuer.token(), user='DEMO', **how)
    refused(office, issuer.token(), "another user's", user='anna', **how)
    good(office, issuer.token(email='anna'), user='anna', **how)
    refused(office, 'x', 'no signed token', **how)
    # the users file serves its own passwords as before
    with Pop(office.pop3) as client:
        client.ok('USER demo')
        client.ok(f'PASS {post.PASSWORD}')


def test_one_line(make_site, issuer):
    """A short token, as issuers give that are asked about it, in the AUTH line itself."""
    issuer.active['short'] = {'username': 'demo'}
    office = make_site(**by_introspection(issuer))
    for mechanism in MECHANISMS:
        good(office, 'short', lines=1, mechanism=mechanism)
        refused(office, 'other', 'not active', lines=1, mechanism=mechanism)


def test_no_name(make_site, issuer):
    """OAUTHBEARER without a name: the token says who it is."""
    office = make_site()
    with Pop(office.pop3) as client:
        client.ask('AUTH OAUTHBEARER')
        text = f'n,,\1auth=Bearer {issuer.token(email="anna")}\1\1'
        client.ok(base64.b64encode(text.encode()).decode())
    office.wait_log(r'auth\d+\[\d+\]: login .*user="anna"')


def test_challenge(make_site, issuer):
    """A client is told what is needed and where; its answer, whatever it is, ends the exchange."""
    url = 'https://id.example.org/.well-known/openid-configuration'
    office = make_site(scope='mail', config_url=url)
    assert refused(office, issuer.token(scope='openid'), 'scope') == {
        'status': 'invalid_token', 'scope': 'mail', 'openid-configuration': url}
    assert refused(office, issuer.token(scope='openid'), mechanism='XOAUTH2') == {
        'status': '400', 'schemes': 'Bearer', 'scope': 'mail'}
    for answer in ('', 'AQ==', '*', base64.b64encode(b'n,a=demo,\1').decode()):
        with Pop(office.pop3) as client:
            client.ask('AUTH OAUTHBEARER')
            reply = client.ask(response('OAUTHBEARER', 'demo', 'x'))
            assert reply.startswith('+ ')
            assert client.ask(answer).startswith('-ERR')
            assert client.lines('CAPA')  # and the session goes on
    # no token at all asks where one is to be had
    assert refused(office, '')['openid-configuration'] == url


def test_challenge_of_the_issuer(make_site, issuer):
    office = make_site()
    assert refused(office, 'x')['openid-configuration'] == \
        issuer.url + '/.well-known/openid-configuration'


def test_malformed(make_site, issuer):
    office = make_site()
    for mechanism in MECHANISMS:
        for text in (b'', b'\1', b'n,a=demo,\1auth=Bearer\1', b'user=demo\1auth=Bearer x\1',
                     b'\0demo\0password', b'n,a=demo,\1auth=Bearer x\1auth=Bearer y\1\1'):
            with Pop(office.pop3) as client:
                client.ask(f'AUTH {mechanism}')
                assert client.ask(base64.b64encode(text).decode()).startswith('-ERR')


def test_curl(make_site, issuer):
    """Another's client, by both mechanisms, over TLS."""
    office = make_site()
    office.put('demo', b'Subject: one\r\n\r\nbody\r\n')
    for mechanism in MECHANISMS:
        done = subprocess.run(
            ['curl', '-s', '--cacert', office.cert, '--resolve',
             f'office.test:{office.pop3s}:127.0.0.1', '--user', 'demo',
             '--login-options', f'AUTH={mechanism}', '--oauth2-bearer', issuer.token(),
             f'pop3s://office.test:{office.pop3s}/1'], capture_output=True, timeout=60)
        assert b'Subject: one' in done.stdout, (done, office.log_end())


def test_claims(make_site, issuer):
    office = make_site(scope='mail')
    now = int(time.time())
    good(office, issuer.token())
    refused(office, issuer.token(exp=now - 3600))
    refused(office, issuer.token(exp=None))
    refused(office, issuer.token(nbf=now + 3600))
    refused(office, issuer.token(aud='account'))
    refused(office, issuer.token(aud=['account']))
    refused(office, issuer.token(iss='https://id.example.org/'))
    refused(office, issuer.token(scope='openid'))
    refused(office, issuer.token(email_verified=False))
    refused(office, Key('key-1').sign(issuer.claims()))
    head, body, _ = issuer.token().split('.')
    refused(office, f'{head}.{body}.')
    refused(office, compact({'alg': 'none'}) + f'.{body}.')
    refused(office, compact({'alg': 'HS256', 'kid': 'key-1'}) + f'.{body}.AAAA')
    good(office, issuer.token())


def test_huge_token(make_site, issuer):
    """Up to what a line of a token may have; the server lives on."""
    office = make_site()
    good(office, issuer.token(groups=['x' * 70] * 100))
    reply, _ = login(office, 'x' * 12000)
    assert reply.startswith('-ERR')
    with Pop(office.pop3) as client:
        client.ask('AUTH XOAUTH2')
        client.send('A' * 100000 + '\r\n')
        try:
            assert client.line().startswith('-ERR')
        except (EOFError, ConnectionResetError):
            pass
    good(office, issuer.token())


def test_threat_100_keys_kept_and_renewed(make_site, issuer):
    """Fetched once; a key that is not known is looked for, once a minute."""
    office = make_site()
    for _ in range(3):
        good(office, issuer.token())
    assert len(issuer.asked('/keys')) == 1
    for kid in ('../../etc/passwd', '/dev/zero', 'x' * 1000, ''):
        refused(office, Key(kid).sign(issuer.claims()), 'kid')
    assert len(issuer.asked('/keys')) == 1  # they were fetched less than a minute ago


def test_keys_of_a_file(make_site, issuer):
    path = issuer.folder / 'keys.json'
    path.write_text(json.dumps({'keys': [issuer.key.public()]}))
    path.chmod(0o644)
    office = make_site(jwks_file=path)
    good(office, issuer.token())
    assert not issuer.page.requests


def test_keys_of_an_address(make_site, issuer):
    office = make_site(jwks_url=issuer.page.url + '/keys')
    good(office, issuer.token())
    assert [one.path for one in issuer.page.requests] == ['/keys']


def test_a_host_that_is_none(make_site, issuer):
    """Names are looked up inside the sandbox, which ends no process for it."""
    office = make_site(jwks_url='https://id.invalid/keys')
    pids = set(office.children())
    temporary(office, issuer.token())
    with Pop(office.pop3) as client:
        client.ok('USER demo')
        client.ok(f'PASS {post.PASSWORD}')
    assert set(office.children()) == pids


def test_redirects(make_site, issuer):
    """To https:// they are followed."""
    issuer.redirects['/keys'] = issuer.page.url + '/more-keys'
    office = make_site()
    good(office, issuer.token())


@pytest.mark.parametrize('where', ['http://127.0.0.1:1/keys', 'file:///etc/passwd', '/keys',
                                   'ftp://127.0.0.1/keys'])
def test_threat_100_redirects(make_site, issuer, where):
    """To http:// and others they are not, nor in circles."""
    issuer.redirects['/keys'] = where
    office = make_site()
    temporary(office, issuer.token())
    assert len(issuer.asked('/keys')) <= 4


@pytest.mark.parametrize('document', [
    {}, {'issuer': 'https://id.example.org/'}, {'jwks_uri': 'http://127.0.0.1:1/keys'},
    {'jwks_uri': 'file:///etc/passwd'}, {'jwks_uri': 7}])
def test_threat_100_discovery(make_site, issuer, document):
    """What an openid-configuration says has to be of the issuer, and https."""
    issuer.document = {**issuer.document, **document} if document else {}
    office = make_site()
    temporary(office, issuer.token())
    assert not issuer.asked('/keys')
    # who has no token of the issuer is refused all the same
    refused(office, 'x')


@pytest.mark.parametrize('fault', ['hang', 'drop', 'cut', 'endless', 'headers', 'silent'])
def test_threat_100_faults(make_site, issuer, fault):
    """No keys can be had: [SYS/TEMP] for tokens, nothing for passwords; later all is well."""
    office = make_site()
    issuer.page.fault = fault
    begun = time.monotonic()
    temporary(office, issuer.token())
    assert time.monotonic() - begun < 20
    with Pop(office.pop3) as client:
        client.ok('USER demo')
        client.ok(f'PASS {post.PASSWORD}')
    issuer.page.fault = None
    post.wait_until(lambda: login(office, issuer.token())[0].startswith('+OK'), 60)
    issuer.page.fault = fault  # with keys the issuer is not needed
    good(office, issuer.token())


def by_introspection(issuer, **more):
    secret = issuer.folder / 'secret'
    secret.write_text(issuer.secret + '\n')
    secret.chmod(0o600)
    return {'issuer': None, 'audience': None, 'introspection_url': issuer.page.url + '/introspect',
            'client_id': issuer.client, 'client_secret_file': secret, 'user_claim': 'username',
            **more}


@pytest.mark.parametrize('auth', ['basic', 'post'])
def test_introspection(make_site, issuer, auth):
    issuer.auth = auth
    issuer.active = {'good': {'username': 'demo', 'scope': 'mail', 'exp': int(time.time()) + 60},
                     'old': {'username': 'demo', 'scope': 'mail', 'exp': int(time.time()) - 3600},
                     'narrow': {'username': 'demo', 'scope': 'openid'},
                     'nameless': {'scope': 'mail'}}
    office = make_site(**by_introspection(issuer, client_auth=auth, scope='mail'))
    good(office, 'good')
    refused(office, 'good', user='anna')
    refused(office, 'bad')
    refused(office, 'old')
    refused(office, 'narrow')
    refused(office, 'nameless')


def test_introspection_refuses_us(make_site, issuer):
    """Our own credentials are wrong: nobody's token is, and the log says what to mend."""
    issuer.active['good'] = {'username': 'demo'}
    office = make_site(**by_introspection(issuer))
    issuer.secret = 'another'
    temporary(office, 'good')
    office.wait_log('database sso cannot be asked: .*client_secret_file')


@pytest.mark.parametrize('answer', [(500, {}), (302, {}, {'Location': 'https://localhost:1/'}),
                                    (200, b'<html>'), (200, {'active': 'true'}), (200, {})])
def test_introspection_answers_that_are_none(make_site, issuer, answer):
    office = make_site(**by_introspection(issuer))
    issuer.page.answer = lambda request: answer
    temporary(office, 'good')


def test_two_issuers(make_office, issuer):
    """Each has its keys: the same kid is another key at the other."""
    with Issuer(issuer.certificate) as second:
        office = make_office(start=False, users=('demo',))
        add_section(office, issuer.settings(), 'one')
        add_section(office, second.settings(), 'two')
        office.start()
        good(office, issuer.token())
        good(office, second.token())
        refused(office, second.key.sign(issuer.claims()))
        refused(office, issuer.key.sign(second.claims()))
        good(office, second.token())


def test_users_of_the_token_alone(make_site, issuer):
    """A user whom no other database has is served: the token's database knows the name."""
    office = make_site()
    good(office, issuer.token(email='zoe'), user='zoe')
