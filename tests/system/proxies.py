"""HAProxy and nginx in front of an office, started by a test and ended with it."""
import contextlib
import pathlib
import shutil
import socket
import subprocess
import tempfile

import pytest

from office import free_port, wait_until

NGINX_STREAM = pathlib.Path('/usr/lib/nginx/modules/ngx_stream_module.so')

HAPROXY = """\
global
    log stderr local0
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend post
    bind {bind}
    default_backend office
backend office
    server office 127.0.0.1:{to} {options}
"""

NGINX = """\
load_module {module};
daemon off;
pid {folder}/pid;
error_log stderr;
events {{ }}
stream {{
    server {{
        listen {bind};
        proxy_pass 127.0.0.1:{to};
        proxy_protocol on;
    }}
}}
"""


@contextlib.contextmanager
def _running(command, folder, name, port, host):
    with open(pathlib.Path(folder) / 'said', 'w+', encoding='utf-8') as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            def takes():
                said.seek(0)
                assert process.poll() is None, f'{name} ended: {said.read()}'
                with socket.socket() as probe:
                    return probe.connect_ex((host, port)) == 0
            wait_until(takes)
            yield port
        finally:
            process.terminate()
            process.wait(20)


@contextlib.contextmanager
def haproxy(to, options, host='127.0.0.1', bind=''):
    """The port of a HAProxy that passes connections on to a port of the office."""
    program = shutil.which('haproxy') or shutil.which('/usr/sbin/haproxy')
    if not program:
        pytest.skip('there is no HAProxy here')
    port = free_port()
    with tempfile.TemporaryDirectory(prefix='valija-haproxy-') as folder:
        config = pathlib.Path(folder) / 'haproxy.cfg'
        config.write_text(HAPROXY.format(bind=f'{host}:{port} {bind}', to=to, options=options))
        with _running([program, '-db', '-f', str(config)], folder, 'HAProxy', port, host):
            yield port


@contextlib.contextmanager
def nginx(to, host='127.0.0.1'):
    """The same of nginx, with its stream module."""
    program = shutil.which('nginx') or shutil.which('/usr/sbin/nginx')
    if not program or not NGINX_STREAM.exists():
        pytest.skip('there is no nginx with its stream module here')
    port = free_port()
    with tempfile.TemporaryDirectory(prefix='valija-nginx-') as folder:
        config = pathlib.Path(folder) / 'nginx.conf'
        config.write_text(NGINX.format(module=NGINX_STREAM, folder=folder, bind=f'{host}:{port}',
                                       to=to))
        with _running([program, '-p', folder, '-c', str(config)], folder, 'nginx', port, host):
            yield port
