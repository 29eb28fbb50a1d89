"""A site of Dovecot moves here: `valija import dovecot`. The real Dovecot serves the mail first,
then we do, and no client loads anything twice."""
import pathlib
import re
import sys

import moving
import pytest
from office import PASSWORD
from moving import snapshot
from test_mail_not_mounted import deliver, login

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'stand_ins'))

from dovecot_pop3 import DovecotPop3, usable  # noqa: E402

REFUSED = r'Dovecot filled it, .* valija import dovecot'


def letter(number, xuidl=None):
    field = f'X-UIDL: {xuidl}\n' if xuidl else ''
    return f'Subject: {number}\n{field}\nletter {number}\n'.encode()


@pytest.fixture
def move(make_office, need_root):
    """move(MORE): a stopped office, and the Dovecot that serves its mail with these settings."""
    if not usable():
        pytest.skip('dovecot-pop3d is not installed')
    made = []

    def begin(more='', users=('demo',)):
        office = make_office(start=False, users=users)
        for number in range(6):
            office.put('demo', letter(number, f'xu{number // 2}' if number < 5 else None),
                       name=f'{1700000009 - number}.M{number}.test')
        office.put('demo', letter(9), name='1600000000.M9.test,S=21,W=24', folder='cur', flags='S')
        made.append(DovecotPop3(office, more))
        return office, made[-1]

    yield begin
    for dovecot in made:
        dovecot.remove()


def bring(office, dovecot, *more, check=True):
    return office.valija('import', 'dovecot', '-c', office.conf, '--config', dovecot.conf, *more,
                         check=check)


@pytest.mark.parametrize('more', [
    '',
    'pop3_uidl_format = %v.%u',
    'pop3_uidl_format = %f',
    'pop3_uidl_format = %g',
    'pop3_uidl_format = %Mf',
    'pop3_uidl_format = %05u-%Xv%%',
    'pop3_uidl_format = %-9.4v_%1.3Uf_%u_%8Rf_%Lf',
    'protocol pop3 {\n  pop3_uidl_format = %u-%Xv\n}',
    'pop3_reuse_xuidl = yes\npop3_uidl_duplicates = rename',
    'pop3_uidl_format = %f\npop3_save_uidl = yes'])
def test_ids_and_their_order_stay(move, connect, more):
    office, dovecot = move(more)
    dovecot.uidl('demo')
    before = dovecot.uidl('demo')
    dovecot.stop()
    assert len(set(before)) == 7
    # flags change, and a message comes that Dovecot never saw
    seen = next((office.mail / 'demo/cur').glob('1700000007*'))
    seen.rename(f'{seen}S')
    office.put('demo', letter(10), name='1500000000.M10.test')
    files = snapshot(office)
    tried = bring(office, dovecot, '--dry-run')
    assert '1 users, 8 messages, 7 keep their unique ids, 0 would be loaded again' in tried.stdout
    assert snapshot(office) == files
    assert tried.stdout.replace('; nothing was written', '') == bring(office, dovecot).stdout
    office.start()
    answer, ids = login(connect, office)
    assert answer.startswith('+OK') and ids[:7] == before and len(set(ids)) == 8, answer
    assert deliver(office).startswith('250')
    assert login(connect, office)[1][:8] == ids
    # a lost index is a lost cache
    office.stop()
    for name in ('valija-base', 'valija-delta', 'valija-lock'):
        (office.mail / 'demo' / name).unlink()
    office.start()
    assert login(connect, office)[1][:8] == ids


def test_saved_ids_and_a_saved_order(move, connect):
    """As a migration plugin, or a person, wrote them into dovecot-uidlist."""
    office, dovecot = move('pop3_uidl_duplicates = rename')
    dovecot.uidl('demo')
    dovecot.stop()
    uidlist = office.mail / 'demo/dovecot-uidlist'
    fields = {'1': 'Pold-id', '2': 'O9 P', '3': 'O4 Pold-id', '4': 'Gguid-1 P', '5': 'Pelse O7'}
    lines = uidlist.read_text().splitlines()
    for at, line in enumerate(lines[1:], 1):
        uid, _, rest = line.partition(' ')
        lines[at] = f'{uid} {fields[uid]} {rest}' if uid in fields else line
    uidlist.write_text('\n'.join(lines) + '\n')
    for path in (office.mail / 'demo').glob('dovecot.index*'):
        path.unlink()
    again = DovecotPop3(office, 'pop3_uidl_duplicates = rename')
    try:
        before = again.uidl('demo')
        again.stop()
        assert {'old-id', 'old-id-2', 'else'} < set(before)
        bring(office, again)
    finally:
        again.remove()
    office.start()
    assert login(connect, office)[1] == before


