"""The installed unit, booted: Debian 12's own systemd in a container without a network, the lines of
the README typed inside. The container's tree is made once (debootstrap, a minute) and kept in the
cache folder; where that cannot be done the test is skipped and says why."""
import fcntl
import json
import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache')
PACKAGES = ('systemd,systemd-sysv,dbus,python3,procps,ca-certificates,libevent-core-2.1-7,libssl3,'
            'libgsasl18,libconfuse2,libseccomp2,libargon2-1,libjansson4')
MIRROR = 'http://deb.debian.org/debian'
UNIT = '''[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /root/probe.py /root/result.json
[Install]
WantedBy=multi-user.target
'''
# what the sandbox of valijad needs and nspawn's own filter does not let through
CALLS = 'seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self'


def base_tree():
    """A fresh Debian 12, from the cache; skips where there is none and none can be made."""
    tree = CACHE / 'valija-tests' / 'bookworm'
    if tree.is_dir():
        return tree
    making = tree.with_name(f'bookworm.{os.getpid()}')
    making.parent.mkdir(parents=True, exist_ok=True)
    try:
        made = subprocess.run(['debootstrap', '--variant=minbase', f'--include={PACKAGES}',
                               'bookworm', making, MIRROR], capture_output=True, text=True,
                              timeout=420)
        if made.returncode:
            pytest.skip(f'debootstrap cannot make a Debian here: {made.stdout[-300:]}')
        making.rename(tree)
    except subprocess.TimeoutExpired:
        pytest.skip('debootstrap did not end in seven minutes')
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return tree


def boot(folder):
    """Boots the installed build in a container; returns what installed_probe.py found."""
    if os.geteuid():
        pytest.skip('only root can boot a container')
    for program in ('systemd-nspawn', 'debootstrap'):
        if not shutil.which(program):
            pytest.skip(f'{program} is not installed')
    tree = folder / 'root'
    subprocess.run(['cp', '-a', '--reflink=auto', base_tree(), tree], check=True)
    subprocess.run(['/usr/bin/meson', 'install', '-C', ROOT / os.environ['VALIJA_BUILD'],
                    '--no-rebuild', '--destdir', tree], check=True, capture_output=True)
    shutil.copy(HERE / 'installed_probe.py', tree / 'root/probe.py')
    (tree / 'etc/systemd/system/probe.service').write_text(UNIT)
    (tree / 'etc/machine-id').write_text('')
    wanted = tree / 'etc/systemd/system/multi-user.target.wants'
    wanted.mkdir(parents=True, exist_ok=True)
    (wanted / 'probe.service').symlink_to('/etc/systemd/system/probe.service')
    try:
        # a name space of its own for everything: it ends with the process that began it
        done = subprocess.run(
            ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc',
             'systemd-nspawn', '--quiet', '--boot', '--register=no', '--keep-unit',
             '--private-network', f'--machine=valija-test-{os.getpid()}',
             f'--system-call-filter={CALLS}', '-D', tree],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180)
        console = done.stdout[-2000:] + done.stderr[-2000:]
    except subprocess.TimeoutExpired as late:
        console = f'not over after three minutes: {(late.stdout or b"")[-2000:]}'
    result = tree / 'root/result.json'
    if not result.is_file():
        if 'Welcome to' not in console and 'systemd 2' not in console:
            pytest.skip(f'no container can be booted here: {console[-300:]}')
        pytest.fail(f'the probe did not end: {console}')
    return json.loads(result.read_text())


@pytest.fixture(scope='module')
def probed(tmp_path_factory):
    """Booted once, however many workers the tests of this file are spread over."""
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if 'PYTEST_XDIST_WORKER' in os.environ else own) / 'booted'
    shared.mkdir(exist_ok=True)
    result = shared / 'result.json'
    with open(shared / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.is_file():
            result.write_text(json.dumps(boot(tmp_path_factory.mktemp('container'))))
    return json.loads(result.read_text())


pytestmark = pytest.mark.installed


def test_every_step_worked(probed):
    assert 'failed' not in probed, f'{probed["failed"]}\n{probed["journal"][-3000:]}'


def test_the_unit_has_no_line_that_is_ignored(probed):
    """systemd 252 does not know @sandbox, and goes on without it: nothing can start then."""
    text = probed['verify'] + probed['journal']
    assert 'gnoring' not in text and 'Unknown' not in text
    assert 'Landlock' not in probed['journal']


def test_it_is_active_and_says_what_it_serves(probed):
    assert probed['active'] == 'active'
    assert '[::]:110' in probed['status'] and '[::]:995' in probed['status']


@pytest.mark.parametrize('way', ['ipv4', 'ipv6', 'ipv4 tls', 'ipv6 tls'])
def test_login(probed, way):
    assert [line.split()[0] for line in probed[way]] == ['+OK'] * 5
    assert probed[way][3] == '+OK 0 0'


def test_a_message_comes_through(probed):
    assert probed['delivered'][3].startswith('+OK 1 ')


def test_reload_keeps_the_session_and_the_service(probed):
    assert probed['old session'].startswith('+OK')
    assert probed['reloaded'][2].startswith('+OK')


def test_a_refused_reload_is_seen_and_harms_nobody(probed):
    assert 'no_such_setting' in probed['refused']
    assert probed['goes on'][2].startswith('+OK')


def test_the_watchdog_is_answered_and_replaces_what_hangs(probed):
    assert probed['alive']
    assert probed['restarted'][2].startswith('+OK')


def test_stop_leaves_nothing(probed):
    assert probed['stopped'] == ['inactive', 'success']
    assert probed['left'] == ''
