"""Users in PostgreSQL, MariaDB and SQLite: real servers of Debian, asked by a real valijad."""
import base64
import hashlib
import os
import pathlib
import sys
import tempfile
import threading
import time
import warnings

import office as post
import pytest
from lmtp import Lmtp
from office import wait_until
from pop import Pop

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / 'stand_ins')]

import databases  # noqa: E402

with warnings.catch_warnings():
    warnings.simplefilter('ignore', DeprecationWarning)
    import crypt

KINDS = ('postgresql', 'mysql', 'sqlite')
SERVERS = ('postgresql', 'mysql')
MESSAGE = b'Subject: hello\r\n\r\nbody\r\n'
QUERY = ('SELECT name AS user, secret AS password, home, quota AS quota_octets, nologin FROM users '
         'WHERE name = {user}')
SCHEMA = '''
DROP TABLE IF EXISTS users; DROP TABLE IF EXISTS aliases;
CREATE TABLE users (name VARCHAR(255), secret TEXT, home TEXT, quota BIGINT, nologin TEXT,
                    seen INTEGER DEFAULT 0);
CREATE TABLE aliases (name VARCHAR(255), target TEXT);
'''


def salted(password):
    return '{SSHA256}' + base64.b64encode(
        hashlib.sha256(password.encode() + b'salt').digest() + b'salt').decode()


SECRETS = {'plain': '{PLAIN}sesame', 'salted': salted('sesame'),
           'yescrypt': '{CRYPT}' + crypt.crypt('sesame', '$y$j9T$abcdefghijkl')}


def insert(name, secret='{PLAIN}sesame', table='users', **more):
    row = {'name': name, 'secret': secret, **more}
    values = ', '.join('NULL' if value is None else "'" + str(value).replace("'", "''") + "'"
                       for value in row.values())
    return f'INSERT INTO {table} ({", ".join(row)}) VALUES ({values});'


@pytest.fixture(scope='session')
def servers():
    """servers(KIND): a started database of that kind, one for all tests of this worker."""
    folder = tempfile.mkdtemp(prefix='valija-sql-')
    made = {}

    def get(kind):
        if not post.program(f'valija-lookup-{kind}').exists():
            pytest.skip(f'valija-lookup-{kind} is not built')
        if reason := databases.missing(kind):
            pytest.skip(reason)
        if kind not in made:
            made[kind] = databases.start(kind, folder, post.free_port())
        return made[kind]

    yield get
    for server in made.values():
        server.stop()
    post.shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=KINDS)
def database(request, servers):
    """Each kind, with empty tables."""
    server = servers(request.param)
    server.sql(SCHEMA)
    return server


@pytest.fixture(params=SERVERS)
def server(request, servers):
    """The kinds that are servers, with empty tables."""
    made = servers(request.param)
    made.sql(SCHEMA)
    return made


@pytest.fixture
def make_site(make_office):
    """make_site(database, …): a started office with the section "people"."""
    def make(database, user_query=QUERY, start=True, users=('demo',), **settings):
        office = make_office(start=False, users=users)
        databases.add_section(office, database, user_query, **settings)
        office.allow(r'auth\d+\[\d+\]: error: recipient <[^>]*>: database people: ')
        return office.start() if start else office
    return make


def login(office, user, password='sesame'):
    """The reply to a login."""
    with Pop(office.pop3) as client:
        client.ok(f'USER {user}')
        return client.ask(f'PASS {password}')


def good(office, user, password='sesame'):
    reply = login(office, user, password)
    assert reply.startswith('+OK'), reply


def wrong(office, user, password='sesame'):
    reply = login(office, user, password)
    assert reply.startswith('-ERR [AUTH]'), reply


def temporary(office, user, password='sesame'):
    reply = login(office, user, password)
    assert reply.startswith('-ERR [SYS/TEMP]'), reply


