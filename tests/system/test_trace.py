"""`valija trace`: the dialogue of a user's next sessions, without secrets, in the form that the
tests of the library play."""
import base64
import os
import re
import subprocess
import time

import pytest
from office import NOBODY, PASSWORD, build_dir, program, wait_until

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
