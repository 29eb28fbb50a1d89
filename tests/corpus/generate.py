"""Writes the corpus: small messages of real shapes, each with one thing that servers get wrong.

Deterministic: run it again and nothing changes (a test sees to that). messages() also yields large
ones, which are made when needed and never stored. Run without arguments it writes NAME.eml beside
itself.
"""
import base64
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent
CR, LF, CRLF = b'\r', b'\n', b'\r\n'


def headers(number, subject, **more):
    lines = [
        f'Return-Path: <sender{number}@example.org>',
        f'Received: from mx.example.org (mx.example.org [192.0.2.{number}])',
        f'\tby mail.example.net with ESMTPS id A{number:07d}',
        f'\tfor <demo@example.net>; Tue, 14 Jan 2025 09:{number:02d}:00 +0100',
        f'Date: Tue, 14 Jan 2025 08:{number:02d}:00 +0000',
        f'From: Sender {number} <sender{number}@example.org>',
        'To: demo@example.net',
        f'Message-ID: <{number}.corpus@example.org>',
        f'Subject: {subject}',
    ]
    lines += [f'{name.replace("_", "-")}: {value}' for name, value in more.items()]
    return '\n'.join(lines).encode() + LF


def text(number, subject, body, **more):
    return headers(number, subject, **more) + LF + body


def crlf(message):
    return message.replace(LF, CRLF)


def prose(seed, size):
    words = ('the bag was opened at noon and letters were sorted by street while rain fell on '
             'the old post office roof nobody spoke until last carrier had left').split()
    rand = random.Random(seed)
    out, line = [], ''
    while sum(map(len, out)) < size:
        line += rand.choice(words) + ' '
        if len(line) > 66:
            out.append(line.rstrip() + '\n')
            line = ''
    return ''.join(out).encode()[:size].rstrip() + LF


def part(kind, body, **more):
    lines = [f'Content-Type: {kind}'] + [f'{k.replace("_", "-")}: {v}' for k, v in more.items()]
    return '\n'.join(lines).encode() + LF + LF + body


def multipart(boundary, *parts, kind='mixed', preamble=b'This is a message in MIME format.\n'):
    mark = b'--' + boundary.encode()
    body = preamble + b''.join(mark + LF + p for p in parts) + mark + b'--' + LF
    return f'multipart/{kind}; boundary="{boundary}"', body


def attachment(seed, size, name, kind):
    data = random.Random(seed).randbytes(size)
    return part(f'{kind}; name="{name}"', base64.encodebytes(data),
                Content_Transfer_Encoding='base64',
                Content_Disposition=f'attachment; filename="{name}"')


def mime(number, subject, kind, body):
    return text(number, subject, body, MIME_Version='1.0', Content_Type=kind)


