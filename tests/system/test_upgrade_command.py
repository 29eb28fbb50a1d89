"""`valija upgrade`: a server becomes the program that is installed, by command, and says what came
of it, whatever happens to the process that was asked; what was steered before stays."""
import json
import os
import re
import signal
import socket
import subprocess

import office as post
import pytest
from elf import break_function, hang_function
from office import NOBODY, PASSWORD, program, wait_until
from test_control import Raw, as_user
from test_steering import as_json, refuses, valija
from test_upgrade import (empty, file_of, install, installed, not_executable, program_of, serves)


@pytest.fixture
def site(make_office):
    """site(settings): an office with a control socket, whose programs are its own."""
    def make(settings=None, **more):
        office = make_office(start=False, **more)
        office.control = office.scratch / 'control'
        office.set('control.socket', f'"{office.control}"')
        for name, value in (settings or {}).items():
            office.set(name, value)
        if office.bin == post.build_dir():
            office._lend_programs()
        return office.start()
    return make


def another_version(path):
    octets = path.read_bytes()
    assert b'0.1.0' in octets
    path.write_bytes(octets.replace(b'0.1.0', b'0.1.9'))


def begin(office, *more):
    """`valija upgrade` at work; the server has begun."""
    mark = office.mark()
    process = subprocess.Popen([office.bin / 'valija', 'upgrade', '-c', office.conf, *more],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=office.environment())
    office.wait_log(r'control: upgrade, by-uid=\d+', since=mark)
    return process


