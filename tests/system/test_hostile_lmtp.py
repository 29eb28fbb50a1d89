"""An LMTP front that an attacker owns, played by tests/hostile/hostile_lmtp.c."""
from office import Office
from test_hostile_front import play


def test_threat_29_62_an_lmtp_front_that_lies():
    with Office(users=('demo',)) as office:
        office.maildir('demo')  # nobody plays the monitor that would let the keeper make it
        assert 'everything held' in play(office, 'hostile_lmtp', 'demo')