def small():
    """(name, stored octets) of the messages kept in the tree."""
    yield 'plain', text(1, 'a plain letter', prose(1, 900))
    yield 'plain-crlf', crlf(text(2, 'stored with CRLF', prose(2, 700)))
    kind, body = multipart('=_two', part('text/plain; charset=us-ascii', b'See the picture.\n'),
                           attachment(3, 1500, 'picture.png', 'image/png'))
    yield 'multipart-attachment', mime(3, 'a picture', kind, body)
    inner_kind, inner = multipart('=_alt', part('text/plain; charset=utf-8', 'Grüße\n'.encode(),
                                                Content_Transfer_Encoding='8bit'),
                                  part('text/html; charset=utf-8',
                                       '<p>Gr=C3=BC=C3=9Fe\n'.encode(),
                                       Content_Transfer_Encoding='quoted-printable'),
                                  kind='alternative')
    kind, body = multipart('=_outer', part(inner_kind, inner + LF),
                           attachment(4, 300, 'notes.pdf', 'application/pdf'))
    yield 'multipart-nested', crlf(mime(4, 'nested parts', kind, body))
    yield 'eight-bit', text(5, '8-bit body in Latin 1', 'Señor, mañana llegará el año.\n'
                            .encode('latin-1'), MIME_Version='1.0',
                            Content_Type='text/plain; charset=iso-8859-1',
                            Content_Transfer_Encoding='8bit')
    yield 'utf8-headers', text(6, 'Übergrößenträger — 郵便局 ✉', '内容。\n'.encode(),
                               X_Name='Šárka Ďuričková')
    yield 'dots', text(7, 'dots at line starts', b'.\n..\n...\n.hidden\n..twice\n.\n\n.\nend\n')
    yield 'dots-crlf', crlf(text(8, 'dots at line starts, CRLF', b'.\n..\n.x\n.\n'))
    yield 'dot-last', text(9, 'a dot is all of the last line', b'text\n.\n')
    yield 'dot-last-unfinished', text(10, 'a dot and no line break', b'text\n.')
    yield 'dot-first-octet', b'.X-Odd: the first octet is a dot\n' + text(11, 'odd', b'body\n')
    yield 'dots-behind-bare-cr', text(12, 'a dot behind a bare CR is no first', b'a\r.b\r..\nc\n')
    yield 'long-line', text(13, 'one line of 6,000', b'x' * 6000 + LF + b'after\n')
    yield 'long-line-dots', text(14, 'one line of 5,001 dots', b'.' * 5001 + LF)
    yield 'long-header', text(15, 'a header of 8,000 in one line', b'body\n',
                              X_Long='v' * 8000)
    yield 'many-recipients', (headers(16, 'a folded header') + b'Cc: ' + b',\n\t'.join(
        b'"Person %d" <person%d@example.com>' % (n, n) for n in range(400)) + LF + LF + b'hi\n')
    yield 'no-final-line-break', text(17, 'no final line break', b'first\nlast')
    yield 'no-final-line-break-crlf', crlf(text(18, 'no final line break, CRLF', b'first\nlast'))
    yield 'header-only', headers(19, 'header only, no blank line')
    yield 'header-only-unfinished', headers(20, 'header only, not even a line break')[:-1]
    yield 'empty-body', text(21, 'empty body', b'')
    yield 'body-of-empty-lines', text(22, 'a body of empty lines', LF * 7)
    yield 'no-header', LF + b'The first line is empty: no header at all.\n'
    yield 'only-line-break', LF
    yield 'one-octet', b'x'
    yield 'bare-cr', text(23, 'bare CRs', b'one\rtwo\r\rthree\r four\n\rfive\n')
    yield 'ends-in-cr', text(24, 'the last octet is CR', b'text\r')
    yield 'ends-in-cr-lf-cr', crlf(text(25, 'ends in CR LF CR', b'text\n')) + CR
    yield 'cr-cr-lf', text(26, 'CR CR LF', b'a\r\r\nb\r\r\r\nc\n')
    yield 'mixed-line-ends', text(27, 'mixed line ends', b'lf\ncrlf\r\nlf\n\r\n\ncrlf\r\n')
    yield 'nul-octets', text(28, 'NUL octets', b'a\0b\n\0\n\0\0\0' + LF)
    yield 'all-octets', text(29, 'every octet once', bytes(range(256)) + LF)
    yield 'from-lines', text(30, 'From lines', b'From here on\nFrom: not a header\n>From me\n'
                             b'From sender@example.org Tue Jan 14 09:00:00 2025\n')
    yield 'trailing-spaces', text(31, 'white space at line ends', b'tab\t\nspaces   \n   \n\t\n')
    yield 'status-headers', text(32, '%s%n %(user) ${HOME} `id`', b'%s%s%s%n\n', Status='RO',
                                 X_UIDL='../../1', X_Keywords='\\Deleted',
                                 Content_Length='2147483648')
    yield 'terminal-escapes', text(33, '\x1b[2Jcleared\x1b]0;title\x07', b'\x1b[31mred\x1b[0m\n')
    yield 'fake-end', text(34, 'the look of an end', b'.\r\r\n.\n\r.\n\n.\r\nQUIT\r\n')
    kind, body = multipart('=_mail', part('message/rfc822', text(36, 'forwarded', b'inner\n')))
    yield 'forwarded', mime(35, 'Fwd: forwarded', kind, body)


def large():
    """(name, stored octets) of messages too large to keep in the tree."""
    kind, body = multipart('=_big', part('text/plain', prose(40, 2000)),
                           attachment(40, 400_000, 'film.mp4', 'video/mp4'))
    yield 'large-attachment', mime(40, 'a film', kind, body)
    kind, body = multipart('=_big', attachment(41, 300_000, 'archive.zip', 'application/zip'))
    yield 'large-attachment-crlf', crlf(mime(41, 'an archive, CRLF', kind, body))
    yield 'large-header', text(42, 'ten thousand addresses', b'body\n', Cc=',\n\t'.join(
        f'person{n}@example.com' for n in range(10_000)))
    yield 'large-one-line', text(43, 'one line of a million', b'y' * 1_000_000)
    yield 'large-lines-of-dots', text(44, 'only dots', b'.\n' * 60_000)
    yield 'large-line-breaks', text(45, 'only line breaks', LF * 120_000)


def messages(with_large=True):
    yield from small()
    if with_large:
        yield from large()


if __name__ == '__main__':
    for name, octets in small():
        (HERE / f'{name}.eml').write_bytes(octets)