def rcpt(office, address, code):
    with Lmtp(office.lmtp) as client:
        client.expect('MAIL FROM:<>', '250')
        return client.expect(f'RCPT TO:<{address}>', code)


def test_logins(database, make_site):
    database.sql(''.join(insert(f'{name}@example.org', secret)
                         for name, secret in SECRETS.items()))
    database.sql(insert('closed@example.org', nologin='1') + insert('empty@example.org', None) +
                 insert('Größe@example.org'.lower()))
    office = make_site(database)
    for name in SECRETS:
        good(office, f'{name}@example.org')
        good(office, f'{name.upper()}@Example.ORG')
        wrong(office, f'{name}@example.org', 'other')
    good(office, 'größe@example.org')
    for name in ('nobody@example.org', 'closed@example.org', 'plain', 'empty@example.org'):
        wrong(office, name)
    wrong(office, 'gr\udcff\udcc3'.encode('utf-8', 'surrogateescape').decode('latin-1'))
    good(office, 'demo', post.PASSWORD)


def test_mail_of_a_user(database, make_site):
    """Delivered by the name in the database, and collected."""
    database.sql(insert('anna@example.org', home='example.org/anna', quota=100000))
    office = make_site(database)
    with Lmtp(office.lmtp) as client:
        assert client.deliver(MESSAGE, 'Anna@example.org') == ['250 2.1.5 delivered']
        client.begin('anna@example.org')
        client.send(b'x' * 70 + b'\r\n' + b'y' * 70 + b'\r\n' + b'.\r\n')
        client.reply()
    with Pop(office.pop3) as client:
        client.login('anna@example.org', 'sesame')
        assert client.stat()[0] == 2
        assert MESSAGE in client.retr(1)
        client.quit()
    assert (office.mail / 'example.org/anna/new').is_dir()
    rcpt(office, 'nobody@example.org', '550 5.1.1')


def test_entries_that_are_none(database, make_site):
    """The user of such a row is not let in, and the log says why; mail for him waits. It does not
    concern others."""
    office = make_site(database)
    database.sql(insert('two@example.org') * 2 + insert('long@example.org', '{PLAIN}' + 'x' * 40000)
                 + insert('up@example.org', home='../../etc') + insert('good@example.org') +
                 insert('line@example.org', home='a\nb'))
    office.allow(r'people: the entry of (up|line)@example.org cannot be used: ')
    for name in ('two', 'long', 'up', 'line'):
        assert login(office, f'{name}@example.org').startswith('-ERR [')
        rcpt(office, f'{name}@example.org', '45')
        good(office, 'good@example.org')
    office.wait_log(r'people: the entry of \S+ cannot be used: two rows')


def test_more_rows_than_anyone_has(database, make_site):
    """A query that finds everybody costs no more than the one who asked."""
    office = make_site(database, "SELECT name AS user, secret AS password FROM users WHERE name "
                       "= {user} OR {local} = 'all'")
    database.sql(''.join(insert(f'u{n}@example.org') for n in range(3000)))
    for _ in range(3):
        wrong(office, 'all@example.org')
        good(office, 'u17@example.org')


def test_nul_in_a_field(servers, make_site):
    """PostgreSQL has none in texts."""
    for kind in ('mysql', 'sqlite'):
        server = servers(kind)
        server.sql(SCHEMA)
        text = "CONCAT('{PLAIN}ses', CHAR(0), 'ame')" if kind == 'mysql' else \
            "CAST(x'7b504c41494e7d736573' || x'00' || x'616d65' AS TEXT)"
        server.sql(f"INSERT INTO users (name, secret) VALUES ('nul@example.org', {text});")
        office = make_site(server)
        for password in ('ses', 'sesame'):
            wrong(office, 'nul@example.org', password)
        office.wait_log('the field password holds a NUL')


