"""`valijad -t` is good only if a start is: each state in which they could differ, tried both ways.
And certificates that mail programs refuse, or will soon."""
import os
import re
import socket
import subprocess
import time

import pytest


def check(office):
    return office.valijad('-t', '-c', office.conf)


def starts(office):
    """Whether a start succeeds; what it says."""
    office.start(wait=False)
    try:
        office.wait_log(r'\bready\b')
        return True, office.log_text()
    except AssertionError:
        return False, office.log_text()


def only_root_reads(path):
    os.chown(path, 0, 0)
    path.chmod(0o600)


def hide_users(office):
    only_root_reads(office.dir / 'users')
    return 'chgrp valija-auth'


def hide_folder(office):
    office.dir.chmod(0o700)
    return 'chmod o+x'


def hide_aliases(office):
    (office.dir / 'aliases').write_text('info: demo\n')
    office.set('lmtp.aliases', 'aliases')
    only_root_reads(office.dir / 'aliases')
    return 'chgrp valija-auth'


def no_such_folder_for_users(office):
    office.set('users', 'nowhere/users')
    return 'nowhere'


def another_program_has_the_port(office):
    office.taken = socket.create_server(('127.0.0.1', office.pop3))
    return 'in use'


def another_address_has_the_port(office):
    office.taken = socket.create_server(('0.0.0.0', office.pop3s))
    return 'in use'


def lmtp_socket_of_another_program(office):
    path = office.scratch / 'lmtp'
    office.taken = socket.socket(socket.AF_UNIX)
    office.taken.bind(str(path))
    office.taken.listen()
    listen_at(office, path)
    return 'another program'


def listen_at(office, path):
    text = office.conf.read_text()
    text = re.sub(r'(lmtp \{\n(?:[^}]*\n)?\s*)#?listen = .*', rf'\1listen = {{"{path}"}}', text, 1)
    assert str(path) in text
    office.conf.write_text(text)


def lmtp_socket_is_a_file(office):
    path = office.scratch / 'lmtp'
    path.write_text('a letter to somebody')
    listen_at(office, path)
    return 'not a socket'


def lmtp_socket_without_folder(office):
    listen_at(office, office.scratch / 'nowhere/lmtp')
    return 'folder'


def address_of_another_machine(office):
    text = office.conf.read_text()
    office.conf.write_text(text.replace(f'127.0.0.1:{office.pop3}', f'192.0.2.1:{office.pop3}'))
    return '192.0.2.1'


ROOTS = [hide_users, hide_folder, hide_aliases]
ANYBODYS = [no_such_folder_for_users, another_program_has_the_port, another_address_has_the_port,
            lmtp_socket_of_another_program, lmtp_socket_is_a_file, lmtp_socket_without_folder,
            address_of_another_machine]


def both_refuse(office, spoil):
    words = spoil(office)
    checked = check(office)
    started, said = starts(office)
    office.stop(check=False)
    assert not started
    assert checked.returncode != 0, checked.stdout
    assert words in checked.stderr, checked.stderr
    assert words in said, said


@pytest.mark.parametrize('spoil', ROOTS, ids=lambda f: f.__name__)
def test_what_only_root_reads(make_office, need_root, spoil):
    both_refuse(make_office(start=False), spoil)


@pytest.mark.parametrize('spoil', ANYBODYS, ids=lambda f: f.__name__)
def test_what_any_start_meets(make_office, spoil):
    office = make_office(start=False)
    try:
        both_refuse(office, spoil)
    finally:
        if hasattr(office, 'taken'):
            office.taken.close()


def test_a_check_leaves_nothing_behind(make_office):
    office = make_office(start=False)
    path = office.scratch / 'lmtp'
    listen_at(office, path)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    before = path.stat()
    assert check(office).returncode == 0
    assert path.stat() == before
    office.start()


@pytest.mark.parametrize('relative', [False, True])
def test_the_server_that_runs_may_have_its_ports(make_office, relative):
    office = make_office(start=not relative)
    if relative:
        process = subprocess.Popen([str(office.bin / 'valijad'), '-c', 'valija.conf'],
                                   cwd=office.dir, stderr=subprocess.PIPE, text=True,
                                   env=office.environment())
        for line in process.stderr:
            if 'ready' in line:
                break
    try:
        done = check(office)
        if relative and os.geteuid() != 0:
            return  # only root may look up where that process works
        assert done.returncode == 0, done.stderr
        assert re.search(r'valijad \d+ serves', done.stdout)
    finally:
        if relative:
            process.terminate()
            process.wait(20)
            process.stderr.close()


