"""End to end with Debian's Postfix: sendmail → Postfix → LMTP or pipe → Maildir → POP3 → valija
fetch, octet by octet."""
import grp
import pwd
import re

import generate
import pytest
from lmtp import TRACE
from office import PASSWORD
from postfix import Postfix, why_not
from wire import wire_form

# what mail may hold by the standards, and a few lines longer than that
NAMES = ('plain', 'multipart-attachment', 'multipart-nested', 'eight-bit', 'utf8-headers', 'dots',
         'dot-last', 'long-line', 'long-line-dots', 'no-final-line-break', 'header-only',
         'from-lines', 'trailing-spaces', 'status-headers', 'many-recipients', 'forwarded')
CORPUS = {name: octets for name, octets in generate.messages(with_large=False) if name in NAMES}

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))


@pytest.fixture
def mta(tmp_path_factory):
    """mta(office, transport): a started Postfix that ends with the test."""
    started = []

    def start(office, transport, **more):
        started.append(Postfix(office.scratch / 'postfix', transport, **more).__enter__())
        return started[-1]

    yield start
    for postfix in started:
        postfix.__exit__()


def fetched(office, user, folder):
    """What valija fetch brings, in wire form without the lines that MTA and delivery put on top."""
    password = office.scratch / 'password'
    password.write_text(PASSWORD + '\n')
    password.chmod(0o600)
    office.valija('fetch', f'pop3s://{user}@localhost:{office.pop3s}', '--to', f'maildir:{folder}',
                  '--ca', office.cert, '--password-file', password, '--delete',
                  '--state', office.scratch / 'state')
    result = []
    for path in sorted((folder / 'new').iterdir()):
        wire = wire_form(path.read_bytes())
        match = TRACE.match(wire)
        assert match, wire[:500]
        by_mta = re.match(rb'Received: by mta\.test \(Postfix, from userid \d+\)\r\n'
                          rb'(?:\t[^\r\n]*\r\n)*', match['message'])
        result.append(match['message'][by_mta.end():] if by_mta else match['message'])
    return result


def transport_of(office, way):
    """How Postfix is told to deliver, and what more its configuration needs."""
    if way == 'tcp':
        return f'lmtp:inet:127.0.0.1:{office.lmtp}', {}
    if way == 'unix':
        path = office.scratch / 'lmtp.sock'
        office.own(office.scratch)
        office.set('lmtp.listen', f'"{path}"')
        return f'lmtp:unix:{path}', {}
    owner = office.mail.stat().st_uid
    if owner == 0:
        pytest.skip('the mail is root\'s: pipe(8) never runs a command as root')
    readers = grp.getgrgid((office.dir / 'users').stat().st_gid).gr_name
    return 'valija:', {'user': f'{pwd.getpwuid(owner).pw_name}:{readers}',
                       'deliver': f'{office.bin}/valija deliver -c {office.conf}'}


@pytest.mark.parametrize('way', ['tcp', 'unix', 'pipe'])
def test_sendmail_to_fetch(make_office, mta, tmp_path, way):
    office = make_office(start=False, users=('demo', 'carol'))
    transport, more = transport_of(office, way)
    office.start()
    if way == 'pipe':  # which runs as a user who may not enter it in the register: docs/delivery.md
        office.valija('user', 'make', '-c', office.conf, 'demo', check=True)
    postfix = mta(office, transport, **more)
    for octets in CORPUS.values():
        postfix.sendmail(octets, 'demo@example.org', 'demo+copy@example.org')
    postfix.wait_empty()
    got = fetched(office, 'demo', tmp_path / 'inbox')
    copies_wanted = 2 if way == 'pipe' else 1  # LMTP: one for each maildrop of a transaction
    assert len(got) == copies_wanted * len(CORPUS), postfix.log()
    for name, octets in CORPUS.items():
        expected = wire_form(octets)
        copies = [one for one in got if one == expected]
        assert len(copies) == copies_wanted, f'{name}: {len(copies)} copies'
    assert fetched(office, 'carol', tmp_path / 'carol') == []


def test_unknown_recipients_are_sent_back(make_office, mta, tmp_path):
    office = make_office(users=('demo', 'carol'))
    postfix = mta(office, f'lmtp:inet:127.0.0.1:{office.lmtp}')
    postfix.sendmail(CORPUS['plain'], 'ghost@example.org', 'demo@example.org')
    postfix.wait_empty()
    assert fetched(office, 'demo', tmp_path / 'demo') == [wire_form(CORPUS['plain'])]
    [bounce] = fetched(office, 'carol', tmp_path / 'carol')
    assert b'ghost@example.org' in bounce and b'550 5.1.1' in bounce


def test_mail_waits_while_the_server_is_down(make_office, mta, tmp_path):
    """Also while it is killed: nothing is lost, nothing comes twice that was answered 250."""
    office = make_office(users=('demo', 'carol'))
    office.stop()
    postfix = mta(office, f'lmtp:inet:127.0.0.1:{office.lmtp}')
    for octets in CORPUS.values():
        postfix.sendmail(octets, 'demo@example.org')
    postfix.wait_deferred()
    office.start()
    postfix.flush()
    postfix.wait_empty()
    got = fetched(office, 'demo', tmp_path / 'inbox')
    assert sorted(got) == sorted(map(wire_form, CORPUS.values()))


def test_over_quota_waits_or_is_sent_back(make_office, mta, tmp_path):
    office = make_office(users=('demo', 'carol'), settings={'quota.messages': '1'})
    postfix = mta(office, f'lmtp:inet:127.0.0.1:{office.lmtp}')
    postfix.sendmail(CORPUS['plain'], 'demo@example.org')
    postfix.wait_empty()
    postfix.sendmail(CORPUS['dots'], 'demo@example.org')
    postfix.wait_deferred()
    assert '452 4.2.2' in postfix.log()
    assert fetched(office, 'demo', tmp_path / 'first') == [wire_form(CORPUS['plain'])]
    postfix.flush()
    postfix.wait_empty()
    assert fetched(office, 'demo', tmp_path / 'second') == [wire_form(CORPUS['dots'])]
