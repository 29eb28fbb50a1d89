"""`valijad -t` and a start say the same, of more states than test_check.py has: what -t accepts
starts and serves, what it refuses does not start."""
import os
import re
import shutil

import pytest
from office import NOBODY, PASSWORD, owner_of
from pop import Pop
from test_check import certificate, check, listen_at, openssl, starts


def same(office, good=None):
    """The answer of both, which must be one; good: what it must be."""
    checked = check(office)
    started, said = starts(office)
    if started:
        office.allow('.*')
    office.stop(check=False)
    assert (checked.returncode == 0) == started, f'-t: {checked.stderr}\nstart: {said}'
    if good is not None:
        assert started == good, said
    if not started:
        assert checked.stderr.strip()
    return checked.stderr, said


def write(office, name, octets):
    path = office.dir / name
    path.write_bytes(octets)
    office.own(path)
    path.chmod(0o644)
    return path


def replace(office, old, new):
    text = office.conf.read_text()
    assert old in text
    office.conf.write_text(text.replace(old, new))


# states that are refused by both, with words that name what is wrong

def users_is_a_folder(office):
    (office.dir / 'users').unlink()
    (office.dir / 'users').mkdir()
    return 'users'


def users_is_a_fifo(office):
    (office.dir / 'users').unlink()
    os.mkfifo(office.dir / 'users', 0o644)
    return 'users'


def aliases_is_a_folder(office):
    (office.dir / 'aliases').mkdir()
    office.set('lmtp.aliases', '"aliases"')
    return 'aliases'


def aliases_does_not_exist(office):
    office.set('lmtp.aliases', '"nowhere"')
    return 'nowhere'


def aliases_in_utf_16(office):
    write(office, 'aliases', 'info: demo\n'.encode('utf-16'))
    office.set('lmtp.aliases', '"aliases"')
    return 'aliases'


def mail_is_a_file(office):
    shutil.rmtree(office.mail)
    office.mail.write_text('')
    return 'mail'


def mail_is_missing(office):
    shutil.rmtree(office.mail)
    return 'mail'


def mail_leads_round(office):
    shutil.rmtree(office.mail)
    office.mail.symlink_to(office.mail)
    return 'mail'


def socket_path_too_long(office):
    listen_at(office, office.scratch / ('x' * 120))
    return 'xxxx'


def one_port_twice(office):
    replace(office, f'127.0.0.1:{office.pop3s}', f'127.0.0.1:{office.pop3}')
    return str(office.pop3)


def one_port_of_lmtp_and_pop3(office):
    replace(office, f'127.0.0.1:{office.lmtp}', f'127.0.0.1:{office.pop3}')
    return str(office.pop3)


def port_too_large(office):
    replace(office, f'127.0.0.1:{office.pop3}', '127.0.0.1:65536')
    return '65536'


def certificate_is_a_folder(office):
    office.cert.unlink()
    office.cert.mkdir()
    return 'cert.pem'


def certificate_is_empty(office):
    office.cert.write_bytes(b'')
    return 'cert.pem'


def key_is_missing(office):
    (office.dir / 'tls/key.pem').unlink()
    return 'key.pem'


def key_is_behind_a_broken_link(office):
    (office.dir / 'tls/key.pem').unlink()
    (office.dir / 'tls/key.pem').symlink_to('nowhere')
    return 'key.pem'


def key_needs_a_passphrase(office):
    key = office.dir / 'tls/key.pem'
    locked = office.dir / 'tls/locked.pem'
    openssl('pkey', '-in', key, '-aes128', '-passout', 'pass:secret', '-out', locked)
    os.chown(locked, *owner_of(key))
    locked.rename(key)
    return 'is encrypted'


def host_name_with_a_blank(office):
    office.set('hostname', '"two words"')
    return 'hostname'


def host_name_too_long(office):
    office.set('hostname', '"' + 'a' * 300 + '"')
    return 'hostname'


def one_keeper_too_many(office):
    office.set('processes.keepers', '65')
    return 'keepers'


