"""The Debian packages on a whole system: installed, used by the people of the machine, looked at,
upgraded, removed, purged, installed again. A part of its own, `./dev test package`: it builds them
first, and once more as a next version."""
import json
import pathlib
import re
import textwrap
import shutil
import ssl
import subprocess

import container
import office as post
import pytest
import test_unit_boots
from office import PASSWORD, wait_until
from pop import Closed, client_context
from test_unit_boots import UNIT, PopInside, check_journal

pytestmark = pytest.mark.packages
ROOT = pathlib.Path(__file__).resolve().parents[2]
README, OPERATE = ROOT / 'README.md', ROOT / 'docs/operate.md'
NAMES = ('valijad', 'valija', 'libpop3-0')
NEXT = '0.1.1'  # what ./dev test package gives to ./dev package
PROGRAMS = ('valijad', 'valija', 'valija-https', 'valija-upload', 'valija-lookup-system',
            'valija-lookup-sqlite')
POP3S, METRICS = ('127.0.0.1', 995), ('127.0.0.1', 9415)


def packages(version=''):
    folder = post.build_dir() / f'packages{version and "-" + version}'
    found = [path for name in NAMES for path in folder.glob(f'{name}_*.deb')]
    assert len(found) == len(NAMES), f'{folder}: ./dev package {version} makes them'
    return found


@pytest.fixture
def system():
    found = {'now': packages(), 'next': packages(NEXT)}
    try:
        opened = container.Container([post.program(name) for name in PROGRAMS])
    except container.Impossible as reason:
        pytest.skip(f'no container on this machine: {reason}')
    with opened:
        for folder, paths in found.items():
            (opened.root / 'packages' / folder).mkdir(parents=True)
            for path in paths:
                shutil.copy(path, opened.root / 'packages' / folder)
        (opened.root / 'etc/hostname').write_text('mail.example.org\n')
        # nobody is there to say yes, and there is no network to ask for more
        (opened.root / 'etc/apt/apt.conf.d/test').write_text('APT::Get::Assume-Yes "true";\n')
        try:
            opened.start()
        except container.Impossible as reason:
            pytest.skip(f'no container on this machine: {reason}')
        yield opened


def install(system, folder='now'):
    """The packages by README's line, and the server that they start. What was printed."""
    line = re.search(r'(?m)^\$ (apt install \./build/packages/.*)$', README.read_text())[1]
    line = line.replace('build/packages', f'packages/{folder}')
    said = system.run('sh', '-c', f'cd / && {line}').stdout
    try:
        wait_until(lambda: state(system) == 'active', 30)
    except AssertionError:
        raise AssertionError(said + system.journal('-u', UNIT)) from None
    return said


def state(system):
    return system.properties(UNIT, 'ActiveState')['ActiveState']


def add_berta(system):
    """A user of the machine."""
    system.run('useradd', '--create-home', 'berta')
    system.run('sh', '-c', f'echo "berta:{PASSWORD}" | chpasswd')


def add_anna(system):
    """A user of valijad alone."""
    system.run('sh', '-c', f'echo "{PASSWORD}" | valija user add anna')


def connect(system):
    context = client_context(pathlib.Path(system.root, 'etc/valija/tls/cert.pem'))
    return PopInside(system, POP3S, context)


def ids(system, user='anna'):
    """What a user sees: the first login waits until the server has read its users."""
    def read():
        with connect(system) as client:
            client.ask(f'USER {user}')
            if not client.ask(f'PASS {PASSWORD}').startswith('+OK'):
                return None
            return list(client.uidl().values()) + ['']
    return wait_until(read, 30)[:-1]


def get(system, path):
    """The status and the body of a page."""
    with system.connect(METRICS) as client:
        client.sendall(f'GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n'.encode())
        answer = client.makefile('rb').read()
    head, _, body = answer.partition(b'\r\n\r\n')
    return int(head.split()[1]), body.decode()


def test_a_package_from_the_first_day_to_the_last(system):
    mail = pathlib.Path(system.root, 'var/mail/valija')
    conf = pathlib.Path(system.root, 'etc/valija/valija.conf')

    install(system)
    assert system.run('systemctl', 'is-enabled', UNIT).stdout.strip() == 'enabled'
    assert not list(pathlib.Path(system.root, 'etc/systemd/user').rglob('valija*'))  # a user's own
    add_anna(system)
    assert ids(system) == []
    system.run('sh', '-c', 'printf "Subject: hello\\n\\nfirst\\n" | valija deliver anna')
    known = ids(system)
    assert len(known) == 1
    check_journal(system)

    # the same again changes nothing that is somebody's
    conf.write_text(conf.read_text() + '\n# by hand\n')
    before = conf.read_bytes()
    install(system)
    assert conf.read_bytes() == before and ids(system) == known

    system.run('dpkg', '-r', 'valijad')
    assert state(system) != 'active' and conf.read_bytes() == before
    assert list(mail.rglob('*.*'))

    said = system.run('dpkg', '-P', 'valijad').stdout
    assert 'the mail stays, in /var/mail/valija' in said
    assert not conf.parent.exists() and list((mail / 'anna').rglob('*S=*'))

    # who comes back finds the mail
    install(system)
    add_anna(system)
    assert ids(system) == known


