"""Compare what a producer run sent with what a topic holds: missing, duplicate, out of order.

Events are known by run and a dense number, so the ledger is a bitmap, not a set: a million events
take an eighth of a megabyte.

    >>> book = ledger.Ledger(shop, "processed-events")
    >>> book.settle(timeout_seconds=30).text
    'processed-events: 6,000 sent, 6,000 received, 0 missing, 0 duplicate, 0 out of order'
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from numpy.typing import NDArray

from kernel_lib import kafka_client, runs, topics
from kernel_lib.errors import WaitTimeout
from kernel_lib.kafka_client import ANSWER_SECONDS, Record
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until

_CLOCKS_DIFFER_MS = 5_000
_BATCH, _MOST_BATCHES = 5_000, 20
_SLICE = 1 << 20


@dataclass(frozen=True)
class Figures:
    """A run against a topic; `missing` were acknowledged and are not there, `strangers` are other runs' records.

    While the producer is `running`, some of the missing are only on their way. `out_of_order` arrived after a later
    event in the same partition; a second arrival counts as `duplicate` only.
    """

    topic: str
    sent: int
    acknowledged: int
    refused: int
    in_doubt: int
    in_flight: int
    received: int
    missing: int
    duplicate: int
    out_of_order: int
    strangers: int
    running: bool = False

    @property
    def exact(self) -> bool:
        """Whether every acknowledged event is there once."""
        return not (self.missing or self.duplicate or self.in_flight)

    @property
    def text(self) -> str:
        """One line that says the same."""
        doubt = f", {self.in_doubt:,} in doubt" if self.in_doubt else ""
        refused = f", {self.refused:,} refused" if self.refused else ""
        missing = "on the way or missing" if self.running else "missing"
        return (
            f"{self.topic}: {self.sent:,} sent{refused}{doubt}, {self.received:,} received, "
            f"{self.missing:,} {missing}, {self.duplicate:,} duplicate, {self.out_of_order:,} out of order"
        )


class Ledger:
    """Reads a topic as it grows and ticks off the events of one run."""

    def __init__(
        self, run: Producer | str, topic: str, *, committed: bool = True, settings: Settings | None = None
    ) -> None:
        self._run = runs.Run.open(run if isinstance(run, str) else run.run)
        self._settings = settings or load()
        self._topic = topic
        self._tally = Tally(self._run.id)
        self._heard = kafka_client.Heard()
        extra = {
            "group.id": self._settings.named("ledger"),
            "enable.auto.commit": False,
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "fetch.wait.max.ms": 100,
        }
        self._consumer = Consumer(kafka_client.config(self._settings, self._heard, **extra))
        with kafka_client.translated(self._settings, self._heard, topic=topic):
            kafka_client.reach(self._consumer, self._settings, self._heard, topic=topic)
            self._consumer.assign(self._beginning())

    def update(self) -> Figures:
        """Read what has arrived since the last call, at most 100,000 records, and return the figures.

        Raises ServiceUnavailable if no broker answers; a later call goes on where this one ended.
        """
        with kafka_client.translated(self._settings, self._heard, topic=self._topic):
            for _ in range(_MOST_BATCHES):
                messages = self._consumer.consume(_BATCH, timeout=0.05)
                self._tally.add(_checked(message) for message in messages)
                if not messages:
                    self._heard.check_once(self._settings)
                    break
        return self.figures()

    def settle(self, timeout_seconds: float = 30.0) -> Figures:
        """Update until every acknowledged event has arrived and none is in flight, or the time is up."""
        with suppress(WaitTimeout):  # the figures say what is missing
            wait_until(self._complete, timeout_seconds, "every acknowledged event to arrive")
        return self.figures()

    def figures(self) -> Figures:
        """Return the figures without reading more."""
        states, tally = self._run.states(), self._tally
        outcome = np.bincount(states, minlength=runs.WITHHELD + 1)
        open_sends = int(outcome[0] + outcome[runs.IN_FLIGHT])
        alive = self._run.alive
        return Figures(
            self._topic,
            sent=len(states) - int(outcome[runs.WITHHELD]),
            acknowledged=int(outcome[runs.ACKNOWLEDGED]),
            refused=int(outcome[runs.REFUSED]),
            in_doubt=int(outcome[runs.IN_DOUBT]) + (0 if alive else open_sends),
            in_flight=open_sends if alive else 0,
            received=tally.received,
            missing=tally.missing(states),
            duplicate=tally.duplicate,
            out_of_order=tally.out_of_order,
            strangers=tally.strangers,
            running=alive,
        )

    def close(self) -> None:
        """Leave the topic."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _complete(self) -> bool:
        figures = self.update()
        return not (figures.missing or figures.in_flight)

    def _beginning(self) -> list[TopicPartition]:
        name = self._settings.named(self._topic)
        bounds = topics.offsets(self._topic, committed=False, settings=self._settings)
        since_ms = self._run.identity.started_ms - _CLOCKS_DIFFER_MS
        found = self._consumer.offsets_for_times([TopicPartition(name, n, since_ms) for n in bounds], ANSWER_SECONDS)
        starts = {place.partition: place.offset for place in found}
        # Nothing that young yet: begin at the end as it was before asking, so that nothing is passed over.
        return [TopicPartition(name, n, starts[n] if starts[n] >= 0 else high) for n, (_, high) in bounds.items()]


