"""`valija init --with postfix`: shows, makes and takes back what Debian's Postfix needs."""
import re
import signal
import smtplib
import subprocess

import generate
import pytest
from office import PASSWORD, ROOT, dead_port, free_port, wait_until
from postfix import Postfix, why_not

MESSAGE = dict(generate.messages(with_large=False))['plain']
needs_postfix = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
CANTCREAT, NOINPUT, CONFIG, USAGE, NOPERM, TEMPFAIL, UNAVAILABLE = 73, 66, 78, 64, 77, 75, 69


@pytest.fixture
def site(make_office):
    """An office with all the sockets, and a Postfix that knows nothing of it."""
    office = make_office(start=False, users=('demo', 'anna'), settings={'quota.messages': '1'})
    for section in ('sasl', 'socketmap', 'policy'):
        office.set(f'{section}.listen', f'"{office.scratch}/{section}"')
    office.set('lmtp.domains', '{"example.org"}')
    office.start()
    port = free_port()
    postfix = Postfix(office.scratch / 'postfix', 'error:nobody was asked',
                      main='smtpd_relay_restrictions = reject_unauth_destination\n'
                           'smtpd_recipient_restrictions = reject_non_fqdn_recipient\n',
                      master=f'127.0.0.1:{port} inet n - n - - smtpd\n')
    postfix.port = port

    def command(*more, expect=0, stdin=''):
        done = office.valija('init', '--with', 'postfix', '-c', office.conf, '--postfix-config',
                             postfix.conf, *more, stdin=stdin, check=False)
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
        assert ('smtpd_recipient_restrictions = check_policy_service '
                f'{{ unix:{office.scratch}/policy, default_action=DUNNO, timeout=20s }}, '
                'reject_non_fqdn_recipient\n') in settings(postfix)
        assert 'changes were made before' in command('--apply', expect=CANTCREAT)
        assert 'Postfix has all of it.' in command()
        with smtplib.SMTP('127.0.0.1', postfix.port, timeout=60) as client:
            client.sendmail('x@elsewhere.example', ['demo@example.org'], MESSAGE)
            with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
                client.sendmail('x@elsewhere.example', ['ghost@example.org'], MESSAGE)
            assert refused.value.recipients['ghost@example.org'][0] == 550
        wait_until(lambda: (office.mail / 'demo').exists() and len(office.files('demo')) == 1)
        office.put('anna', MESSAGE)
        with smtplib.SMTP('127.0.0.1', postfix.port, timeout=60) as client:
            with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
                client.sendmail('x@elsewhere.example', ['anna@example.org'], MESSAGE)
            assert refused.value.recipients['anna@example.org'][0] == 452
        assert 'Postfix is as it was.' in command('--undo')
    assert settings(postfix) == before
    assert 'no changes were made' in command('--undo', expect=NOINPUT)


@pytest.fixture
def scratch(site, monkeypatch):
    """The folder of temporary files, which has none at the end."""
    folder = site[0].scratch / 'temporary'
    folder.mkdir()
    monkeypatch.setenv('TMPDIR', str(folder))
    environment = site[0].environment
    site[0].environment = lambda: environment() | {'TMPDIR': str(folder)}
    yield folder
    assert not list(folder.iterdir())


def without_quota(office):
    office.stop()
    office.set('quota.messages', '0')
    office.start()


@needs_postfix
@pytest.mark.release
def test_a_message_goes_through_and_is_collected(site, scratch):
    office, postfix, command = site
    without_quota(office)
    office.put('demo', MESSAGE)
    office.put('demo', MESSAGE)
    before = sorted(office.octets('demo'))
    with postfix:
        said = command('--apply', '--try', 'demo', stdin=PASSWORD + '\n')
        steps = ['Logged in as demo: POP3 at 127.0.0.1', 'took the message for demo@example.org',
                 'It arrived after', 'Collected by POP3', 'Deleted it there again']
        assert [said.find(step) for step in steps] == sorted(map(said.find, steps)), said
        assert all(step in said for step in steps), said
        token = re.search(r'"Valija test ([0-9a-f]{32})"', said)[1]
        assert f'message-id=<{token}@example.org>' in postfix.log()
        wait_until(lambda: sorted(office.octets('demo')) == before)
        # the server still has its POP3 socket: what the command reads of it is another file
        office.set('pop3.listen', '{}')
        said = command('--try', 'demo@example.org', stdin=PASSWORD + '\n')
        assert 'Logged in as demo: POP3S at 127.0.0.1' in said and 'Deleted it there' in said
        wait_until(lambda: sorted(office.octets('demo')) == before)


@needs_postfix
def test_no_message_is_sent_to_one_who_cannot_log_in(site, scratch):
    office, postfix, command = site
    command('--apply')
    with postfix:
        said = command('--try', 'demo', stdin='wrong\n', expect=NOPERM)
        assert 'the login as demo failed; no message was sent' in said
        assert 'no password' in command('--try', 'demo', expect=65)
        office.stop()
        said = command('--try', 'demo', stdin=PASSWORD + '\n', expect=TEMPFAIL)
        assert 'no message was sent' in said and 'journalctl -u valijad' in said
        assert not postfix.queue() and 'message-id' not in postfix.log()


