"""A front that an attacker owns: tests/hostile/hostile_front.c plays it against real processes."""
import os
import subprocess

from office import Office, PASSWORD, build_dir, environment


def test_threat_29_a_front_that_lies():
    # as an ordinary user everything has one uid, which is all that this program can play
    with Office(users=('demo',)) as office:
        office.put('demo', b'Subject: one\n\n' + b'still here\n' * 2500)
        office.stop()
        os.system(f'chown -R {os.geteuid()} {office.dir}/mail')
        run = subprocess.run([build_dir() / 'tests/hostile/hostile_front',
                              build_dir() / 'valijad', office.conf, 'demo', PASSWORD],
                             env=environment(), capture_output=True, text=True, timeout=240)
        assert run.returncode == 0, run.stdout + run.stderr
        assert 'everything held' in run.stdout
        assert 'Sanitizer' not in run.stderr and 'runtime error' not in run.stderr
