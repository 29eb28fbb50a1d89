"""Counters of all processes, over HTTP: metrics, their sums after a death and a reload, the
page."""
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
from lmtp import Lmtp
from office import PASSWORD, ROOT, free_port, wait_until
from pop import Pop, client_context

MAIL = b'Subject: %d\n\nbody\n'


def fetch(port, path='/metrics', method='GET', headers=None, host='127.0.0.1'):
    connection = http.client.HTTPConnection(host, port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read().decode()


def metrics(port):
    """{sample with its labels: value}."""
    status, _, text = fetch(port)
    assert status == 200
    lines = (line for line in text.splitlines() if not line.startswith('#'))
    return {name: float(value) for name, value in (line.rsplit(' ', 1) for line in lines)}


@pytest.fixture
def watched(make_office):
    port = free_port()
    office = make_office(settings={'control.metrics': f'"127.0.0.1:{port}"'})
    office.metrics = port
    return office


def session(office, commands=(), tls=False):
    context = client_context() if tls else None
    with Pop(office.pop3s if tls else office.pop3, tls=context) as client:
        client.login('demo', PASSWORD)
        for command in commands:
            client.ask(command)
        client.quit()


def login_failures(office, times):
    for _ in range(times):
        with Pop(office.pop3) as client:
            client.ok('USER demo')
            assert client.ask('PASS wrong').startswith('-ERR')


def has(port, samples):
    """Waits until samples have their values: a process counts a little after its answer."""
    deadline = time.monotonic() + 20
    while wrong := {key: now.get(key) for now in [metrics(port)] for key, value in samples.items()
                    if now.get(key) != value}:
        assert time.monotonic() < deadline, wrong
        time.sleep(0.05)


def test_sessions_are_counted(watched):
    port = watched.metrics
    watched.put_many('demo', [MAIL % n for n in range(3)])
    session(watched, ['STAT', 'UIDL 1', 'DELE 2'])
    session(watched, tls=True)
    login_failures(watched, 2)
    has(port, samples={
        'valija_connections_total{service="pop3"}': 3,
        'valija_connections_total{service="pop3s"}': 1,
        'valija_connections_open{service="pop3"}': 0,
        'valija_sessions{service="pop3"}': 0,
        'valija_logins_total{service="pop3",mechanism="USER",tls="none",result="ok"}': 1,
        'valija_logins_total{service="pop3",mechanism="USER",tls="none",result="failed"}': 2,
        'valija_logins_total{service="pop3s",mechanism="USER",tls="TLSv1.3",result="ok"}': 1,
        'valija_login_failures_total{service="pop3",reason="wrong"}': 2,
        'valija_tls_handshakes_total{service="pop3s",tls="TLSv1.3"}': 1,
        'valija_maildrop_opens_total{reason="ok"}': 2,
        'valija_commands_total{command="DELE"}': 1,
        'valija_commands_total{command="UIDL"}': 1,
        'valija_messages_deleted_total': 1,
        'valija_commits_total{result="ok"}': 1,
        'valija_commit_seconds_count': 1,
        'valija_signatures_total{result="ok"}': 1,
        'valija_keeper_jobs': 0,
        'valija_counters_pages_ignored': 0})
    now = metrics(port)
    for step, count in (('credentials', 4), ('verdict', 2), ('maildrop', 2), ('answer', 2)):
        assert now[f'valija_login_step_seconds_count{{step="{step}"}}'] == count
        assert now[f'valija_login_step_seconds_sum{{step="{step}"}}'] > 0
    assert now['valija_flush_seconds_count'] >= 1
    assert now['valija_certificate_end_seconds{certificate="0"}'] > time.time()
    assert abs(now['valija_start_time_seconds'] - time.time()) < 600


def test_messages_are_counted(watched):
    watched.put('demo', b'Subject: 1\n\n' + b'x' * 5000 + b'\n')
    with Pop(watched.pop3) as client:
        client.login('demo', PASSWORD)
        body = client.retr(1)
        client.top(1, 0)
        has(watched.metrics, samples={'valija_sessions{service="pop3"}': 1,
                                      'valija_connections_open{service="pop3"}': 1})
        client.quit()
    size = len(body)
    has(watched.metrics, samples={'valija_commands_total{command="RETR"}': 1,
                                  'valija_retr_octets_total': size,
                                  'valija_sessions{service="pop3"}': 0,
                                  'valija_session_seconds_count{service="pop3"}': 1})
    assert 0 < metrics(watched.metrics)['valija_top_octets_total'] < size


def test_deliveries_are_counted(watched):
    with Lmtp(watched.lmtp) as client:
        client.deliver(b'Subject: hello\r\n\r\nyou\r\n', 'demo')
    has(watched.metrics, samples={'valija_deliveries_total{reason="ok"}': 1,
                                  'valija_delivery_seconds_count': 1,
                                  'valija_connections_total{service="lmtp"}': 1})
    now = metrics(watched.metrics)
    assert now['valija_delivered_octets_total'] > 0
    assert now['valija_flush_seconds_count'] >= 2  # the message, its folder


def pids(office, words):
    return [pid for pid, line in office.children().items() if words in line]


def test_the_death_of_a_process_takes_no_sum_along(watched):
    session(watched)
    before = metrics(watched.metrics)
    with Pop(watched.pop3) as client:
        client.login('demo', PASSWORD)
        watched.allow(r'ended by signal 9', r'is gone')
        for role in ('front', 'keeper', 'auth'):
            for pid in pids(watched, f'valijad: {role}'):
                os.kill(pid, signal.SIGKILL)
        fronts = before['valija_processes{process="front"}']
        has(watched.metrics, samples={
            'valija_processes{process="front"}': fronts,
            'valija_process_failures_total{process="front"}': fronts,
            'valija_process_starts_total{process="front"}': 2 * fronts,
            'valija_processes{process="auth"}': 1,
            'valija_sessions{service="pop3"}': 0,
            'valija_connections_open{service="pop3"}': 0})
    wait_until(lambda: fetch(watched.metrics, '/readyz')[0] == 200)
    session(watched)
    after = metrics(watched.metrics)
    for name, value in before.items():
        if re.match(r'\w+_(total|count|sum|bucket)\b', name):
            assert after.get(name, 0) >= value, name
    assert after['valija_maildrop_opens_total{reason="ok"}'] == 3


def test_a_reload_takes_no_sum_along(watched):
    session(watched)
    status = pids(watched, 'valijad: status')
    watched.reload()
    wait_until(lambda: not set(status) & set(pids(watched, 'valijad: status')))
    session(watched)
    has(watched.metrics, samples={
        'valija_connections_total{service="pop3"}': 2,
        'valija_generation': 2, 'valija_reloads_total{result="ok"}': 1,
        'valija_maildrop_opens_total{reason="ok"}': 2})
    watched.set('log_level', '"much"')
    watched.allow('the new configuration is not used')
    watched.reload(words='the new configuration is not used')
    has(watched.metrics, samples={'valija_generation': 2,
                                  'valija_reloads_total{result="failed"}': 1})


def test_status_that_dies_is_started_again(watched):
    session(watched)
    watched.allow(r'status 0 .* ended by signal')
    os.kill(pids(watched, 'valijad: status')[0], signal.SIGKILL)

    def back():
        with contextlib.suppress(OSError, http.client.HTTPException):
            return metrics(watched.metrics)['valija_connections_total{service="pop3"}'] == 1
    wait_until(back)
    session(watched)  # nobody's session depends on it


def test_paths_methods_and_headers(watched):
    port = watched.metrics
    status, headers, text = fetch(port)
    assert headers['Content-Type'] == 'text/plain; version=0.0.4; charset=utf-8'
    status, headers, text = fetch(
        port, headers={'Accept': 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5'})
    assert headers['Content-Type'].startswith('application/openmetrics-text; version=1.0.0')
    assert text.endswith('# EOF\n')
    status, headers, text = fetch(port, '/')
    assert status == 200 and text.startswith('<!doctype html>') and 'Ready.' in text
    assert "default-src 'none'" in headers['Content-Security-Policy']
    assert '<script' not in text and 'http' not in text
    status, headers, text = fetch(port, '/', 'HEAD')
    assert status == 200 and text == '' and int(headers['Content-Length']) > 1000
    state = json.loads(fetch(port, '/status.json')[2])
    assert state['ready'] is True and state['format'] == 1 and state['samples'] == []
    assert fetch(port, '/healthz')[::2] == (200, 'ok\n')
    assert fetch(port, '/readyz')[::2] == (200, 'ready\n')
    assert fetch(port, '/metrics?collect[]=x')[0] == 200
    for path in ('/metrics/', '/../etc/passwd', '//metrics', '/%2e%2e/x', '/favicon.ico'):
        assert fetch(port, path)[0] == 404, path
    for method in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE'):
        assert fetch(port, '/metrics', method)[0] >= 400, method


def answer_to(port, octets):
    with socket.create_connection(('127.0.0.1', port), 20) as raw:
        raw.settimeout(20)
        raw.sendall(octets)
        got = b''
        with contextlib.suppress(ConnectionResetError):
            while piece := raw.recv(65536):
                got += piece
    return got


def test_threat_113_nonsense_does_no_harm(watched):
    port, status = watched.metrics, pids(watched, 'valijad: status')
    for octets in (b'\0\1\2\r\n\r\n', b'GET\r\n\r\n', b'GET /metrics HTTP/9.9\r\n\r\n',
                   b'GET ' + b'/a' * 10000 + b' HTTP/1.1\r\n\r\n',
                   b'GET / HTTP/1.1\r\n' + b'X: y\r\n' * 5000 + b'\r\n',
                   b'GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n',
                   b'GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n',
                   b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'):
        answer = answer_to(port, octets)
        assert not answer.startswith(b'HTTP/1.1 200') or b'/metrics HTTP/9' in octets, octets[:60]
    assert fetch(port)[0] == 200
    assert pids(watched, 'valijad: status') == status


def test_threat_113_connections_have_a_bound(watched):
    """64 that say nothing: others wait, and are served when those have ended."""
    port = watched.metrics
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(('127.0.0.1', port), 20))
                  for _ in range(90)]
        status = pids(watched, 'valijad: status')[0]
        wait_until(lambda: len(os.listdir(f'/proc/{status}/fd')) > 60)
        time.sleep(0.5)  # a bound that is not kept would be passed in this time
        assert len(os.listdir(f'/proc/{status}/fd')) < 64 + 20
        session(watched)  # and mail goes on
        for each in silent:
            each.close()
    wait_until(lambda: len(os.listdir(f'/proc/{status}/fd')) < 30)
    assert metrics(port)['valija_connections_total{service="pop3"}'] == 1


def test_threat_113_a_slow_client_is_sent_away(watched):
    """No octet for ten seconds: the connection is ended, also in the middle of a request."""
    with socket.create_connection(('127.0.0.1', watched.metrics), 30) as raw:
        raw.sendall(b'GET /metr')
        began = time.monotonic()
        raw.settimeout(60)
        with contextlib.suppress(ConnectionResetError):
            while raw.recv(4096):
                pass
        assert time.monotonic() - began < 50


def test_other_machines_are_warned_about(make_office):
    port = free_port()
    office = make_office(settings={'control.metrics': f'"0.0.0.0:{port}"'})
    office.wait_log(r'warning: .*valija\.conf:\d+: other machines may reach the metrics at '
                    rf'0\.0\.0\.0:{port}')
    assert fetch(port)[0] == 200


def test_loopback_needs_no_warning_and_off_is_off(watched, make_office):
    assert 'other machines' not in watched.log_text()
    office = make_office()
    assert not pids(office, 'valijad: status')


def test_a_path_is_no_address(make_office):
    office = make_office(start=False)
    office.set('control.metrics', '"/run/metrics"')
    done = office.valijad('-t', '-c', office.conf)
    assert done.returncode == 78 and 'metrics takes no path' in done.stderr


def test_promtool_agrees(watched, tool):
    promtool = tool('promtool')
    watched.put('demo', MAIL % 1)
    session(watched)
    login_failures(watched, 1)
    text = fetch(watched.metrics)[2]
    done = subprocess.run([promtool, 'check', 'metrics'], input=text, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_a_prometheus_scrapes(watched, tool, tmp_path):
    prometheus, port = tool('prometheus'), free_port()
    (tmp_path / 'prometheus.yml').write_text(
        'global: {scrape_interval: 1s}\n'
        'scrape_configs:\n- job_name: valija\n'
        f'  static_configs: [{{targets: ["127.0.0.1:{watched.metrics}"]}}]\n')
    session(watched)
    process = subprocess.Popen(
        [prometheus, f'--config.file={tmp_path}/prometheus.yml', f'--storage.tsdb.path={tmp_path}',
         f'--web.listen-address=127.0.0.1:{port}', '--log.level=error'],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def value(query):
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, _, text = fetch(port, '/api/v1/query?query=' + query)
            result = json.loads(text)['data']['result'] if status == 200 else []
            return float(result[0]['value'][1]) if result else None
    try:
        wait_until(lambda: value('up{job="valija"}') == 1, 60)
        wait_until(lambda: value('sum(valija_logins_total)') == 1, 60)
        wait_until(lambda: value('valija_login_step_seconds_count{step="answer"}') == 1, 60)
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.skipif(not shutil.which('chromium'), reason='no chromium')
@pytest.mark.parametrize('width', (1200, 390))
def test_the_page_fits_the_screen(watched, tmp_path, width):
    """Nothing is wider than a phone: the page says its own width in its title."""
    page = fetch(watched.metrics, '/')[2].replace(
        '</body>', '<script>document.title = document.documentElement.scrollWidth + " of " + '
        'document.documentElement.clientWidth</script></body>')
    frame = tmp_path / 'page.html'
    frame.write_text(page)
    outer = tmp_path / 'outer.html'
    outer.write_text(f'<iframe id=f src=page.html style="width:{width}px;height:800px;border:0">'
                     '</iframe><script>onload = () => document.body.append(f.contentDocument.title)'
                     '</script>')
    done = subprocess.run(
        ['chromium', '--headless', '--no-sandbox', '--disable-gpu',
         '--allow-file-access-from-files',
         f'--user-data-dir={tmp_path}/profile', '--window-size=1400,900', '--dump-dom',
         f'file://{outer}'], capture_output=True, text=True, timeout=120)
    found = re.search(r'(\d+) of (\d+)', done.stdout)
    assert found, done.stdout + done.stderr
    assert int(found[1]) <= int(found[2]) and int(found[2]) >= width - 20


# ---- what dist/prometheus has for a site ----

DIST = ROOT / 'dist/prometheus'


def panels():
    return json.loads((DIST / 'valija.dashboard.json').read_text())['panels']


def expressions():
    """Of the dashboard, with its variables filled in."""
    return [target['expr'].replace('$job', 'valija').replace('$instance', '.*')
            for panel in panels() for target in panel['targets']]


def test_rules_and_alerts_are_good(tool):
    promtool = tool('promtool')
    for command in (['check', 'rules', 'valija.rules.yml', 'valija.alerts.yml'],
                    ['test', 'rules', 'valija.test.yml']):
        done = subprocess.run([promtool, *command], cwd=DIST, text=True, capture_output=True,
                              timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_good(tool, tmp_path):
    """Its expressions are Prometheus's, and its panels do not lie over each other."""
    rules = [{'record': f'panel:{n}', 'expr': expr} for n, expr in enumerate(expressions())]
    (tmp_path / 'rules.yml').write_text(json.dumps({'groups': [{'name': 'x', 'rules': rules}]}))
    done = subprocess.run([tool('promtool'), 'check', 'rules', tmp_path / 'rules.yml'], text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = [(x, y) for place in (panel['gridPos'] for panel in panels())
             for x in range(place['x'], place['x'] + place['w'])
             for y in range(place['y'], place['y'] + place['h'])]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) == 23


def test_what_they_name_is_counted(watched):
    """Each valija_… of the rules, alerts and the dashboard is a family of /metrics."""
    families = set(re.findall(r'^# TYPE (\w+) ', fetch(watched.metrics)[2], re.M))
    texts = [(DIST / name).read_text() for name in ('valija.rules.yml', 'valija.alerts.yml')]
    named = set(re.findall(r'\bvalija_\w+', ' '.join([*texts, *expressions()])))
    assert len(named) > 15
    for name in named:
        assert name in families or re.sub(r'_(bucket|sum|count)$', '', name) in families, name
