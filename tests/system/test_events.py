"""Events in JSON beside the log (log_events): each fits the schema, has what its line has, and
nobody waits for a reader."""
import base64
import json
import re
import signal
import socket

import pytest
from lmtp import Lmtp
from office import PASSWORD, wait_until
from schema import SCHEMA, SOURCE, check_event, read_events

MESSAGE = b'Subject: one\r\n\r\nbody\r\n'


@pytest.fixture
def evented(make_office):
    def start(settings=None, to=None, **more):
        office = make_office(start=False, users=('demo', 'anna'), **more)
        office.events = office.scratch / 'events.json'
        office.set('log_events', f'"{to or office.events}"')
        for name, value in (settings or {}).items():
            office.set(name, value)
        office.start()
        return office
    return start


def events_of(office):
    return read_events(office.events.read_text()) if office.events.exists() else []


def wait_event(office, name, **fields):
    def found():
        return [event for event in events_of(office)
                if event['event'] == name and fields.items() <= event.items()]
    wait_until(found)
    return found()[-1]


def work(office, connect):
    """Things that have lines."""
    with connect(office, tls=True) as pop:
        pop.login('anna', PASSWORD)
        pop.quit()
    with connect(office) as pop:
        pop.err('AUTH PLAIN ' + base64.b64encode(b'\0x "\\\xc3\xa9\xff\0wrong').decode())
    with connect(office) as pop:
        pop.ok('USER nobody')
        pop.err('PASS x')
    with Lmtp(office.lmtp) as client:
        client.deliver(MESSAGE, 'anna@office.test')
        client.ask('MAIL FROM:<carol@example.com>')
        client.ask('RCPT TO:<nobody@office.test>')


def test_each_event_has_what_its_line_has(evented, connect):
    office = evented()
    work(office, connect)
    wait_event(office, 'recipient-refused', recipient='nobody@office.test')
    end = wait_event(office, 'session-end', user='anna', service='pop3s', left=0)
    assert end['tls'].startswith('TLSv1.') and end['from'] == '127.0.0.1'
    assert wait_event(office, 'login-refused', user='x "\\\u00e9\ufffd')['mechanism'] == 'PLAIN'
    assert wait_event(office, 'delivered', user='anna')['sender'] == 'carol@example.com'

    def both():
        records = [line for line in office.log_text().splitlines() if ' session=' in line]
        events = events_of(office)
        return len(records) == len(events) and (records, events)
    records, events = wait_until(both)
    for event in events:
        plain = [f'{name}={value}' for name, value in event.items() if type(value) is int
                 and name != 'v']
        assert any(f': {event["event"]} ' in line and f'session={event["session"]}' in line
                   and event['process'] in line and all(word in line for word in plain)
                   for line in records), event


def test_there_are_none_unless_they_are_wanted(make_office, connect):
    office = make_office(users=('demo', 'anna'))
    work(office, connect)
    office.wait_log('recipient-refused')
    assert not list(office.scratch.rglob('*.json'))


def test_the_file_is_opened_again_and_the_setting_can_change(evented, connect):
    office = evented()
    work(office, connect)
    wait_event(office, 'recipient-refused')
    wait_event(office, 'session-end', user='anna')
    wait_event(office, 'delivered', user='anna')
    office.events.rename(office.events.with_suffix('.1'))
    office.process.send_signal(signal.SIGUSR1)
    wait_until(office.events.exists)
    with connect(office) as pop:
        pop.login('demo', PASSWORD)
    wait_event(office, 'login', user='demo')
    assert not any(event.get('user') == 'anna' for event in events_of(office))
    office.set('log_events', '""')
    office.reload()
    before = None

    def calm():
        nonlocal before
        last, before = before, office.events.read_text()
        return last == before
    wait_until(calm)
    office.set('log_events', f'"{office.scratch}/other.json"')
    office.reload()
    with connect(office) as pop:
        pop.login('anna', PASSWORD)
    other = office.scratch / 'other.json'
    wait_until(lambda: 'anna' in other.read_text())
    assert 'anna' not in office.events.read_text()


def test_a_socket_gets_a_datagram_an_event(evented, connect, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        path = tmp_path / 'reader'
        reader.bind(str(path))
        reader.settimeout(15)
        office = evented(to=f'unix:{path}')
        with connect(office) as pop:
            pop.login('anna', PASSWORD)
        event = json.loads(reader.recv(65536))
        check_event(event)
        assert event['event'] == 'login' and event['user'] == 'anna'


def test_threat_119_a_reader_that_does_not_read_holds_up_nobody(evented, connect, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        path = tmp_path / 'reader'
        reader.bind(str(path))
        office = evented(to=f'unix:{path}', settings={'limits.connections_per_address': '0'})
        for _ in range(40):  # more than a queue of datagrams has room for
            with connect(office) as pop:
                pop.login('anna', PASSWORD)
                pop.quit()
        wait_until(lambda: office.log_text().count(' login from=') == 40)
        reader.settimeout(15)
        check_event(json.loads(reader.recv(65536)))


def test_a_file_that_cannot_be_opened_stops_the_start(make_office):
    office = make_office(start=False)
    office.set('log_events', '"./missing/events.json"')
    done = office.valijad('-t', '-c', str(office.conf))
    assert done.returncode != 0 and 'missing/events.json' in done.stderr + done.stdout


def test_what_the_monitor_does_is_an_event_too(evented):
    office = evented({'control.socket': '"./control"'})
    office.valija('ban', 'add', '-c', office.conf, '--for', '1d', '192.0.2.0/24')
    banned = wait_event(office, 'banned', network='192.0.2.0/24')
    assert banned['process'].startswith('valijad[')


def test_what_explain_prints_fits_the_schema_too(evented, connect):
    office = evented({'control.socket': '"./control"'})
    work(office, connect)
    wait_event(office, 'recipient-refused')
    told = json.loads(office.valija('explain', '-c', office.conf, '--json', '127.0.0.1').stdout)
    assert told['events']
    for event in told['events']:
        check_event(event)


def test_the_schema_has_each_event_and_key_of_the_table():
    table = (SOURCE / 'src/server/record_table.h').read_text()
    events, keys = table.split('#define RECORD_KEYS')
    words = set(re.findall(r'X\(\w+,\s+"([\w-]+)"', events)) | {'lost'}
    assert set(SCHEMA['properties']['event']['enum']) == words
    keys = set(re.findall(r'X\(\w+, "([\w-]+)"\)', keys))
    assert set(SCHEMA['properties']) - {'v', 'time', 'process', 'event', 'from', 'session'} == keys
    page = (SOURCE / 'docs/events.md').read_text()
    assert not [word for word in words | keys if f'`{word}`' not in page]
