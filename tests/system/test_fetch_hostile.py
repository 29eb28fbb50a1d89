"""Servers that lie, break, drip and hang (rows 49-58 of the table of attacks)."""
import pathlib
import ssl
import subprocess
import sys
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from fetching import DATAERR, NOPERM, PROTOCOL, TEMPFAIL, UNAVAILABLE  # noqa: E402
from hostile import Cut, Session, letter, make_certificate, stuffed, wire_form  # noqa: E402

SECRETS = ('PASS', 'AUTH', 'USER', 'APOP')


def no_secret_was_sent(server):
    assert not [command for command in server.commands()
                if command.split(' ')[0].upper() in SECRETS], server.commands()


# 49, 50: TLS that does not come, answers that come before it

def test_threat_49_stls_refused(fetcher, serve):
    server = serve()  # no TLS at all: STLS gets -ERR
    done = fetcher.run(server, '--tls', 'starttls', expect=UNAVAILABLE)
    no_secret_was_sent(server)
    assert 'TLS' in done.stderr and '--tls none' in done.stderr


def test_threat_49_stls_cut_out_of_capa_is_asked_for_all_the_same(fetcher, serve, certificate):
    server = serve(tls='starttls', certificate=certificate,
                   hooks={'CAPA': lambda s, _: s.multi('+OK', ['USER', 'UIDL']) or True})
    fetcher.run(server, '--ca', certificate[0])
    assert server.sessions[0].commands[0] == 'STLS' and len(fetcher.files()) == 5


def test_threat_49_plain_text_on_the_tls_port(fetcher, serve, certificate):
    server = serve()
    done = fetcher.run(server, '--tls', 'implicit', expect=None)
    assert done.returncode in (PROTOCOL, TEMPFAIL)
    no_secret_was_sent(server)


def test_threat_50_answers_behind_the_reply_to_stls(fetcher, serve, certificate):
    def inject(session, _):
        session.send(b'+OK begin\r\n+OK injected\r\n')
        session.start_tls()
        return True

    server = serve(tls='starttls', certificate=certificate, hooks={'STLS': inject})
    done = fetcher.run(server, '--ca', certificate[0], expect=PROTOCOL)
    assert 'STLS' in done.stderr and fetcher.files() == []
    no_secret_was_sent(server)


def test_threat_50_answers_behind_the_reply_to_stls_a_little_later(fetcher, serve, certificate):
    """In another packet they are in the way of the handshake, which fails."""
    def inject(session, _):
        session.send(b'+OK begin\r\n')
        time.sleep(0.3)
        session.send(b'+OK injected\r\n+OK injected\r\n')
        session.start_tls()
        return True

    server = serve(tls='starttls', certificate=certificate, hooks={'STLS': inject})
    done = fetcher.run(server, '--ca', certificate[0], expect=None)
    assert done.returncode in (PROTOCOL, TEMPFAIL)
    no_secret_was_sent(server)


def test_threat_50_answers_in_front_of_the_greeting(fetcher, serve):
    server = serve(greeting='+OK ready\r\n+OK CAPA\r\nSASL PLAIN\r\n.')
    done = fetcher.run(server, expect=None)
    assert done.returncode in (0, PROTOCOL)  # out of step or in step, but never stuck
    assert len(fetcher.files()) in (0, 5)


# 51: certificates

def test_threat_51_a_certificate_nobody_vouches_for(fetcher, serve, certificate):
    server = serve(tls='implicit', certificate=certificate)
    done = fetcher.run(server, expect=NOPERM)
    assert 'certificate' in done.stderr and 'nothing was sent' in done.stderr
    no_secret_was_sent(server)


def test_threat_51_a_certificate_for_another_name(fetcher, serve, tmp_path):
    other = make_certificate(tmp_path, 'elsewhere.example', addresses=())
    server = serve(tls='implicit', certificate=other)
    done = fetcher.run(server, '--ca', other[0], expect=NOPERM)
    assert 'mismatch' in done.stderr
    no_secret_was_sent(server)


def test_threat_51_another_name_by_stls(fetcher, serve, tmp_path):
    other = make_certificate(tmp_path, 'elsewhere.example', addresses=())
    server = serve(tls='starttls', certificate=other)
    fetcher.run(server, '--ca', other[0], expect=NOPERM, host='localhost')
    no_secret_was_sent(server)


