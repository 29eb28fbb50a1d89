"""A site of Courier moves here: `valija import courier`. The real POP3 server of Courier serves the
mail first, then we do, and no client loads anything twice."""
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

from courier_pop3 import CourierPop3, why_not  # noqa: E402

LIST = 'courierpop3dsizelist'
REFUSED = "Courier filled it, and its clients know Courier's unique ids: run valija import courier"


def letter(number):
    return f'Subject: {number}\n\nletter {number}\n'.encode()


def fill(office, user):
    for number in range(6):
        office.put(user, letter(number), name=f'{1700000009 - number}.M{number}.test')
    office.put(user, letter(9), name="1600000000.M9+q'.test,S=21,W=24", folder='cur', flags='S')


@pytest.fixture
def move(make_office):
    """move(USERS): a stopped office, and the Courier that serves its mail."""
    why = why_not()
    if why:
        pytest.skip(why)
    made = []

    def begin(users=('demo',)):
        office = make_office(start=False, users=users)
        fill(office, 'demo')
        made.append(CourierPop3(office))
        return office, made[-1]

    yield begin
    for courier in made:
        courier.stop()


def bring(office, *more, check=True):
    return office.valija('import', 'courier', '-c', office.conf, *more, check=check)


def as_it_is(lines):
    return lines


def of_version_2(lines):
    """As Courier before 2018 wrote it."""
    return [lines[0].replace('/3', '/2')] + [line.rpartition(':')[0] for line in lines[1:]]


def with_older_ids(lines):
    """Of a server that was upgraded from versions 0 and 1, which Courier keeps."""
    return [lines[0]] + [re.sub(r' (\d+):\d+:', fr' {old}:', line) for old, line in
                         zip(('0:0', r'\1:0', '0:5', r'\1:77', '0:0', '0:0', r'\1:9'), lines[1:])]


def in_another_order(lines):
    return [lines[0], *reversed(lines[1:])]


@pytest.mark.parametrize('kind', [as_it_is, of_version_2, with_older_ids, in_another_order])
def test_ids_and_their_order_stay(move, connect, kind):
    office, courier = move()
    courier.uidl('demo')
    path = office.mail / 'demo' / LIST
    lines = kind(path.read_text().splitlines())
    text = '\n'.join(lines) + '\n'
    path.write_text(text)
    before = courier.uidl('demo')
    courier.stop()
    path.write_text(text)  # Courier may have written it anew
    assert len(set(before)) == 7
    # flags change, one is deleted, and a message comes that Courier never saw
    seen = next((office.mail / 'demo/cur').glob('1700000007*'))
    seen.rename(f'{seen}S')
    next((office.mail / 'demo/cur').glob('1700000005*')).unlink()
    del before[2]
    office.put('demo', letter(10), name='1500000000.M10.test')
    files = snapshot(office)
    tried = bring(office, '--dry-run')
    assert '1 users, 7 messages, 6 keep their unique ids, 0 would be loaded again' in tried.stdout
    assert snapshot(office) == files
    assert tried.stdout.replace('; nothing was written', '') == bring(office).stdout
    assert path.read_text() == text
    assert (office.mail / '.valija-origin').read_text() == 'courier\n'
    office.start()
    answer, ids = login(connect, office)
    assert answer.startswith('+OK') and ids[:6] == before and len(set(ids)) == 7, answer
    assert deliver(office).startswith('250')
    assert login(connect, office)[1][:7] == ids
    # a lost index is a lost cache
    office.stop()
    for name in ('valija-base', 'valija-delta', 'valija-lock'):
        (office.mail / 'demo' / name).unlink()
    office.start()
    assert login(connect, office)[1][:7] == ids


@pytest.mark.parametrize('kind', moving.KINDS)
def test_no_client_loads_anything_twice(move, kind):
    moving.needs(kind)
    office, courier = move()
    client = moving.client_of(kind, office)

    def move_over():
        courier.stop()
        bring(office)
        office.start()
    moving.loads_nothing_twice(client, 7, move_over, lambda: office.put('demo', letter(11)))


def test_never_new_ids_in_silence(move, connect):
    """A Maildir of Courier is neither shown nor delivered to before its ids are brought."""
    office, courier = move(users=('demo', 'plain'))
    office.put('plain', letter(1))
    before = courier.uidl('demo')
    courier.uidl('plain')
    courier.stop()
    next((office.mail / 'plain/cur').iterdir()).unlink()
    office.start()
    office.allow(re.escape(REFUSED))
    files = snapshot(office)
    checked = office.valijad('-t', '-c', office.conf)
    assert f'mail/demo: {REFUSED}' in checked.stderr
    asked = office.valija('doctor', '-c', office.conf, check=False)
    assert f'mail/demo: {REFUSED}' in asked.stdout and 'courier --dry-run' in asked.stdout, asked
    assert login(connect, office)[0].startswith('-ERR [SYS/PERM]')
    assert deliver(office).startswith('451')
    office.wait_log(re.escape(REFUSED))
    assert snapshot(office) == files
    # one without a message has no ids to lose
    assert (office.mail / 'plain' / LIST).exists()
    assert login(connect, office, 'plain')[1] == []
    bring(office, '--user', 'demo')
    assert login(connect, office)[1] == before
    assert not (office.mail / '.valija-origin').exists()