def test_names_that_are_sql(database, make_site):
    """A name is a value, whatever is in it."""
    database.sql(insert('anna@example.org') + insert("o'hara@example.org"))
    office = make_site(database, 'SELECT name AS user, secret AS password FROM users WHERE name = '
                       '{user} OR name = CONCAT({local}, {domain}) AND {user} <> {local}'
                       if database.name != 'sqlite' else QUERY)
    good(office, "o'hara@example.org")
    for name in ("'OR'1'='1", "anna@example.org'--", "x';DROP\tTABLE\tusers;--", '"', '\\', "\\'",
                 "anna@example.org\\", '%', 'ann_@example.org', '%@example.org', '{user}', '$1',
                 '?', "'||(SELECT\tname)||'", "anna@example.org'#", "'/*", 'anna@example.org\\0'):
        assert not login(office, name.replace('\t', '/**/')).startswith('+OK'), name
    good(office, 'anna@example.org')


def test_recipients_and_aliases(database, make_site):
    database.sql(insert('anna@example.org') + insert('bert@example.org'))
    for name, target in (('sales@example.org', 'anna@example.org'),
                         ('sales@example.org', 'bert@example.org'),
                         ('boss@example.org', 'anna@example.org')):
        database.sql(f"INSERT INTO aliases (name, target) VALUES ('{name}', '{target}');")
    office = make_site(database, recipient_query='SELECT name AS user, NULL AS alias FROM users '
                       'WHERE name = {user} UNION ALL SELECT NULL, target FROM aliases '
                       'WHERE name = {user}')
    ok = '250 2.1.5 delivered'
    with Lmtp(office.lmtp) as client:
        assert client.deliver(MESSAGE, 'Sales@example.org') == [ok]
        assert client.deliver(MESSAGE, 'boss@example.org', 'anna+tag@example.org') == [ok, ok]
    counts = {}
    for name in ('anna', 'bert'):
        with Pop(office.pop3) as client:
            client.login(f'{name}@example.org', 'sesame')
            counts[name] = client.stat()[0]
    assert counts['bert'] == 1 and counts['anna'] in (2, 3)
    rcpt(office, 'nobody@example.org', '550 5.1.1')
    wrong(office, 'sales@example.org')


def test_an_aggregate_is_no_user(database, make_site):
    """max() makes a row of NULLs where there is none."""
    database.sql(insert('anna@example.org'))
    office = make_site(database, 'SELECT max(name) AS user, max(secret) AS password FROM users '
                       'WHERE name = {user}')
    good(office, 'anna@example.org')
    wrong(office, 'nobody@example.org')
    rcpt(office, 'nobody@example.org', '550 5.1.1')


def harmed_only(office, harm, mend):
    """While harm lasts, users of the database get temporary failures, quickly after the first, and
    those of the file are served; afterwards everything is as before."""
    office.allow(r'database people cannot be asked')
    good(office, 'anna@example.org')
    harm()
    began = time.monotonic()
    temporary(office, 'anna@example.org')
    rcpt(office, 'anna@example.org', '451')
    rcpt(office, 'nobody@example.org', '451')
    assert time.monotonic() - began < 12
    quick = time.monotonic()
    good(office, 'demo', post.PASSWORD)
    rcpt(office, 'demo', '250')
    assert time.monotonic() - quick < 2
    office.wait_log(r'database people cannot be asked: \S')
    mend()
    wait_until(lambda: login(office, 'anna@example.org').startswith('+OK'), 40)
    rcpt(office, 'nobody@example.org', '550')
    office.wait_log(r'database people answers again')


@pytest.fixture
def own_site(make_site):
    """A site whose file holds names without a domain only, so it may go on without the database."""
    def make(server, **settings):
        return make_site(server, domains='example.org', **settings)
    return make


def test_killed(server, own_site):
    server.sql(insert('anna@example.org'))
    office = own_site(server)
    harmed_only(office, server.kill, server.start)


def test_stopped(server, own_site):
    server.sql(insert('anna@example.org'))
    office = own_site(server)
    try:
        harmed_only(office, server.pause, server.go_on)
    finally:
        server.go_on()


