"""Clients that vanish without a FIN: the listening sockets hand options to accepted ones, and with
them the system gives such a client up. A client vanishes here by a filter on its own socket that
drops whatever arrives. The options of an accepted socket are read, and shortened, through a copy of
it."""
import ctypes
import os
import socket
import struct
import time

import pytest
from lmtp import Lmtp
from office import PASSWORD
from pop import login_within

SYS_PIDFD_GETFD = 438
SO_ATTACH_FILTER = 26
OPTIONS = {(socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
           (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 120,
           (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 30,
           (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 4,
           (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT): 240_000,
           (socket.IPPROTO_TCP, socket.TCP_NODELAY): 1}


def accepted(office, client):
    """A copy of the server's end of a client's connection."""
    libc = ctypes.CDLL(None, use_errno=True)
    for pid in office.children():
        pidfd = os.pidfd_open(pid)
        try:
            for name in os.listdir(f'/proc/{pid}/fd'):
                if 'socket:' not in os.readlink(f'/proc/{pid}/fd/{name}'):
                    continue
                fd = libc.syscall(SYS_PIDFD_GETFD, pidfd, int(name), 0)
                if fd < 0:
                    continue
                sock = socket.socket(fileno=fd)
                try:
                    if sock.family == socket.AF_INET and sock.getpeername() == client.getsockname():
                        return sock
                except OSError:
                    pass
                sock.close()
        finally:
            os.close(pidfd)
    raise AssertionError('no process has the other end')


def vanish(sock):
    """Nothing that the server sends reaches this socket any more, and it answers nothing."""
    program = ctypes.create_string_buffer(struct.pack('HBBI', 0x06, 0, 0, 0))  # return 0
    fprog = struct.pack('HxxxxxxP', 1, ctypes.addressof(program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
    return program


@pytest.mark.parametrize('service', ['pop3', 'pop3s', 'lmtp'])
def test_accepted_sockets_have_the_options(make_office, connect, need_root, service):
    office = make_office()
    if service == 'lmtp':
        client = Lmtp(office.lmtp)
    else:
        client = connect(office, service == 'pop3s' or None)
    with accepted(office, client.socket) as end:
        for (level, name), value in OPTIONS.items():
            assert end.getsockopt(level, name) == value, (level, name)
    client.close()


@pytest.mark.parametrize('waiting', [False, True], ids=['idle', 'while-octets-wait'])
def test_a_vanished_client_is_given_up(make_office, connect, need_root, waiting):
    """Its maildrop is free again, whether the session was idle or in the middle of a reply."""
    office = make_office()
    client = connect(office)
    client.login('demo', PASSWORD)
    with accepted(office, client.socket) as end:
        for name, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1),
                            (socket.TCP_KEEPCNT, 2), (socket.TCP_USER_TIMEOUT, 2000)):
            end.setsockopt(socket.IPPROTO_TCP, name, value)
    keep = vanish(client.socket)
    if waiting:
        client.send('NOOP\r\n')
    started = time.monotonic()
    login_within(connect, office, 'demo', 30).quit()
    assert time.monotonic() - started < 30 and keep
    client.close()
