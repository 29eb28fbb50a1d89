"""The fate of every message of a soak, as its senders and readers were answered.

A message is named by its token. Its fate: SENT (delivery began; no answer yet, none, or 451), THERE
(250, or renamed into new/: it must be listed exactly once), LEAVING (QUIT with its deletion was
sent), GONE (that QUIT was answered +OK: it must never be listed again). Whoever looks takes a
before() first: only what was settled by then can be missing or be back. Thread-safe.
"""
import collections
import threading

SENT, THERE, LEAVING, GONE = 'sent', 'there', 'leaving', 'gone'


class Wrong(AssertionError):
    """The server broke a promise."""


class Maildrop:
    """What is known of one user's messages."""

    def __init__(self, user):
        self.user = user
        self.lock = threading.Lock()
        self.session = threading.Lock()  # of this program: the server has one of its own
        self.fate, self.octets, self.ids, self.tokens = {}, {}, {}, {}
        self.trusted = {}  # token: has trace lines in front (came by LMTP)

    def begin(self, token, wire, traced):
        with self.lock:
            self.fate[token], self.octets[token], self.trusted[token] = SENT, wire, traced

    def arrived(self, token):
        """250. It may have been read and deleted already."""
        with self.lock:
            if self.fate[token] == SENT:
                self.fate[token] = THERE

    def refused(self, token):
        """5xx: it must not be there, whoever looks from now on."""
        with self.lock:
            if self.fate[token] != SENT:
                raise Wrong(f'{self.user}: message {token} was refused, and is there')
            self.fate[token] = GONE

    def before(self):
        with self.lock:
            return dict(self.fate)

    def saw(self, before, tokens):
        """A session's list, begun after `before` was taken."""
        with self.lock:
            twice = [t for t, n in collections.Counter(tokens).items() if n > 1]
            if twice:
                raise Wrong(f'{self.user}: repeated: {twice}')
            unknown = [t for t in tokens if t not in self.fate]
            if unknown:
                raise Wrong(f'{self.user}: nobody sent {unknown}')
            back = [t for t in tokens if before.get(t) == GONE]
            if back:
                raise Wrong(f'{self.user}: deleted or refused, and there: {back}')
            listed = set(tokens)
            lost = [t for t, fate in before.items()
                    if fate == THERE and self.fate[t] == THERE and t not in listed]
            if lost:
                raise Wrong(f'{self.user}: lost: {lost}')
            for token in before:
                # an answer never came: now it is known how it ended
                if before[token] == LEAVING and self.fate[token] == LEAVING:
                    self.fate[token] = THERE if token in listed else GONE
                elif before[token] == SENT and token in listed and self.fate[token] == SENT:
                    self.fate[token] = THERE

    def id_of(self, token, unique_id):
        """Ids are stable, and no two messages ever had the same."""
        with self.lock:
            if self.ids.setdefault(token, unique_id) != unique_id:
                raise Wrong(f'{self.user}: message {token} had the id {self.ids[token]}, '
                            f'now {unique_id}')
            if self.tokens.setdefault(unique_id, token) != token:
                raise Wrong(f'{self.user}: the id {unique_id} was {self.tokens[unique_id]}\'s')

    def known(self, unique_id):
        with self.lock:
            return self.tokens.get(unique_id)

    def leaving(self, tokens):
        with self.lock:
            for token in tokens:
                self.fate[token] = LEAVING

    def left(self, tokens):
        """+OK to QUIT."""
        with self.lock:
            for token in tokens:
                self.fate[token] = GONE

    def stayed(self, tokens):
        """-ERR to QUIT: nothing of it may have been done."""
        with self.lock:
            for token in tokens:
                self.fate[token] = THERE

    def count(self, *fates):
        with self.lock:
            return sum(1 for fate in self.fate.values() if fate in fates)
