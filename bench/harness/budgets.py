"""The budgets: what each line asks, and whether the samples of this run meet it.

A line's test takes get(metric, subject) → median and returns (measured, limit): both in the line's
unit, `least` when measured has to be at least the limit. Its ratio is measured / limit, turned over
for `least`, so that ≤ 1 is met.
"""

OURS = "valija"


class Budget:
    def __init__(self, name, area, text, seen, asks, unit, test, least=False):
        self.name, self.area, self.text, self.seen = name, area, text, seen
        self.asks, self.unit, self.test, self.least = asks, unit, test, least

    def judge(self, get):
        try:
            measured, limit = self.test(get)
        except TypeError:  # a sample is missing
            return None
        if not measured or not limit:
            return None
        ratio = limit / measured if self.least else measured / limit
        return {"name": self.name, "area": self.area, "text": self.text, "asks": self.asks,
                "seen": self.seen, "unit": self.unit, "measured": measured, "limit": limit,
                "ratio": ratio, "met": ratio <= 1}


def _disturbed(kind):
    def test(get):
        return (get("disturbed.p99_ms", f"{OURS}: {kind}"),
                get("disturbed.p99_ms", f"{OURS}: nobody") * 1.5)
    return test


def _guessed(sources):
    def test(get):
        return (get("guessed.remembered.p99_ms", sources),
                get("guessed.remembered.p99_ms", "nobody") * 1.5)
    return test


