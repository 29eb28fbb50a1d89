"""Prints what gcovr --json-summary found, a line a folder of src: ./dev coverage calls it."""
import collections
import json
import sys


def share(part, whole):
    return f'{100 * part / whole:.1f}' if whole else '–'


def folder_of(file):
    """src/pop3 …; the server's rooms by themselves."""
    parts = file.split('/')[:-1]
    return '/'.join(parts[:3 if parts[1] == 'server' else 2])


def main():
    folders = collections.defaultdict(lambda: [0, 0, 0, 0])
    for file in json.load(open(sys.argv[1]))['files']:
        numbers = [file[key] for key in ('line_covered', 'line_total', 'branch_covered',
                                         'branch_total')]
        for name in folder_of(file['filename']), 'all':
            folders[name] = [a + b for a, b in zip(folders[name], numbers)]
    print(f'{"folder":24}{"lines":>8}{"%":>8}{"branches":>10}{"%":>8}')
    for name in sorted(folders, key=lambda name: (name == 'all', name)):
        line, lines, branch, branches = folders[name]
        print(f'{name:24}{lines:8}{share(line, lines):>8}{branches:10}'
              f'{share(branch, branches):>8}')


if __name__ == '__main__':
    main()
