"""Names that people give and users have: a realm, domains with other names, places of the mail."""
import pytest
from lmtp import Lmtp
from office import PASSWORD
from pop import Pop


@pytest.fixture
def site(make_office):
    office = make_office(users=('demo@example.org', 'bare'), settings={
        'mail': '"mail/{domain}/{local}"', 'login.realm': '"example.org"',
        'domain_aliases': '{"example.net=example.org"}', 'lmtp.domains': '{"example.org"}'},
        start=False)
    users = office.dir / 'users'
    lines = users.read_text().splitlines()
    users.write_text('\n'.join(line + '::::bare' if line.startswith('bare:') else line
                               for line in lines) + '\n')
    return office.start()


def logs_in(office, name, password=PASSWORD):
    with Pop(office.pop3) as client:
        client.ok(f'USER {name}')
        client.send(f'PASS {password}\r\n'.encode())
        return client.line().startswith('+OK')


def test_logins(site):
    for name in ('demo', 'DEMO', 'demo@example.org', 'demo@Example.NET', 'bare'):
        assert logs_in(site, name), name
    for name in ('demo@example.com', 'bare@example.org', 'nobody', '@example.org'):
        assert not logs_in(site, name), name
    assert not logs_in(site, 'demo', 'wrong')


def test_mail(site):
    with Lmtp(site.lmtp) as client:
        for address in ('demo@example.org', 'demo+list@example.net'):
            assert client.deliver(b'Subject: x\r\n\r\n', address) == ['250 2.1.5 delivered']
        client.ask('MAIL FROM:<>')
        assert client.ask('RCPT TO:<nobody@example.net>').startswith('550')
        assert client.ask('RCPT TO:<demo@example.com>').startswith('550')
    assert len(list((site.mail / 'example.org/demo/new').iterdir())) == 2
    assert logs_in(site, 'demo')


def test_the_command_line(site):
    shown = site.valija('user', 'show', '-c', site.conf, 'demo').stdout
    assert 'demo is demo@example.org here' in shown
    assert f'maildrop: {site.mail}/example.org/demo'.replace('/', r'/') in shown
    assert 'is bare' not in site.valija('user', 'show', '-c', site.conf, 'bare').stdout
