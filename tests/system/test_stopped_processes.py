"""Processes of every role that are stopped by a signal: replaced within the time of
processes.answer, named in the log, and nobody else notices; the end of valijad waits for none
of them."""
import os
import pathlib
import signal
import time

import pytest
from lmtp import Lmtp
from office import PASSWORD, wait_until
from pop import Pop, client_context
from test_hanging import first
from test_lifecycle import serves_within, slowness

MAIL = b'Subject: one\n\nstill here\n'
SOON = {'processes.answer': '2s', 'processes.fronts': 2, 'processes.keepers': 2,
        'timeouts.drain': '1s'}
ROLES = ('front', 'lmtp', 'auth', 'keeper', 'keys', 'logins')


def serves_all(office):
    """POP3, POP3S and LMTP."""
    assert serves_within(office, slowness() + 8)[0] >= 1
    def over_tls():
        try:
            with Pop(office.pop3s, tls=client_context(), timeout=3) as client:
                client.login('demo', PASSWORD)
                client.quit()
                return True
        except (OSError, EOFError, AssertionError):
            return False
    wait_until(over_tls, slowness() + 8)
    with Lmtp(office.lmtp) as client:
        assert client.deliver(b'Subject: x\r\n\r\nx\r\n', 'demo')[0].startswith('250')


def stop(pid):
    """Returns when the kernel says so."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0]
               == 'T')


def gone(office, pid):
    return pid not in office.children()


@pytest.mark.parametrize('role', ROLES)
def test_one_of_each_role(make_office, role):
    """All others stay the same processes; the new one is not replaced again."""
    office = make_office(settings=SOON)
    office.put('demo', MAIL)
    office.allow('has not answered', 'channel to')
    before, pid, mark = office.children(), first(office, role), office.mark()
    stop(pid)
    office.wait_log(rf'error: {role} \d+ \(pid {pid}\) has not answered for 2 seconds', since=mark)
    wait_until(lambda: gone(office, pid))
    serves_all(office)
    after = office.children()
    assert set(before) - set(after) == {pid}
    assert len(after) == len(before)
    time.sleep(3)  # longer than processes.answer
    assert office.children() == after
    assert office.log_text().count('has not answered') == 1


@pytest.mark.parametrize('one, other', [('front', 'keeper'), ('auth', 'keys'), ('lmtp', 'keeper'),
                                        ('front', 'auth'), ('keeper', 'keys')])
def test_two_at_once(make_office, one, other):
    office = make_office(settings=SOON)
    office.put('demo', MAIL)
    office.allow('has not answered', 'channel to')
    pids, mark = [first(office, role) for role in (one, other)], office.mark()
    for pid in pids:
        stop(pid)
    for role, pid in zip((one, other), pids):
        office.wait_log(rf'error: {role} \d+ \(pid {pid}\) has not answered', since=mark)
    wait_until(lambda: all(gone(office, pid) for pid in pids))
    serves_all(office)


@pytest.mark.parametrize('role', ['keeper', 'auth', 'keys'])
def test_a_session_elsewhere_does_not_notice(make_office, role):
    """A session whose front and keeper live: of a stopped auth and keys every one, of a stopped
    keeper those of the other."""
    office = make_office(settings={**SOON, 'processes.fronts': 1}, users=('demo', 'a', 'b', 'c'))
    office.allow('has not answered', 'channel to')
    clients = {}
    for user in ('demo', 'a', 'b', 'c'):
        office.put(user, MAIL)
        clients[user] = Pop(office.pop3)
        clients[user].login(user, PASSWORD)
    pid = first(office, role)
    stop(pid)
    wait_until(lambda: gone(office, pid))
    alive = 0
    for client in clients.values():
        try:
            alive += client.stat()[0] == 1 and client.retr(1) == MAIL.replace(b'\n', b'\r\n')
        except (EOFError, OSError, AssertionError):
            pass
        client.close()
    assert alive == len(clients) if role != 'keeper' else alive < len(clients)
    serves_all(office)


@pytest.mark.parametrize('roles', [('front',), ('keeper', 'keys'), ROLES])
def test_the_end_waits_for_none_that_is_stopped(make_office, roles):
    office = make_office(settings={**SOON, 'processes.answer': '1h'})
    office.allow('.')
    children = office.children()
    for role in roles:
        stop(first(office, role))
    begin = time.monotonic()
    office.process.terminate()
    office.process.wait(15)
    assert time.monotonic() - begin < 15
    wait_until(lambda: not any(pathlib.Path(f'/proc/{pid}/cmdline').exists() and
                               pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()
                               for pid in children))
    office.stop(check=False)


def test_a_stopped_valijad_ends_when_it_goes_on(make_office):
    """SIGTERM to a stopped monitor waits for SIGCONT, as for any process; its children serve."""
    office = make_office(settings=SOON)
    office.put('demo', MAIL)
    serves_within(office, slowness() + 2)  # who never had a session is asked about: it waits
    os.kill(office.process.pid, signal.SIGSTOP)
    office.process.terminate()
    time.sleep(3)
    assert office.process.poll() is None
    assert serves_within(office, slowness() + 2)[0] == 1
    assert 'has not answered' not in office.log_text()
    os.kill(office.process.pid, signal.SIGCONT)
    assert office.process.wait(15) == 0
    office.stop(check=False)


@pytest.mark.parametrize('role', ['front', 'keys'])
def test_a_short_stop_is_none(make_office, role):
    """A process that goes on before its time is over stays."""
    office = make_office(settings={**SOON, 'processes.answer': '20s'})
    office.put('demo', MAIL)
    pid, before = first(office, role), office.children()
    stop(pid)
    time.sleep(1)
    os.kill(pid, signal.SIGCONT)
    serves_all(office)
    assert office.children() == before
