"""A site of Cyrus moves here: `valija import cyrus`. The real Cyrus serves the mail first, then we
do: no client loads anything twice, and each message has the octets that Cyrus sent."""
import pathlib
import shutil
import socket
import struct
import sys

import moving
import pytest
from office import PASSWORD
from test_mail_not_mounted import deliver, login

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'stand_ins'))

from cyrus import SPOOL_USER, Cyrus, why_not  # noqa: E402

FORMATS = ['uidonly', 'cyrus', 'dovecot', 'courier']
MAGIC = (b'\241\002\213\015Cyrus mailbox header\n'
         b'"The best thing about this system was that it had lots of goals."\n'
         b'\t--Jim Morris on Andrew\n')


def letter(number):
    return f'Subject: {number}\r\n\r\nletter {number}\r\n.dot\r\n\r\n'.encode()


@pytest.fixture
def move(make_office):
    """move(MORE, USERS): a stopped office, and the Cyrus that serves its users, with six messages
    of demo's."""
    why = why_not()
    if why:
        pytest.skip(why)
    made = []

    def begin(more='', users=('demo',)):
        office = make_office(start=False, users=users)
        made.append(Cyrus(office, more))
        for number in range(6):
            made[-1].deliver('demo', letter(number))
        return office, made[-1]

    yield begin
    for cyrus in made:
        cyrus.remove()


def bring(office, cyrus, *more, check=True):
    return office.valija('import', 'cyrus', '-c', office.conf, '--config', cyrus.conf, *more,
                         check=check)


def undo(office, *more, check=True):
    return office.valija('import', 'cyrus', '--undo', '-c', office.conf, *more, check=check)


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def served(connect, office, user='demo'):
    """What RETR sends of each message here, line by line."""
    client = connect(office)
    client.login(user, PASSWORD)
    all_lines = [[line.encode('latin-1') for line in client.lines(f'RETR {number}')]
                 for number in client.uidl()]
    client.quit()
    client.close()
    return all_lines


@pytest.mark.parametrize('form', FORMATS)
def test_ids_order_and_octets_stay(move, connect, form):
    office, cyrus = move(f'uidl_format: {form}')
    client = cyrus.pop('demo')
    client.dele(3)
    client.quit()
    ids, messages = cyrus.uidl('demo'), cyrus.messages('demo')
    assert len(set(ids)) == 5
    spool, mail = snapshot(cyrus.spool), snapshot(office.mail)
    tried = bring(office, cyrus, '--dry-run')
    assert '1 users, 5 messages, 5 keep their unique ids, 0 would be loaded again' in tried.stdout
    assert snapshot(office.mail) == mail
    cyrus.stop()
    assert tried.stdout.replace('; nothing was written', '') == bring(office, cyrus).stdout
    assert {path: octets for path, octets in snapshot(cyrus.spool).items()
            if path in spool} == spool
    office.start()
    answer, shown = login(connect, office)
    assert answer.startswith('+OK') and shown == ids, answer
    assert served(connect, office) == messages
    assert deliver(office).startswith('250')
    assert login(connect, office)[1][:5] == ids
    # a lost index is a lost cache
    office.stop()
    for name in ('valija-base', 'valija-delta', 'valija-lock'):
        (office.mail / 'demo' / name).unlink(missing_ok=True)
    office.start()
    assert login(connect, office)[1][:5] == ids


@pytest.mark.parametrize('kind', moving.KINDS)
@pytest.mark.parametrize('form', FORMATS)
def test_no_client_loads_anything_twice(move, kind, form):
    moving.needs(kind)
    office, cyrus = move(f'uidl_format: {form}')
    client = moving.client_of(kind, office)

    def move_over():
        cyrus.stop()
        bring(office, cyrus)
        office.start()
    moving.loads_nothing_twice(client, 6, move_over, lambda: office.put('demo', letter(11)))


def to_legacy(cyrus, path, name='user.demo'):
    """The folder and header of a server before 3.6."""
    folder = next(header.parent for header in cyrus.spool.rglob('cyrus.header')
                  if f'N {name} '.encode() in header.read_bytes())
    (folder / 'cyrus.header').write_bytes(MAGIC + name.encode() + b'\t0123456789abcdef\n\n\n')
    (cyrus.spool / path).parent.mkdir(parents=True, exist_ok=True)
    folder.rename(cyrus.spool / path)
    for place in (cyrus.spool, *cyrus.spool.rglob('*')):
        shutil.chown(place, SPOOL_USER, SPOOL_USER)
    return cyrus.spool / path


