"""`valija init --with postfix`: shows, makes and takes back what Debian's Postfix needs."""
import smtplib
import subprocess

import generate
import pytest
from office import free_port, wait_until
from postfix import Postfix, why_not

MESSAGE = dict(generate.messages(with_large=False))['plain']
needs_postfix = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
CANTCREAT, NOINPUT, CONFIG, USAGE = 73, 66, 78, 64


@pytest.fixture
def site(make_office):
    """An office with all three sockets, and a Postfix that knows nothing of it."""
    office = make_office(start=False)
    for section in ('sasl', 'socketmap'):
        office.set(f'{section}.listen', f'"{office.scratch}/{section}"')
    office.set('lmtp.domains', '{"example.org"}')
    office.start()
    port = free_port()
    postfix = Postfix(office.scratch / 'postfix', 'error:nobody was asked',
                      main='smtpd_relay_restrictions = reject_unauth_destination\n',
                      master=f'127.0.0.1:{port} inet n - n - - smtpd\n')
    postfix.port = port

    def command(*more, expect=0):
        done = office.valija('init', '--with', 'postfix', '-c', office.conf, '--postfix-config',
                             postfix.conf, *more, check=False)
        assert done.returncode == expect, done
        return done.stdout + done.stderr

    return office, postfix, command


def settings(postfix):
    done = subprocess.run(['postconf', '-c', postfix.conf, '-n'], capture_output=True, text=True,
                          env=postfix.environment, check=True)
    return done.stdout


@needs_postfix
@pytest.mark.release
def test_from_nothing_to_a_message_and_back(site):
    office, postfix, command = site
    before = settings(postfix)
    shown = command()
    assert f'virtual_transport = lmtp:inet:127.0.0.1:{office.lmtp}\n' in shown
    assert '(is: error:nobody was asked)' in shown and 'Nothing was changed' in shown
    assert settings(postfix) == before
    with postfix:
        assert 'postfix-before' in command('--apply')
        assert f'smtpd_sasl_path = {office.scratch}/sasl' in settings(postfix)
        assert 'changes were made before' in command('--apply', expect=CANTCREAT)
        assert 'Postfix has all of it.' in command()
        with smtplib.SMTP('127.0.0.1', postfix.port, timeout=60) as client:
            client.sendmail('x@elsewhere.example', ['demo@example.org'], MESSAGE)
            with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
                client.sendmail('x@elsewhere.example', ['ghost@example.org'], MESSAGE)
            assert refused.value.recipients['ghost@example.org'][0] == 550
        wait_until(lambda: (office.mail / 'demo').exists() and len(office.files('demo')) == 1)
        assert 'Postfix is as it was.' in command('--undo')
    assert settings(postfix) == before
    assert 'no changes were made' in command('--undo', expect=NOINPUT)


@needs_postfix
def test_what_is_missing_is_said(make_office, site):
    office, postfix, command = site
    office.set('socketmap.listen', '{}')
    assert 'socketmap { listen' in command(expect=CONFIG)
    office.conf.unlink()
    command(expect=NOINPUT)


def test_mistakes(office):
    for words in (('--with', 'sendmail'), ('--with', 'postfix', '--apply', '--undo'),
                  ('--with', 'postfix', 'more'), ('--with',), ('--with', 'postfix', '--what')):
        done = office.valija('init', *words, check=False)
        assert done.returncode == USAGE, done