def test_a_restart_is_not_noticed(server, own_site):
    """A connection that broke while nobody used it is opened again for the question itself."""
    server.sql(insert('anna@example.org'))
    office = own_site(server)
    for _ in range(4):
        good(office, 'anna@example.org')
    server.stop()
    server.start()
    good(office, 'anna@example.org')
    rcpt(office, 'nobody@example.org', '550')


def test_down_at_boot(server, own_site):
    server.sql(insert('anna@example.org'))
    server.stop()
    try:
        office = own_site(server)
        office.allow(r'database people cannot be asked')
        temporary(office, 'anna@example.org')
        good(office, 'demo', post.PASSWORD)
    finally:
        server.start()
    wait_until(lambda: login(office, 'anna@example.org').startswith('+OK'), 40)


def sleep_of(server, seconds):
    return f'pg_sleep({seconds})' if server.name == 'postgresql' else f'SLEEP({seconds})'


def test_one_slow_query(server, own_site):
    """The database's own time limit ends it; others are answered meanwhile and afterwards."""
    server.sql(insert('anna@example.org') + insert('slow@example.org'))
    text = 'CAST(%s AS TEXT)' if server.name == 'postgresql' else '%s'
    office = own_site(server, user_query='SELECT name AS user, secret AS password, CASE WHEN name '
                      f"= 'slow@example.org' THEN {text % sleep_of(server, 20)} END AS home "
                      'FROM users WHERE name = {user}')
    office.allow(r'database people cannot be asked: user_query')
    replies = []
    slow = threading.Thread(target=lambda: replies.append(login(office, 'slow@example.org')))
    slow.start()
    while slow.is_alive():
        began = time.monotonic()
        good(office, 'anna@example.org')
        assert time.monotonic() - began < 1.5
        time.sleep(0.1)
    assert replies[0].startswith('-ERR [SYS/TEMP]'), replies
    good(office, 'anna@example.org')


def test_locked_file(servers, make_site):
    """Another program that writes a SQLite file for long."""
    server = servers('sqlite')
    server.sql(SCHEMA + insert('anna@example.org'))
    office = make_site(server, domains='example.org')
    office.allow(r'database people cannot be asked: user_query: database is locked')
    writer = databases.sqlite3.connect(server.file, isolation_level=None)
    writer.execute('BEGIN EXCLUSIVE')
    temporary(office, 'anna@example.org')
    good(office, 'demo', post.PASSWORD)
    writer.execute('ROLLBACK')
    good(office, 'anna@example.org')
    writer.close()
    # a new file in its place is what is read from then on
    fresh = server.file.with_suffix('.new')
    with databases.sqlite3.connect(fresh) as database:
        database.executescript(SCHEMA + insert('bert@example.org'))
    fresh.chmod(0o644)
    fresh.rename(server.file)
    good(office, 'bert@example.org')
    wrong(office, 'anna@example.org')


def test_missing_table(database, make_site):
    """Says which query and what is wrong, and goes well as soon as it is mended, without a
    restart."""
    database.sql(insert('anna@example.org'))
    office = make_site(database, domains='example.org')
    office.allow(r'database people cannot be asked: user_query: ')
    good(office, 'anna@example.org')
    database.sql('ALTER TABLE users RENAME TO elsewhere;')
    temporary(office, 'anna@example.org')
    rcpt(office, 'nobody@example.org', '451')
    office.wait_log(r'cannot be asked: user_query: .*users')
    good(office, 'demo', post.PASSWORD)
    database.sql('ALTER TABLE elsewhere RENAME TO users;')
    good(office, 'anna@example.org')


def test_changed_columns(server, make_site):
    """A table that changes under a prepared statement."""
    server.sql(insert('anna@example.org'))
    office = make_site(server, 'SELECT * FROM (SELECT name AS user_, users.* FROM users) AS u '
                       'WHERE name = {user}')
    office.allow('there is no field user_')
    wrong(office, 'anna@example.org')
    office.wait_log('there is no field user_')
    for kind in ('BIGINT', 'VARCHAR(300)'):
        server.sql(f'ALTER TABLE users DROP COLUMN quota; ALTER TABLE users ADD quota {kind};')
        wrong(office, 'anna@example.org')


