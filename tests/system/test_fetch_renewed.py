"""Known messages that are gone while unknown ones are there: removed by their owner, or the same
ones under new unique ids. Where TOP works a run decides by itself."""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import fetcher, serve  # noqa: E402,F401
from fetching import UNAVAILABLE  # noqa: E402
from hostile import letter  # noqa: E402


def refuse(session, _):
    return session.line('-ERR unknown command') or True


def collected(fetcher):
    return len(fetcher.files())


@pytest.mark.parametrize('left, new', [(40, 30), (0, 10), (0, 60), (0, 2), (49, 6)])
def test_a_clean_up_elsewhere_stops_nothing(fetcher, serve, left, new):
    server = serve([letter(n) for n in range(100)])
    fetcher.run(server, '--keep')
    server.messages[:] = server.messages[:left] + [(f'new{n}', letter(200 + n))
                                                   for n in range(new)]
    done = fetcher.run(server, '--keep', '-v')
    assert collected(fetcher) == 100 + new and len(server.retrieved) == 100 + new
    assert 'removed there' in done.stderr
    done = fetcher.run(server, '--keep')
    assert done.stderr == '' and len(server.retrieved) == 100 + new


def test_gmail_is_learnt_by_itself(fetcher, serve):
    """Only what was not collected is shown, so many at a time."""
    server = serve([letter(n) for n in range(60)])
    everything = list(server.messages)
    for at in range(0, 60, 20):
        server.messages[:] = everything[at:at + 20]
        fetcher.run(server, '--keep')
    assert fetcher.mail() == sorted(letter(n) for n in range(60))
    assert len(server.retrieved) == 60


@pytest.mark.parametrize('hinder', ['no TOP', 'one of them', 'marked'])
def test_what_cannot_be_told_is_left_to_a_person(fetcher, serve, hinder):
    server = serve([letter(n) for n in range(30)])
    fetcher.run(server, *(['--mark-seen'] if hinder == 'marked' else ['--keep']))
    before = collected(fetcher)
    fresh = [(f'new{n}', letter(100 + n)) for n in range(20)]
    if hinder == 'one of them':
        fresh.append(('moved', letter(7)))
    if hinder == 'no TOP':
        server.hooks['TOP'] = refuse
    server.messages[:] = fresh
    for _ in range(2):
        done = fetcher.run(server, '--keep', expect=UNAVAILABLE)
        assert '--accept-new-uidls' in done.stderr and collected(fetcher) == before
    server.hooks.clear()
    fetcher.run(server, '--keep', '--accept-new-uidls')
    assert collected(fetcher) == before + 20


@pytest.mark.parametrize('count', [1, 3, 4])
@pytest.mark.parametrize('top', [True, False])
def test_ids_that_change_in_each_session(fetcher, serve, count, top):
    server = serve([], hooks={} if top else {'TOP': refuse})
    for session in range(4):
        server.messages[:] = [(f'u{session}-{n}', letter(n)) for n in range(count)]
        fetcher.run(server, '--keep')
        assert collected(fetcher) == count, session
    server.messages.append(('u9', letter(50)))  # what is new comes, and nothing else
    fetcher.run(server, '--keep')
    assert collected(fetcher) == count + 1
    fetcher.run(server, '--delete')
    assert server.messages == [] and collected(fetcher) == count + 1


def test_small_mailboxes_with_a_history(fetcher, serve):
    """Many were here once; the few that are left get new ids."""
    server = serve([letter(n) for n in range(20)])
    fetcher.run(server, '--keep')
    server.messages[:] = server.messages[:4]
    fetcher.run(server, '--keep', expect=UNAVAILABLE)  # said once
    fetcher.run(server, '--keep')
    for session in range(3):
        server.messages[:] = [(f's{session}-{n}', letter(n)) for n in range(4)]
        fetcher.run(server, '--keep')
    assert collected(fetcher) == 20


def test_replaced_by_others_of_the_same_size(fetcher, serve):
    server = serve([letter(n) for n in range(1, 4)])
    fetcher.run(server, '--keep')
    server.messages[:] = [(f'n{n}', letter(n)) for n in range(4, 7)]
    assert len(letter(1)) == len(letter(4))
    fetcher.run(server, '--keep')
    assert fetcher.mail() == sorted(letter(n) for n in range(1, 7))


def account(fetcher, server, host='127.0.0.1', name='x'):
    return (f'account "{name}" {{\nserver = "pop3://demo@{host}:{server.port}"\ntls = "none"\n'
            f'to = "maildir:{fetcher.maildir}"\npassword-file = "{fetcher.password_file}"\n}}\n')


def test_another_port_is_the_same_mailbox(fetcher, serve):
    one, two = serve(), serve()
    assert one.port != two.port
    fetcher.configured(account(fetcher, one), '--state', fetcher.state)
    fetcher.configured(account(fetcher, two), '--state', fetcher.state)
    assert collected(fetcher) == 5 and two.retrieved == []
    fetcher.configured(account(fetcher, two, name='y'), '--state', fetcher.state)
    assert collected(fetcher) == 10, 'another name is another account'


def test_ports_of_this_host_in_urls_are_different_servers(fetcher, serve):
    """Tunnels to two servers, the same user at both."""
    one, two = serve(), serve()
    fetcher.run(one)
    fetcher.run(two)
    assert collected(fetcher) == 10
    fetcher.run(one)
    fetcher.run(two)
    assert collected(fetcher) == 10


def test_a_state_with_the_port_in_its_name_is_still_used(fetcher, serve):
    import hashlib

    server = serve()
    fetcher.configured(account(fetcher, server), '--state', fetcher.state)
    journal, = fetcher.state.glob('*.journal')
    key = f'x\ndemo@127.0.0.1:{server.port}\n'
    name = hashlib.sha256(f'{key}\njournal'.encode()).hexdigest()[:12]
    journal.rename(fetcher.state / f'x-{name}.journal')
    fetcher.configured(account(fetcher, server), '--state', fetcher.state)
    assert len(server.retrieved) == 5