def test_threat_51_a_certificate_that_is_over(fetcher, serve, tmp_path):
    cert, key = make_certificate(tmp_path, 'localhost')
    over = tmp_path / 'over.pem'
    # openssl x509 can date a certificate into the past with -days of a request's re-signing
    subprocess.run(['openssl', 'x509', '-in', cert, '-signkey', key, '-days', '-1', '-out', over],
                   check=True, capture_output=True)
    server = serve(tls='implicit', certificate=(over, key))
    done = fetcher.run(server, '--ca', over, expect=NOPERM)
    assert 'certificate' in done.stderr
    no_secret_was_sent(server)


def test_threat_51_a_common_name_alone_is_no_name(fetcher, serve, tmp_path):
    key, cert = tmp_path / 'key.pem', tmp_path / 'cert.pem'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert, '-days',
                    '2', '-subj', '/CN=127.0.0.1', '-addext',
                    'subjectAltName=DNS:elsewhere.example'], check=True, capture_output=True)
    server = serve(tls='implicit', certificate=(cert, key))
    fetcher.run(server, '--ca', cert, expect=NOPERM)
    no_secret_was_sent(server)


def spki_pin(cert):
    pem = subprocess.run(['openssl', 'x509', '-in', cert, '-noout', '-pubkey'], check=True,
                         capture_output=True).stdout
    der = subprocess.run(['openssl', 'pkey', '-pubin', '-outform', 'DER'], input=pem, check=True,
                         capture_output=True).stdout
    import base64
    import hashlib
    return 'sha256//' + base64.b64encode(hashlib.sha256(der).digest()).decode()


def test_a_pinned_key_stands_for_the_chain(fetcher, serve, certificate):
    server = serve(tls='implicit', certificate=certificate)
    fetcher.run(server, '--pin', spki_pin(certificate[0]))
    assert len(fetcher.files()) == 5


def test_threat_51_another_key_than_the_pinned_one(fetcher, serve, certificate, tmp_path):
    other = make_certificate(tmp_path, 'localhost')
    server = serve(tls='implicit', certificate=other)
    for trust in ([], ['--ca', other[0]]):
        done = fetcher.run(server, '--pin', spki_pin(certificate[0]), *trust, expect=NOPERM)
        assert 'pinned' in done.stderr and spki_pin(other[0]) in done.stderr
    no_secret_was_sent(server)


def test_threat_51_a_pin_does_not_replace_an_authority_that_is_named(fetcher, serve, certificate,
                                                                     tmp_path):
    other = make_certificate(tmp_path, 'other')
    server = serve(tls='implicit', certificate=certificate)
    fetcher.run(server, '--pin', spki_pin(certificate[0]), '--ca', other[0], expect=NOPERM)
    no_secret_was_sent(server)


def test_old_tls_is_refused(fetcher, serve, certificate):
    server = serve(tls='implicit', certificate=certificate, tls_version=ssl.TLSVersion.TLSv1_1)
    done = fetcher.run(server, '--ca', certificate[0], expect=None)
    assert done.returncode in (PROTOCOL, TEMPFAIL) and server.tls_seen == []


def test_a_client_certificate_is_shown(fetcher, serve, certificate, tmp_path):
    mine = make_certificate(tmp_path, 'client')
    server = serve(tls='implicit', certificate=certificate, client_ca=mine[0])
    fetcher.run(server, '--ca', certificate[0], '--cert', mine[0], '--key', mine[1])
    assert len(fetcher.files()) == 5
    other = serve(tls='implicit', certificate=certificate, client_ca=mine[0])
    fetcher.run(other, '--ca', certificate[0], expect=None)
    assert not other.commands()


# 52: silence in every state

class Silent(Session):
    """Stops at the verb the server names: neither answers nor closes."""

    def read_line(self):
        line = super().read_line()
        if line.split(' ')[0] == self.server.stops_at:
            self.commands.append(line)
            self.server.released.wait(60)
            raise Cut
        return line