def test_last_login(server, make_site):
    """Written once a user and day, and no login waits for it."""
    server.sql(insert('anna@example.org') + insert('bert@example.org'))
    office = make_site(server, domains='example.org', last_login_update='UPDATE users SET seen = '
                       'seen + 1 WHERE name = {user}')

    def seen(name):
        return server.sql(f"SELECT seen FROM users WHERE name = '{name}@example.org';")

    for _ in range(3):
        good(office, 'Anna@example.org')
        wrong(office, 'bert@example.org', 'other')
    wait_until(lambda: seen('anna') == '1')
    good(office, 'bert@example.org')
    wait_until(lambda: seen('bert') == '1')
    assert seen('anna') == '1'


def test_last_login_that_hangs(servers, make_site):
    """A row that somebody has locked holds up no login."""
    server = servers('postgresql')
    server.sql(SCHEMA + ''.join(insert(f'u{n}@example.org') for n in range(12)))
    office = make_site(server, domains='example.org', connections='2', last_login_update='UPDATE '
                       'users SET seen = seen + 1 WHERE name = {user}')
    locker = threading.Thread(target=server.sql, args=(
        "BEGIN; LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE; SELECT pg_sleep(3); COMMIT;",))
    locker.start()
    wait_until(lambda: server.sql("SELECT count(*) FROM pg_locks WHERE mode = "
                                  "'ShareRowExclusiveLock';") != '0')
    for n in range(12):
        began = time.monotonic()
        good(office, f'u{n}@example.org')
        assert time.monotonic() - began < 1.5
    locker.join()


def test_second_host(server, make_site):
    """The first of two refuses connections, or hangs: the second is asked."""
    server.sql(insert('anna@example.org'))
    quiet = post.socket.socket()
    quiet.bind(('127.0.0.2', server.port))  # accepts, by its queue, and says nothing
    quiet.listen(50)
    for first in ('127.0.0.3', '127.0.0.2'):
        connect = server.connect().replace('host=', f'host={first},')
        office = make_site(server, domains='example.org', connect=connect, timeout='4s')
        good(office, 'anna@example.org')
        began = time.monotonic()
        good(office, 'anna@example.org')
        good(office, 'anna@example.org')
        assert time.monotonic() - began < 8
    quiet.close()


def test_by_its_socket(server, make_site):
    server.sql(insert('anna@example.org'))
    office = make_site(server, connect=server.connect(socket_path=True))
    good(office, 'anna@example.org')


def test_wrong_password_of_ours(server, make_site):
    """Says what to mend, and holds no secret."""
    server.sql(insert('anna@example.org'))
    secret = pathlib.Path(tempfile.mkdtemp(prefix='valija-sql-')) / 'secret'
    secret.write_text('not this one')
    secret.chmod(0o600)
    office = make_site(server, domains='example.org', password_file=str(secret))
    office.allow(r'database people cannot be asked')
    temporary(office, 'anna@example.org')
    office.wait_log(r'cannot be asked: .*(password authentication failed|Access denied)')
    assert 'not this one' not in office.log_text()
    post.shutil.rmtree(secret.parent)


def test_login_plugin(servers, make_site):
    """A way to log in to MariaDB that its library loads as a module, within the sandbox."""
    server = servers('mysql')
    server.sql(SCHEMA + insert('anna@example.org'))
    server.sql("INSTALL SONAME 'auth_ed25519'; CREATE OR REPLACE USER other@'%' IDENTIFIED VIA "
               f"ed25519 USING PASSWORD('{databases.password_of('mysql')}');"
               "GRANT SELECT ON mail.* TO other@'%'")
    office = make_site(server, connect=server.connect().replace('user=valija', 'user=other'))
    good(office, 'anna@example.org')
    server.sql("DROP USER other@'%'; UNINSTALL SONAME 'auth_ed25519';")


