"""`valija trace`: the dialogue of a user's next sessions, without secrets, in the form that the
tests of the library play."""
import base64
import os
import re
import signal
import subprocess
import time

import pytest
from office import NOBODY, PASSWORD, build_dir, program, wait_until
from test_login_rules import finish_scram

MAIL = b'Subject: first line\n\nthe secret text of the message\n.\n'


@pytest.fixture
def steered(make_office, need_root):
    def start(settings=None, **more):
        office = make_office(start=False, users=('demo', 'anna'), **more)
        office.control = office.scratch / 'control'
        office.set('control.socket', f'"{office.control}"')
        for name, value in (settings or {}).items():
            office.set(name, value)
        office.start()
        return office
    return start


class Trace:
    """`valija trace` at work; its output so far."""
    def __init__(self, office, user, *options):
        self.office, self.path = office, office.scratch / f'trace-{time.monotonic_ns()}'
        mark = office.mark()
        self.process = subprocess.Popen(
            [program('valija'), 'trace', '--socket', str(office.control), *options, user],
            stdout=self.path.open('wb'), stderr=subprocess.PIPE)
        office.wait_log(rf'traced by-uid=0 seconds=\d+ user="{user}"', since=mark)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()

    def text(self):
        return self.path.read_text()

    def session(self, count=1):
        """All, when so many sessions have ended."""
        wait_until(lambda: self.text().count('# the session has ended\n') == count)
        return self.text()


def plays(dialogue, tmp_path):
    """Whether the machine of libpop3 gives the same answers to it, however it is cut."""
    player = build_dir() / 'tests/transcripts/play_transcripts'
    if not player.exists():
        pytest.skip('this build has no tests of the library')
    folder = tmp_path / f'dialogues-{time.monotonic_ns()}'
    folder.mkdir()
    (folder / 'traced.txt').write_text(dialogue)
    done = subprocess.run([player, folder], capture_output=True, text=True, check=False,
                          timeout=60)
    assert done.returncode == 0, f'{done.stdout}{done.stderr}\n{dialogue}'


def whole_session(pop):
    pop.stat()
    pop.list()
    pop.uidl()
    pop.retr(1)
    pop.top(1, 0)
    pop.err('LIST 7')
    pop.ok('DELE 1')
    pop.ok('RSET')
    pop.quit()


def test_a_session_is_told_and_plays(steered, connect, tmp_path):
    office = steered()
    office.put('anna', MAIL)
    with Trace(office, 'anna') as trace:
        with connect(office) as pop:
            pop.ok('CAPA')
            pop.body()
            pop.ok('user anna')
            pop.err('PASS not-it')
            pop.ok('USER anna')
            pop.ok(f'PASS {PASSWORD}')
            whole_session(pop)
        told = trace.session()
    assert PASSWORD not in told and 'not-it' not in told
    assert 'C: PASS ----\n' in told and 'C: PASS ****\n' in told
    assert 'first line: Subject: first line' in told and 'secret text' not in told
    assert re.search(r'^# a body of \d+ octets', told, re.M)
    assert told.startswith('# session ')
    plays(told, tmp_path)


def test_what_sasl_says_is_masked_and_plays(steered, connect, tmp_path):
    office = steered()
    office.put('anna', MAIL)
    secret = base64.b64encode(f'\0anna\0{PASSWORD}'.encode()).decode()
    with Trace(office, 'anna') as trace:
        with connect(office, tls=True) as pop:
            pop.ok(f'AUTH PLAIN {secret}')
            whole_session(pop)
        first = trace.session()
        with connect(office) as pop:
            pop.ok('STLS')
            pop.start_tls()
            pop.send('AUTH LOGIN\r\n')
            assert pop.line().startswith('+ ')
            pop.send(base64.b64encode(b'anna') + b'\r\n')
            assert pop.line().startswith('+ ')
            pop.send(base64.b64encode(PASSWORD.encode()) + b'\r\n')
            assert pop.line().startswith('+OK')
            whole_session(pop)
        second = trace.session(2)[len(first):]
    for told in (first, second):
        assert secret not in told and base64.b64encode(PASSWORD.encode()).decode() not in told
        plays(told, tmp_path)
    assert 'tls: yes\n' in first and '-- TLS --\n' in second


@pytest.mark.parametrize('tls', [False, True])
def test_scram_is_masked_and_plays(steered, connect, tmp_path, tls):
    """Challenges are told as such: salt, count and proof would let a password be guessed."""
    office = steered()
    office.put('anna', MAIL)
    with Trace(office, 'anna') as trace:
        with connect(office, tls=True) if tls else connect(office) as pop:
            pop.ok('USER anna')  # so it is known whose session it is, whatever comes
            pop.err('PASS neither')
            assert finish_scram(pop, 'not it', name='anna').startswith('-ERR')
            if not tls:
                assert finish_scram(pop, name='anna').startswith('+OK')
                whole_session(pop)
            else:
                pop.quit()
        told = trace.session()
    login = told[told.index('C: AUTH'):]
    login = login[:login.index('S: +OK')]
    assert login.count('C: AUTH SCRAM-SHA-256 KioqKg==\n') == (1 if tls else 2), told
    if tls:
        login = login.replace('C: QUIT\n', 'C: KioqKg==\n')
    said = set(re.findall(r'^C: (.*)', login, re.M))
    assert said == {'AUTH SCRAM-SHA-256 KioqKg==', 'KioqKg==', 'LS0tLQ=='}, said
    assert set(re.findall(r'^S: \+ .*|^S: \+\.\.\.', login, re.M)) == {'S: + ...'}
    plays(told, tmp_path)


