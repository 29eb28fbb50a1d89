"""./dev mutate: changes the code at random, and looks whether a test notices.

mutate.py [AREA…] [--seed N] [--count N] [--kind KIND] [--every] [--unit] [--list]
Each area (all of areas.py, or those named) gets COUNT mutants: a kind is drawn first, then a
place of it. --kind draws of one kind only, --every takes all places instead of drawing, --unit
leaves pytest out. A mutant is built in a copy of the tree under build-mutate (without
sanitizers, -O1), the tests that cover its file run, and the copy is set right again: first those
of `meson test` for all mutants, then pytest for those that are left. What survives is printed
with its file, line and change; docs/mutants.md explains those that change nothing a test could
see. Exit status 0 unless the unchanged tree fails.

On a busy machine: a selection of pytest is timed with the unchanged tree shortly before; a test
of it that fails counts if it fails once more; what does not end counts if it ends in time
without the change, else the mutant is not judged.
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

from areas import AREAS, cover
from places import KINDS, places

ROOT = pathlib.Path(__file__).resolve().parents[2]
WHERE = pathlib.Path(os.environ.get('MUTATE_BUILD_DIR', ROOT / 'build-mutate')).resolve()
TREE, BUILD = WHERE / 'tree', WHERE / 'build'
# on a busy machine a test takes longer: so many times what it took with the unchanged tree
TEST_SECONDS, PYTEST_SECONDS, TIMES, UNCHANGED_SECONDS = 60, 120, 5, 1200
FRESH_SECONDS = 900  # a time that is older is taken again
NOT_JUDGED = 'not judged'
took = {}  # test or selection → (seconds with the unchanged tree, when)


def run(command, seconds, **more):
    """Exit status, None after the time; all of what it started is ended."""
    with open(WHERE / 'output', 'wb') as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT,
                                 stdin=subprocess.DEVNULL, start_new_session=True, **more)
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()


def end_servers():
    """A test that is stopped at its first failure may leave a server of the mutant behind."""
    for entry in pathlib.Path('/proc').iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.readlink(entry / 'exe').startswith(f'{BUILD}/'):
                os.kill(int(entry.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass


def said(lines=6):
    return '\n'.join((WHERE / 'output').read_text(errors='replace').splitlines()[-lines:])


def tracked():
    out = subprocess.run(['git', '-c', 'safe.directory=*', 'ls-files', '-z', '--cached',
                          '--others', '--exclude-standard'], cwd=ROOT, capture_output=True,
                         check=True)
    return [name for name in out.stdout.decode().split('\0') if name and (ROOT / name).is_file()]


def copy_tree():
    """Only what differs is written, so that little is built again."""
    names = tracked()
    for name in names:
        target = TREE / name
        octets = (ROOT / name).read_bytes()
        if target.is_file() and target.read_bytes() == octets:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(octets)
        shutil.copymode(ROOT / name, target)
    for path in TREE.rglob('*'):
        if path.is_file() and str(path.relative_to(TREE)) not in set(names) \
                and '__pycache__' not in path.parts:
            path.unlink()


def set_up():
    WHERE.mkdir(exist_ok=True)
    copy_tree()
    if not (BUILD / 'build.ninja').exists():
        # no optimisation beyond 1, no link-time work: building is most of the time
        if run(['/usr/bin/meson', 'setup', str(BUILD), str(TREE), '-Doptimization=1',
                '-Ddebug=false'], 300) != 0:
            sys.exit(f'mutate: meson setup failed\n{said(20)}')
    elif run(['ninja', '-C', str(BUILD), 'build.ninja'], 300) != 0:  # there may be new tests
        sys.exit(f'mutate: meson failed\n{said(20)}')


def programs(names):
    """name → command line, of the meson tests that there are."""
    out = subprocess.run(['/usr/bin/meson', 'introspect', str(BUILD), '--tests'],
                         capture_output=True, check=True)
    tests = {test['name']: test['cmd'] for test in json.loads(out.stdout)}
    missing = [name for name in names if name not in tests]
    if missing:
        sys.exit(f'mutate: areas.py names tests that there are not: {" ".join(missing)}')
    return {name: tests[name] for name in names}


def build(commands):
    targets = [str(pathlib.Path(command[0]).relative_to(BUILD)) for command in commands.values()]
    return run(['ninja', '-C', str(BUILD), *targets], 600)


def limit(name, least):
    return max(least, TIMES * took[name][0]) if name in took else UNCHANGED_SECONDS


def run_unit(name, command):
    """Exit status of a meson test, None after its time."""
    return run(command, limit(name, TEST_SECONDS), cwd=BUILD)


def run_pytest(selection, names, seconds):
    """Exit status of a selection, or of some tests of it."""
    status = run(['/usr/bin/python3', '-m', 'pytest', '-c', 'tests/pytest.ini', '--rootdir=tests',
                  '-x', '-q', '-n', '2', '-m', 'not figures and not installed and not vm',
                  *(names or [selection])], seconds, cwd=TREE,
                 env={**os.environ, 'VALIJA_BUILD': str(BUILD)})
    end_servers()
    return 0 if status == 5 else status  # 5: none was chosen


def timed(name, call, *arguments):
    """A run with the unchanged tree."""
    began = time.monotonic()
    status = call(*arguments)
    took[name] = time.monotonic() - began, began
    return status


def failed_tests():
    text = (WHERE / 'output').read_text(errors='replace')
    return re.findall(r'^(?:FAILED|ERROR) (tests/\S+?\.py::.+?)(?: - .*)?$', text, re.M)


def noticed_by_unit(names):
    """The name of the first test that fails, or None. 'build': it does not compile."""
    if not names:
        return None  # ninja without a target would build all
    commands = programs(names)
    if build(commands) != 0:
        return 'build'
    for name, command in commands.items():
        status = run_unit(name, command)
        if status != 0:
            return name if status is not None else f'{name} (no end)'
    return None


def noticed_by_pytest(selections):
    if run(['ninja', '-C', str(BUILD)], 600) != 0:
        return 'build'
    for selection in selections:
        seconds = limit(selection, PYTEST_SECONDS)
        status = run_pytest(selection, [], seconds)
        if status:
            names = failed_tests()
            status = run_pytest(selection, names, seconds)
            if status:
                return names[0] if names else selection
        if status is None:
            return f'{selection} (no end)'
    return None


def covering(path):
    """The tests of a file of TREE."""
    return cover(str(path.relative_to(TREE)))


def fails_unchanged(chosen):
    """The first meson test of those that cover the chosen places that fails, twice, without any
    change: one failure may be the busy machine's."""
    names = list(dict.fromkeys(name for place in chosen for name in covering(place[0])[0]))
    commands = programs(names)
    if build(commands) != 0:
        return 'build'
    for name, command in commands.items():
        if timed(name, run_unit, name, command) != 0:
            print(f'{name} failed once without any change:\n{said(8)}', flush=True)
            if timed(name, run_unit, name, command) != 0:
                return name
    return None


