"""Commands of an operator to a running server, and its answers: reload, drain, the log's level,
show, stats."""
import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

from office import NOBODY, PASSWORD, free_port, wait_until
from test_control import Raw, as_user, logged_in, steered  # noqa: F401  (a fixture)


def valija(office, *command, check=True):
    return office.valija(*command, '-c', office.conf, check=check)


def as_json(office, *command):
    return json.loads(valija(office, *command, '--json').stdout)


def test_reload_says_what_changed_and_who_is_still_on_the_old(steered, connect):  # noqa: F811
    office = steered({'timeouts.drain': '60s'})
    old = logged_in(connect, office, 'demo')
    office.set('timeouts.idle', '15m')
    office.set('log_level', 'debug')
    done = as_json(office, 'reload')
    assert done['generation'] == 2 and done['older_sessions'] == 1
    assert {(c['setting'], c['old'], c['new'], c['applies']) for c in done['changed']} == {
        ('timeouts.idle', '10m', '15m', 'new-sessions'),
        ('log_level', '"info"', '"debug"', 'at-once')}
    office.wait_log(r'control: reload, by-uid=\d+')
    old.ok('NOOP')
    done = valija(office, 'reload').stdout
    assert 'generation 3' in done and 'no setting has changed' in done
    assert '1 session goes on' in done
    old.quit()
    logged_in(connect, office, 'demo').quit()


def test_a_reload_that_is_refused_is_a_failure_with_file_and_line(steered, connect):  # noqa: F811
    office = steered()
    office.allow('the new configuration is not used')
    good = office.conf.read_text()
    office.conf.write_text(good + '\nnonsense = 1\n')
    done = valija(office, 'reload', '--socket', str(office.control), check=False)
    line = len(office.conf.read_text().splitlines())
    assert done.returncode == 78 and f'valija.conf:{line}: ' in done.stderr, done
    assert 'the old one goes on' in done.stderr and not done.stdout
    office.conf.write_text(good)
    office.set('users', '"/nowhere/users"')
    done = valija(office, 'reload', check=False)
    assert done.returncode != 0 and '/nowhere' in done.stderr, done
    logged_in(connect, office, 'demo').quit()


def test_two_reloads_at_once_are_both_answered(steered, connect):  # noqa: F811
    office = steered({'timeouts.drain': '10m'})  # the first generation answers the second one, too
    with Raw(office.control) as one, Raw(office.control) as two:
        for raw in (one, two):
            raw.socket.sendall(b'1 reload\n')
        numbers = sorted(raw.ask(b'')[0][1] for raw in (one, two))
    assert numbers == ['2', '3']
    logged_in(connect, office, 'demo').quit()


def test_a_reload_goes_on_without_whoever_asked(steered, connect):  # noqa: F811
    office = steered()
    raw = Raw(office.control)
    raw.socket.sendall(b'1 reload\n')
    office.wait_log('control: reload')
    raw.file.close()
    raw.socket.close()
    office.wait_log('reloaded: ')
    logged_in(connect, office, 'demo').quit()


def test_the_level_of_the_log_until_a_reload(steered, connect):  # noqa: F811
    office = steered()
    assert as_json(office, 'log-level') == {'format': 1, 'level': 'info', 'configured': 'info'}
    assert 'debug' in valija(office, 'log-level', 'debug').stdout
    office.wait_log(r'control: log-level debug, by-uid=\d+')
    connect(office).close()  # a line at debug, of a front
    office.wait_log('debug: ')
    control, = (pid for pid, line in office.children().items() if 'control' in line)
    os.kill(control, signal.SIGKILL)  # the next one begins with that level, too
    wait_until(lambda: valija(office, 'log-level', check=False).returncode == 0)
    assert as_json(office, 'log-level')['level'] == 'debug'
    valija(office, 'reload')
    assert as_json(office, 'log-level')['level'] == 'info'
    done = valija(office, 'log-level', 'loud', check=False)
    assert done.returncode == 64 and 'no such level' in done.stderr


