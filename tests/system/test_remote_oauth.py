"""`credentials = oauth`: a client logs in here with a password, the other server takes tokens, as
Microsoft 365 does: XOAUTH2 in two lines, sizes that are guesses, no PIPELINING. The provider is
tests/stand_ins/oauth.py, the other server tests/hostile/hostile.py."""
import pathlib
import sys
import threading

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import certificate, serve  # noqa: E402,F401
from hostile import USER, letter, wire_form  # noqa: E402
from office import PASSWORD  # noqa: E402
from pop import Pop  # noqa: E402
from test_remote import add_remote_user, section  # noqa: E402
from test_remote_grants import consent, site  # noqa: E402,F401

MESSAGES = [(f'id-{n}', letter(n)) for n in range(1, 4)]


@pytest.fixture(params=['XOAUTH2', 'OAUTHBEARER'])
def provider_of_mail(serve, certificate, site, request):  # noqa: F811
    """The other server, whose tokens are the provider's, and our office in front of it."""
    def guess(session, _):
        session.multi('+OK', [f'{n} 100' for n, _, _ in session.listed()])
        return True
    server = serve(list(MESSAGES), tls='implicit', certificate=certificate,
                   mechanisms=(request.param,), token_lines=2, hooks={'LIST': guess},
                   capabilities=('TOP', 'UIDL', f'SASL {request.param}'))
    server.tokens = site.provider.access  # alive
    server.bearer_place = False
    server.auth = f'AUTH {request.param}'
    with site.office.conf.open('a') as conf:
        conf.write(section(server.port, 'oauth', tls='yes', verify=str(certificate[0]),
                           timeout='5s'))
    add_remote_user(site.office, 'anna', f'remote=old remote_user={USER}')
    consent(site, 'berta')  # somebody has: the folder of grants is there
    site.office.start()
    return server


def log_in(site):  # noqa: F811
    client = Pop(site.office.pop3)
    client.ok('USER anna')
    return client, client.ask('PASS ' + PASSWORD)


def test_a_client_with_a_password_gets_mail_of_a_server_that_takes_tokens(
        site, provider_of_mail):  # noqa: F811
    consent(site)
    client, reply = log_in(site)
    assert reply.startswith('+OK'), reply
    assert list(client.uidl().values()) == [uid for uid, _ in MESSAGES]
    assert client.list() == {1: 100, 2: 100, 3: 100}
    assert [client.retr(n) for n in (1, 2, 3)] == [wire_form(octets) for _, octets in MESSAGES]
    client.ok('DELE 2')
    client.quit()
    assert provider_of_mail.deleted == ['id-2']
    assert provider_of_mail.auth in provider_of_mail.commands()
    assert site.refreshes() == []


def test_a_token_that_has_ended_is_refreshed_for_a_login(site, provider_of_mail):  # noqa: F811
    consent(site)
    site.age(expires=1)
    client, reply = log_in(site)
    assert reply.startswith('+OK'), reply
    client.quit()
    assert len(site.refreshes()) == 1


def test_no_consent_is_no_maildrop(site, provider_of_mail):  # noqa: F811
    client, reply = log_in(site)
    assert reply.startswith('-ERR [SYS/PERM]'), reply
    site.office.wait_log('login-failed .*user="anna" reason="no access token: the user has to '
                         'consent')
    client.close()
    assert provider_of_mail.sessions == []


def test_a_provider_that_is_down(site, provider_of_mail):  # noqa: F811
    consent(site)
    site.age(expires=1)
    site.office.allow('cannot be asked', 'token_url')
    site.provider.faults = [500] * 4
    client, reply = log_in(site)
    assert reply.startswith('-ERR [SYS/TEMP]'), reply
    site.provider.faults = []
    client, reply = log_in(site)
    assert reply.startswith('+OK'), reply
    client.quit()


def logins(provider_of_mail):  # noqa: F811
    return provider_of_mail.commands().count(provider_of_mail.auth)


def test_a_token_that_was_taken_back_is_refreshed(site, provider_of_mail):  # noqa: F811
    consent(site)
    site.age(refreshed=1)
    site.provider.access.clear()  # by the clock it is good
    client, reply = log_in(site)
    assert reply.startswith('+OK'), reply
    assert list(client.uidl().values()) == [uid for uid, _ in MESSAGES]
    client.quit()
    assert (logins(provider_of_mail), len(site.refreshes())) == (2, 1)
    client, reply = log_in(site)
    assert reply.startswith('+OK'), reply
    client.quit()
    assert (logins(provider_of_mail), len(site.refreshes())) == (3, 1)


def test_a_token_that_the_server_refuses(site, provider_of_mail):  # noqa: F811
    """It is refreshed once; that server's words are in the log. Another login spends nothing."""
    consent(site)
    site.age(refreshed=1)
    site.office.allow('maildrop-failed')
    provider_of_mail.tokens = ['another']
    _, reply = log_in(site)
    assert reply.startswith('-ERR [SYS/PERM]'), reply
    site.office.wait_log('maildrop-failed .*the other server refuses the login')
    site.office.wait_log('login-failed .*user="anna" reason="the other server refuses the access '
                         'token"')
    assert (logins(provider_of_mail), len(site.refreshes())) == (2, 1)
    _, reply = log_in(site)
    assert reply.startswith('-ERR [SYS/PERM]'), reply
    site.office.wait_log('reason="the other server refuses an access token that is new"')
    assert (logins(provider_of_mail), len(site.refreshes())) == (3, 1)
    provider_of_mail.tokens = site.provider.access
    client, reply = log_in(site)
    assert reply.startswith('+OK'), reply
    client.quit()


def test_a_client_that_leaves_while_the_token_is_judged(site, provider_of_mail):  # noqa: F811
    """Nothing of it stays at the other server, and the next login is as ever."""
    asked, go_on = threading.Event(), threading.Event()

    def hold(_session, _argument):
        asked.set()
        assert go_on.wait(60)
        return False
    consent(site)
    provider_of_mail.hooks['AUTH'] = hold
    client = Pop(site.office.pop3)
    client.ok('USER anna')
    client.send(f'PASS {PASSWORD}\r\n'.encode())
    assert asked.wait(60)
    client.reset()
    go_on.set()
    provider_of_mail.idle()
    assert not any(thread.is_alive() for thread in provider_of_mail.threads)
    client, reply = log_in(site)
    assert reply.startswith('+OK'), reply
    client.quit()


def test_a_wrong_password_asks_for_no_token(site, provider_of_mail):  # noqa: F811
    consent(site)
    client = Pop(site.office.pop3)
    client.ok('USER anna')
    assert client.err('PASS wrong').startswith('-ERR [AUTH]')
    assert provider_of_mail.sessions == []
