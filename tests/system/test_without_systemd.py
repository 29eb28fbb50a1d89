"""The script of System V in dist/, and what the image of dist/Containerfile does: both start a
server as they stand."""
import os
import pathlib
import re
import shutil
import subprocess

import container
import office as post
import pytest
from office import PASSWORD, wait_until
from own_network import own_network
from pop import Pop, client_context

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT, IMAGE = ROOT / 'dist/sysv/valijad', ROOT / 'dist/Containerfile'
LOOKUPS = ('passwd-file', 'sqlite', 'postgresql', 'mysql', 'ldap', 'http')
PROGRAMS = ('valijad', 'valija', 'valija-https', 'valija-upload',
            *(f'valija-lookup-{name}' for name in LOOKUPS))


def test_the_script_of_system_v(make_office):
    office = make_office(start=False)
    values = {**post.environment(), 'VALIJAD': str(post.program('valijad')),
              'VALIJA_CONF': str(office.conf), 'VALIJAD_PID': str(office.scratch / 'pid'),
              'VALIJA_RUN': str(office.scratch / 'run'), 'VALIJAD_LOG': str(office.scratch / 'log')}

    def call(word):
        done = subprocess.run(['sh', SCRIPT, word], env=values, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60)
        return done.returncode

    def log(word):
        return (office.scratch / 'log').read_text().count(word)
    assert call('status') == 3
    try:
        assert call('start') == 0
        wait_until(lambda: log('ready: '))
        pid = int((office.scratch / 'pid').read_text())
        assert call('start') == 0 and int((office.scratch / 'pid').read_text()) == pid
        assert call('status') == 0
        assert call('reload') == 0
        wait_until(lambda: log('reloaded: '))
        good = office.conf.read_text()
        office.conf.write_text(good + '\nno_such_setting = 1\n')
        assert call('reload') != 0 and call('status') == 0
        office.conf.write_text(good)
    finally:
        assert call('stop') == 0
    assert call('status') == 3 and not pathlib.Path(f'/proc/{pid}').exists()
    office.conf.write_text(good + '\nno_such_setting = 1\n')
    assert call('start') != 0 and call('status') == 3


def test_the_image_has_the_libraries():
    """What the programs are linked to is in the list of packages of its second stage."""
    if post.sanitized():
        pytest.skip('needs the release build (VALIJA_BUILD=build)')
    if container.release() != ('debian', 'bookworm'):
        pytest.skip('the names of packages are those of Debian 12')
    programs = [post.program(name) for name in PROGRAMS if post.program(name).exists()]
    dumped = subprocess.run(['readelf', '-d', *programs], check=True, capture_output=True,
                            text=True)
    names = set(re.findall(r'\(NEEDED\).*\[(.*)\]', dumped.stdout))
    done = subprocess.run(['dpkg-query', '-S', *(f'*/{name}' for name in sorted(names))],
                          check=True, capture_output=True, text=True)
    wanted = {line.split(':')[0] for line in done.stdout.splitlines()} - {'libc6', 'libcrypt1'}
    stage = IMAGE.read_text().split('\nFROM ')[-1]
    listed = set(re.search(r'no-install-recommends ([^&]*)&&', stage)[1].replace('\\', '').split())
    assert {name for name in wanted if not name.startswith('libc6')} <= listed


# as the image: a root that nobody may write to, two volumes, no rights
RUN = '''
mount --make-rprivate / && mount --bind "$1" "$1" && mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev" && mount -o remount,ro,bind "$1" && mount -t tmpfs tmpfs "$1/tmp"
mount --bind "$2/state" "$1/var/lib/valija" && mount --bind "$2/mail" "$1/var/mail/valija"
exec chroot --userspec=1995:1995 "$1" /usr/bin/env -i \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/bin \
    VALIJA_CONF=/var/lib/valija/office/valija.conf STATE_DIRECTORY=/var/lib/valija/state \
    /usr/libexec/valija/container-start
'''


@pytest.mark.installed
@own_network
def test_the_image_serves_from_a_root_that_is_read_only(need_root, tmp_path):
    """Its steps behind the packages, in a tree of Debian instead of an image."""
    if post.sanitized():
        pytest.skip('needs the release build (VALIJA_BUILD=build)')
    try:
        opened = container.Container([post.program(name) for name in ('valijad', 'valija')])
    except container.Impossible as reason:
        pytest.skip(f'no container on this machine: {reason}')
    with opened:
        opened.install()
        steps = re.findall(r'(?m)^RUN (useradd (?:.*\\\n)*.*)$', IMAGE.read_text())
        subprocess.run(['chroot', opened.root, 'sh', '-ec', *steps], check=True)
        for source, target in re.findall(r'(?m)^COPY (dist\S+) (\S+)$', IMAGE.read_text()):
            target = opened.root / target.lstrip('/')
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, target)
        for name in ('state', 'mail'):
            (tmp_path / name).mkdir()
            os.chown(tmp_path / name, 1995, 1995)
        run_image(opened.root, tmp_path)


def run_image(root, volumes):
    with open(volumes / 'log', 'w') as log:
        server = subprocess.Popen(['unshare', '--mount', 'sh', '-ec', RUN, 'sh', root, volumes],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: 'ready: ' in (volumes / 'log').read_text() or
                   server.poll() is not None, 30)
        assert server.poll() is None, (volumes / 'log').read_text()
        inside = ['nsenter', '-t', str(server.pid), '-m', 'chroot', '--userspec=1995:1995', root,
                  'env', 'VALIJA_CONF=/var/lib/valija/office/valija.conf',
                  'STATE_DIRECTORY=/var/lib/valija/state', 'valija']
        subprocess.run([*inside, 'user', 'add', 'anna'], input=PASSWORD + '\n', text=True,
                       check=True, capture_output=True)
        subprocess.run([*inside, 'deliver', 'anna'], input='Subject: a\n\nb\n', text=True,
                       check=True, capture_output=True)
        context = client_context(volumes / 'state/office/tls/cert.pem')
        wait_until(lambda: count(context) == 1, 30)
    finally:
        server.terminate()
        server.wait(30)
    for name in ('state', 'mail'):
        assert {path.stat().st_uid for path in (volumes / name).rglob('*')} == {1995}
    assert 'error: ' not in (volumes / 'log').read_text()


def count(context):
    with Pop(1995, context) as client:
        client.ok('USER anna')
        if not client.ask(f'PASS {PASSWORD}').startswith('+OK'):
            return None
        return client.stat()[0]
