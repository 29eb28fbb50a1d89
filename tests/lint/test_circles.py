"""The check of circles must be able to fail: objects of a few lines each, built here."""
import json
import subprocess

import circles


def build(root, sources):
    commands = []
    for name, text in sources.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        target = name.replace('/', '_') + '.o'
        subprocess.run(['gcc', '-c', path, '-o', root / target], check=True)
        commands.append({'directory': str(root), 'file': str(path), 'output': target})
    (root / 'compile_commands.json').write_text(json.dumps(commands))
    return {source: found for source, found in circles.check(root, root).items() if found}


DOWN = {
    'src/sys/a.c': 'int b(void); int a(void); int a(void) { return b(); }',
    'src/sys/b.c': 'int b(void); int b(void) { return 1; }',
    'tests/t.c': 'int a(void); int main(void) { return a(); }',
}


def test_calls_that_go_down_are_no_circle(tmp_path):
    assert build(tmp_path, DOWN) == {}


def test_two_files_that_call_each_other(tmp_path):
    found = build(tmp_path, {**DOWN, 'src/sys/b.c':
                             'int a(void); int b(void); int b(void) { return a(); }'})
    assert sorted(found) == ['src/sys/a.c', 'src/sys/b.c']
    assert 'takes b from src/sys/b.c' in found['src/sys/a.c'][0]


def test_a_circle_by_way_of_a_third_file_and_a_variable(tmp_path):
    found = build(tmp_path, {**DOWN,
                             'src/sys/b.c': 'extern int c; int b(void); int b(void) { return c; }',
                             'src/sys/c.c': 'int a(void); int c; int d(void);'
                                            'int d(void) { return a(); }'})
    assert sorted(found) == ['src/sys/a.c', 'src/sys/b.c', 'src/sys/c.c']


def test_a_pointer_that_is_handed_over_is_no_circle(tmp_path):
    assert build(tmp_path, {
        'src/sys/a.c': 'int b(int (*)(void)); static int up(void) { return 0; }'
                       'int a(void); int a(void) { return b(up); }',
        'src/sys/b.c': 'int b(int (*)(void)); int b(int (*call)(void)) { return call(); }',
    }) == {}