REFUSED = [users_is_a_folder, users_is_a_fifo, aliases_is_a_folder, aliases_does_not_exist,
           aliases_in_utf_16, mail_is_a_file, mail_is_missing, mail_leads_round,
           socket_path_too_long, one_port_twice, one_port_of_lmtp_and_pop3, port_too_large,
           certificate_is_a_folder, certificate_is_empty, key_is_missing,
           key_is_behind_a_broken_link, key_needs_a_passphrase, host_name_with_a_blank,
           host_name_too_long, one_keeper_too_many]


@pytest.mark.parametrize('spoil', REFUSED, ids=lambda f: f.__name__)
def test_both_refuse(make_office, spoil):
    office = make_office(start=False, users=())
    words = spoil(office)
    checked, said = same(office, False)
    assert words in checked, checked
    assert words in said, said


@pytest.mark.parametrize('name', ['net_user', 'auth_user', 'keys_user'])
def test_each_system_user_that_is_missing(make_office, need_root, name):
    office = make_office(start=False)
    office.set(f'processes.{name}', '"valija-no-such-user"')
    checked, said = same(office, False)
    assert 'valija-no-such-user' in checked and 'valija-no-such-user' in said


# states that look bad and are good

def users_is_empty(office):
    write(office, 'users', b'')


def a_key_that_only_root_reads(office):
    key = office.dir / 'tls/key.pem'
    if os.geteuid() == 0:
        os.chown(key, 0, 0)
    key.chmod(0o400)


def mail_behind_two_links(office):
    office.mail.rename(office.dir / 'elsewhere')
    (office.dir / 'one').symlink_to('elsewhere')
    office.mail.symlink_to('one')


def aliases_that_lead_round(office):
    write(office, 'aliases', b'a: b\nb: c\nc: a\nself: self\n')
    office.set('lmtp.aliases', '"aliases"')


def the_largest_limits(office):
    office.set('lmtp.max_recipients', '10000')
    office.set('login.max_failures', '1000')
    office.set('processes.keeper_threads', '256')
    office.set('timeouts.drain', '1d')


def the_longest_socket_path(office):
    folder = office.scratch / 's'
    folder.mkdir()
    office.own(folder)
    rest = 107 - len(str(folder)) - 1
    listen_at(office, folder / ('x' * rest))


ACCEPTED = [users_is_empty, a_key_that_only_root_reads, mail_behind_two_links,
            aliases_that_lead_round, the_largest_limits, the_longest_socket_path]


@pytest.mark.parametrize('change', ACCEPTED, ids=lambda f: f.__name__)
def test_both_accept(make_office, change):
    office = make_office(start=False)
    change(office)
    same(office, True)


EITHER = {
    'port 0': lambda office: replace(office, f'127.0.0.1:{office.pop3}', '127.0.0.1:0'),
    'every address and one': lambda office: replace(
        office, f'127.0.0.1:{office.pop3s}', f'0.0.0.0:{office.pop3}'),
    'a socket path with a dot at its end': lambda office: listen_at(office, f'{office.scratch}/.'),
    'aliases behind a folder only root enters': lambda office: (
        (office.dir / 'sub').mkdir(mode=0o700), write(office, 'sub/aliases', b'info: demo\n'),
        office.set('lmtp.aliases', '"sub/aliases"')),
    'users with one line of junk': lambda office: write(office, 'users', b'\xff\xfe junk\n'),
    'mail that nobody may enter': lambda office: office.mail.chmod(0),
    'catch-all that is no name': lambda office: office.set('lmtp.catch_all', '"a:b"'),
    'a domain that is none': lambda office: office.set('lmtp.domains', '"b..c @ x"'),
    'too few descriptors': lambda office: setattr(office, 'limit_files', 40),
    'few descriptors': lambda office: setattr(office, 'limit_files', 96),
    'a state folder that is a file': lambda office: (
        office.state.rmdir(), office.state.write_text('')),
}


