"""Databases that are further files like the users file."""
import os
import shutil

import office as post
import pytest
from lmtp import Lmtp
from pop import Pop


@pytest.fixture
def make_site(make_office):
    """make_site(TEXT): an office with a second file of users, for one.test."""
    def make(text, start=True, settings=''):
        office = make_office(start=False, users=('anna',))
        office.more = office.dir / 'more-users'
        office.more.write_text(text)
        if os.geteuid() == 0:
            shutil.chown(office.more, 'root', 'valija-lookup')
            office.more.chmod(0o640)
        with office.conf.open('a') as file:
            file.write('\ndatabase "more" {\n\tdriver = passwd-file\n\tfile = "more-users"\n'
                       f'\tdomains = {{"one.test"}}\n\t{settings}\n}}\n')
        if start:
            office.start()
        return office

    return make


def answers(office, name, password):
    with Pop(office.pop3) as client:
        client.ok(f'USER {name}')
        client.send(f'PASS {password}\r\n'.encode())
        return client.line()


@pytest.mark.release
def test_logins_and_mail(make_site):
    office = make_site('carla@one.test:{PLAIN}word\nout@one.test:{PLAIN}word::::::nologin\n')
    with Lmtp(office.lmtp) as client:
        assert client.deliver(b'Subject: x\r\n\r\n', 'carla+list@one.test') == [
            '250 2.1.5 delivered']
        client.ask('MAIL FROM:<>')
        assert client.ask('RCPT TO:<nobody@one.test>').startswith('550')
        assert client.ask('RCPT TO:<out@one.test>').startswith('250')
    assert answers(office, 'Carla@one.test', 'word').startswith('+OK')
    assert answers(office, 'carla@one.test', 'wrong').startswith('-ERR [AUTH]')
    assert answers(office, 'out@one.test', 'word').startswith('-ERR [AUTH]')
    assert answers(office, 'nobody@one.test', 'word').startswith('-ERR [AUTH]')
    assert len(office.files('carla@one.test')) == 1


def test_a_changed_file(make_site):
    office = make_site('carla@one.test:{PLAIN}word\n', settings='cache_time = 0')
    assert answers(office, 'carla@one.test', 'word').startswith('+OK')
    office.more.write_text('carla@one.test:{PLAIN}other\n')
    assert answers(office, 'carla@one.test', 'word').startswith('-ERR [AUTH]')
    assert answers(office, 'carla@one.test', 'other').startswith('+OK')
    office.allow('more-users:1')
    office.more.write_text('no colon here\n')
    assert answers(office, 'carla@one.test', 'other').startswith('+OK')


def test_a_file_that_is_not_there_stops_no_start(make_site):
    office = make_site('', start=False)
    office.more.unlink()
    office.allow('more-users')
    office.start()
    assert answers(office, 'anna', post.PASSWORD).startswith('+OK')
    assert '[SYS/TEMP]' in answers(office, 'carla@one.test', 'word')


def test_threat_102_a_program_that_answers_twice(make_site):
    """It costs that process, which is ended and started again; nobody but its users waits."""
    hostile = post.build_dir() / 'tests/hostile/hostile_lookup'
    if not hostile.exists():
        pytest.skip('no tests in this build')
    office = make_site('carla@one.test:{PLAIN}word\n', start=False, settings='cache_time = 0')
    if office.bin == post.build_dir():
        office._lend_programs()
    shutil.copy(hostile, office.bin / 'valija-lookup-passwd-file')
    office.allow('given twice', 'is replaced', 'lookup 0 .*ended by signal 9')
    office.start()
    for _ in range(2):
        mark = office.mark()
        post.wait_until(lambda: answers(office, 'carla@one.test', 'word').startswith('+OK'))
        office.wait_log('channel to lookup 0 is gone: an answer that was given twice', since=mark)
        office.wait_log(r'has lost its channel to lookup 0 .* is replaced', since=mark)
        assert answers(office, 'anna', post.PASSWORD).startswith('+OK')
