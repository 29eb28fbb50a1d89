"""The installed unit on a whole system: README's lines for an install, systemd as the first
process, and the life of the service."""
import ctypes
import pathlib
import re
import shutil

import container
import office as post
import pytest
from office import PASSWORD, wait_until
from pop import Pop, client_context
from wire import wire_form

pytestmark = pytest.mark.installed

MAIL = b'Subject: hello\n\nto the container\n'
UNIT = 'valijad.service'
HOSTS = ('::1', '127.0.0.1')
BAD_WORDS = re.compile(r'.*(?:ignoring|Unknown|no Landlock|warning: |error: |cannot|Failed ).*')
LANDLOCK_CREATE_RULESET, LANDLOCK_VERSION = 444, 1


class PopInside(Pop):
    """A Pop whose socket is in the network of a container."""

    def __init__(self, system, address, tls=None):
        self.socket = system.connect(address)
        self.buffer = b''
        if tls is not None:
            self.start_tls(tls, 'mail.example.org')
        self.greeting = self.line()


@pytest.fixture
def system(request):
    """A booted container in which the programs are installed; packages for them, and for more that
    the test names."""
    names = ['valijad', 'valija', *getattr(request, 'param', ())]
    if post.sanitized():
        pytest.skip('needs the release build (VALIJA_BUILD=build): the container has no sanitizers')
    for name in names:
        if not post.program(name).exists():
            pytest.skip(f'{name} is not built')
    try:
        opened = container.Container([post.program(name) for name in names])
    except container.Impossible as reason:
        pytest.skip(f'no container on this machine: {reason}')
    with opened:
        opened.install()
        try:
            opened.start()
        except container.Impossible as reason:
            pytest.skip(f'no container on this machine: {reason}')
        yield opened


def set_up(system):
    """README's lines, and a user with a message."""
    for line in ('systemd-sysusers', 'systemd-tmpfiles --create',
                 'valija init /etc/valija --hostname mail.example.org --pop3 [::]:110 '
                 '--pop3s [::]:995 --lmtp 127.0.0.1:24 --mail /var/mail/valija'):
        system.run(*line.split())
    system.run('sh', '-c', f'echo "{PASSWORD}" | valija user -c /etc/valija/valija.conf add anna')
    system.run('systemctl', 'enable', '--now', UNIT)


def deliver(system, user='anna', port=24):
    with system.connect(('127.0.0.1', port)) as lmtp:
        replies = lmtp.makefile('rb')
        assert replies.readline().startswith(b'220 ')
        lmtp.sendall(b'LHLO here\r\n')
        while replies.readline()[3:4] == b'-':
            pass
        for command, code in ((b'MAIL FROM:<a@example.org>', b'250'),
                              (b'RCPT TO:<%s>' % user.encode(), b'250'),
                              (b'DATA', b'354'), (wire_form(MAIL) + b'.', b'250')):
            lmtp.sendall(command + b'\r\n')
            reply = replies.readline()
            assert reply.startswith(code), reply


def log_in(system, host):
    """The number of messages over POP3S, whose certificate is checked, and over POP3."""
    counts = set()
    context = client_context(system.root / 'etc/valija/tls/cert.pem')
    with PopInside(system, (host, 995), context) as client:
        client.login('anna', PASSWORD)
        counts.add(client.stat()[0])
        client.quit()
    with PopInside(system, (host, 110)) as client:
        client.ok('STLS')
        client.start_tls(context, 'mail.example.org')
        client.login('anna', PASSWORD)
        counts.add(client.stat()[0])
        client.quit()
    assert len(counts) == 1
    return counts.pop()


def kernel_has_landlock():
    return ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION) > 0


def check_journal(system):
    """Lines of the service, and of systemd about the unit."""
    lines = system.journal('-u', UNIT) + system.journal('--grep', UNIT)
    assert 'ready: ' in lines and 'Started ' in lines
    bad = [line for line in BAD_WORDS.findall(lines)
           if 'no Landlock' not in line or kernel_has_landlock()]
    assert not bad, '\n'.join(bad)


