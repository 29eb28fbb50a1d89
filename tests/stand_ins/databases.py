"""Shared by tests of databases of users: the three kinds of SQL servers, and sections for them."""
import os
import pathlib
import shutil
import sqlite3

import mariadb
import postgresql


class Sqlite:
    """A file, with what the servers have."""
    name = 'sqlite'
    PASSWORD = ''

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.file = self.folder / 'mail.db'

    def sql(self, text):
        with sqlite3.connect(self.file) as database:
            database.executescript(f'BEGIN; {text} COMMIT;')
        database.close()
        self.file.chmod(0o644)

    def connect(self, socket_path=False):
        del socket_path
        return f'sqlite:{self.file}'

    def stop(self):
        pass


def missing(kind):
    """Why this kind of database cannot be had here; None: it can."""
    if kind == 'postgresql' and not postgresql.programs():
        return 'PostgreSQL is not installed'
    if kind == 'mysql' and not mariadb.installed():
        return 'MariaDB is not installed'
    return None


def start(kind, folder, port, certificate=None):
    folder = pathlib.Path(folder)
    for place in (folder, *folder.parents):  # its own user has to come through
        if os.access(place, os.W_OK) and place.exists() and place.owner() != 'root' or \
                place.name.startswith(('pytest', 'valija')):
            place.chmod(place.stat().st_mode | 0o711)
    if kind == 'postgresql':
        return postgresql.PostgreSql(folder / kind, port, certificate)
    if kind == 'mysql':
        return mariadb.MariaDb(folder / kind, port, certificate)
    return Sqlite(folder / kind)


def password_of(kind):
    return {'postgresql': postgresql.PASSWORD, 'mysql': mariadb.PASSWORD}.get(kind)


def quoted(value):
    return '"' + value.replace('\\', '\\\\').replace('"', '\\"') + '"'


def add_section(office, database, user_query, name='people', **settings):
    """A section for a database; settings may also replace connect. Before the office starts."""
    settings = {'connect': database.connect(), 'user_query': user_query, 'cache_time': '0',
                'timeout': '2s', **settings}
    secret = password_of(database.name)
    if secret and 'password_file' not in settings:
        path = office.dir / f'{database.name}.secret'
        path.write_text(secret + '\n')
        path.chmod(0o600)
        shutil.chown(path, office.dir.stat().st_uid, office.dir.stat().st_gid)
        settings['password_file'] = str(path)
    lines = ''.join(f'\t{key} = {quoted(value)}\n' for key, value in settings.items())
    with office.conf.open('a') as file:
        file.write(f'\ndatabase "{name}" {{\n\tdriver = sql\n{lines}}}\n')
