"""The manual and the file that `valija init` writes know the same settings and defaults."""
import pathlib
import re

MAN = pathlib.Path(__file__).resolve().parents[2] / 'man'


def settings_of_file(text):
    """{(section, name): value} of every setting, in force or shown as a comment."""
    found, section = {}, ''
    for line in text.splitlines():
        if opened := re.fullmatch(r'(\w+)( "\w+")? \{', line):
            section = opened.group(1)
        elif line == '}':
            section = ''
        elif setting := re.fullmatch(r'\t?#?(\w+) = (.*)', line):
            found[section, setting.group(1)] = setting.group(2)
    return found


def settings_of_manual():
    """{(section, name): text} of valija.conf(5)."""
    found, section = {}, None
    name = None
    for line in (MAN / 'valija.conf.5').read_text().splitlines():
        if line == '.Sh DATABASES OF USERS':
            return found
        if line.startswith('.Ss '):
            opened = re.match(r'\.Ss (\w+) .*\{ \}', line)
            section = opened.group(1) if opened else ''
        elif line.startswith('.Sh '):
            section = None
        elif section is not None and (item := re.fullmatch(r'\.It Va (\w+)', line)):
            name = (section, item.group(1))
            found[name] = ''
        elif section is not None and name in found:
            found[name] += line + '\n'
    return found


def test_every_setting_is_in_the_manual(make_office):
    office = make_office(start=False, users=())
    written = settings_of_file((office.dir / 'valija.conf').read_text())
    described = settings_of_manual()
    assert len(written) > 40
    titled = {name for name in described if name[0] == 'listener'}  # written where it is used
    assert set(written) == set(described) - titled


def test_every_setting_of_a_listener_is_in_the_manual():
    table = (MAN.parent / 'src/config/rules.c').read_text()
    rows = set(re.findall(r'^\t\{"(\w+)", RULE_', table, re.M))
    assert len(rows) >= 5
    assert {name for section, name in settings_of_manual() if section == 'listener'} == rows


def test_every_setting_of_a_database_is_in_the_manual():
    table = (MAN.parent / 'src/config/database.c').read_text()
    rows = set(re.findall(r'\{\.name = "(\w+)"', table)) | {'driver', 'for'}
    text = (MAN / 'valija.conf.5').read_text().partition('.Sh DATABASES OF USERS')[2]
    items = re.findall(r'^\.It Va (.*)$', text.partition('\n.Sh ')[0], re.M)
    assert len(rows) > 20
    assert {name for item in items for name in re.findall(r'\w+', item)} - {'Va'} == rows


def test_every_setting_of_a_remote_is_in_the_manual():
    table = (MAN.parent / 'src/config/remote.c').read_text()
    rows = set(re.findall(r'\[KEY_\w+\] =\s+\{"(\w+)"', table))
    text = (MAN / 'valija.conf.5').read_text().partition('.Sh OTHER POP3 SERVERS')[2]
    items = re.findall(r'^\.It Va (.*)$', text.partition('\n.Sh ')[0], re.M)
    assert {'server', 'credentials'} < rows
    assert {name for item in items for name in re.findall(r'\w+', item)} - {'Va'} == rows


def test_the_manual_names_the_defaults(make_office):
    office = make_office(start=False, users=())
    made = office.dir / 'fresh'
    office.valija('init', made)
    written = settings_of_file((made / 'valija.conf').read_text())
    described = settings_of_manual()
    for name, value in written.items():
        plain = value.strip('"')
        if name[1] in ('hostname', 'listen', 'mechanisms', 'certificate', 'key'):
            continue
        if plain in ('', '{}'):
            continue
        text = described[name].replace('\\(dq', '"')
        assert re.search(rf'(?<![\w"])"?{re.escape(plain)}"?(?!\w)', text), name


def test_every_command_has_a_page(make_office):
    office = make_office(start=False, users=())
    usage = office.valija('--help').stdout
    commands = re.findall(r'^  ([\w-]+)  ', usage, re.M)
    assert {'init', 'user', 'deliver', 'fetch', 'log-level'} <= set(commands)
    pages = {name for page in MAN.glob('valija-*.1')
             for name in re.findall(r'^\.Nm valija-([\w-]+)( ,)?$',
                                    page.read_text().partition('.Nd ')[0], re.M)}
    for command in commands:
        assert command in {name for name, _ in pages}, command
