import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from kernel_lib import sockets
from kernel_lib.waiting import wait_until


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"])
def connection(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of a connection."""
    family, host = request.param
    with closing(socket.create_server((host, 0), family=family)) as server:
        near = socket.create_connection(server.getsockname()[:2])
        far, _ = server.accept()
        with closing(near), closing(far):
            yield near, far


def test_a_connection_has_sent_what_the_other_end_received(connection: tuple[socket.socket, socket.socket]) -> None:
    near, far = connection
    inode = os.fstat(near.fileno()).st_ino
    before = sockets.bytes_sent()[inode]
    near.sendall(b"x" * 1_000)
    far.recv(1_000, socket.MSG_WAITALL)
    wait_until(lambda: sockets.bytes_sent()[inode] - before == 1_000, 10, "the acknowledgement")


def test_the_sockets_of_this_process_are_among_its_own(connection: tuple[socket.socket, socket.socket]) -> None:
    assert {os.fstat(each.fileno()).st_ino for each in connection} <= sockets.inodes(os.getpid())


def test_a_process_that_is_gone_has_none() -> None:
    with pytest.raises(FileNotFoundError):
        sockets.inodes(2**22 + 1)