def ended(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def shown(office):
    [row] = as_json(office, 'show', 'program')['program']
    return row


def is_as_before(office, pid, before):
    assert office.process.pid == pid and program_of(pid) == before
    assert serves(office)


# what comes of it

@pytest.mark.release
def test_it_says_what_serves_now(site, connect):
    office = site()
    old = connect(office)
    old.login('demo', PASSWORD)
    pid = office.process.pid
    before = shown(office)
    assert before == {'version': '0.1.0', 'state': 'serving', 'since': before['since'],
                      'upgrades': 0, 'last': None, 'file': str(installed(office)), 'reason': None}
    install(office, another_version)
    done = valija(office, 'upgrade').stdout
    assert re.search(rf'^upgraded: valijad 0\.1\.0 -> 0\.1\.9, from {installed(office)}, in '
                     r'\d+\.\d s; generation 2 serves\n', done)
    assert '1 session goes on in the program from before until it ends\n' in done
    assert program_of(pid) == file_of(installed(office))
    old.ok('NOOP')
    now = shown(office)
    assert (now['version'], now['upgrades'], now['last']) == ('0.1.9', 1, 'upgraded')
    generations = as_json(office, 'show', 'generations')['generations']
    assert all(row['since'] for row in generations) and len(generations) == 2
    old.quit()
    assert serves(office)


def test_the_same_version_and_json(site, connect):
    office = site()
    assert re.match(r'upgraded: valijad 0\.1\.0, started anew from /\S+/valijad, in ',
                    valija(office, 'upgrade').stdout)
    old = connect(office)
    old.login('demo', PASSWORD)
    done = as_json(office, 'upgrade')
    assert done.pop('ms') > 0
    assert done == {'format': 1, 'before': '0.1.0', 'now': '0.1.0', 'generation': 3,
                    'file': str(installed(office)), 'older_sessions': 1, 'drained': False}
    old.quit()


@pytest.mark.parametrize('change, why', [(not_executable, 'Permission denied'),
                                         (empty, 'Exec format error')])
def test_a_refused_upgrade_is_a_failure_with_its_reason(site, change, why):
    office = site()
    office.allow('no upgrade')
    pid, before = office.process.pid, program_of(office.process.pid)
    install(office, change)
    done = valija(office, 'upgrade', check=False)
    assert done.returncode == 70 and not done.stdout
    assert re.search(f'valija upgrade: not upgraded, valijad 0.1.0 goes on: .*{why}', done.stderr)
    is_as_before(office, pid, before)
    now = shown(office)
    assert now['last'] == 'refused' and why in now['reason'] and now['upgrades'] == 1
    install(office)
    valija(office, 'upgrade')
    assert shown(office)['reason'] is None


def test_a_configuration_that_is_wrong(site):
    office = site()
    office.allow('no upgrade')
    good = office.conf.read_text()
    office.conf.write_text(good + '\nnonsense = 1\n')
    done = valija(office, 'upgrade', '--socket', str(office.control), check=False)
    line = len(office.conf.read_text().splitlines())
    assert done.returncode == 70 and f'valija.conf:{line}: ' in done.stderr
    office.conf.write_text(good)
    valija(office, 'upgrade')


def test_processes_that_cannot_start(site, connect):
    """The program is the new one by then; those of the old one serve, and so it says."""
    office = site()
    office.allow('.')
    client = connect(office)
    client.login('demo', PASSWORD)
    install(office, lambda path: break_function(path, 'child_main'))
    done = valija(office, 'upgrade', check=False)
    assert done.returncode == 70 and 'those of the version before go on' in done.stderr
    client.ok('NOOP')
    client.quit()
    assert serves(office) and shown(office)['last'] == 'refused'
    install(office)
    assert 'generation 3 serves' in valija(office, 'upgrade').stdout
    assert serves(office)


# several who ask

def test_two_at_once_are_both_answered(site):
    office = site({'timeouts.drain': '10m'})  # the first generation answers the second one, too
    both = [begin(office), begin(office)]
    done = [ended(process) for process in both]
    assert [code for code, _, _ in done] == [0, 0], done
    assert sorted(re.search(r'generation (\d+)', out)[1] for _, out, _ in done) == ['2', '3']
    assert shown(office)['upgrades'] == 2


def test_a_second_one_behind_a_refused_one(site):
    """It begins when the first one is over, with what is installed then."""
    office = site()
    office.allow('no upgrade')
    install(office, lambda path: hang_function(path, 'monitor_check'))
    first = begin(office)
    trial, = wait_until(lambda: trials(office))
    install(office)
    second = begin(office)
    os.kill(trial, signal.SIGKILL)
    code, _, err = ended(first)
    assert code == 70 and 'was ended by signal 9' in err
    code, out, _ = ended(second)
    assert code == 0 and 'generation 2 serves' in out


def test_a_reload_that_is_asked_for_during_an_upgrade(site):
    """It is a part of it, or comes behind it: both are answered."""
    office = site({'timeouts.drain': '10m'})
    with Raw(office.control) as one, Raw(office.control) as two:
        one.socket.sendall(b'1 upgrade\n')
        office.wait_log('control: upgrade')
        two.socket.sendall(b'1 reload\n')
        lines = one.ask(b'')
        assert lines[0][:3] == ['upgraded', '0.1.0', '0.1.0'] and lines[-1][0] == 'end'
        lines = two.ask(b'')
        assert lines[0][0] == 'serving' and lines[-1][0] == 'end', lines
        assert lines[1][0] == ('not-compared' if lines[0][1] == '2' else 'connections')
    assert serves(office)


def trials(office):
    found = []
    for task in os.scandir(f'/proc/{office.process.pid}/task'):
        with open(f'{task.path}/children') as file:
            children = file.read().split()
        for pid in children:
            with open(f'/proc/{pid}/cmdline') as file:
                if '--state=' in file.read():
                    found.append(int(pid))
    return found


def test_a_reload_during_a_refused_upgrade_is_answered(site):
    office = site()
    office.allow('no upgrade')
    install(office, lambda path: hang_function(path, 'monitor_check'))
    upgrade = begin(office)
    trial, = wait_until(lambda: trials(office))
    with Raw(office.control) as raw:
        raw.socket.sendall(b'1 reload\n')
        office.wait_log('control: reload')
        os.kill(trial, signal.SIGKILL)
        assert raw.ask(b'')[0] == ['serving', '2']
    assert ended(upgrade)[0] == 70


# the process that was asked

@pytest.mark.parametrize('change, code', [(None, 0), (not_executable, 70)])
def test_the_process_for_commands_ends_before_it_has_answered(site, change, code):
    office = site()
    office.allow('.')
    install(office, change)
    process = begin(office)
    office.process.send_signal(signal.SIGSTOP)  # it answers nothing meanwhile
    for pid, line in office.children().items():
        if 'control' in line:
            os.kill(pid, signal.SIGKILL)
    office.process.send_signal(signal.SIGCONT)
    done, out, err = ended(process)
    assert done == code, (out, err)
    if change:
        assert 'not upgraded' in err
    else:
        assert out.startswith('upgraded: valijad 0.1.0')


def test_a_server_that_ends_meanwhile(site):
    office = site()
    office.allow('.')
    install(office, lambda path: hang_function(path, 'monitor_check'))
    process = begin(office)
    wait_until(lambda: trials(office))
    office.stop()
    code, _, err = ended(process)
    assert code == 69 and 'valijad has ended' in err, (code, err)


def test_who_does_not_want_to_wait(site):
    office = site()
    office.allow('no upgrade')
    install(office, lambda path: hang_function(path, 'monitor_check'))
    code, out, err = ended(begin(office, '--wait', '1'))
    assert code == 75 and not out and 'not over within 1 seconds' in err
    assert shown(office)['state'] == 'upgrading'
    trial, = trials(office)
    os.kill(trial, signal.SIGKILL)
    wait_until(lambda: shown(office)['last'] == 'refused')
    for wrong in ('0', '-1', 'x', '86401'):
        assert valija(office, 'upgrade', '--wait', wrong, check=False).returncode == 64


def test_threat_137_strangers_upgrade_nothing(site, need_root):
    office = site()
    for command in (['upgrade'], ['show', 'program']):
        done = as_user(office, NOBODY, 'nogroup', *command)
        assert done.returncode == 69 and 'control.group' in done.stderr, done
    with Raw(office.control) as raw:  # this connection is root's
        assert raw.ask(b'1 upgrade now\n') == [['error', 'that command has no target']]
    assert not any('an upgrade is asked for' in line for line in office.log)


def test_a_member_of_the_group_upgrades(site, need_root):
    office = site({'control.group': '"nogroup"'})
    done = as_user(office, 12345, 'nogroup', 'upgrade')
    assert 'generation 2 serves' in done.stdout, done
    office.wait_log('control: upgrade, by-uid=12345')


# what was steered before

def test_a_drained_server_stays_drained(site, connect):
    office = site()
    where = [row['address'].rsplit(':', 1) for row in as_json(office, 'drain')['closed']]
    wait_until(lambda: all(refuses((host, int(port))) for host, port in where))
    with socket.create_server(('127.0.0.1', office.pop3)):  # another server may be there already
        install(office)
        done = valija(office, 'upgrade').stdout
        assert 'it is drained still' in done
    assert all(refuses((host, int(port))) for host, port in where)
    rows = {row['service']: row['state']
            for row in as_json(office, 'show', 'listeners')['listeners']}
    assert rows == {'pop3': 'closed', 'pop3s': 'closed', 'lmtp': 'closed', 'control': 'open'}
    assert as_json(office, 'upgrade')['drained'] is True
    assert shown(office)['state'] == 'drained'
    stats = {row['name']: row['value'] for row in as_json(office, 'stats')['stats']
             if 'value' in row}
    assert stats['valija_drained'] == 1
    valija(office, 'reload')
    with connect(office) as client:
        client.login('demo', PASSWORD)


def test_a_drained_server_whose_new_processes_cannot_start(site):
    office = site()
    office.allow('.')
    where = [row['address'].rsplit(':', 1) for row in as_json(office, 'drain')['closed']]
    install(office, lambda path: break_function(path, 'child_main'))
    assert valija(office, 'upgrade', check=False).returncode == 70
    assert all(refuses((host, int(port))) for host, port in where)
    install(office)
    valija(office, 'upgrade')
    assert all(refuses((host, int(port))) for host, port in where)
    valija(office, 'reload')
    assert serves(office)


def test_the_level_of_the_log_stays(site, connect):
    office = site()
    valija(office, 'log-level', 'debug')
    valija(office, 'upgrade')
    assert as_json(office, 'log-level') == {'format': 1, 'level': 'debug', 'configured': 'info'}
    mark = office.mark()
    connect(office).close()
    office.wait_log('debug: ', since=mark)  # of a front of the new program
    valija(office, 'reload')
    assert as_json(office, 'log-level')['level'] == 'info'


def test_the_first_reload_behind_processes_that_could_not_start(site):
    """The old processes' configuration is known in parts: nothing is said to have changed."""
    office = site()
    office.allow('.')
    install(office, lambda path: break_function(path, 'child_main'))
    assert valija(office, 'upgrade', check=False).returncode == 70
    broken = program('valijad')
    assert broken.exists()
    install(office)
    assert valija(office, 'reload', check=False).returncode != 0  # these cannot start either
    valija(office, 'upgrade')
    office.set('timeouts.idle', '15m')
    done = as_json(office, 'reload')
    assert done['compared'] is True
    assert [row['setting'] for row in done['changed']] == ['timeouts.idle']
