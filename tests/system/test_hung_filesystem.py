"""A filesystem that hangs under the maildrops of many: users elsewhere are served, the log says who
waits for what, clients get an answer, and all goes on when the filesystem does."""
import os
import subprocess
import time

import pytest
from lmtp import Lmtp
from office import PASSWORD, wait_until
from pop import Pop

STUCK = 30


@pytest.fixture
def frozen(need_root, tmp_path):
    """frozen(PATH): a filesystem of its own over the folder; .freeze() and .thaw() it."""
    def mount(path):
        status = os.stat(path)
        subprocess.run(['truncate', '-s', '64M', tmp_path / 'image'], check=True)
        if subprocess.run(['mkfs.ext4', '-q', '-F', tmp_path / 'image']).returncode or \
           subprocess.run(['mount', '-o', 'loop', tmp_path / 'image', path]).returncode:
            pytest.skip('no filesystem can be made and mounted here')
        mounted.append(path)
        os.chown(path, status.st_uid, status.st_gid)
        os.chmod(path, 0o700)

    def freeze():
        subprocess.run(['fsfreeze', '-f', mounted[0]], check=True)
        held.append(mounted[0])

    def thaw():
        subprocess.run(['fsfreeze', '-u', held.pop()], check=True)

    mounted, held = [], []
    mount.freeze, mount.thaw = freeze, thaw
    yield mount
    if held:
        thaw()
    for path in mounted:
        subprocess.run(['umount', '-l', path], check=True)


def make(make_office, frozen, stuck, **settings):
    """Users stuck0… on a filesystem of their own, ok0… beside it; one keeper."""
    office = make_office(start=False, users=('ok0', 'ok1', 'ok2'), settings={
        'processes.keepers': 1, 'limits.connections_per_address': 0, **settings})
    slow = office.mail / 'slow'
    slow.mkdir(mode=0o700)
    office.own(slow)
    frozen(slow)
    with open(office.dir / 'users', 'a') as users:
        for n in range(stuck):
            users.write(f'stuck{n}:{{PLAIN}}{PASSWORD}::::slow/m{n}\n')
            for folder in ('', '/new', '/cur', '/tmp'):
                (slow / f'm{n}{folder}').mkdir(mode=0o700)
                office.own(slow / f'm{n}{folder}')
            path = slow / f'm{n}/new/1.a.test'
            path.write_bytes(b'Subject: slow\n\nslow\n')
            office.own(path)
    office.put('ok0', b'Subject: quick\n\nquick\n')
    return office.start()


def ask_to_log_in(office, user):
    client = Pop(office.pop3)
    client.ok(f'USER {user}')
    client.send(f'PASS {PASSWORD}\r\n')
    return client


def elsewhere_all_is_well(office):
    for user in ('ok0', 'ok1', 'ok2'):
        with Pop(office.pop3) as client:
            client.login(user, PASSWORD)
            client.quit()
    with Lmtp(office.lmtp) as client:
        assert client.deliver(b'Subject: x\r\n\r\nx\r\n', 'ok1')[0].startswith('250')


@pytest.mark.parametrize('threads, stuck', [(16, STUCK), (4, STUCK), (2, 4), (2, 1)])
def test_users_elsewhere_are_served(make_office, frozen, threads, stuck):
    office = make(make_office, frozen, stuck, **{'processes.keeper_threads': threads})
    frozen.freeze()
    clients = [ask_to_log_in(office, f'stuck{n}') for n in range(stuck)]
    wait_until(lambda: waiting_in_the_kernel(office) >= min(stuck, threads - max(1, threads // 4)))
    elsewhere_all_is_well(office)
    frozen.thaw()
    for client in clients:
        assert client.line().startswith('+OK')
        assert client.stat()[0] == 1
        client.quit()


def waiting_in_the_kernel(office):
    """Threads in state D: they wait for the frozen filesystem."""
    count = 0
    for pid in office.children():
        for task in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{task}/stat') as stat:
                count += stat.read().rsplit(')', 1)[1].split()[0] == 'D'
    return count


def test_the_log_says_what_is_waited_for_and_clients_get_an_answer(make_office, frozen):
    office = make(make_office, frozen, 3, **{'processes.keeper_threads': 2,
                                            'timeouts.login': '16s'})
    frozen.freeze()
    clients = [ask_to_log_in(office, f'stuck{n}') for n in range(3)]
    status = os.stat(office.mail / 'slow')
    device = f'{os.major(status.st_dev)}:{os.minor(status.st_dev)}'
    office.wait_log(rf'slow/m\d: opening it takes 1\d s .*device {device}', 25)
    office.wait_log(rf'slow/m\d: waits for 1\d s: other maildrops .*device {device}', 25)
    for client in clients:  # before the time to log in is over
        assert client.line().startswith('-ERR [SYS/TEMP]')
        client.close()
    elsewhere_all_is_well(office)
    mark = office.mark()
    frozen.thaw()
    for n in range(3):
        office.wait_log(rf'slow/m{n}: its filesystem answers again, after \d+ s', 20)
    assert all(' takes ' not in line for line in office.log[mark:] if line)
    for n in range(3):
        client = wait_until(lambda: logged_in(office, f'stuck{n}'))
        assert client.stat()[0] == 1
        client.quit()


def logged_in(office, user):
    """None: the session that was given up is not over yet."""
    client = ask_to_log_in(office, user)
    if client.line().startswith('+OK'):
        return client
    client.close()
    return None


# the end, and mail, while it hangs

def end_within(office, seconds):
    begin = time.monotonic()
    office.process.terminate()
    office.process.wait(seconds)
    assert time.monotonic() - begin < seconds
    office.stop(check=False)


def test_mail_to_one_of_three_users_and_the_end(make_office, frozen):
    """Three users of one device: two log in, one gets mail; valijad ends in a bounded time and the
    message has either no answer or a refusal, so the MTA has it still."""
    office = make(make_office, frozen, 3, **{'processes.keeper_threads': 4, 'timeouts.drain': '2s'})
    office.allow('.')
    frozen.freeze()
    clients = [ask_to_log_in(office, f'stuck{n}') for n in range(2)]
    with Lmtp(office.lmtp) as lmtp:
        lmtp.expect('MAIL FROM:<>', '250')
        lmtp.send(b'RCPT TO:<stuck2>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n')
        wait_until(lambda: waiting_in_the_kernel(office) >= 2)
        elsewhere_all_is_well(office)
        end_within(office, 20)
        said = lmtp.closed()
        assert b'delivered' not in said, said
    for client in clients:
        assert not client.closed().startswith(b'+OK')
    frozen.thaw()
    for n in range(3):
        assert len(office.files(f'slow/m{n}')) == 1  # nothing of the message


def test_a_freeze_between_dot_and_answer(make_office, frozen):
    """The message comes when the filesystem does, once, or is refused."""
    office = make(make_office, frozen, 1)
    office.allow('.')
    with Lmtp(office.lmtp, timeout=60) as lmtp:
        lmtp.begin('stuck0')
        frozen.freeze()
        lmtp.send(b'Subject: x\r\n\r\nx\r\n.\r\n')
        wait_until(lambda: waiting_in_the_kernel(office) >= 1)
        elsewhere_all_is_well(office)
        frozen.thaw()
        reply = lmtp.reply()
    assert reply.startswith(('250', '451')), reply
    client = wait_until(lambda: logged_in(office, 'stuck0'))
    assert client.stat()[0] == 1 + reply.startswith('250')
    client.quit()
