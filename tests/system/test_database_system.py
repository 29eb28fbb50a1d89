"""Users of the system, found by the name service and judged by PAM, with the real valijad. The
users are those of a copy of /etc in a mount namespace. Needs root."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / 'stand_ins')]

import system_users  # noqa: E402
from lmtp import Lmtp  # noqa: E402
from office import PASSWORD, program, stats_below, wait_until  # noqa: E402
from pop import Pop  # noqa: E402
from wire import wire_form  # noqa: E402

pytestmark = [pytest.mark.usefixtures('need_root'),
              pytest.mark.skipif(not program('valija-lookup-system').exists(),
                                 reason='built without PAM')]

SERVICE = (HERE.parents[1] / 'dist/pam.d/valija').read_text()
MAIL = b'Subject: one\n\nof a system user\n'
FIRST = 3000
EIGHT_BIT = 'p\u00e4ssw\u00f6rd \u20ac'


@pytest.fixture(scope='module')
def system():
    """Users of every kind, but for their homes: those are in each test's own office."""
    if os.geteuid() != 0:
        pytest.skip('needs root')
    if (tool := system_users.missing()):
        pytest.skip(f'{tool} is not here')
    users = system_users.SystemUsers()
    try:
        yield users
    finally:
        users.close()


@pytest.fixture
def make_site(make_office, system):
    """make_site(NAME…, settings): an office whose users are of the system."""
    made = {}

    def make(*names, settings='timeout = 60s', password=PASSWORD, service=SERVICE, start=True):
        system.service(service)
        office = make_office(start=False, users=(), inside=system.inside, settings={
            'processes.fronts': 1, 'processes.keepers': 1, 'limits.connections_per_address': 0})
        office.mail.chmod(0o755)
        os.chown(office.mail, 0, 0)  # as /home
        with office.conf.open('a') as file:
            file.write(f'\ndatabase "people" {{\n\tdriver = system\n\t{settings}\n}}\n')
        for name in names:
            add(office, name, password)
        if start:
            office.start()
        return office

    def add(office, name, password, *options, uid=None):
        uid = uid or FIRST + len(made)
        made[name] = uid
        system.add(name, uid, password, office.mail / name, *options)
        if uid:
            for folder in ('', 'Maildir', 'Maildir/new', 'Maildir/cur', 'Maildir/tmp'):
                (office.mail / name / folder).mkdir(mode=0o700)  # as homes of Debian
                os.chown(office.mail / name / folder, uid, 100)
            message = office.mail / name / 'Maildir/new/1.one.test'
            message.write_bytes(MAIL)
            os.chown(message, uid, 100)

    make.add = add
    yield make
    for name in made:
        system.run('userdel', '--force', name)  # also while a process of that uid ends


def login(office, name, password=PASSWORD, timeout=60):
    """The server's answer to PASS, and the connection."""
    client = Pop(office.pop3, timeout=timeout)
    client.ok(f'USER {name}')
    client.send(f'PASS {password}\r\n'.encode())
    return client.line(), client


def answers(office, name, password=PASSWORD):
    line, client = login(office, name, password)
    with client:
        return line


def collects(office, name, password=PASSWORD):
    line, client = login(office, name, password)
    with client:
        assert line.startswith('+OK'), line
        assert client.stat()[0] == 1
        client.quit()


def pam_server(office):
    """The pid of the PAM server: the child of the lookup process that is root."""
    lookup = next(pid for pid, line in office.children().items() if 'lookup' in line)
    children = pathlib.Path(f'/proc/{lookup}/task/{lookup}/children').read_text().split()
    return lookup, int(children[0])


def status_of(pid):
    text = pathlib.Path(f'/proc/{pid}/status').read_text()
    return dict(line.split(':\t', 1) for line in text.splitlines())


def test_an_entry_whose_mail_is_anothers(make_site):
    """Where the home hides its owner, the entry's uid is tried; its keeper sees whose it is."""
    office = make_site('anna', 'bert')
    office.allow('belongs to uid')
    os.chown(office.mail / 'bert/Maildir', FIRST, 100)
    assert '[SYS/' in answers(office, 'bert')
    collects(office, 'anna')