@pytest.mark.parametrize('state', ['greeting', 'handshake', 'STLS', 'CAPA', 'AUTH', 'UIDL', 'LIST',
                                   'RETR', 'DELE', 'QUIT'])
def test_threat_52_every_state_is_timed(fetcher, serve, certificate, state):
    released = threading.Event()
    tls = {'handshake': 'implicit', 'STLS': 'starttls'}.get(state)
    hold = state in ('greeting', 'handshake')
    server = serve([letter(1)], session=Silent, certificate=certificate,
                   on_connect=(lambda session: released.wait(60)) if hold else None)
    server.stops_at, server.released = state, released
    server.tls = None if state == 'handshake' else tls
    options = ['--timeout', '1', '--delete', '--no-pipelining', '--ca', certificate[0]]
    if state == 'handshake':
        # the file's own limit for a handshake is longer: say it there
        conf = (f'account "x" {{\nserver = "pop3s://demo@127.0.0.1:{server.port}"\n'
                f'to = "maildir:{fetcher.maildir}"\npassword-file = "{fetcher.password_file}"\n'
                f'connect-seconds = 1\n}}\n')
        done = fetcher.configured(conf, '--state', fetcher.state, expect=TEMPFAIL, timeout=30)
    else:
        if tls:
            server.tls = tls
        else:
            options += ['--tls', 'none']
        began = time.monotonic()
        done = fetcher.run(server, *options, expect=TEMPFAIL, timeout=30)
        assert time.monotonic() - began < 20
    released.set()
    assert 'silent' in done.stderr and '127.0.0.1' in done.stderr
    # QUIT without an answer: the message is here once, and will not come again
    server.session_class, server.on_connect = Session, None
    if state in ('DELE', 'QUIT'):
        fetcher.run(server, '--delete')
    assert len(fetcher.files()) == (1 if state in ('DELE', 'QUIT') else 0)


def test_threat_52_a_server_below_the_minimum_rate(fetcher, serve):
    def drip(session, _):
        session.send(b'+OK\r\n')
        for _ in range(2000):
            session.send(b'a\r\n')
            time.sleep(0.1)
        raise Cut

    server = serve([letter(1)], hooks={'RETR': drip})
    began = time.monotonic()
    done = fetcher.run(server, '--timeout', 2, expect=TEMPFAIL)
    assert 'minimum-rate' in done.stderr and time.monotonic() - began < 60
    assert fetcher.files() == [] and fetcher.staged() == []


def test_short_replies_are_not_measured(fetcher, serve):
    """DELEs one by one over a long way bring few octets a second, and that is all right."""
    server = serve([letter(n, 60) for n in range(12)],
                   hooks={'DELE': lambda s, _: time.sleep(0.4)})
    fetcher.run(server, '--delete', '--no-pipelining', '--timeout', 2)
    assert server.messages == []


def test_threat_52_a_server_that_drips(fetcher, serve):
    """One octet now and then keeps no deadline of one answer busy, but the run has its own."""
    stop = threading.Event()

    def drip(session, _):
        session.send(b'+OK\r\n')
        while not stop.wait(0.05):
            session.send(b'x')
        raise Cut

    server = serve([letter(1)], hooks={'RETR': drip})
    conf = (f'account "x" {{\nserver = "pop3://demo@127.0.0.1:{server.port}"\ntls = "none"\n'
            f'to = "maildir:{fetcher.maildir}"\npassword-file = "{fetcher.password_file}"\n'
            f'run-seconds = 2\n}}\n')
    done = fetcher.configured(conf, '--state', fetcher.state, expect=TEMPFAIL, timeout=30)
    stop.set()
    assert 'run' in done.stderr and fetcher.files() == [] and fetcher.staged() == []


# 53: too much of everything

def flood(session, octets):
    """Sends until the client has gone; how much went, for the assertion that it stopped."""
    sent = 0
    while True:
        session.socket.sendall(octets)
        sent += len(octets)
        assert sent < 2 << 30, 'the client reads for ever'


