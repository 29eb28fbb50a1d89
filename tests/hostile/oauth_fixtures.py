"""An account that logs in with tokens: a provider (stand_ins/oauth.py), a POP3 server that takes
its tokens, and `valija fetch` configured for both."""
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse

import pytest

from fetching import program

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'stand_ins'))

from oauth import OAuth  # noqa: E402


class Account:
    def __init__(self, fetcher, serve, certificate, provider, lines=None):
        self.fetcher, self.certificate, self.provider = fetcher, certificate, provider
        self.server = serve(tls='implicit', certificate=certificate,
                            mechanisms=('PLAIN', 'XOAUTH2'), token_lines=lines)
        self.server.tokens = provider.access  # alive
        self.section, self.more = provider.section(), ''
        self.file = fetcher.scratch / 'fetch.conf'

    def environment(self, **more):
        return self.fetcher.environment(SSL_CERT_FILE=self.certificate[0], **more)

    def configure(self):
        self.file.write_text(
            f'state = "{self.fetcher.state}"\n{self.section}account "work" {{\n'
            f'\tserver = "pop3s://demo@127.0.0.1:{self.server.port}"\n'
            f'\tto = "maildir:{self.fetcher.maildir}"\n\tca = "{self.certificate[0]}"\n'
            f'\toauth = "stand-in"\n{self.more}}}\n')
        return self.file

    def command(self, *words):
        self.configure()
        return [str(program()), 'fetch', *words, '-c', str(self.file)]

    def fetch(self, *options, expect=0, **more):
        return self.fetcher.execute([*self.command(), *map(str, options), 'work'], expect,
                                    env=self.environment(**more))

    def login(self, *options, expect=0, stdin=None, timeout=60, **more):
        done = subprocess.run([*self.command('login'), *options, 'work'], text=True,
                              capture_output=True, timeout=timeout, input=stdin or '',
                              env=self.environment(**more), start_new_session=True)
        assert 'Sanitizer' not in done.stderr, done.stderr
        if expect is not None:
            assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        return done

    def start_login(self, *options, stdin=subprocess.DEVNULL):
        """Returns the process and the address of the provider's page, from what it says."""
        process = subprocess.Popen([*self.command('login'), *options, 'work'], text=True,
                                   stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.environment(), start_new_session=True)
        for line in process.stdout:
            if line.strip().startswith('https://'):
                return process, line.strip()
        raise AssertionError(process.communicate())

    def consent(self, page):
        """What a browser does with that page: the address it is sent to."""
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page).query))
        return self.provider.authorize(query)

    def grants(self):
        """Beside the state folder: the process that speaks POP3 may read only that one."""
        folder = self.fetcher.state.with_name(self.fetcher.state.name + '-grants')
        return list(folder.glob('*.grant'))

    @property
    def grant(self):
        found = self.grants()
        assert len(found) == 1, found
        return found[0]

    def fields(self):
        return dict(line.split(' ', 1) for line in self.grant.read_text().splitlines()
                    if ' ' in line)

    def age(self, seconds=None, **fields):
        """Changes the kept grant: seconds until the access token expires, and other fields."""
        text = self.grant.read_text()
        if seconds is not None:
            fields['expires'] = int(time.time()) + seconds
        for name, value in fields.items():
            text = re.sub(rf'^{name} .*$', f'{name} {value}', text, flags=re.M)
        self.grant.write_text(text)

    def refreshes(self):
        return [form for form in self.provider.asked('/token')
                if form.get('grant_type') == 'refresh_token']


@pytest.fixture
def provider(certificate):
    with OAuth(certificate) as made:
        yield made


@pytest.fixture
def account(fetcher, serve, certificate, provider):
    return Account(fetcher, serve, certificate, provider)
