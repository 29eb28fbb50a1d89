"""`valija migrate` from a server that takes tokens (`credentials = oauth`), while valijad runs. The
provider is tests/stand_ins/oauth.py, the other server tests/hostile/hostile.py."""
import pytest

from test_migrate_follow import Follower
from test_migrate import has_switched, mail_of, numbered, wire_of
from test_remote import add_remote_user, section
from test_remote_grants import consent, site  # noqa: F401

from fetch_fixtures import certificate, serve  # noqa: F401
from hostile import USER


@pytest.fixture
def server(serve, certificate, site):  # noqa: F811
    """That server, whose tokens are the provider's; anna's mail moves here from it."""
    made = serve(numbered(1, 2, 3), tls='implicit', certificate=certificate,
                 mechanisms=('XOAUTH2',), token_lines=2,
                 capabilities=('TOP', 'UIDL', 'SASL XOAUTH2'))
    made.tokens = site.provider.access  # alive
    made.bearer_place = False
    with site.office.conf.open('a') as conf:
        conf.write(section(made.port, 'oauth', tls='yes', verify=str(certificate[0])))
        conf.write(f'\ncontrol {{\n\tsocket = "{site.office.scratch}/control"\n}}\n')
    add_remote_user(site.office, 'anna', f'migrate=old remote_user={USER}')
    consent(site, 'berta')  # somebody has: the folder of grants is there
    site.office.start()
    return made


def migrate(office, *args, good=0):
    done = office.valija('migrate', '-c', office.conf, '--wait', 0, '--user', 'anna', *args,
                         check=False)
    assert done.returncode == good, (done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_mail_moves_with_the_users_consent(site, server):  # noqa: F811
    consent(site)
    before = mail_of(site.office)
    assert before == wire_of(numbered(1, 2, 3))
    assert '3 of them to be copied' in migrate(site.office, '--dry-run')
    assert 'anna: 3 messages: the mail is here' in migrate(site.office)
    server.stop()
    assert mail_of(site.office) == before


def test_a_token_that_has_ended_is_refreshed(site, server):  # noqa: F811
    consent(site)
    site.age(expires=1)
    assert 'anna: 3 messages: the mail is here' in migrate(site.office)
    assert len(site.refreshes()) == 1


def test_without_a_consent_nothing_moves(site, server):  # noqa: F811
    said = migrate(site.office, good=75)
    assert 'anna: there is no access token: valija remote check anna' in said
    assert server.sessions == [] and not has_switched(site.office)


def test_the_service_moves_it_once_there_is_a_consent(site, server):  # noqa: F811
    with Follower(site.office, '--every', '1') as follower:
        follower.wait('anna: there is no access token')
        consent(site)
        follower.wait('anna: 3 messages: the mail is here')
    assert follower.text().count('no access token') == 1