def verify_unit(system):
    """systemd has nothing to say against the unit; of others it may."""
    said = system.run('systemd-analyze', 'verify', '--man=no', UNIT)
    lines = [line for line in said.stdout.splitlines() if 'valija' in line]
    assert not lines, '\n'.join(lines)


def check_children(system):
    """The separation of users holds under the unit, and a filter of calls is on everywhere."""
    owners = {}
    grep = 'grep -H "^Uid\\|^Seccomp:\\|^NoNewPrivs" /proc/[0-9]*/status'
    for line in system.run('sh', '-c', grep, check=False).stdout.splitlines():
        if not line.startswith('/proc/'):
            continue  # grep says that a process has ended
        path, key, value = line.replace('\t', ' ').split(':', 2)
        owners.setdefault(path, {})[key] = value.split()[0]
    pids = system.run('sh', '-c', 'cat /sys/fs/cgroup/systemd/system.slice/valijad.service/cgroup.'
                      'procs /sys/fs/cgroup/system.slice/valijad.service/cgroup.procs 2>/dev/null',
                      check=False).stdout.split()
    users = {}
    for pid in pids:
        state = owners[f'/proc/{pid}/status']
        assert state['NoNewPrivs'] == '1' and state['Seccomp'] == '2', (pid, state)
        name = system.run('id', '-nu', state['Uid']).stdout.strip()
        users[name] = users.get(name, 0) + 1
    assert set(users) == {'root', 'valija-net', 'valija-auth', 'valija-keys', 'valija-lookup',
                          'vmail'}, users
    assert users['root'] == 1, users


def reload(system):
    """A good configuration, then a bad one: active in both cases, and the status says which."""
    conf = pathlib.Path(system.root, 'etc/valija/valija.conf')
    good = conf.read_text()
    before = system.journal('-u', UNIT).count('reloaded: ')
    system.run('systemctl', 'reload', UNIT)
    wait_until(lambda: system.journal('-u', UNIT).count('reloaded: ') > before)
    conf.write_text(good + '\nno_such_setting = 1\n')
    assert system.run('systemctl', 'reload', UNIT, check=False).returncode
    wait_until(lambda: 'no_such_setting' in system.journal('-u', UNIT))
    assert 'no_such_setting' not in system.properties(UNIT, 'StatusText')['StatusText']
    system.run('systemctl', 'kill', '--kill-who=main', '--signal=HUP', UNIT)
    wait_until(lambda: 'no_such_setting' in system.properties(UNIT, 'StatusText')['StatusText'])
    wait_until(lambda: system.properties(UNIT, 'ActiveState')['ActiveState'] == 'active')
    conf.write_text(good)
    system.run('systemctl', 'reload', UNIT)
    wait_until(lambda: '[::]:110' in system.properties(UNIT, 'StatusText')['StatusText'])


def upgrade(system):
    """As a package does behind its new files: the same main process, the session of before, the
    service active all the time."""
    main = system.properties(UNIT, 'MainPID')
    path = system.run('sh', '-c', 'command -v valijad').stdout.strip()
    program = pathlib.Path(system.root, path[1:])
    with PopInside(system, ('127.0.0.1', 110)) as client:
        shutil.copy(program, program.with_name('valijad.new'))
        program.with_name('valijad.new').rename(program)
        system.run('systemctl', 'kill', '--kill-who=main', '--signal=USR2', UNIT)
        wait_until(lambda: 'upgraded to valijad' in system.journal('-u', UNIT), 30)
        client.ok('QUIT')
    assert system.properties(UNIT, 'MainPID') == main
    wait_until(lambda: system.properties(UNIT, 'ActiveState')['ActiveState'] == 'active')
    wait_until(lambda: 'sessions, ' in system.properties(UNIT, 'StatusText')['StatusText'], 30)


