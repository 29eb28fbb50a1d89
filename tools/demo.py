"""`./dev demo`: a post office in a scratch folder, filled, collected over TLS, compared.

On a terminal it then serves until Ctrl-C and says what to try; otherwise it ends by itself, exit
status 0 only if every octet of every message arrived. Nothing is left behind.
"""
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests/system'), str(ROOT / 'tests/corpus')]

import generate  # noqa: E402
import office as post  # noqa: E402
from wire import same_message, wire_form  # noqa: E402

DEFAULT_PORTS = (1110, 1995, 1124)  # of valija init
USER = 'demo'


def say(text=''):
    print(text, flush=True)


def step(text):
    say(f'\n── {text}')


def port(default):
    """The default port, or a free one when somebody has taken it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('127.0.0.1', default))
            return default
        except OSError:
            return post.free_port()


def short(path):
    return os.path.relpath(path) if pathlib.Path(path).is_relative_to(os.getcwd()) else str(path)


def collect(office, scratch, password):
    """Runs `valija fetch`; its progress bar goes to our terminal. Returns the Maildir it wrote."""
    password_file = scratch / 'password'
    password_file.touch(mode=0o600)
    password_file.write_text(password + '\n')
    maildir = scratch / 'collected'
    command = [office.bin / 'valija', 'fetch', f'pop3s://{USER}@localhost:{office.pop3s}',
               '--to', f'maildir:{maildir}', '--keep', '--ca', office.cert,
               '--password-file', password_file, '--state', scratch / 'state']
    say('$ ' + ' '.join(short(part) if isinstance(part, pathlib.Path) else str(part)
                        for part in command))
    done = subprocess.run(command, stdin=subprocess.DEVNULL)
    if done.returncode:
        say(f'valija fetch ended with {done.returncode}')
    return maildir


def compare(maildir, messages):
    """Each message sent must be there once, octet by octet; prints what is not. True: all are."""
    files = [path for name in ('new', 'cur') if (maildir / name).is_dir()
             for path in (maildir / name).iterdir()]
    arrived = [path.read_bytes() for path in files]
    exact = total = 0
    for name, stored in messages:
        wire = wire_form(stored)
        total += len(wire)
        found = next((n for n, octets in enumerate(arrived) if same_message(octets, wire)), None)
        if found is None:
            say(f'   {name}: {len(wire)} octets did not arrive as they were sent')
        else:
            arrived.pop(found)
            exact += 1
    for octets in arrived:
        say(f'   {len(octets)} octets arrived that nobody sent: {octets[:60]!r}…')
    say(f'{exact} of {len(messages)} messages arrived octet-exact, {total:,} octets on the wire.')
    return exact == len(messages) and not arrived


def show_ways(office, password):
    cert = office.cert
    say(f'''Try it by hand (the user is {USER}, the password {password}):

  curl --cacert {cert} -u {USER}:{password} pop3s://localhost:{office.pop3s}/
  curl --cacert {cert} -u {USER}:{password} pop3s://localhost:{office.pop3s}/1
  curl --cacert {cert} --ssl-reqd -u {USER}:{password} pop3://localhost:{office.pop3}/
  openssl s_client -quiet -crlf -CAfile {cert} -connect localhost:{office.pop3s}
  openssl s_client -quiet -crlf -CAfile {cert} -starttls pop3 -connect localhost:{office.pop3}
      then type: USER {USER}, PASS {password}, STAT, LIST, TOP 1 0, QUIT

  A mail program: POP3, server localhost, port {office.pop3s}, SSL/TLS, normal password,
      user name {USER}. It will ask about the certificate: it is the self-signed
      {cert}

  The mail is in    {office.mail / USER}
  The settings are  {office.conf}
  The users are     {office.dir / 'users'}''')


def serve(office):
    say('\nServing until Ctrl-C. What the server says:')
    try:
        seen = 0
        while True:
            with office.news:
                while len(office.log) <= seen:
                    office.news.wait()
                lines, seen = office.log[seen:], len(office.log)
            for line in lines:
                if line is None:
                    return
                say('  ' + line)
    except KeyboardInterrupt:
        say()


def run(scratch):
    password = secrets.token_urlsafe(9)
    step('A post office: valija init, valija user add')
    office = post.Office(folder=scratch, users=(), hostname='demo.localhost',
                         ports=tuple(map(port, DEFAULT_PORTS)))
    office.add_user(USER, password, scheme='YESCRYPT')
    say(f'{office.dir}: ' + ' '.join(sorted(path.name for path in office.dir.iterdir())))

    messages = list(generate.messages())
    office.put_many(USER, [octets for _, octets in messages])
    say(f'{len(messages)} messages put into its Maildir: plain, with attachments, 8-bit, dots at '
        'line starts, very long lines, no final line break, header only, …')

    step('The server: valijad')
    office.start()
    try:
        say(f'POP3 on 127.0.0.1:{office.pop3}, POP3S on 127.0.0.1:{office.pop3s}. Its processes:')
        for pid, line in sorted(office.children().items()):
            say(f'  {pid:7} {line.removesuffix(" --child")}')

        step('Collected over TLS: valija fetch')
        good = compare(collect(office, scratch, password), messages)
        if not good:
            say('\nWhat the server said:\n' + office.log_text())

        step('By hand')
        show_ways(office, password)
        if sys.stdin.isatty():
            serve(office)
    finally:
        office.stop(check=False)
    return good


def leave(*_):
    raise KeyboardInterrupt


def main():
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix='valija-demo-'))
    try:
        return 0 if run(scratch) else 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


sys.exit(main())
