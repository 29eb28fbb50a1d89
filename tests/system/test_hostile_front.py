"""Processes at their worst, played by the programs of tests/hostile against real ones."""
import os
import subprocess

from office import Office, PASSWORD, build_dir, environment


def play(office, program, *arguments):
    """As an ordinary user everything has one uid, which is all that these programs can play."""
    office.stop()
    os.system(f'chown -R {os.geteuid()} {office.dir}/mail')
    run = subprocess.run([build_dir() / 'tests/hostile' / program, build_dir() / 'valijad',
                          office.conf, *arguments],
                         env=environment(), capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stdout + run.stderr
    assert 'Sanitizer' not in run.stderr and 'runtime error' not in run.stderr
    return run.stdout


def test_threat_29_62_a_front_that_lies():
    with Office(users=('demo',)) as office:
        office.put('demo', b'Subject: one\n\n' + b'still here\n' * 2500)
        assert 'everything held' in play(office, 'hostile_front', 'demo', PASSWORD)


def test_threat_27_answers_of_keepers_that_die_or_start():
    """Whoever waits for an answer gets one, whenever the one who owes it ends or begins."""
    with Office(users=('demo',)) as office:
        office.maildir('demo')
        assert play(office, 'lost_answers', 'demo').count('held') == 2
