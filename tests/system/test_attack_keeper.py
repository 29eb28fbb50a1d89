"""Sessions cut while a keeper works for them: nothing that they had asked for may stay counted,
locked or waited for."""
import os
import signal

from office import PASSWORD
from pop import Pop, login_within

CREDITS = 512  # what a front may have unanswered at a keeper (IPC_KEEPER_CREDITS)
USERS = 64


def crowd(office):
    """Many users at once: their lines, and a message each."""
    names = [f'u{n}' for n in range(USERS)]
    with (office.dir / 'users').open('a') as file:
        file.writelines(f'{name}:{{PLAIN}}{PASSWORD}\n' for name in names)
    for name in names:
        office.put(name, b'Subject: to be cut\n\nnever read\n')
    return names


def the(office, role):
    found = [pid for pid, line in office.children().items() if role in line]
    assert len(found) == 1, office.children()
    return found[0]


def test_threat_37_cut_behind_retr_costs_no_credit(make_office, connect):
    """Asked for and not waited for, by as many sessions as there are credits, and more."""
    office = make_office(settings={'processes.fronts': 1, 'processes.keepers': 1,
                                   'limits.connections_per_address': 0})
    names = crowd(office)
    keeper = the(office, 'keeper')
    for _ in range(CREDITS // USERS + 1):
        clients = [login_within(connect, office, name) for name in names]
        os.kill(keeper, signal.SIGSTOP)
        try:
            for client in clients:
                client.send('RETR 1\r\n')
            Pop(office.pop3).close()  # by now the front has asked the keeper
            for client in clients:
                client.reset()
            Pop(office.pop3).close()  # … and has told it that nobody wants the answer
        finally:
            os.kill(keeper, signal.SIGCONT)
    assert 'credits' not in office.log_text()
    client = login_within(connect, office, names[0])
    client.retr(1)
    client.quit()
