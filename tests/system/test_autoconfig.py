"""valija autoconfig: what mail programs set themselves up with, from valija.conf."""
import base64
import hashlib
import json
import pathlib
import re
import subprocess
import xml.etree.ElementTree as etree

import pytest

SCHEMA = pathlib.Path(__file__).with_name('autoconfig.xsd')
EX_USAGE, EX_CANTCREAT, EX_CONFIG = 64, 73, 78
SERVER = {'hostname': 'mail.example.org', 'port': '995', 'socketType': 'SSL',
          'authentication': 'password-cleartext', 'username': '%EMAILLOCALPART%'}


@pytest.fixture
def site(make_office):
    """An office for other machines, that is not started."""
    office = make_office(start=False, users=('anna', 'bert'))
    office.set('hostname', 'mail.example.org')
    listen(office)
    return office


def listen(office, pop3='"[::]:110"', pop3s='"[::]:995"'):
    office.set('pop3.listen', f'{{{pop3}}}')
    office.set('pop3s.listen', f'{{{pop3s}}}')


def autoconfig(office, *args, domain='example.org', check=True):
    return office.valija('autoconfig', domain, '-c', office.conf, *args, check=check)


def servers(office, *args):
    """(type, values) of each server of the XML, which is as the schema says."""
    text = autoconfig(office, '--only', 'xml', *args).stdout
    valid(text, office.scratch / 'seen.xml')
    provider = etree.fromstring(text).find('emailProvider')
    assert provider.get('id') == provider.findtext('domain') == 'example.org'
    return [(server.get('type'), {value.tag: value.text for value in server})
            for server in provider if server.tag.endswith('Server')]


