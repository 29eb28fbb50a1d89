"""A Maildir whose tmp is missing, or is something else: at a delivery, at QUIT, by the command and
while messages come. It is made by the next delivery; nothing is lost by its absence."""
import concurrent.futures
import os
import shutil

import pytest
from lmtp import Lmtp, split_trace
from office import PASSWORD
from test_mail_not_mounted import deliver, login

MAIL = [b'Subject: %d\n\nbody %d\n' % (n, n) for n in range(1, 4)]


@pytest.fixture
def maildir(shared, user):
    shared.put_many(user, MAIL)
    return shared.mail / user


def take_away(maildir, how):
    shutil.rmtree(maildir / 'tmp')
    if how == 'renamed':
        (maildir / 'tmp.old').mkdir()


@pytest.mark.parametrize('opened', [True, False], ids=['known', 'never opened'])
@pytest.mark.parametrize('how', ['removed', 'renamed'])
@pytest.mark.parametrize('by', ['lmtp', 'command'])
def test_a_delivery_makes_it(shared, user, maildir, connect, by, how, opened):
    if opened:
        assert len(login(connect, shared, user)[1]) == 3
    take_away(maildir, how)
    for _ in range(2):
        if by == 'lmtp':
            assert deliver(shared, user).startswith('250')
        else:
            shared.valija('deliver', '-c', shared.conf, user, stdin='Subject: new\n\nnew\n')
    status, above = (maildir / 'tmp').stat(), maildir.stat()
    assert (status.st_uid, status.st_gid) == (above.st_uid, above.st_gid)
    assert status.st_mode & 0o077 == 0
    assert list((maildir / 'tmp').iterdir()) == []
    assert len(login(connect, shared, user)[1]) == 5


def test_it_goes_between_two_messages_of_a_connection(shared, user, maildir, connect):
    with Lmtp(shared.lmtp) as client:
        for n in range(4):
            shutil.rmtree(maildir / 'tmp', ignore_errors=True)
            client.begin(user)
            client.send(b'Subject: %d\r\n\r\n' % n)
            shutil.rmtree(maildir / 'tmp', ignore_errors=True)  # it is not needed before the dot
            client.send(b'body\r\n.\r\n')
            assert client.reply().startswith('250')
    assert len(login(connect, shared, user)[1]) == 7


def test_it_goes_during_a_session(shared, user, maildir, connect):
    """LIST, RETR, DELE and QUIT do without it, and so does the next session."""
    client = connect(shared)
    client.login(user, PASSWORD)
    shutil.rmtree(maildir / 'tmp')
    assert len(client.list()) == len(client.uidl()) == 3
    for n, octets in enumerate(MAIL, 1):
        assert client.retr(n) == octets.replace(b'\n', b'\r\n')
    client.ok('DELE 2')
    client.quit()
    shared.has_files(user, 2)
    assert len(login(connect, shared, user)[1]) == 2
    assert deliver(shared, user).startswith('250')
    assert len(login(connect, shared, user)[1]) == 3


@pytest.mark.parametrize('what', ['file', 'dangling link', 'link elsewhere'])
def test_something_else_of_that_name_is_no_place_for_mail(shared, user, maildir, connect, what,
                                                          tmp_path):
    """Put off, named, left as it is; who has mail can still collect it."""
    shared.allow('.')
    ids = login(connect, shared, user)[1]
    shutil.rmtree(maildir / 'tmp')
    tmp, elsewhere = maildir / 'tmp', tmp_path / 'elsewhere'
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    if what == 'file':
        tmp.write_text('no folder')
    else:
        tmp.symlink_to('/nowhere/at/all' if what == 'dangling link' else elsewhere)
    shared.own(tmp)
    mark = shared.mark()
    assert deliver(shared, user).startswith('451')
    shared.wait_log(rf'delivery-failed .*user="{user}" .*tmp', since=mark)
    done = shared.valija('deliver', '-c', shared.conf, user, stdin='Subject: x\n\nx\n', check=False)
    assert done.returncode == os.EX_TEMPFAIL and 'tmp' in done.stderr
    assert list(elsewhere.iterdir()) == []
    assert tmp.is_symlink() or tmp.is_file()
    answer, now = login(connect, shared, user)
    assert answer.startswith('-ERR [SYS/') or now == ids
    tmp.unlink()
    assert deliver(shared, user).startswith('250')
    assert login(connect, shared, user)[1][:3] == ids


def test_many_deliveries_at_once_make_one(shared, user, maildir, connect):
    shutil.rmtree(maildir / 'tmp')
    texts = [b'Subject: %d\r\n\r\nmessage %d\r\n' % (n, n) for n in range(12)]

    def bring(octets):
        with Lmtp(shared.lmtp) as client:
            return client.deliver(octets, user)[0]

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(bring, texts))
    assert all(reply.startswith('250') for reply in replies), replies
    client = connect(shared)
    client.login(user, PASSWORD)
    got = [client.retr(n) for n in client.list()]
    assert sorted(split_trace(octets)[1] for octets in got[3:]) == sorted(texts)
    client.quit()


def test_a_maildir_that_lost_tmp_and_cannot_get_it(shared, user, maildir, connect):
    """Its folder takes no new entry: mail is put off, what is there can be read."""
    if os.geteuid() == 0 and shared.mail.stat().st_uid == 0:
        pytest.skip('the keeper is root here')
    ids = login(connect, shared, user)[1]
    shutil.rmtree(maildir / 'tmp')
    maildir.chmod(0o500)
    shared.allow('.')
    try:
        mark = shared.mark()
        assert deliver(shared, user).startswith('451')
        shared.wait_log(rf'delivery-failed .*user="{user}" .*ermission denied', since=mark)
    finally:
        maildir.chmod(0o700)
    assert deliver(shared, user).startswith('250')
    assert login(connect, shared, user)[1][:3] == ids
