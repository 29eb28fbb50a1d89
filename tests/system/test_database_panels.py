"""The sections of dist/databases against tables like those of the panels they are for."""
import re
import shutil

import pytest
from lmtp import Lmtp
from office import ROOT
from test_database_sql import good, login, make_site, rcpt, salted, servers, wrong  # noqa: F401

import databases

PANELS = ('postfixadmin', 'ispmail', 'modoboa', 'mailcow')
# The columns that the sections use, with the panels' names and types. BOOL: what each database has
# for yes and no.
TABLES = {
    'postfixadmin': '''
        CREATE TABLE domain (domain VARCHAR(255) PRIMARY KEY, active BOOL);
        CREATE TABLE mailbox (username VARCHAR(255) PRIMARY KEY, password VARCHAR(255),
            maildir VARCHAR(255), quota BIGINT, local_part VARCHAR(255), domain VARCHAR(255),
            active BOOL);
        CREATE TABLE alias (address VARCHAR(255) PRIMARY KEY, goto TEXT, domain VARCHAR(255),
            active BOOL);
        CREATE TABLE alias_domain (alias_domain VARCHAR(255) PRIMARY KEY,
            target_domain VARCHAR(255), active BOOL);
        INSERT INTO domain VALUES ('example.org', {yes}), ('off.example', {no});
        INSERT INTO mailbox VALUES
            ('anna@example.org', '{secret}', 'example.org/anna/', 50000, 'anna', 'example.org',
                {yes}),
            ('bert@example.org', '{bare}', 'example.org/bert/', 0, 'bert', 'example.org', {yes}),
            ('gone@example.org', '{secret}', 'example.org/gone/', 0, 'gone', 'example.org', {no}),
            ('anna@off.example', '{secret}', 'off.example/anna/', 0, 'anna', 'off.example', {yes});
        INSERT INTO alias VALUES
            ('anna@example.org', 'anna@example.org', 'example.org', {yes}),
            ('sales@example.org', 'anna@example.org,bert@example.org', 'example.org', {yes}),
            ('old@example.org', 'anna@example.org', 'example.org', {no});
        INSERT INTO alias_domain VALUES ('example.com', 'example.org', {yes});''',
    'ispmail': '''
        CREATE TABLE virtual_domains (id INT PRIMARY KEY, name VARCHAR(50));
        CREATE TABLE virtual_users (id INT PRIMARY KEY, domain_id INT, email VARCHAR(100),
            password VARCHAR(150), quota BIGINT);
        CREATE TABLE virtual_aliases (id INT PRIMARY KEY, domain_id INT, source VARCHAR(100),
            destination VARCHAR(100));
        INSERT INTO virtual_domains VALUES (1, 'example.org');
        INSERT INTO virtual_users VALUES (1, 1, 'anna@example.org', '{secret}', 50000),
            (2, 1, 'bert@example.org', '{{CRYPT}}{bare}', 0);
        INSERT INTO virtual_aliases VALUES (1, 1, 'sales@example.org', 'anna@example.org'),
            (2, 1, 'sales@example.org', 'bert@example.org');''',
    'modoboa': '''
        CREATE TABLE core_user (id INT PRIMARY KEY, username VARCHAR(254), email VARCHAR(254),
            password VARCHAR(256), is_active BOOL, last_login TIMESTAMP NULL);
        CREATE TABLE admin_domain (id INT PRIMARY KEY, name VARCHAR(100), enabled BOOL);
        CREATE TABLE admin_mailbox (id INT PRIMARY KEY, address VARCHAR(252), quota INT,
            domain_id INT, user_id INT, is_send_only BOOL);
        CREATE TABLE admin_alias (id INT PRIMARY KEY, address VARCHAR(254), enabled BOOL);
        CREATE TABLE admin_aliasrecipient (id INT PRIMARY KEY, address VARCHAR(254), alias_id INT);
        INSERT INTO admin_domain VALUES (1, 'example.org', {yes}), (2, 'off.example', {no});
        INSERT INTO core_user VALUES
            (1, 'anna@example.org', 'anna@example.org', '{secret}', {yes}, NULL),
            (2, 'bert@example.org', 'bert@example.org', '{{CRYPT}}{bare}', {yes}, NULL),
            (3, 'gone@example.org', 'gone@example.org', '{secret}', {no}, NULL),
            (4, 'send@example.org', 'send@example.org', '{secret}', {yes}, NULL),
            (5, 'anna@off.example', 'anna@off.example', '{secret}', {yes}, NULL);
        INSERT INTO admin_mailbox VALUES (1, 'anna', 1, 1, 1, {no}), (2, 'bert', 0, 1, 2, {no}),
            (3, 'gone', 0, 1, 3, {no}), (4, 'send', 0, 1, 4, {yes}), (5, 'anna', 0, 2, 5, {no});
        INSERT INTO admin_alias VALUES (1, 'sales@example.org', {yes}),
            (2, 'anna@example.org', {yes}),
            (3, 'old@example.org', {no});
        INSERT INTO admin_aliasrecipient VALUES (1, 'anna@example.org', 1),
            (2, 'bert@example.org', 1), (3, 'anna@example.org', 2), (4, 'anna@example.org', 3);''',
    'mailcow': '''
        CREATE TABLE domain (domain VARCHAR(255) PRIMARY KEY, active TINYINT(1));
        CREATE TABLE mailbox (username VARCHAR(255) PRIMARY KEY, password VARCHAR(255),
            mailbox_path_prefix VARCHAR(150), quota BIGINT, local_part VARCHAR(255),
            domain VARCHAR(255), attributes JSON, active TINYINT(1));
        CREATE TABLE alias (id INT PRIMARY KEY, address VARCHAR(255), goto TEXT,
            domain VARCHAR(255), active TINYINT(1));
        CREATE TABLE alias_domain (alias_domain VARCHAR(255) PRIMARY KEY,
            target_domain VARCHAR(255), active TINYINT(1));
        INSERT INTO domain VALUES ('example.org', 1), ('off.example', 0);
        INSERT INTO mailbox VALUES
            ('anna@example.org', '{secret}', '/var/vmail/', 50000, 'anna', 'example.org',
                '{{"pop3_access": "1"}}', 1),
            ('bert@example.org', '{{CRYPT}}{bare}', '/var/vmail/', 0, 'bert', 'example.org',
                '{{}}', 1),
            ('gone@example.org', '{secret}', '/var/vmail/', 0, 'gone', 'example.org', '{{}}', 0),
            ('send@example.org', '{secret}', '/var/vmail/', 0, 'send', 'example.org', '{{}}', 2),
            ('imap@example.org', '{secret}', '/var/vmail/', 0, 'imap', 'example.org',
                '{{"pop3_access": "0"}}', 1),
            ('anna@off.example', '{secret}', '/var/vmail/', 0, 'anna', 'off.example', '{{}}', 1);
        INSERT INTO alias VALUES (1, 'anna@example.org', 'anna@example.org', 'example.org', 1),
            (2, 'sales@example.org', 'anna@example.org,bert@example.org', 'example.org', 1),
            (3, 'old@example.org', 'anna@example.org', 'example.org', 0);
        INSERT INTO alias_domain VALUES ('example.com', 'example.org', 1);''',
}
ON = {'postfixadmin': ('mysql', 'postgresql'), 'ispmail': ('mysql',),
      'modoboa': ('postgresql', 'mysql'), 'mailcow': ('mysql',)}
