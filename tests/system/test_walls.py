"""An attacker owns a process: each call that would take them further, tried inside the sandbox of
each role, as root and not. docs/architecture.md has the outcomes; this compares."""
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from office import NOBODY, ROOT, build_dir

pytestmark = pytest.mark.plain
PAGE = ROOT / 'docs/architecture.md'
REFUSED = {'ENOSYS', 'EACCES', 'ENOENT', 'EPERM', 'EINVAL'}


def documented():
    """{attempt: {role: outcome}} of the table whose first heading is "attempt"."""
    lines = PAGE.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith('| attempt |'))
    roles = cells(lines[at])[1:]
    table = {}
    for line in lines[at + 2:]:
        if not line.startswith('|'):
            break
        attempts, *outcomes = cells(line)
        for attempt in attempts.split('; '):
            assert attempt not in table, f'"{attempt}" stands twice'
            table[attempt] = dict(zip(roles, outcomes))
    return table


def cells(line):
    return [cell.strip().strip('`') for cell in line.strip().strip('|').split('|')]


def played(folder, runas=None):
    program = shutil.copy(build_dir() / 'tests/hostile/walls', folder)
    files = folder / 'files'
    files.mkdir()
    if runas is not None:
        os.chown(files, runas, runas)
    done = subprocess.run(
        ([] if runas is None else
         ['setpriv', f'--reuid={runas}', f'--regid={runas}', '--clear-groups'])
        + [program, files], text=True, capture_output=True, timeout=300)
    if 'no Landlock' in done.stderr or 'no seccomp' in done.stderr:
        pytest.skip('this kernel has no Landlock or no seccomp')
    assert done.returncode == 0, done.stderr
    return [line.split('\t') for line in done.stdout.splitlines()]


def fits(outcome, wanted):
    if wanted == 'killed':
        return outcome in ('killed', 'not there')
    return outcome in REFUSED if wanted == '–' else outcome == wanted


def compare(lines, root):
    table, wrong, seen = documented(), [], set()
    for role, attempt, outcome in lines:
        wanted = table.get(attempt, {}).get(role)
        seen.add((attempt, role))
        if wanted == 'done¹':
            wanted = '–' if root else 'done'
        if wanted is None or not fits(outcome, wanted):
            wrong.append(f'{role}: {attempt}: {outcome}, the page has {wanted}')
    wrong += [f'{role}: {attempt}: on the page, but never tried' for attempt, row in table.items()
              for role in row if (attempt, role) not in seen]
    assert not wrong, '\n'.join(wrong)
    assert len(seen) > 400


@pytest.fixture
def open_folder():
    """Everybody may enter it: another run of the tests closes the folder of pytest's own."""
    with tempfile.TemporaryDirectory(prefix='valija-walls-') as folder:
        path = pathlib.Path(folder)
        path.chmod(0o755)
        yield path


def test_threat_67_walls_of_every_role_as_root(open_folder, need_root):
    compare(played(open_folder), root=True)


def test_threat_67_walls_of_every_role_as_a_user(open_folder):
    compare(played(open_folder, NOBODY if os.geteuid() == 0 else None), root=False)


@pytest.mark.parametrize('lies', [{'done': 'killed', 'killed': 'done'}, {'killed': 'done'}])
def test_the_comparison_can_fail(lies):
    table = documented()
    lines = [[role, attempt, lies.get(outcome, 'not there')]
             for attempt, row in table.items() for role, outcome in row.items()]
    with pytest.raises(AssertionError) as failure:
        compare(lines, root=True)
    assert all(f'{role}: {attempt}: {outcome}, ' in str(failure.value)
               for role, attempt, outcome in lines)