BUDGETS = [
    Budget("login/dovecot", "login", "login+STAT+QUIT, 64 connections: server CPU a session",
           "Dovecot 0.71 ms", "≤ 1/5 of Dovecot", "ms",
           lambda get: (get("login.cpu_ms", OURS), get("login.cpu_ms", "dovecot") / 5)),
    Budget("login/bare", "login", "login+STAT+QUIT, 64 connections: server CPU a session",
           "bare 0.044 ms", "≤ 3 × bare", "ms",
           lambda get: (get("login.cpu_ms", OURS), get("login.cpu_ms", "bare") * 3)),
    Budget("hashed", "hashed", "the same with yescrypt passwords, seen before", "20 ms a hash",
           "≤ 1.2 × {PLAIN}", "ms",
           lambda get: (get("hashed.cpu_ms", "valija-yescrypt"),
                        get("hashed.cpu_ms", OURS) * 1.2)),
    Budget("tls/dovecot", "tls", "the same, TLS 1.3 full handshakes: server CPU a session",
           "Dovecot 1.55 ms", "≤ 1/4 of Dovecot", "ms",
           lambda get: (get("tls.cpu_ms", OURS), get("tls.cpu_ms", "dovecot") / 4)),
    Budget("tls/bare", "tls", "the same, TLS 1.3 full handshakes: server CPU a session",
           "in memory 0.23–0.25 ms", "≤ 1.2 × (handshake in memory, server's side + plain login)",
           "ms",
           lambda get: (get("tls.cpu_ms", OURS),
                        (get("handshake.server_ms", "bare")
                         + get("tls.plain_cpu_ms", OURS)) * 1.2)),
    Budget("p99", "login", "login+STAT+QUIT, 64 connections: p99", "Dovecot 56 ms",
           "≤ 1/4 of Dovecot", "ms",
           lambda get: (get("login.p99_ms", OURS), get("login.p99_ms", "dovecot") / 4)),
    Budget("p99/tls", "tls", "the same under TLS: p99", "Dovecot 86 ms", "≤ 1/4 of Dovecot", "ms",
           lambda get: (get("tls.p99_ms", OURS), get("tls.p99_ms", "dovecot") / 4)),
    Budget("retr", "retr", "RETR 4 KB, 1 connection lock-step", "bare TCP echo 15,000/s",
           "≥ 0.85 × bare", "/s",
           lambda get: (get("retr.rate", OURS), get("retr.rate", "echo") * 0.85), least=True),
    Budget("pipelined", "pipelined", "RETR 4 KB, 16 connections, pipelined 32: CPU a message",
           "Dovecot 26 µs", "≤ 0.4 × Dovecot", "µs",
           lambda get: (get("pipelined.cpu_us", OURS), get("pipelined.cpu_us", "dovecot") * 0.4)),
    Budget("retr/tls", "pipelined_tls", "RETR 4 KB, 16 connections, TLS: CPU a message",
           "Dovecot 133 µs",
           "≤ 1/4 of Dovecot", "µs",
           lambda get: (get("lockstep_tls.cpu_us", OURS),
                        get("lockstep_tls.cpu_us", "dovecot") / 4)),
    Budget("large/lf", "large", "RETR 5 MB, CPU a GB: LF-stored", "bare 0.62 s, Dovecot 2.2",
           "≤ 1.25 × bare", "s",
           lambda get: (get("large_lf.cpu_s_gb", OURS),
                        get("large_lf.cpu_s_gb", "convert") * 1.25)),
    Budget("large/crlf", "large_crlf", "the same, CRLF-stored", "sendfile 0.25–0.39 s",
           "≤ 1.3 × sendfile", "s",
           lambda get: (get("large_crlf.cpu_s_gb", OURS),
                        get("large_crlf.cpu_s_gb", "sendfile") * 1.3)),
    Budget("large/tls", "large_tls", "the same, TLS", "bare 0.80 s, Dovecot 6.9", "≤ 1.25 × bare",
           "s",
           lambda get: (get("large_tls.cpu_s_gb", OURS),
                        get("large_tls.cpu_s_gb", "tls") * 1.25)),
    Budget("warm", "warm", "maildrop of 100,000: login+STAT+UIDL+LIST+QUIT, warm",
           "Dovecot 261–283 ms", "≤ 15 ms", "ms", lambda get: (get("warm.all_ms", OURS), 15)),
    Budget("new/own", "warm", "the same after one new message of our own delivery: login",
           "Dovecot 358–424 ms", "≤ 5 ms", "ms",
           lambda get: (get("own_new.login_ms", OURS), 5)),
    Budget("new/foreign", "warm", "the same after one of somebody else's: login", "–", "≤ 10 ms",
           "ms", lambda get: (get("foreign_new.login_ms", OURS), 10)),
    Budget("index/names", "no_index", "the same, no index yet, names with S=,W=: login",
           "readdir alone 32–85 ms, Dovecot 495", "≤ 2 × readdir + 30 ms", "ms",
           lambda get: (get("no_index.login_ms", OURS),
                        get("no_index.login_ms", "readdir") * 2 + 30)),
    Budget("index/plain", "no_index_plain", "the same, no index yet, plain names: login",
           "Dovecot 2,600–13,200 ms", "≤ 1/4 of Dovecot", "ms",
           lambda get: (get("no_index_plain.login_ms", OURS),
                        get("no_index_plain.login_ms", "dovecot") / 4)),
    Budget("million", "million", "maildrop of 1,000,000, warm: login+STAT", "–", "≤ 5 ms", "ms",
           lambda get: (get("million.login_stat_ms", OURS), 5)),
    Budget("import/one", "import", "import dovecot, one maildrop of 1,000,000 ids, cold", "–",
           "≤ 10 s", "s", lambda get: (get("import.one.s", OURS), 10)),
    Budget("import/many", "import", "import dovecot, 10,000 maildrops of 100 ids, cold", "–",
           "≤ 20 s", "s", lambda get: (get("import.many.s", OURS), 20)),
    Budget("memory/idle", "memory", "memory an idle connection before login, plain",
           "Dovecot 4.4–9.9 KiB", "≤ 2 KiB", "KiB", lambda get: (get("idle.kib", OURS), 2)),
    Budget("memory/tls", "memory", "memory an idle connection before login, TLS",
           "Dovecot 16.6 KiB", "≤ 16 KiB", "KiB", lambda get: (get("idle_tls.kib", OURS), 16)),
    Budget("memory/session", "memory", "memory an idle session after login, plain",
           "Dovecot 108–519 KiB", "≤ 3 KiB", "KiB", lambda get: (get("session.kib", OURS), 3)),
    Budget("held", "held", "idle sessions held at once, logged in, each another user", "–",
           "100,000", "", lambda get: (get("held.sessions", OURS), 100000), least=True),
    Budget("quit", "quit", "10,000 messages RETR+DELE, time of QUIT",
           "popa3d 17 ms, Dovecot 1,251 ms", "≤ one flush + 5 ms", "ms",
           lambda get: (get("quit.ms", OURS), get("quit.ms", "one flush") + 5)),
    Budget("mbox/first", "mbox", "mbox of 100,000 (400 MB): first login, file in cache", "–",
           "≤ 600 ms", "ms", lambda get: (get("mbox.first.login_ms", OURS), 600)),
    Budget("mbox/cold", "mbox", "the same, file not in cache", "–", "≤ 1.2 × dd bs=1M", "",
           lambda get: (get("mbox.cold.ratio", OURS), 1.2)),
    Budget("mbox/warm", "mbox", "the same, nothing changed: LOGIN, STAT, QUIT", "–", "≤ 15 ms",
           "ms", lambda get: (get("mbox.warm.session_ms", OURS), 15)),
    Budget("mbox/new", "mbox", "the same after one message was appended: login", "–", "≤ 10 ms",
           "ms", lambda get: (get("mbox.new.login_ms", OURS), 10)),
    Budget("mbox/retr/cpu", "mbox", "RETR 4 KB from it, pipelined 32: CPU a message", "–",
           "≤ popa3d", "µs",
           lambda get: (get("mbox.retr.cpu_us", OURS), get("mbox.retr.cpu_us", "popa3d"))),
    Budget("mbox/retr/rate", "mbox", "the same: messages a second", "–", "≥ popa3d", "/s",
           lambda get: (get("mbox.retr.rate", OURS), get("mbox.retr.rate", "popa3d")), least=True),
    Budget("mbox/quit", "mbox", "QUIT with 10,000 of them deleted", "–", "≤ one flush + 10 ms",
           "ms", lambda get: (get("mbox.quit_ms", OURS), get("mbox.quit_ms", "one flush") + 10)),
    Budget("mbox/sweep", "mbox", "the rewrite behind it", "–",
           "≤ 2.2 × writing what moved + 3 flushes", "ms",
           lambda get: (get("mbox.sweep_ms", OURS), get("mbox.sweep_ms", "write") * 2.2
                        + get("mbox.quit_ms", "one flush") * 3)),
    Budget("mbox/memory", "mbox", "memory of the session of a first login, pages of no file", "–",
           "≤ 8 MiB", "MiB", lambda get: (get("mbox.memory_mib", OURS), 8)),
    Budget("disturbed/stall", "disturbed", "one client that never reads: p99 of the others", "–",
           "≤ 1.5 × undisturbed", "ms", _disturbed("never reads")),
    Budget("disturbed/drip", "disturbed", "one client on a 1-octet-a-second link: p99", "–",
           "≤ 1.5 × undisturbed", "ms", _disturbed("drips")),
    Budget("disturbed/giant", "disturbed", "one maildrop of a million being indexed: p99", "–",
           "≤ 1.5 × undisturbed", "ms", _disturbed("giant index")),
    Budget("disturbed/wrong", "disturbed", "1,000 wrong passwords a second: p99", "–",
           "≤ 1.5 × undisturbed", "ms", _disturbed("wrong passwords")),
    *(Budget(f"guessed/remembered/{sources}", "guessed",
             f"2,400 wrong passwords from {sources}, yescrypt: p99 of remembered logins", "–",
             "≤ 1.5 × undisturbed", "ms", _guessed(sources))
      for sources in ("24 addresses", "2,400 addresses")),
    Budget("ldap/remembered", "ldap", "remembered logins of users in LDAP: server CPU a session",
           "–", "≤ 1.15 × users file", "ms",
           lambda get: (get("ldap.cpu_ms", "valija-ldap"), get("ldap.cpu_ms", OURS) * 1.15)),
    Budget("ldap/guessed", "ldap_guessed", "1,000 wrong passwords a second against LDAP: p99 of "
           "others", "–", "≤ 1.5 × undisturbed", "ms",
           lambda get: (get("ldap_guessed.p99_ms", "directory: wrong passwords"),
                        get("ldap_guessed.p99_ms", "directory: nobody") * 1.5)),
    Budget("users/hung", "users_hung", "50 logins wait for a database that hangs: p99 of others",
           "–", "≤ 1.1 × undisturbed", "ms",
           lambda get: (get("users_hung.p99_ms", "hangs"),
                        get("users_hung.p99_ms", "nobody") * 1.1)),
    Budget("users/changed", "users_changed", "a users file of a million changes: p99 of logins",
           "–", "≤ undisturbed + 10 ms", "ms",
           lambda get: (get("users_changed.p99_ms", "changes"),
                        get("users_changed.p99_ms", "nobody") + 10)),
    *(Budget(f"guessed/proven/{sources}", "guessed",
             f"the same from {sources}: p99 of users known from their address", "–", "≤ 2 s", "ms",
             lambda get, sources=sources: (get("guessed.proven.p99_ms", sources), 2000))
      for sources in ("24 addresses", "2,400 addresses")),
    Budget("lmtp", "lmtp", "LMTP, 4 KB, 16 connections, durable", "Dovecot in the same run",
           "≥ 2 × Dovecot", "/s",
           lambda get: (get("lmtp.rate", OURS), get("lmtp.rate", "dovecot") * 2), least=True),
    Budget("rados/listing", "rados", "RADOS: 100,000 messages, first login on this node: "
           "until STAT is answered", "–", "≤ 1.3 × bare lock and read + 15 ms", "ms",
           lambda get: (get("rados.listing.login_ms", OURS),
                        get("rados.listing.login_ms", "librados") * 1.3 + 15)),
    Budget("rados/new", "rados", "the same maildrop after one delivery: login", "–",
           "≤ bare lock and read of the end + 5 ms", "ms",
           lambda get: (get("rados.new.login_ms", OURS),
                        get("rados.warm.login_ms", "librados") + 5)),
    Budget("rados/trips", "rados", "a login where the log is known: operations before its answer",
           "–", "≤ 2", "", lambda get: (get("rados.warm.operations", OURS), 2)),
    *(Budget(f"rados/deliver/{senders}", "rados", f"LMTP, 4 KB, {senders} senders, RADOS", "–",
             "≥ 0.8 × bare body and append", "/s",
             lambda get, senders=senders: (get(f"rados.deliver.{senders}.rate", OURS),
                                           get(f"rados.deliver.{senders}.rate", "librados") * 0.8),
             least=True)
      for senders in (16, 64)),
    Budget("rados/retr", "rados", "RETR 4 KB from RADOS, 1 connection, pipelined 32", "–",
           "≥ 0.7 × bare reads, 32 under way", "/s",
           lambda get: (get("rados.retr.rate", OURS), get("rados.retr.rate", "librados") * 0.7),
           least=True),
    Budget("rados/idle", "rados", "1,000 idle sessions, their locks renewed: part of a core", "–",
           "≤ 1 %", "%", lambda get: (get("rados.idle.percent", OURS), 1)),
    # the fetcher's targets
    Budget("fetch/slow", "fetch", "fetch 2,000 × 4 KB, delete, 100 ms round trip: time",
           "mpop 8.0 s", "≤ 3 s", "s",
           lambda get: (get("fetch_slow.s", OURS), 3)),
    Budget("fetch/turns", "fetch", "the same: turns", "mpop 57", "≤ 12", "",
           lambda get: (get("fetch_slow.turns", OURS), 12)),
    Budget("fetch/fast", "fetch", "the same at 0 ms: time", "–", "≤ 0.55 × mpop", "s",
           lambda get: (get("fetch_fast.s", OURS), get("fetch_fast.s", "mpop") * 0.55)),
    Budget("fetch/large", "fetch", "fetch 20 × 5 MB: time", "–", "≤ mpop", "s",
           lambda get: (get("fetch_large.s", OURS), get("fetch_large.s", "mpop"))),
    Budget("fetch/memory", "fetch", "the same: peak memory, plain", "–", "≤ 6 MB", "MB",
           lambda get: (get("fetch_large.peak_mb", OURS), 6)),
    Budget("fetch/memory/tls", "fetch", "the same: peak memory, TLS", "–", "≤ 10 MB", "MB",
           lambda get: (get("fetch_large_tls.peak_mb", OURS), 10)),
    Budget("fetch/kept/turns", "fetch", "10,000 kept and nothing new, 100 ms: turns", "–", "≤ 5",
           "", lambda get: (get("fetch_kept.turns", OURS), 5)),
    Budget("fetch/kept/cpu", "fetch", "the same: CPU", "–", "≤ 0.02 s", "s",
           lambda get: (get("fetch_kept.cpu_s", OURS), 0.02)),
]


def judge(bench):
    verdicts = [budget.judge(bench.median) for budget in BUDGETS]
    return [verdict for verdict in verdicts if verdict]
