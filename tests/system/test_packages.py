"""The Debian packages on a whole system: installed, upgraded, removed, purged, installed again. A
part of its own, `./dev test package`: it builds them first."""
import pathlib
import shutil

import container
import office as post
import pytest
from office import PASSWORD, wait_until
from pop import client_context
from test_unit_boots import UNIT, PopInside, check_journal

pytestmark = pytest.mark.packages
NAMES = ('valijad', 'valija', 'libpop3-0')


@pytest.fixture
def system():
    folder = post.build_dir() / 'packages'
    packages = [path for name in NAMES for path in folder.glob(f'{name}_*.deb')]
    assert len(packages) == len(NAMES), f'{folder}: ./dev package makes them'
    programs = [post.program(name) for name in ('valijad', 'valija', 'valija-https')]
    try:
        opened = container.Container(programs)
    except container.Impossible as reason:
        pytest.skip(f'no container on this machine: {reason}')
    with opened:
        (opened.root / 'packages').mkdir()
        for path in packages:
            shutil.copy(path, opened.root / 'packages')
        (opened.root / 'etc/hostname').write_text('mail.example.org\n')
        try:
            opened.start()
        except container.Impossible as reason:
            pytest.skip(f'no container on this machine: {reason}')
        yield opened


def install(system):
    """The packages, and the server that they start."""
    said = system.run('sh', '-c', 'DEBIAN_FRONTEND=noninteractive dpkg -i /packages/*.deb').stdout
    try:
        wait_until(lambda: state(system) == 'active', 30)
    except AssertionError:
        raise AssertionError(said + system.journal('-u', UNIT)) from None


def state(system):
    return system.properties(UNIT, 'ActiveState')['ActiveState']


def add_anna(system):
    system.run('sh', '-c', f'echo "{PASSWORD}" | valija user -c /etc/valija/valija.conf add anna')


def ids(system):
    """What anna sees: the first login waits until the server has read its users."""
    def read():
        context = client_context(pathlib.Path(system.root, 'etc/valija/tls/cert.pem'))
        with PopInside(system, ('127.0.0.1', 995), context) as client:
            client.ask('USER anna')
            if not client.ask(f'PASS {PASSWORD}').startswith('+OK'):
                return None
            return list(client.uidl().values()) + ['']
    return wait_until(read, 30)[:-1]


def test_a_package_from_the_first_day_to_the_last(system):
    mail = pathlib.Path(system.root, 'var/mail/valija')
    conf = pathlib.Path(system.root, 'etc/valija/valija.conf')

    install(system)
    assert system.run('systemctl', 'is-enabled', UNIT).stdout.strip() == 'enabled'
    assert not list(pathlib.Path(system.root, 'etc/systemd/user').rglob('valija*'))  # a user's own
    add_anna(system)
    assert ids(system) == []
    system.run('sh', '-c', 'printf "Subject: hello\\n\\nfirst\\n" | '
               'valija deliver -c /etc/valija/valija.conf anna')
    known = ids(system)
    assert len(known) == 1
    check_journal(system)

    # an upgrade changes nothing that is somebody's
    conf.write_text(conf.read_text() + '\n# by hand\n')
    before = conf.read_bytes()
    install(system)
    assert conf.read_bytes() == before and ids(system) == known

    system.run('dpkg', '-r', 'valijad')
    assert state(system) != 'active' and conf.read_bytes() == before
    assert list(mail.rglob('*.*'))

    system.run('dpkg', '-P', 'valijad')
    assert not conf.parent.exists() and list((mail / 'anna').rglob('*S=*'))

    # who comes back finds the mail
    install(system)
    add_anna(system)
    assert ids(system) == known
