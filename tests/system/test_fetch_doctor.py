"""valija fetch doctor: each lie of a server is found and named with the setting that answers it;
nothing is changed there."""
import json
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'hostile'))

from fetch_fixtures import certificate, fetcher, serve  # noqa: E402,F401
from fetching import DATAERR, NOPERM, OK, TEMPFAIL, USAGE, program  # noqa: E402
from hostile import Cut, letter, make_certificate  # noqa: E402
from test_fetch_hostile import spki_pin  # noqa: E402


def examine(fetcher, server, *options, expect=OK, host='127.0.0.1'):
    """(findings, steps) of the doctor as JSON."""
    scheme = 'pop3s' if server.tls == 'implicit' else 'pop3'
    tls = [] if server.tls else ['--tls', 'none']
    done = fetcher.execute(
        [str(word) for word in (program(), 'fetch', 'doctor', '--json', '--password-file',
                                fetcher.password_file, *tls, *options,
                                f'{scheme}://demo@{host}:{server.port}')], expect)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return ([e for e in events if e['event'] == 'finding'],
            [e['step'] for e in events if e['event'] == 'step'])


def faults(findings):
    return [f['check'] for f in findings if f['level'] == 'fault']


def untouched(server, bodies=False):
    assert not any(command.startswith('DELE') for command in server.commands())
    assert bodies or not any(command.startswith('RETR') for command in server.commands())


def refuse(session, _):
    return session.line('-ERR not here') or True


def test_a_good_server_has_no_fault(fetcher, serve, certificate):
    server = serve(tls='implicit', certificate=certificate)
    findings, steps = examine(fetcher, server, '--ca', certificate[0])
    assert {f['level'] for f in findings} == {'ok'}
    assert steps == ['connect', 'greeting', 'login', 'listing']
    found = {f['check']: f for f in findings}
    assert spki_pin(certificate[0]) in found['certificate']['setting']
    assert 'TLSv1.3' in found['certificate']['text'] and 'PLAIN' in found['login']['text']
    assert 'works' in found['pipelining']['text']
    untouched(server)
    assert list(fetcher.scratch.iterdir()) == [fetcher.password_file], 'nothing is written'


LIES = {
    'UIDL is refused': (dict(hooks={'UIDL': refuse}), 'unique-ids', 'policy = "delete"'),
    'TOP is refused': (dict(hooks={'TOP': refuse}), 'top', 'without max-size'),
    'STAT counts': (dict(hooks={'STAT': lambda s, _: s.line('+OK 9 900') or True}), 'listing',
                    None),
    'UIDL has 2': (dict(hooks={'UIDL': lambda s, _: s.multi('+OK', ['1 a', '2 b']) or True}),
                   'listing', None),
    'given twice': (dict(messages=[('same', letter(1)), ('same', letter(2))]), 'unique-ids',
                    'policy = "delete"'),
    'give no usable id': (dict(messages=[('x' * 300, letter(1))]), 'unique-ids',
                          'policy = "delete"'),
    'LIST is refused': (dict(hooks={'LIST': refuse}), 'listing', None),
}


@pytest.mark.parametrize('words', LIES)
def test_a_lie_is_found(fetcher, serve, words):
    options, check, setting = LIES[words]
    server = serve(**options)
    findings, _ = examine(fetcher, server, expect=DATAERR)
    found = [f for f in findings if f['level'] == 'fault' and words in f['text']]
    assert [f['check'] for f in found] == [check], findings
    assert found[0]['setting'] == setting
    untouched(server)


NOTES = {
    'longer than 70': dict(messages=[('x' * 71, letter(1))]),
    'beyond ASCII': dict(messages=[('caf\xe9', letter(1))]),
    'no readable size': dict(hooks={'LIST': lambda s, _: s.multi(
        '+OK', [f'{n} %d' for n in range(1, 6)]) or True}),
    'the sizes of LIST are': dict(hooks={'LIST': lambda s, _: s.multi(
        '+OK', [f'{n} 7' for n in range(1, 6)]) or True}),
    '60 seconds between': dict(capabilities=('TOP', 'UIDL', 'USER', 'LOGIN-DELAY 60')),
    'EXPIRE 0': dict(capabilities=('TOP', 'UIDL', 'USER', 'EXPIRE 0')),
    'UIDL works and is not announced': dict(capabilities=('TOP', 'USER')),
    'does not know CAPA': dict(hooks={'CAPA': refuse}),
    'lines of the body': dict(hooks={'TOP': lambda s, a: s.do_top(a.split()[0] + ' 3') or True}),
    'not protected': {},
}


@pytest.mark.parametrize('words', NOTES)
def test_a_peculiarity_is_a_note(fetcher, serve, words):
    server = serve(**NOTES[words])
    findings, _ = examine(fetcher, server)
    assert any(words in f['text'] for f in findings if f['level'] == 'note'), findings
    untouched(server)