class Tally:
    """Ticks off numbers in a bitmap: which arrived, again, or after a later one of their partition."""

    def __init__(self, run: str) -> None:
        self._number = re.compile(rb'"eventId"\s*:\s*"' + re.escape(run.encode()) + rb'-(\d+)"')
        self._bits = np.zeros(1 << 12, np.uint8)
        self._latest: dict[int, int] = {}
        self.received = self.duplicate = self.out_of_order = self.strangers = 0

    def add(self, records: Iterable[tuple[int, bytes]]) -> None:
        """Take (partition, value) pairs in the order of their arrival."""
        numbers: dict[int, list[int]] = {}
        for partition, value in records:
            match = self._number.search(value)
            if match:
                numbers.setdefault(partition, []).append(int(match[1]))
            else:
                self.strangers += 1
        for partition, arrived in numbers.items():
            self._tick(partition, np.array(arrived, np.int64))

    def missing(self, states: NDArray[np.uint8]) -> int:
        """Count the events that were acknowledged and have not arrived."""
        self._make_room(len(states))
        missing = 0
        for first in range(0, len(states), _SLICE):
            acknowledged = states[first : first + _SLICE] == runs.ACKNOWLEDGED
            bits = self._bits[first // 8 : (first + _SLICE) // 8]
            arrived = np.unpackbits(bits, count=len(acknowledged), bitorder="little")
            missing += int(np.count_nonzero(acknowledged & (arrived == 0)))
        return missing

    def _tick(self, partition: int, arrived: NDArray[np.int64]) -> None:
        self._make_room(int(arrived.max()) + 1)
        place, bit = arrived >> 3, (1 << (arrived & 7)).astype(np.uint8)
        first = np.zeros(len(arrived), bool)
        first[np.unique(arrived, return_index=True)[1]] = True
        first &= (self._bits[place] & bit) == 0
        np.bitwise_or.at(self._bits, place, bit)
        latest = np.maximum.accumulate(np.concatenate(([self._latest.get(partition, -1)], arrived)))
        self._latest[partition] = int(latest[-1])
        self.received += int(np.count_nonzero(first))
        self.duplicate += int(np.count_nonzero(~first))
        self.out_of_order += int(np.count_nonzero(first & (arrived < latest[:-1])))

    def _make_room(self, events: int) -> None:
        if events > 8 * len(self._bits):
            grown = np.zeros(max(2 * len(self._bits), events // 8 + 1), np.uint8)
            grown[: len(self._bits)] = self._bits
            self._bits = grown


def _checked(message: Message) -> tuple[int, bytes]:
    error = message.error()
    if error:
        raise KafkaException(error)
    record = Record.from_message(message)
    return record.partition, record.value or b""