@pytest.mark.parametrize('kind', moving.KINDS)
def test_no_client_loads_anything_twice(move, kind):
    moving.needs(kind)
    office, dovecot = move()
    client = moving.client_of(kind, office)

    def move_over():
        dovecot.stop()
        bring(office, dovecot)
        office.start()
    moving.loads_nothing_twice(client, 7, move_over, lambda: office.put('demo', letter(11)))


def test_never_new_ids_in_silence(move, connect):
    """A Maildir of Dovecot is neither shown nor delivered to before its ids are brought."""
    office, dovecot = move(users=('demo', 'late', 'plain'))
    before = dovecot.uidl('demo')
    dovecot.uidl('plain')
    dovecot.stop()
    office.start()
    office.allow(REFUSED)
    files = snapshot(office)
    checked = office.valijad('-t', '-c', office.conf)
    assert re.search(r'mail/demo: Dovecot filled it, .* valija import dovecot', checked.stderr)
    asked = office.valija('doctor', '-c', office.conf, check=False)
    assert re.search(r'mail/demo: Dovecot filled it', asked.stdout), asked
    assert login(connect, office)[0].startswith('-ERR [SYS/PERM]')
    assert deliver(office).startswith('451')
    office.wait_log(REFUSED)
    assert snapshot(office) == files
    # one without a message has no ids to lose
    assert (office.mail / 'plain/dovecot-uidlist').exists()
    assert login(connect, office, 'plain')[1] == []
    bring(office, dovecot, '--user', 'demo')
    assert login(connect, office)[1] == before
    assert not (office.mail / '.valija-origin').exists()


def test_the_rule_is_there_for_those_who_come_later(move, connect):
    """Dovecot stays beside us, for IMAP, and makes a Maildir that we never saw."""
    office, dovecot = move(users=('demo', 'late'))
    before = dovecot.uidl('demo')
    bring(office, dovecot)
    assert (office.mail / '.valija-origin').read_text() == \
        'dovecot duplicates=allow xuidl=no format=%08Xu%08Xv\n'
    office.put('late', letter(1))
    office.put('late', letter(2))
    late = dovecot.uidl('late')
    dovecot.stop()
    office.start()
    assert login(connect, office)[1] == before
    assert login(connect, office, 'late')[1] == late
    office.wait_log('maildrop late: came from another server: 2 messages, 2 keep its unique ids')


def test_those_that_were_ours_stay_ours(move, connect):
    """Dovecot's IMAP server writes its list beside our index: our ids stay, whatever happens."""
    office, dovecot = move(users=('demo', 'own'))
    dovecot.stop()
    office.start()
    office.put('own', letter(1))
    _, ids = login(connect, office, 'own')
    office.stop()
    again = DovecotPop3(office)
    try:
        assert again.uidl('own') != ids
        again.stop()
        for name in ('valija-base', 'valija-delta'):
            (office.mail / 'own' / name).unlink()
        office.start()
        assert login(connect, office, 'own')[1] == ids
        done = bring(office, again, '--user', 'own')
        assert 'own: was here already: its unique ids stay as they are' in done.stdout
    finally:
        again.remove()
    assert login(connect, office, 'own')[1] == ids


def test_new_ids_where_they_are_wanted(move, connect):
    office, dovecot = move()
    before = dovecot.uidl('demo')
    dovecot.stop()
    tried = office.valija('import', 'none', '-c', office.conf, '--dry-run')
    assert '7 messages, 0 keep their unique ids, 7 would be loaded again' in tried.stdout
    office.valija('import', 'none', '-c', office.conf)
    office.start()
    ids = login(connect, office)[1]
    assert len(ids) == 7 and not set(ids) & set(before)