def test_ten_minutes_of_an_operator(system):
    """Somebody who has never seen it: their own mail, who is on, a kick, a certificate, a page."""
    install(system)
    add_berta(system)
    test_unit_boots.deliver(system, 'berta', 1124)
    home = pathlib.Path(system.root, 'home/berta/Maildir')
    uid = system.run('id', '-u', 'berta').stdout.strip()
    assert [str(path.stat().st_uid) for path in home.glob('new/*')] == [uid]
    known = ids(system, 'berta')
    assert len(known) == 1

    with connect(system) as client:
        client.login('berta', PASSWORD)
        shown = json.loads(system.run('valija', 'who', '--json').stdout)
        assert [row['user'] for row in shown] == ['berta']
        system.run('valija', 'kick', 'berta')
        with pytest.raises((Closed, ssl.SSLError, ConnectionError)):
            client.ask('NOOP')

    look_at_pages(system)
    renew_certificate(system)
    assert ids(system, 'berta') == known
    check_journal(system)


def look_at_pages(system):
    """/healthz, /metrics, and the page for people, on the loopback only."""
    assert get(system, '/healthz')[0] == 200
    wait_until(lambda: re.search(r'(?m)^valija_logins_total\{.*\} [1-9]',
                                 get(system, '/metrics')[1]))
    status, page = get(system, '/')
    assert status == 200 and '<title>Valija: status</title>' in page and '/status.json' in page
    conf = pathlib.Path(system.root, 'etc/valija/valija.conf').read_text()
    assert 'metrics = {"127.0.0.1:9415"}' in conf


def renew_certificate(system):
    """The files are replaced and the service reloaded: an open session goes on, and a new client
    sees the new one."""
    tls = pathlib.Path(system.root, 'etc/valija/tls')
    with connect(system) as client:
        client.login('berta', PASSWORD)
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                        'ec_paramgen_curve:P-256', '-noenc', '-days', '30', '-subj',
                        '/CN=mail.example.org', '-addext', 'subjectAltName=DNS:mail.example.org',
                        '-keyout', tls / 'key.pem', '-out', tls / 'cert.pem'],
                       check=True, capture_output=True)
        system.run('systemctl', 'reload', UNIT)
        wait_until(lambda: served(system) == (tls / 'cert.pem').read_text(), 20)
        assert client.stat()[0] == 1
        client.quit()


def served(system):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with PopInside(system, POP3S, context) as client:
        return ssl.DER_cert_to_PEM_cert(client.socket.getpeercert(True))


def blocks(page):
    """(heading, commands) of each console block of a page."""
    heading = None
    for found in re.finditer(r'(?ms)^## (.*?)$|^```console\n(.*?)^```$', page.read_text()):
        heading = found[1] or heading
        if found[2]:
            yield heading, found[2]


def test_the_page_for_operators_as_it_stands(system):
    """Each block of docs/operate.md, in order; what must be so behind it."""
    install(system)
    seen = []
    for heading, commands in blocks(OPERATE):
        before = ids(system) if 'Restore' in seen or heading == 'Restore' else None
        done = system.run('sh', '-euc', commands, check=False)
        assert done.returncode == 0, f'{heading}:\n{textwrap.indent(commands, "    ")}{done.stdout}'
        seen.append(heading)
        if heading == 'Install' and 'deliver' in commands:
            first = ids_with(system, 'a long password')
            assert len(first) == 1
            system.run('sh', '-c', f'echo "{PASSWORD}" | valija user passwd anna')
        elif heading == 'Backup' and 'anna.tar' in commands:
            lose_the_message(system)
        elif heading == 'Restore' and 'valija deliver' in commands:
            assert len(before) == 0 and len(ids(system)) == 1 and ids(system) != first
        elif heading == 'Restore':
            assert ids(system) == first  # the same message, under its old id
    assert seen.count('Backup') == 2 and seen.count('Restore') == 2
    names = system.run('tar', '-tf', '/var/backups/valija/mail.tar').stdout.split()
    assert {'./.valija-root', './anna/', './anna/valija-delta'} < set(names)
    mail = [name for name in names if re.match(r'\./anna/(new|cur)/.', name)]
    assert len(mail) == 1 and names.index('./anna/valija-delta') < names.index(mail[0])
    assert 'SRV' in system.run('cat', '/srv/autoconfig/dns.zone').stdout
    check_journal(system)