@pytest.mark.parametrize('more, path', [
    ('', 'd/user/demo'),
    ('hashimapspool: 0', 'user/demo'),
    ('fulldirhash: yes', 'E/user/demo'),
    ('unixhierarchysep: no\naltnamespace: no', 'd/user/demo'),
    ('virtdomains: userid\ndefaultdomain: office.test', 'd/user/demo')])
def test_folders_of_older_servers(move, connect, more, path):
    office, cyrus = move(more)
    ids = cyrus.uidl('demo')
    cyrus.stop()
    to_legacy(cyrus, path)
    assert '6 messages, 6 keep' in bring(office, cyrus).stdout
    office.start()
    assert login(connect, office)[1] == ids


@pytest.mark.parametrize('version', [10, 12, 13])
def test_indexes_of_older_servers(move, connect, version):
    """As Cyrus 2.3 to 3.0 wrote them: until 2.3 what is expunged is in a file of its own."""
    office, cyrus = move()
    ids = cyrus.uidl('demo')
    cyrus.stop()
    path = next(cyrus.spool.rglob('cyrus.index'))
    octets = path.read_bytes()
    start, size, count = struct.unpack('!3I', octets[12:24])
    records = [octets[start + i * size:start + (i + 1) * size] for i in range(count)]
    head, body = {10: (96, 80), 12: (128, 96), 13: (128, 104)}[version]
    header = bytearray(octets[:head])
    header[8:20] = struct.pack('!3I', version, head, body)
    path.write_bytes(bytes(header) + b''.join(record[:body] for record in records))
    assert '6 messages, 6 keep' in bring(office, cyrus).stdout
    office.start()
    assert login(connect, office)[1] == ids


def test_users_with_domains_and_dots(move, connect):
    users = ('demo', 'anna.b@example.org', 'Carl@office.test', 'none')
    office, cyrus = move('virtdomains: userid\ndefaultdomain: office.test', users)
    cyrus.deliver('anna.b@example.org', letter(1))
    cyrus.deliver('carl@office.test', letter(2))
    ids = {user: cyrus.uidl(user) for user in users[:3]}
    cyrus.stop()
    done = bring(office, cyrus)
    assert '3 users, 8 messages, 8 keep' in done.stdout
    assert '1 users have no mail of another server' in done.stdout
    office.start()
    assert {user: login(connect, office, user)[1] for user in users[:3]} == ids
    assert login(connect, office, 'none')[1] == []


def test_nobody_gets_the_mail_of_another(move, connect):
    """A Cyrus that knows no domains has one mailbox for two users of ours."""
    users = ('demo@example.org', 'demo@example.net')
    office, cyrus = move(users=users)
    ids = cyrus.uidl('demo')
    cyrus.stop()
    done = bring(office, cyrus, check=False)
    assert done.returncode == 75 and '2 users failed' in done.stdout, done
    assert "would be this user's and that of demo@example.net: give it to one" in done.stdout
    assert not list(office.mail.rglob('*.cyrus*'))
    bring(office, cyrus, '--user', users[0])
    office.start()
    assert login(connect, office, users[0])[1] == ids
    assert login(connect, office, users[1])[1] == []


def test_deleted_ones_are_hidden_as_there(move, connect):
    office, cyrus = move('popuseimapflags: yes')
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as imap:
        imap.settimeout(60)
        imap.connect(str(cyrus.folder / 'imap'))
        stream = imap.makefile('rw', newline='')
        stream.readline()
        for tag, command in enumerate((f'LOGIN demo "{PASSWORD}"', 'SELECT INBOX',
                                       r'STORE 2 +FLAGS (\Deleted)', r'STORE 3 +FLAGS (\Seen)',
                                       'LOGOUT')):
            stream.write(f'{tag} {command}\r\n')
            stream.flush()
            while not (line := stream.readline()).startswith(f'{tag} '):
                assert line
            assert line.startswith(f'{tag} OK'), line
    ids = cyrus.uidl('demo')
    assert len(ids) == 5
    cyrus.stop()
    bring(office, cyrus)
    assert len(list((office.mail / 'demo/cur').glob('*:2,S'))) == 1
    office.start()
    assert login(connect, office)[1] == ids


def test_files_in_other_partitions(move, connect):
    office, cyrus = move()
    ids = cyrus.uidl('demo')
    cyrus.stop()
    folder = next(cyrus.spool.rglob('cyrus.index')).parent
    below = folder.relative_to(cyrus.spool)
    for name in ('meta', 'archive'):
        (cyrus.folder / name / below).mkdir(parents=True)
    for name in ('cyrus.index', 'cyrus.header'):
        (folder / name).rename(cyrus.folder / 'meta' / below / name)
    (folder / '4.').rename(cyrus.folder / 'archive' / below / '4.')
    for place in cyrus.folder.rglob('*'):
        shutil.chown(place, SPOOL_USER, SPOOL_USER)
    with cyrus.conf.open('a') as conf:
        conf.write(f'metapartition_files: header index cache\n'
                   f'metapartition-default: {cyrus.folder}/meta\n'
                   f'archivepartition-default: {cyrus.folder}/archive\n')
    assert '6 messages, 6 keep' in bring(office, cyrus).stdout
    office.start()
    assert login(connect, office)[1] == ids