@pytest.mark.parametrize('verb', ['CAPA', 'AUTH', 'UIDL', 'LIST', 'RETR', 'QUIT'])
def test_threat_53_an_endless_line(fetcher, serve, verb):
    server = serve([letter(1)], hooks={verb: lambda s, _: flood(s, b'+OK' + b'x' * 65536)})
    done = fetcher.run(server, '--delete', '--no-pipelining', expect=None, timeout=60)
    assert done.returncode in ((0, PROTOCOL) if verb == 'QUIT' else (PROTOCOL, NOPERM))


def test_threat_53_an_endless_greeting(fetcher, serve):
    server = serve(on_connect=lambda s: flood(s, b'+OK' + b'x' * 65536))
    fetcher.run(server, expect=PROTOCOL, timeout=60)


@pytest.mark.parametrize('verb', ['CAPA', 'UIDL', 'LIST'])
def test_threat_53_an_endless_listing(fetcher, serve, verb):
    def endless(session, _):
        session.send(b'+OK\r\n')
        number = 1
        while True:
            session.socket.sendall(b''.join(b'%d %d\r\n' % (n, n)
                                            for n in range(number, number + 4096)))
            number += 4096

    server = serve([letter(1)], hooks={verb: endless})
    conf = (f'account "x" {{\nserver = "pop3://demo@127.0.0.1:{server.port}"\ntls = "none"\n'
            f'to = "maildir:{fetcher.maildir}"\npassword-file = "{fetcher.password_file}"\n'
            f'max-listing = "20000"\n}}\n')
    done = fetcher.configured(conf, '--state', fetcher.state, expect=PROTOCOL, timeout=60)
    assert '127.0.0.1' in done.stderr


def test_threat_53_numbers_out_of_all_proportion(fetcher, serve):
    lines = ['4294967295 10', '18446744073709551617 10', '-1 10', '0 10', '1 18446744073709551616',
             '2 9223372036854775808', 'x y', '']
    server = serve([letter(1)], hooks={
        'LIST': lambda s, _: s.multi('+OK', lines) or True,
        'UIDL': lambda s, _: s.multi('+OK', lines) or True})
    done = fetcher.run(server, '--delete', expect=None)
    assert done.returncode == PROTOCOL and fetcher.files() == [] and len(server.messages) == 1


def test_threat_53_an_announced_size_of_exabytes_costs_nothing(fetcher, serve):
    server = serve([letter(1)], hooks={
        'LIST': lambda s, _: s.multi('+OK', ['1 9223372036854775807']) or True})
    fetcher.run(server)
    assert fetcher.mail() == [letter(1)]


def test_threat_53_a_message_that_never_ends(fetcher, serve):
    def endless(session, _):
        session.send(b'+OK\r\n')
        flood(session, b'line after line after line\r\n' * 2000)

    server = serve([letter(1), letter(2)], hooks={'RETR': endless})
    conf = (f'account "x" {{\nserver = "pop3://demo@127.0.0.1:{server.port}"\ntls = "none"\n'
            f'to = "maildir:{fetcher.maildir}"\npassword-file = "{fetcher.password_file}"\n'
            f'refuse-size = "4M"\n}}\n')
    fetcher.configured(conf, '--state', fetcher.state, expect=PROTOCOL, timeout=60)
    assert fetcher.files() == [] and fetcher.staged() == []


def test_threat_53_unique_ids_that_are_too_long(fetcher, serve):
    messages = [('x' * 71, letter(1)), ('y' * 70, letter(2)), ('z' * 900, letter(3))]
    server = serve(messages)
    done = fetcher.run(server, '--delete', expect=0)
    assert len(fetcher.files()) == 3 and server.messages == [] and 'UIDL' in done.stderr


# 55: unique ids that are none

def test_threat_55_duplicate_unique_ids_lose_nothing(fetcher, serve):
    messages = [('same', letter(1)), ('same', letter(2)), ('own', letter(3)), ('same', letter(1))]
    server = serve(list(messages))
    done = fetcher.run(server, '--keep')
    assert len(fetcher.files()) == 4 and 'not unique' in done.stderr
    fetcher.run(server, '--keep')
    assert len(fetcher.files()) == 4, 'told by their contents, they are not collected again'
    server.messages.append(('same', letter(4)))
    fetcher.run(server, '--delete')
    assert len(fetcher.files()) == 5 and server.messages == []


