"""Runs inside a booted container, as root, once it is up: what an operator does with the installed
unit, step by step (README). Writes what came of each step as JSON to the file named, then powers the
container off. The judging is done outside, by test_unit_boots.py."""
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import time

MESSAGE = b'From: a@example.org\nSubject: one\n\nHello.\n'
found = {}


def run(*command, given=None, ok=True):
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60)
    text = done.stdout + done.stderr
    if ok and done.returncode:
        raise RuntimeError(f'{" ".join(command)}: {done.returncode}: {text}')
    return text.strip()


def show(name):
    return run('systemctl', 'show', '-P', name, 'valijad')


def dialogue(host, port, tls, *commands):
    """The first line of the greeting and of each answer."""
    with socket.create_connection((host, port), 10) as plain:
        connection = plain
        if tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection = context.wrap_socket(plain)
        with connection, connection.makefile('rwb') as file:
            lines = [file.readline().decode().strip()]
            for command in commands:
                file.write(command.encode() + b'\r\n')
                file.flush()
                lines.append(file.readline().decode().strip())
            return lines


LOGIN = ('USER anna', 'PASS secret')


def until(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f'{what}: not within {seconds} s')
        time.sleep(0.1)


def install():
    run('systemd-sysusers')
    run('systemd-tmpfiles', '--create')
    run('valija', 'init', '/etc/valija', '--hostname', 'mail.example.org', '--pop3', '[::]:110',
        '--pop3s', '[::]:995')
    os.rmdir('/etc/valija/mail')
    os.symlink('/var/mail/valija', '/etc/valija/mail')
    run('valija', 'user', 'add', '-c', '/etc/valija/valija.conf', 'anna', given='secret\n')
    unit = run('systemctl', 'show', '-P', 'FragmentPath', 'valijad')
    found['verify'] = run('systemd-analyze', 'verify', unit, ok=False)
    found['check'] = run('valijad', '-t')


def start():
    run('systemctl', 'enable', '--now', 'valijad')
    found['active'] = show('ActiveState')
    found['status'] = show('StatusText')
    for name, host, port, tls in (('ipv4', '127.0.0.1', 110, False), ('ipv6', '::1', 110, False),
                                  ('ipv4 tls', '127.0.0.1', 995, True),
                                  ('ipv6 tls', '::1', 995, True)):
        found[name] = dialogue(host, port, tls, *LOGIN, 'STAT', 'QUIT')


def deliver():
    subprocess.run(['valija', 'deliver', '-c', '/etc/valija/valija.conf', 'anna'], input=MESSAGE,
                   check=True, timeout=60)
    found['delivered'] = dialogue('127.0.0.1', 110, False, *LOGIN, 'STAT', 'QUIT')


def reload():
    with socket.create_connection(('127.0.0.1', 110), 10) as old, old.makefile('rwb') as file:
        file.readline()
        run('systemctl', 'reload', 'valijad')
        until('the reload', lambda: 'reloaded:' in run('journalctl', '-u', 'valijad'))
        file.write(b'QUIT\r\n')
        file.flush()
        found['old session'] = file.readline().decode().strip()
    found['reloaded'] = dialogue('::1', 995, True, *LOGIN, 'QUIT')


def refuse():
    path = pathlib.Path('/etc/valija/valija.conf')
    good = path.read_text()
    path.write_text(good + '\nno_such_setting = 1\n')
    run('systemctl', 'reload', 'valijad', ok=False)
    until('the refusal', lambda: 'refused' in show('StatusText'))
    found['refused'] = show('StatusText')
    found['goes on'] = dialogue('127.0.0.1', 110, False, *LOGIN, 'QUIT')
    path.write_text(good)
    run('systemctl', 'reload', 'valijad')
    until('the good configuration', lambda: 'refused' not in show('StatusText'))


def watchdog():
    """Short here; the unit's own time is a minute."""
    folder = pathlib.Path('/run/systemd/system/valijad.service.d')
    folder.mkdir(parents=True)
    (folder / 'watchdog.conf').write_text('[Service]\nWatchdogSec=3s\n')
    run('systemctl', 'daemon-reload')
    run('systemctl', 'restart', 'valijad')
    before = show('WatchdogTimestampMonotonic')
    until('a ping', lambda: show('WatchdogTimestampMonotonic') != before)
    main = show('MainPID')
    time.sleep(4)  # longer than the watchdog waits
    found['alive'] = show('MainPID') == main
    run('kill', '-STOP', main)
    until('the restart', lambda: show('MainPID') not in (main, '0') and
          show('ActiveState') == 'active')
    found['restarted'] = dialogue('127.0.0.1', 110, False, *LOGIN, 'QUIT')


def stop():
    run('systemctl', 'stop', 'valijad')
    found['stopped'] = [show('ActiveState'), show('Result')]
    found['left'] = run('pgrep', '-a', 'valijad', ok=False)


def main(result):
    for step in (install, start, deliver, reload, refuse, watchdog, stop):
        try:
            step()
        except Exception as failure:
            found['failed'] = f'{step.__name__}: {failure}'
            break
    found['journal'] = run('journalctl', '-b', '-u', 'valijad', '--no-pager', ok=False)
    found['systemd'] = run('systemctl', '--version', ok=False).split('\n')[0]
    pathlib.Path(result).write_text(json.dumps(found))
    os.sync()
    subprocess.run(['systemctl', 'poweroff', '--no-block'])


main(sys.argv[1])
