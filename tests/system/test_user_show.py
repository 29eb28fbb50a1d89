"""`valija user show` and `user test`: a user as every database of the site has it, by the programs
that valijad starts, with the steps and what each took."""
import json
import pathlib
import re
import sys

import pytest

import office as post
from office import PASSWORD

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / 'stand_ins')]

from web_page import WebPage  # noqa: E402

TOOK = r' \(\d+\.\d ms\)'


class People:
    """name → (password, fields)"""
    users = {'carla': ('sesame', {'home': 'carla-home', 'quota_messages': '7'}),
             'nora': ('sesame', {'home': 'nora', 'nologin': True}),
             'evil': ('sesame', {'home': '../../etc'}),
             'loud': ('sesame', {'home': 'x', 'col\x1b[31mour': 'red'})}

    def __call__(self, request):
        question = json.loads(request.body)
        name = question['names'][0]
        if name not in self.users:
            return 200, {'status': 'unknown'}
        password, fields = self.users[name]
        if question['kind'] == 'verify' and question['password'] != password:
            return 200, {'status': 'wrong'}
        return 200, {'version': 1, 'status': 'found', 'matched': 0, 'fields': fields}


@pytest.fixture
def site(make_office, tmp_path):
    """An office, not started, whose second database is a program behind a socket: site.page."""
    if not post.program('valija-lookup-http').exists():
        pytest.skip('built without valija-lookup-http')
    office = make_office(start=False)
    folder = office.scratch / 'page'
    folder.mkdir(mode=0o755)
    with WebPage(People(), socket=folder / 'socket') as page:
        (folder / 'socket').chmod(0o666)
        with office.conf.open('a') as file:
            file.write(f'\ndatabase "people" {{\n\tdriver = http\n'
                       f'\tsocket = "{folder}/socket"\n\ttimeout = 2s\n}}\n')
        office.page = page
        yield office


def show(office, name):
    return office.valija('user', 'show', '-c', office.conf, name, check=False)


def test(office, name, password):
    return office.valija('user', 'test', '-c', office.conf, name, check=False,
                         stdin=password + '\n')


test.__test__ = False


def test_a_user_of_the_file(site):
    done = show(site, 'DEMO')
    assert done.returncode == 0
    assert re.match(rf'users file {site.dir}/users: found{TOOK}\nname: demo\n'
                    rf'maildrop: {site.mail}/demo\n', done.stdout)
    assert site.page.requests == []  # no other database is asked
    assert 'login as: demo\n' in test(site, 'demo', PASSWORD).stdout
    done = test(site, 'demo', 'wrong')
    assert done.returncode == 77 and 'the password is wrong' in done.stdout


def test_a_user_of_a_database(site):
    done = show(site, 'carla')
    assert done.returncode == 0, done.stderr + done.stdout
    assert re.match(rf'users file {site.dir}/users: no such user{TOOK}\n'
                    rf'database people \(http\): found{TOOK}\nname: carla\n'
                    rf'maildrop: {site.mail}/carla-home\nmessages: 7\n', done.stdout)
    assert 'login: yes\n' in done.stdout
    done = test(site, 'carla', 'sesame')
    assert done.returncode == 0
    assert re.search(rf'database people \(http\): found; the password is right{TOOK}\n'
                     'login as: carla\n', done.stdout)
    done = test(site, 'carla', 'sesam')
    assert done.returncode == 77
    assert 'database people (http): the password is wrong' in done.stdout


def test_nobody_s_name(site):
    done = show(site, 'nobody')
    assert done.returncode == 67
    assert done.stdout.count('no such user') == 2


@pytest.mark.parametrize('name, why', [
    ('evil', 'home'), ('loud', r'no field col\x1b[31mour')])
def test_an_entry_that_cannot_be_used_says_why(site, name, why):
    done = show(site, name)
    assert done.returncode == 78
    assert why in done.stdout.replace('\\x5c', '\\') and '\x1b' not in done.stdout


def test_a_user_who_may_not_log_in(site):
    assert 'login: no (nologin)\n' in show(site, 'nora').stdout
    done = test(site, 'nora', 'sesame')
    assert done.returncode == 77 and 'nologin' in done.stdout


@pytest.mark.parametrize('fault', ['drop', 'cut', 'hang', 'endless'])
def test_a_database_that_is_down_is_no_database_without_the_user(site, fault):
    site.page.fault = fault
    done = show(site, 'carla')
    assert done.returncode == 75, done.stdout
    assert re.search(r'^database people \(http\): (cannot be asked|it does not answer)',
                     done.stdout, re.M)
    assert 'no such user' not in done.stdout.split('\n')[1]
    assert show(site, 'demo').returncode == 0  # the file does not need it


def test_an_app_password_is_tried_before_any_database(site):
    made = site.valija('user', 'app', 'add', '-c', site.conf, 'carla', '--label', 'phone',
                       '--no-delete')
    assert 'is not in' in made.stderr
    assert 'app password: phone, without deletions\n' in show(site, 'carla').stdout
    site.page.requests.clear()
    done = test(site, 'carla', made.stdout.strip())
    assert done.returncode == 0
    assert 'app passwords: it is that of the label phone' in done.stdout
    assert [json.loads(request.body)['kind'] for request in site.page.requests] == ['find']
    assert 'it is none of this user' in test(site, 'carla', 'sesame').stdout


def test_no_process_is_left_and_nothing_is_changed(site):
    before = {path: path.read_bytes() for path in site.dir.rglob('*') if path.is_file()}
    assert test(site, 'carla', 'sesame').returncode == 0
    assert {path: path.read_bytes() for path in site.dir.rglob('*') if path.is_file()} == before
    socket = str(site.scratch).encode()
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        try:
            assert b'valija: lookup' not in path.read_bytes() or \
                socket not in (path.parent / 'environ').read_bytes()
        except OSError:
            continue


@pytest.mark.parametrize('args', [('show',), ('test',), ('show', 'a', 'b'), ('show', '-x', 'a')])
def test_wrong_uses(site, args):
    assert site.valija('user', *args, check=False).returncode == 64
