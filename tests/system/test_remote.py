"""Users whose mail is on another POP3 server: `remote "NAME" { … }` and the connector. The other
server is a second valijad, or a real Dovecot."""
import pytest

from dovecot_pop3 import DovecotPop3, usable
from lmtp import Lmtp
from office import PASSWORD, free_port, wait_until
from pop import Pop
from test_status import has

MESSAGES = [b'From: a@example.org\nSubject: %d\n\nline 1\n.line 2\nline 3\n' % n
            for n in range(1, 4)]
WIRE = [message.replace(b'\n', b'\r\n') for message in MESSAGES]
THERE = 'secret-of-the-other-server'


def section(port, credentials='stored', name='old', **settings):
    lines = {'server': f'127.0.0.1:{port}', 'tls': 'no', 'credentials': credentials, **settings}
    return f'\nremote "{name}" {{\n' + \
        ''.join(f'\t{key} = "{value}"\n' for key, value in lines.items()) + '}\n'


def add_remote_user(office, name, fields, secret=f'{{PLAIN}}{PASSWORD}'):
    office._add_line(f'{name}:{secret}::::::{fields}\n')


@pytest.fixture
def upstream(make_office):
    """The other server: a valijad with the user there (password: THERE), who has MESSAGES."""
    other = make_office(start=False, users=(), hostname='other.test')
    other._add_line(f'there:{{PLAIN}}{THERE}\n')
    other.put_many('there', MESSAGES)
    return other.start()


@pytest.fixture
def site(make_office):
    """site(port of the other server, …): the server whose user anna has her mail there."""
    def make(port, fields=f'remote=old remote_user=there remote_password={THERE}',
             secret=f'{{PLAIN}}{PASSWORD}', settings=None, **more):
        office = make_office(start=False, settings=settings)
        with office.conf.open('a') as conf:
            conf.write(section(port, **more))
        add_remote_user(office, 'anna', fields, secret)
        return office.start()
    return make


def direct(upstream):
    client = Pop(upstream.pop3)
    client.login('there', THERE)
    return client


def test_the_other_servers_maildrop_is_the_users(upstream, site, connect):
    with direct(upstream) as client:
        ids, sizes = client.uidl(), client.list()
        client.quit()
    office = site(upstream.pop3)
    client = connect(office)
    client.login('anna', PASSWORD)
    assert client.uidl() == ids and client.list() == sizes
    assert client.stat() == (3, sum(sizes.values()))
    for number, octets in enumerate(WIRE, 1):
        assert client.ok(f'RETR {number}') == '+OK the message follows'
        assert client.body() == octets
    assert client.top(2, 1) == WIRE[1].split(b'.line')[0]
    assert client.ok('UIDL 2').split() == ['+OK', '2', ids[2]]
    client.quit()


def test_quit_deletes_there(upstream, site, connect):
    office = site(upstream.pop3)
    client = connect(office)
    client.login('anna', PASSWORD)
    client.ok('DELE 1')
    client.ok('DELE 3')
    client.ok('RSET')
    client.ok('DELE 2')
    client.ok('DELE 3')
    client.quit()
    upstream.has_files('there', 1)
    assert upstream.octets('there') == [MESSAGES[0]]


def test_what_connectors_do_is_counted(upstream, site, connect):
    port = free_port()
    office = site(upstream.pop3, settings={'control.metrics': f'"127.0.0.1:{port}"'})
    client = connect(office)
    client.login('anna', PASSWORD)
    client.ok('DELE 1')
    client.quit()
    has(port, samples={'valija_maildrop_opens_total{reason="ok"}': 1,
                       'valija_login_step_seconds_count{step="maildrop"}': 1,
                       'valija_commits_total{result="ok"}': 1,
                       'valija_commit_seconds_count': 1})


def test_a_cut_session_deletes_nothing_there(upstream, site, connect):
    office = site(upstream.pop3)
    client = connect(office)
    client.login('anna', PASSWORD)
    client.ok('DELE 1')
    client.close()
    upstream.wait_log(r'session-end .*the client closed the connection')
    # those that go from new to cur meanwhile may be seen twice
    assert len({path.name.split(':')[0] for path in upstream.files('there')}) == 3


def test_same_credentials_are_judged_there(upstream, site, connect):
    upstream._add_line(f'anna:{{PLAIN}}{THERE}\n')
    upstream.put('anna', MESSAGES[0])
    upstream.reload()
    office = site(upstream.pop3, credentials='same', fields='remote=old', secret='')
    client = connect(office)
    client.ok('USER anna')
    assert client.err('PASS wrong') == '-ERR [AUTH] wrong user name or password'
    client.login('anna', THERE)
    assert client.retr(1) == WIRE[0]
    client.quit()
    client = connect(office)
    client.ok(client.plain('anna', THERE))
    client.quit()
    office.wait_log(r'login-refused .*user="anna" reason="the other server refuses the password"')
    office.wait_log(r'auth0.* login .*user="anna"')
    assert len([line for line in upstream.log if line and ' login-refused ' in line]) == 1


def test_scram_cannot_be_judged_there(upstream, site, connect):
    office = site(upstream.pop3, credentials='same', fields='remote=old')
    client = connect(office)
    reply = client.ask('APOP anna 0123456789abcdef0123456789abcdef')
    assert reply.startswith('-ERR')


def test_a_refused_stored_password_is_ours_to_mend(upstream, site, connect):
    office = site(upstream.pop3, fields='remote=old remote_user=there remote_password=wrong')
    office.allow('maildrop-failed')
    client = connect(office)
    client.ok('USER anna')
    assert client.err('PASS ' + PASSWORD).startswith('-ERR [SYS/PERM]')
    office.wait_log('maildrop-failed .*the other server refuses the login')


