"""Own how times are written in events and results: ISO-8601, in UTC unless it says otherwise.

>>> timestamps.epoch_ms("2026-01-01T00:00:00.250Z")
1767225600250.0
>>> [event.happened_ms for event in timestamps.stamped(tail.poll())]
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from kernel_lib.kafka_client import Record


class Stamped(NamedTuple):
    """A record that is an event: when it happened by its own account (epoch ms), and of what kind it is."""

    record: Record
    happened_ms: float
    kind: str


class _Event(msgspec.Struct):
    timestamp: str
    eventType: str = ""


def epoch_ms(timestamp: str) -> float:
    """Return an ISO-8601 time, UTC unless it says otherwise, as milliseconds since 1970; raises ValueError."""
    moment = datetime.fromisoformat(timestamp)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000


def stamped(records: Iterable[Record]) -> list[Stamped]:
    """Return the records that are events with a time; others are passed over."""
    found = []
    for record in records:
        try:
            event = msgspec.json.decode(record.value or b"", type=_Event)
            found.append(Stamped(record, epoch_ms(event.timestamp), event.eventType))
        except (ValueError, OverflowError):  # no JSON, no timestamp, or none that this calendar has
            continue
    return found
