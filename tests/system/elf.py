"""Copies of our programs in which a function ends the process: what a broken build would be."""
import pathlib
import struct


def _sections(octets):
    assert octets[:5] == b'\x7fELF\x02', 'no 64-bit ELF'
    offset, = struct.unpack_from('<Q', octets, 40)
    size, count = struct.unpack_from('<HH', octets, 58)
    for i in range(count):
        yield struct.unpack_from('<IIQQQQIIQQ', octets, offset + i * size)


def _place(octets, symbol):
    """Where the code of that function is in the file."""
    sections = list(_sections(octets))
    for section in sections:
        if section[1] != 2:  # the table of symbols
            continue
        names = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 24):
            name, _, _, index, value, _ = struct.unpack_from('<IBBHQQ', octets, at)
            end = octets.index(b'\0', names + name)
            if octets[names + name:end] == symbol.encode() and index:
                _, _, _, address, offset, *_ = sections[index]
                return value - address + offset
    raise AssertionError(f'no function {symbol}')


def break_function(path, symbol):
    """The file's function kills its process when it is called: with SIGKILL, of which no sanitizer
    makes a report."""
    path = pathlib.Path(path)
    octets = bytearray(path.read_bytes())
    at = _place(bytes(octets), symbol)
    # kill(getpid(), SIGKILL)
    if octets[18] == 62:  # x86
        code = bytes.fromhex('b827000000 0f05 89c7 be09000000 b83e000000 0f05')
    else:  # aarch64; others are not known
        assert octets[18] == 183, 'no such code for this machine'
        code = bytes.fromhex('881580d2 010000d4 210180d2 281080d2 010000d4')
    octets[at:at + len(code)] = code
    path.write_bytes(octets)


def hang_function(path, symbol):
    """The file's function never ends when it is called."""
    path = pathlib.Path(path)
    octets = bytearray(path.read_bytes())
    at = _place(bytes(octets), symbol)
    if octets[18] == 62:  # x86: a jump to itself
        octets[at:at + 2] = b'\xeb\xfe'
    else:  # aarch64: the same; others are not known
        assert octets[18] == 183, 'no such code for this machine'
        octets[at:at + 4] = b'\0\0\0\x14'
    path.write_bytes(octets)
