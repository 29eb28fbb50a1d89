"""Recipients: aliases, sub-addresses, domains, catch-all, quota; over LMTP on a running server. The
rules themselves are tried in tests/unit/users/test_recipients.c."""
import re

from lmtp import Lmtp
from office import PASSWORD
from pop import login_within

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
        for address in ('boss@example.org', 'boss@example.com', 'anna+x@example.com'):
            assert client.deliver(MESSAGE, address) == ['250 2.1.5 delivered'], address
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


def test_one_copy_for_one_user(make_office):
    """A recipient that is named twice in a transaction, also in two spellings or by two aliases,
    gets one copy, and each RCPT its own reply."""
    office = make_office(start=False, users=('anna', 'bert'))
    aliases = office.dir / 'aliases'
    aliases.write_text('sales: anna, bert\nboss: anna\nchief: boss\n')
    office.own(aliases)
    aliases.chmod(0o644)
    office.set('lmtp.aliases', f'"{aliases}"')
    office.start()
    ok = '250 2.1.5 delivered'
    with Lmtp(office.lmtp) as client:
        assert client.deliver(MESSAGE, 'anna', 'anna', 'anna') == [ok] * 3
        assert counts(office, 'anna', 'bert') == [1, 0]
        assert client.deliver(MESSAGE, 'anna', 'ANNA@example.org', 'anna+x', '"anna"@b') == [ok] * 4
        assert counts(office, 'anna', 'bert') == [2, 0]
        assert client.deliver(MESSAGE, 'sales', 'chief', 'boss', 'bert', 'sales') == [ok] * 5
        assert counts(office, 'anna', 'bert') == [3, 1]
        client.expect('MAIL FROM:<>', '250')
        client.expect('RCPT TO:<anna>', '250')
        client.expect('RCPT TO:<nobody>', '550')
        client.expect('RCPT TO:<Anna>', '250')
        client.expect('DATA', '354')
        client.send(MESSAGE + b'.\r\n')
        assert client.replies(2) == [ok] * 2
        assert counts(office, 'anna', 'bert') == [4, 1]
        # the next transaction is another message
        assert client.deliver(MESSAGE, 'anna') == [ok]
        assert counts(office, 'anna', 'bert') == [5, 1]


def test_one_copy_that_cannot_be_delivered_is_refused_to_all(make_office):
    office = make_office(settings={'quota.octets': '1k'}, users=('anna', 'bert'))
    with Lmtp(office.lmtp) as client:
        large = b'Subject: x\r\n\r\n' + b'x' * 2000 + b'\r\n'
        replies = client.deliver(large, 'anna', 'bert', 'Anna')
        assert [reply[:9] for reply in replies] == ['452 4.2.2'] * 3
    assert counts(office, 'anna', 'bert') == [0, 0]


def check_output(office):
    check = office.valijad('-t', '-c', office.conf)
    return check.returncode, check.stdout + check.stderr


def test_postmaster_is_somebody(make_office):
    """-t names a postmaster who is nobody; an alias or the catch-all gets its mail."""
    office = make_office(start=False, users=('anna',))
    office.set('lmtp.domains', '"example.org example.net"')
    code, text = check_output(office)
    assert code == 0
    assert 'postmaster@example.org is nobody' in text and 'postmaster@example.net is nobody' in text
    office.set('lmtp.catch_all', '"anna"')
    code, text = check_output(office)
    assert code == 0 and 'nobody' not in text
    office.set('lmtp.catch_all', '"ghost"')
    code, text = check_output(office)
    assert code == 0 and text.count('catch_all: there is no user ghost') == 1
    office.set('lmtp.catch_all', '""')
    aliases = office.dir / 'aliases'
    aliases.write_text('postmaster@example.org: anna\nloop: loop2\nloop2: loop\n'
                       'half: anna, ghost\n')
    office.own(aliases)
    aliases.chmod(0o644)
    office.set('lmtp.aliases', f'"{aliases}"')
    code, text = check_output(office)
    assert code == 0
    assert 'postmaster@example.org is' not in text and 'postmaster@example.net is nobody' in text
    assert 'aliases:2: loop leads to no user' in text and 'aliases:3: loop2' in text
    assert 'aliases:4: ghost, a target of half' in text
    office.start()
    office.wait_log('warning: .*loop leads to no user')
    with Lmtp(office.lmtp) as client:
        client.expect('MAIL FROM:<>', '250')
        client.expect('RCPT TO:<Postmaster@Example.org>', '250')
        client.expect('RCPT TO:<postmaster@example.net>', '550')


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
            for address in ('demo+1', 'demo+2'):
                assert client.deliver(MESSAGE, address) == ['250 2.1.5 delivered']
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