def test_threat_116_strangers_steer_nothing(steered, connect, need_root):  # noqa: F811
    office = steered()
    for command in (['reload'], ['log-level', 'debug']):
        done = as_user(office, NOBODY, 'nogroup', *command)
        assert done.returncode == 69 and 'control.group' in done.stderr, done
    assert as_json(office, 'log-level')['level'] == 'info'
    assert not any('reloaded' in line for line in office.log)
    wait_until(lambda: logged_in(connect, office, 'demo').quit() or True)


def test_a_member_of_the_group_reloads(steered, need_root):  # noqa: F811
    office = steered({'control.group': '"nogroup"'})
    done = as_user(office, 12345, 'nogroup', 'reload')
    assert 'generation 2' in done.stdout, done
    office.wait_log('control: reload, by-uid=12345')
    assert PASSWORD not in done.stdout


# ---- drain ----

def refuses(address):
    try:
        socket.create_connection(address, 5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_drained_server_takes_nothing_and_ends_nothing(steered, connect):  # noqa: F811
    office = steered()
    office.put('demo', b'Subject: one\n\ntext\n')
    demo = logged_in(connect, office, 'demo')
    done = as_json(office, 'drain')
    assert done['sessions'] == 1
    assert {row['service'] for row in done['closed']} == {'pop3', 'pop3s', 'lmtp'}
    where = [tuple(row['address'].rsplit(':', 1)) for row in done['closed']]
    for host, port in where:
        wait_until(lambda: refuses((host, int(port))))  # fronts have copies of the sockets
    office.wait_log(r'control: drain, by-uid=\d+')
    assert b'text' in demo.retr(1)
    rows = {row['service']: row['state']
            for row in as_json(office, 'show', 'listeners')['listeners']}
    assert rows == {'pop3': 'closed', 'pop3s': 'closed', 'lmtp': 'closed', 'control': 'open'}
    assert as_json(office, 'drain') == {'format': 1, 'closed': [], 'sessions': 1}
    demo.quit()
    front = next(pid for pid, line in office.children().items() if 'front 1' in line)
    os.kill(front, signal.SIGKILL)  # another one takes no connection either
    wait_until(lambda: [row for row in as_json(office, 'show', 'processes')['processes']
                        if row['process'] == 'front' and row['index'] == 1 and row['pid'] != front
                        and row['state'] == 'ready'])
    assert all(refuses((host, int(port))) for host, port in where)
    assert valija(office, 'reload').returncode == 0
    logged_in(connect, office, 'demo').quit()


def test_drain_waits_for_the_last_session(steered, connect):  # noqa: F811
    office = steered()
    demo = logged_in(connect, office, 'demo')
    waits = subprocess.Popen([office.bin / 'valija', 'drain', '--wait', '-c', office.conf],
                             stdout=subprocess.PIPE, text=True, env=office.environment())
    assert any('sessions that go on: 1' in line for line in iter(waits.stdout.readline, ''))
    with pytest.raises(subprocess.TimeoutExpired):
        waits.wait(1.2)
    demo.quit()
    assert waits.wait(30) == 0 and 'all sessions have ended' in waits.stdout.read()


def test_a_refused_reload_leaves_a_drained_server_drained(steered, connect):  # noqa: F811
    office = steered()
    office.allow('the new configuration is not used')
    where = [row['address'].rsplit(':', 1) for row in as_json(office, 'drain')['closed']]
    good = office.conf.read_text()
    office.set('users', '"/nowhere/users"')
    assert valija(office, 'reload', check=False).returncode != 0
    assert all(refuses((host, int(port))) for host, port in where)
    office.conf.write_text(good)
    valija(office, 'reload')
    logged_in(connect, office, 'demo').quit()


def test_a_drained_server_is_not_ready(steered):  # noqa: F811
    port = free_port()
    office = steered({'control.metrics': f'"127.0.0.1:{port}"'})
    url = f'http://127.0.0.1:{port}/readyz'
    wait_until(lambda: urllib.request.urlopen(url, timeout=10).status == 200)
    valija(office, 'drain')
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=10)
    assert refused.value.code == 503 and b'drained' in refused.value.read()
    valija(office, 'reload')
    assert urllib.request.urlopen(url, timeout=10).status == 200


# ---- show and stats ----

