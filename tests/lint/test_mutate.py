"""The map of tests that ./dev mutate runs: it names what there is, and leaves out no program."""
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests' / 'mutate'))
from areas import AREAS, COVER, cover  # noqa: E402
from places import places  # noqa: E402


def rows(path, pattern):
    found = re.findall(pattern, (ROOT / path).read_text(), re.M)
    assert found
    return found


UNIT = {f'test_{folder}_{name}'
        for folder, name in rows('tests/unit/meson.build', r"^  \['(\w+)', '(\w+)', \[")}
CORPORA = {f'corpus_{name}' for name in rows('fuzz/meson.build', r"^  \['(\w+)', \[")}
OTHERS = {'test_pop3_message_portable', 'transcripts', 'transcripts_lmtp'}


def test_each_test_of_the_map_is_there():
    for names, selections in COVER.values():
        assert not set(names) - UNIT - CORPORA - OTHERS
        assert not [path for path in selections if not (ROOT / path).is_file()]


def test_no_test_program_is_left_out():
    named = {name for names, _ in COVER.values() for name in names}
    assert not (UNIT | CORPORA) - named


def test_each_path_of_the_map_is_there():
    assert not [path for path in COVER if not (ROOT / path).exists()]


@pytest.mark.parametrize('area', AREAS)
def test_each_file_of_an_area_has_tests(area):
    for path in AREAS[area]:
        files = (ROOT / path).rglob('*.c') if (ROOT / path).is_dir() else [ROOT / path]
        for file in files:
            names, selections = cover(str(file.relative_to(ROOT)))
            assert names or selections


def test_the_longest_path_counts():
    assert cover('src/server/auth/queue.c') != cover('src/server/auth/auth.c')
    assert cover('src/server/auth/hold.c') == cover('src/server/auth/auth.c')
    assert cover('src/maildrop/index/view.c') == COVER['src/maildrop/index']


def mutants(line, kind):
    source = f'static int f(void)\n{{\n\t{line}\n}}\n'
    return [source[:begin] + new + source[end:] for begin, end, new in places(source, kind)]


@pytest.mark.parametrize('line', [
    'return a < b ? a : b;', 'x = 4 * a > b ? b : 4 * a;', 'if (it->fds[1] >= 0)'])
def test_a_change_that_changes_nothing_is_not_tried(line):
    assert not mutants(line, 'relation')


@pytest.mark.parametrize('line', [
    'return a < b ? a : c;', 'x = 4 * a > b ? c : b;', 'if (n >= 0)', 'if (fd == 0)',
    'if (fd < 3)', 'return a < b;'])
def test_another_one_is(line):
    assert len(mutants(line, 'relation')) == 1


def test_constants():
    assert not mutants('x = calloc(1, size);', 'constant')
    assert not mutants('if (chan->fd < 0)', 'constant')
    assert not mutants('char text[2 * sizeof(id) + 1], more[4 + 1];', 'constant')
    assert len(mutants('x = f(1, size);', 'constant')) == 1
    assert len(mutants('x[n + 1] = 0;', 'constant')) == 2
    assert len(mutants('return x[n + 1];', 'constant')) == 1
    assert len(mutants('if (n < 0)', 'constant')) == 1