def test_notices_of_a_mailbox_that_is_nearly_full(make_office):
    office = make_office(settings={'quota.messages': '10', 'quota.notices': 'yes'})

    def subjects():
        return [line for path in office.files('demo') for line in path.read_text().splitlines()
                if line.startswith('Subject: Your mailbox')]

    with Lmtp(office.lmtp) as client:
        for _ in range(7):
            assert client.deliver(MESSAGE, 'demo') == ['250 2.1.5 delivered']
        assert subjects() == []
        assert client.deliver(MESSAGE, 'demo') == ['250 2.1.5 delivered']
        assert subjects() == ['Subject: Your mailbox is 80 % full']
        assert len(office.files('demo')) == 9
        assert client.deliver(MESSAGE, 'demo') == ['250 2.1.5 delivered']
        # full, and told so beyond the quota; not told once more
        assert sorted(subjects()) == ['Subject: Your mailbox is 80 % full',
                                      'Subject: Your mailbox is 95 % full']
        notice = next(path.read_text() for path in office.files('demo')
                      if '95 %' in path.read_text())
        assert 'holds 10 messages' in notice and 'Allowed are 10 messages.' in notice
        client.expect('MAIL FROM:<>', '250')
        client.expect('RCPT TO:<demo>', '452 4.2.2')


def test_quota_of_one_user(make_office):
    office = make_office(users=('small', 'large'), settings={'quota.octets': '10K'})
    users = office.dir / 'users'
    lines = users.read_text().splitlines()
    users.write_text('\n'.join(line + ('::::::quota_octets=1K' if line.startswith('small:') else '')
                               for line in lines) + '\n')
    message = b'x' * 600 + b'\r\n'
    with Lmtp(office.lmtp) as client:
        assert client.deliver(message, 'small', 'large') == ['250 2.1.5 delivered'] * 2
        assert client.deliver(message, 'small', 'large') == [
            '452 4.2.2 the mailbox is full, try again later', '250 2.1.5 delivered']


def test_users_with_capitals(make_office, connect):
    """In whatever case they are addressed and log in; never the catch-all; the folder is as the
    users file has it."""
    office = make_office(start=False, users=('Carol@Example.ORG', 'Dave', 'anna', 'rest'))
    aliases = office.dir / 'aliases'
    aliases.write_text('Team: DAVE, carol@example.org\n')
    office.own(aliases)
    aliases.chmod(0o644)
    office.set('lmtp.aliases', f'"{aliases}"')
    office.set('lmtp.domains', '"example.org"')
    office.set('lmtp.catch_all', '"REST"')
    office.start()
    carol = ['Carol@Example.ORG', 'carol@example.org', 'CAROL@EXAMPLE.ORG', 'cArOl+tag@example.org']
    dave = ['Dave@example.org', 'dave@EXAMPLE.org', 'DAVE', 'dave+x@example.org']
    with Lmtp(office.lmtp) as client:
        for address in (*carol, *dave):
            assert client.deliver(MESSAGE, address) == ['250 2.1.5 delivered'], address
        client.deliver(MESSAGE, 'ANNA@example.org', 'tEAM@example.org')
        assert counts(office, 'Carol@Example.ORG', 'Dave', 'anna', 'rest') == [5, 5, 1, 0]
        client.deliver(MESSAGE, 'Whoever@Example.Org')
        assert counts(office, 'rest') == [1]
    assert {path.name for path in office.mail.iterdir() if path.is_dir()} == {
        'Carol@Example.ORG', 'Dave', 'anna', 'rest'}
    for name, count in (('carol@example.org', 5), ('CAROL@EXAMPLE.org', 5), ('Dave', 5),
                        ('dave', 5), ('ANNA', 1)):
        login = connect(office)
        login.login(name, PASSWORD)
        assert login.stat()[0] == count, name
        login.quit()


