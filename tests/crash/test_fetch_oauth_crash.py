"""`valija fetch` with tokens, killed at every system call around a refresh: no access is lost. And
whatever token reaches the mail server is on the disk by then, with the refresh token beside it."""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from fetching import program  # noqa: E402
from oauth_fixtures import account, provider  # noqa: E402,F401

TOOL = program().parent / 'tests' / 'crash' / 'fetch_kill_at'

pytestmark = pytest.mark.skipif(not TOOL.exists(),
                                reason='the programs of the crash tests are not built')


def durable_before_use(account, provider):
    """A hook of the mail server: the token that comes is the one of the file."""
    problems = []

    def look(session, argument):
        fields = account.fields()
        if fields['access'] != provider.access[-1]:
            problems.append('a token was used before it was kept')
        if fields['refresh'] != list(provider.refresh)[-1]:
            problems.append('the refresh token was not kept')
        return False

    account.server.hooks['AUTH'] = look
    return problems


class Killer:
    """Runs with an access token that is about to expire, killed at a system call."""

    def __init__(self, account, provider):
        provider.rotate = 'lenient'
        account.login()
        self.account, self.command = account, [*account.command(), 'work', '--keep']
        self.problems = durable_before_use(account, provider)
        out = self.run(0)
        self.total = int(out.split()[1])
        assert 'exit 0' in out and self.total > 60

    def run(self, n):
        self.account.age(-10)
        done = self.account.fetcher.execute([str(TOOL), '-l', str(n), *self.command], expect=None,
                                            env=self.account.environment())
        if done.returncode == 2:
            pytest.skip(f'processes cannot be traced here: {done.stderr}')
        self.account.server.idle()
        return done.stdout

    def kill_at(self, n):
        """How far it came: 0: no refresh, 1: a refresh, 2: the mail server has seen the token."""
        account = self.account
        refreshes, sessions = len(account.refreshes()), len(account.server.sessions)
        self.run(n)
        used = any('AUTH' in c for s in account.server.sessions[sessions:] for c in s.commands)
        far = 2 if used else int(len(account.refreshes()) > refreshes)
        account.age(-10)
        account.fetch()  # consent is there still, whatever the moment was
        assert self.problems == [], f'killed at call {n} of {self.total}'
        return far

    def first(self, far):
        """The first system call at which it has come that far."""
        low, high = 1, self.total
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.kill_at(middle) >= far else (middle + 1, high)
        return low


def test_killed_all_over_the_run(account, provider):
    killer = Killer(account, provider)
    reached = {killer.kill_at(n) for n in range(1, killer.total + 1, 17)}
    assert reached == {0, 1, 2}


def test_threat_85_killed_at_every_call_between_refresh_and_use(account, provider):
    killer = Killer(account, provider)
    refresh, use = killer.first(1), killer.first(2)
    assert use - refresh > 30
    near = refresh + 45  # each call while the tokens are kept, some of those of the handshake
    for n in [*range(refresh - 3, near), *range(near, use, 25), *range(use - 2, use + 3)]:
        killer.kill_at(n)


def test_threat_85_a_disk_that_is_full_costs_no_refresh_token(account, provider):
    """A rotating provider gives the new one once: it is asked only when it can be kept."""
    account.login()
    account.age(-10)
    text = account.grant.read_text()
    account.more = '\ttoken-lookup = "cat %s"\n\ttoken-store = "exit 1"\n' % account.grant
    done = account.fetch(expect=None)
    assert done.returncode != 0 and 'token-store' in done.stderr
    assert account.refreshes() == [] and account.grant.read_text() == text
    account.more = ''
    account.fetch()