def time_pytest(selections):
    """The first selection that fails without any change, of those whose time is not known."""
    old = [selection for selection in selections
           if selection not in took or took[selection][1] < time.monotonic() - FRESH_SECONDS]
    if old and run(['ninja', '-C', str(BUILD)], 600) != 0:
        return 'build'
    for selection in old:
        if timed(selection, run_pytest, selection, [], UNCHANGED_SECONDS) != 0:
            return selection
    return None


def ends_unchanged(verdict):
    """Whether a test that did not end with a mutant does so, in its time, without."""
    name = verdict.removesuffix(' (no end)')
    if '/' in name:
        seconds = limit(name, PYTEST_SECONDS)
        return run(['ninja', '-C', str(BUILD)], 600) == 0 and \
            run_pytest(name, [], seconds) is not None
    commands = programs([name])
    return build(commands) == 0 and run_unit(name, commands[name]) is not None


def files_of(area):
    for name in AREAS[area]:
        path = TREE / name
        yield from sorted(path.rglob('*.c')) if path.is_dir() else [path]


def all_places(area, kind):
    return [(path, kind, *place) for path in files_of(area)
            for place in places(path.read_text(), kind)]


def draw(area, count, kinds, chance):
    """A kind first, then a file, then a place, so that no kind drowns the others."""
    by_kind = {kind: {} for kind in kinds}
    for kind in kinds:
        for place in all_places(area, kind):
            by_kind[kind].setdefault(place[0], []).append(place)
    drawn = []
    while len(drawn) < count and any(by_kind.values()):
        kind = chance.choice([kind for kind in kinds if by_kind[kind]])
        path = chance.choice(sorted(by_kind[kind]))
        rest = by_kind[kind][path]
        drawn.append(rest.pop(chance.randrange(len(rest))))
        if not rest:
            del by_kind[kind][path]
    return drawn


def line_of(text, at):
    begin = text.rfind('\n', 0, at) + 1
    end = text.find('\n', at)
    return re.sub(r'\s+', ' ', text[begin:end].strip())


def explained():
    """What docs/mutants.md explains: `file`: `line` → `changed line`."""
    page = ROOT / 'docs' / 'mutants.md'
    text = page.read_text() if page.exists() else ''
    return set(re.findall(r'^\| `([^`]+)` \| `([^`]+)` \| `([^`]+)` \|', text, re.M))


