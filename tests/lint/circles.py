"""Circles of calls: no object file may reach itself through the symbols that others define.

The compiler's own output is read (nm of the objects of a Meson build), so a call that goes through
a header's macro counts as well. A pointer that is handed over at run time is no symbol, and no
circle: that is how a circle is opened where two halves need each other.
"""
import json
import subprocess


def objects(build, root):
    """{source as a path from the root: object file} of the sources below src/ and include/."""
    result = {}
    for entry in json.loads((build / 'compile_commands.json').read_text()):
        directory = build.__class__(entry['directory'])
        source = (directory / entry['file']).resolve()
        target = directory / entry['output']
        if source.is_relative_to((root / 'src').resolve()) and target.is_file():
            result[str(source.relative_to(root.resolve()))] = target
    return result


def symbols(target):
    """(symbols that the object defines for others, symbols that it takes)."""
    out = subprocess.run(['nm', '--extern-only', '--format=posix', target],
                         capture_output=True, text=True, check=True).stdout
    defined, taken = set(), set()
    for line in out.splitlines():
        name, kind = line.split()[:2]
        (taken if kind in 'Uvw' else defined).add(name)
    return defined, taken


def graph(found):
    """{source: {source that defines something it takes: the names}}."""
    tables = {source: symbols(target) for source, target in found.items()}
    home = {name: source for source, (defined, _) in tables.items() for name in defined}
    result = {}
    for source, (_, taken) in tables.items():
        result[source] = {}
        for name in taken:
            if home.get(name, source) != source:
                result[source].setdefault(home[name], set()).add(name)
    return result


def reached(arrows, start):
    seen, todo = set(), list(arrows[start])
    while todo:
        source = todo.pop()
        if source not in seen:
            seen.add(source)
            todo += arrows.get(source, ())
    return seen


def check(build, root):
    """{source: [complaints]}: one complaint an arrow that closes a circle."""
    arrows = graph(objects(build, root))
    reach = {source: reached(arrows, source) for source in arrows}
    return {source: [f'{source}: takes {", ".join(sorted(names)[:4])} from {other}, '
                     'which calls back: a circle'
                     for other, names in sorted(targets.items()) if source in reach[other]]
            for source, targets in arrows.items()}
