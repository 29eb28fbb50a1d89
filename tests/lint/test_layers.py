"""The layer check must be able to fail: small trees with one fault each."""
import pathlib

import layers
import pytest


def tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [c for complaints in layers.check(root).values() for c in complaints]


SOUND = {
    'include/pop3/span.h': '#include <stddef.h>\n',
    'src/base/text.h': '#include <pop3/span.h>\n',
    'src/pop3/server.c': '#include <pop3/span.h>\n#include "base/text.h"\n#include <string.h>\n',
    'src/fetch/fetch.h': '',
    'src/cli/main.c': '#include "fetch/fetch.h"\n',
    'examples/mini.c': '#include <pop3/span.h>\n',
}


def test_a_sound_tree_has_no_complaint(tmp_path):
    assert tree(tmp_path, SOUND) == []


@pytest.mark.parametrize('name, text, words', [
    ('src/base/x.c', '#include "sys/loop.h"', 'not below it'),
    ('src/users/x.c', '#include "config/config.h"', 'not below it'),
    ('src/server/x.c', '#include "fetch/fetch.h"', 'not below it'),
    ('src/cli/user.c', '#include "fetch/fetch.h"', 'not below it'),
    ('include/pop3/x.h', '#include "../../src/base/text.h"', 'not below it'),
    ('examples/x.c', '#include "base/text.h"', 'not below it'),
    ('src/server/y.c', '#include "base/text.c"', 'a .c file'),
    ('src/pop3/x.c', '#include <sys/socket.h>', 'no I/O'),
    ('src/server/z.c', '#  include <event2/event.h>', 'door'),
    ('src/news/x.c', '', 'has no layer'),
])
def test_each_fault_is_found(tmp_path, name, text, words):
    others = {'src/sys/loop.h': '', 'src/config/config.h': '', 'src/base/text.c': ''}
    complaints = tree(tmp_path, {**SOUND, **others, name: text + '\n'})
    assert len(complaints) == 1
    assert complaints[0].startswith(name) and words in complaints[0]


def test_a_cycle_is_found(tmp_path):
    complaints = tree(tmp_path, {'src/sys/a.h': '#include "b.h"\n',
                                 'src/sys/b.h': '#include "a.h"\n'})
    assert [c.split(':')[0] for c in complaints] == ['src/sys/a.h', 'src/sys/b.h']


def test_this_tree_is_looked_at():
    root = pathlib.Path(__file__).resolve().parents[2]
    assert 'src/base/text.c' in layers.check(root)
