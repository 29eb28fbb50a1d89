"""Runs `valija fetch` against a server of a test's own: scratch folders, results, the Maildir."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZER = re.compile(r'AddressSanitizer|UndefinedBehaviorSanitizer|LeakSanitizer|runtime error:')

# sysexits
OK, USAGE, DATAERR, NOINPUT, NOHOST, UNAVAILABLE = 0, 64, 65, 66, 68, 69
CANTCREAT, IOERR, TEMPFAIL, PROTOCOL, NOPERM, CONFIG = 73, 74, 75, 76, 77, 78
TOKEN = 79  # ours: the token is not accepted any more


def program():
    build = (ROOT / os.environ.get('VALIJA_BUILD', 'build-test')).resolve()
    return build / 'valija'


class Fetcher:
    def __init__(self, password='correct horse'):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix='valija-fetch-'))
        self.maildir = self.scratch / 'Maildir'
        self.state = self.scratch / 'state'
        self.password_file = self.scratch / 'password'
        self.password_file.write_text(password + '\n')
        self.password_file.chmod(0o600)

    def environment(self, **more):
        return {**os.environ, 'HOME': str(self.scratch), 'LC_ALL': 'C.UTF-8',
                'ASAN_OPTIONS': 'detect_leaks=0:exitcode=99:handle_sigill=1',
                'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1:exitcode=99',
                **{name: str(value) for name, value in more.items()}}

    def command(self, server, *options, scheme=None, to=None, host='127.0.0.1', user='demo',
                password=True):
        scheme = scheme or ('pop3s' if server.tls == 'implicit' else 'pop3')
        tls = [] if server.tls else ['--tls', 'none']
        secret = ['--password-file', self.password_file] if password else []
        return [str(word) for word in (
            program(), 'fetch', f'{scheme}://{user}@{host}:{server.port}', '--to',
            to or f'maildir:{self.maildir}', '--state', self.state, *secret, *tls, *options)]

    def run(self, server, *options, expect=OK, timeout=60, env=None, **more):
        return self.execute(self.command(server, *options, **more), expect, timeout, env)

    def execute(self, command, expect=OK, timeout=60, env=None, cwd=None):
        done = subprocess.run(command, text=True, capture_output=True, timeout=timeout,
                              errors='replace', stdin=subprocess.DEVNULL, start_new_session=True,
                              env=env or self.environment(), cwd=cwd or self.scratch)
        assert not SANITIZER.search(done.stderr), done.stderr
        if expect is not None:
            assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        return done

    def configured(self, text, *options, expect=OK, **more):
        """Runs with a configuration file."""
        file = self.scratch / 'fetch.conf'
        file.write_text(text)
        return self.execute([str(program()), 'fetch', '-c', str(file), *map(str, options)], expect,
                            **more)

    def files(self, folders=('new', 'cur')):
        found = []
        for folder in folders:
            path = self.maildir / folder
            found += sorted(path.iterdir()) if path.exists() else []
        return found

    def mail(self, folders=('new', 'cur')):
        """The messages' octets, sorted."""
        return sorted(path.read_bytes() for path in self.files(folders))

    def staged(self):
        folder = self.maildir / 'valija-staging'
        return [p for p in folder.iterdir() if p.suffix != '.lock'] if folder.exists() else []

    def remove(self):
        shutil.rmtree(self.scratch, ignore_errors=True)
