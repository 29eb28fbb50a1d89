"""Messages that are deleted for their age: listed, announced, carried out."""
import os
import re
import subprocess
import time

import pytest
from office import PASSWORD, program, wait_until

DAY = 24 * 3600
AFTER = {'retention.delete_after': '30d'}


@pytest.fixture
def office(make_office):
    return make_office(settings=AFTER)


def put_old(office, days, name):
    came = int(time.time()) - days * DAY
    path = office.put('demo', b'Subject: old\n\nold\n', name=f'{came}.{name}')
    os.utime(path, (came, came))
    return path.name


def retention(office, *args, code=0):
    done = subprocess.run([str(program('valija')), 'retention', '-c', str(office.conf), *args],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def uidl(connect, office):
    client = connect(office)
    client.login('demo', PASSWORD)
    ids = list(client.uidl().values())
    client.quit()
    return ids


def test_a_dry_run_lists_and_changes_nothing(office):
    old = put_old(office, 31, 'old')
    put_old(office, 29, 'young')
    before = sorted(path.name for path in office.files('demo'))
    for args in ((), ('demo',)):
        said = retention(office, '--dry-run', *args)
        assert re.fullmatch(rf'would-delete demo \S+ \d+ {old}\n', said)
    assert sorted(path.name for path in office.files('demo')) == before


def test_the_command_deletes_and_a_session_is_left_alone(office, connect):
    old, young = put_old(office, 31, 'old'), put_old(office, 29, 'young')
    client = connect(office)
    client.login('demo', PASSWORD)
    assert 'another session has it' in retention(office, 'demo', code=75)
    assert sorted(client.uidl().values()) == sorted([old, young])
    client.ok('RETR 1')
    client.close()
    wait_until(lambda: len(office.files('demo')) == 1)  # behind the session, by its keeper
    put_old(office, 40, 'another')
    wait_until(lambda: subprocess.run(
        [str(program('valija')), 'retention', '-c', str(office.conf)],
        capture_output=True, timeout=60).returncode == 0)
    assert uidl(connect, office) == [young]


def test_what_is_announced(make_office, connect):
    for settings, announced in ((AFTER, 'EXPIRE 30'), ({}, 'EXPIRE NEVER'),
                                ({**AFTER, 'pop3.expire': '60'}, 'EXPIRE 60')):
        office = make_office(settings=settings)
        client = connect(office)
        client.ok('CAPA')
        assert announced.encode() in client.body()
        client.close()
        said = office.valijad('-t', '-c', office.conf)
        warned = 'retention.delete_after deletes messages after 30 days' in said.stderr
        assert warned == ('pop3.expire' in settings)
        office.stop()


def test_wrong_settings_and_calls(make_office):
    office = make_office(start=False)
    office.set('retention.delete_after', '1h')
    said = office.valijad('-t', '-c', office.conf)
    assert said.returncode and 'at least 1d' in said.stderr
    other = make_office(start=False)
    assert 'there is nothing to do' in retention(other, code=78)
    retention(other, '--no-such-option', code=64)
