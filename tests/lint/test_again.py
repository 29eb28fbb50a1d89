"""What failed once is tried again, alone: only a test that then passes each time is unsteady."""
import pathlib
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
BODY = '''
import pathlib
import pytest


@pytest.mark.parametrize('way', ['a.b', 'c'])
def test_it(way):
    runs = pathlib.Path(__file__).with_name(f'runs-{way}')
    runs.open('a').write('x')
    assert len(runs.read_text()) in %s
'''


def run(folder, *arguments):
    return subprocess.run([sys.executable, *arguments], cwd=folder, text=True, check=False,
                          capture_output=True)


@pytest.fixture
def suite(tmp_path):
    def make(good, modules=1):
        (tmp_path / 'tests/system').mkdir(parents=True)
        (tmp_path / 'tests/pytest.ini').write_text('[pytest]\naddopts = -q -p no:cacheprovider\n')
        for n in range(modules):
            folder = tmp_path / f'tests/system/{n}'
            folder.mkdir()
            (folder / f'test_sample{n}.py').write_text(BODY % good)
        results = tmp_path / 'results'
        results.mkdir()
        junit = results / 'crash.xml'
        first = run(tmp_path, '-m', 'pytest', '-c', 'tests/pytest.ini', '--rootdir=tests',
                    f'--junitxml={junit}', 'tests/system')
        assert first.returncode == 1
        again = run(tmp_path, TESTS / 'again.py', 'pytest', junit)
        said = run(tmp_path, TESTS / 'tally.py', results, 'none', 'crash')
        return again.returncode, said.stdout, said.returncode
    return make


def test_passes_alone(suite):
    status, said, ended = suite('{2, 3, 4}')
    assert status == 0 and ended == 0
    assert said.count('unsteady, failed once') == 2 and 'test_sample0.test_it[a.b]' in said
    assert said.splitlines()[-1] == '2 passed, 0 failed'


@pytest.mark.parametrize('good', ['{9}', '{2}', '{2, 3}', '{3, 4}'])
def test_fails_alone_at_least_once(suite, good):
    status, said, ended = suite(good)
    assert status == 1 and ended == 1
    assert said.splitlines()[-1] == '0 passed, 2 failed'


def test_too_many_are_not_tried(suite):
    status, said, _ = suite('{2, 3, 4}', modules=3)
    assert status == 1
    assert said.splitlines()[-1] == '0 passed, 6 failed'
