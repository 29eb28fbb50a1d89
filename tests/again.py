"""Tries what failed beside other tests three times more, alone; ends with 0 if all of it passed.

again.py pytest JUNIT      what failed in this file of pytest's; names that passed go to JUNIT.again
again.py meson TESTLOG DIR what failed in meson's testlog.json of the build DIR; to TESTLOG.again

Two processors run three of these tests at once, each with servers and databases of its own, and
a loop that waits ten seconds for one of them may wait in vain. A test that passes alone three
times of three is *unsteady*: `./dev test` names it after the count and keeps its first words. It
has to be mended, but it is not the change under test that broke it. More than MOST at once are a
fault of the change: then nothing is tried again. Crash and soak tests never are: what they find
is rare by nature.
"""
import json
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as xml

MOST = 5
TIMES = 3


def failed_in_junit(path):
    return [f'{case.get("classname")}.{case.get("name")}'
            for case in xml.parse(path).getroot().iter('testcase')
            if {child.tag for child in case} & {'failure', 'error'}]


def failed_in_testlog(path):
    tests = (json.loads(line) for line in path.read_text().splitlines())
    return [test['name'] for test in tests
            if test['result'] not in ('OK', 'EXPECTEDFAIL', 'SKIP')]


def node_of(name):
    """The test that JUnit calls system.test_x.test_y[a.b]."""
    head, bracket, values = name.partition('[')
    module, _, function = head.rpartition('.')
    return f'tests/{module.replace(".", "/")}.py::{function}{bracket}{values}'


def pytest_passes(name):
    command = [sys.executable, '-m', 'pytest', '-c', 'tests/pytest.ini', '--rootdir=tests']
    return subprocess.run([*command, '-n', '0', node_of(name)], check=False).returncode == 0


def meson_passes(build, name):
    command = ['/usr/bin/meson', 'test', '-C', build, '--no-rebuild', '--print-errorlogs',
               '--logbase', 'again']
    return subprocess.run([*command, name.split(' / ')[-1]], check=False).returncode == 0


def main():
    kind, path = sys.argv[1], pathlib.Path(sys.argv[2])
    if not path.exists():
        return 1
    names = failed_in_junit(path) if kind == 'pytest' else failed_in_testlog(path)
    names = list(dict.fromkeys(names))  # one that fails in its end as well is there twice
    if not names or len(names) > MOST:
        return 1
    unsteady = []
    for name in names:
        print(f'== again, alone: {name}', flush=True)
        passes = ((lambda: pytest_passes(name)) if kind == 'pytest'
                  else lambda: meson_passes(sys.argv[3], name))
        if all(passes() for _ in range(TIMES)):
            unsteady.append(name)
    path.with_name(path.name + '.again').write_text('\n'.join(unsteady))
    return 0 if unsteady == names else 1


sys.exit(main())