def watch(system):
    """With a short watchdog the service lives on, and one that hangs is started again."""
    folder = pathlib.Path(system.root, 'etc/systemd/system/valijad.service.d')
    folder.mkdir(parents=True)
    (folder / 'short.conf').write_text('[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s\n')
    system.run('systemctl', 'daemon-reload')
    system.run('systemctl', 'restart', UNIT)
    first = system.properties(UNIT, 'MainPID', 'WatchdogTimestampMonotonic')
    begin = int(first['WatchdogTimestampMonotonic'])
    assert begin, 'the watchdog is not on'

    def last_ping():
        return int(system.properties(UNIT, 'WatchdogTimestampMonotonic')
                   ['WatchdogTimestampMonotonic'])
    wait_until(lambda: last_ping() > begin + 5_000_000, 20)
    assert system.properties(UNIT, 'MainPID', 'NRestarts') == {'MainPID': first['MainPID'],
                                                               'NRestarts': '0'}
    system.run('systemctl', 'kill', '--kill-who=main', '--signal=STOP', UNIT)
    wait_until(lambda: system.properties(UNIT, 'NRestarts', 'ActiveState') ==
               {'NRestarts': '1', 'ActiveState': 'active'}, 30)
    assert 'Watchdog timeout' in system.journal()


def refuse_wrong_configuration(system):
    """A start with a wrong configuration is one start."""
    conf = pathlib.Path(system.root, 'etc/valija/valija.conf')
    good = conf.read_text()
    conf.write_text(good + '\nno_such_setting = 1\n')
    assert system.run('systemctl', 'start', UNIT, check=False).returncode
    assert system.properties(UNIT, 'ActiveState', 'NRestarts', 'ExecMainStatus') == {
        'ActiveState': 'failed', 'NRestarts': '0', 'ExecMainStatus': '78'}
    conf.write_text(good)


def test_the_installed_unit_lives_its_life(system):
    set_up(system)
    verify_unit(system)
    assert 'ready: ' in system.journal('-u', UNIT)
    for host in HOSTS:
        assert log_in(system, host) == 0
    deliver(system)
    for host in HOSTS:
        assert log_in(system, host) == 1
    check_children(system)
    check_journal(system)
    reload(system)
    upgrade(system)
    assert log_in(system, '::1') == 1
    watch(system)
    assert log_in(system, '::1') == 1
    system.run('systemctl', 'stop', UNIT)
    assert system.properties(UNIT, 'ActiveState', 'Result') == {'ActiveState': 'inactive',
                                                                'Result': 'success'}
    refuse_wrong_configuration(system)


@pytest.mark.parametrize('system', [['valija-lookup-system']], indirect=True)
def test_a_system_user_under_the_unit(system):
    """PAM has what it needs, and no more than the unit gives."""
    set_up(system)
    system.run('useradd', '--create-home', 'berta')
    system.run('sh', '-c', f'echo "berta:{PASSWORD}" | chpasswd')
    system.run('sh', '-c', 'cd ~berta && chmod 711 . && for f in . new cur tmp; do '
               'install -d -m 700 -o berta -g berta Maildir/$f; done')
    conf = system.root / 'etc/valija/valija.conf'
    text, count = re.subn(r'(?m)^mail = .*$', 'mail = /home', conf.read_text())
    assert count == 1
    conf.write_text(text + '\ndatabase "people" {\n\tdriver = system\n}\n')
    system.run('valija', 'mark', '/home')
    system.run('systemctl', 'restart', UNIT)
    context = client_context(system.root / 'etc/valija/tls/cert.pem')
    with PopInside(system, ('127.0.0.1', 995), context) as client:
        client.login('berta', PASSWORD)
        assert client.stat()[0] == 0
        client.quit()
    with PopInside(system, ('127.0.0.1', 995), context) as client:
        client.ok('USER berta')
        client.send('PASS wrong\r\n')
        assert client.line().startswith('-ERR [AUTH]')
    check_journal(system)
    pids = system.run('sh', '-c', 'grep -l "^Name:.pam$" /proc/[0-9]*/status').stdout.split()
    assert len(pids) == 1
    status = system.run('cat', *pids).stdout
    assert 'Uid:\t0\t' in status and 'CapEff:\t0000000000000004\n' in status
