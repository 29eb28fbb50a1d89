"""Messages that a destination refuses: for good, they are kept aside and hold up nobody; for now,
the account backs off."""
import email
import json
import pathlib
import re
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import fetcher, serve  # noqa: E402,F401
from fetching import DATAERR, TEMPFAIL  # noqa: E402
from hostile import letter  # noqa: E402
from test_fetch_sinks import Lmtp  # noqa: E402


def kept(fetcher, place=None):
    """(message, words) of all that was refused."""
    roots = [place] if place else list((fetcher.state / 'refused').glob('*'))
    found = []
    for root in roots:
        for path in sorted((root / 'new').iterdir()):
            words = root / 'valija-refused' / (path.stem + '.txt')
            found.append((path.read_bytes(), words.read_text()))
        assert list((root / 'tmp').iterdir()) == []
    return found


def subjects(texts):
    return [email.message_from_bytes(text)['Subject'] for text in texts]


def refuse_third(text):
    return '554 5.6.0 that attachment\tis \x1b[31mforbidden' if b'letter 3' in text else None


def test_lmtp_refuses_one_for_good(fetcher, serve):
    lmtp, server = Lmtp(judge=refuse_third), serve()
    words = ['--delete', '--recipient', 'me']
    done = fetcher.run(server, *words, to=f'lmtp:{lmtp.target}', expect=DATAERR)
    assert subjects(lmtp.mail)[:4] == [f'letter {n}' for n in (1, 2, 4, 5)]
    assert [uid for uid, _ in server.messages] == ['uid-3'], 'never deleted there'
    [(message, why)] = kept(fetcher)
    assert message == letter(3) and '554 5.6.0 that attachment' in why and '\x1b' not in why
    assert 'refused message 3 for good' in done.stderr and 'refused/' in done.stderr

    notice = email.message_from_bytes(lmtp.mail[4])
    assert len(lmtp.mail) == 5 and notice['Subject'] == '1 message could not be delivered here'
    assert '554 5.6.0' in notice.get_payload() and notice['Auto-Submitted'] == 'auto-generated'

    server.retrieved.clear()
    fetcher.run(server, *words, to=f'lmtp:{lmtp.target}')
    assert server.retrieved == [] and len(lmtp.mail) == 5 and len(server.messages) == 1
    lmtp.judge = lambda text: None
    fetcher.run(server, *words, '--retry-refused', to=f'lmtp:{lmtp.target}')
    assert subjects(lmtp.mail)[5:] == ['letter 3'] and server.messages == []


def test_threat_90_all_are_refused_and_one_notice_comes(fetcher, serve):
    lmtp = Lmtp(judge=lambda text: None if b'MAILER-DAEMON' in text else '550 5.7.1 no')
    done = fetcher.run(serve([letter(n) for n in range(60)]), '--json', '--recipient', 'me',
                       to=f'lmtp:{lmtp.target}', expect=DATAERR)
    assert subjects(lmtp.mail) == ['60 messages could not be delivered here']
    assert len(kept(fetcher)) == 60
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary['refused'] == 60 and summary['collected'] == 0


def test_a_notice_that_is_refused_too(fetcher, serve):
    lmtp = Lmtp({'.': '550 5.7.1 no'})
    done = fetcher.run(serve(), '--recipient', 'me', to=f'lmtp:{lmtp.target}', expect=DATAERR)
    assert 'the notice of 5 refused messages was not delivered' in done.stderr
    assert len([m for m, _ in kept(fetcher) if b'Subject: letter' in m]) == 5


@pytest.mark.parametrize('status', [65, 67, 68, 69, 77])
def test_a_command_refuses_one_for_good(fetcher, serve, status):
    out = fetcher.scratch / 'out'
    out.mkdir()
    command = (f'f={out}/$VALIJA_DELIVERY_ID; cat > $f; ! grep -q "letter 3" $f || '
               f'{{ rm $f; exit {status}; }}')
    place, server = fetcher.scratch / 'aside', serve()
    fetcher.run(server, '--delete', '--refused', place, to=f'command:{command}', expect=DATAERR)
    [(message, why)] = kept(fetcher, place)
    assert message == letter(3) and f'status {status}' in why
    assert [uid for uid, _ in server.messages] == ['uid-3'] and len(list(out.iterdir())) == 5
    assert not (fetcher.state / 'refused').exists()


def test_refused_messages_cannot_be_kept(fetcher, serve):
    """Then nothing is noted as dealt with, and the run ends."""
    server = serve()
    (fetcher.scratch / 'aside').mkdir()
    (fetcher.scratch / 'aside' / 'new').write_text('in the way')
    done = fetcher.run(server, '--delete', '--refused', fetcher.scratch / 'aside',
                       to='command:exit 65', expect=73)
    assert 'cannot keep a refused message' in done.stderr and len(server.messages) == 5
    fetcher.run(server, '--delete', to=f'maildir:{fetcher.maildir}')
    assert len(fetcher.mail()) == 5


def waiting(done):
    found = re.search(r'the next try is in (\d+) s', done.stderr)
    return int(found[1]) if found else None


def test_back_off_between_runs(fetcher, serve):
    lmtp, server = Lmtp({'MAIL': '451 4.3.2 maintenance'}), serve()

    def run(*options, expect=TEMPFAIL):
        return fetcher.run(server, '--recipient', 'me', *options, to=f'lmtp:{lmtp.target}',
                           expect=expect)

    assert waiting(run()) is None, 'the first refusal costs no wait'
    assert waiting(run()) is None
    before = len(server.sessions)
    for _ in range(2):
        done = run()
        assert 50 < waiting(done) <= 60 and '451 4.3.2 maintenance' in done.stderr
    assert len(server.sessions) == before, 'neither side is asked within the back-off'
    run('--dry-run', expect=0)
    run('--now')
    assert 110 < waiting(run()) <= 120
    for _ in range(9):
        run('--now')
    assert 3590 < waiting(run()) <= 3600
    lmtp.answers.clear()
    run('--now', expect=0)
    assert len(lmtp.mail) == 5
    lmtp.answers['MAIL'] = '451 again'
    server.messages.append(('more', letter(9)))
    run()
    assert waiting(run()) is None, 'a delivery ends the back-off'
