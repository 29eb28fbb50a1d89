"""An auth process that an attacker owns, played by tests/hostile/hostile_auth.c."""
from office import Office
from test_hostile_front import play


def test_threat_61_an_auth_that_lies():
    with Office(users=('demo', 'other')) as office:
        for user in ('demo', 'other'):
            office.put(user, b'Subject: one\n\nstill here\n')
        office.maildir('new-user')  # nobody plays the monitor that would let the keeper make it
        assert 'everything held' in play(office, 'hostile_auth', 'demo', 'other')
