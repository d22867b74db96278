"""Read what has arrived in a topic or an index, each record once, in small steps.

>>> with closing(TopicArrivals("processed-events", settings=settings)) as source:
...     tally.add(source.read())
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from kernel_lib import indices, kafka_client, offset_bounds, topics
from kernel_lib.settings import Settings
from kernel_lib.tally import Arrival

_BATCH, _MOST_BATCHES = 5_000, 20


class Arrivals(Protocol):
    """Something that records or documents arrive in."""

    name: str
    ordered: bool

    def read(self) -> Iterator[Arrival]: ...

    def close(self) -> None: ...


class TopicArrivals:
    """The records of a topic from `since_ms` (epoch; 0 is the beginning) on. Raises NotFound, ServiceUnavailable."""

    ordered = True

    def __init__(self, topic: str, *, settings: Settings, since_ms: int = 0, committed: bool = True) -> None:
        self.name = topic
        self._settings = settings
        self._heard = kafka_client.Heard()
        extra = {
            "group.id": settings.named("ledger"),
            "enable.auto.commit": False,
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "fetch.wait.max.ms": 100,
        }
        self._consumer = Consumer(kafka_client.config(settings, self._heard, **extra))
        with kafka_client.translated(settings, self._heard, topic=topic):
            kafka_client.reach(self._consumer, settings, self._heard, topic=topic)
            # Ends before open transactions for a reader of committed records: it has yet to see what is in them.
            bounds = topics.offsets(topic, committed=committed, settings=settings)
            name = settings.named(topic)
            starts = offset_bounds.starts(self._consumer, name, bounds, since_ms)
            self._consumer.assign([TopicPartition(name, number, start) for number, start in starts.items()])

    def read(self) -> Iterator[Arrival]:
        """Yield what has arrived since the last call, at most 100,000 records.

        Raises ServiceUnavailable if no broker answers; a later call goes on where this one ended.
        """
        with kafka_client.translated(self._settings, self._heard, topic=self.name):
            for _ in range(_MOST_BATCHES):
                messages = self._consumer.consume(_BATCH, timeout=0.05)
                yield from map(_arrival, messages)
                if not messages:
                    self._heard.check_once(self._settings)
                    break

    def close(self) -> None:
        """Leave the topic."""
        self._consumer.close()


class IndexArrivals:
    """The documents of an index, in the order in which they were written last. Raises NotFound, ServiceUnavailable."""

    ordered = False

    def __init__(self, index: str, *, settings: Settings) -> None:
        self.name = f"index {index}"
        self._index, self._settings, self._after = index, settings, -1
        indices.count(index, settings=settings)

    def read(self) -> Iterator[Arrival]:
        """Yield the documents that were written since the last call, at most 100,000; raises ServiceUnavailable."""
        for _ in range(_MOST_BATCHES):
            written = indices.written_after(self._index, self._after, "eventId", size=_BATCH, settings=self._settings)
            for document in written:
                self._after = document.number
                yield Arrival(0, b'"eventId":"%s"' % document.value.encode(), rewritten=document.version > 1)
            if not written:
                break

    def close(self) -> None:
        """Nothing is held open."""


def _arrival(message: Message) -> Arrival:
    error = message.error()
    if error:
        raise KafkaException(error)
    value = message.value() or b""
    return Arrival(message.partition() or 0, value.encode() if isinstance(value, str) else value)