REFUSED = {'postfixadmin': ('gone@example.org', 'anna@off.example'), 'ispmail': (),
           'modoboa': ('gone@example.org', 'send@example.org', 'anna@off.example'),
           'mailcow': ('gone@example.org', 'send@example.org', 'imap@example.org',
                       'anna@off.example')}
# besides anna and bert: they have mail, though they may not log in
LISTED = {'modoboa': ('send@example.org',),
          'mailcow': ('imap@example.org', 'send@example.org')}
FOLDER = {'postfixadmin': 'example.org/anna'}
# crypt(3) of "sesame", in two parts
BARE = ('$6$saltsalt$g3uPFdehVnKoLXdidvSAg1zlVgYomPr0X/xgdXSBn2LuxZUO'
        'GgYW4IULZkguZ77fzYteIur49AGHmF9iek6Sf1')
DOMAIN_ALIASES = ('postfixadmin', 'mailcow')


def section(office, panel, database, aliases):
    """The panel's section at the end of valija.conf, for this database; with aliases: as it is
    where Valija resolves them."""
    text = (ROOT / 'dist/databases' / f'{panel}.conf').read_text()
    secret = office.dir / 'panel.secret'
    secret.write_text(databases.password_of(database.name))
    secret.chmod(0o600)
    shutil.chown(secret, office.dir.stat().st_uid, office.dir.stat().st_gid)
    if aliases:
        head, tail = text.split('\t# recipient_query', 1)
        text = head + '\trecipient_query' + tail.replace('\t#\t', '\t\t')
    text, count = re.subn(r'(?m)^\tconnect = .*$', f'\tconnect = "{database.connect()}"', text)
    text, also = re.subn(r'(?m)^\tpassword_file = .*$', f'\tpassword_file = "{secret}"', text)
    assert (count, also) == (1, 1)
    with office.conf.open('a') as file:
        file.write('\n' + text)


