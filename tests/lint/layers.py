"""The layers of the house (docs/architecture.md), enforced on the #include lines.

A file includes its own folder and lower layers; programs never include each other; nothing includes
a .c file; no cycles among headers; a library is used only in the folders that are its one door.
"""
import re

# folder → folders of src/ that it may include besides itself; every one may include include/pop3
ALLOWED = {
    'base': (),
    'pop3': ('base',),
    'lmtp': ('base',),
    'sys': ('base',),
    'ipc': ('base', 'pop3', 'lmtp', 'sys'),
    'maildrop': ('base', 'pop3', 'lmtp', 'sys'),
    'users': ('base', 'pop3', 'lmtp', 'sys'),
    'config': ('base', 'pop3', 'lmtp', 'sys'),
    'server': ('base', 'pop3', 'lmtp', 'sys', 'ipc', 'maildrop', 'users', 'config'),
    'fetch': ('base', 'pop3', 'lmtp', 'sys', 'ipc', 'maildrop', 'users', 'config'),
    'cli': ('base', 'pop3', 'lmtp', 'sys', 'ipc', 'maildrop', 'users', 'config'),
}

# the command's main hands `valija fetch` over: the one include between programs
EXCEPTIONS = {('src/cli/main.c', 'src/fetch/fetch.h')}

# headers of the system and of libraries → folders that may include them; not named: all may
DOORS = (
    (r'event2/', ('sys',)),
    (r'seccomp\.h|linux/(seccomp|filter|landlock)\.h', ('sys',)),
    (r'confuse\.h', ('config', 'fetch')),
    (r'gsasl\.h', ('users', 'fetch')),
    (r'crypt\.h|argon2\.h', ('users', 'cli')),
    (r'systemd/', ('sys', 'server')),
)

# what makes a machine without I/O have I/O
NO_IO = re.compile(r'unistd\.h|fcntl\.h|stdio\.h|poll\.h|time\.h|pthread\.h|signal\.h|'
                   r'sys/(socket|stat|uio|mman|epoll|types)\.h|netinet/|arpa/|openssl/')
WITHOUT_IO = ('include/pop3', 'src/pop3', 'src/lmtp')

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def folder_of(name):
    parts = name.split('/')
    return '/'.join(parts[:2]) if parts[0] in ('src', 'include') and len(parts) > 2 else parts[0]


def resolve(root, file, kind, name):
    """The tree's file an #include means, as a path from the root; None: outside the tree."""
    places = [root / 'include', root / 'src']
    if kind == '"':
        places.insert(0, file.parent)
    for place in places:
        path = (place / name).resolve()
        if path.is_file() and path.is_relative_to(root.resolve()):
            return str(path.relative_to(root.resolve()))
    return None


def may_include(file, target):
    own, other = folder_of(file), folder_of(target)
    if own == other or other == 'include/pop3' or (file, target) in EXCEPTIONS:
        return own != 'include/pop3' or other == own
    if own == 'include/pop3':
        return False
    if own.startswith('src/'):
        return other.removeprefix('src/') in ALLOWED.get(own.removeprefix('src/'), ())
    if own == 'examples':
        return False  # an example proves the installed headers
    return True  # tests, fuzz targets and benches look inside


def check_outside(file, name):
    folder = folder_of(file)
    if folder in WITHOUT_IO and NO_IO.match(name):
        yield f'{file}: includes <{name}>, but {folder} has no I/O'
    if folder.startswith('src/'):
        for pattern, folders in DOORS:
            if re.match(pattern, name) and folder.removeprefix('src/') not in folders:
                yield f'{file}: includes <{name}>, whose door is src/{" or src/".join(folders)}'


def cycles(graph):
    """Every header that can reach itself."""
    for start in graph:
        seen, todo = set(), list(graph[start])
        while todo:
            name = todo.pop()
            if name == start:
                yield start
                break
            if name not in seen:
                seen.add(name)
                todo += graph.get(name, ())


def check(root):
    """{file: [complaints]} for every C file of the tree below root."""
    result, graph = {}, {}
    for top in ('src', 'include', 'tests', 'fuzz', 'bench', 'examples'):
        for path in sorted((root / top).rglob('*.[ch]')):
            file = str(path.relative_to(root))
            complaints = result.setdefault(file, [])
            folder = folder_of(file)
            if folder.startswith('src/') and folder.removeprefix('src/') not in ALLOWED:
                complaints.append(f'{file}: {folder} has no layer; tests/lint/layers.py gives it')
            for kind, name in INCLUDE.findall(path.read_text(errors='replace')):
                target = resolve(root, path, kind, name)
                if target is None:
                    complaints += check_outside(file, name)
                    continue
                graph.setdefault(file, set()).add(target)
                if target.endswith('.c') and top not in ('tests', 'fuzz', 'bench'):
                    complaints.append(f'{file}: includes {target}, a .c file')
                if not may_include(file, target):
                    complaints.append(f'{file}: includes {target}, which is not below it')
    for file in cycles(graph):
        result[file].append(f'{file}: includes itself by way of others')
    return result
