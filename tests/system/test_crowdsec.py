"""dist/crowdsec finds the addresses of wrong passwords in our own log, and no others: with CrowdSec
itself, which reads the log at once and reports to a server of ours that plays its local API."""
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading

import pytest
from failures import FORGED, GUESSER, make_log
from office import ROOT

UNPACKED = pathlib.Path(ROOT / os.environ.get('VALIJA_CROWDSEC', 'build-crowdsec')).resolve()
HUB = UNPACKED / 'usr/share/crowdsec/hub/parsers'
NAME = 'valija/valija-bf'
TIME = '2026-11-28T12:00:{:02d}+0000'
REFUSED = 'login-refused from={} session=a1-{} mechanism="USER" tls="TLSv1.3" user="x"'
CONFIG = '''common: {{daemonize: false, log_media: stdout, log_level: info, working_dir: .}}
config_paths:
  config_dir: {0}/config
  data_dir: {0}/data
  simulation_path: {0}/config/simulation.yaml
  hub_dir: {0}/hub
  index_path: {0}/hub/.index.json
crowdsec_service: {{acquisition_path: {0}/acquis.yaml, parser_routines: 1}}
db_config: {{type: sqlite, db_path: {0}/data/crowdsec.db}}
api:
  client: {{credentials_path: {0}/credentials.yaml}}
  server: {{enable: false}}
prometheus: {{enabled: false}}
'''


class Api(http.server.BaseHTTPRequestHandler):
    """What CrowdSec asks of its local API: a token, and a place for alerts."""
    alerts = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get('Content-Length', 0))) or b'null')
        if self.path.startswith('/v1/watchers/login'):
            answer = {'code': 200, 'expire': '2099-01-01T00:00:00Z', 'token': 'a.b.c'}
        else:
            if self.path.startswith('/v1/alerts'):
                self.alerts.extend(body)
            answer = [str(number) for number in range(len(body or []))]
        text = json.dumps(answer).encode()
        self.send_response(200 if 'login' in self.path else 201)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def crowdsec(tmp_path):
    """crowdsec(log, type): the addresses that it reports, with the number of events of each."""
    if not (UNPACKED / 'usr/bin/crowdsec').exists():
        pytest.skip(f'CrowdSec is not unpacked in {UNPACKED}: ./dev test does it')
    Api.alerts = []
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Api)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for folder in ('config/parsers/s00-raw', 'config/parsers/s01-parse', 'data', 'hub',
                   'config/parsers/s02-enrich', 'config/scenarios'):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copytree(UNPACKED / 'etc/crowdsec/patterns', tmp_path / 'config/patterns')
    for source, place in (
            (HUB / 's00-raw/crowdsecurity/syslog-logs.yaml', 'parsers/s00-raw'),
            (HUB / 's02-enrich/crowdsecurity/dateparse-enrich.yaml', 'parsers/s02-enrich'),
            (ROOT / 'dist/crowdsec/parsers/valija-logs.yaml', 'parsers/s01-parse'),
            (ROOT / 'dist/crowdsec/scenarios/valija-bf.yaml', 'scenarios')):
        shutil.copy(source, tmp_path / 'config' / place)
    for name, text in (
            ('config.yaml', CONFIG.format(tmp_path)), ('acquis.yaml', ''),
            ('config/simulation.yaml', 'simulation: false\n'),
            ('credentials.yaml',
             f'url: http://127.0.0.1:{server.server_address[1]}/\nlogin: x\npassword: y\n'),
            ('hub/.index.json', '{"parsers": {}, "scenarios": {}, "postoverflows": {}, '
                                '"collections": {}}')):
        (tmp_path / name).write_text(text)

    def run(log, kind):
        done = subprocess.run(
            [UNPACKED / 'usr/bin/crowdsec', '-c', tmp_path / 'config.yaml', '-type', kind, '-dsn',
             f'file://{log}', '-no-api'], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert all(alert['scenario'] == NAME for alert in Api.alerts)
        return {alert['source']['value']: alert['events_count'] for alert in Api.alerts}
    yield run
    server.shutdown()
    thread.join()
    server.server_close()


def lines(form, address, count=9, **more):
    """count lines of one address, each as that form has it."""
    return [form.format(time=TIME.format(i), line=REFUSED.format(address, i), **more)
            for i in range(count)]


OWN, SYSLOG = '{time} auth0[12]: {line}', 'Nov 28 12:00:00 mail auth0[12]: {line}'
THROUGH = 'Nov 28 12:00:00 mail.example.org valijad[1]: auth0[12]: {line}'


@pytest.mark.parametrize('form, kind', [(OWN, 'valija'), (SYSLOG, 'syslog'), (THROUGH, 'syslog')],
                         ids=['file', 'syslog', 'syslog of valijad'])
def test_nine_wrong_passwords_are_reported(crowdsec, tmp_path, form, kind):
    log = tmp_path / 'log'
    log.write_text('\n'.join(lines(form, '192.0.2.7') + lines(form, '2001:db8::7') +
                             lines(form, '192.0.2.8', count=8)) + '\n')
    assert crowdsec(log, kind) == {'192.0.2.7': 9, '2001:db8::7': 9}


@pytest.mark.parametrize('kind, forms', [
    ('valija', ['{time} front0[12]: auth0[12]: {line}', '{time} front0[12]: {line}',
                '{time} front0[12]: warning: output: auth0[12]: {line}',
                '{time} auth0[12]: {line} reason="too many sessions of this user"',
                '{time} auth0[12]: {line} reason="too soon after the last login"']),
    ('syslog', ['Nov 28 12:00:00 mail valijad[1]: front0[1]: auth0[12]: {line}',
                'Nov 28 12:00:00 mail front0[1]: auth0[12]: {line}',
                'Nov 28 12:00:00 mail sshd[1]: auth0[12]: {line}',
                'Nov 28 12:00:00 mail auth0[1]: {line} reason="too many sessions of this user"'])])
def test_other_lines_are_not(crowdsec, tmp_path, kind, forms):
    log = tmp_path / 'log'
    log.write_text('\n'.join(line for form in forms for line in lines(form, '6.6.6.6', 12)) + '\n')
    assert crowdsec(log, kind) == {}


def test_our_own_log(crowdsec, make_office, connect):
    """A real server, failures of each kind: a name brings in no other address and hides none."""
    path, failures = make_log(make_office, connect)
    assert failures[GUESSER] == 9 > len(FORGED)
    assert crowdsec(path, 'valija') == {GUESSER: 9}