def test_in_use_there_is_in_use_here(upstream, site, connect):
    holder = direct(upstream)
    office = site(upstream.pop3)
    office.allow('maildrop-failed')
    client = connect(office)
    client.ok('USER anna')
    assert client.err('PASS ' + PASSWORD).startswith('-ERR [IN-USE]')
    holder.quit()
    client.login('anna', PASSWORD)
    client.quit()


def test_a_server_that_is_down_is_not_asked_by_all(upstream, site, connect):
    office = site(upstream.pop3)
    office.allow('maildrop-failed', 'remote old is down')
    upstream.stop()
    client = connect(office)
    for _ in range(4):
        client.ok('USER anna')
        assert client.err('PASS ' + PASSWORD).startswith('-ERR [SYS/TEMP]')
    office.wait_log('remote old is down: cannot connect')
    office.wait_log('maildrop-failed .*that server is down')
    upstream.start()

    def serves():
        client.ok('USER anna')
        return client.ask('PASS ' + PASSWORD).startswith('+OK')
    wait_until(serves, 40)
    office.wait_log('remote old is back')


def test_a_section_that_is_not_there(upstream, site, connect):
    office = site(upstream.pop3, fields='remote=new')
    office.allow('no section remote')
    client = connect(office)
    client.ok('USER anna')
    assert client.err('PASS ' + PASSWORD).startswith('-ERR [SYS/PERM]')


@pytest.mark.parametrize('credentials', ('same', 'stored'))
def test_the_field_of_a_database(upstream, site, connect, credentials):
    """Of a passwd-file that a process of its own asks: all databases have the same fields."""
    upstream._add_line(f'carla:{{PLAIN}}{THERE}\n')
    upstream.put('carla', MESSAGES[2])
    upstream.reload()
    here = THERE if credentials == 'same' else PASSWORD
    office = site(upstream.pop3, credentials=credentials)
    people = office.dir / 'people'
    people.write_text(f'carla:{{PLAIN}}{PASSWORD}::::::remote=old remote_password={THERE}\n')
    people.chmod(0o644)
    with office.conf.open('a') as conf:
        conf.write(f'database "people" {{\n\tdriver = passwd-file\n\tfile = "{people}"\n}}\n')
    office.reload()
    for _ in range(2):
        client = connect(office)
        client.login('carla', here)
        assert client.retr(1) == WIRE[2]
        client.quit()
    client = connect(office)
    client.ok('USER carla')
    assert client.err('PASS wrong').startswith('-ERR [AUTH]')


def test_mail_for_a_remote_user_is_put_off(upstream, site):
    office = site(upstream.pop3)
    office.allow('recipient <anna@office.test>: .*on another server')
    with Lmtp(office.lmtp) as client:
        assert client.ask('MAIL FROM:<a@example.org>').startswith('250')
        assert client.ask('RCPT TO:<anna@office.test>').startswith('451')
    assert not (office.mail / 'anna').exists()


@pytest.fixture
def dovecot(make_office):
    if not usable():
        pytest.skip('needs root and Dovecot')
    other = make_office(start=False, users=(), hostname='localhost')
    other.put_many('there', MESSAGES)
    with DovecotPop3(other, users=('there', 'anna')) as server:
        yield server
    server.remove()


def password_file(other):
    path = other.scratch / 'password'
    path.write_text(PASSWORD + '\n')
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize('tls', ('yes', 'starttls'))
def test_a_dovecot_there_over_tls(dovecot, site, connect, tls):
    other = dovecot.office
    port = other.pop3s if tls == 'yes' else other.pop3
    office = site(port, server=f'localhost:{port}', tls=tls, verify=str(other.cert),
                  password_file=password_file(other), login='there', fields='remote=old')
    client = connect(office)
    client.login('anna', PASSWORD)
    assert list(client.uidl().values()) == dovecot.uidl('there')
    assert client.retr(2) == WIRE[1]
    client.ok('DELE 2')
    client.quit()
    assert len(dovecot.uidl('there')) == 2
    for _ in range(3):
        client = connect(office)
        client.login('anna', PASSWORD)
        client.quit()


def test_a_certificate_that_is_not_trusted(dovecot, site, connect):
    other = dovecot.office
    office = site(other.pop3s, tls='yes', server=f'localhost:{other.pop3s}', login='there',
                  password_file=password_file(other), fields='remote=old')
    office.allow('maildrop-failed')
    client = connect(office)
    client.ok('USER anna')
    assert client.err('PASS ' + PASSWORD).startswith('-ERR [SYS/TEMP]')
    office.wait_log('maildrop-failed .*certificate of localhost is not accepted')


def test_the_check_looks_at_sections(make_office, tmp_path):
    office = make_office(start=False)
    begin = office.conf.read_text()

    def check(**settings):
        office.conf.write_text(begin + section(110, **settings))
        return office.valijad('-t', '-c', office.conf)
    assert 'in clear text' in check().stderr + check().stdout
    assert check(tls='yes', verify=str(office.cert)).returncode == 0
    done = check(tls='yes', verify='/nowhere.pem')
    assert done.returncode == 78 and 'remote "old"' in done.stderr, done.stderr
    done = check(password_file=str(tmp_path / 'nothing'))
    assert done.returncode == 66 and 'remote old' in done.stderr, done.stderr
    open_to_all = tmp_path / 'password'
    open_to_all.write_text('x')
    open_to_all.chmod(0o644)
    done = check(password_file=str(open_to_all))
    assert done.returncode == 77 and 'chmod 600' in done.stderr, done.stderr
    add_remote_user(office, 'anna', 'remote=elsewhere')
    done = check()
    assert 'no section remote "elsewhere"' in done.stderr + done.stdout
