"""Bind the servers for Flink's Python workers to loopback.

    >>> write_jar(pyflink / "opt" / "flink-python-2.3.0.jar", lib / "beam-loopback.jar")

In process mode a TaskManager talks to its Python workers through a class of Apache Beam. That class makes up
a loopback address, but hands only the port of it to the server, which then listens on every interface, and no
setting changes that. The jar written here has the same class with the address handed over; on the class path
it comes first.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

from kernel_lib.errors import CourseError

CLASS = "org/apache/beam/sdk/fn/server/ServerFactory$InetSocketAddressServerFactory.class"

# The format is chapter 4 of the Java Virtual Machine Specification: a count, and that many entries less one.
_COUNT_AT, _POOL_AT = 8, 10
_UTF8, _LONG, _DOUBLE, _CLASS, _METHOD, _NAME_AND_TYPE = 1, 5, 6, 7, 10, 12
_SIZES = {3: 5, 4: 5, _LONG: 9, _DOUBLE: 9, _CLASS: 3, 8: 3, 9: 5, _METHOD: 5, 11: 5, _NAME_AND_TYPE: 5} | {
    15: 4, 16: 3, 17: 5, 18: 5, 19: 3, 20: 3
}  # fmt: skip
_INVOKE_VIRTUAL, _INVOKE_STATIC, _NO_OPERATION = b"\xb6", b"\xb8", b"\x00"

Pool = dict[int, bytes]


def write_jar(flink_python: Path, target: Path) -> None:
    """Write the jar with the class of `flink_python` that binds to the address. Raises CourseError if it changed."""
    with zipfile.ZipFile(flink_python) as source, zipfile.ZipFile(target, "w") as jar:
        jar.writestr(CLASS, bound_to_address(source.read(CLASS)))


def bound_to_address(code: bytes) -> bytes:
    """Return the class with `forPort(address.getPort())` replaced by `forAddress(address)`."""
    pool, body = _pool(code)
    get_port, for_port = _method(pool, b"java/net/InetSocketAddress", b"getPort"), _method(pool, None, b"forPort")
    call = _INVOKE_VIRTUAL + _number(get_port) + _INVOKE_STATIC + _number(for_port)
    if code.count(call, body) != 1:
        raise CourseError("Beam's server factory is not the one this course knows.", cause=f"{CLASS} changed")
    _, descriptor = _name_and_type(pool, for_port)
    next_index = struct.unpack_from(">H", code, _COUNT_AT)[0]
    added = [
        _utf8(b"forAddress"),
        _utf8(descriptor.replace(b"(I)", b"(Ljava/net/SocketAddress;)")),
        bytes([_NAME_AND_TYPE]) + _number(next_index) + _number(next_index + 1),
    ]
    pool[for_port] = pool[for_port][:3] + _number(next_index + 2)
    entries = b"".join([*pool.values(), *added])
    # The address is on the stack, where the port was made of it.
    mended = code[body:].replace(call, 3 * _NO_OPERATION + call[3:])
    return code[:_COUNT_AT] + _number(next_index + len(added)) + entries + mended


def _pool(code: bytes) -> tuple[Pool, int]:
    """Return the entries of the constant pool by their index, and where what follows it begins."""
    pool: Pool = {}
    index, at = 1, _POOL_AT
    while index < struct.unpack_from(">H", code, _COUNT_AT)[0]:
        tag = code[at]
        size = 3 + struct.unpack_from(">H", code, at + 1)[0] if tag == _UTF8 else _SIZES[tag]
        pool[index] = code[at : at + size]
        index, at = index + (2 if tag in (_LONG, _DOUBLE) else 1), at + size
    return pool, at


def _method(pool: Pool, owner: bytes | None, name: bytes) -> int:
    """Return the index of a method that the class calls; 0 if it does not."""
    methods = (index for index, entry in pool.items() if entry[0] == _METHOD)
    return next((m for m in methods if _name_and_type(pool, m)[0] == name and owner in (None, _owner(pool, m))), 0)


def _owner(pool: Pool, method: int) -> bytes:
    (owner,) = struct.unpack_from(">H", pool[method], 1)
    (name,) = struct.unpack_from(">H", pool[owner], 1)
    return pool[name][3:]


def _name_and_type(pool: Pool, method: int) -> tuple[bytes, bytes]:
    (both,) = struct.unpack_from(">H", pool[method], 3)
    name, descriptor = struct.unpack_from(">HH", pool[both], 1)
    return pool[name][3:], pool[descriptor][3:]


def _utf8(text: bytes) -> bytes:
    return bytes([_UTF8]) + _number(len(text)) + text


def _number(value: int) -> bytes:
    return struct.pack(">H", value)
