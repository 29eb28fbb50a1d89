"""The driver for LDAP directories against OpenLDAP's slapd: first the driver alone, then logins and
deliveries of a whole server."""
import pathlib
import re
import subprocess
import sys
import time

import office as post
import pytest
from lmtp import Lmtp

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'stand_ins'))

import slapd as directory  # noqa: E402
from slapd import BASE, GROUPS, PASSWORD, PEOPLE, READER, READER_PASSWORD  # noqa: E402
from slapd import Relay, Slapd, person  # noqa: E402

HANGS_MS = 8000  # a question has one or two seconds, a busy machine some more
DATA = '\n'.join((
    person('twin', mail='twin@example.org'),
    person('other', mail=['other@example.org', 'twin@example.org']),
    person('nopass', password=None),
    person('plain', parent=f'ou=hidden,{BASE}', password='hidden'),
    person('rich', homeDirectory='rich/Maildir', employeeNumber='7',
           mail=['rich@example.org', 'money@example.org']),
    person('manyhomes', carLicense=['one', 'two']),
    # octets that mean something in names of entries and in filters
    person('odd', mail=['a*b@example.org', 'a(b)@example.org', 'a\\b@example.org']),
    f'dn: cn=mail,{GROUPS}\nobjectClass: groupOfNames\ncn: mail\nmember: uid=anna,{PEOPLE}\n'
    f'member: uid=rich,{PEOPLE}\n',
    f'dn: cn=unique,{GROUPS}\nobjectClass: groupOfUniqueNames\ncn: unique\n'
    f'uniqueMember: uid=anna,{PEOPLE}\n',
    f'dn: uid=a+sn=b,{PEOPLE}\nobjectClass: inetOrgPerson\nuid: a\nsn: b\ncn: x\n'
    f'userPassword: {PASSWORD}\n',
))


@pytest.fixture(scope='module')
def slapd():
    if why := directory.missing():
        pytest.skip(why)
    with Slapd(data=DATA) as server:
        yield server


@pytest.fixture
def own_slapd():
    """A server of the test's own: own_slapd(…)."""
    if why := directory.missing():
        pytest.skip(why)
    servers = []

    def make(**more):
        servers.append(Slapd(**more))
        return servers[-1]
    yield make
    for server in servers:
        server.stop()


class Answer:
    def __init__(self, line):
        status, matched, ms, why, *fields = line.rstrip('\n').split('\t')
        self.status, self.matched, self.ms, self.why = status, int(matched), int(ms), why
        self.fields = [tuple(field.split('=', 1)) for field in fields]

    def __getitem__(self, name):
        return dict(self.fields).get(name)

    def __repr__(self):
        return f'{self.status} {self.matched} {self.ms} ms {self.why!r} {self.fields}'


def section(servers, text='', name='people'):
    servers = servers if isinstance(servers, (list, tuple)) else [servers]
    listed = ', '.join(f'"{server}"' for server in servers)
    return f'database "{name}" {{\n\tdriver = ldap\n\tservers = {{{listed}}}\n{text}\n}}\n'


class Driver:
    """The driver alone, in its sandbox."""

    def __init__(self, folder, servers, text, search=True):
        program = post.build_dir() / 'tests/unit/lookup_ask_ldap'
        if not program.exists():
            pytest.skip('this build has no lookup_ask_ldap')
        if search and 'user_dn' not in text and 'base =' not in text:
            text += f'\n\tbase = "{PEOPLE}"\n'
        conf = folder / 'database.conf'
        conf.write_text(f'mail = "{folder}"\nusers = "{folder}/users"\nhostname = "here.test"\n'
                        'pop3 { listen = {"127.0.0.1:1110"} }\n' + section(servers, text))
        self.process = subprocess.Popen([program, conf], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env=post.environment())

    def ask(self, *words):
        self.process.stdin.write('\t'.join(map(str, words)) + '\n')
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        return Answer(line)

    def find(self, *names, purpose='login', ms=5000):
        return self.ask('find', purpose, ms, *names)

    def verify(self, name, password=PASSWORD, ms=5000):
        return self.ask('password', 'login', ms, name, password)

    def refusal(self):
        """Why it does not start."""
        _, err = self.process.communicate('', timeout=20)
        assert self.process.returncode == 78, err
        return err

    def stop(self):
        if self.process.poll() is None:
            _, err = self.process.communicate('', timeout=60)
            assert self.process.returncode == 0, err


