"""The wire form of a stored message (RFC 1939 section 3), written apart from the server.

wire_form() is the judge in every test that compares octets.
"""
import re


def wire_form(stored):
    """Every LF without a CR before it becomes CR LF; a missing last line break is added."""
    wire = re.sub(rb'(?<!\r)\n', b'\r\n', stored)
    if wire and not wire.endswith(b'\r\n'):
        wire += b'\r\n'
    return wire


def top_of(wire, lines):
    """Headers, the blank line and so many lines of the body."""
    head, blank, body = wire.partition(b'\r\n\r\n')
    if wire.startswith(b'\r\n'):
        head, blank, body = b'', b'\r\n', wire[2:]
    kept = body.split(b'\r\n')[:lines]
    rest = b''.join(line + b'\r\n' for line in kept) if lines else b''
    return head + blank + (rest if len(rest) <= len(body) else body)


def same_message(stored, wire):
    """Whether a file that a client wrote holds the message: as received, or with LF line ends."""
    return stored in (wire, wire.replace(b'\r\n', b'\n'))
