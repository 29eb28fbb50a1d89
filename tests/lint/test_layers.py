"""The check of layers and rooms must be able to fail: small trees with one fault each."""
import pathlib

import layers
import pytest


def tree(root, files, whole=False):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [c for complaints in layers.check(root, whole).values() for c in complaints]


SOUND = {
    'include/pop3/span.h': '#include <stddef.h>\n',
    'src/base/text.h': '#include <pop3/span.h>\n',
    'src/pop3/server.c': '#include <pop3/span.h>\n#include "pop3/line.h"\n#include <string.h>\n',
    'src/pop3/line.h': '',
    'src/fetch/fetch.h': '',
    'src/cli/main.c': '#include "fetch/fetch.h"\n',
    'src/server/child.h': '#include "sys/loop.h"\n',
    'src/server/main.c': '#include "server/front/front.h"\n',
    'src/server/front/front.h': '#include "server/child.h"\n',
    'src/server/front/session.h': '#include "maildrop/index/view.h"\n',
    'src/server/front/session.c': '#include "server/front/session.h"\n',
    'src/maildrop/index/index.h': '#include "maildrop/index/part_private.h"\n',
    'src/maildrop/index/view.h': '',
    'src/maildrop/index/part_private.h': '',
    'src/maildrop/index/inner.h': '',
    'src/maildrop/maildir/maildir.h': '#include "maildrop/index/index.h"\n',
    'src/maildrop/maildir/update/update.h': '#include "maildrop/maildir/files/place.h"\n',
    'src/maildrop/maildir/files/place.h': '',
    'src/sys/loop.h': '#include <event2/event.h>\n',
    'src/config/config.h': '',
    'src/users/users.h': '#include "config/config.h"\n',
    'src/base/text.c': '',
    'examples/mini.c': '#include <pop3/span.h>\n',
    'tests/unit/test_x.c': '#include "maildrop/index/inner.h"\n',
}


def test_a_sound_tree_has_no_complaint(tmp_path):
    assert tree(tmp_path, SOUND) == []


@pytest.mark.parametrize('name, text, words', [
    ('src/base/x.c', '#include "sys/loop.h"', 'not below it'),
    ('src/config/x.c', '#include "users/users.h"', 'not below it'),
    ('src/server/x.c', '#include "fetch/fetch.h"', 'not below it'),
    ('src/cli/user.c', '#include "fetch/fetch.h"', 'not below it'),
    ('include/pop3/x.h', '#include "../../src/base/text.h"', 'not below it'),
    ('examples/x.c', '#include "base/text.h"', 'not below it'),
    ('src/server/y.c', '#include "base/text.c"', 'a .c file'),
    ('src/pop3/x.c', '#include <sys/socket.h>', 'no I/O'),
    ('src/server/z.c', '#  include <event2/event.h>', 'door'),
    ('src/sys/conn.c', '#include <event2/event.h>', 'door'),
    ('src/users/x.c', '#include <openssl/evp.h>', 'door'),
    ('src/news/x.c', '', 'has no layer'),
    ('src/server/news/x.c', '', 'is no room'),
    # one process's folder never includes another's, by its door or otherwise
    ('src/server/auth/x.c', '#include "server/front/front.h"', 'does not stand above'),
    ('src/server/keeper/x.c', '#include "server/front/session.h"', 'alone'),
    # a room is entered by its door
    ('src/server/x.c', '#include "server/front/session.h"', 'alone'),
    ('src/server/front/x.c', '#include "maildrop/maildir/update/update.h"', 'alone'),
    ('src/maildrop/x.c', '#include "maildrop/index/inner.h"', 'alone'),
    ('src/maildrop/x.c', '#include "maildrop/maildir/files/place.h"', 'alone'),
    # a lower room does not include a higher one
    ('src/maildrop/index/x.c', '#include "maildrop/maildir/maildir.h"', 'does not stand above'),
    ('src/maildrop/maildir/files/x.c', '#include "maildrop/maildir/update/update.h"',
     'does not stand above'),
    # what is private to a folder
    ('src/maildrop/x.c', '#include "maildrop/index/part_private.h"', 'private'),
])
def test_each_fault_is_found(tmp_path, name, text, words):
    complaints = tree(tmp_path, {**SOUND, name: text + '\n'})
    assert complaints, 'the fault was not found'
    assert all(c.startswith(name) for c in complaints)
    assert words in complaints[0]


def test_a_cycle_is_found(tmp_path):
    complaints = tree(tmp_path, {'src/sys/a.h': '#include "b.h"\n',
                                 'src/sys/b.h': '#include "a.h"\n'})
    assert [c.split(':')[0] for c in complaints] == ['src/sys/a.h', 'src/sys/b.h']


@pytest.mark.parametrize('table, value, words', [
    ('ALLOWED', {**layers.ALLOWED, 'base': ('sys',)}, 'ALLOWED lets base include sys'),
    ('EXCEPTIONS', layers.EXCEPTIONS | {('src/a.c', 'src/b.h')}, 'EXCEPTIONS has src/a.c'),
    ('ROOMS', {'server': {'front': ('auth',)}}, 'ROOMS lets server/front include auth'),
    ('OPEN', {'maildrop/index': {'inner.h': 'no reason'}}, 'OPEN has maildrop/index/inner.h'),
    ('DOORS', ((r'zlib\.h', ('src/base/zip.c',)),), 'DOORS lets src/base/zip.c'),
])
def test_a_permission_that_nothing_uses_is_found(tmp_path, monkeypatch, table, value, words):
    monkeypatch.setattr(layers, table, value)
    complaints = tree(tmp_path, SOUND, whole=True)
    assert any(words in c for c in complaints), complaints


def test_this_tree_is_looked_at():
    root = pathlib.Path(__file__).resolve().parents[2]
    assert 'src/base/text.c' in layers.check(root)
