"""LANG and UTF8 (RFC 6856) at the server."""
import poplib

from office import PASSWORD
from pop import Pop, client_context

WRONG = 'usuario o contraseña incorrectos'


def utf8(reply):
    return reply.encode('latin-1').decode('utf-8')


def test_a_session_in_spanish(make_office):
    office = make_office()
    office.put_many('demo', [b'Subject: one\n\n1\n', b'Subject: two\n\n2\n'])
    with Pop(office.pop3) as client:
        assert {'LANG', 'UTF8'} <= set(client.lines('CAPA'))
        assert [utf8(line) for line in client.lines('LANG')] == ['en English', 'es Español']
        assert utf8(client.ok('LANG es-AR')) == '+OK es los textos van en español'
        assert client.err('LANG fr')
        client.ok('USER demo')
        assert utf8(client.err('PASS wrong')) == f'-ERR [AUTH] {WRONG}'
        client.ok('USER demo')
        assert utf8(client.ok(f'PASS {PASSWORD}')) == '+OK 2 mensajes (38 octetos)'
        assert {'LANG', 'UTF8'} <= set(client.lines('CAPA'))
        assert client.ok('RETR 1') == '+OK 19 octetos'
        assert client.body() == b'Subject: one\r\n\r\n1\r\n'
        client.ok('DELE 1')
        with Pop(office.pop3) as second:
            second.ok('LANG es')
            second.ok('USER demo')
            answer = utf8(second.err(f'PASS {PASSWORD}'))
            assert answer.startswith('-ERR [IN-USE] otra sesión tiene abierto este buzón desde ')
        assert utf8(client.quit()) == '+OK adiós'


def test_ascii_until_it_is_asked_for(make_office):
    office = make_office()
    with Pop(office.pop3) as client:
        for command in ('LANG espa\xf1ol', 'FOO', 'USER', 'LANG zz', 'LANG *'):
            assert client.ask(command.encode('latin-1')).isascii()
        client.ok('USER demo')
        assert client.err('PASS wrong') == '-ERR [AUTH] wrong user name or password'


def test_threat_135_what_was_asked_for_before_tls(make_office):
    office = make_office()
    with Pop(office.pop3) as client:
        client.ok('LANG es')
        client.ok('STLS')
        client.start_tls(client_context())
        assert client.err('FOO') == '-ERR unknown command'
        client.ok('UTF8')
        client.ok('LANG es')
        client.login('demo', PASSWORD)
        assert utf8(client.err('UTF8')) == '-ERR no después de identificarse'
        assert client.quit()
    with Pop(office.pop3) as client:
        client.ok('UTF8')
        assert client.err('STLS') == '-ERR STLS comes before UTF8'
        client.login('demo', PASSWORD)


def test_messages_go_as_they_are_stored(make_office):
    """With UTF8 and without: the same octets, sizes and unique ids."""
    office = make_office()
    stored = 'From: josé@ejemplo.example\nSubject: ñandú\n\náéí\n'.encode()
    office.put('demo', stored)
    seen = []
    for command in ('UTF8', 'CAPA'):
        client = poplib.POP3('127.0.0.1', office.pop3)
        client.utf8() if command == 'UTF8' else client.capa()
        client.user('demo')
        client.pass_(PASSWORD)
        seen.append((client.list()[1], client.uidl()[1], client.retr(1)[1]))
        client.quit()
    assert seen[0] == seen[1]
    assert b'\n'.join(seen[0][2]) + b'\n' == stored