def test_what_was_brought_is_taken_back(move, connect):
    office, cyrus = move(users=('demo', 'used'))
    cyrus.deliver('used', letter(7))
    used = cyrus.uidl('used')
    cyrus.stop()
    bring(office, cyrus)
    files = snapshot(office.mail)
    assert '2 users would be taken back' in undo(office, '--dry-run').stdout
    assert snapshot(office.mail) == files
    assert '2 users were taken back' in undo(office).stdout
    assert not [path for path in office.mail.rglob('*') if 'cyrus' in path.name
                or path.name == 'valija-uidl']
    bring(office, cyrus)
    assert snapshot(office.mail) == files
    office.start()
    assert login(connect, office, 'used')[1] == used
    office.stop()
    done = undo(office)
    assert 'used: was used here since: its unique ids stay as they are' in done.stdout
    assert '1 users were taken back' in done.stdout
    assert len(list((office.mail / 'used/cur').glob('*.cyrus,*'))) == 1


def test_mail_that_was_here_before_stays(move, connect):
    office, cyrus = move()
    ids = cyrus.uidl('demo')
    cyrus.stop()
    office.start()
    assert deliver(office).startswith('250')
    own = login(connect, office)[1]
    assert len(own) == 1
    bring(office, cyrus)
    shown = login(connect, office)[1]
    assert sorted(shown) == sorted(own + ids)
    # a second call does nothing
    done = bring(office, cyrus)
    assert '1 users were here already' in done.stdout
    assert login(connect, office)[1] == shown


def test_a_call_that_was_cut_off_is_repeated(move, connect):
    """Once the ids are written messages are only renamed; before, copying begins anew."""
    office, cyrus = move()
    ids = cyrus.uidl('demo')
    cyrus.stop()
    bring(office, cyrus)
    maildir = office.mail / 'demo'
    files = snapshot(maildir)
    folder = maildir / 'valija-import'
    folder.mkdir()
    for path in sorted((maildir / 'cur').iterdir())[2:]:
        path.rename(folder / path.name)
    office.own(folder)
    assert '1 users were here already' in bring(office, cyrus).stdout
    assert snapshot(maildir) == files and not folder.exists()
    undo(office)
    folder.mkdir()
    (folder / 'begun').write_text('half')
    (folder / '7.V1U1.cyrus,S=4,W=4:2,').write_text('half')
    for path in (folder, *folder.iterdir()):
        office.own(path)
    bring(office, cyrus)
    assert snapshot(maildir) == files and not folder.exists()
    office.start()
    assert login(connect, office)[1] == ids


def test_what_is_damaged_refuses(move):
    office, cyrus = move()
    cyrus.stop()
    path = next(cyrus.spool.rglob('cyrus.index'))
    octets = path.read_bytes()
    for damaged, why in ((octets[:40], 'it is shorter than an index of Cyrus'),
                         (octets[:-7], 'it is cut off, or damaged'),
                         (octets[:8] + b'\0\0\0\x63' + octets[12:], 'its version is 99')):
        path.write_bytes(damaged)
        done = bring(office, cyrus, check=False)
        assert done.returncode == 75 and why in done.stdout, done
        assert '1 users failed' in done.stdout
    path.write_bytes(octets)
    (path.parent / '3.').unlink()
    done = bring(office, cyrus, '--dry-run')
    assert '1 of 6 messages are loaded again' in done.stdout
    assert 'its file is not there' in done.stdout


def test_settings_that_make_no_sense(move):
    office, cyrus = move()
    text = cyrus.conf.read_text()
    for more, why in (('uidl_format: qpopper', 'uidl_format: qpopper: Cyrus has uidonly'),
                      ('no colon', 'there is no colon'),
                      ('@include: /nowhere', '/nowhere: No such file')):
        cyrus.conf.write_text(f'{text}{more}\n')
        done = bring(office, cyrus, check=False)
        assert done.returncode != 0 and why in done.stderr, done
    cyrus.conf.write_text('partition-default: /nowhere\n')
    done = bring(office, cyrus, check=False)
    assert done.returncode == 78 and 'name no spool that is there' in done.stderr, done
