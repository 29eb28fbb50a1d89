"""`valija fetch --watch` and `status`: intervals, delays that servers ask for, trouble with one
account beside others, reload, end, news for the service manager, metrics, and addresses that come
back."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from fetching import CONFIG, DATAERR, OK, TEMPFAIL, TOKEN, UNAVAILABLE, USAGE, program  # noqa: E402
from hostile import Cut, letter, make_certificate  # noqa: E402

PATIENCE = 120  # a sanitized build on a busy machine


def wait_for(what, seconds=PATIENCE):
    """What it returns as soon as that is something."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, 'nothing happened'
        time.sleep(0.05)


def account(fetcher, name, server, *more, interval='1s', password=None):
    secret = fetcher.scratch / f'{name}.password'
    secret.write_text((password or 'correct horse') + '\n')
    secret.chmod(0o600)
    lines = [f'server = "pop3://demo@127.0.0.1:{server.port}"', 'tls = "none"', 'auth = "USER"',
             f'to = "maildir:{fetcher.maildir}-{name}"', f'password-file = "{secret}"',
             f'interval = "{interval}"', *more]
    return f'account "{name}" {{\n' + '\n'.join(lines) + '\n}\n'


class Watch:
    """The daemon, and its words."""

    def __init__(self, fetcher, text, *options, env=None, prefix=()):
        self.fetcher = fetcher
        self.file = fetcher.scratch / 'fetch.conf'
        self.file.write_text(f'state = "{fetcher.state}"\n' + text)
        self.words = fetcher.scratch / 'words'
        self.process = subprocess.Popen(
            [*prefix, str(program()), 'fetch', '--watch', '-c', str(self.file), *map(str, options)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.words.open('wb'),
            start_new_session=True, env=env or fetcher.environment())

    def rewrite(self, text):
        self.file.write_text(f'state = "{self.fetcher.state}"\n' + text)
        self.process.send_signal(signal.SIGHUP)

    def status(self, *options, expect=None):
        done = self.fetcher.execute([str(program()), 'fetch', 'status', '-c', str(self.file),
                                     *options], expect=expect)
        return done

    def records(self):
        done = self.status('--json')
        if done.returncode == DATAERR:  # it cannot be read yet
            return {}
        return {record['account']: record for record in json.loads(done.stdout)['accounts']}

    def record(self, name, **wanted):
        """The account's record as soon as it says what is wanted."""
        def right():
            record = self.records().get(name)
            return record if record and all(record[k] == v for k, v in wanted.items()) else None
        try:
            return wait_for(right)
        except AssertionError:
            raise AssertionError(f'{self.records()}\n{self.words.read_text(errors="replace")}')

    def said(self, words):
        return wait_for(lambda: words in self.words.read_text(errors='replace'))

    def children(self):
        task = f'/proc/{self.process.pid}/task/{self.process.pid}'
        return pathlib.Path(f'{task}/children').read_text().split()

    def end(self, number=signal.SIGTERM, expect=OK):
        self.process.send_signal(number)
        assert self.process.wait(PATIENCE) == expect, self.words.read_text(errors='replace')
        assert 'Sanitizer' not in self.words.read_text(errors='replace')


@pytest.fixture
def watch(fetcher):
    running = []

    def start(text, *options, **more):
        running.append(Watch(fetcher, text, *options, **more))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


def logins(server):
    return [s for s in server.sessions if any(c.startswith('PASS') for c in s.commands)]


def mail_of(fetcher, name):
    folder = pathlib.Path(f'{fetcher.maildir}-{name}') / 'new'
    return list(folder.iterdir()) if folder.exists() else []


def test_accounts_are_collected_again_and_again(fetcher, serve, watch):
    one, two = serve([letter(1)]), serve([letter(2), letter(3)])
    daemon = watch(account(fetcher, 'one', one) + account(fetcher, 'two', two))
    wait_for(lambda: mail_of(fetcher, 'one') and len(mail_of(fetcher, 'two')) == 2)
    one.messages.append(('later', letter(4)))
    wait_for(lambda: len(mail_of(fetcher, 'one')) == 2)
    wait_for(lambda: len(logins(one)) > 2 and len(logins(two)) > 2)
    record = daemon.record('one', messages=2, result='ok', failures_in_a_row=0)
    assert record['last_success'] >= record['last_run'] - 5 and record['next_run']
    assert 'one: 1 collected' in daemon.words.read_text()
    daemon.end()
    said = daemon.status(expect=UNAVAILABLE).stdout
    assert said.startswith('valija fetch --watch is not running')


def test_an_account_of_the_command_line_is_watched(fetcher, serve):
    server = serve([letter(1)])
    command = fetcher.command(server, '--watch', '--interval', '1s', '--auth', 'USER')
    process = subprocess.Popen(command,
                               env=fetcher.environment(), start_new_session=True)
    try:
        wait_for(lambda: fetcher.files() and len(logins(server)) > 1)
    finally:
        process.terminate()
    assert process.wait(PATIENCE) == OK


def test_a_server_that_hangs_delays_nobody_else(fetcher, serve, watch):
    gone = threading.Event()

    def hang(session, argument):
        gone.wait(PATIENCE)
        raise Cut

    slow = [serve([letter(n)], hooks={'UIDL': hang}) for n in range(2)]
    quick = serve([letter(9)])
    text = ''.join(account(fetcher, f'slow{n}', server) for n, server in enumerate(slow))
    daemon = watch(text + account(fetcher, 'quick', quick), '--jobs', '3')
    try:
        wait_for(lambda: len(logins(quick)) >= 3)
        assert all(len(logins(server)) == 1 for server in slow)
        daemon.record('slow0', running=True, last_run=0)
    finally:
        gone.set()
    daemon.end()


def test_more_accounts_than_places(fetcher, serve, watch):
    together, most, lock = [0], [0], threading.Lock()

    def count(session, argument):
        with lock:
            together[0] += 1
            most[0] = max(most[0], together[0])
        time.sleep(0.05)
        with lock:
            together[0] -= 1
        return False

    servers = [serve([letter(n)], hooks={'UIDL': count}) for n in range(6)]
    daemon = watch('jobs = 2\n' + ''.join(account(fetcher, f'a{n}', server, interval='1h')
                                          for n, server in enumerate(servers)))
    wait_for(lambda: all(mail_of(fetcher, f'a{n}') for n in range(6)))
    assert most[0] <= 2
    daemon.end()


def test_login_delay_of_the_capabilities_is_kept(fetcher, serve, watch):
    server = serve([letter(1)], capabilities=('TOP', 'UIDL', 'USER', 'LOGIN-DELAY 600 USER'))
    other = serve([letter(2)])
    daemon = watch(account(fetcher, 'slow', server) + account(fetcher, 'other', other))
    record = daemon.record('slow', login_delay=600, runs=1)
    assert record['next_run'] >= record['last_run'] + 600
    wait_for(lambda: len(logins(other)) >= 3)
    daemon.end()
    # it is kept over a start of the daemon, and over a session that does not ask for capabilities
    daemon = watch(account(fetcher, 'slow', server) + account(fetcher, 'other', other))
    seen = len(logins(other))
    wait_for(lambda: len(logins(other)) >= seen + 2)
    assert len(logins(server)) == 1
    daemon.end()


@pytest.mark.parametrize('answer, result, least', [
    ('-ERR [LOGIN-DELAY] too soon', 'login-delay', 54), ('-ERR [IN-USE] locked', 'in-use', 0),
    ('-ERR [SYS/TEMP] later', 'temporary', 0), ('-ERR [AUTH] wrong', 'login-refused', 270),
    ('-ERR [SYS/PERM] broken', 'broken', 54)])
def test_response_codes_put_an_account_off(fetcher, serve, watch, answer, result, least):
    def refuse(session, argument):
        session.line(answer)
        return True

    server = serve([letter(1)], hooks={'PASS': refuse})
    daemon = watch(account(fetcher, 'a', server))
    record = daemon.record('a', result=result, running=False)
    assert record['failures_in_a_row'] >= 1 and record['last_success'] == 0
    assert record['next_run'] - record['last_run'] >= least
    table = daemon.status(expect=TEMPFAIL).stdout
    assert answer.split('] ')[1] in table
    daemon.end()


def test_the_pause_doubles_and_a_good_run_ends_that(fetcher, serve, watch):
    refusals = [3]

    def refuse(session, argument):
        refusals[0] -= 1
        if refusals[0] < 0:
            return False
        session.line('-ERR [SYS/TEMP] later')
        return True

    server = serve([letter(1)], hooks={'PASS': refuse})
    daemon = watch(account(fetcher, 'a', server))
    record = daemon.record('a', result='ok')
    assert record['failed'] == 3 and record['failures_in_a_row'] == 0 and record['messages'] == 1
    daemon.end()


@pytest.mark.parametrize('how', ['hangup', 'tokens'])
def test_consent_that_is_needed_is_named_and_the_others_go_on(fetcher, serve, watch, certificate,
                                                              how):
    token = serve([letter(1)], mechanisms=('XOAUTH2',), tokens=['good'], tls='starttls',
                  certificate=certificate)
    other = serve([letter(2)])
    text = account(fetcher, 'token', token).replace('tls = "none"\nauth = "USER"\n',
                                                    f'ca = "{certificate[0]}"\n')
    secret = f'password-file = "{fetcher.scratch}/token.password"'
    assert secret in text
    text = text.replace(secret, f'token-command = "cat {fetcher.scratch}/token"')
    (fetcher.scratch / 'token').write_text('bad\n')
    daemon = watch(text + account(fetcher, 'other', other))
    record = daemon.record('token', result='consent', code=TOKEN)
    assert record['next_run'] - record['last_run'] >= 270
    wait_for(lambda: len(logins(other)) >= 2)
    assert 'consent needed: valija fetch login token' in daemon.status(expect=TOKEN).stdout
    (fetcher.scratch / 'token').write_text('good\n')
    if how == 'hangup':
        daemon.process.send_signal(signal.SIGHUP)  # a person has consented
    else:  # valija fetch login puts the account's tokens beside its journal
        [journal] = fetcher.state.glob('token-*.journal')
        for name in ('another-0123456789ab.grant', journal.with_suffix('.grant').name):
            (fetcher.scratch / 'new').write_text('{}')
            (fetcher.scratch / 'new').rename(fetcher.state / name)
    daemon.record('token', result='ok', messages=1)
    daemon.end()


def test_sighup_adds_removes_and_mends(fetcher, serve, watch):
    one, two = serve([letter(1)]), serve([letter(2)])
    daemon = watch(account(fetcher, 'one', one, password='wrong'))
    daemon.record('one', result='login-refused')
    daemon.rewrite('account "one" {')
    daemon.said('the configuration stays as it was')
    daemon.rewrite(account(fetcher, 'one', one) + account(fetcher, 'two', two))
    daemon.said('the configuration is read again: 2 accounts')
    wait_for(lambda: mail_of(fetcher, 'one') and mail_of(fetcher, 'two'))
    daemon.rewrite(account(fetcher, 'two', two))
    wait_for(lambda: set(daemon.records()) == {'two'})
    seen = len(logins(two))
    wait_for(lambda: len(logins(two)) > seen + 1)
    daemon.end()


def test_the_run_of_a_removed_account_goes_on_to_its_end(fetcher, serve, watch):
    go = threading.Event()

    def hold(session, argument):
        go.wait(PATIENCE)
        return False

    one, two = serve([letter(1)], hooks={'UIDL': hold}), serve([letter(2)])
    daemon = watch(account(fetcher, 'one', one) + account(fetcher, 'two', two))
    wait_for(lambda: logins(one))
    daemon.rewrite(account(fetcher, 'two', two))
    wait_for(lambda: set(daemon.records()) == {'two'})
    go.set()
    wait_for(lambda: mail_of(fetcher, 'one'))
    assert len(logins(one)) == 1
    daemon.end()


def test_sigterm_ends_all_processes(fetcher, serve, watch):
    gone = threading.Event()

    def hang(session, argument):
        gone.wait(PATIENCE)
        raise Cut

    server = serve([letter(1)], hooks={'UIDL': hang})
    daemon = watch(account(fetcher, 'a', server))
    [child] = wait_for(lambda: logins(server) and daemon.children())
    try:
        daemon.end()
        assert not pathlib.Path(f'/proc/{child}').exists()
    finally:
        gone.set()


def test_a_run_that_is_killed_is_a_failure_of_its_account(fetcher, serve, watch):
    gone = threading.Event()

    def hang(session, argument):
        gone.wait(PATIENCE)
        raise Cut

    server, other = serve([letter(1)], hooks={'UIDL': hang}), serve([letter(2)])
    daemon = watch(account(fetcher, 'a', server) + account(fetcher, 'b', other, interval='1h'))
    daemon.record('b', result='ok', running=False)
    wait_for(lambda: logins(server))
    [child] = wait_for(daemon.children)
    os.kill(int(child), signal.SIGKILL)
    gone.set()
    assert daemon.record('a', result='broken')['text'] == 'ended by signal 9'
    daemon.end()


def test_one_daemon_a_state_folder(fetcher, serve, watch):
    server = serve([letter(1)])
    daemon = watch(account(fetcher, 'a', server))
    daemon.record('a', result='ok')
    done = fetcher.execute([str(program()), 'fetch', '--watch', '-c', str(daemon.file)],
                           expect=TEMPFAIL)
    assert 'another "valija fetch --watch"' in done.stderr
    daemon.end()


@pytest.mark.parametrize('option', [['--dry-run'], ['--mark-seen'], ['--whole', 'all'],
                                    ['--record', 'x'], ['--accept-new-uidls']])
def test_options_of_a_single_run_are_refused(fetcher, serve, option):
    done = fetcher.configured(account(fetcher, 'a', serve()), '--watch', *option, expect=USAGE)
    assert '--watch' in done.stderr


@pytest.mark.parametrize('text', ['', '0', '5x', '40d', 'm', '-1'])
def test_an_interval_that_is_none(fetcher, serve, text):
    done = fetcher.configured(account(fetcher, 'a', serve(), interval=text), expect=CONFIG)
    assert 'interval' in done.stderr


def samples(path):
    lines = [line for line in path.read_text().splitlines() if not line.startswith('#')]
    return {line.rsplit(' ', 1)[0]: float(line.rsplit(' ', 1)[1]) for line in lines}


def test_metrics_are_in_the_textfile_format(fetcher, serve, watch, tmp_path):
    server = serve([letter(1), letter(2)])
    bad = serve([letter(3)])
    file = tmp_path / 'valija.prom'
    daemon = watch(account(fetcher, 'good', server) +
                   account(fetcher, 'a \\"b\\" c', bad, password='wrong'), '--metrics', file)
    key = 'valija_fetch_messages_total{account="good"}'
    wait_for(lambda: file.exists() and samples(file).get(key) == 2)
    wait_for(lambda: samples(file)['valija_fetch_failures_total{account="a \\"b\\" c"}'] == 1)
    found = samples(file)
    assert found['valija_fetch_last_success_timestamp_seconds{account="good"}'] > time.time() - 100
    assert found['valija_fetch_last_success_timestamp_seconds{account="a \\"b\\" c"}'] == 0
    assert found['valija_fetch_octets_total{account="good"}'] > 700
    text = file.read_text()
    assert text.endswith('\n') and file.stat().st_mode & 0o777 == 0o644
    names = {line.split('{')[0] for line in text.splitlines() if not line.startswith('#')}
    for name in names:
        assert f'# HELP {name} ' in text and f'# TYPE {name} ' in text
    daemon.end()
    assert [path.name for path in tmp_path.iterdir()] == ['valija.prom']


@contextlib.contextmanager
def manager(path):
    """Collects what a service manager would be sent."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(path))
    listening.settimeout(PATIENCE)
    try:
        yield listening
    finally:
        listening.close()


def test_the_service_manager_is_kept_informed(fetcher, serve, watch):
    server = serve([letter(1)])
    path = fetcher.scratch / 'notify'
    with manager(path) as listening:
        daemon = watch(account(fetcher, 'a', server),
                       env=fetcher.environment(NOTIFY_SOCKET=path, WATCHDOG_USEC=400000))
        got = []

        def until(text):
            while not any(text in message for message in got):
                got.append(listening.recv(4096).decode())
            return [message for message in got if text in message][-1]

        assert until('READY=1') == got[0] == 'READY=1'
        assert until('STATUS=').startswith('STATUS=1 accounts: ')
        until('WATCHDOG=1')
        got.clear()
        daemon.process.send_signal(signal.SIGHUP)
        assert 'MONOTONIC_USEC=' in until('RELOADING=1')
        until('READY=1')
        daemon.process.send_signal(signal.SIGTERM)
        until('STOPPING=1')
        assert daemon.process.wait(PATIENCE) == OK


def test_status_without_a_daemon_ever(fetcher):
    done = fetcher.execute([str(program()), 'fetch', 'status', '--state', str(fetcher.state)],
                           expect=UNAVAILABLE)
    assert 'not running' in done.stdout
    done = fetcher.execute([str(program()), 'fetch', 'status', '--state', str(fetcher.state), 'x'],
                           expect=USAGE)
    assert '"x" is not watched' in done.stderr


@pytest.mark.parametrize('octets', [b'', b'{', b'\0' * 100, b'[]', b'{"version":2}',
                                    b'{"version":1,"written":1,"accounts":[{}]}'],
                         ids=range(6))
def test_a_damaged_memory_costs_times_only(fetcher, serve, watch, octets):
    fetcher.state.mkdir()
    (fetcher.state / 'watch.json').write_bytes(octets)
    daemon = watch(account(fetcher, 'a', serve([letter(1)])))
    daemon.said('cannot be understood')
    daemon.record('a', result='ok', messages=1)
    daemon.end()


def own_network():
    done = subprocess.run(['unshare', '-rn', 'true'], capture_output=True)
    return done.returncode == 0


def test_an_address_that_comes_ends_the_wait(fetcher, watch):
    if not own_network():
        pytest.skip('no network namespace can be made here')

    class Server:
        port = 11110  # nobody listens there: the try itself is seen

    text = account(fetcher, 'a', Server, interval='1h').replace('127.0.0.1', '10.9.8.7')
    memory, before = fetcher.state / 'watch.json', fetcher.scratch / 'before.json'
    script = (f'"$@" & echo $! > {fetcher.scratch}/pid; '
              f'until grep -q \'"result":"network"\' {memory} 2>/dev/null; do sleep 0.1; done; '
              f'cp {memory} {before}; '
              'ip link set lo up; ip addr add 10.9.8.7/32 dev lo; wait $!')
    daemon = watch(text, prefix=['unshare', '-rn', 'sh', '-c', script, 'sh'])
    try:
        wait_for(lambda: before.exists() and before.read_text())
        [first] = json.loads(before.read_text())['accounts']
        assert first['runs'] == 1 and first['next_run'] > first['last_run'] + 20
        record = daemon.record('a', runs=2, failures_in_a_row=2)
        assert record['last_run'] < first['next_run'] - 10
    finally:
        os.kill(int((fetcher.scratch / 'pid').read_text()), signal.SIGTERM)
    assert daemon.process.wait(PATIENCE) == OK


# ---- TLS between the runs of an account ----

def secured(fetcher, name, server, authority, *more):
    return account(fetcher, name, server, *more).replace(
        'tls = "none"', f'ca = "{authority}"')


def runs(server, least):
    return wait_for(lambda: len(server.tls_resumed) >= least and server.tls_resumed)


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize('tls', ['implicit', 'starttls'])
def test_a_run_resumes_the_session_of_the_one_before(fetcher, serve, watch, certificate, tls,
                                                     version):
    server = serve([letter(1)], tls=tls, certificate=certificate, tls_version=version, resumes=True)
    text = secured(fetcher, 'a', server, certificate[0])
    if tls == 'implicit':
        text = text.replace('pop3://', 'pop3s://')
    daemon = watch(text)
    assert runs(server, 4)[:4] == [False, True, True, True]
    daemon.record('a', result='ok', messages=1)
    daemon.rewrite(text)  # other settings, perhaps: whatever was verified before counts no more
    daemon.said('the configuration is read again')
    seen = len(server.tls_resumed)
    assert False in runs(server, seen + 2)[4:]
    daemon.end()


def test_a_server_that_forgets_sessions_is_verified_anew(fetcher, serve, watch, certificate):
    server = serve([letter(1)], tls='starttls', certificate=certificate)
    daemon = watch(secured(fetcher, 'a', server, certificate[0]))
    assert not any(runs(server, 3))
    record = daemon.record('a', result='ok')
    assert record['failed'] == 0
    daemon.end()


def test_an_authority_that_goes_takes_the_sessions_along(fetcher, serve, watch, certificate,
                                                         tmp_path):
    mine = tmp_path / 'authority.pem'
    mine.write_bytes(pathlib.Path(certificate[0]).read_bytes())
    another = make_certificate(tmp_path, 'another.example')
    server = serve([letter(1)], tls='starttls', certificate=certificate, resumes=True)
    daemon = watch(secured(fetcher, 'a', server, mine))
    assert runs(server, 2)[:2] == [False, True]
    another[0].rename(mine)  # the server would resume still
    record = daemon.record('a', result='login-refused')
    assert 'certificate' in record['text']
    mine.unlink()
    daemon.rewrite(secured(fetcher, 'a', server, mine))
    record = daemon.record('a', result='broken')
    assert 'authority.pem' in record['text']
    daemon.end()


def test_a_pinned_key_is_compared_with_a_resumed_session(fetcher, serve, watch, certificate):
    server = serve([letter(1)], tls='starttls', certificate=certificate, resumes=True)
    pin = subprocess.run(
        f'openssl x509 -in {certificate[0]} -noout -pubkey | openssl pkey -pubin -outform der |'
        ' openssl dgst -sha256 -binary | base64', shell=True, check=True, capture_output=True,
        text=True).stdout.strip()
    daemon = watch(account(fetcher, 'a', server).replace('tls = "none"', f'pin = "sha256//{pin}"'))
    assert runs(server, 3)[:3] == [False, True, True]
    daemon.record('a', result='ok', failed=0)
    daemon.end()


def test_a_client_certificate_is_shown_in_each_run(fetcher, serve, watch, certificate, tmp_path):
    own = make_certificate(tmp_path, 'client.example')
    server = serve([letter(1)], tls='starttls', certificate=certificate, resumes=True,
                   client_ca=own[0])
    daemon = watch(secured(fetcher, 'a', server, certificate[0], f'cert = "{own[0]}"',
                           f'key = "{own[1]}"'))
    assert not any(runs(server, 3))
    daemon.record('a', result='ok', failed=0)
    daemon.end()