@pytest.mark.parametrize('mode', [0o700, 0o755], ids=oct)
@pytest.mark.parametrize('second', [False, True], ids=['mail', 'second'])
def test_the_first_delivery_makes_the_maildir_as_the_user(make_site, mode, second):
    """In a home whose Maildir is not there, whether auth may see that or not; nothing is root's."""
    office = make_site('anna', start=False)
    home = office.mail / 'anna'
    shutil.rmtree(home / 'Maildir')
    home.chmod(mode)
    if second:
        other = office.scratch / 'virtual'
        other.mkdir()
        shutil.chown(other, 'vmail', 'vmail')
        office.valija('mark', other, check=True)
        text = office.conf.read_text()
        office.conf.write_text(re.sub(r'(?m)^mail = .*$', f'mail = {{"{other}", "mail"}}', text))
    office.start()
    assert answers(office, 'anna').startswith('+OK')  # an empty maildrop, and none is made
    assert list(home.iterdir()) == []
    with Lmtp(office.lmtp, timeout=60) as client:
        client.deliver(wire_form(MAIL), 'anna')
    collects(office, 'anna')
    for path, status in stats_below(home / 'Maildir').items():
        assert (status.st_uid, status.st_gid) == (FIRST, 100), path


@pytest.mark.release
def test_a_system_user_collects_mail(make_site):
    office = make_site('anna')
    collects(office, 'anna')
    collects(office, 'ANNA')
    assert answers(office, 'anna', 'wrong').startswith('-ERR')
    assert answers(office, 'nobody-here').startswith('-ERR')
    assert answers(office, 'anna', 'wrong') == answers(office, 'nobody-here')
    with Lmtp(office.lmtp, timeout=60) as client:
        client.ask('MAIL FROM:<>')
        assert client.ask('RCPT TO:<anna>').startswith('250')
        assert client.ask('RCPT TO:<nobody-here>').startswith('550')
        assert client.ask('RCPT TO:<root>').startswith('550')
        assert client.ask('DATA').startswith('354')
        client.send(b'Subject: two\r\n\r\nx\r\n.\r\n')
        assert client.reply().startswith('250')
    line, client = login(office, 'anna')
    with client:
        assert line.startswith('+OK') and client.stat()[0] == 2


def test_who_is_no_user(make_site, system):
    office = make_site('anna', start=False, settings='min_uid = 2000\n\tgroup = "mailusers"')
    system.run('groupadd', 'mailusers')
    try:
        make_site.add(office, 'low', PASSWORD, '--groups', 'mailusers', uid=1500)
        make_site.add(office, 'member', PASSWORD, '--groups', 'mailusers')
        system.run('chpasswd', stdin=f'root:{PASSWORD}\n')
        office.start()
        collects(office, 'member')
        for name in ('root', 'low', 'anna', 'daemon'):
            assert answers(office, name).startswith('-ERR'), name
            assert answers(office, name) == answers(office, 'nobody-here')
    finally:
        system.run('userdel', 'member')
        system.run('useradd', '--badname', '--uid', 3999, 'member')
        system.run('groupdel', 'mailusers')


def test_root_is_no_user_whatever_the_range_is(make_site, system):
    office = make_site('anna', settings='min_uid = 1\n\tmax_uid = 4294967294')
    system.run('chpasswd', stdin=f'root:{PASSWORD}\n')  # and the machine's own kind of hash
    system.run('chpasswd', stdin=f'anna:{PASSWORD}\n')
    system.run('useradd', '--badname', '--uid', 0, '--non-unique', '--gid', 0, 'toor')
    system.run('chpasswd', stdin=f'toor:{PASSWORD}\n')
    for name in ('root', 'toor'):
        assert answers(office, name).startswith('-ERR')
    collects(office, 'anna')
    system.run('userdel', '--force', 'toor')


