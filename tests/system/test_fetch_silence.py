"""No run that leaves something uncollected or undeleted ends with status 0 in silence; a listing
that is odd costs no more than it must."""
import json
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import fetcher, serve  # noqa: E402,F401
from fetching import DATAERR, UNAVAILABLE  # noqa: E402
from hostile import letter  # noqa: E402


def answer(first, *lines):
    return lambda session, _: session.multi(first, lines) or True


def summary(done):
    return [e for e in map(json.loads, done.stdout.splitlines()) if e['event'] == 'summary'][0]


@pytest.mark.parametrize('size', ['', ' ', ' %!d(float64=5461)', ' -1', ' 18446744073709551616',
                                  '   x'])
@pytest.mark.parametrize('pipelining', [[], ['--no-pipelining']])
def test_a_size_that_cannot_be_read_costs_nothing(fetcher, serve, size, pipelining):
    server = serve(hooks={'LIST': answer('+OK', *(f'{n}{size}' for n in range(1, 6)))})
    done = fetcher.run(server, '--keep', *pipelining)
    assert fetcher.mail() == sorted(letter(n) for n in range(1, 6)) and done.stderr == ''
    fetcher.run(server, '--keep', *pipelining)
    assert len(server.retrieved) == 5
    fetcher.run(server, '--delete', *pipelining)
    assert server.messages == []


def test_a_line_without_a_number_is_a_message_that_uidl_names(fetcher, serve):
    server = serve(hooks={'LIST': answer('+OK', '1 100', 'two 100', '3 100', '', '5 100')})
    fetcher.run(server, '--delete')
    assert len(fetcher.files()) == 5 and server.messages == []


def test_lines_that_nothing_explains_are_not_passed_over(fetcher, serve):
    server = serve(hooks={'LIST': answer('+OK', '1 100', 'two 100', '3 100', '4 100', '5 100'),
                          'UIDL': answer('+OK', '1 a', '3 c', '4 d', '5 e')})
    for _ in range(2):
        done = fetcher.run(server, '--keep', expect=DATAERR)
        assert 'LIST' in done.stderr and len(fetcher.files()) == 4
    done = fetcher.run(server, '--keep', '--json', expect=DATAERR)
    assert summary(done)['failed'] == 1


def test_totals_that_do_not_agree(fetcher, serve):
    lines = [f'{n} 1' for n in range(1, 6)]
    server = serve(hooks={'LIST': answer('+OK 9 messages (900 octets)', *lines)})
    done = fetcher.run(server, '--keep', expect=DATAERR)
    assert 'announces 9' in done.stderr and len(fetcher.files()) == 5
    for first in ('+OK 5 messages', '+OK 9', '+OK', '+OK 3 messages', '+OK 9 is the number'):
        server.hooks['LIST'] = answer(first, *lines)
        fetcher.run(server, '--keep')


@pytest.mark.parametrize('options', [[], ['--no-pipelining']])
def test_deletions_that_are_refused(fetcher, serve, options):
    server = serve(hooks={'DELE': lambda s, a: s.line('-ERR read \x1b[2Jonly') or True})
    for _ in range(2):
        done = fetcher.run(server, '--delete', *options, expect=DATAERR)
        assert 'message 5' in done.stderr and 'did not delete' in done.stderr
        assert '\x1b' not in done.stderr and len(server.messages) == 5
    done = fetcher.run(server, '--delete', '--json', *options, expect=DATAERR)
    assert summary(done)['undeleted'] == 5 and summary(done)['deleted'] == 0
    assert len(fetcher.files()) == 5 == len(server.retrieved)
    server.hooks.clear()
    fetcher.run(server, '--delete', *options)
    assert server.messages == []


def test_one_deletion_of_five_is_refused(fetcher, serve):
    server = serve(hooks={'DELE': lambda s, a: a == '2' and (s.line('-ERR busy') or True)})
    done = fetcher.run(server, '--delete', expect=DATAERR)
    assert [uid for uid, _ in server.messages] == ['uid-2'] and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize('verb', ['LIST', 'UIDL'])
@pytest.mark.parametrize('options', [[], ['--no-pipelining']])
def test_an_empty_mailbox_that_is_not_listed_is_empty(fetcher, serve, verb, options):
    server = serve([], hooks={verb: lambda s, _: s.line('-ERR no messages') or True})
    done = fetcher.run(server, '--keep', *options)
    assert done.stderr == ''
    server.messages.append(('a', letter(1)))
    done = fetcher.run(server, '--keep', *options, expect=UNAVAILABLE)
    assert fetcher.files() == []


def test_unique_ids_that_servers_give(fetcher, serve):
    """Blanks around them, long ones, octets beyond ASCII, blanks inside: collected once."""
    ids = ['  three', '\ttab', 'end \t', 'x' * 71, 'y' * 255, 'caf\xe9', '\xfc\xff', 'two words',
           'plain']
    server = serve([(uid, letter(n)) for n, uid in enumerate(ids)])
    done = fetcher.run(server, '--keep')
    assert done.stderr == '' and len(fetcher.files()) == len(ids)
    for _ in range(2):
        fetcher.run(server, '--keep')
    assert len(server.retrieved) == len(ids) and len(fetcher.files()) == len(ids)
    server.messages[2] = ('end', server.messages[2][1])  # the blanks are no part of it
    fetcher.run(server, '--keep')
    assert len(server.retrieved) == len(ids)
    fetcher.run(server, '--delete')
    assert server.messages == [] and len(fetcher.files()) == len(ids)


def test_ids_out_of_bounds_are_named_with_their_price(fetcher, serve):
    server = serve([('z' * 256, letter(1)), ('a\x01b', letter(2)), ('good', letter(3))])
    for _ in range(2):
        done = fetcher.run(server, '--keep')
        assert '2 lines' in done.stderr and 'each run' in done.stderr
    assert len(fetcher.files()) == 3