def test_one_user_in_every_case_has_one_limit(make_office, connect):
    """Also when the users file begins to spell the name in another case."""
    office = make_office(users=('Dave',), settings={'limits.sessions_per_user': '1'})
    many = '-ERR [IN-USE] too many sessions of this user'
    first, second = connect(office), connect(office)
    first.login('dave', PASSWORD)
    second.ok('USER DAVE')
    assert second.err(f'PASS {PASSWORD}') == many
    users = office.dir / 'users'
    fresh = office.dir / 'users.new'
    fresh.write_text(f'dave:{{PLAIN}}{PASSWORD}::::Dave\n')
    office.own(fresh)
    fresh.chmod(0o644)
    fresh.rename(users)
    second.ok('USER Dave')
    assert second.err(f'PASS {PASSWORD}') == many
    office.wait_log('users: read again')
    first.quit()
    login_within(connect, office, 'DAVE').quit()


def test_names_with_dots_that_need_quotes(make_office, connect):
    office = make_office(users=('foo..bar@example.org', 'end.'))
    with Lmtp(office.lmtp) as client:
        for address in ('foo..bar@example.org', '"Foo..Bar"@example.org', 'foo..bar+x@example.org',
                        'end.@example.org', 'End.'):
            assert client.deliver(MESSAGE, address) == ['250 2.1.5 delivered'], address
    for name, count in (('foo..bar@example.org', 3), ('end.', 2)):
        login = connect(office)
        login.login(name, PASSWORD)
        assert login.stat()[0] == count
        login.quit()


def test_two_users_that_differ_in_case_only(make_office, connect):
    """At a start an error, while it runs a change that is not taken; both lines are named."""
    office = make_office(users=('Bert', 'anna'))
    users = office.dir / 'users'
    before = users.read_bytes()
    office.allow(r'users:\d+: .*in line \d+ already')
    number = before.count(b'\n') + 1
    fresh = office.dir / 'users.new'
    fresh.write_bytes(before + b'bert:{PLAIN}x\n')
    office.own(fresh)
    fresh.chmod(0o644)
    fresh.rename(users)
    login = connect(office)
    login.login('BERT', PASSWORD)
    login.quit()
    office.wait_log(rf'users:{number}: .*in line {number - 2} already.*between bert and Bert')
    check = office.valijad('-t', '-c', office.conf)
    assert check.returncode and f'users:{number}: ' in check.stderr + check.stdout


def test_byte_order_marks(make_office, connect):
    mark = b'\xef\xbb\xbf'
    office = make_office(start=False, users=('Anna',))
    users, aliases = office.dir / 'users', office.dir / 'aliases'
    lines = [line for line in users.read_bytes().splitlines(True) if line.startswith(b'Anna:')]
    users.write_bytes(mark + b''.join(lines))
    aliases.write_bytes(mark + b'sales: anna\n')
    office.own(aliases)
    aliases.chmod(0o644)
    office.set('lmtp.aliases', f'"{aliases}"')
    office.start()
    with Lmtp(office.lmtp) as client:
        client.deliver(MESSAGE, 'anna')
        client.deliver(MESSAGE, 'sales')
    login = connect(office)
    login.login('anna', PASSWORD)
    assert login.stat()[0] == 2
    login.quit()
    assert (office.mail / 'Anna').is_dir()
