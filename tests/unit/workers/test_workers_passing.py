"""A connection handed over: whole, once, and nothing of it lost."""

from __future__ import annotations

import os
import socket

import pytest

from shortwire.workers.passing import can_pass, pass_socket, received_sockets

pytestmark = pytest.mark.skipif(not can_pass(), reason="this system cannot hand descriptors over")


@pytest.fixture
def channel() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


def test_each_connection_arrives_with_what_was_already_sent_on_it(
    channel: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = channel
    clients = []
    with ours, theirs:
        for number in range(5):
            client, served = socket.socketpair()
            client.sendall(b"GET /%d" % number)
            assert served.recv(100, socket.MSG_PEEK) == b"GET /%d" % number
            with served:
                assert pass_socket(ours, served)
            clients.append(client)
        got = list(received_sockets(theirs))
        assert list(received_sockets(theirs)) == []
        for number, (client, sock) in enumerate(zip(clients, got, strict=True)):
            assert sock is not None
            with client, sock:
                assert not os.get_inheritable(sock.fileno())
                assert sock.recv(100) == b"GET /%d" % number
                sock.sendall(b"answer")
                assert client.recv(100) == b"answer"


def test_a_full_channel_says_so_and_goes_on_later(channel: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = channel
    kept, passed = socket.socketpair()
    with ours, theirs, kept, passed:
        sent = 0
        while pass_socket(ours, passed):
            sent += 1
            assert sent < 100_000
        assert sent > 0
        for sock in received_sockets(theirs):
            assert sock is not None
            sock.close()
        assert pass_socket(ours, passed)
        while got := [sock for sock in received_sockets(theirs) if sock is not None]:
            for sock in got:
                sock.close()


def test_the_end_of_either_side_is_told(channel: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = channel
    with ours, theirs:
        ours.close()
        with pytest.raises(EOFError):
            list(received_sockets(theirs))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        theirs.close()
        with pytest.raises(OSError):
            pass_socket(ours, ours)
