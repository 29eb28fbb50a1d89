"""The layers and rooms of the house (docs/architecture.md), enforced on the #include lines.

A file includes its own folder and lower layers; programs never include each other; a room of a
folder includes its siblings only where ROOMS says so, and is entered by its door; nothing includes
a .c file; no cycles among headers; a library is included by its one door. A permission that nothing
uses is a complaint as well: the tables say what is, not what might be.
"""
import re

# folder → folders of src/ that it may include besides itself; every one may include include/pop3
ALLOWED = {
    'base': (),
    'pop3': (),
    'lmtp': ('base',),
    'sys': ('base',),
    'ipc': ('sys',),
    'maildrop': ('base', 'lmtp', 'sys'),
    'users': ('base', 'lmtp', 'sys', 'config'),
    'config': ('base',),
    'server': ('base', 'lmtp', 'sys', 'ipc', 'maildrop', 'users', 'config'),
    'oauth': ('base',),
    'https': ('base', 'sys'),
    'lookup': ('base', 'sys', 'https', 'ipc', 'config', 'users', 'server', 'oauth'),
    'rados': ('base', 'config', 'maildrop', 'server'),
    'fetch': ('base', 'sys', 'https', 'maildrop', 'oauth'),
    'cli': ('base', 'lmtp', 'sys', 'ipc', 'maildrop', 'users', 'config', 'oauth'),
}

# the command's main hands `valija fetch` over: the one include between programs
EXCEPTIONS = {('src/cli/main.c', 'src/fetch/fetch.h')}

# Rooms: sub-folders by process or subject. Folder → room → its siblings that it may include. The
# files on the folder's own ground may include each room; each room may include the ground.
ROOMS = {
    'server': {'monitor': (), 'front': (), 'lmtp': (), 'auth': (), 'keeper': (), 'keys': (),
               'mta': (), 'logins': (), 'control': (), 'status': (), 'locker': ()},
    'maildrop': {'index': (), 'maildir': ('index',), 'mbox': ('index',), 'remote': ('index',),
                 'rados': ('index',)},
    'fetch': {'account': (), 'report': (), 'https': (),
              'oauth': ('account', 'https', 'journal'),
              'doctor': ('account', 'journal', 'oauth', 'report', 'session'),
              'setup': ('account', 'https', 'journal', 'oauth', 'report', 'session'),
              'watch': ('account', 'journal'), 'import': ('account', 'journal'),
              'session': ('account',), 'journal': ('account',),
              'upload': (), 'sink': ('account', 'journal', 'oauth', 'upload'),
              'collect': ('account', 'session', 'journal', 'sink', 'report')},
    'lookup': {'passwd_file': (), 'ldap': (), 'sql': (), 'system': (), 'web': (),
               'http': ('web',), 'oauth': ('web',)},
    'rados': {'tool': ()},
    'cli': {'doctor': (), 'import': (), 'migrate': ()}, 'cli/import': {'cyrus': (), 'settings': ()},
    'cli/migrate': {'follow': ()},
    'maildrop/mbox': {'adopt': ()}, 'maildrop/rados': {'engine': (), 'log': ()},
    'maildrop/maildir': {'files': (), 'update': ('files',), 'adopt': ('files', 'update'),
                         'migrate': ('adopt', 'files', 'update'),
                         'session': ('adopt', 'files', 'migrate', 'update')},
}

