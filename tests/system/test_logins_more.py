"""Exchanges that are given up or cut, entries that cannot be served, names that are nobody's: the
relatives of what test_login_rules.py tries. Answers are compared, not times."""
import base64
import time

import pytest
from office import PASSWORD, TICK
from pop import Pop
from test_login_rules import begin_scram, encode, finish_scram

LONG = {'login.failure_delay': '60s', 'login.failure_delay_max': '60s'}
ALL = {'login.mechanisms': '"SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 PLAIN LOGIN"'}


def half(client, mechanism, name='demo'):
    """An exchange up to the last answer of the client, which is not sent."""
    if mechanism == 'LOGIN':
        client.send('AUTH LOGIN\r\n')
        assert client.line().startswith('+ ')
        client.send(encode(name) + '\r\n')
    elif mechanism.startswith('SCRAM'):
        first = encode(f'n,,n={name},r=0123456789abcdef')
        client.send(f'AUTH {mechanism} {first}\r\n')
    else:
        client.send(f'AUTH {mechanism}\r\n')
    assert client.line().startswith('+ ')


MECHANISMS = ('PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-1', 'SCRAM-SHA-256')


@pytest.mark.parametrize('mechanism', MECHANISMS)
@pytest.mark.parametrize('how', ['*', '!!!', '='])
def test_one_exchange_that_is_given_up_is_free_by_each_mechanism(make_office, connect, mechanism,
                                                                how):
    """By "*"; what is no answer at all gets an error and no second state."""
    office = make_office(settings={**ALL, **(LONG if how == '*' else {})})
    client = connect(office)
    half(client, mechanism)
    assert client.ask(how).startswith('-ERR')
    client.login('demo', PASSWORD)
    client.quit()


@pytest.mark.parametrize('mechanism', ['PLAIN', 'LOGIN', 'CRAM-MD5'])
def test_what_cost_no_work_is_free_however_often(make_office, connect, mechanism):
    office = make_office(settings={**ALL, **LONG})
    client = connect(office)
    for _ in range(8):
        half(client, mechanism)
        client.err('*')
    client.login('demo', PASSWORD)
    client.quit()


def test_cancels_of_both_scrams_are_counted_together(make_office, connect):
    office = make_office(settings={**ALL, 'login.failure_delay': '200ms',
                                   'login.failure_delay_max': '400ms', 'login.max_failures': 9})
    client = connect(office)
    begin = time.monotonic()
    for mechanism in ('SCRAM-SHA-1', 'SCRAM-SHA-256', 'SCRAM-SHA-1'):
        half(client, mechanism)
        client.err('*')
    assert finish_scram(client).startswith('+OK')
    assert time.monotonic() - begin >= 0.6 - 2 * TICK
    client.quit()


@pytest.mark.parametrize('end', ['close', 'reset'])
@pytest.mark.parametrize('mechanism', MECHANISMS)
def test_cut_exchanges_leave_nothing_that_is_held(make_office, connect, mechanism, end):
    """More than may be at work at a time; then the owner logs in at once."""
    office = make_office(settings={**ALL, 'limits.connections_per_address': 0})
    for _ in range(150):
        client = Pop(office.pop3)
        half(client, mechanism)
        getattr(client, end)()
    with connect(office) as client:
        client.login('demo', PASSWORD)
        client.quit()


# entries that cannot be served

BAD = {
    'unknown': '{ROT13}cbrgel', 'empty-crypt': '{CRYPT}', 'cut-crypt': '{SHA512-CRYPT}$6$salt',
    'bad-scram': '{SCRAM-SHA-256}4096,!!,x,y', 'short-ssha': '{SSHA}AAAA', 'star': '{CRYPT}*',
    'bang': '{SHA512-CRYPT}!$6$salt$x', 'open-brace': '{PLAIN', 'no-hex': '{PLAIN-MD5}zz',
}


