"""valija deliver: messages from standard input, exit codes, senders, quota, as root and not."""
import concurrent.futures
import os
import subprocess

import generate
import pytest
from lmtp import Lmtp, split_trace
from office import NOBODY, PASSWORD, SANITIZER, environment
from wire import wire_form

MESSAGE = b'Subject: hello\n\nbody\n'
EX_USAGE, EX_DATAERR, EX_NOUSER, EX_CANTCREAT, EX_TEMPFAIL = 64, 65, 67, 73, 75


def deliver(office, *args, message=MESSAGE, conf=True, **variables):
    command = [office.bin / 'valija', 'deliver', *(['-c', office.conf] if conf else []), *args]
    done = subprocess.run(office._command(*command), input=message, capture_output=True, timeout=60,
                          env={**office.environment(), **variables}, cwd='/')
    assert not SANITIZER.search(done.stderr.decode('latin-1')), done.stderr
    assert done.stdout == b''
    return done


def delivered(office, *args, **more):
    done = deliver(office, *args, **more)
    assert done.returncode == 0, done.stderr
    return done


def collect(connect, office, user):
    client = connect(office)
    client.login(user, PASSWORD)
    got = [split_trace(client.retr(number)) for number in sorted(client.list())]
    client.quit()
    return got


def test_the_corpus_arrives(shared, user, connect):
    corpus = [octets for name, octets in generate.messages(with_large=True)
              if not octets.startswith(b'From ')]
    for octets in corpus:
        delivered(shared, user, message=octets)
    got = sorted(message for _, message in collect(connect, shared, user))
    assert got == sorted(map(wire_form, corpus))


def test_names_in_every_case(make_office, connect):
    """One copy, in the folder that has the users file's spelling."""
    office = make_office(users=('Dave@Example.ORG', 'rest'), settings={'lmtp.catch_all': '"rest"'})
    delivered(office, 'dave@example.org', 'DAVE@example.org', 'Dave+x@example.ORG.')
    assert [len(office.files('Dave@Example.ORG')), (office.mail / 'rest').exists()] == [1, False]
    assert len(collect(connect, office, 'dave@EXAMPLE.org')) == 1


def test_first_deliveries_at_once(make_office):
    """One makes the maildrop; the others find it, whatever they saw before."""
    office = make_office(users=('demo',))
    for round_ in range(10):
        office.add_user(f'user{round_}')
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            done = list(pool.map(lambda _: deliver(office, f'user{round_}'), range(6)))
        assert [one.returncode for one in done] == [0] * 6, [one.stderr for one in done]
        assert len(office.files(f'user{round_}')) == 6


def test_first_deliveries_at_once_by_lmtp_and_the_command(make_office):
    """Whoever finds that the other one makes the maildrop goes on with what is there then."""
    office = make_office(users=('demo',))

    def by_lmtp(user):
        with Lmtp(office.lmtp) as client:
            return client.deliver(b'Subject: x\r\n\r\nx\r\n', user)[0]

    def by_command(user):
        done = deliver(office, user)
        return '250' if done.returncode == 0 else done.stderr

    for round_ in range(10):
        user = f'user{round_}'
        office.add_user(user)
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            done = [pool.submit(way, user) for way in 3 * (by_lmtp, by_command)]
        results = [str(one.result()) for one in done]
        assert all(result.startswith('250') for result in results), results
        assert len(office.files(user)) == 6


def test_whose_files_they_are(shared, user):
    delivered(shared, user)
    [path] = shared.files(user)
    wanted, got = shared.mail.stat(), path.stat()
    assert (got.st_uid, got.st_gid) == (wanted.st_uid, wanted.st_gid)
    assert path.parent.name == 'new' and got.st_mode & 0o777 == 0o600
    assert path.parent.parent.stat().st_uid == wanted.st_uid


def test_works_without_a_server_and_with_it(make_office, connect):
    office = make_office(start=False)
    delivered(office, 'demo')
    office.start()
    delivered(office, 'demo')
    client = connect(office)
    client.login('demo', PASSWORD)
    delivered(office, 'demo+more@example.org')
    assert client.stat()[0] == 2
    client.quit()
    assert len(collect(connect, office, 'demo')) == 3