def test_what_was_brought_is_taken_back(move, connect):
    office, dovecot = move(users=('demo', 'used'))
    office.put('used', letter(1))
    before = dovecot.uidl('demo')
    used = dovecot.uidl('used')
    dovecot.stop()
    files = snapshot(office)
    bring(office, dovecot)
    tried = office.valija('import', 'dovecot', '--undo', '--dry-run', '-c', office.conf)
    assert '2 users would be taken back' in tried.stdout
    assert (office.mail / 'demo/valija-uidl').exists()
    office.valija('import', 'dovecot', '--undo', '-c', office.conf)
    assert snapshot(office) == files
    # again; one that was used meanwhile stays
    bring(office, dovecot)
    office.start()
    assert login(connect, office, 'used')[1] == used
    office.stop()
    done = office.valija('import', 'courier', '--undo', '-c', office.conf)
    assert 'used: was used here since: its unique ids stay as they are' in done.stdout
    assert '1 users were taken back' in done.stdout
    assert (office.mail / 'used/valija-uidl').exists()
    assert not (office.mail / 'demo/valija-uidl').exists()
    bring(office, dovecot)
    office.start()
    assert login(connect, office)[1] == before
    assert login(connect, office, 'used')[1] == used


def test_ids_that_pop3_cannot_have_are_counted(move, connect):
    office, dovecot = move('pop3_uidl_format = %f')
    long = f'1700000100.{"long" * 20}.test'
    office.put('demo', letter(12), name=long)
    before = dovecot.uidl('demo')
    dovecot.stop()
    done = bring(office, dovecot)
    assert '1 would be loaded again (by 1 users)' in done.stdout
    assert re.search(r'demo: 1 of 8 messages are loaded again: .* more than 70 octets', done.stdout)
    office.start()
    ids = login(connect, office)[1]
    assert set(before) - set(ids) == {long} and len(ids) == 8


@pytest.mark.parametrize('text, words', [
    ('pop3_uidl_format = %m\n', '%m, which Dovecot has for mboxes only'),
    ('pop3_uidl_format = %Hf\n', '%H, which is not known here'),
    ('pop3_uidl_format = %{uid | sha1}\n', 'the filter sha1, which is not known here'),
    ('mail_location = mdbox:~/mdbox\n', 'Dovecot has the mail as mdbox'),
    ('mail_driver = sdbox\n', 'Dovecot has the mail as sdbox'),
    ('mail_location = maildir:~/Maildir:CONTROL=/var/control/%u:INDEX=/x\n',
     'its lists of ids in /var/control/%u: give --from DIR'),
    ('mail_control_path = /var/control/%{user}\n', 'give --from DIR'),
    ('pop3_deleted_flag = two words\n', 'pop3_deleted_flag is no keyword of IMAP'),
    (f'pop3_deleted_flag = {"k" * 65}\n', 'pop3_deleted_flag is no keyword of IMAP'),
    ('service pop3 {\n', 'it ends within a section'),
    ('hello\n', '"hello" is no setting')])
def test_a_rule_that_cannot_be_followed_is_refused(make_office, text, words):
    office = make_office(start=False)
    conf = office.scratch / 'dovecot.txt'
    conf.write_text(text)
    done = office.valija('import', 'dovecot', '-c', office.conf, '--config', conf, check=False)
    assert done.returncode and words in done.stderr, done
    assert not (office.mail / '.valija-origin').exists()


def test_lists_that_are_elsewhere(move, connect):
    office, dovecot = move()
    before = dovecot.uidl('demo')
    dovecot.stop()
    lists = office.scratch / 'control'
    (lists / 'demo').mkdir(parents=True)
    (office.mail / 'demo/dovecot-uidlist').rename(lists / 'demo/dovecot-uidlist')
    office.own(lists / 'demo')
    bring(office, dovecot, '--from', lists)
    office.start()
    assert login(connect, office)[1] == before


def test_another_origin_is_not_written_over(make_office):
    office = make_office(start=False)
    conf = office.scratch / 'dovecot.txt'
    conf.write_text('# 2.4.1 (abc): /etc/dovecot/dovecot.conf\n'
                    'pop3_uidl_format = %{uid | hex(8)}%{uidvalidity | hex(8)}\n')
    office.valija('import', 'dovecot', '-c', office.conf, '--config', conf)
    conf.write_text('pop3_uidl_format = %f\n')
    done = office.valija('import', 'dovecot', '-c', office.conf, '--config', conf, check=False)
    assert done.returncode and 'take that back first (--undo)' in done.stderr
    office.valija('import', 'dovecot', '-c', office.conf, '--undo')
    office.valija('import', 'dovecot', '-c', office.conf, '--config', conf)
    assert 'format=%f' in (office.mail / '.valija-origin').read_text()
    assert office.start().valija('deliver', '-c', office.conf, 'demo',
                                 stdin=f'Subject: {PASSWORD}\n')
