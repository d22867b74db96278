"""Own how events become JSON: column by column, and then joined into records.

A column holds one field of the events as JSON, name and value. What occurs again and again is written once, into a
table, and looked up.

    >>> page = table("page", ["/", "/cart"])
    >>> records("r1", np.array([7, 8]), [page[[1, 0]], column("duration", [0.5, 3.0])])[1]
    b'{"eventId":"r1-8","page":"/","duration":3.0,"sentAt":'
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Column = list[bytes] | NDArray[np.object_]

_lines = msgspec.json.Encoder().encode_lines


def column(name: str, values: Iterable[Any]) -> list[bytes]:
    """Return a field with these values."""
    return _around(f'"{name}":', _lines(values))


def table(name: str, values: Iterable[Any]) -> NDArray[np.object_]:
    """Return a field with these values as an array, to be looked up by numbers."""
    return np.array(column(name, values), np.object_)


def stamps(times_ms: NDArray[np.int64]) -> Column:
    """Return the field `timestamp`: epoch milliseconds as ISO-8601 in UTC with milliseconds."""
    distinct, which = np.unique(times_ms, return_inverse=True)  # many events share one at a high rate
    moments = np.datetime_as_string(distinct.astype("datetime64[ms]"), unit="ms").tolist()
    return table("timestamp", [moment + "Z" for moment in moments])[which]


def hexadecimals(name: str, prefix: str, numbers: NDArray[np.uint64], digits: int) -> Column:
    """Return a field with a prefix and the last `digits`, an even number of them, of each number."""
    last = numbers.astype(">u8").view(np.uint8).reshape(-1, 8)[:, -digits // 2 :].tobytes()
    return _around(f'"{name}":"{prefix}', f"{last.hex(chr(10), digits // 2)}\n".encode(), '"')


def records(run: str, index: NDArray[np.int64], columns: Sequence[Column]) -> list[bytes]:
    """Return events with these fields, up to the value of `sentAt`, which is the last one."""
    ids = _around(f'{{"eventId":"{run}-', _lines(index.tolist()), '"')
    # Lists: an array of objects takes three times as long to go through.
    lists = (column if isinstance(column, list) else column.tolist() for column in columns)
    return list(map(b",".join, zip(ids, *lists, repeat(b'"sentAt":'), strict=False)))


def fields(columns: Sequence[Column]) -> dict[str, list[Any]]:
    """Return the values of fields by their names."""
    rows = map(b",".join, zip(*columns, strict=True))
    events = msgspec.json.decode(b"[{%b}]" % b"},{".join(rows), type=list[dict[str, Any]])
    return {name: [event[name] for event in events] for name in events[0]}


def _around(before: str, lines: bytes, after: str = "") -> list[bytes]:
    """Return lines, each with something before and after it; much faster than one by one."""
    start, turn = before.encode(), f"{after}\n{before}".encode()
    return (start + lines.replace(b"\n", turn)).split(b"\n")[:-1]