def test_the_server_of_another_configuration_may_not(make_office):
    office = make_office()
    other = make_office(start=False)
    other.conf.write_text(other.conf.read_text().replace(str(other.pop3), str(office.pop3)))
    done = check(other)
    assert done.returncode != 0
    assert 'in use' in done.stderr


# certificates

DAY = 24 * 3600


def certificate(office, first, last):
    """Signs the office's certificate anew, valid from and to so many days from now."""
    tls, ca = office.dir / 'tls', office.scratch / 'ca'
    ca.mkdir()
    (ca / 'index.txt').write_text('')
    (ca / 'serial').write_text('01\n')
    (ca / 'ca.conf').write_text(
        f'[ca]\ndefault_ca = own\n[own]\ndir = {ca}\ndatabase = {ca}/index.txt\n'
        f'serial = {ca}/serial\nnew_certs_dir = {ca}\ndefault_md = sha256\npolicy = any\n'
        '[any]\ncommonName = supplied\n')
    days = [time.strftime('%Y%m%d%H%M%SZ', time.gmtime(time.time() + days * DAY))
            for days in (first, last)]
    openssl('req', '-new', '-key', tls / 'key.pem', '-subj', '/CN=office.test', '-out',
            ca / 'request.pem')
    openssl('ca', '-batch', '-config', ca / 'ca.conf', '-selfsign', '-keyfile', tls / 'key.pem',
            '-startdate', days[0], '-enddate', days[1], '-notext', '-in', ca / 'request.pem',
            '-out', tls / 'cert.pem')


def openssl(*args):
    subprocess.run(['openssl', *args], check=True, capture_output=True)


@pytest.mark.parametrize('first, last, words', [
    (-30, -1, 'expired on'), (-400, -300, 'expired on'), (2, 90, 'is not valid before'),
    (-80, 10, 'expires on'), (-4, 2, None), (-5, 1, 'expires on'), (-80, 16, None),
    (-1, 364, None)])
def test_dates_are_named(make_office, first, last, words):
    office = make_office(start=False)
    certificate(office, first, last)
    done = check(office)
    assert done.returncode == 0, done.stderr
    office.start()
    office.wait_log(r'\bready\b')
    if words:
        assert words in done.stderr
        assert re.search(rf'{re.escape(str(office.conf))}:\d+: .*cert.pem {words}', done.stderr)
        since = office.wait_log(f'warning: .*{words}')
        office.reload()
        office.wait_log(f'warning: .*{words}', since=since)
        office.allow('warning: .*cert')
    else:
        assert 'cert.pem' not in done.stderr
        assert 'cert.pem' not in office.log_text()


def test_the_first_front_alone_warns(make_office):
    office = make_office(start=False, settings={'processes.fronts': '3'})
    certificate(office, -30, -1)
    office.start()
    office.wait_log('expired on')
    office.allow('warning: .*expired')
    office.stop()
    assert len(re.findall('expired on', office.log_text())) == 1


# hints that would break a site

def test_no_hint_to_give_system_users_homes_away(make_office, need_root):
    office = make_office(start=False, users=('demo',))
    home = office.maildir('demo')
    os.chown(office.mail, 0, 0)
    subprocess.run(['chown', '-R', '1234:1234', home], check=True)
    office.allow('belongs to root')
    office.start()
    assert 'chown -R' not in office.log_text()
    assert 'belongs to root: its keepers' not in office.log_text()


@pytest.mark.parametrize('home, said', [(False, False), (True, True)])
def test_an_empty_folder_of_homes_needs_no_hint(make_office, need_root, home, said):
    office = make_office(start=False, users=('demo',))
    homes = office.scratch / 'homes'
    (homes / 'rita' if home else homes).mkdir(parents=True)
    text = office.conf.read_text()
    office.conf.write_text(re.sub(r'(?m)^mail = .*$', f'mail = {{"mail", "{homes}"}}', text))
    office.valija('mark', homes)
    office.allow('belongs to root')
    office.start()
    assert ('belongs to root: its keepers' in office.log_text()) == said


def test_mail_that_is_all_root_s_is_said(make_office, need_root):
    office = make_office(start=False, users=('demo',))
    subprocess.run(['chown', '-R', '0:0', office.mail], check=True)
    office.allow('belongs to root')
    office.start()
    assert 'belongs to root: its keepers' in office.log_text()
    assert 'chown -R' not in office.log_text()