def test_accounts_that_may_not_log_in(make_site, system):
    (system.etc / 'security/valija-access').write_text('-:kept-out:ALL\n+:ALL:ALL\n')
    office = make_site('anna', 'expired', 'aged', 'locked', 'kept-out', service=SERVICE + (
        'account required pam_access.so accessfile=/etc/security/valija-access\n'))
    system.run('usermod', '--expiredate', '2020-01-01', 'expired')
    system.run('chage', '--lastday', '0', 'aged')
    system.run('usermod', '--lock', 'locked')
    for name in ('expired', 'aged', 'locked', 'kept-out'):
        assert answers(office, name).startswith('-ERR'), name
        assert answers(office, name, 'wrong').startswith('-ERR'), name
        assert answers(office, name) == answers(office, 'nobody-here'), name
    collects(office, 'anna')
    for name in ('expired', 'aged', 'kept-out'):
        office.wait_log(f'{name} may not log in')
    assert 'locked may not' not in office.log_text()  # no password is right for it


def test_passwords_of_all_kinds(make_site, system):
    office = make_site(password=EIGHT_BIT)
    make_site.add(office, 'octets', EIGHT_BIT)
    make_site.add(office, 'none', None)
    system.run('passwd', '--delete', 'none')  # Debian's "nullok" lets it in at a console
    longest = 'x' * 511
    make_site.add(office, 'long', longest)
    collects(office, 'octets', EIGHT_BIT)
    assert answers(office, 'octets', EIGHT_BIT[:-1]).startswith('-ERR')
    for password in ('', ' ', 'anything', 'none'):
        assert answers(office, 'none', password).startswith('-ERR'), password
        assert answers(office, 'octets', password).startswith('-ERR'), password
    assert answers(office, 'long', longest + 'x').startswith('-ERR')


def test_names_with_capital_letters(make_site):
    office = make_site('Berta', 'anna', 'Anna', settings='cache_time = 0')
    assert answers(office, 'berta').startswith('-ERR')  # the system has no such user
    collects(office, 'Berta')
    # it may be either, so neither is meant
    assert answers(office, 'Anna').startswith('-ERR')
    collects(office, 'anna')
    assert answers(office, 'Anna').startswith('-ERR')


def test_names_with_a_domain(make_site):
    office = make_site('anna', settings='domains = {"", "Example.org"}')
    collects(office, 'anna@example.org')
    collects(office, 'anna@EXAMPLE.ORG')
    collects(office, 'anna')
    assert answers(office, 'anna@elsewhere.example').startswith('-ERR')
    assert answers(office, '@example.org').startswith('-ERR')


HANGING = ('auth [success=1 default=ignore] pam_succeed_if.so quiet user != hugo\n'
           'auth required pam_exec.so quiet /bin/sleep 987654\n' + SERVICE)


def sleepers():
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        try:
            if path.read_bytes() == b'/bin/sleep\x00987654\x00':
                found.append(path)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_threat_75_a_module_that_hangs_harms_nobody_else(make_site):
    office = make_site('anna', 'hugo', service=HANGING,
                       settings='timeout = 15s\n\tcache_time = 0')
    office.allow('database people cannot be asked: a module of PAM did not answer')
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        hanging = [pool.submit(answers, office, 'hugo') for _ in range(4)]
        wait_until(lambda: len(sleepers()) == 4, 14)
        collects(office, 'anna')
        assert not [line for line in hanging if line.done()]  # they hung all the while
        for line in hanging:
            assert line.result().startswith('-ERR [SYS/TEMP]')
    wait_until(lambda: not sleepers())
    collects(office, 'anna')


def test_fifty_logins_at_once(make_site):
    names = [f'many{n}' for n in range(10)]
    office = make_site(*names, settings='connections = 4\n\ttimeout = 60s')
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        lines = list(pool.map(lambda n: answers(office, names[n % 10], 'wrong' if n % 5 == 4
                                                else PASSWORD), range(50)))
    for n, line in enumerate(lines):
        if n % 5 == 4:
            assert line.startswith('-ERR') and 'SYS/TEMP' not in line
        else:  # one maildrop is in use by one session
            assert line.startswith('+OK') or '[IN-USE]' in line, line