@pytest.fixture
def driver(tmp_path):
    made = []

    def make(servers, text='', **more):
        made.append(Driver(tmp_path, servers, text, **more))
        return made[-1]
    yield make
    for one in made:
        one.stop()


def reader(tmp_path):
    """The settings of one who may read hashes."""
    secret = tmp_path / 'reader'
    secret.write_text(READER_PASSWORD + '\n')
    return f'\tbind_dn = "{READER}"\n\tbind_password_file = "{secret}"\n'


# passwords

def test_a_password_is_tried_by_login(slapd, driver):
    people = driver(slapd.ldap)
    for name in ('anna', 'ANNA', 'anna@example.org', 'Anna@Example.ORG'):
        assert people.verify(name).status == 'found', name
    for password in ('wrong', PASSWORD + 'x', PASSWORD[:-1], PASSWORD.upper(), '*'):
        assert people.verify('anna', password).status == 'wrong', password
    assert people.verify('nobody').status == 'unknown'
    assert people.verify('nopass').status == 'wrong'
    assert people.verify('anna').status == 'found'


def test_an_empty_password_is_no_login(slapd, driver, tmp_path):
    """slapd takes a name without a password as anonymous, if it may, and says that it is right."""
    for text in ('', f'\tuser_dn = "uid={{user}},{PEOPLE}"\n', reader(tmp_path)):
        people = driver(slapd.ldap, text)
        assert people.verify('anna', '').status == 'wrong'
        assert people.verify('anna').status == 'found'