# of the others only root meets a start that fails, or it depends on the machine
GOOD = {
    'port 0': False, 'every address and one': True, 'a socket path with a dot at its end': False,
    'users with one line of junk': False,
    'catch-all that is no name': True, 'a domain that is none': False, 'few descriptors': True}


@pytest.mark.parametrize('name', EITHER)
def test_both_say_the_same(make_office, name):
    """Whatever it is: the words are those of test_both_refuse, here only the answer counts."""
    office = make_office(start=False, users=())
    EITHER[name](office)
    try:
        same(office, GOOD.get(name))
    finally:
        if office.state.is_file():
            office.state.unlink()


# certificates of several names

def dated(office, name, first, last):
    """A second certificate, self-signed, with dates in days from now."""
    folder = office.scratch / name
    folder.mkdir()
    (folder / 'tls').mkdir()
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out',
            folder / 'tls/key.pem')

    class Place:
        dir, scratch = folder, folder
    certificate(Place, first, last)
    fresh = office.dir / 'tls' / f'{name}.pem', office.dir / 'tls' / f'{name}.key'
    (folder / 'tls/cert.pem').rename(fresh[0])
    (folder / 'tls/key.pem').rename(fresh[1])
    return fresh


def test_each_certificate_is_named_by_its_own_fault(make_office):
    office = make_office(start=False)
    for name, first, last in (('old', -30, -1), ('soon', -80, 5), ('later', 3, 90),
                              ('fine', -1, 300)):
        office.add_certificate(*dated(office, name, first, last))
    done = check(office)
    assert done.returncode == 0, done.stderr
    warnings = {name: [line for line in done.stderr.splitlines() if f'{name}.pem' in line]
                for name in ('old', 'soon', 'later', 'fine', 'cert')}
    assert 'expired on' in warnings['old'][0] and len(warnings['old']) == 1
    assert 'expires on' in warnings['soon'][0] and len(warnings['soon']) == 1
    assert 'is not valid before' in warnings['later'][0] and len(warnings['later']) == 1
    assert not warnings['fine'] and not warnings['cert']
    office.allow('warning: ')
    office.start()
    for name in ('old', 'soon', 'later'):
        office.wait_log(f'warning: .*{name}.pem')
    with Pop(office.pop3) as client:
        client.login('demo', PASSWORD)
        client.quit()


def test_without_tls_no_certificate_is_looked_at(make_office):
    office = make_office(start=False)
    for path in (office.cert, office.dir / 'tls/key.pem'):
        path.unlink()
    text = office.conf.read_text()
    begin = text.index('\ntls ')
    end = text.index('\n}', begin) + 2
    office.conf.write_text(text[:begin] + text[end:])
    same(office, False)  # pop3s needs a certificate
    text = office.conf.read_text()
    begin = text.index('\npop3s ')
    end = text.index('\n}', begin) + 2
    office.conf.write_text(text[:begin] + text[end:])
    checked, _ = same(office, True)
    assert 'cert' not in checked


@pytest.mark.parametrize('state', ['a file', 'below a file', 'read-only', 'to be made'])
def test_a_state_folder_that_cannot_be_used_is_said(make_office, monkeypatch, state):
    """Where the start goes on with a warning, so does the check."""
    as_root = os.geteuid() == 0  # for whom nothing is read-only
    office = make_office(start=False, runas=NOBODY if state == 'read-only' and as_root else None)
    path = office.state / 'x'
    if state in ('a file', 'below a file'):
        path.touch()
    elif state == 'read-only':
        path.mkdir(mode=0o500)
    monkeypatch.setattr(office, 'state', path / 'y' if state == 'below a file' else path)
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode == 0, done
    said = re.search(r'warning: the state folder cannot be used: (\S+) .*STATE_DIRECTORY',
                     done.stderr)
    if state == 'to be made':
        assert not said, done
    else:
        assert said and said[1].rstrip(':') == str(path), done
    assert state != 'to be made' or not path.exists()
