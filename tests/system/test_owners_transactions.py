"""Messages to recipients whose mail belongs to more owners than there can be keepers: no recipient
waits for a keeper that its own transaction keeps at work, two transactions do not wait for each
other for long, and others wait as before. Needs root."""
import time

import pytest
from lmtp import Lmtp
from office import PASSWORD
from pop import Pop
from test_owners import MAIL, keepers, login, owners_office, visit
from test_owners_at_work import send_to

pytestmark = pytest.mark.usefixtures('need_root')

TOO_MANY = '452 4.5.3'
LONG = 25  # seconds; less than one wait of a recipient that holds no keeper


def begin(office, *numbers):
    """A transaction in which these recipients are taken."""
    client = Lmtp(office.lmtp, timeout=60)
    client.expect('MAIL FROM:<>', '250')
    for n in numbers:
        client.expect(f'RCPT TO:<o{n}>', '250')
    return client


def finish(client, count):
    client.expect('DATA', '354')
    client.send(b'Subject: x\r\n\r\nx\r\n.\r\n')
    for _ in range(count):
        assert client.reply().startswith('250')
    client.quit()


def test_many_more_owners_than_keepers(make_office):
    """One wait for each of nine recipients would take minutes."""
    office = owners_office(make_office, 12, owner_keepers=3)
    start = time.monotonic()
    left = list(range(12))
    for tries in range(4):
        answers = send_to(office, left)
        assert [reply[:9] for reply in answers.values()] == ['250 2.1.5'] * 3 + [
            TOO_MANY] * (9 - 3 * tries)
        left = left[3:]
    assert time.monotonic() - start < LONG
    assert [len(office.files(f'o{n}')) for n in range(12)] == [2] * 12
    assert len(keepers(office)) <= 3


def test_two_transactions_with_half_of_the_keepers_each(make_office):
    office = owners_office(make_office, 9, owner_keepers=4)
    one, two = begin(office, 0, 1), begin(office, 2, 3)
    start = time.monotonic()
    one.send('RCPT TO:<o4>\r\nRCPT TO:<o5>\r\nRCPT TO:<o0>\r\nRCPT TO:<o6>\r\n')
    two.send('RCPT TO:<o7>\r\nRCPT TO:<o3>\r\nRCPT TO:<o8>\r\n')
    assert [reply[:9] for reply in one.replies(4)] == [TOO_MANY, TOO_MANY, '250 2.1.5', TOO_MANY]
    assert [reply[:9] for reply in two.replies(3)] == [TOO_MANY, '250 2.1.5', TOO_MANY]
    assert time.monotonic() - start < LONG
    finish(one, 3)
    finish(two, 3)
    answers = send_to(office, range(4, 8))
    assert all(reply.startswith('250') for reply in answers.values()), answers
    assert [len(office.files(f'o{n}')) for n in range(9)] == [2] * 8 + [1]


def test_others_wait_for_the_end_of_the_transaction(make_office):
    """A login, and a recipient of a transaction that has none yet."""
    office = owners_office(make_office, 5, owner_keepers=2)
    all_keepers = begin(office, 0, 1)
    session = Pop(office.pop3, timeout=60)
    session.ok('USER o2')
    session.send(f'PASS {PASSWORD}\r\n')
    message = begin(office)
    message.send('RCPT TO:<o3>\r\n')
    all_keepers.expect('RCPT TO:<o4>', TOO_MANY)
    finish(all_keepers, 2)
    assert session.line().startswith('+OK')
    assert message.reply().startswith('250')
    finish(message, 1)
    session.quit()


def test_idle_keepers_end_for_a_transaction_that_holds_others(make_office):
    office = owners_office(make_office, 9, owner_keepers=4)
    for n in range(4):
        visit(office, n)
    assert len(keepers(office)) == 4
    answers = send_to(office, (4, 5, 3, 6))
    assert all(reply.startswith('250') for reply in answers.values()), answers
    with login(office, 7) as held:
        answers = send_to(office, (4, 5, 6))
        assert all(reply.startswith('250') for reply in answers.values()), answers
        held.quit()


