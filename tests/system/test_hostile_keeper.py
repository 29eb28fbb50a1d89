"""A keeper that an attacker owns, played by tests/hostile/hostile_keeper.c."""
from office import Office, PASSWORD
from test_hostile_front import play

USERS = ('anna', 'bert', 'cleo', 'dora', 'emil', 'finn')


def test_threat_61_a_keeper_that_lies():
    with Office(users=USERS) as office:
        for user in USERS:
            office.put(user, b'Subject: one\n\nstill here\n')
        assert 'everything held' in play(office, 'hostile_keeper', PASSWORD, *USERS)