def test_the_rule_is_there_for_those_who_come_later(move, connect):
    """A Maildir that Courier served is put into the mail folder after the import."""
    office, courier = move(users=('demo', 'late'))
    before = courier.uidl('demo')
    bring(office)
    fill(office, 'late')
    late = courier.uidl('late')
    courier.stop()
    office.start()
    assert login(connect, office)[1] == before
    assert login(connect, office, 'late')[1] == late
    office.wait_log('maildrop late: came from another server: 7 messages, 7 keep its unique ids')


def test_a_maildir_of_two_servers_is_a_persons_choice(move, connect):
    office, courier = move()
    before = courier.uidl('demo')
    courier.stop()
    (office.mail / 'demo/dovecot-uidlist').write_text('3 V7 N9\n')
    office.own(office.mail / 'demo')
    office.start()
    office.allow('Dovecot and Courier filled it')
    assert login(connect, office)[0].startswith('-ERR [SYS/PERM]')
    office.wait_log('run valija import dovecot or valija import courier')
    bring(office)
    assert login(connect, office)[1] == before


def test_another_rule_does_not_hide_its_list(move, connect):
    """Dovecot's rule is recorded, and one Maildir is Courier's."""
    office, courier = move(users=('demo', 'own'))
    before = courier.uidl('demo')
    courier.stop()
    conf = office.scratch / 'dovecot.txt'
    conf.write_text('')
    done = office.valija('import', 'dovecot', '-c', office.conf, '--config', conf, check=False)
    assert done.returncode == 75 and re.search(
        r'demo: maildrop demo: Courier filled it, .* valija import courier, or valija import none, '
        r'for its user \(--user\): it has no dovecot-uidlist', done.stdout), done
    assert '1 users failed' in done.stdout
    assert bring(office, check=False).returncode == 78
    bring(office, '--user', 'demo')
    office.start()
    assert login(connect, office)[1] == before


def test_what_was_brought_is_taken_back(move, connect):
    office, courier = move(users=('demo', 'used'))
    fill(office, 'used')
    before = courier.uidl('demo')
    used = courier.uidl('used')
    files = snapshot(office)
    bring(office)
    tried = office.valija('import', 'courier', '--undo', '--dry-run', '-c', office.conf)
    assert '2 users would be taken back' in tried.stdout
    office.valija('import', 'courier', '--undo', '-c', office.conf)
    assert snapshot(office) == files
    assert courier.uidl('demo') == before
    courier.stop()
    bring(office)
    office.start()
    assert login(connect, office, 'used')[1] == used
    office.stop()
    done = bring(office, '--undo')
    assert 'used: was used here since: its unique ids stay as they are' in done.stdout
    assert '1 users were taken back' in done.stdout
    assert not (office.mail / 'demo/valija-uidl').exists()


def test_lists_that_are_elsewhere(move, connect):
    office, courier = move()
    before = courier.uidl('demo')
    courier.stop()
    (office.scratch / 'lists/demo').mkdir(parents=True)
    (office.mail / 'demo' / LIST).rename(office.scratch / 'lists/demo' / LIST)
    office.own(office.scratch / 'lists/demo')
    bring(office, '--from', office.scratch / 'lists')
    office.start()
    assert login(connect, office)[1] == before


def test_a_list_that_is_damaged_refuses(move, connect):
    office, courier = move()
    courier.uidl('demo')
    courier.stop()
    path = office.mail / 'demo' / LIST
    lines = path.read_text().splitlines()
    path.write_text('')
    done = bring(office, check=False)
    assert done.returncode == 75 and f'{LIST}: its first line is none' in done.stdout, done
    path.write_text('\n'.join([*lines[:3], 'no message', *lines[3:]])[:-3])
    done = bring(office)
    assert f'demo: 2 lines of {LIST} make no sense: their messages get new ids' in done.stdout
    assert '7 messages, 6 keep their unique ids' in done.stdout
    office.start()
    assert len(login(connect, office)[1]) == 7


def test_what_it_does_not_take(make_office):
    office = make_office(start=False)
    for more in (['--config', office.conf], ['none'], ['--frm', 'x']):
        done = bring(office, *more, check=False)
        assert done.returncode == 64 and 'usage: valija import' in done.stderr, done
    assert office.start().valija('deliver', '-c', office.conf, 'demo',
                                 stdin=f'Subject: {PASSWORD}\n')