def test_sessions_that_are_there_already_are_told_from_now_on(steered, connect):
    """Those of generations that drain, too."""
    office = steered({'timeouts.drain': '10m'})
    office.put('anna', MAIL)
    old, demo = connect(office), connect(office)
    old.login('anna', PASSWORD)
    demo.login('demo', PASSWORD)
    office.reload()
    waits = connect(office)
    with Trace(office, 'anna') as trace:
        old.ok('STAT')
        demo.ok('NOOP')
        old.quit()
        trace.session()
        waits.login('anna', PASSWORD)  # it was connected before
        waits.ok('NOOP')
        wait_until(lambda: 'C: NOOP\n' in trace.text())
        told = trace.text()
    with Trace(office, 'anna') as trace:
        waits.ok('LIST')
        waits.body()
        waits.quit()
        told += trace.session()
    demo.quit()
    assert told.count('it was there before') == 3, told
    assert 'C: STAT\n' in told and 'C: LIST\n' in told and 'message:' not in told
    assert PASSWORD not in told and 'demo' not in told
    assert office.log_text().count(' traced ') == 2


def test_a_trace_goes_on_over_a_reload_and_an_upgrade(steered, connect):
    office = steered({'timeouts.drain': '10m'})
    office.put('anna', MAIL)
    stays = connect(office)
    stays.login('anna', PASSWORD)
    with Trace(office, 'anna') as trace:
        for number, change in enumerate((office.reload, office.upgrade), 1):
            mark = office.mark()
            change()
            wait_until(lambda: trace.text().count('# the server was reloaded') == number)
            office.wait_log('traced by-uid=0', since=mark)
            before = trace.text().count('C: STAT\n')

            def is_told():  # its front is of a generation that drains: told by another auth
                stays.ok('STAT')
                return trace.text().count('C: STAT\n') > before
            wait_until(is_told)
        stays.quit()
        trace.session()
        with connect(office) as pop:
            pop.login('anna', PASSWORD)
            pop.quit()
        assert '\npass: ****\n' in trace.session(2)


def test_an_auth_that_comes_later_is_told(steered, connect):
    """As that of a generation whose control was there first."""
    office = steered()
    office.put('anna', MAIL)
    office.allow('auth 0 .* was ended by signal')
    with Trace(office, 'anna') as trace:
        mark = office.mark()
        (auth,) = [pid for pid, line in office.children().items() if ': auth ' in line]
        os.kill(auth, signal.SIGKILL)
        office.wait_log('traced by-uid=0 seconds=(599|600) user="anna"', since=mark)
        with connect(office) as pop:
            pop.login('anna', PASSWORD)
            pop.quit()
        assert '\npass: ****\n' in trace.session()


def test_others_are_not_told_and_it_ends_with_the_command(steered, connect):
    office = steered()
    with Trace(office, 'anna') as trace:
        with connect(office) as pop:
            pop.login('demo', PASSWORD)
            pop.quit()
        with connect(office) as pop:
            pop.err('NOOPE anna-secret')
            pop.login('anna', PASSWORD)
            pop.quit()
        told = trace.session()
        assert 'demo' not in told and 'anna-secret' not in told and 'C: NOOPE ****\n' in told
    before = trace.text()
    mark = office.mark()
    with connect(office) as pop:
        pop.login('anna', PASSWORD)
        pop.quit()
    office.wait_log('session-end .*user="anna"', since=mark)
    assert trace.text() == before


def test_a_reader_that_stops_holds_up_nobody(steered, connect):
    office = steered()
    office.put('anna', MAIL)
    with Trace(office, 'anna') as trace:
        os.kill(trace.process.pid, 19)  # SIGSTOP
        for _ in range(10):
            with connect(office) as pop:
                pop.login('anna', PASSWORD)
                for _ in range(50):
                    pop.ok('NOOP')
                pop.quit()
        os.kill(trace.process.pid, 18)  # SIGCONT
        wait_until(lambda: 'C: QUIT' in trace.text())


def test_threat_118_only_root_traces(steered, connect):
    """Members of control.group may look, but not listen."""
    office = steered()
    os.chmod(office.scratch, 0o755)
    os.chmod(office.control, 0o777)
    done = subprocess.run([program('valija'), 'trace', '--socket', str(office.control), 'anna'],
                          capture_output=True, text=True, user=NOBODY, group=NOBODY, check=False,
                          timeout=60)
    assert done.returncode != 0 and 'for root' in done.stderr
    assert ' traced ' not in office.log_text()


@pytest.mark.parametrize('arguments', [
    (), ('--minutes', '0', 'anna'), ('--minutes', '1500', 'anna'),
                                       ('anna', 'demo'), ('a b',)])
def test_wrong_uses(steered, arguments):
    office = steered()
    done = office.valija('trace', '-c', office.conf, *arguments, check=False)
    assert done.returncode == 64