def test_an_empty_password_where_the_server_would_take_it(own_slapd, driver):
    server = own_slapd(first='allow bind_anon_cred bind_anon_dn')
    done = subprocess.run(['ldapwhoami', '-x', '-H', server.ldap, '-D', f'uid=anna,{PEOPLE}',
                           '-w', ''], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == 'anonymous'
    assert driver(server.ldap).verify('anna', '').status == 'wrong'


def test_hash(slapd, driver, tmp_path):
    hashed = subprocess.run(['/usr/sbin/slappasswd', '-h', '{SSHA}', '-s', 'x'], text=True,
                            capture_output=True, check=True).stdout.strip()
    people = driver(slapd.ldap, reader(tmp_path) + '\tverify = hash\n'
                    f'\tbase = "{BASE}"\n\tattributes = {{"uid=user"}}\n')
    slapd.modify(f'uid=bert,{PEOPLE}', f'replace: userPassword\nuserPassword: {hashed}')
    found = people.find('bert')
    assert found.status == 'found' and found['password'] == hashed and found['user'] == 'bert'
    assert people.find('plain')['password'] == '{PLAIN}hidden'
    assert people.find('anna')['password'] == '{PLAIN}' + PASSWORD
    assert people.find('nobody').status == 'unknown'
    none = people.find('nopass')
    assert none.status == 'bad entry' and 'userPassword' in none.why


def test_hashes_that_may_not_be_read(slapd, driver):
    """No user without a password."""
    found = driver(slapd.ldap, '\tverify = hash\n').find('anna')
    assert found.status == 'bad entry' and 'bind_dn' in found.why


@pytest.mark.parametrize('name', [
    '*', 'an*', '*)(uid=*', 'anna)(uid=*', ')(|(uid=*', 'anna)(&)', r'\2a', r'an\6ea', 'anna\\',
    'a=b', 'anna,ou=people', '&', '|', '!', '(uid=anna)', '\xff\xfe', '*@example.org',
    'anna@*', '*)(userPassword=*', 'anna)(objectClass=*'])
def test_threat_14_a_name_is_never_part_of_a_filter(slapd, driver, name):
    people = driver(slapd.ldap)
    answers = [people.verify(name), people.find(name), people.find(name, purpose='recipient')]
    assert [answer.status for answer in answers] == ['unknown'] * 3


@pytest.mark.parametrize('name', ['anna,', 'anna+sn=anna', 'a+sn=b', '*', 'anna\\', '#616e6e61',
                                  'anna,ou=people', '"anna"', 'anna;', 'x=y', '\xe4'])
def test_threat_14_a_name_is_never_part_of_an_entrys_name(slapd, driver, name):
    people = driver(slapd.ldap, f'\tuser_dn = "uid={{user}},{PEOPLE}"\n')
    assert people.verify(name).status == 'wrong'
    assert people.find(name).status == 'unknown'


@pytest.mark.parametrize('name', ['a*b', 'a(b)', 'a\\b'])
def test_odd_names_are_found(slapd, driver, name):
    assert driver(slapd.ldap).verify(f'{name}@example.org').status == 'found'


def test_user_dn_needs_no_search(slapd, driver):
    people = driver(slapd.ldap, f'\tuser_dn = "uid={{local}},{PEOPLE}"\n')
    assert people.verify('anna@example.org').status == 'found'
    assert people.verify('anna', 'wrong').status == 'wrong'
    assert people.find('x', 'anna').matched == 1
    people = driver(slapd.ldap, f'\tuser_dn = "uid={{user}},{PEOPLE}"\n'
                    '\tattributes = {"uid=user", "=home=/srv/{user}"}\n')
    assert people.verify('anna').fields == [('user', 'anna'), ('home', '/srv/anna')]
    assert people.verify('nobody').status == 'unknown'


# entries

def test_threat_76_two_entries_are_none(slapd, driver):
    people = driver(slapd.ldap)
    for answer in (people.find('twin@example.org'), people.verify('twin@example.org')):
        assert answer.status == 'bad entry' and 'two entries' in answer.why
    assert people.verify('twin').status == 'found'


def test_the_best_spelling_counts(slapd, driver):
    people = driver(slapd.ldap, '\tattributes = {"uid=user"}\n')
    for names, matched, user in ((('anna', 'bert'), 0, 'anna'), (('x', 'bert', 'anna'), 1, 'bert'),
                                 (('x', 'y', 'z', 'q', 'r', 'anna'), 5, 'anna')):
        found = people.find(*names)
        assert (found.status, found.matched, found['user']) == ('found', matched, user)
    assert people.find('x', 'y').status == 'unknown'


def test_attributes(slapd, driver):
    people = driver(slapd.ldap, '\tattributes = {"mail=user", "homeDirectory=home", '
                    '"employeeNumber=quota_octets={value}M", "=maildir=/srv/{domain}/{local}", '
                    '"description=nologin"}\n')
    assert people.find('money@example.org').fields == [
        ('user', 'money@example.org'), ('home', 'rich/Maildir'), ('quota_octets', '7M'),
        ('maildir', '/srv/example.org/money')]
    assert people.verify('money@example.org')['user'] == 'money@example.org'
    several = driver(slapd.ldap, '\tattributes = {"carLicense=home"}\n').find('manyhomes')
    assert several.status == 'bad entry' and 'carLicense has 2 values' in several.why
    alias = driver(slapd.ldap, '\tattributes = {"carLicense=alias"}\n').find('manyhomes')
    assert alias.fields == [('alias', 'one'), ('alias', 'two')]


def test_recipient_filter(slapd, driver):
    people = driver(slapd.ldap, f'\tfilter = "(uid={{user}})"\n'
                    '\trecipient_filter = "(mail={user})"\n\tattributes = {"uid=user"}\n')
    assert people.find('money@example.org').status == 'unknown'
    assert people.find('money@example.org', purpose='recipient')['user'] == 'rich'
    assert people.verify('money@example.org').status == 'unknown'


# groups

@pytest.mark.parametrize('group, attribute', [
    ('mail', 'member'), ('unique', 'uniqueMember'), ('mail', 'memberOf'),
    ('mail', 'memberOf:distinguishedNameMatch:')])
def test_only_members(slapd, driver, group, attribute):
    for base in ('', f'\tuser_dn = "uid={{user}},{PEOPLE}"\n'):
        people = driver(slapd.ldap, f'\tgroup = "cn={group},{GROUPS}"\n'
                        f'\tgroup_attribute = "{attribute}"\n{base}')
        assert people.verify('anna').status == 'found'
        assert people.verify('anna', 'wrong').status == 'wrong'
        assert people.verify('bert').status == 'unknown'
        assert people.find('anna').status == 'found'
        assert people.find('bert').status == 'unknown'


def test_a_group_that_is_not_there(slapd, driver):
    answer = driver(slapd.ldap, f'\tgroup = "cn=gone,{GROUPS}"\n').find('anna')
    assert answer.status == 'down' and 'group' in answer.why


# accounts that may not log in

def test_password_policy(own_slapd, driver):
    server = own_slapd(people=('reset', 'old', 'locked', 'fine'))
    server.modify(f'uid=reset,{PEOPLE}', 'add: pwdReset\npwdReset: TRUE')
    server.modify(f'cn=policy,{BASE}', 'add: pwdMaxAge\npwdMaxAge: 86400\n-\n'
                  'add: pwdLockout\npwdLockout: TRUE\n-\nadd: pwdMaxFailure\npwdMaxFailure: 2')
    server.modify(f'uid=old,{PEOPLE}', 'replace: pwdChangedTime\n'
                  'pwdChangedTime: 20200101000000Z')
    people = driver(server.ldap)
    assert people.verify('fine').status == 'found'
    assert people.verify('reset').status == 'refused'
    assert people.verify('old').status == 'refused'
    assert people.verify('reset', 'wrong').status == 'wrong'
    assert people.verify('old', 'wrong').status == 'wrong'
    for _ in range(3):
        assert people.verify('locked', 'wrong').status == 'wrong'
    assert people.verify('locked').status == 'wrong'  # nobody looks at its password any more
    assert people.verify('fine').status == 'found'


# connections

def test_encrypted(slapd, driver):
    for text in (f'\tca_file = "{slapd.ca}"\n', '\tinsecure_certificates = yes\n'):
        assert driver(slapd.ldaps, text).verify('anna').status == 'found'
        assert driver(slapd.ldap, text + '\tstarttls = yes\n').verify('anna').status == 'found'
        assert driver(slapd.ldapi, text + '\tstarttls = yes\n').verify('anna').status == 'found'


def test_a_certificate_of_another_authority(slapd, driver, tmp_path):
    other, _ = directory.certificate(tmp_path)
    for server, text in ((slapd.ldaps, ''), (slapd.ldap, '\tstarttls = yes\n')):
        for ca in ('', f'\tca_file = "{other}"\n'):
            answer = driver(server, text + ca).verify('anna')
            assert answer.status == 'down' and 'TLS' in answer.why, answer


def test_a_certificate_of_another_name(own_slapd, driver):
    server = own_slapd(name='ldap.elsewhere.example')
    for address, text in ((server.ldaps, ''), (server.ldap, '\tstarttls = yes\n')):
        answer = driver(address, text + f'\tca_file = "{server.ca}"\n').verify('anna')
        assert answer.status == 'down' and 'TLS' in answer.why, answer


def test_external(slapd, driver):
    """As the user of the process, by the socket: who may read hashes here."""
    people = driver(slapd.ldapi, '\tbind_mechanism = external\n\tverify = hash\n')
    assert people.find('anna')['password'] == '{PLAIN}' + PASSWORD


def test_own_login_that_is_refused(slapd, driver, tmp_path):
    (tmp_path / 'wrong').write_text('wrong')
    answer = driver(slapd.ldap, f'\tbind_dn = "{READER}"\n'
                    f'\tbind_password_file = "{tmp_path}/wrong"\n').find('anna')
    assert answer.status == 'down' and 'bind_password_file' in answer.why
    assert 'wrong' not in answer.why


def test_base_that_is_not_there(slapd, driver):
    answer = driver(slapd.ldap, f'\tbase = "ou=gone,{BASE}"\n').verify('anna')
    assert answer.status == 'down' and 'base' in answer.why


def test_first_server_dead(slapd, driver):
    """Nobody listens; somebody listens and says nothing; nobody is there."""
    quiet = Relay(slapd.port)
    quiet.silent = True
    dead = f'ldap://127.0.0.1:{post.dead_port()}'
    try:
        people = driver([dead, quiet.ldap, slapd.ldap])
        assert people.verify('anna', ms=6000).status == 'found'
        taken = quiet.taken
        assert people.verify('anna').status == 'found'  # by the connections that are there
        assert quiet.taken == taken
        people = driver([dead, slapd.ldap])
        assert people.verify('anna').status == 'found'
    finally:
        quiet.stop()


def test_down_and_back(own_slapd, driver):
    server = own_slapd()
    people = driver(server.ldap)
    assert people.verify('anna').status == 'found'
    server.kill()
    answer = people.verify('anna')
    assert answer.status == 'down' and server.ldap in answer.why
    assert people.find('nobody').status == 'down'
    server.start()
    post.wait_until(lambda: people.verify('anna').status == 'found')
    server.kill()
    server.start()  # the connections are stale, the server is there
    assert people.verify('anna').status == 'found'
    assert people.find('anna').status == 'found'


def test_closed_connections_are_made_again(slapd, driver):
    """As servers do with idle ones."""
    relay = Relay(slapd.port)
    try:
        people = driver(relay.ldap)
        for _ in range(5):
            assert people.verify('anna').status == 'found'
            relay.cut()
        assert people.find('nobody').status == 'unknown'
    finally:
        relay.stop()


def test_connections_are_kept(slapd, driver):
    relay = Relay(slapd.port)
    try:
        people = driver(relay.ldap)
        for password in (PASSWORD, 'wrong') * 5:
            people.verify('anna', password)
            people.verify('nobody', password)
        assert relay.taken == 2
    finally:
        relay.stop()


def test_a_login_leaves_searches_alone(slapd, driver, tmp_path):
    """The connection for searches is never that of a user who logged in: anna may not see."""
    people = driver(slapd.ldap, reader(tmp_path) + f'\tbase = "{BASE}"\n')
    assert people.verify('anna').status == 'found'
    assert people.find('plain').status == 'found'
    assert people.verify('plain', 'hidden').status == 'found'
    assert people.verify('bert', 'wrong').status == 'wrong'
    assert people.find('plain').status == 'found'


@pytest.mark.parametrize('way', ['ldap', 'ldaps', 'ldapi', 'starttls'])
def test_stopped(own_slapd, driver, way):
    """It takes connections and answers nothing: for as long as the question may take, no longer,
    and then at once."""
    server = own_slapd()
    text = f'\tca_file = "{server.ca}"\n' + ('\tstarttls = yes\n' if way == 'starttls' else '')
    people = driver(server.ldap if way == 'starttls' else getattr(server, way), text)
    assert people.verify('anna').status == 'found'
    server.pause()
    answer = people.verify('anna', ms=1500)
    assert answer.status == 'down' and answer.ms < HANGS_MS
    post.wait_until(lambda: people.verify('anna', ms=1500).ms < 500)
    server.go_on()
    post.wait_until(lambda: people.verify('anna').status == 'found')


@pytest.mark.parametrize('way', ['ldap', 'ldaps', 'starttls'])
def test_stopped_from_the_beginning(own_slapd, driver, way):
    server = own_slapd()
    server.pause()
    text = f'\tca_file = "{server.ca}"\n' + ('\tstarttls = yes\n' if way == 'starttls' else '')
    people = driver(server.ldaps if way == 'ldaps' else server.ldap, text)
    answer = people.verify('anna', ms=1000)
    assert answer.status == 'down' and answer.ms < HANGS_MS
    server.go_on()


def test_slow(slapd, driver):
    relay = Relay(slapd.port, delay=0.1)
    try:
        people = driver(relay.ldap)
        assert people.verify('anna').status == 'found'
        relay.delay = 3
        answer = people.verify('anna', ms=1000)
        assert answer.status == 'down' and answer.ms < HANGS_MS
    finally:
        relay.stop()


def test_who_exists_cannot_be_told_by_turns(slapd, driver):
    """Both cost as many questions to the server, one after another."""
    relay = Relay(slapd.port)
    try:
        people = driver(relay.ldap)
        people.verify('anna')
        turns = []
        for name in ('anna', 'nobody', 'bert', 'somebody', '*'):
            before = relay.questions
            people.verify(name, 'wrong')
            turns.append(relay.questions - before)
        assert turns == [2] * 5
    finally:
        relay.stop()


@pytest.mark.parametrize('referrals', ['no', 'yes'])
def test_referrals(own_slapd, driver, referrals):
    """Half of the people are at another server, to which an entry below the base refers."""
    other = own_slapd(people=('far',))
    server = own_slapd(people=('near',))
    server.add(f'dn: ou=far,{PEOPLE}\nobjectClass: referral\n'
                       'objectClass: extensibleObject\nou: far\n'
                       f'ref: {other.ldap}/{PEOPLE}\n')
    people = driver(server.ldap, f'\treferrals = {referrals}\n\tattributes = {{"uid=user"}}\n')
    assert people.verify('near').status == 'found'
    assert people.find('nobody').status == 'unknown'
    found = people.find('far')
    if referrals == 'no':
        assert found.status == 'unknown'
    else:
        assert (found.status, found['user']) == ('found', 'far')
        assert people.verify('far').status == 'wrong'  # its password goes nowhere else


def test_a_server_that_only_refers(own_slapd, driver):
    """It does not have the entry, and does not say that there is none."""
    server = own_slapd()
    server.add(f'dn: ou=moved,{BASE}\nobjectClass: referral\n'
                       'objectClass: extensibleObject\nou: moved\n'
                       f'ref: ldap://127.0.0.1:1/{PEOPLE}\n')
    assert driver(server.ldap, f'\tbase = "ou=moved,{BASE}"\n').find('anna').status == 'down'


# what is wrong is said at the start

@pytest.mark.parametrize('text, word', [
    ('', 'base'),
    ('base = "dc=x"\nuser_dn = "uid={user},dc=x"', 'either'),
    ('base = "dc=x"\nfilter = "uid={user}"', 'parentheses'),
    ('base = "dc=x"\nfilter = "(uid={user}))("', 'parentheses'),
    ('base = "dc=x"\nfilter = "(uid=anna)"', 'same entry'),
    ('base = "dc=x"\nrecipient_filter = "(mail={mail})"', '{mail}'),
    ('user_dn = "uid={name},dc=x"', '{name}'),
    ('user_dn = "cn=all,dc=x"', 'same entry'),
    ('base = "dc=x"\nbind_dn = "cn=a"', 'bind_password_file'),
    ('base = "dc=x"\nbind_mechanism = external', 'ldapi'),
    ('base = "dc=x"\nattributes = {"homeDirectory"}', 'homeDirectory'),
    ('base = "dc=x"\nattributes = {"=home"}', '=home'),
    ('base = "dc=x"\nattributes = {"a)(b=home"}', 'a)(b=home'),
    ('base = "dc=x"\nattributes = {"a=home={x}"}', '{x}'),
    ('base = "dc=x"\nattributes = {"userPassword=password"}', 'verify = hash'),
    ('base = "dc=x"\ngroup = "cn=x"\ngroup_attribute = "(x"', 'group_attribute'),
    ('base = "dc=x"\nstarttls = yes\nca_file = "/nowhere/ca"', '/nowhere/ca'),
    ('base = "dc=x"\nstarttls = yes\nca_file = "/etc/hostname"', 'ca_file'),
], ids=lambda text: text.split('\n')[-1])
def test_settings_that_cannot_be(driver, text, word):
    text = '\n'.join('\t' + line for line in text.split('\n'))
    assert word in driver('ldap://127.0.0.1:1', text, search=False).refusal()


@pytest.mark.parametrize('address', ['127.0.0.1', 'http://x', 'ldap://', 'ldap:///dc=x',
                                     'ldap://x/dc=y', 'ldapi://relative', 'ldap://x y',
                                     'ldaps://x:99999'])
def test_addresses_that_are_none(driver, address):
    assert 'address' in driver(address, f'\tbase = "{BASE}"\n').refusal()


def test_the_environment_changes_nothing(slapd, driver, monkeypatch):
    monkeypatch.setenv('LDAPTLS_REQCERT', 'never')
    monkeypatch.setenv('LDAPURI', 'ldap://127.0.0.1:1')
    monkeypatch.setenv('LDAPTLS_CACERT', str(slapd.ca))
    assert driver(slapd.ldaps).verify('anna').status == 'down'
    assert driver(slapd.ldap).verify('anna').status == 'found'


# what the manual says about well-known directories

def manual(name, changes):
    """The settings of a section in valija.conf(5), with what is this machine's instead of what is
    there."""
    text = (post.ROOT / 'man/valija.conf.5').read_text().replace('\\(dq', '"').replace('\\e', '\\')
    found = re.search(rf'^database "{name}" {{\n\tdriver = ldap\n(.*?)^}}$', text, re.M | re.S)
    lines = found[1].replace('dc=example,dc=org', BASE).split('\n')
    kept = [line for line in lines if line.split(' =')[0].strip() not in
            ('driver', 'servers', 'domains', *changes)]
    return '\n'.join([*kept, *(f'\t{key} = "{value}"' for key, value in changes.items() if value)])


def reader_of(tmp_path, dn=READER):
    (tmp_path / 'reader').write_text(READER_PASSWORD)
    return {'bind_dn': dn, 'bind_password_file': tmp_path / 'reader'}


def test_manual_openldap(slapd, driver, tmp_path):
    people = driver(slapd.ldap, manual('people', reader_of(tmp_path)))
    for name in ('rich', 'money@example.org'):
        assert people.verify(name).fields == [('user', 'rich')]
    assert people.verify('twin@example.org').status == 'bad entry'


def test_manual_lldap(slapd, driver, tmp_path):
    people = driver(slapd.ldap, manual('lldap', reader_of(tmp_path)))
    for name in ('anna', 'Anna@example.org'):
        assert people.verify(name).fields == [('user', 'anna')]
    assert people.verify('bert').status == 'unknown'  # no member of the group
    assert people.verify('anna', 'wrong').status == 'wrong'


def account(name, control):
    return (f'dn: cn={name} A,{PEOPLE}\nobjectClass: user\ncn: {name} A\nsn: A\n'
            f'sAMAccountName: {name}\nsAMAccountType: 805306368\nmail: {name}.a@example.org\n'
            f'userPrincipalName: {name}@example.org\nuserAccountControl: {control}\n'
            f'userPassword: {PASSWORD}\n')


def test_manual_active_directory(own_slapd, driver, tmp_path):
    """slapd knows the rule for bits, but not the one for members of groups in groups."""
    server = own_slapd(first=directory.ACTIVE_DIRECTORY, data='\n'.join((
        account('carl', 512), account('dora', 514), account('emil', 66048),
        f'dn: cn=mail,{GROUPS}\nobjectClass: groupOfNames\ncn: mail\n'
        f'member: cn=carl A,{PEOPLE}\nmember: cn=dora A,{PEOPLE}\n')))
    text = manual('ad', {**reader_of(tmp_path), 'group_attribute': 'memberOf'})
    people = driver(server.ldap, text)
    for name in ('carl', 'Carl@example.org', 'carl.a@example.org'):
        assert people.verify(name).fields == [('user', 'carl')], name
    assert people.find('x', 'carl.a@example.org', purpose='recipient')['user'] == 'carl'
    assert people.verify('carl', 'wrong').status == 'wrong'
    assert people.verify('dora').status == 'unknown'  # disabled
    assert people.verify('emil').status == 'unknown'  # no member
    people = driver(server.ldap, manual('ad', {**reader_of(tmp_path), 'group': '',
                                               'group_attribute': ''}))
    assert people.verify('emil').status == 'found'


# the whole server

@pytest.fixture
def people_office(make_office, own_slapd, request):
    """(office, slapd): demo is in the users file, anna and bert in the directory."""
    server = own_slapd()
    office = make_office(start=False)
    way = getattr(request, 'param', 'ldap')
    address = server.ldap if way == 'starttls' else getattr(server, way)
    with office.conf.open('a') as conf:
        conf.write(section(address, f'\tbase = "{PEOPLE}"\n\ttimeout = 2s\n\tcache_time = 0\n'
                                    f'\tca_file = "{server.ca}"\n\tstarttls = '
                                    f'{"yes" if way == "starttls" else "no"}\n'))
    return office.start(), server


def login(connect, office, name, password=PASSWORD):
    client = connect(office)
    client.ok(f'USER {name}')
    reply = client.ask(f'PASS {password}')
    client.close()
    return reply


def is_back(connect, office, name):
    time.sleep(0.1)  # failures of one address are counted
    return login(connect, office, name).startswith('+OK')


@pytest.mark.release
@pytest.mark.parametrize('people_office', ['ldap', 'ldaps', 'starttls', 'ldapi'], indirect=True)
def test_server_logins_and_recipients(people_office, connect):
    office, _ = people_office
    with Lmtp(office.lmtp) as lmtp:
        lmtp.ask('MAIL FROM:<>')
        assert lmtp.ask('RCPT TO:<anna>').startswith('250')
        assert lmtp.ask('RCPT TO:<nobody>').startswith('550')
        assert lmtp.ask('RCPT TO:<demo>').startswith('250')
        assert lmtp.ask('DATA').startswith('354')
        assert lmtp.ask('Subject: x\r\n\r\nx\r\n.').startswith('250')
    for _ in range(2):
        client = connect(office)
        client.ok('USER anna')
        client.ok(f'PASS {PASSWORD}')
        assert client.ok('STAT').startswith('+OK 1 ')
        client.ok('QUIT')
    for name, password in (('anna', 'wrong'), ('nobody', PASSWORD), ('*', PASSWORD),
                           ('demo', 'wrong'), ('nobody', 'wrong')):
        assert login(connect, office, name, password).startswith('-ERR [AUTH]'), name
    assert login(connect, office, 'demo').startswith('+OK')


@pytest.mark.release
@pytest.mark.parametrize('way', ['killed', 'stopped'])
def test_server_without_its_directory(people_office, connect, way):
    """Users of the directory get a temporary failure for as long as it lasts, others nothing."""
    office, server = people_office
    office.allow('database people cannot be asked', 'database people: it cannot be asked')
    assert login(connect, office, 'anna').startswith('+OK')
    server.kill() if way == 'killed' else server.pause()
    for _ in range(2):
        assert login(connect, office, 'bert').startswith('-ERR [SYS/TEMP]')
        assert login(connect, office, 'nobody').startswith('-ERR [SYS/TEMP]')
        begin = time.monotonic()
        assert login(connect, office, 'demo').startswith('+OK')
        assert time.monotonic() - begin < 2
    with Lmtp(office.lmtp) as lmtp:
        lmtp.ask('MAIL FROM:<>')
        assert lmtp.ask('RCPT TO:<anna>').startswith('451')
        assert lmtp.ask('RCPT TO:<demo>').startswith('250')
    server.start() if way == 'killed' else server.go_on()
    post.wait_until(lambda: is_back(connect, office, 'bert'), 40)
    assert login(connect, office, 'nobody').startswith('-ERR [AUTH]')


def test_server_asks_at_a_lower_priority(people_office):
    """What strangers ask does not hold up the loops of other processes."""
    office, _ = people_office

    def nice(word):
        pids = [pid for pid in office.children()
                if word in pathlib.Path(f'/proc/{pid}/comm').read_text()]
        assert pids, word
        return [int(pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[16])
                for pid in pids]
    assert min(nice('lookup')) > max(nice('auth') + nice('front'))


def test_server_starts_without_its_directory(make_office, own_slapd, connect):
    server = own_slapd()
    server.kill()
    office = make_office(start=False)
    office.allow('database people cannot be asked', 'database people: it cannot be asked')
    with office.conf.open('a') as conf:
        conf.write(section(server.ldap, f'\tbase = "{PEOPLE}"\n\ttimeout = 2s\n'))
    office.start()
    assert login(connect, office, 'demo').startswith('+OK')
    assert login(connect, office, 'anna').startswith('-ERR [SYS/TEMP]')
    server.start()
    post.wait_until(lambda: is_back(connect, office, 'anna'), 40)


@pytest.mark.parametrize('form', ['plain', 'crypt'])
def test_server_judges_hashes(make_office, own_slapd, connect, tmp_path, form):
    password = right = 'a right one'
    if form == 'crypt':
        password = '{CRYPT}' + subprocess.run(['openssl', 'passwd', '-6', right], text=True,
                                              capture_output=True, check=True).stdout.strip()
    server = own_slapd(data=person('hashed', password=password))
    office = make_office(start=False)
    with office.conf.open('a') as conf:
        conf.write(section(server.ldap, reader(tmp_path) +
                           f'\tbase = "{PEOPLE}"\n\tverify = hash\n'))
    (tmp_path / 'reader').chmod(0o600)
    office.start()
    assert login(connect, office, 'hashed', 'wrong').startswith('-ERR [AUTH]')
    assert login(connect, office, 'hashed', right).startswith('+OK')