def test_ids_that_change_between_two_sessions(fetcher, serve):
    def uidl(session, _):
        at = session.server.sessions.index(session)
        return session.multi('+OK', [f'{n} s{at}-{n}' for n in range(1, 6)]) or True

    findings, _ = examine(fetcher, serve(hooks={'UIDL': uidl}), expect=DATAERR)
    found, = [f for f in findings if f['level'] == 'fault']
    assert 'next session' in found['text'] and found['setting'] == 'policy = "delete"'


@pytest.mark.parametrize('how', ['cut', 'forgets'])
def test_pipelining_that_breaks(fetcher, serve, how):
    def lists(session, _):
        if b'\r\n' in session.buffer and how == 'cut':
            raise Cut
        if b'\r\n' in session.buffer:
            return session.multi('+OK', ['1 10']) or True

    findings, _ = examine(fetcher, serve(hooks={'LIST': lists}), expect=DATAERR)
    found, = [f for f in findings if f['level'] == 'fault']
    assert found['check'] == 'pipelining' and found['setting'] == 'pipelining = false'


def test_a_login_in_two_lines_only(fetcher, serve, certificate):
    def auth(session, argument):
        if ' ' in argument:
            return session.line('-ERR Command is not valid') or True

    server = serve(tls='implicit', certificate=certificate, hooks={'AUTH': auth})
    findings, _ = examine(fetcher, server, '--ca', certificate[0])
    assert [f['setting'] for f in findings if f['level'] == 'note'] == ['initial-response = "no"']


def test_bodies_only_when_asked_for(fetcher, serve):
    server = serve(hooks={'LIST': lambda s, _: s.multi('+OK', [f'{n} 7' for n in range(1, 6)])
                          or True})
    findings, _ = examine(fetcher, server, '--bodies', expect=DATAERR)
    assert any('guesses' in f['text'] for f in findings if f['level'] == 'fault')
    assert len(server.retrieved) == 3 and len(server.messages) == 5
    untouched(server, bodies=True)


def test_messages_that_are_hidden_when_they_were_read(fetcher, serve):
    """Gmail's."""
    server = serve()

    def auth(session, _):
        server.messages[:] = [m for m in server.messages if m[0] not in server.retrieved]

    server.hooks['AUTH'] = auth
    findings, _ = examine(fetcher, server, '--bodies')
    assert [f['check'] for f in findings if f['level'] == 'note' and 'Gmail' in f['text']]


def test_certificates(fetcher, serve, tmp_path, certificate):
    short = make_certificate(tmp_path, 'localhost', days=5)
    findings, _ = examine(fetcher, serve(tls='starttls', certificate=short), '--ca', short[0])
    assert any('expires in' in f['text'] for f in findings if f['level'] == 'note')
    server = serve(tls='implicit', certificate=certificate)
    findings, _ = examine(fetcher, server, expect=NOPERM)
    assert faults(findings) == ['connection'] and spki_pin(certificate[0]) in findings[0]['text']
    assert not any(command.split()[0] in ('AUTH', 'PASS') for command in server.commands())
    findings, _ = examine(fetcher, server, '--pin', spki_pin(certificate[0]))
    assert faults(findings) == []


def test_a_host_is_looked_at_up_to_the_login(fetcher, serve, certificate):
    server = serve(tls='implicit', certificate=certificate)
    done = fetcher.execute([str(program()), 'fetch', 'doctor', '--ca', str(certificate[0]),
                            f'127.0.0.1:{server.port}'])
    assert 'ok     certificate' in done.stdout and 'connect' in done.stdout
    assert server.commands() == ['CAPA', 'QUIT'] and 'listing' not in done.stdout


def test_an_account_of_the_file(fetcher, serve):
    server = serve(hooks={'TOP': refuse})
    text = (f'account "home" {{\nserver = "pop3://demo@127.0.0.1:{server.port}"\ntls = "none"\n'
            f'to = "maildir:{fetcher.maildir}"\npassword-file = "{fetcher.password_file}"\n}}\n')
    (fetcher.scratch / 'c').write_text(text)
    done = fetcher.execute([str(program()), 'fetch', 'doctor', '-c', 'c', 'home'], DATAERR)
    assert 'fault  top' in done.stdout and '-> without max-size' in done.stdout
    assert not fetcher.maildir.exists() and not fetcher.state.exists()
    fetcher.execute([str(program()), 'fetch', 'doctor', '-c', 'c'], USAGE)


def test_what_keeps_it_from_looking(fetcher, serve):
    server = serve()
    server.stop()
    findings, _ = examine(fetcher, server, expect=TEMPFAIL)
    assert faults(findings) == ['connection']
    hooks = {'AUTH': lambda s, _: s.line('-ERR [AUTH] \x1b[2Jno') or True, 'USER': refuse}
    findings, _ = examine(fetcher, serve(hooks=hooks), expect=NOPERM)
    assert faults(findings) == ['session'] and '\x1b' not in findings[-1]['text']
