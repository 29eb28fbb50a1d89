"""A minute of the soak, and that its model would notice: `./dev soak` runs it for longer."""
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from model import GONE, SENT, THERE, Maildrop, Wrong  # noqa: E402


@pytest.fixture
def maildrop():
    """One message there, one whose delivery was never answered, one deleted."""
    made = Maildrop('alice')
    for token in ('there', 'unanswered', 'deleted'):
        made.begin(token, b'', False)
    made.arrived('there')
    made.arrived('deleted')
    made.leaving(['deleted'])
    made.left(['deleted'])
    return made


@pytest.mark.parametrize('listed, wrong', [
    (['there'], None), (['there', 'unanswered'], None), ([], 'lost'),
    (['unanswered'], 'lost'), (['there', 'there'], 'repeated'), (['there', 'deleted'], 'deleted'),
    (['there', 'somebody'], 'nobody sent')])
def test_the_model_notices(maildrop, listed, wrong):
    if wrong is None:
        maildrop.saw(maildrop.before(), listed)
        return
    with pytest.raises(Wrong, match=wrong):
        maildrop.saw(maildrop.before(), listed)


def test_an_answer_that_never_came_is_settled_by_the_next_look(maildrop):
    maildrop.leaving(['there'])
    maildrop.saw(maildrop.before(), ['unanswered'])
    assert maildrop.count(GONE) == 2 and maildrop.count(THERE) == 1
    with pytest.raises(Wrong, match='lost'):
        maildrop.saw(maildrop.before(), [])
    with pytest.raises(Wrong, match='deleted'):
        maildrop.saw(maildrop.before(), ['there', 'unanswered'])


def test_what_happens_during_a_session_is_no_fault(maildrop):
    before = maildrop.before()
    maildrop.begin('later', b'', True)
    maildrop.arrived('later')
    maildrop.saw(before, ['there'])
    assert maildrop.count(SENT) == 1


def test_ids_stay_and_are_unique(maildrop):
    maildrop.id_of('there', 'one')
    maildrop.id_of('there', 'one')
    with pytest.raises(Wrong, match='now two'):
        maildrop.id_of('there', 'two')
    with pytest.raises(Wrong, match="the id one was there's"):
        maildrop.id_of('unanswered', 'one')


@pytest.mark.parametrize('store, seconds', [('maildir', 60), ('mbox', 20)])
def test_a_minute_of_everything_at_once(store, seconds):
    if store == 'mbox' and os.geteuid() != 0:
        pytest.skip('mailboxes of several owners: needs root')
    seed = os.environ.get('VALIJA_SOAK_SEED', '1')
    done = subprocess.run([sys.executable, str(HERE / 'soak.py'), str(seconds), seed, store],
                          timeout=240, capture_output=True, text=True)
    print(done.stdout[-8000:])
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    assert ' 0 lost, 0 repeated' in done.stdout
