"""A site of qmail-pop3d, which keeps no list of ids, moves here: `valija import maildir`. First a
stand-in serves the mail, then we do, and no client loads anything twice."""
import os
import pathlib
import sys

import moving
import pytest
from moving import snapshot
from test_mail_not_mounted import deliver, login

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'stand_ins'))

from qmail_pop3 import QmailPop3  # noqa: E402


def letter(number):
    return f'Subject: {number}\n\nletter {number}\n'.encode()


def fill(office, user):
    """Names as qmail-local and vpopmail make them, in another order than their times."""
    for number, name in enumerate(('1700000009.77.test', '1700000003.78.test,S=21',
                                   '1700000001.M1P79Vfd01I7_0.test,S=21,W=24')):
        path = office.put(user, letter(number), name=name)
        os.utime(path, (1700000100 + number, 1700000100 + number))
    path = office.put(user, letter(3), name='1600000000.80.test,S=21', folder='cur', flags='S')
    os.utime(path, (1700000050, 1700000050))


@pytest.fixture
def move(make_office):
    """move(USERS): a stopped office, and the stand-in that serves its mail."""
    made = []

    def begin(users=('demo',)):
        office = make_office(start=False, users=users)
        fill(office, 'demo')
        made.append(QmailPop3(office))
        return office, made[-1]

    yield begin
    for qmail in made:
        qmail.stop()


def bring(office, *more, check=True):
    words = more if '--undo' in more else ('--ids', 'qmail', *more)
    return office.valija('import', 'maildir', '-c', office.conf, *words, check=check)


def test_ids_and_their_order_stay(move, connect):
    office, qmail = move()
    before = qmail.uidl('demo')
    qmail.stop()
    assert before == ['1600000000.80.test,S=21', '1700000009.77.test', '1700000003.78.test,S=21',
                      '1700000001.M1P79Vfd01I7_0.test,S=21,W=24']
    files = snapshot(office)
    tried = bring(office, '--dry-run')
    assert '1 users, 4 messages, 4 keep their unique ids, 0 would be loaded again' in tried.stdout
    assert snapshot(office) == files
    assert tried.stdout.replace('; nothing was written', '') == bring(office).stdout
    assert (office.mail / '.valija-origin').read_text() == 'maildir-qmail\n'
    office.start()
    assert login(connect, office)[1] == before
    assert deliver(office).startswith('250')
    shown = login(connect, office)[1]
    assert shown[:4] == before and len(shown) == 5
    office.stop()
    for name in ('valija-base', 'valija-delta', 'valija-lock'):
        (office.mail / 'demo' / name).unlink()
    office.start()
    assert login(connect, office)[1] == shown


@pytest.mark.parametrize('kind', moving.KINDS)
def test_no_client_loads_anything_twice(move, kind):
    moving.needs(kind)
    office, qmail = move()
    client = moving.client_of(kind, office)

    def move_over():
        qmail.stop()
        bring(office)
        office.start()
    moving.loads_nothing_twice(client, 4, move_over, lambda: office.put('demo', letter(11)))


def test_the_rule_is_there_for_those_who_come_later(move, connect):
    office, qmail = move(users=('demo', 'late', 'new'))
    bring(office)
    fill(office, 'late')
    late = qmail.uidl('late')
    qmail.stop()
    office.start()
    assert login(connect, office, 'late')[1] == late
    office.wait_log('maildrop late: came from another server: 4 messages, 4 keep its unique ids')
    # one that was never anybody's is made and filled here
    assert deliver(office, 'new').startswith('250')
    assert len(login(connect, office, 'new')[1]) == 1


def test_what_another_server_left_there_counts_nothing(move, connect):
    """Dovecot's IMAP server stood beside qmail-pop3d; a person says whose ids the clients know."""
    office, qmail = move()
    before = qmail.uidl('demo')
    qmail.stop()
    (office.mail / 'demo/dovecot-uidlist').write_text('3 V7 N9\n')
    office.own(office.mail / 'demo/dovecot-uidlist')
    bring(office)
    office.start()
    assert login(connect, office)[1] == before


def test_ids_that_pop3_forbids_are_said(move):
    office, qmail = move()
    qmail.stop()
    long = f'1700000000.{"x" * 70}.test'
    office.put('demo', letter(1), name=long)
    office.put('demo', letter(2), name='1600000000.80.test,S=21')
    done = bring(office)
    assert '6 messages, 4 keep their unique ids, 2 would be loaded again' in done.stdout
    assert 'demo: 2 of 6 messages are loaded again: its id 1600000000.80.test,S=21' in done.stdout


def test_what_was_brought_is_taken_back(move, connect):
    office, qmail = move(users=('demo', 'used'))
    fill(office, 'used')
    before, used = qmail.uidl('demo'), qmail.uidl('used')
    files = snapshot(office)
    bring(office)
    assert '2 users would be taken back' in bring(office, '--undo', '--dry-run').stdout
    bring(office, '--undo')
    assert snapshot(office) == files
    assert qmail.uidl('demo') == before
    qmail.stop()
    bring(office)
    office.start()
    assert login(connect, office, 'used')[1] == used
    office.stop()
    done = bring(office, '--undo')
    assert 'used: was used here since' in done.stdout and '1 users were taken back' in done.stdout


def test_what_it_does_not_take(move):
    office, qmail = move()
    qmail.stop()
    for words in ((), ('--ids', 'popa3d'), ('--ids', 'qmail', '--from', 'x'),
                  ('--ids', 'qmail', '--config', 'x')):
        done = office.valija('import', 'maildir', '-c', office.conf, *words, check=False)
        assert done.returncode == 64 and 'usage: valija import' in done.stderr, done


def test_it_is_hinted_before_the_first_login(move, connect):
    """Where no Maildir was ever opened, and nothing says whose ids the mail has."""
    office, qmail = move()
    qmail.stop()
    hint = f'{office.mail}/demo has mail and was never opened here: if qmail-pop3d'
    assert hint in office.valijad('-t', '-c', office.conf).stderr
    asked = office.valija('doctor', '-c', office.conf, check=False).stdout
    assert hint in asked and 'valija import maildir --ids qmail --dry-run' in asked
    office.start()
    login(connect, office)
    fill(office, 'other')
    office.own(office.mail / 'other')
    for said in (office.valijad('-t', '-c', office.conf).stderr,
                 office.valija('doctor', '-c', office.conf, check=False).stdout):
        assert 'never opened here' not in said


def test_no_hint_where_the_rule_is_recorded(move):
    office, qmail = move()
    qmail.stop()
    bring(office)
    assert 'never opened here' not in office.valijad('-t', '-c', office.conf).stderr
