"""The maildrop after a crash: killed at every system call, power cuts (see the programs)."""

import os
import pathlib
import re
import subprocess

BUILD = pathlib.Path(os.environ.get('VALIJA_BUILD', 'build-test')).resolve()


def run(name, *arguments):
    program = BUILD / 'tests/crash' / name
    assert program.exists(), f'{program} is not built'
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=550,
                          check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_threat_47_killed_at_every_call():
    points = int(re.search(r'^killed at (\d+) points, all well$', run('maildrop_kill'), re.M)[1])
    assert points > 500


def test_threat_47_power_cuts():
    output = run('maildrop_power', '60')
    assert int(re.search(r'^power cut in (\d+) states, all well$', output, re.M)[1]) > 10000


def test_threat_47_an_mbox_killed_at_every_call():
    points = int(re.search(r'^killed at (\d+) points, all well$', run('mbox_kill'), re.M)[1])
    assert points > 300


def test_threat_47_an_mbox_and_power_cuts():
    output = run('mbox_power', '3')
    assert int(re.search(r'^power cut in (\d+) states, all well$', output, re.M)[1]) > 5000