def change(place):
    path, kind, begin, end, new = place
    text = path.read_text()
    changed = text[:begin] + new + text[end:]
    before, after = line_of(text, begin), line_of(changed, begin)
    if kind == 'return':
        before = line_of(text, text.rfind('\n{', 0, begin) - 1)
        after = new.strip()
    return {'file': str(path.relative_to(TREE)), 'line': text.count('\n', 0, begin) + 1,
            'kind': kind, 'before': before, 'after': after or '(left out)'}, changed


def with_change(place, call, argument):
    """What a stage says to a mutant; 'not judged': it did not end, nor did it without."""
    path, original = place[0], place[0].read_text()
    try:
        path.write_text(change(place)[1])
        verdict = call(argument)
    finally:
        path.write_text(original)
    if verdict and verdict.endswith('(no end)') and not ends_unchanged(verdict):
        return NOT_JUDGED
    return verdict


def say(record):
    where = f'{record["file"]}:{record["line"]}'
    verdict = record['noticed'] or ('survived (explained)' if record['explained'] else 'SURVIVED')
    print(f'{record["area"]}: {record["kind"]}: {where}: {verdict}: {record["before"]}  →  '
          f'{record["after"]}', flush=True)


def try_unit(area, place, known):
    record, _ = change(place)
    record['noticed'] = with_change(place, noticed_by_unit, covering(place[0])[0])
    record['area'] = area
    record['explained'] = (record['file'], record['before'].replace('|', '¦'),
                           record['after'].replace('|', '¦')) in known
    say(record)
    return record


def try_pytest(place, record):
    selections = covering(place[0])[1]
    broken = time_pytest(selections)
    if broken:
        print(f'{broken} fails without any change:\n{said(30)}')
        record['noticed'] = NOT_JUDGED
    else:
        record['noticed'] = with_change(place, noticed_by_pytest, selections)
    say(record)


def try_area(area, chosen, known, unit_only):
    if broken := fails_unchanged(chosen):
        sys.exit(f'mutate: {area}: {broken} fails without any change\n{said(30)}')
    records = []
    for place in chosen:
        records.append(try_unit(area, place, known))
        yield records[-1]
    if unit_only:
        return
    left = [(place, record) for place, record in zip(chosen, records)
            if not record['noticed'] and not record['explained']]
    if left:
        print(f'{area}: {len(left)} are left for pytest', flush=True)
    for place, record in sorted(left, key=lambda pair: covering(pair[0][0])[1]):
        try_pytest(place, record)


def summary(records):
    print()
    for area in sorted({r['area'] for r in records}):
        mine = [r for r in records if r['area'] == area and r['noticed'] != 'build']
        unjudged = sum(1 for r in mine if r['noticed'] == NOT_JUDGED)
        noticed = sum(1 for r in mine if r['noticed']) - unjudged
        known = sum(1 for r in mine if not r['noticed'] and r['explained'])
        counted = len(mine) - known - unjudged
        share = f'{100 * noticed / counted:.0f} %' if counted else '–'
        print(f'{area}: {len(mine)} mutants, {noticed} noticed, {known} explained, '
              f'{unjudged} not judged, {counted - noticed} survived: {share} of what can be '
              'noticed')
    left = [r for r in records if not r['noticed'] and not r['explained']]
    if left:
        print('\nsurvived:')
    for r in left:
        print(f'  {r["file"]}:{r["line"]}: {r["kind"]}: {r["before"]}  →  {r["after"]}')


def main():
    parser = argparse.ArgumentParser(prog='./dev mutate')
    parser.add_argument('area', nargs='*', metavar='AREA', help=' '.join(AREAS))
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--count', type=int, default=10, help='mutants of each area')
    parser.add_argument('--kind', action='append', choices=KINDS)
    parser.add_argument('--every', action='store_true', help='all places instead of some')
    parser.add_argument('--unit', action='store_true', help='only what meson test runs')
    parser.add_argument('--list', action='store_true', help='what would be tried, no more')
    args = parser.parse_args()
    if unknown := set(args.area) - set(AREAS):
        parser.error(f'there is no area {" ".join(sorted(unknown))}: {" ".join(AREAS)}')
    set_up()
    records, known = [], explained()
    for area in args.area or AREAS:
        chance = random.Random(f'{args.seed} {area}')
        kinds = args.kind or KINDS
        chosen = [p for kind in kinds for p in all_places(area, kind)] if args.every \
            else draw(area, args.count, kinds, chance)
        if args.list:
            for place in chosen:
                record, _ = change(place)
                print('{file}:{line}: {kind}: {before}  →  {after}'.format(**record))
            continue
        for record in try_area(area, chosen, known, args.unit):
            records.append(record)
        (WHERE / 'results.json').write_text(json.dumps(records, indent=1))
    summary(records)


if __name__ == '__main__':
    main()
