"""`valija user list` over databases of every kind: the real programs, asked for all users."""
import json
import os
import shutil

import pytest
from office import ROOT, program, wait_until
from test_database_ldap import GROUPS, PEOPLE, own_slapd, people_office, section  # noqa: F401
from test_database_sql import (  # noqa: F401
    SCHEMA, database, good, insert, make_site, servers)
from test_database_system import make_site as make_system_site, system  # noqa: F401

LIST = 'SELECT name FROM users ORDER BY name'


def users(office, *options, code=0):
    done = office.valija('user', 'list', '-c', office.conf, *options, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout.splitlines(), done.stderr


# files

def add_file(office, name, text):
    path = office.dir / name
    path.write_text(text)
    if os.geteuid() == 0:
        shutil.chown(path, 'root', 'valija-lookup')
        path.chmod(0o640)
    with office.conf.open('a') as file:
        file.write(f'\ndatabase "{name}" {{\n\tdriver = passwd-file\n\tfile = "{name}"\n}}\n')


@pytest.fixture
def two_files(make_office):
    office = make_office(start=False, users=('anna',))
    add_file(office, 'one', 'carla@one.test:{PLAIN}x\n# nobody\nBERT:{PLAIN}x\nANNA:{PLAIN}x\n')
    add_file(office, 'two', 'emil:{PLAIN}x\nbert:{PLAIN}x\n')
    return office


def test_files_in_order_and_each_name_once(two_files):
    assert users(two_files) == (['anna', 'carla@one.test', 'BERT', 'emil'], '')
    listed = [json.loads(text) for text in users(two_files, '--json')[0]]
    assert [(row['name'], row['database']) for row in listed] == [
        ('anna', None), ('carla@one.test', 'one'), ('BERT', 'one'), ('emil', 'two')]


def test_users_of_databases_who_do_not_log_in(two_files):
    two_files.start()
    good(two_files, 'bert', 'x')
    wait_until(lambda: users(two_files, '--unused', '1d')[0] == [
        'anna never', 'carla@one.test never', 'emil never'])


def test_very_many(make_office):
    office = make_office(start=False, users=())
    names = [f'user{number:06}@example.org' for number in range(100000)]
    add_file(office, 'many', ''.join(f'{name}:{{PLAIN}}x\n' for name in names))
    assert users(office)[0] == names


def test_a_database_that_cannot_be_read_is_said(two_files):
    """The others are listed; the exit code says that it is not all."""
    (two_files.dir / 'one').unlink()
    names, said = users(two_files, code=69)
    assert names == ['anna', 'emil', 'bert']
    assert 'database one is not listed whole: ' in said


def test_drivers_that_cannot_list_say_so(make_office):
    office = make_office(start=False, users=('anna',))
    with office.conf.open('a') as file:
        file.write('\ndatabase "shop" {\n\tdriver = http\n\turl = "http://127.0.0.1:1/"\n}\n')
    names, said = users(office)
    assert names == ['anna']
    assert 'database shop cannot be listed' in said and 'driver http' in said


def test_a_database_for_mail_alone_is_none_of_users_who_log_in(two_files):
    text = two_files.conf.read_text()
    two_files.conf.write_text(text.replace('file = "two"', 'file = "two"\n\tfor = {"recipient"}'))
    assert users(two_files)[0] == ['anna', 'carla@one.test', 'BERT']


# SQL

def test_sql(database, make_site):  # noqa: F811
    names = [f'u{number:04}@example.org' for number in range(2500)]
    database.sql(''.join(insert(name) for name in names))
    office = make_site(database, start=False, list_query=LIST)
    assert users(office) == (['demo', *names], '')


def test_sql_without_a_list_query(database, make_site):  # noqa: F811
    office = make_site(database, start=False)
    names, said = users(office, code=75)
    assert names == ['demo']
    assert 'database people is not listed whole: ' in said and 'list_query' in said


def test_sql_rows_that_are_no_names(database, make_site):  # noqa: F811
    """A blank, a line end, a slash, NULL, an empty text, one that is too long."""
    rows = ["'anna'", "'a b'", "'a\nb'", "'a/b'", 'NULL', "''", f"'{'x' * 255}y'", "'zoe'"]
    database.sql(''.join(f'INSERT INTO users (name) VALUES ({row});' for row in rows[:6])
                 + ''.join(f'INSERT INTO users (secret) VALUES ({row});' for row in rows[6:7])
                 + insert('zoe'))
    office = make_site(database, start=False, list_query='SELECT COALESCE(name, secret) FROM '
                       'users ORDER BY 1')
    names, said = users(office)
    assert sorted(names) == ['anna', 'demo', 'zoe']
    assert 'names that are none' in said


@pytest.mark.parametrize('query, words', [
    ('SELECT name FROM users WHERE name = {user}', 'placeholders'),
    ("SELECT name FROM users WHERE name = '{user}'", 'without'),
])
def test_sql_queries_that_are_refused(servers, make_site, query, words):  # noqa: F811
    server = servers('sqlite')
    server.sql(SCHEMA)
    office = make_site(server, start=False, list_query=query)
    assert words in users(office, code=69)[1]


def test_sql_list_that_is_wrong(database, make_site):  # noqa: F811
    office = make_site(database, start=False, list_query='SELECT name FROM nobody')
    assert 'list_query: ' in users(office, code=75)[1]


# LDAP

PERSON = ('dn: uid={0},' + PEOPLE + '\nobjectClass: inetOrgPerson\nuid: {0}\nsn: x\ncn: x\n'
          'mail: {0}@example.org\n')


@pytest.fixture
def make_directory(make_office, own_slapd):  # noqa: F811
    """make_directory(COUNT, TEXT): so many people beside anna and bert, and the section's text."""
    def make(count, text='', data='', limits=''):
        server = own_slapd(more=limits, data='\n'.join(
            [PERSON.format(f'p{number:04}') for number in range(count)] + [data]))
        office = make_office(start=False, users=('demo',))
        with office.conf.open('a') as conf:
            conf.write(section(server.ldap, f'\tbase = "{PEOPLE}"\n\ttimeout = 5s\n{text}'))
        return office
    return make


def test_ldap_in_pages(make_directory):
    """A server that gives 500 entries at once, and all of them in pages."""
    office = make_directory(1200, limits='limits anonymous size.soft=500 size.prtotal=unlimited')
    names, said = users(office)
    assert said == ''
    assert names[0] == 'demo'
    assert {'anna', 'bert', *(f'p{number:04}' for number in range(1200))} <= set(names)
    assert len(names) == len(set(names))


def test_ldap_that_gives_no_more_is_said(make_directory):
    office = make_directory(1200)
    assert 'Size limit exceeded' in users(office, code=75)[1]


def test_ldap_by_a_filter_and_an_attribute_of_its_own(make_directory):
    office = make_directory(12, '\tlist_filter = "(uid=p000*)"\n\tlist_attribute = "mail"\n')
    assert sorted(users(office)[0]) == ['demo', *(f'p{number:04}@example.org'
                                                 for number in range(10))]


def test_ldap_members_alone(make_directory):
    group = (f'dn: cn=mail,{GROUPS}\nobjectClass: groupOfNames\ncn: mail\n'
             f'member: uid=p0001,{PEOPLE}\nmember: uid=p0003,{PEOPLE}\n')
    office = make_directory(5, f'\tgroup = "cn=mail,{GROUPS}"\n', group)
    assert sorted(users(office)[0]) == ['demo', 'p0001', 'p0003']


@pytest.mark.parametrize('text, words', [
    ('\tlist_filter = "(uid=*"\n', 'list_filter'),
    ('\tlist_attribute = "u(id"\n', 'list_attribute')])
def test_ldap_settings_that_are_refused(make_directory, text, words):
    assert words in users(make_directory(0, text), code=69)[1]


# the system

@pytest.mark.skipif(not program('valija-lookup-system').exists(), reason='built without PAM')
def test_system_users_of_the_range(make_system_site, need_root):  # noqa: F811
    office = make_system_site('lisa', 'lotte', settings='min_uid = 3000\n\tmax_uid = 3999',
                              start=False)
    assert users(office) == (['lisa', 'lotte'], '')
    text = office.conf.read_text()
    office.conf.write_text(text.replace('max_uid = 3999', 'max_uid = 3000'))
    assert users(office)[0] == ['lisa']


def test_completions_know_the_options_of_list():
    for name, begin, end, form in (
            ('valija.bash', '= user ]', '\n\tfi\n', '--{}'),
            ('_valija', '\tuser)', ';;', "'--{}["),
            ('valija.fish', 'set -l user', 'set -l fetch', '-l {} ')):
        text = (ROOT / 'dist/completions' / name).read_text().split(begin)[1].split(end)[0]
        for option in ('config', 'json', 'unused', 'scheme'):
            assert form.format(option) in text or f'--{option}}}' in text, (name, option)
