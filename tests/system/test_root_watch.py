"""The mail folder goes away under a running server: moved, replaced, mounted over, unmounted. Its
log says so, nobody logs in and no mail is taken into a folder that nobody would find again; when
the folder is back, all goes on without a reload. A look that hangs holds up nothing."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

import pytest
from fuse import Silent
from lmtp import Lmtp
from office import PASSWORD, wait_until
from test_mail_not_mounted import MAIL, assert_here, deliver, login
from test_register import mounted  # noqa: F401 (a fixture)
from wire import wire_form

AWAY = r'error: {} is not the folder any more that valijad has open \(.*reload valijad'
BACK = r'{} is the folder again that valijad has open'
EX_TEMPFAIL = 75
LOOK = 60  # seconds, for a look each 15 on a busy machine
FOLDER = r'the path of the mail folder leads elsewhere'


def start(make_office, connect, **settings):
    office = make_office(start=False, users=('demo', 'bob'),
                         settings={'processes.keepers': 1, **settings})
    office.put('demo', MAIL)
    office.start()
    office.allow(AWAY.format('.*'), FOLDER)
    office.ids = login(connect, office)[1]
    return office


def wait_away(office, connect):
    office.wait_log(AWAY.format(office.mail), LOOK)
    wait_until(lambda: refused(office, connect))  # a keeper learns of it a moment later


def refused(office, connect):
    return login(connect, office)[0].startswith('-ERR [SYS/TEMP]')


def assert_nothing_is_taken(office, connect, folder):
    """folder: the one that the server has open, wherever it is now."""
    before = sorted(folder.rglob('*'))
    for user in ('demo', 'bob'):
        assert login(connect, office, user)[0].startswith('-ERR [SYS/TEMP]')
        assert deliver(office, user).startswith('451 4.3.0')
    assert sorted(folder.rglob('*')) == before


def assert_goes_on(office, connect):
    office.wait_log(BACK.format(office.mail), LOOK)
    wait_until(lambda: not refused(office, connect))
    assert_here(connect, office, office.ids)
    for user in ('demo', 'bob'):
        assert deliver(office, user).startswith('250')
    assert len(login(connect, office)[1]) == len(office.ids) + 1


def moved(office):
    return office.mail.with_name('moved')


def rename(office):
    office.mail.rename(moved(office))


def replace(office):
    rename(office)
    office.mail.mkdir()
    shutil.copystat(moved(office), office.mail)
    os.chown(office.mail, moved(office).stat().st_uid, moved(office).stat().st_gid)
    # a copy with its mark is another folder all the same
    shutil.copy2(moved(office) / '.valija-root', office.mail)


def turn_link(office):
    """The path is a link, which leads to another folder from now on."""
    rename(office)
    other = office.mail.with_name('other')
    other.mkdir()
    office.mail.symlink_to(other)


def put_back(office):
    if office.mail.is_symlink():
        office.mail.unlink()
    elif office.mail.exists():
        shutil.rmtree(office.mail)
    moved(office).rename(office.mail)


def test_a_folder_that_is_moved_or_replaced(make_office, connect):
    """Three sites at a time, as a look is made only now and then."""
    ways = {start(make_office, connect): way for way in (rename, replace, turn_link)}
    for office, way in ways.items():
        way(office)
    for office in ways:
        wait_away(office, connect)
        assert_nothing_is_taken(office, connect, moved(office))
        put_back(office)
    for office in ways:
        assert_goes_on(office, connect)
        assert sum('not the folder any more' in (line or '') for line in office.log) == 1


def test_sessions_and_transactions_from_before(make_office, connect):
    """Who has the maildrop open reads and deletes in it; a recipient that was accepted before gets
    no mail; a keeper that starts later knows it as well."""
    office = start(make_office, connect)
    client = connect(office)
    client.login('demo', PASSWORD)
    with Lmtp(office.lmtp) as mta:
        mta.expect('MAIL FROM:<carol@example.com>', '250')
        mta.expect('RCPT TO:<bob>', '250')
        mta.expect('DATA', '354')
        replace(office)
        wait_away(office, connect)
        mta.send('Subject: late\r\n\r\nlate\r\n.\r\n')
        assert mta.reply().startswith('451 4.3.0')
    assert not (moved(office) / 'bob').exists()
    assert client.retr(1) == wire_form(MAIL)
    client.ok('DELE 1')
    client.quit()
    for pid in keepers(office):
        os.kill(pid, signal.SIGKILL)
    office.allow('was ended by signal 9')
    wait_until(lambda: len(keepers(office)) == 1)
    assert_nothing_is_taken(office, connect, moved(office))
    office.ids = []
    put_back(office)
    assert_goes_on(office, connect)


def keepers(office):
    return [pid for pid, line in office.children().items() if 'keeper' in line]


def test_an_old_generation_takes_nothing_either(make_office, connect):
    """An MTA in a transaction from before a reload, which may go on for an hour."""
    office = start(make_office, connect, **{'timeouts.drain': '100s'})
    with Lmtp(office.lmtp) as mta:
        mta.expect('MAIL FROM:<carol@example.com>', '250')
        mta.expect('RCPT TO:<bob>', '250')
        mta.expect('DATA', '354')
        replace(office)
        office.valija('mark', office.mail)
        mark = office.mark()
        office.reload()
        office.wait_log('sessions from before the last reload have the folder that was', LOOK, mark)
        mta.send('Subject: late\r\n\r\nlate\r\n.\r\n')
        assert mta.reply().startswith('451 4.3.0')
        assert deliver(office, 'bob').startswith('250')  # the new one
    assert (office.mail / 'bob').exists() and not (moved(office) / 'bob').exists()


# filesystems

def test_a_filesystem_over_the_folder_and_one_that_goes(make_office, connect,
                                                         mounted):  # noqa: F811
    over, gone = start(make_office, connect), make_office(start=False, users=('demo', 'bob'))
    disk = gone.dir / 'disk'
    disk.mkdir()
    mounted(disk, '-t', 'tmpfs', '-o', 'mode=755', 'test')
    mounted(gone.mail, '--bind', disk)
    own_root(gone)
    gone.put('demo', MAIL)
    gone.start()
    gone.allow(AWAY.format('.*'), FOLDER)
    gone.ids = login(connect, gone)[1]
    with beside(over) as below:
        mounted(over.mail, '-t', 'tmpfs', 'test')
        mounted.off(gone.mail)
        wait_away(over, connect)
        assert_nothing_is_taken(over, connect, below)
        wait_away(gone, connect)
        assert_nothing_is_taken(gone, connect, disk)
        assert not list(over.mail.iterdir()) and not (gone.mail / 'demo').exists()
        mounted.off(over.mail)
        mounted(gone.mail, '--bind', disk)
    for office in (over, gone):
        assert_goes_on(office, connect)
        office.stop()


def own_root(office):
    """The folder of a filesystem that was mounted gets the mark of the mail, as a person gives it,
    and an owner."""
    office.own(office.mail)
    office.valija('mark', office.mail)


@contextlib.contextmanager
def beside(office):
    """The mail folder by a path that no mount comes over."""
    fd = os.open(office.mail, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield pathlib.Path(f'/proc/{os.getpid()}/fd/{fd}')
    finally:
        os.close(fd)


@pytest.mark.skipif(not os.path.exists('/dev/fuse'), reason='no FUSE here')
def test_a_look_that_hangs_holds_up_nothing(make_office, connect, need_root):
    """The filesystem that came over the folder never answers, not even to a signal: who has mail is
    served, a keeper that ends is replaced, the server stops, and says it once."""
    office = start(make_office, connect)
    office.allow('has not answered for', 'was ended by signal 9')
    try:
        silent = Silent(office.mail).__enter__()
    except OSError as error:
        pytest.skip(str(error))
    try:
        office.wait_log(rf'warning: {office.mail} has not answered for 10 seconds', LOOK)
        assert_here(connect, office, office.ids)
        for pid in keepers(office):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: login(connect, office)[1] == office.ids)
    finally:
        silent.__exit__()
    mark = office.mark()
    office.wait_log(rf'{office.mail} answers again', LOOK, mark)
    assert_here(connect, office, office.ids)
    assert sum('has not answered' in (line or '') for line in office.log) == 1


@pytest.mark.skipif(not os.path.exists('/dev/fuse'), reason='no FUSE here')
def test_the_server_stops_during_a_look_that_hangs(make_office, connect, need_root):
    office = start(make_office, connect)
    office.allow('has not answered for')
    try:
        silent = Silent(office.mail)
        silent.__enter__()
    except OSError as error:
        pytest.skip(str(error))
    try:
        assert silent.asked.wait(LOOK)
        office.stop(seconds=10)
    finally:
        silent.__exit__()


REFUSED = r'error: the new configuration is not used, the old one goes on: the mail folder {} ' \
    r'has not answered for 10 seconds'


@contextlib.contextmanager
def silent_over(folder):
    try:
        silent = Silent(folder)
        silent.__enter__()
    except OSError as error:
        pytest.skip(str(error))
    try:
        yield silent
    finally:
        silent.__exit__()


@pytest.mark.skipif(not os.path.exists('/dev/fuse'), reason='no FUSE here')
def test_a_reload_that_hangs_is_refused(make_office, connect, need_root):
    """The old configuration goes on meanwhile, and afterwards; a reload after the end of the
    trouble is as any other. A process that hangs still is not joined by a second one."""
    office = start(make_office, connect)
    office.allow('has not answered for', 'was ended by signal 9')
    with silent_over(office.mail) as silent:
        mark = office.mark()
        office.process.send_signal(signal.SIGHUP)
        assert silent.asked.wait(LOOK)
        assert_here(connect, office, office.ids)
        for pid in keepers(office):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: login(connect, office)[1] == office.ids)
        office.process.send_signal(signal.SIGHUP)
        refused_at = office.wait_log(REFUSED.format(office.mail), LOOK, mark)
        office.wait_log('a reload is in progress', since=mark)
        office.wait_log(REFUSED.format(office.mail), LOOK, refused_at)  # the one that waited
        assert_here(connect, office, office.ids)
        before = len(askers(office))
        office.reload(REFUSED.format(office.mail))
        assert len(askers(office)) == before
    wait_until(lambda: not askers(office))  # the end of the trouble has reached it
    office.reload()
    assert_here(connect, office, office.ids)


def askers(office):
    """Processes of the monitor that are no children: they wait for the mail folder, or have ended
    (then they have no command line) and the monitor has not heard of it."""
    children = pathlib.Path(f'/proc/{office.process.pid}/task/{office.process.pid}/children')
    monitor = pathlib.Path(f'/proc/{office.process.pid}/cmdline').read_bytes()
    return [pid for pid in children.read_text().split()
            if pathlib.Path(f'/proc/{pid}/cmdline').read_bytes() in (monitor, b'')]


@pytest.mark.skipif(not os.path.exists('/dev/fuse'), reason='no FUSE here')
def test_a_reload_to_another_folder_while_the_first_hangs(make_office, connect, need_root):
    office = start(make_office, connect)
    office.allow('has not answered for', AWAY.format('.*'))
    other = office.mail.with_name('other')
    subprocess.run(['cp', '-a', office.mail, other], check=True)
    with silent_over(office.mail):
        mark = office.mark()
        office.process.send_signal(signal.SIGHUP)
        office.wait_log(REFUSED.format(office.mail), LOOK, mark)
        office.set('mail', f'"{other}"')
        office.reload()
        assert len(login(connect, office)[1]) == len(office.ids)


@pytest.mark.skipif(not os.path.exists('/dev/fuse'), reason='no FUSE here')
def test_the_server_stops_during_a_reload_that_hangs(make_office, connect, need_root):
    office = start(make_office, connect)
    with silent_over(office.mail) as silent:
        office.process.send_signal(signal.SIGHUP)
        assert silent.asked.wait(LOOK)
        office.stop(seconds=10)


@pytest.mark.skipif(not os.path.exists('/dev/fuse'), reason='no FUSE here')
@pytest.mark.parametrize('stopped', [False, True])
def test_a_start_that_hangs_ends_with_the_reason(make_office, need_root, stopped):
    office = make_office(start=False)
    with silent_over(office.mail) as silent:
        office.start(wait=False)
        assert silent.asked.wait(LOOK)
        if stopped:
            office.process.send_signal(signal.SIGTERM)
        assert office.process.wait(LOOK) == (0 if stopped else EX_TEMPFAIL)
    office.reader.join()
    wanted = f'error: the mail folder {office.mail} has not answered for 10 seconds'
    assert stopped or wanted in office.log_text()
    office.process = None