def test_threat_55_an_id_used_again_for_another_message(fetcher, serve):
    server = serve([('1', letter(1)), ('2', letter(2))])
    fetcher.run(server, '--keep')
    server.messages[:] = [('1', letter(77, 900)), ('2', letter(2))]
    fetcher.run(server, '--keep')
    assert len(server.retrieved) == 3
    fetcher.run(server, '--keep')
    assert len(server.retrieved) == 3, 'the id is known to be its now'
    fetcher.run(server, '--delete')
    assert letter(77, 900) in fetcher.mail() and server.messages == []
    other = letter(78, 900)
    assert len(other) == len(letter(77, 900))
    server.messages[:] = [('1', other)]
    fetcher.run(server, '--delete')
    assert other in fetcher.mail() and server.messages == []


def test_threat_55_no_unique_ids(fetcher, serve):
    server = serve(hooks={'UIDL': lambda s, _: s.line('-ERR what?') or True})
    done = fetcher.run(server, '--keep', expect=UNAVAILABLE)
    assert 'UIDL' in done.stderr and fetcher.files() == []
    fetcher.run(server, '--delete')
    assert len(fetcher.files()) == 5 and server.messages == []


def test_threat_55_uidl_left_out_of_capa(fetcher, serve):
    server = serve(capabilities=('USER', 'PIPELINING'))
    fetcher.run(server, '--keep')
    fetcher.run(server, '--keep')
    assert len(fetcher.files()) == 5 and len(server.retrieved) == 5


def test_threat_55_list_and_uidl_disagree(fetcher, serve):
    server = serve(hooks={'LIST': lambda s, _: s.multi('+OK', ['1 100', '3 100', '4 100']) or True})
    done = fetcher.run(server, '--delete', expect=DATAERR)
    assert len(fetcher.files()) == 3 and '2 messages' in done.stderr
    assert [uid for uid, _ in server.messages] == ['uid-2', 'uid-5']


def test_threat_55_uidl_names_fewer_than_list(fetcher, serve):
    server = serve(hooks={'UIDL': lambda s, _: s.multi('+OK', ['1 a', '2 b']) or True})
    fetcher.run(server, '--delete')
    assert len(fetcher.files()) == 5 and server.messages == []


def test_threat_55_all_ids_change(fetcher, serve):
    server = serve([letter(n) for n in range(30)])
    fetcher.run(server, '--keep')
    kept = list(server.messages)
    server.messages[:] = [(f'new-{uid}', octets) for uid, octets in kept]
    before = len(server.retrieved)
    for policy in ('--keep', '--delete', '--keep'):
        done = fetcher.run(server, policy, expect=UNAVAILABLE)
        assert '--accept-new-uidls' in done.stderr
    assert len(server.retrieved) == before and len(server.messages) == 30
    server.messages.append(('really-new', letter(100)))
    fetcher.run(server, '--keep', '--accept-new-uidls')
    assert len(fetcher.files()) == 31 and server.retrieved[before:] == ['really-new']
    fetcher.run(server, '--keep')
    fetcher.run(server, '--delete')
    assert len(fetcher.files()) == 31 and server.messages == []


def test_threat_55_a_mailbox_that_looks_empty(fetcher, serve):
    server = serve([letter(n) for n in range(30)])
    fetcher.run(server, '--keep')
    kept, server.messages[:] = list(server.messages), []
    fetcher.run(server, '--keep', expect=UNAVAILABLE)  # said once
    fetcher.run(server, '--keep')  # then it is what its owner did
    server.messages[:] = [('young', letter(50))]
    fetcher.run(server, '--keep')
    assert len(fetcher.files()) == 31
    server.messages[:] = kept + server.messages
    fetcher.run(server, '--keep')
    assert len(fetcher.files()) == 31, 'when it is back, nothing comes twice'


def gmail(server, batch):
    """Shows what was not collected yet, so many at a time; keeps it all."""
    everything = list(server.messages)
    server.messages[:] = everything[:batch]

    def next_ones():
        server.idle()
        left = [m for m in everything if m[0] not in server.retrieved]
        server.messages[:] = left[:batch]
    return next_ones