def test_what_there_is_now(steered, connect):  # noqa: F811
    office = steered({'timeouts.drain': '60s'}, users=('demo', 'anna'))
    pops = [logged_in(connect, office, user) for user in ('demo', 'anna', 'anna')]
    users = as_json(office, 'show', 'users')['users']
    assert {(row['user'], row['sessions']) for row in users} == {('demo', 1), ('anna', 2)}
    assert len(as_json(office, 'show', 'sessions')['sessions']) == 3
    office.reload()
    wait_until(lambda: [(row['generation'], row['state'], row['connections'])
                        for row in as_json(office, 'show', 'generations')['generations']]
               == [(2, 'serving', 0), (1, 'draining', 3)])
    processes = as_json(office, 'show', 'processes')['processes']
    assert {row['pid'] for row in processes if row['state'] == 'ready'} == set(office.children())
    assert {row['generation'] for row in processes} == {1, 2}
    certificate, = as_json(office, 'show', 'certificates')['certificates']
    text = subprocess.run(['openssl', 'x509', '-noout', '-enddate', '-dateopt', 'iso_8601', '-in',
                           certificate['file']], capture_output=True, text=True).stdout
    assert certificate['ends'] and text.startswith('notAfter=')
    assert as_json(office, 'show', 'databases') == {'format': 1, 'databases': []}
    for subject in ('sessions', 'listeners', 'users', 'generations', 'processes', 'certificates',
                    'databases'):
        lines = valija(office, 'show', subject).stdout.splitlines()
        assert re.match(r'[A-Z]+ ', lines[0]) and not any('\t' in line for line in lines)
    for pop in pops:
        pop.quit()


def test_nothing_else_is_shown(steered):  # noqa: F811
    office = steered()
    done = valija(office, 'show', 'secrets', check=False)
    assert done.returncode == 64 and 'listeners' in done.stderr
    assert valija(office, 'show', check=False).returncode == 64


def test_what_was_counted(steered, connect):  # noqa: F811
    office = steered()
    office.put('demo', b'Subject: one\n\ntext\n')
    demo = logged_in(connect, office, 'demo')
    demo.retr(1)
    demo.quit()

    def stats():
        return {(row['name'], tuple(row['labels'].values())): row
                for row in as_json(office, 'stats')['stats']}
    wait_until(lambda: stats().get(('valija_session_seconds', ('pop3',)), {}).get('count') == 1)
    found = stats()
    assert found['valija_logins', ('pop3', 'USER', 'none', 'ok')]['value'] == 1
    assert found['valija_commands', ('RETR',)]['value'] == 1
    step = found['valija_login_step_seconds', ('answer',)]
    assert step['count'] == 1 and step['unit'] == 'us' and 0 < step['p50'] <= step['p99']
    assert found['valija_drained', ()]['value'] == 0
    text = valija(office, 'stats').stdout
    assert re.search(r'^valija_retr_octets +[1-9]', text, re.M)
    valija(office, 'reload')  # sums go on
    assert stats()['valija_commands', ('RETR',)]['value'] == 1


def test_threat_116_strangers_are_shown_nothing(steered, connect, need_root):  # noqa: F811
    office = steered()
    logged_in(connect, office, 'demo')
    for command in (['drain'], ['stats'], ['show', 'users'], ['show', 'processes'],
                    ['show', 'certificates'], ['show', 'sessions']):
        done = as_user(office, NOBODY, 'nogroup', *command)
        assert done.returncode == 69 and 'control.group' in done.stderr, done
        assert 'demo' not in done.stdout and 'front' not in done.stdout
    assert not any('control: drain' in line for line in office.log)


def test_a_connection_from_before_a_reload_has_a_second(steered):  # noqa: F811
    """Its first command may be on its way; without one it is closed, and holds up no generation."""
    office = steered()
    before = set(office.children())
    silent, late = Raw(office.control), Raw(office.control)
    late.ask(b'1 who\n')  # both are taken now
    valija(office, 'reload')
    assert silent.file.read() == b'' and late.file.read() == b''
    wait_until(lambda: not before & set(office.children()), 20)
    assert as_json(office, 'show', 'generations')['generations'][0]['generation'] == 2