def valid(text, file):
    file.write_text(text)
    done = subprocess.run(['xmllint', '--noout', '--nonet', '--schema', SCHEMA, file],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(autouse=True)
def xmllint(tool):
    tool('xmllint')


def test_the_schema_refuses_what_is_wrong(site):
    text = autoconfig(site, '--only', 'xml').stdout
    for old, new in (('SSL', 'plain'), ('995', '0'), ('"1.1"', '"1.0"'), ('type="pop3"', ''),
                     ('<port>995</port>', ''), ('%EMAILLOCALPART%', 'anna'), ('</domain>', '')):
        assert old in text
        with pytest.raises(AssertionError):
            valid(text.replace(old, new, 1), site.scratch / 'wrong.xml')


def test_values_are_those_of_the_configuration(site):
    assert servers(site) == [
        ('pop3', SERVER), ('pop3', {**SERVER, 'port': '110', 'socketType': 'STARTTLS'})]
    listen(site, '"[::]:1110"', '"[::]:1995", "127.0.0.1:995", "192.0.2.1:1995"')
    assert servers(site, '--host', 'pop.example.org') == [
        ('pop3', {**SERVER, 'hostname': 'pop.example.org', 'port': '1995'}),
        ('pop3', {**SERVER, 'hostname': 'pop.example.org', 'port': '1110',
                  'socketType': 'STARTTLS'})]


@pytest.mark.parametrize('given, port, kind', [('smtp.example.org', '465', 'SSL'),
                                               ('smtp.example.org:587', '587', 'STARTTLS'),
                                               ('smtp.example.org:2465', '2465', 'SSL')])
def test_where_mail_is_sent(site, given, port, kind):
    found = [values for name, values in servers(site, '--submission', given) if name == 'smtp']
    assert found == [{**SERVER, 'hostname': 'smtp.example.org', 'port': port, 'socketType': kind}]


def form(office, *args):
    return servers(office, *args)[0][1]['username']


def test_what_people_log_in_with(site):
    assert form(site) == '%EMAILLOCALPART%'
    assert form(site, '--username', 'address') == '%EMAILADDRESS%'
    site.set('login.realm', 'EXAMPLE.org')
    assert form(site) == '%EMAILADDRESS%'
    assert form(site, '--username', 'local') == '%EMAILLOCALPART%'
    site.set('login.realm', 'other.org')
    assert form(site) == '%EMAILLOCALPART%'
    with site.conf.open('a') as file:
        file.write('\ndatabase "x" {\n\tdriver = passwd-file\n\tfile = "users"\n'
                   '\tdomains = {"a.test", "example.org"}\n}\n')
    assert form(site) == '%EMAILADDRESS%'


@pytest.mark.parametrize('name, whole', [('carla@example.org', True), ('carla@EXAMPLE.ORG', True),
                                         ('carla@b.example.org', False),
                                         ('carla@example.orgs', False)])
def test_a_user_with_the_domain_shows_the_form(site, name, whole):
    with (site.dir / 'users').open('a') as file:
        file.write(f'{name}:x\n')
    assert form(site) == ('%EMAILADDRESS%' if whole else '%EMAILLOCALPART%')


def test_json_and_zone_fit(site):
    args = ('--submission', 'mail.example.org')
    text = autoconfig(site, '--only', 'json', *args).stdout
    assert json.loads(text) == {
        'protocols': {'pop3': {'host': 'mail.example.org'},
                      'submit': {'host': 'mail.example.org'}},
        'authentication': {'password': True},
        'info': {'provider': {'name': 'example.org', 'shortName': 'example.org'}}}
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    zone = [line for line in autoconfig(site, '--only', 'dns', *args).stdout.splitlines()
            if not line.startswith(';')]
    assert zone == [
        '_pop3s._tcp.example.org. 3600 IN SRV 0 1 995 mail.example.org.',
        '_pop3._tcp.example.org. 3600 IN SRV 10 1 110 mail.example.org.',
        '_submissions._tcp.example.org. 3600 IN SRV 0 1 465 mail.example.org.',
        f'_ua-auto-config.example.org. 3600 IN TXT "v=UAAC1; a=sha256; d={digest}"']


@pytest.mark.parametrize('pop3s, submission, there', [
    ('"[::]:995"', None, {'pop3'}), ('"[::]:1995"', None, set()),
    ('"[::]:1995"', 'smtp.example.org', {'submit'}),
    ('"[::]:995"', 'smtp.example.org:587', {'pop3'})])
def test_json_has_usual_ports_alone(site, pop3s, submission, there):
    listen(site, pop3s=pop3s)
    args = ('--submission', submission) if submission else ()
    text = autoconfig(site, '--only', 'json', *args).stdout
    assert set(json.loads(text)['protocols']) == there


def test_to_a_folder(site):
    folder = site.dir / 'www' / 'autoconfig'
    said = autoconfig(site, '--to', folder).stdout.split()
    assert sorted(said) == sorted(str(path) for path in folder.rglob('*') if path.is_file())
    xml = (folder / 'mail/config-v1.1.xml').read_text()
    assert xml == (folder / '.well-known/autoconfig/mail/config-v1.1.xml').read_text()
    assert xml == autoconfig(site, '--only', 'xml').stdout
    printed = autoconfig(site).stdout
    parts = re.split(r'(?m)^== (\S+) ==\n', printed)[1:]
    assert parts[0::2] == ['mail/config-v1.1.xml', '.well-known/user-agent-configuration.json',
                           'dns.zone']
    for name, text in zip(parts[0::2], parts[1::2]):
        assert (folder / name).read_text().strip() == text.strip()
    assert autoconfig(site, '--to', folder).returncode == 0  # once more, in their place
    assert autoconfig(site, '--to', site.conf, check=False).returncode == EX_CANTCREAT


@pytest.mark.parametrize('args, domain', [
    ((), 'nonsense'), ((), 'a..b'), ((), '<x>.org'), (('--only', 'yaml'), 'example.org'),
    (('--username', 'x'), 'example.org'), (('--host', 'a b'), 'example.org'),
    (('--submission', 'a.org:0'), 'example.org'), (('--submission', 'a"b'), 'example.org'),
    (('--only', 'xml', '--to', 'x'), 'example.org')])
def test_wrong_calls(site, args, domain):
    done = autoconfig(site, *args, domain=domain, check=False)
    assert done.returncode == EX_USAGE and done.stderr and not done.stdout


def test_a_server_that_others_cannot_use(site):
    listen(site, '"127.0.0.1:110"', '"[::1]:995"')
    done = autoconfig(site, check=False)
    assert done.returncode == EX_CONFIG and 'pop3s {' in done.stderr and not done.stdout
    listen(site)
    site.set('hostname', 'mail')
    done = autoconfig(site, check=False)
    assert done.returncode == EX_CONFIG and '--host' in done.stderr
    assert autoconfig(site, '--host', 'mail.example.org').returncode == 0