def test_threat_55_a_server_that_hides_what_was_collected(fetcher, serve):
    server = serve([letter(n) for n in range(60)])
    next_ones = gmail(server, 20)
    fetcher.run(server)
    next_ones()
    server.hooks['TOP'] = lambda s, _: s.line('-ERR what?') or True
    fetcher.run(server, expect=UNAVAILABLE)  # looks like changed ids: somebody has to say yes
    server.hooks.clear()
    fetcher.run(server, '--accept-new-uidls')
    next_ones()
    fetcher.run(server)
    next_ones()
    fetcher.run(server)
    assert fetcher.mail() == sorted(letter(n) for n in range(60))
    assert len(server.retrieved) == len(set(server.retrieved)) == 60
    # and changed ids are still found out
    server.messages[:] = [(f'n{n}', letter(n)) for n in range(20)]
    fetcher.run(server, expect=UNAVAILABLE)
    assert len(server.retrieved) == 60


def test_sizes_that_are_guessed_anew_each_time(fetcher, serve):
    """Exchange's estimates: a known message of another size is read again, and known again."""
    server = serve([letter(n) for n in range(3)])
    fetcher.run(server, '--keep')
    server.hooks['LIST'] = lambda s, _: s.multi('+OK', ['1 111', '2 222', '3 333']) or True
    fetcher.run(server, '--keep')
    assert len(fetcher.files()) == 3 and len(server.retrieved) == 6
    fetcher.run(server, '--keep')
    assert len(server.retrieved) == 6
    server.hooks['LIST'] = lambda s, _: s.multi('+OK', ['1 10', '2 20', '3 30']) or True
    fetcher.run(server, '--delete')
    assert len(fetcher.files()) == 3 and server.messages == []


# 56: the server dies late; test_fetch_… in tests/crash tries every octet

def test_threat_56_quit_refused(fetcher, serve):
    server = serve(hooks={'QUIT': lambda s, _: s.line('-ERR [SYS/TEMP] not deleted') or True})
    done = fetcher.run(server, '--delete', expect=TEMPFAIL)
    assert 'not deleted' in done.stderr and len(server.messages) == 5
    server.hooks.clear()
    fetcher.run(server, '--delete')
    assert server.messages == [] and len(fetcher.files()) == 5 and len(server.retrieved) == 5


def test_threat_56_no_dele_before_the_message_is_here(fetcher, serve):
    seen = []

    def dele(session, number):
        seen.append(len(fetcher.files()))

    server = serve(hooks={'DELE': dele})
    fetcher.run(server, '--delete')
    # the n-th message that is to be deleted is in new/ by then
    assert len(seen) == 5 and all(here >= n for n, here in enumerate(seen, 1)), seen


def test_one_bad_message_is_skipped_and_the_exit_code_says_so(fetcher, serve):
    def retr(session, number):
        if number == '3':
            session.line('-ERR \x1b[2Jcannot read it')
            return True

    server = serve(hooks={'RETR': retr})
    done = fetcher.run(server, '--delete', expect=DATAERR)
    assert len(fetcher.files()) == 4 and [uid for uid, _ in server.messages] == ['uid-3']
    assert 'message 3' in done.stderr and '\x1b' not in done.stderr


def test_only_crlf_dot_crlf_ends_a_message(fetcher, serve):
    tricky = b'Subject: x\r\n\r\na\n.\nb\n.\r\nc\r.\rd\r.\r\ne\r\n'

    def retr(session, _):
        session.send(b'+OK\r\n' + tricky + b'.\r\n')
        return True

    fetcher.run(serve([letter(1)], hooks={'RETR': retr}))
    assert fetcher.mail() == [tricky.replace(b'\r\n', b'\n')]


def test_an_end_before_the_dot_is_no_message(fetcher, serve):
    def retr(session, _):
        session.send(b'+OK\r\n' + wire_form(letter(1)) + b'.\r')
        raise Cut

    server = serve([letter(1)], hooks={'RETR': retr})
    fetcher.run(server, '--delete', expect=TEMPFAIL)
    assert fetcher.files() == [] and fetcher.staged() == [] and len(server.messages) == 1


