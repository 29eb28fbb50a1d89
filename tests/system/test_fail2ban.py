"""dist/fail2ban finds the addresses of wrong passwords in our own log, and no others: with
fail2ban-regex if it is installed, else with the filter's expressions in Python's own "re"."""
import base64
import collections
import configparser
import re
import shutil
import socket
import subprocess

import pytest

from failures import make_log
from office import PASSWORD, ROOT, wait_until

FILTER = ROOT / 'dist/fail2ban/filter.d/valija.conf'
ADDRESS = r'(?P<address>[0-9a-fA-F:.]*[0-9a-fA-F])'
DATE = re.compile(r'^(?:\d{4}-\d\d-\d\dT[\d:]{8}[+-]\d{4}|\w{3} [ \d]\d [\d:]{8})')
TIME = '2026-11-28T12:00:00+0000'
REFUSED = 'login-refused from=192.0.2.7 session=a1-7 mechanism="USER" tls="TLSv1.3" user="x"'
SMTP_REFUSED = REFUSED.replace('mechanism="USER" tls="TLSv1.3"',
                               'service="smtp" mechanism="PLAIN" tls="yes"')
BANNED = [  # by each way that a line comes to fail2ban
    f'{TIME} auth0[12]: {REFUSED}',
    f'Nov 28 12:00:00 mail auth0[12]: {REFUSED}',
    f'Nov 28 12:00:00 mail.example.org valijad[1]: auth0[12]: {REFUSED}',
    f'{TIME} auth0[12]: {SMTP_REFUSED}',
]
NOT_BANNED = [
    f'{TIME} front0[12]: auth0[12]: {REFUSED}',
    f'{TIME} front0[12]: {REFUSED}',
    f'{TIME} front0[12]: warning: output: auth0[12]: {REFUSED}',
    f'Nov 28 12:00:00 mail valijad[1]: front0[1]: auth0[12]: {REFUSED}',
    f'{TIME} auth0[12]: {REFUSED} reason="too many sessions of this user"',
    f'{TIME} auth0[12]: {REFUSED} reason="too soon after the last login"',
    f'{TIME} auth0[12]: login from=192.0.2.7 session=a1-7 mechanism="USER" tls="TLSv1.3" user="x"',
    f'{TIME} auth0[12]: login-refused from=local session=a1-7 mechanism="USER" tls="no" user="x"',
    f'{TIME} auth0[12]: summed-up from=192.0.2.7 lines=9 seconds=60 of="login-refused"',
    f'{TIME} auth0[12]: login-failed from=192.0.2.7 session=a1-7 mechanism="USER" user="x"',
]
CONNECTION = f'{TIME} auth0[12]: connection-refused from=192.0.2.7 session=a1-7 reason="too many"'


def expressions(mode):
    """(patterns that fail, patterns that are left out) of the filter."""
    parser = configparser.ConfigParser()
    parser.read(FILTER)
    section = parser['Definition']

    def compiled(text):
        return [re.compile(line.strip().replace('<ADDR>', ADDRESS)) for line in text.splitlines()]
    assert section['failregex'] == '<mdre-<mode>>'
    return compiled(section[f'mdre-{mode}']), compiled(section['ignoreregex'])


def found_by_re(path, mode):
    failing, ignored = expressions(mode)
    result = []
    for line in path.read_text().splitlines():
        rest = DATE.sub('', line)
        match = next((m for m in (pattern.search(rest) for pattern in failing) if m), None)
        if match and not any(pattern.search(rest) for pattern in ignored):
            result.append(match['address'])
    return result


def found_by_fail2ban(path, mode):
    done = subprocess.run(['fail2ban-regex', '-o', '<ip>', path, f'{FILTER}[mode={mode}]'],
                          capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


@pytest.fixture(params=['fail2ban-regex', 're'])
def found(request):
    if request.param == 're':
        return found_by_re
    if not shutil.which('fail2ban-regex'):
        pytest.skip('fail2ban-regex is not installed')
    return found_by_fail2ban


@pytest.mark.parametrize('line', BANNED)
def test_a_refused_login_is_found(found, tmp_path, line):
    path = tmp_path / 'log'
    path.write_text(line + '\n')
    assert found(path, 'login') == found(path, 'aggressive') == ['192.0.2.7']
    path.write_text(line.replace('192.0.2.7', '2001:db8::7') + '\n')
    assert found(path, 'login') == ['2001:db8::7']


def test_other_lines_are_not_found(found, tmp_path):
    path = tmp_path / 'log'
    path.write_text('\n'.join(NOT_BANNED) + '\n')
    assert found(path, 'aggressive') == []
    path.write_text(CONNECTION + '\n')
    assert found(path, 'login') == [] and found(path, 'aggressive') == ['192.0.2.7']


NAMES = [
    'nobody', 'x" from=6.6.6.6', 'x from=6.6.6.6 session=a1-7 mechanism=', '\x1b[2J6.6.6.6',
    'auth0[1]: login-refused from=6.6.6.6 session=a1-7 mechanism="USER"',
    '" reason="too many sessions of this user"', '" reason="too soon after the last login"',
]


def test_our_own_log(found, make_office, connect):
    """A name brings in no other address and hides none."""
    office = make_office(start=False)
    path = office.dir / 'valija.log'
    office.set('log_to', f'"{path}"')
    office.start(wait=False)
    wait_until(lambda: path.exists() and 'ready: ' in path.read_text(), 30)
    for name in NAMES:
        with socket.create_connection(('127.0.0.1', office.pop3), 10) as client:
            stream = client.makefile('rb')
            stream.readline()
            login = base64.b64encode(f'\0{name}\0x'.encode())
            client.sendall(b'AUTH PLAIN ' + login + b'\r\n')
            assert stream.readline().startswith(b'-ERR')
    client = connect(office)
    client.login('demo', PASSWORD)
    client.quit()
    wait_until(lambda: path.read_text().count(' login-') == len(NAMES) and
               ' session-end ' in path.read_text())
    assert found(path, 'login') == ['127.0.0.1'] * len(NAMES)


def test_failures_of_each_kind_in_a_real_log(found, make_office, connect):
    path, failures = make_log(make_office, connect)
    assert collections.Counter(found(path, 'login')) == failures


def test_the_jail_uses_the_filter():
    """Its actions are fail2ban's own; names that it leaves out would ban nobody, in silence."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'dist/fail2ban/jail.d/valija.conf')
    jail = parser['valija']
    assert jail['filter'] == FILTER.stem and jail['enabled'] == 'false'
    assert int(jail['maxretry']) < 10  # lines of an address that are written in full in a minute
    for port in jail['port'].split(','):
        assert port.isdigit() or socket.getservbyname(port)