# A room's door is the header of its own name (x/x.h). Other headers that are open outside the
# room, with the reason; every header that is not here is for its room alone.
OPEN = {
    'fetch/account': {
        'config_file.h': 'fetch.c reads the accounts',
        'config_text.h': 'set-up and import write sections',
        'provider.h': 'where tokens come from', 'options.h': 'the policy of an account',
        'password.h': 'asked for before the process is confined',
        'password_setting.h': 'the names of its settings, for setup',
        'place.h': 'the login of a destination',
    },
    'fetch/journal': {
        'delivery_id.h': 'sinks name deliveries by it', 'state.h': 'run.c locks an account',
    },
    'fetch/oauth': {'login.h': 'valija fetch login'},
    'fetch/report': {'json.h': 'events have two forms'},
    'fetch/session': {
        'dialog.h': 'the session that collect drives', 'login.h': 'run.c chooses the login',
        'transcript.h': '--record',
    },
    'fetch/sink': {'backoff.h': 'run.c begins and ends it'},
    'cli/migrate': {'where.h': 'valija user show'},
    'maildrop/index': {
        'format.h': 'sizes and kinds of records',
        'view.h': 'a front reads the index that was lent to it',
        'write.h': 'a new base is written by maildir/update',
    },
    'maildrop/mbox': {
        'append.h': 'every writer of an mbox', 'lock.h': 'every writer of an mbox',
        'dotlock.h': 'a process that makes lock files where keepers may not',
        'bring.h': 'valija import', 'unopened.h': '`valijad -t` and `valija doctor` look for them',
    },
    'maildrop/mbox/adopt': {'enter.h': 'sessions open a mailbox by it'},
    'maildrop/rados': {
        'body_name.h': '`valija rados`', 'log/log.h': '`valija rados`',
        'engine/engine.h': 'commands about a cluster', 'health.h': '`valijad -t`',
        'mark.h': 'a new site',
    },
    'maildrop/rados/log': {'listing.h': 'what sessions see of a log'},
    'maildrop/maildir': {
        'bring.h': 'valija import', 'foreign.h': '`valijad -t` and `valija doctor` look for them',
        'migrate/migrate.h': 'valija migrate',
    },
    'maildrop/maildir/migrate': {'look.h': 'sessions are opened by it'},
    'maildrop/maildir/adopt': {
        'enter.h': 'sessions and deliveries open a maildrop by it',
        'receive.h': 'one door a subject', 'undo.h': 'one door a subject',
        'whose.h': 'one door a subject',
    },
    'maildrop/maildir/session': {
        'body.h': 'the table of the driver', 'commit.h': 'the table of the driver',
        'open.h': 'the table of the driver', 'sweep.h': 'the table of the driver',
        'expire.h': 'the table of the driver', 'undelete.h': 'the table of the driver',
    },
    'maildrop/maildir/update': {
        'compact.h': 'sweeps and deliveries', 'log.h': 'sessions and deliveries hold the log',
        'uidl.h': 'the journal of deletions names messages by their unique ids',
        'model.h': 'the locator of a session is a model of both folders',
    },
    'maildrop/maildir/files': {
        'measure.h': 'one door a subject', 'name.h': 'one door a subject',
        'place.h': 'one door a subject', 'scan.h': 'one door a subject',
        'prove.h': 'adoptions and updates show a Maildir without an index to the guard',
    },
}

