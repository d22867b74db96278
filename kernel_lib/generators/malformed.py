"""Own the ways in which a record can be no valid event: each spoils the JSON of a valid one.

The event's id stays readable as text, so that a ledger can tick off the dead letter.

    >>> spoil(b'{"eventId":"r-1","timestamp":"2026-01-01T00:00:00.000Z"}', KINDS.index("unreadable timestamp"), "")
    b'{"eventId":"r-1","timestamp":"yesterday"}'
"""

from __future__ import annotations

import re

KINDS = ("", "cut short", "not text", "no timestamp", "unreadable timestamp", "far future", "wrong type")
"""The first one is: not malformed."""

_TIMESTAMP = re.compile(rb'"timestamp":"[^"]*"')


def spoil(value: bytes, kind: int, field: str) -> bytes:
    """Return the JSON of an event made malformed; `field` is a number that gets a text where a type is to be wrong."""
    match KINDS[kind]:
        case "cut short":
            return value[: len(value) * 2 // 3]
        case "not text":
            return b"\x00\xff\xfe" + value
        case "no timestamp":
            return _TIMESTAMP.sub(b"", value, count=1).replace(b",,", b",", 1)
        case "unreadable timestamp":
            return _TIMESTAMP.sub(b'"timestamp":"yesterday"', value, count=1)
        case "far future":
            return _TIMESTAMP.sub(b'"timestamp":"2999-12-31T23:59:59.999Z"', value, count=1)
        case "wrong type":
            return re.sub(rb'"%s":[^,}]*' % field.encode(), b'"%s":"much"' % field.encode(), value, count=1)
    return value
