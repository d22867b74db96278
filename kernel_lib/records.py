"""Own the event types and the names of topics; jobs import this module too.

Field names are those of the wire format. `eventId` is the producer's run and a dense sequence number,
`run-seq`; `timestamp` is event time, ISO-8601 in UTC with milliseconds; `sentAt` is the epoch in
milliseconds at which the event was handed to the producer.

    >>> UserEvent.__struct_fields__[0]
    'eventId'
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Location(msgspec.Struct, frozen=True):
    """A point on earth, in degrees (WGS 84)."""

    lat: float
    lon: float


class UserEvent(msgspec.Struct, frozen=True):
    """What a user did on a page; `duration` in seconds."""

    eventId: str
    timestamp: str
    userId: str
    eventType: str
    sessionId: str
    page: str
    duration: float
    userAgent: str
    location: Location
    sentAt: int = 0


class Transaction(msgspec.Struct, frozen=True):
    """A card payment; `amount` in units of `currency`, `riskScore` from 0 to 1."""

    eventId: str
    timestamp: str
    transactionId: str
    userId: str
    amount: float
    currency: str
    merchantId: str
    status: str
    riskScore: float
    sentAt: int = 0


class SensorReading(msgspec.Struct, frozen=True):
    """A value that a device measured, in `unit`; `batteryLevel` in percent."""

    eventId: str
    timestamp: str
    sensorId: str
    deviceType: str
    value: float
    unit: str
    location: Location
    batteryLevel: float
    sentAt: int = 0


class SystemMetric(msgspec.Struct, frozen=True):
    """A figure that psutil measured on this host."""

    eventId: str
    timestamp: str
    host: str
    metric: str
    value: float
    unit: str
    sentAt: int = 0


class User(msgspec.Struct, frozen=True):
    """Reference data about a user, in the compacted topic `users`; `tier` is "basic", "silver" or "gold"."""

    userId: str
    city: str
    country: str
    tier: str


class Merchant(msgspec.Struct, frozen=True):
    """Reference data about a merchant, in the compacted topic `merchants`; the online shop has no city and no place."""

    merchantId: str
    category: str
    city: str
    location: Location | None


class Alert(msgspec.Struct, frozen=True):
    """What a job found in events: `alert` names the pattern, `severity` is "low", "medium" or "high".

    `key` is the user or sensor, `timestamp` the event time at which the pattern was complete, `eventIds` the events
    of which it is made, `explanation` says it in words. `sentAt` is when the last of them was handed to the producer.
    """

    alert: str
    severity: str
    key: str
    timestamp: str
    eventIds: tuple[str, ...]
    explanation: str
    sentAt: int = 0


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that could not be used: why, where it is (`topic` is the short name), and its raw text."""

    reason: str
    topic: str
    partition: int
    offset: int
    value: str


PARTITIONS = 6


class TopicSpec(NamedTuple):
    """A topic of the course: its name before the namespace, whether it is compacted, whose clock stamps it, its parts.

    With `append_time` the broker stamps each record as it is written, so that append time minus `sentAt`
    is the latency of a result.
    """

    name: str
    compacted: bool = False
    append_time: bool = False
    partitions: int = PARTITIONS


EVENT_TYPES: dict[str, type[msgspec.Struct]] = {
    "user-events": UserEvent,
    "transactions": Transaction,
    "iot-sensors": SensorReading,
    "system-metrics": SystemMetric,
}

# One partition where nobody reads side by side: each more costs followers at every fetch, and a transaction a marker.
TOPICS = (
    *(TopicSpec(name) for name in EVENT_TYPES),
    TopicSpec("processed-events", append_time=True),
    TopicSpec("alerts", append_time=True),
    TopicSpec("metrics", append_time=True, partitions=1),
    TopicSpec("late-events", append_time=True, partitions=1),
    TopicSpec("dead-letters", append_time=True, partitions=1),
    TopicSpec("acknowledgements", append_time=True, partitions=1),
    TopicSpec("users", compacted=True),
    TopicSpec("merchants", compacted=True),
    TopicSpec("control", compacted=True, partitions=1),
)

INDEX_PREFIX = "course-"
REPLICATION_FACTOR = 3
MIN_INSYNC_REPLICAS = 2
RETENTION_DAYS = 7
