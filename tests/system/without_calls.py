"""Runs a program as on a kernel without some calls, by their names: python3 without_calls.py
NAME[,NAME…] PROGRAM ARGUMENT… They fail with ENOSYS."""
import ctypes
import os
import platform
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
SET_NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2
NUMBERS = {'landlock': (444, 444), 'openat2': (437, 437), 'seccomp': (317, 277),
           'preadv2': (327, 286), 'adjtimex': (159, 171), 'clock_adjtime': (305, 266)}
MACHINES = {'x86_64': 0, 'aarch64': 1}


class Program(ctypes.Structure):
    _fields_ = [('count', ctypes.c_ushort), ('steps', ctypes.c_char_p)]


def deny(names):
    """No process of this one can call them any more."""
    steps = [(0x20, 0, 0, 0)]  # the number of the call
    for name in names:  # is it that one? ENOSYS
        steps += [(0x15, 0, 1, NUMBERS[name][MACHINES[platform.machine()]]),
                  (0x06, 0, 0, 0x00050000 | 38)]
    steps.append((0x06, 0, 0, 0x7fff0000))
    program = Program(len(steps), b''.join(struct.pack('=HBBI', *step) for step in steps))
    if LIBC.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0) or \
            LIBC.prctl(SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0):
        sys.exit(f'no seccomp: {os.strerror(ctypes.get_errno())}')


if __name__ == '__main__':
    deny(sys.argv[1].split(','))
    os.execvp(sys.argv[2], sys.argv[2:])