def certificate(folder, name='localhost'):
    """A certificate for that name, signed by its own key: (certificate, key)."""
    paths = folder / f'{name}.cert.pem', folder / f'{name}.key.pem'
    post.subprocess.run(
        ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
         '-nodes', '-days', '30', '-subj', f'/CN={name}', '-addext', f'subjectAltName=DNS:{name}',
         '-keyout', paths[1], '-out', paths[0]], check=True, capture_output=True)
    return paths


@pytest.fixture(params=SERVERS)
def tls_server(request, servers):
    """A server of its own, with a certificate for localhost."""
    servers(request.param)  # or skips
    folder = pathlib.Path(tempfile.mkdtemp(prefix='valija-sql-'))
    folder.chmod(0o755)
    server = databases.start(request.param, folder, post.free_port(), certificate(folder))
    server.authority, server.stranger = folder / 'localhost.cert.pem', certificate(folder, 'other')
    server.sql(SCHEMA + insert('anna@example.org'))
    yield server
    server.stop()
    post.shutil.rmtree(folder, ignore_errors=True)


def test_tls(tls_server, make_site):
    """Verified by an authority and the host's name; encrypted without; and refused."""
    server = tls_server
    by_name = server.connect().replace('127.0.0.1', 'localhost')
    if server.name == 'postgresql':
        server.sql('CREATE VIEW seen AS SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
        query = ("SELECT name AS user, secret AS password, CASE WHEN (SELECT ssl FROM seen) "
                 "THEN '0' ELSE '1' END AS nologin FROM users WHERE name = {user}")
    else:
        server.sql("ALTER USER valija@'%' REQUIRE SSL;")
        query = QUERY
    for settings, works in (({'tls': 'encrypt'}, True),
                            ({'tls': 'verify', 'ca_file': str(server.authority)}, True),
                            ({'tls': 'verify', 'ca_file': str(server.stranger[0])}, False),
                            ({'tls': 'verify', 'ca_file': str(server.authority),
                              'connect': server.connect()}, False),
                            ({'tls': 'off'}, False)):
        office = make_site(server, query, domains='example.org',
                           **{'connect': by_name, **settings})
        office.allow('database people cannot be asked')
        reply = login(office, 'anna@example.org')
        assert reply.startswith('+OK') == works, (settings, reply)
        office.stop()


REFUSED = [
    ({'user_query': "SELECT 1 FROM users WHERE name = '{user}'"}, r'stands in quotes'),
    ({'user_query': "SELECT 1 FROM users WHERE name = '%u'"}, r"Dovecot's way"),
    ({'user_query': 'SELECT 1 FROM users'}, r'no \{user\}'),
    ({'user_query': 'SELECT 1 WHERE {user} = {name}'}, r'known are'),
    ({'connect': 'mysql:host=db dbname=mail password=hush'}, r'password_file'),
    ({'connect': 'postgresql://valija:hush@db/mail'}, r'password_file'),
    ({'connect': 'oracle:db'}, r'begins with postgresql:'),
    ({'connect': 'sqlite:mail.db'}, r'whole path'),
    ({'connect': 'mysql:host=db'}, r'names no database'),
    ({'last_login_update': 'UPDATE users SET seen = 1'}, r'last_login_update: no \{user\}'),
    ({'last_login_update': 'UPDATE users SET seen = 1 WHERE name = {user}'}, r'may not write'),
]


@pytest.mark.parametrize('settings, words', REFUSED, ids=[words for _, words in REFUSED])
def test_refused_settings(servers, make_site, settings, words):
    office = make_site(servers('sqlite'), start=False, **settings)
    office.allow('.')
    office.start(wait=False)
    office.wait_log(words)
    assert 'hush' not in office.log_text()
    office.stop(check=False)
