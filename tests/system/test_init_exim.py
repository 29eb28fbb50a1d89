"""`valija init --with exim`: shows, makes and takes back what Debian's Exim needs, in both forms of
its configuration; the mail then goes through."""
import smtplib
import ssl

import exim
import generate
import pytest
from office import PASSWORD, wait_until

MESSAGE = dict(generate.messages(with_large=False))['plain']
pytestmark = pytest.mark.skipif(bool(exim.why_not()), reason=str(exim.why_not()))
CANTCREAT, NOINPUT, CONFIG, UNAVAILABLE, NOPERM, TEMPFAIL = 73, 66, 78, 69, 77, 75


class Site:
    """An office with all the sockets, and an Exim that knows nothing of it."""

    def __init__(self, office, split):
        self.office = office
        for section in ('sasl', 'socketmap', 'policy'):
            office.set(f'{section}.listen', f'"{office.scratch}/{section}"')
        office.set('lmtp.listen', f'"{office.scratch}/lmtp"')
        office.set('lmtp.domains', '{"example.org", "example.net"}')
        office.set('sasl.peers', f'{{"{exim.USER}"}}')
        self.exim = exim.DebianExim(office.scratch / 'exim', office.cert,
                                    office.dir / 'tls/key.pem', split)

    def command(self, *more, expect=0, stdin=''):
        done = self.exim.run(self.office.bin / 'valija', 'init', '--with', 'exim', '-c',
                             self.office.conf, *more, stdin=stdin, check=False)
        assert done.returncode == expect, done
        return done.stdout + done.stderr

    def client(self):
        """From another address than the hosts that Debian relays for."""
        return smtplib.SMTP('127.0.0.1', self.exim.port, timeout=60,
                            source_address=('127.0.0.2', 0))


@pytest.fixture
def make_site(make_office):
    return lambda split, **more: Site(make_office(start=False, **more), split)


def codes(client, recipients):
    client.ehlo_or_helo_if_needed()
    client.mail('x@elsewhere.example')
    replies = {recipient: client.rcpt(recipient)[0] for recipient in recipients}
    client.rset()
    return replies


@pytest.mark.parametrize('split', [True, False], ids=['split', 'single'])
@pytest.mark.release
def test_from_nothing_to_a_message_and_back(make_site, split):
    site = make_site(split, users=('demo', 'anna'), settings={'quota.messages': '1'})
    office, before = site.office, site.exim.files()
    office.put('anna', MESSAGE)
    office.start()
    shown = site.command()
    assert ('/etc/exim4/conf.d/router/010_valija' in shown) is split
    assert ('exim4.conf.template' in shown) is not split
    assert "(is: dc_other_hostnames='mta.test')" in shown and 'Nothing was changed' in shown
    assert site.exim.files() == before
    assert 'exim-before' in site.command('--apply')
    assert "hostnames='mta.test;example.org;example.net'\n" in site.exim.settings.read_text()
    assert 'changes were made before' in site.command('--apply', expect=CANTCREAT)
    assert 'Exim has all of it.' in site.command()
    with site.exim, site.client() as client:
        client.sendmail('x@elsewhere.example', ['demo@example.org'], MESSAGE)
        assert codes(client, ['ghost@example.org', 'anna@example.org', 'a@elsewhere.example']) == {
            'ghost@example.org': 550, 'anna@example.org': 452, 'a@elsewhere.example': 550}
        wait_until(lambda: (office.mail / 'demo').exists() and len(office.files('demo')) == 1)
        context = ssl.create_default_context(cafile=str(office.cert))
        context.check_hostname = False
        client.starttls(context=context)
        client.login('demo', PASSWORD)
        office.stop()
        assert codes(client, ['demo@example.net']) == {'demo@example.net': 250}  # one who logged in
        with site.client() as other:
            assert codes(other, ['demo@example.net']) == {'demo@example.net': 451}
    assert 'Exim is as it was.' in site.command('--undo')
    assert site.exim.files() == before
    assert 'no changes were made' in site.command('--undo', expect=NOINPUT)


@pytest.mark.release
def test_a_message_goes_through_and_is_collected(make_site):
    site = make_site(True, users=('demo',), settings={'login.plain_on_loopback': 'no'})
    office = site.office
    office.put('demo', MESSAGE)
    office.start()
    before = office.octets('demo')
    with site.exim:
        said = site.command('--apply', '--try', 'demo@example.net', stdin=PASSWORD + '\n')
        assert 'Logged in as demo: POP3 with STLS at 127.0.0.1' in said
        assert 'Exim took the message for demo@example.net' in said
        assert 'Collected by POP3' in said and 'Deleted it there again' in said
        wait_until(lambda: office.octets('demo') == before)
        received = site.exim.log().count('<= demo@example.net')
        assert received == 1
        said = site.command('--try', 'demo', stdin='wrong\n', expect=NOPERM)
        assert 'the login as demo failed; no message was sent' in said
        office.stop()
        said = site.command('--try', 'demo', stdin=PASSWORD + '\n', expect=TEMPFAIL)
        assert 'no message was sent' in said and 'journalctl -u valijad' in said
        assert site.exim.log().count('<= demo@') == received


@pytest.mark.parametrize('split', [True, False], ids=['split', 'single'])
def test_what_others_changed_since_stays(make_site, split):
    site = make_site(split)
    site.command('--apply')
    changed = site.exim.settings.read_text().replace('mta.test;', 'other.test;')
    site.exim.settings.write_text(changed)
    template = site.exim.conf / 'exim4.conf.template'
    template.write_text('# ours\n' + template.read_text())
    site.command('--undo')
    assert site.exim.settings.read_text() == changed
    assert template.read_text().startswith('# ours\n')
    assert b'valija' not in b''.join(octets for name, octets in site.exim.files().items()
                                     if name != 'update-exim4.conf.conf')


@pytest.mark.parametrize('split', [True, False], ids=['split', 'single'])
def test_what_exim_refuses_is_taken_back(make_site, split):
    """A configuration with a transport of that name already."""
    site = make_site(split)
    clash = 'valija:\n  driver = lmtp\n  socket = /x\n'
    if split:
        (site.exim.conf / 'conf.d/transport/500_clash').write_text(clash)
    else:
        template = site.exim.conf / 'exim4.conf.template'
        template.write_text(template.read_text().replace('\nbegin transports\n',
                                                         '\nbegin transports\n' + clash))
    before = site.exim.files()
    assert 'no changes were made' in site.command('--apply', expect=UNAVAILABLE)
    assert site.exim.files() == before
    assert 'no changes were made, or they' in site.command('--undo', expect=NOINPUT)


def test_what_is_missing_is_said(make_site):
    site = make_site(True)
    site.office.set('socketmap.listen', '"127.0.0.1:1"')
    assert 'socketmap { listen' in site.command(expect=CONFIG)
    site.office.set('socketmap.listen', f'"{site.office.scratch}/odd$name"')
    assert 'such letters' in site.command(expect=CONFIG)
    site.office.set('socketmap.listen', f'"{site.office.scratch}/maps"')
    site.office.set('lmtp.domains', '{}')
    assert 'lmtp.domains' in site.command(expect=CONFIG)
    site.office.set('lmtp.domains', '{"example.org"}')
    text = site.exim.settings.read_text()
    site.exim.settings.write_text(text.replace("'mta.test'", '"$(hostname)"'))
    assert 'is not understood' in site.command(expect=65)
    site.exim.settings.unlink()
    assert 'exim4-config is needed' in site.command(expect=UNAVAILABLE)