def ids_with(system, password):
    with connect(system) as client:
        client.login('anna', password)
        return list(client.uidl().values())


def lose_the_message(system):
    """Its owner deletes it, behind the backup."""
    with connect(system) as client:
        client.login('anna', PASSWORD)
        client.ok('DELE 1')
        client.quit()


def test_the_next_version(system):
    """Its programs serve, everything is as it was, and who was in a session is in it still."""
    install(system)
    add_anna(system)
    test_unit_boots.deliver(system, 'anna', 1124)
    known = ids(system)
    before = system.properties(UNIT, 'MainPID')['MainPID']
    assert system.run('valija', '--version').stdout.split()[-1] != NEXT
    with connect(system) as client:
        client.login('anna', PASSWORD)
        install(system, 'next')
        assert client.stat()[0] == 1
        client.quit()
    assert system.run('valija', '--version').stdout.split()[-1] == NEXT
    shown = system.run('valija', 'show', 'program').stdout
    assert NEXT in shown and 'upgraded' in shown, shown
    pid = system.properties(UNIT, 'MainPID')['MainPID']
    assert pid == before, 'it was started anew'
    program = system.run('readlink', f'/proc/{pid}/exe').stdout.strip()
    assert program == '/usr/sbin/valijad', program  # not "… (deleted)"
    assert ids(system) == known
    check_journal(system)


MTAS = {
    'nothing': ('', False),
    'procmail': ('mailbox_command) echo "procmail -a";;', True),
    'mbox': ('home_mailbox) echo;;', True),
    'Maildir': ('home_mailbox) echo Maildir/;;', False),
    'transport': ('mailbox_transport) echo lmtp:unix:x;; mailbox_command) echo procmail;;', False),
}


def mails(system):
    """The setting `mail` of the new post office."""
    conf = pathlib.Path(system.root, 'etc/valija/valija.conf').read_text()
    return re.search(r'(?m)^mail = (.*)$', conf)[1]


MAILBOXES, MAILDIRS = '"/var/mail/{local}"', '{"/var/mail/valija", "/home"}'


@pytest.mark.parametrize('name', MTAS)
def test_mail_is_served_from_where_postfix_puts_it(system, name):
    """A postconf that stands in for Postfix's."""
    answers, mailboxes = MTAS[name]
    if answers:
        program = pathlib.Path(system.root, 'usr/sbin/postconf')
        program.write_text(f'#!/bin/sh\ncase $2 in\n{answers}\nesac\n')
        program.chmod(0o755)
        pathlib.Path(system.root, 'etc/postfix').mkdir()
        pathlib.Path(system.root, 'etc/postfix/main.cf').touch()
    if mailboxes:
        add_berta(system)
        box = pathlib.Path(system.root, 'var/mail/berta')
        box.write_bytes(b''.join(
            b'From a@example.org Mon Jan  1 00:00:00 2024\nSubject: %s\n\n%s\n\n' % (word, word)
            for word in (b'one', b'two')))
        system.run('chown', 'berta:mail', '/var/mail/berta')
        system.run('chmod', '660', '/var/mail/berta')
    said = install(system)
    assert mails(system) == (MAILBOXES if mailboxes else MAILDIRS), said
    if mailboxes:
        with connect(system) as client:
            client.login('berta', PASSWORD)
            assert client.stat()[0] == 2
            client.ok('DELE 1')
            client.quit()
        wait_until(lambda: b'one' not in box.read_bytes())
        assert len(ids(system, 'berta')) == 1 and b'two' in box.read_bytes()
        assert list(box.parent.glob('*.lock')) == []
    check_journal(system)


def test_mail_is_served_from_where_exim_puts_it(system):
    folder = pathlib.Path(system.root, 'etc/exim4')
    folder.mkdir()
    (folder / 'update-exim4.conf.conf').write_text("dc_localdelivery='mail_spool'\n")
    install(system)
    assert mails(system) == MAILBOXES
    system.run('dpkg', '-P', 'valijad')
    (folder / 'update-exim4.conf.conf').write_text("dc_localdelivery='maildir_home'\n")
    install(system)
    assert mails(system) == MAILDIRS
