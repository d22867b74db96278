"""Count what the TCP connections of processes have sent, as Linux keeps it for each socket.

    >>> sockets.bytes_sent()
    {111542: 1840, 111544: 90}
    >>> sockets.inodes(pid=4711)
    {111542}

A socket is known by its inode. The kernel tells the counters of all sockets of this network namespace in one answer
(netlink's sock_diag, see `man 7 sock_diag`); whose a socket is, stands in /proc.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_SOCK_DIAG, _BY_FAMILY, _REQUEST_DUMP = 4, 20, 0x301
_DONE, _ERROR = 3, 2
_HEADER = struct.Struct("=IHHII")
# Family, protocol, extensions (the second one is tcp_info), padding, states (all but listening ones).
_QUESTION = struct.Struct("=BBBxI48x")
_WITH_TCP_INFO, _ALL_BUT_LISTEN = 1 << 1, 0xFFF & ~(1 << 10)
_ATTRIBUTE, _TCP_INFO = struct.Struct("=HH"), 2
# Of struct inet_diag_msg and of struct tcp_info.
_INODE, _INODE_AT, _MESSAGE_BYTES = struct.Struct("=I"), 68, 72
_BYTES_ACKED, _BYTES_ACKED_AT = struct.Struct("=Q"), 120
_LONGEST_ANSWER, _ANSWER_SECONDS = 1 << 18, 2.0


def bytes_sent() -> dict[int, int]:
    """Return how many bytes the other end of each connection has acknowledged, by the socket's inode.

    Raises OSError where the kernel does not answer that.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG) as asked:
        asked.settimeout(_ANSWER_SECONDS)
        return {
            inode: sent
            for family in (socket.AF_INET, socket.AF_INET6)
            for message in _answers(asked, family)
            for inode, sent in _counted(message)
        }


def inodes(pid: int) -> set[int]:
    """Return the inodes of a process' sockets; raises FileNotFoundError, or PermissionError if it is another user's."""
    found = set()
    for opened in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(opened.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            found.add(int(target[8:-1]))
    return found


def _answers(asked: socket.socket, family: int) -> Iterator[bytes]:
    question = _QUESTION.pack(family, socket.IPPROTO_TCP, _WITH_TCP_INFO, _ALL_BUT_LISTEN)
    asked.send(_HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _REQUEST_DUMP, 0, 0) + question)
    while True:
        received = asked.recv(_LONGEST_ANSWER)
        while received:
            length, kind, *_ = _HEADER.unpack_from(received)
            if kind == _DONE:
                return
            if kind == _ERROR:
                raise OSError("the kernel does not tell about its sockets (sock_diag)")
            yield received[_HEADER.size : length]
            received = received[_aligned(length) :]


def _counted(message: bytes) -> Iterator[tuple[int, int]]:
    """Yield the inode and the bytes of a connection; nothing for one that has no owner any more."""
    (inode,) = _INODE.unpack_from(message, _INODE_AT)
    at = _MESSAGE_BYTES
    while inode and at < len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if kind == _TCP_INFO:
            yield inode, _BYTES_ACKED.unpack_from(message, at + _ATTRIBUTE.size + _BYTES_ACKED_AT)[0]
        at += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