@pytest.mark.parametrize('args, message, variables, sender', [
    (('-f', 'carol@example.com'), MESSAGE, {}, 'carol@example.com'),
    (('-f', '<carol@example.com>'), MESSAGE, {}, 'carol@example.com'),
    (('-f', ''), MESSAGE, {'SENDER': 'x@y'}, ''),
    (('-f', 'MAILER-DAEMON'), MESSAGE, {}, ''),
    (('-f', 'not an address'), MESSAGE, {}, ''),
    (('-f', 'a@b>\nX-Evil: yes'), MESSAGE, {}, ''),
    ((), MESSAGE, {}, ''),
    ((), MESSAGE, {'SENDER': 'carol@example.com'}, 'carol@example.com'),
    ((), MESSAGE, {'SENDER': 'a@b\nX-Evil: yes'}, ''),
    ((), b'From dave@example.com  Tue Jan 14 09:00:00 2025\n' + MESSAGE, {'SENDER': 'x@y'},
     'dave@example.com'),
    (('-f', 'carol@example.com'), b'From dave@example.com Tue Jan 14 2025\r\n' + MESSAGE, {},
     'carol@example.com'),
    ((), b'From ' + b'x' * 5000 + b'\n' + MESSAGE, {'SENDER': 'carol@example.com'},
     'carol@example.com'),
], ids=lambda value: '' if isinstance(value, (bytes, dict)) else None)
def test_sender(shared, user, connect, args, message, variables, sender):
    delivered(shared, *args, user, message=message, **variables)
    [(trace, got)] = collect(connect, shared, user)
    assert f'Return-Path: <{sender}>\r\n' in trace and 'Evil' not in trace
    assert f'Delivered-To: {user}\r\n' in trace and 'with local' in trace
    assert got == wire_form(MESSAGE)


@pytest.mark.parametrize('message', [b'Fro', b'From', b'F\n', b'From\n', b'From: a\n\nb\n',
                                     b'>From x\n'])
def test_what_only_begins_like_a_from_line(shared, user, connect, message):
    delivered(shared, user, message=message)
    [(_, got)] = collect(connect, shared, user)
    assert got == wire_form(message)


def test_large_messages_go_through_a_file(shared, user, connect):
    message = b'Subject: large\n\n' + b'0123456789abcdef\n' * 1_300_000  # 22 MB
    spool = shared.scratch / f'spool-{user}'
    spool.mkdir()
    spool.chmod(0o777)
    delivered(shared, user, message=message, TMPDIR=str(spool))
    [(_, got)] = collect(connect, shared, user)
    assert got == wire_form(message)
    assert not list(spool.iterdir())


def test_exit_codes(make_office):
    office = make_office(start=False, users=('anna', 'full'), settings={
        'quota.messages': '2', 'lmtp.max_size': '10K'})
    assert deliver(office).returncode == EX_USAGE
    assert deliver(office, '-x', 'anna').returncode == EX_USAGE
    assert deliver(office, 'ghost').returncode == EX_NOUSER
    assert deliver(office, '../anna').returncode == EX_NOUSER
    assert deliver(office, 'anna', message=b'').returncode == EX_DATAERR
    assert deliver(office, 'anna', message=b'x' * 20_000).returncode == EX_DATAERR
    assert not (office.mail / 'anna/new').exists() or not office.files('anna')
    for _ in range(2):
        delivered(office, 'full')
    done = deliver(office, 'full')
    assert done.returncode == EX_TEMPFAIL and b'full' in done.stderr
    # some now, some later: later is what the MTA must hear
    assert deliver(office, 'ghost', 'anna', 'full').returncode == EX_TEMPFAIL
    assert deliver(office, 'anna', 'ghost').returncode == EX_NOUSER
    assert len(office.files('anna')) == 2
    office.set('quota.over', '"permanent"')
    assert deliver(office, 'full').returncode == EX_CANTCREAT
    assert len(office.files('full')) == 2


def test_what_another_try_may_mend(make_office, tmp_path):
    office = make_office(start=False)
    bad = tmp_path / 'valija.conf'
    bad.write_text('nonsense = yes\n')
    for conf in (bad, tmp_path / 'missing.conf'):
        done = deliver(office, '-c', conf, 'demo', conf=False)
        assert done.returncode == EX_TEMPFAIL and conf.name.encode() in done.stderr
    users = office.dir / 'users'
    users.rename(office.dir / 'users.away')
    assert deliver(office, 'demo').returncode == EX_TEMPFAIL
    (office.dir / 'users.away').rename(users)
    mail = office.mail.rename(office.dir / 'mail.away')
    done = deliver(office, 'demo')
    assert done.returncode == EX_TEMPFAIL and str(office.mail).encode() in done.stderr
    mail.rename(office.mail)
    (office.mail / 'demo').write_text('a file\n')
    office.own(office.mail / 'demo')
    done = deliver(office, 'demo')
    assert done.returncode == EX_TEMPFAIL and b'demo' in done.stderr
    (office.mail / 'demo').unlink()
    delivered(office, 'demo')


def test_conf_from_the_environment(shared, user):
    delivered(shared, user, conf=False, VALIJA_CONF=str(shared.conf))
    assert len(shared.files(user)) == 1