def test_estimated_sizes_are_survived(fetcher, serve):
    server = serve(hooks={'LIST': lambda s, _: s.multi('+OK', [f'{n} 1' for n in range(1, 6)])
                          or True})
    done = fetcher.run(server, '-v', '--delete')
    assert len(fetcher.files()) == 5 and 'announced 1 octets' in done.stderr
    assert server.messages == []


def test_a_server_that_breaks_under_pipelining(fetcher, serve):
    """Says that it can, then loses what is sent ahead: a second try goes lock-step, for good."""
    def forget(session, _):
        if session.buffer:
            raise Cut

    server = serve([letter(n) for n in range(10)], hooks={'RETR': forget})
    fetcher.run(server, '--keep')
    assert len(fetcher.files()) == 10 and len(server.sessions) == 2
    server.messages.extend((f'x{n}', letter(40 + n)) for n in range(5))
    fetcher.run(server, '--keep')
    assert len(fetcher.files()) == 15 and len(server.sessions) == 3, 'remembered'


def test_a_server_that_stops_reading_while_it_writes(fetcher, serve):
    """RETRs answered only after all commands in flight were left unread for long: no deadlock."""
    def slow(session, _):
        time.sleep(0.002)

    big = [letter(n, 60000) for n in range(120)]
    server = serve(big, hooks={'RETR': slow})
    fetcher.run(server, '--delete', timeout=120)
    assert len(fetcher.files()) == 120 and server.messages == []


def test_threat_57_apop_with_a_stamp_that_is_none(fetcher, serve):
    for stamp in ('<x>', '<a@b', '<a b@c>', '<@>', '<a@b\x01c>'):
        server = serve(greeting=f'+OK ready {stamp}', mechanisms=())
        fetcher.run(server, '--auth', 'apop', expect=None)
        assert not any(command.startswith('APOP') for command in server.commands()), stamp


def test_threat_58_terminal_escapes_in_what_it_says(fetcher, serve):
    nasty = '\x1b]0;owned\x07\x1b[2J\x9b31m'
    for where in ('greeting', 'login', 'list'):
        hooks = {}
        if where == 'login':
            for command in ('AUTH', 'USER', 'PASS', 'APOP'):  # whatever it tries next
                hooks[command] = lambda s, _: s.line('-ERR ' + nasty) or True
        if where == 'list':
            hooks['LIST'] = lambda s, _: s.line('-ERR ' + nasty) or True
        server = serve(greeting='-ERR ' + nasty if where == 'greeting' else '+OK', hooks=hooks)
        done = fetcher.run(server, expect=None)
        assert done.returncode != 0 and '\\x1b' in done.stderr, where
        assert not any(ord(c) < 32 and c != '\n' or 127 <= ord(c) < 160 for c in done.stderr)


def test_a_server_of_noise(fetcher, serve):
    import random

    noise = random.Random(4)
    for _ in range(10):
        octets = bytes(noise.randrange(256) for _ in range(3000))
        server = serve(on_connect=lambda s: s.send(octets))
        fetcher.run(server, expect=None, timeout=30)
        assert fetcher.files() == []


def test_random_damage_to_a_session_never_delivers_a_wrong_message(fetcher, serve):
    """Octets flipped anywhere in the dialogue: what arrives under a good end is what was sent;
    nothing crashes, nothing hangs, nothing is deleted that is not here."""
    import random

    noise = random.Random(7)
    for round_ in range(12):
        def damage(session, octets, chance=noise.random() / 200):
            mixed = bytearray(octets)
            for at in range(len(mixed)):
                if noise.random() < chance:
                    mixed[at] ^= 1 << noise.randrange(8)
            return bytes(mixed)

        class Damaged(Session):
            def send(self, octets):
                super().send(damage(self, octets))

        server = serve(session=Damaged)
        fetcher.run(server, '--delete', '--timeout', '2', expect=None, timeout=60)
        assert len(server.messages) + len(fetcher.files()) >= 5, round_
        import shutil
        shutil.rmtree(fetcher.maildir, ignore_errors=True)
        shutil.rmtree(fetcher.state, ignore_errors=True)


def test_stuffing_helper_is_right():
    assert stuffed(b'.a\r\nb\r\n') == b'..a\r\nb\r\n.\r\n' and stuffed(b'') == b'.\r\n'
