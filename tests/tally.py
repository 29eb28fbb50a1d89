"""Adds up what `./dev test` ran and prints it; the last line is `N passed, N failed[, N skipped]`.

tally.py RESULTS TESTLOG PART…
RESULTS holds pytest's *.xml, check.py's *.json and failed-parts; TESTLOG is meson's testlog.json.
What again.py found unsteady is named, and counted as passed.
A part that failed without a counted failure (a crash of its runner) counts as one failure.
"""
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as xml


class Count:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        text = f'{self.passed} passed, {self.failed} failed'
        return text + (f', {self.skipped} skipped' if self.skipped else '')


def unsteady_of(path):
    again = path.with_name(path.name + '.again')
    return again.read_text().splitlines() if again.exists() else []


def from_junit(path):
    count = Count()
    unsteady = unsteady_of(path)
    for case in xml.parse(path).getroot().iter('testcase'):
        outcomes = {child.tag for child in case}
        name = f'{case.get("classname")}.{case.get("name")}'
        if outcomes & {'failure', 'error'} and name in unsteady:
            count.passed += 1
            print(f'  unsteady, failed once and passed three times alone: {name}')
        elif outcomes & {'failure', 'error'}:
            count.failed += 1
            print(f'  failed: {name}')
        elif 'skipped' in outcomes:
            count.skipped += 1
            reason = next(child for child in case if child.tag == 'skipped').get('message', '')
            print(f'  skipped: {name}: {reason}')
        else:
            count.passed += 1
    return count


def from_meson(path):
    """A cmocka program counts as the tests it ran, any other program as one."""
    count = Count()
    unsteady = unsteady_of(path)
    for line in path.read_text().splitlines():
        test = json.loads(line)
        output = (test.get('stdout') or '') + (test.get('stderr') or '')
        passed = sum(map(int, re.findall(r'^\[  PASSED  \] (\d+) test', output, re.M)))
        failed = sum(map(int, re.findall(r'^\[  FAILED  \] (\d+) test', output, re.M)))
        skipped = sorted(set(re.findall(r'^\[  SKIPPED \] (\w+)$', output, re.M)))
        for name in skipped:
            print(f'  skipped: {test["name"]}: {name}')
        if test['result'] in ('OK', 'EXPECTEDFAIL'):
            count.add(Count(passed=max(passed, 0 if skipped else 1), failed=failed,
                            skipped=len(skipped)))
        elif test['result'] == 'SKIP':
            count.add(Count(skipped=1))
        elif test['name'] in unsteady:
            count.add(Count(passed=passed + max(failed, 1), skipped=len(skipped)))
            print(f'  unsteady, failed once and passed three times alone: {test["name"]}')
        else:
            count.add(Count(passed=passed, failed=max(failed, 1)))
            print(f'  failed: {test["name"]} ({test["result"]})')
    return count


def part_files(results, testlog, part):
    names = {'lint': ['lint.json', 'lint-tests.xml'], 'unit': [],
             'system': ['system-sanitized.xml', 'system-release.xml'], 'crash': ['crash.xml']}[part]
    return [results / name for name in names] + ([testlog] if part == 'unit' else [])


def main():
    results, testlog, parts = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    failed_parts = results / 'failed-parts'
    broken = failed_parts.read_text().split() if failed_parts.exists() else []
    total = Count()
    lines = []
    for part in parts:
        count = Count()
        for path in part_files(results, testlog, part):
            if not path.exists():
                continue
            if path.suffix == '.xml':
                count.add(from_junit(path))
            elif path == testlog:
                count.add(from_meson(path))
            else:
                count.add(Count(**json.loads(path.read_text())))
        if part in broken and not count.failed:
            print(f'  failed: {part} ended badly')
            count.failed = 1
        lines.append(f'{part}: {count}')
        total.add(count)
    print('\n'.join(lines))
    print(total)
    return 1 if total.failed or not total.passed else 0


sys.exit(main())