def answers(client, name, password='wrong'):
    """Of each way to log in, with a wrong password; SCRAM's first step by its form."""
    found = {}
    client.ok(f'USER {name}')
    found['PASS'] = client.ask(f'PASS {password}')
    token = base64.b64encode(f'\0{name}\0{password}'.encode()).decode()
    found['PLAIN'] = client.ask(f'AUTH PLAIN {token}')
    half(client, 'LOGIN', name)
    found['LOGIN'] = client.ask(encode(password))
    half(client, 'CRAM-MD5', name)
    found['CRAM-MD5'] = client.ask(encode(f'{name} {"0" * 32}'))
    for mechanism in ('SCRAM-SHA-256',):
        found[mechanism] = finish_scram(client, password, name)
    return found


def test_who_cannot_be_served_is_answered_as_a_stranger(make_office, connect):
    office = make_office(settings={**ALL, 'login.max_failures': 1000}, start=False)
    with (office.dir / 'users').open('a') as file:
        file.write(f'normal:{{PLAIN}}{PASSWORD}\n')
        file.writelines(f'{name}:{entry}\n' for name, entry in BAD.items())
        file.write(f'far:{{PLAIN}}{PASSWORD}::::/nowhere/at/all\n'
                   f'up:{{PLAIN}}{PASSWORD}::::../../etc\n'
                   f'elsewhere:{{PLAIN}}{PASSWORD}::::::userdb_mail=imapc:x\n')
    office.allow('.*')
    office.start()
    client = connect(office)
    wanted = answers(client, 'normal')
    assert all(line.startswith('-ERR [AUTH]') for line in wanted.values()), wanted
    for name in ('nobody', 'no such name', *BAD, 'far', 'up', 'elsewhere'):
        assert answers(client, name.replace(' ', '-')) == wanted, name
    client.close()


def salt_and_count(client, name):
    line = begin_scram(client, name)
    client.err('*')
    fields = base64.b64decode(line.split()[1]).decode().split(',')
    return fields[1], fields[2]


def test_scram_s_first_step_is_constant_for_every_name(make_office, connect):
    """Asked again, by another connection and after a reload: the same salt, for who exists and who
    does not; different names have different salts; the count is one."""
    office = make_office(settings={**ALL, 'login.max_failures': 1000},
                         users=('demo', 'plain'), start=False)
    office.add_user('hashed', PASSWORD, 'SHA512-CRYPT')
    office.add_user('scram', PASSWORD, 'SCRAM-SHA-256')
    office.start()
    names = ('demo', 'hashed', 'scram', 'nobody', 'nobody2', 'x' * 60)
    first = connect(office)
    seen = {name: salt_and_count(first, name) for name in names}
    assert len({salt for salt, _ in seen.values()}) == len(names)
    assert len({count for _, count in seen.values()}) == 1, seen
    assert len({len(salt) for salt, _ in seen.values()}) == 1, seen
    second = connect(office)
    assert {name: salt_and_count(second, name) for name in names} == seen
    office.reload()
    third = connect(office)
    assert {name: salt_and_count(third, name) for name in names} == seen
    for client in (first, second, third):
        client.close()


# slow hashes

def test_schemes_that_are_mixed(make_office, connect):
    """Wrong passwords of each scheme wait in their own line; users of every scheme log in."""
    schemes = ('PLAIN', 'SHA256-CRYPT', 'SHA512-CRYPT', 'BLF-CRYPT', 'SCRAM-SHA-256')
    office = make_office(settings={'limits.connections_per_address': 0}, users=(), start=False)
    for scheme in schemes:
        office.add_user(scheme.lower(), PASSWORD, scheme)
    office.start()
    guesses = []
    for n in range(40):
        client = connect(office)
        client.send(f'USER {schemes[n % 5].lower()}\r\nPASS wrong\r\n')
        guesses.append(client)
    for scheme in schemes:
        client = connect(office, timeout=60)
        client.login(scheme.lower(), PASSWORD)
        client.quit()
    for client in guesses:
        assert client.line().startswith('+OK')
        assert client.line().startswith('-ERR [AUTH]')