def tables(database, panel):
    names = re.findall(r'CREATE TABLE (\w+)', TABLES[panel])
    yes, no = ('1', '0') if database.name == 'mysql' else ('true', 'false')
    rows = TABLES[panel].replace('{{', '\1').replace('}}', '\2')
    for word, value in (('{yes}', yes), ('{no}', no), ('{secret}', salted('sesame')),
                        ('{bare}', BARE)):
        rows = rows.replace(word, value)
    database.sql(''.join(f'DROP TABLE IF EXISTS {name} ;' for name in names) +
                 rows.replace('\1', '{').replace('\2', '}'))


@pytest.mark.parametrize('panel, kind', [(panel, kind) for panel in PANELS for kind in ON[panel]])
def test_section(servers, make_office, panel, kind):  # noqa: F811
    """Users log in and get mail in the folder where the panel's other programs look for it."""
    database = servers(kind)
    tables(database, panel)
    office = make_office(start=False)
    section(office, panel, database, aliases=False)
    office.start()
    good(office, 'Anna@example.org')
    good(office, 'bert@example.org')
    wrong(office, 'anna@example.org', 'other')
    for name in (*REFUSED[panel], 'nobody@example.org', 'sales@example.org'):
        wrong(office, name)
    with Lmtp(office.lmtp) as client:
        assert client.deliver(b'A: b\r\n\r\nc\r\n', 'anna@example.org') == ['250 2.1.5 delivered']
    listed = office.valija('user', 'list', '-c', office.conf).stdout.split()
    assert listed == ['demo', 'anna@example.org', 'bert@example.org', *LISTED.get(panel, ())]
    place = office.mail / FOLDER.get(panel, 'example.org/anna/Maildir')
    assert len([*(place / 'new').iterdir()]) == 1
    rcpt(office, 'nobody@example.org', '550 5.1.1')
    rcpt(office, 'anna@off.example', '550 5.1.1')
    if panel == 'modoboa':
        assert database.sql("SELECT count(*) FROM core_user WHERE last_login IS NOT NULL;") == '2'


@pytest.mark.parametrize('panel, kind', [(panel, kind) for panel in PANELS for kind in ON[panel]])
def test_aliases(servers, make_office, panel, kind):  # noqa: F811
    database = servers(kind)
    tables(database, panel)
    office = make_office(start=False)
    section(office, panel, database, aliases=True)
    office.start()
    ok = '250 2.1.5 delivered'
    with Lmtp(office.lmtp) as client:
        assert client.deliver(b'A: b\r\n\r\nc\r\n', 'sales@example.org') == [ok]
        assert client.deliver(b'A: b\r\n\r\nc\r\n', 'anna@example.org') == [ok]
        if panel in DOMAIN_ALIASES:
            assert client.deliver(b'A: b\r\n\r\nc\r\n', 'bert@example.com') == [ok]
    anna = office.mail / FOLDER.get(panel, 'example.org/anna/Maildir')
    bert = office.mail / str(anna.relative_to(office.mail)).replace('anna', 'bert')
    assert len([*(anna / 'new').iterdir()]) == 2
    assert len([*(bert / 'new').iterdir()]) == (2 if panel in DOMAIN_ALIASES else 1)
    for name in ('old@example.org', 'nobody@example.org', 'nobody@example.com'):
        rcpt(office, name, '550 5.1.1')
    assert login(office, 'sales@example.org').startswith('-ERR [AUTH]')