def test_as_another_user(make_office, need_root):
    """Not root: as the owner of the mail it works; as somebody else it says why not."""
    office = make_office(start=False, runas=NOBODY)
    delivered(office, 'demo')
    assert office.files('demo')[0].stat().st_uid == NOBODY
    command = ['setpriv', '--reuid=12345', '--regid=12345', '--clear-groups', office.bin / 'valija',
               'deliver', '-c', office.conf, 'demo']
    done = subprocess.run(command, input=MESSAGE, capture_output=True, env=office.environment(),
                          cwd='/')
    assert done.returncode == EX_TEMPFAIL and b'ermission denied' in done.stderr


def test_root_never_writes_as_root(make_office, need_root):
    """A home that belongs to root inside mail that does not: no delivery with root's rights."""
    office = make_office(start=False)
    if office.mail.stat().st_uid == 0:
        pytest.skip('the mail is root\'s')
    (office.mail / 'demo').mkdir(mode=0o755)
    done = deliver(office, 'demo')
    assert done.returncode == EX_TEMPFAIL and b'root' in done.stderr
    assert not list((office.mail / 'demo').iterdir())


def test_procmail(make_office, connect, tool, tmp_path):
    """As the last recipe of procmail, which keeps the mail when the exit code says so."""
    procmail = tool('procmail')
    office = make_office(start=False, runas=NOBODY if os.geteuid() == 0 else None,
                         settings={'quota.messages': '1'})
    rc, box = office.scratch / 'procmailrc', office.scratch / 'default'
    rc.write_text(f'DEFAULT={box}\nSHELL=/bin/sh\nSTATE_DIRECTORY={office.state}\n'
                  f':0 w\n| {office.bin}/valija deliver '
                  f'-c {office.conf} demo\n')
    message = b'From dave@example.com Tue Jan 14 09:00:00 2025\n' + MESSAGE
    for _ in range(2):
        subprocess.run(office._command(procmail, '-m', rc), input=message, check=True,
                       env=environment(), timeout=60, cwd=office.scratch)
    assert len(office.files('demo')) == 1
    octets = office.files('demo')[0].read_bytes()
    assert b'Return-Path: <dave@example.com>\n' in octets and MESSAGE in octets
    assert MESSAGE.strip() in box.read_bytes()  # the second was over quota: kept by procmail


@pytest.fixture
def as_owner(make_office, need_root):
    """An office, and as_owner(USER, **environment): a delivery as an MTA calls it, as the owner of
    the mail, where the state folder is root's."""
    office = make_office(start=False, users=('demo', 'new'))
    if office.mail.stat().st_uid == 0:
        pytest.skip('the mail is root\'s')
    os.chmod(office.dir / 'users', 0o644)
    owner = office.mail.stat()
    command = ['setpriv', f'--reuid={owner.st_uid}', f'--regid={owner.st_gid}', '--clear-groups',
               office.bin / 'valija', 'deliver', '-c', office.conf]

    def run(user, **environment):
        return subprocess.run([*command, user], input=MESSAGE, capture_output=True, cwd='/',
                              env=environment or office.environment())

    return office, run


def listing(office):
    return sorted(office.mail.rglob('*')), {path.name: path.read_bytes()
                                            for path in office.state.iterdir()}


def test_the_owner_of_the_mail_obeys_a_register_of_root(as_owner):
    """It is read, and who is new in it gets no maildrop that it would not know: root makes it."""
    office, run = as_owner
    delivered(office, 'demo')
    (office.mail / 'demo').rename(office.mail / '.away')
    before = listing(office)
    done = run('demo')
    assert done.returncode == EX_TEMPFAIL and b'it was before' in done.stderr
    done = run('new')
    assert done.returncode == EX_TEMPFAIL and b'as root: valija user make new' in done.stderr
    assert listing(office) == before
    office.valija('user', 'make', '-c', office.conf, 'new')
    assert run('new').returncode == 0
    assert len(office.files('new')) == 1
    (office.mail / 'new').rename(office.mail / '.new')
    assert b'it was before' in run('new').stderr


@pytest.mark.parametrize('state', ['empty', 'none'])
def test_nobody_but_root_begins_a_register(as_owner, state):
    """The first maildrop of a site, and an environment that has no state folder at all."""
    office, run = as_owner
    before = listing(office)
    done = run('new', **({'PATH': '/bin'} if state == 'none' else {}))
    assert done.returncode == EX_TEMPFAIL, done
    assert b'is made only by who may enter it in the register' in done.stderr
    assert listing(office) == before
    delivered(office, 'new')
    assert run('new').returncode == 0
    assert len(office.files('new')) == 2