@needs_postfix
def test_another_key_than_that_of_the_certificate_is_refused(site, scratch):
    office, postfix, command = site
    command('--apply')
    office.set('pop3.listen', '{}')
    other = office.scratch / 'other'
    office.valija('init', other)
    office.allow('changed files of certificates are not used')  # seen after some seconds
    (office.dir / 'tls/cert.pem').write_bytes((other / 'tls/cert.pem').read_bytes())
    with postfix:
        said = command('--try', 'demo', stdin=PASSWORD + '\n', expect=NOPERM)
        assert 'no message was sent' in said and 'if it was the key' in said
        assert not postfix.queue() and 'message-id' not in postfix.log()


def cut_off(postfix, command):
    """Postfix delivers to where nobody listens."""
    command('--apply')
    postfix._run('postconf', '-c', postfix.conf, '-e',
                 f'virtual_transport=lmtp:inet:127.0.0.1:{dead_port()}')


@needs_postfix
def test_what_stays_in_the_queue_is_shown(site, scratch):
    office, postfix, command = site
    cut_off(postfix, command)
    with postfix:
        for _ in range(3):  # a Postfix that has not got to it in 30 s shows no reason yet
            said = command('--try', 'demo', stdin=PASSWORD + '\n', expect=TEMPFAIL)
            assert 'did not arrive within 30 s' in said and 'The queue of Postfix' in said, said
            if 'Connection refused' in said:
                break
    assert 'Connection refused' in said and 'demo@example.org' in said.split('The queue')[1], said


@needs_postfix
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_one_leaves_nothing_behind(site, scratch, number):
    office, postfix, command = site
    cut_off(postfix, command)
    with postfix, subprocess.Popen(
            office._command(office.bin / 'valija', 'init', '--with', 'postfix', '-c', office.conf,
                            '--postfix-config', postfix.conf, '--try', 'demo'),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=office.environment(), cwd='/') as process:
        process.stdin.write(PASSWORD + '\n')
        process.stdin.flush()
        while 'Waiting' not in (line := process.stdout.readline()):
            assert line
        assert list(scratch.iterdir())
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == TEMPFAIL and 'interrupted' in said, said


@needs_postfix
def test_a_message_that_is_sent_back_is_not_taken_for_it(site, scratch):
    office, postfix, command = site
    without_quota(office)
    command('--apply')
    checks = postfix.dir / 'checks'
    checks.write_text('/^Subject: Valija test/ REJECT not here\n')
    postfix._run('postconf', '-c', postfix.conf, '-e', f'header_checks=regexp:{checks}')
    with postfix:
        said = command('--try', 'demo', stdin=PASSWORD + '\n', expect=UNAVAILABLE)
    assert 'Postfix sent the message back' in said
    assert len(office.files('demo')) == 1  # the report


@needs_postfix
def test_what_is_missing_is_said(make_office, site):
    office, postfix, command = site
    office.set('socketmap.listen', '{}')
    assert 'socketmap { listen' in command(expect=CONFIG)
    office.conf.unlink()
    command(expect=NOINPUT)


def test_mistakes(office):
    for words in (('--with', 'sendmail'), ('--with', 'postfix', '--apply', '--undo'),
                  ('--with', 'postfix', 'more'), ('--with', 'postfix', '--undo', '--try', 'demo'),
                  ('--with', 'postfix', '--try'), ('--with',), ('--with', 'postfix', '--what')):
        done = office.valija('init', *words, check=False)
        assert done.returncode == USAGE, done


@pytest.mark.parametrize('name', ['', '-bp', '@example.org', 'demo@', 'a b', 'demo@x>y', 'a"b',
                                  'demo\nBcc: x'])
def test_no_name_becomes_more_than_an_address(office, name):
    done = office.valija('init', '--with', 'postfix', '-c', office.conf, f'--try={name}',
                         stdin='x\n', check=False)
    assert done.returncode == USAGE and "no user's name" in done.stderr, done


def test_completions_know_the_options_of_init(office):
    usage = office.valija('init', check=False).stderr
    options = set(re.findall(r'--([a-z0-9-]+)', usage))
    assert {'with', 'apply', 'undo', 'try', 'hostname'} <= options
    for name, begin, end, form in (
            ('valija.bash', '= init ]', 'return', r'--([a-z0-9-]+)'),
            ('_valija', '\tinit)', ';;', r'--([a-z0-9-]+)[\[}]'),
            ('valija.fish', 'set -l init', 'set -l user', r'-l ([a-z0-9-]+)')):
        text = (ROOT / 'dist/completions' / name).read_text().split(begin)[1].split(end)[0]
        known = set(re.findall(form, text)) - {'init'}
        assert known == options | {'config'}, name
