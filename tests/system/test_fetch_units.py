"""The units of `valija fetch`, as systemd reads them."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetching import program  # noqa: E402

USER = ['valija-fetch.service', 'valija-fetch.timer', 'valija-fetch-watch.service']


def unit(name, folder, target):
    """The unit with the program of this build, in target."""
    source = next(path for path in (folder / f'{name}.in', folder / name) if path.exists())
    text = source.read_text().replace('@bindir@/valija', str(program()))
    text = text.replace('@configuration@', '/etc/valija/fetch.conf')
    assert '@' not in re.sub(r'@(system-service|privileged|resources|sandbox)\b', '', text)
    (target / name).write_text(text)
    return target / name


def analyze(*words):
    if not shutil.which('systemd-analyze'):
        pytest.skip('systemd-analyze is not here')
    done = subprocess.run(['systemd-analyze', *map(str, words)], capture_output=True, text=True,
                          env={**os.environ, 'SYSTEMD_COLORS': '0'}, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize('name', USER)
def test_units_of_users_are_understood(tmp_path, name):
    for each in USER:
        unit(each, ROOT / 'dist/systemd/user', tmp_path)
    code, said = analyze('verify', '--user', '--man=no', tmp_path / name)
    about = [line for line in said.splitlines() if str(tmp_path) in line]
    assert not about and (code == 0 or 'Failed to' in said), said


def test_the_unit_of_a_site_is_understood(tmp_path):
    file = unit('valija-fetch-watch.service', ROOT / 'dist/systemd', tmp_path)
    code, said = analyze('verify', '--man=no', file)
    about = [line for line in said.splitlines() if str(tmp_path) in line]
    assert not about and (code == 0 or 'Failed to' in said), said


def test_the_unit_of_a_site_has_off_what_it_does_not_need(tmp_path):
    file = unit('valija-fetch-watch.service', ROOT / 'dist/systemd', tmp_path)
    code, said = analyze('security', '--offline=yes', '--threshold=20', file)
    if 'unrecognized option' in said:
        pytest.skip('this systemd-analyze does not judge files')
    assert code == 0, said


def test_a_mistake_in_a_unit_is_found(tmp_path):
    """The tests above can fail."""
    file = unit('valija-fetch-watch.service', ROOT / 'dist/systemd', tmp_path)
    file.write_text(file.read_text().replace('Restart=on-failure', 'Restart=on-fire'))
    code, said = analyze('verify', '--man=no', file)
    assert 'on-fire' in said
