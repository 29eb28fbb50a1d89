"""Whose mail it is: aliases, sub-addresses, domains, catch-all, quota; over LMTP on a running
server. The rules themselves are tried in tests/unit/test_users_recipients.c."""
import re

from lmtp import Lmtp

MESSAGE = b'Subject: hello\r\n\r\nbody\r\n'


def counts(office, *users):
    return [len(office.files(user)) if (office.mail / user / 'new').exists() else 0
            for user in users]


def test_aliases_catch_all_and_domains(make_office):
    office = make_office(start=False, users=('anna', 'bert', 'rest', 'carl@example.net'))
    aliases = office.dir / 'aliases'
    aliases.write_text('sales: anna, bert\nboss@example.org: anna\nloop: loop2\nloop2: loop\n')
    office.own(aliases)
    aliases.chmod(0o644)
    office.set('lmtp.aliases', f'"{aliases}"')
    office.set('lmtp.domains', '"example.org example.com"')
    office.set('lmtp.catch_all', '"rest"')
    office.allow(r'loop leads to no user')
    office.start()
    with Lmtp(office.lmtp) as client:
        assert client.deliver(MESSAGE, 'Sales@example.org') == ['250 2.1.5 delivered']
        assert counts(office, 'anna', 'bert', 'rest') == [1, 1, 0]
        client.deliver(MESSAGE, 'boss@example.org', 'boss@example.com', 'anna+x@example.com')
        assert counts(office, 'anna', 'bert', 'rest') == [3, 1, 1]
        client.deliver(MESSAGE, 'carl@example.net', 'whoever@example.org')
        assert counts(office, 'carl@example.net', 'rest') == [1, 2]
        client.expect('MAIL FROM:<>', '250')
        client.expect('RCPT TO:<anna@elsewhere.example>', '550 5.1.1')
        client.expect('RCPT TO:<loop@example.org>', '451 4.3.0')
        client.expect('RSET', '250')
        # the file is read again when it changed; a bad one changes nothing
        fresh = office.dir / 'aliases.new'
        fresh.write_text('sales: bert\n')
        office.own(fresh)
        fresh.rename(aliases)
        client.deliver(MESSAGE, 'sales@example.org')
        assert counts(office, 'anna', 'bert') == [3, 2]
        office.allow(r'aliases:2: ')
        with aliases.open('a') as file:
            file.write('no colon\n')
        client.deliver(MESSAGE, 'sales@example.org')
        assert counts(office, 'anna', 'bert') == [3, 3]
        office.wait_log(r'aliases:2: .*stay in force')


def test_bad_aliases_at_start(make_office):
    office = make_office(start=False)
    aliases = office.dir / 'aliases'
    aliases.write_text('root: |/bin/sh\n')
    office.own(aliases)
    aliases.chmod(0o644)
    office.set('lmtp.aliases', f'"{aliases}"')
    office.start(wait=False)
    assert office.process.wait(30) != 0
    office.reader.join(10)
    assert re.search(r'aliases:1: ', office.log_text())
    office.process = None


def test_without_sub_addresses(make_office):
    office = make_office(settings={'lmtp.recipient_delimiter': '""'})
    with Lmtp(office.lmtp) as client:
        client.expect('MAIL FROM:<>', '250')
        client.expect('RCPT TO:<demo+x>', '550 5.1.1')
        client.expect('RCPT TO:<demo>', '250')


def test_users_added_and_deleted_while_it_runs(make_office):
    office = make_office()
    with Lmtp(office.lmtp) as client:
        client.expect('MAIL FROM:<>', '250')
        client.expect('RCPT TO:<late>', '550 5.1.1')
        office.add_user('late')
        client.expect('RCPT TO:<late>', '250')
        office.valija('user', 'del', '-c', office.conf, 'late')
        client.expect('RCPT TO:<late>', '550 5.1.1')


def test_quota_temporary_and_permanent(make_office):
    for over, codes in (('temporary', '452 4.2.2'), ('permanent', '552 5.2.2')):
        office = make_office(settings={'quota.messages': '2', 'quota.over': f'"{over}"'})
        with Lmtp(office.lmtp) as client:
            assert client.deliver(MESSAGE, 'demo', 'demo+1', 'demo+2')[:2] == [
                '250 2.1.5 delivered'] * 2
            assert len(office.files('demo')) == 2
            client.expect('MAIL FROM:<>', '250')
            client.expect('RCPT TO:<demo>', codes)
            client.expect('RSET', '250')
            # what another program takes away or puts in counts as well
            office.files('demo')[0].unlink()
            assert client.deliver(MESSAGE, 'demo') == ['250 2.1.5 delivered']
            office.files('demo')[0].unlink()
            office.put('demo', MESSAGE)
            client.expect('MAIL FROM:<>', '250')
            client.expect('RCPT TO:<demo>', codes)


def test_quota_of_one_user(make_office):
    office = make_office(users=('small', 'large'), settings={'quota.octets': '10K'})
    users = office.dir / 'users'
    lines = users.read_text().splitlines()
    users.write_text('\n'.join(line + ('::::::quota_octets=1K' if line.startswith('small:') else '')
                               for line in lines) + '\n')
    message = b'x' * 600 + b'\r\n'
    with Lmtp(office.lmtp) as client:
        assert client.deliver(message, 'small', 'small', 'large', 'large') == [
            '250 2.1.5 delivered', '452 4.2.2 the mailbox is full, try again later',
            '250 2.1.5 delivered', '250 2.1.5 delivered']