# headers of the system and of libraries → the files that are their door (beginnings of paths)
DOORS = (
    (r'event2/', ('src/sys/loop', 'src/server/status/http.c')),
    (r'libpq-fe\.h', ('src/lookup/sql/postgresql.c',)),
    (r'mysql\.h|errmsg\.h', ('src/lookup/sql/mysql.c',)),
    (r'sqlite3\.h', ('src/lookup/sql/sqlite.c',)),
    (r'rados/', ('src/maildrop/rados/engine/',)),
    (r'seccomp\.h', ('src/sys/seccomp.c',)),
    (r'openssl/', ('src/sys/tls', 'src/base/digest.c', 'src/base/seal.c',
                 'src/lookup/oauth/signature.c')),
    (r'jose/', ('src/lookup/oauth/jwt.c', 'src/lookup/oauth/signature.c')),
    (r'confuse\.h', ('src/config/parse.c', 'src/fetch/account/config_file.c',
                     'src/fetch/account/config_oauth')),
    (r'idn2\.h', ('src/fetch/account/idn.c',)),
    (r'gsasl\.h', ('src/users/sasl', 'src/fetch/session/sasl.c')),
    (r'crypt\.h|argon2\.h', ('src/users/schemes.c',)),
    (r'security/', ('src/lookup/system/pam.c',)),
    (r'jansson\.h', ('src/fetch/report/json.c', 'src/fetch/session/bearer.c',
                     'src/oauth/answer.c', 'src/fetch/upload/verdict.c',
                     'src/fetch/watch/memory.c', 'src/lookup/http/message.c',
                     'src/lookup/oauth/')),
    (r'curl/', ('src/https/', 'src/lookup/web/', 'src/fetch/upload/')),
    (r'(open)?ldap\.h|lber\.h', ('src/lookup/ldap/client.c',)),
    (r'expat\.h', ('src/fetch/setup/autoconfig.c',)),
    (r'resolv\.h|arpa/nameser\.h', ('src/fetch/setup/dns.c', 'src/cli/doctor/names.c')),
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


def may_include(file, target, used):
    own, other = folder_of(file), folder_of(target)
    if (file, target) in EXCEPTIONS:
        used.add(('EXCEPTIONS', (file, target)))
        return True
    if own == other or other == 'include/pop3':
        return own != 'include/pop3' or other == own
    if own == 'include/pop3':
        return False
    if own.startswith('src/'):
        own, other = own.removeprefix('src/'), other.removeprefix('src/')
        used.add(('ALLOWED', own, other))
        return other in ALLOWED.get(own, ())
    if own == 'examples':
        return False  # an example proves the installed headers
    return True  # tests, fuzz targets and benches look inside


def rooms_of(file):
    """The rooms around a file, outermost first: 'maildrop/maildir', 'maildrop/maildir/files'."""
    parts = file.split('/')[1:-1]
    return ['/'.join(parts[:n]) for n in range(2, len(parts) + 1)]


def check_rooms(file, target, used):
    """What file may not do with a header that stands in a room or is private to its folder."""
    if not file.startswith('src/') or not target.startswith('src/'):
        return
    folder, _, header = target.rpartition('/')
    if header.endswith('_private.h') and file.rpartition('/')[0] != folder:
        yield f'{file}: includes {target}, which is private to {folder}'
    inside = rooms_of(file)
    for room in rooms_of(target):
        if room in inside:
            continue
        name = target.removeprefix(f'src/{room}/')
        if name != f'{room.rpartition("/")[2]}.h':
            used.add(('OPEN', room, name))
            if name not in OPEN.get(room, ()):
                yield f'{file}: includes {target}, which is for the room {room} alone'
                break
        parent, _, sibling = room.rpartition('/')
        own = next((r.removeprefix(parent + '/') for r in inside
                    if r.rpartition('/')[0] == parent), None)
        if own:
            used.add(('ROOMS', parent, own, sibling))
            if sibling not in ROOMS.get(parent, {}).get(own, ()):
                yield f'{file}: includes {target}, but {own} does not stand above {sibling}'
                break


def check_outside(file, name, used):
    folder = folder_of(file)
    if folder in WITHOUT_IO and NO_IO.match(name):
        yield f'{file}: includes <{name}>, but {folder} has no I/O'
    if folder.startswith('src/'):
        for pattern, files in DOORS:
            if re.match(pattern, name):
                door = next((f for f in files if file.startswith(f)), None)
                used.add(('DOORS', pattern, door))
                if not door:
                    yield f'{file}: includes <{name}>, whose door is {" or ".join(files)}'


def check_unused(used):
    """Permissions of the tables above that no file of the tree makes use of."""
    where = 'tests/lint/layers.py'
    for own, others in ALLOWED.items():
        for other in others:
            if ('ALLOWED', own, other) not in used:
                yield f'{where}: ALLOWED lets {own} include {other}, and nothing does'
    for pair in EXCEPTIONS:
        if ('EXCEPTIONS', pair) not in used:
            yield f'{where}: EXCEPTIONS has {pair[0]}, and it does not include {pair[1]}'
    for parent, rooms in ROOMS.items():
        for own, others in rooms.items():
            for other in others:
                if ('ROOMS', parent, own, other) not in used:
                    yield f'{where}: ROOMS lets {parent}/{own} include {other}, and nothing does'
    for room, names in OPEN.items():
        for name in names:
            if ('OPEN', room, name) not in used:
                yield f'{where}: OPEN has {room}/{name}, and nothing outside includes it'
    for pattern, files in DOORS:
        for file in files:
            if ('DOORS', pattern, file) not in used:
                yield f'{where}: DOORS lets {file} include {pattern}, and it does not'


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


def check_place(file):
    """Whether the tables above know the folder and the rooms that a file of src/ stands in."""
    if not file.startswith('src/'):
        return
    folder = folder_of(file).removeprefix('src/')
    if folder not in ALLOWED:
        yield f'{file}: src/{folder} has no layer; tests/lint/layers.py gives it'
    for room in rooms_of(file):
        parent, _, own = room.rpartition('/')
        if own not in ROOMS.get(parent, {}):
            yield f'{file}: {room} is no room of {parent}; tests/lint/layers.py makes it one'


def check(root, whole=True):
    """{file: [complaints]} for every C file of the tree below root. whole: the tree has every file
    that the tables were made for, so that what they allow in vain is a complaint."""
    result, graph, used = {}, {}, set()
    for top in ('src', 'include', 'tests', 'fuzz', 'bench', 'examples'):
        for path in sorted((root / top).rglob('*.[ch]')):
            file = str(path.relative_to(root))
            complaints = result.setdefault(file, [])
            complaints += check_place(file)
            for kind, name in INCLUDE.findall(path.read_text(errors='replace')):
                target = resolve(root, path, kind, name)
                if target is None:
                    complaints += check_outside(file, name, used)
                    continue
                graph.setdefault(file, set()).add(target)
                if target.endswith('.c') and top not in ('tests', 'fuzz', 'bench'):
                    complaints.append(f'{file}: includes {target}, a .c file')
                if not may_include(file, target, used):
                    complaints.append(f'{file}: includes {target}, which is not below it')
                complaints += check_rooms(file, target, used)
    for file in cycles(graph):
        result[file].append(f'{file}: includes itself by way of others')
    if whole:
        result['tests/lint/layers.py'] = list(check_unused(used))
    return result