def test_a_transaction_that_begins_anew_has_room_anew(make_office):
    office = owners_office(make_office, 6, owner_keepers=2)
    client = begin(office, 0, 1)
    client.expect('RCPT TO:<o2>', TOO_MANY)
    client.expect('RSET', '250')
    client.expect('MAIL FROM:<>', '250')
    client.expect('RCPT TO:<o2>', '250')
    client.expect('RCPT TO:<o3>', '250')
    client.expect('RCPT TO:<o4>', TOO_MANY)
    finish(client, 2)
    assert [len(office.files(f'o{n}')) for n in range(5)] == [1, 1, 2, 2, 1]


def test_recipients_that_were_refused_keep_no_keeper(make_office):
    office = owners_office(make_office, 5, owner_keepers=2)
    with (office.dir / 'users').open('r+') as file:
        text = file.read().replace(f'o0:{{PLAIN}}{PASSWORD}',
                                   f'o0:{{PLAIN}}{PASSWORD}::::::quota_messages=1')
        file.seek(0)
        file.write(text)
    client = Lmtp(office.lmtp, timeout=60)
    client.expect('MAIL FROM:<>', '250')
    client.expect('RCPT TO:<o0>', '452 4.2.2')
    client.expect('RCPT TO:<nobody>', '550')
    client.expect('RCPT TO:<o1>', '250')
    client.expect('RCPT TO:<o2>', '250')
    client.expect('RCPT TO:<o3>', TOO_MANY)
    finish(client, 2)


def aliases_office(make_office, text, **settings):
    """Owners o0 … o5, and demo, whose mail is the mail folder's owner's."""
    office = owners_office(make_office, 6, **settings)
    office.stop()
    office.put('demo', MAIL)
    office.add_user('demo')
    aliases = office.dir / 'aliases'
    aliases.write_text(text)
    office.own(aliases)
    aliases.chmod(0o644)
    office.set('lmtp.aliases', f'"{aliases}"')
    return office.start()


def test_an_alias_of_many_owners(make_office):
    """Room for three, and the mail folder's owner needs none of it; more is said at once, with
    the reason in the log, and keeps nothing."""
    office = aliases_office(
        make_office, 'three: o0, o1, demo, o2\nfour: o0, o1, o2, o3\nfive: four, o4\n',
        owner_keepers=3)
    office.allow('its maildrops belong to')
    start = time.monotonic()
    with Lmtp(office.lmtp, timeout=60) as client:
        client.expect('MAIL FROM:<>', '250')
        client.expect('RCPT TO:<five>', '451 4.3.2')
        client.expect('RCPT TO:<four>', TOO_MANY)
        client.expect('RSET', '250')
        office.wait_log('recipient <five>: its maildrops belong to 5 users, more than '
                        'processes.owner_keepers, 3')
        assert not keepers(office)
        assert client.deliver(b'x\r\n', 'three')[0].startswith('250')
        client.expect('MAIL FROM:<>', '250')
        client.expect('RCPT TO:<three>', '250')
        client.expect('RCPT TO:<o3>', TOO_MANY)
        client.expect('RCPT TO:<four>', TOO_MANY)
        client.expect('RCPT TO:<demo>', '250')
        finish(client, 2)
    assert time.monotonic() - start < LONG
    assert [len(office.files(f'o{n}')) for n in range(4)] == [3, 3, 3, 1]


def test_keepers_of_the_mail_folder_are_not_counted(make_office):
    office = aliases_office(make_office, '', owner_keepers=1)
    for n in range(3):
        office.add_user(f'plain{n}')
        office.put(f'plain{n}', MAIL)
    client = Lmtp(office.lmtp, timeout=60)
    client.expect('MAIL FROM:<>', '250')
    for name in ('demo', 'plain0', 'plain1', 'o0', 'plain2'):
        client.expect(f'RCPT TO:<{name}>', '250')
    client.expect('RCPT TO:<o1>', TOO_MANY)
    finish(client, 5)