def test_a_service_that_lets_all_in_lets_nobody_in(make_site):
    office = make_site('anna', service='auth required pam_permit.so\n'
                                       'account required pam_permit.so\n')
    assert answers(office, 'anna').startswith('-ERR')
    assert answers(office, 'anna', 'anything').startswith('-ERR')


def test_a_service_that_is_broken_is_down(make_site):
    office = make_site('anna', service='auth required pam_there_is_none.so\n'
                                       'account required pam_permit.so\n')
    office.allow('database people cannot be asked: PAM')
    assert answers(office, 'anna').startswith('-ERR [SYS/TEMP]')


def test_a_service_that_is_not_there_is_said(make_site, system):
    office = make_site('anna', start=False)
    (system.etc / 'pam.d/valija').unlink()
    office.allow('PAM has no service', 'lookup')
    office.start()
    office.wait_log('PAM has no service "valija".*copy')
    assert answers(office, 'anna').startswith('-ERR [SYS/TEMP]')


def test_rights_of_the_processes(make_site):
    office = make_site('anna')
    collects(office, 'anna')
    lookup, pam = pam_server(office)
    assert status_of(lookup)['Uid'].split()[0] != '0'
    assert int(status_of(lookup)['CapEff'], 16) == 0
    assert status_of(pam)['Uid'].split() == ['0'] * 4
    assert int(status_of(pam)['CapEff'], 16) & ~(1 << 2 | 1 << 29) == 0
    for process in (lookup, pam):
        assert status_of(process)['NoNewPrivs'] == '1'
        assert status_of(process)['Seccomp'] == '2'
    descriptors = [os.readlink(path) for path in pathlib.Path(f'/proc/{pam}/fd').iterdir()]
    assert len(descriptors) == 3 + 8, descriptors  # standard ones and a lane each


@pytest.mark.parametrize('which', ['lookup', 'pam'])
def test_either_process_may_die(make_site, which):
    office = make_site('anna', settings='cache_time = 0')
    collects(office, 'anna')
    lookup, pam = pam_server(office)
    office.allow('lookup', 'PAM server')
    os.kill(pam if which == 'pam' else lookup, signal.SIGKILL)
    wait_until(lambda: not pathlib.Path(f'/proc/{pam}').exists() or which == 'pam')

    def works():
        line, client = login(office, 'anna')
        with client:
            assert line.startswith('+OK') or '[SYS/TEMP]' in line, line
            return line.startswith('+OK')
    wait_until(works, 30)
    assert pam_server(office)[1] != pam


def test_without_root(make_office):
    office = make_office(start=False, users=(), runas=65534)
    with office.conf.open('a') as file:
        file.write('\ndatabase "people" {\n\tdriver = system\n}\n')
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode == 77 and 'PAM, which needs root' in done.stderr, done.stderr
    office.conf.write_text(office.conf.read_text().replace(
        'driver = system', 'driver = system\n\tfor = {"recipient"}'))
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode == 0, done.stderr


def rights_of_the_unit():
    """The command that runs valijad with the capabilities of the shipped unit."""
    unit = (HERE.parents[1] / 'dist/systemd/valijad.service.in').read_text()
    named = [word for line in unit.splitlines() if line.startswith('CapabilityBoundingSet=')
             for word in line.partition('=')[2].split()]
    assert 'NoNewPrivileges=yes' in unit and 'CAP_SETUID' in named
    kept = ','.join('+' + name.removeprefix('CAP_').lower() for name in named)
    return ['setpriv', '--no-new-privs', '--inh-caps=-all', f'--bounding-set=-all,{kept}']


def test_with_the_rights_of_the_unit(make_site):
    office = make_site('anna', start=False)
    office.inside = [*office.inside, *rights_of_the_unit()]
    office.start()
    collects(office, 'anna')
    assert answers(office, 'anna', 'wrong').startswith('-ERR')
    assert 'shadow' not in office.log_text()
    _, pam = pam_server(office)
    assert int(status_of(pam)['CapEff'], 16) == 1 << 2
