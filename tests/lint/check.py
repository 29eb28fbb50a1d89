"""Checks on the text of the tree: layers and rooms, circles of calls, headers alone, format, paths,
numbers of threats, manual pages, scripts.

check.py [--root DIR] [--build DIR] [--result FILE] CHECK…
Each check yields (what was looked at, list of complaints); one thing without complaint is one
passed. Called by ./dev lint and ./dev test; exit status 1 when anything was found.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

import circles
import layers


def tracked(root):
    """The files of the tree as git sees them, new ones too; generated ones left out."""
    out = subprocess.run(['git', '-c', 'safe.directory=*', 'ls-files', '-z', '--cached', '--others',
                          '--exclude-standard'], cwd=root, capture_output=True)
    if out.returncode:  # not a git checkout: a tarball
        names = [str(p.relative_to(root)) for p in root.rglob('*')]
        names = [n for n in names if not n.startswith(('build', '.git/'))]
    else:
        names = out.stdout.decode().split('\0')
    return sorted(root / n for n in set(names) if n and (root / n).is_file())


def sources(root, suffixes=('.c', '.h'),
            folders=('src', 'include', 'tests', 'fuzz', 'bench', 'examples')):
    return [p for p in tracked(root)
            if p.suffix in suffixes and p.relative_to(root).parts[0] in folders]


def check_layers(root):
    for path, complaints in layers.check(root).items():
        yield path, complaints


def check_circles(root):
    """Of the objects of the release build, which must be there: ./dev makes it first."""
    build = root / os.environ.get('BUILD_DIR', 'build')
    if not (build / 'compile_commands.json').is_file():
        yield build, [f'{build}: no build; ./dev build makes one']
        return
    yield from circles.check(build, root).items()


def check_threats(root):
    """A test that carries the number of a threat (threat_08_, threats_11_12_) finds it in the
    table, whose numbers ascend, each once."""
    table = root / 'docs' / 'threats.md'
    numbers = [int(n) for n in re.findall(r'^\| (\d+) \|', table.read_text(), re.M)]
    yield table, [] if numbers == sorted(set(numbers)) else [
        f'{table.relative_to(root)}: the numbers of its rows do not ascend, each once']
    for path in tracked(root):
        name = path.relative_to(root)
        if name.parts[0] not in ('tests', 'fuzz') or path.suffix not in ('.c', '.py', '.txt'):
            continue
        cited = {int(number) for text in (str(name), path.read_text(errors='replace'))
                 for run in re.findall(r'threats?_((?:\d+_)+)', text)
                 for number in run.strip('_').split('_')}
        yield name, [f'{name}: cites threat {number}, which {table.relative_to(root)} does not have'
                     for number in sorted(cited - set(numbers))]


def pkg_config_flags():
    packages = ['libcrypto', 'libevent_core', 'libgsasl', 'libseccomp']
    out = subprocess.run(['pkg-config', '--cflags', *packages], capture_output=True, text=True)
    return out.stdout.split()


def check_headers(root):
    """Each header compiles alone; the installed ones as strict C17 without GNU extensions."""
    flags = pkg_config_flags()
    for path in sources(root, ('.h',), ('src', 'include')):
        command = ['gcc', '-fsyntax-only', '-Wall', '-Wextra', '-Werror', '-Wno-unused-parameter',
                   '-Wno-unused-const-variable', f'-I{root / "include"}']
        if path.is_relative_to(root / 'include'):
            command += ['-std=c17', '-pedantic']
        else:
            command += ['-std=gnu17', '-D_GNU_SOURCE', f'-I{root / "src"}', *flags]
        # twice: the include guard is part of the contract
        text = f'#include "{path}"\n#include "{path}"\n'
        out = subprocess.run([*command, '-x', 'c', '-'], input=text, capture_output=True, text=True)
        yield path.relative_to(root), out.stderr.splitlines() if out.returncode else []


def check_format(root):
    for path in sources(root):
        out = subprocess.run(['clang-format-14', '--dry-run', '-Werror', path],
                             capture_output=True, text=True)
        first = [line for line in out.stderr.splitlines() if 'error:' in line][:1]
        yield path.relative_to(root), first if out.returncode else []
    for path in tracked(root):
        if path.suffix == '.py':
            yield path.relative_to(root), [
                f'{path.relative_to(root)}:{number}: {len(line)} characters, more than 100'
                for number, line in enumerate(path.read_text().splitlines(), 1) if len(line) > 100]


def check_paths(root):
    """No file names a path of the machine it was written on: a checkout, a home, a build."""
    places = {str(root.resolve())}
    home = os.environ.get('HOME', '/')
    if home.count('/') > 1:
        places.add(home)
    pattern = re.compile('|'.join(re.escape(p) + r'(?![\w-])' for p in sorted(places)) +
                         r'|(?<![\w./$}])/(?:workspace|builds)/\w'
                         r'|/home/(?!user\b|NAME\b|anna\b|m/anna\b)\w')
    for path in tracked(root):
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            lines = path.read_bytes().decode('latin-1').splitlines()
        if path == pathlib.Path(__file__).resolve():
            continue
        yield path.relative_to(root), [f'{path.relative_to(root)}:{number}: names {found.group(0)}'
                                       for number, line in enumerate(lines, 1)
                                       if (found := pattern.search(line))]


def check_man(root):
    for path in tracked(root):
        if path.parent == root / 'man' and re.fullmatch(r'\.[1-8]', path.suffix):
            out = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning', path],
                                 capture_output=True, text=True)
            yield path.relative_to(root), (out.stdout + out.stderr).splitlines()


def check_shell(root):
    for path in tracked(root):
        first = path.open('rb').readline()
        if re.match(rb'#!\s*/(usr/)?bin/(env )?(ba|da)?sh\b', first):
            out = subprocess.run(['shellcheck', '-f', 'gcc', path], capture_output=True, text=True)
            yield path.relative_to(root), out.stdout.splitlines()


CHECKS = {'layers': check_layers, 'circles': check_circles, 'threats': check_threats,
          'headers': check_headers, 'format': check_format, 'paths': check_paths,
          'man': check_man, 'shell': check_shell}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--root', type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument('--result', type=pathlib.Path)
    parser.add_argument('check', nargs='+', choices=CHECKS)
    args = parser.parse_args()
    passed = failed = 0
    for name in args.check:
        looked = bad = 0
        for _, complaints in CHECKS[name](args.root):
            looked += 1
            bad += bool(complaints)
            for complaint in complaints:
                print(f'{name}: {complaint}')
        print(f'{name}: {looked} looked at, {bad} with complaints')
        # one check is one test: thousands of files must not drown the tests of behaviour
        passed += not bad
        failed += bool(bad)
    if args.result:
        args.result.write_text(json.dumps({'passed': passed, 'failed': failed}))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
