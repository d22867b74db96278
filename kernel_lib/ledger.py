"""Compare what was sent with what arrived: missing, duplicate, out of order, in doubt.

What was sent is a producer's run or a topic; where it arrives is a topic or an index.

    >>> book = ledger.Ledger(shop, "processed-events")
    >>> book.settle(timeout_seconds=30).text
    'processed-events: 6,000 sent, 6,000 received, 0 missing, 0 duplicate, 0 out of order'
    >>> ledger.Ledger(ledger.Topic("user-events"), ledger.Index("user-events"))
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from kernel_lib import runs
from kernel_lib.arrivals import Arrivals, IndexArrivals, TopicArrivals
from kernel_lib.errors import WaitTimeout
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings, load
from kernel_lib.tally import Bits, Tally, missing
from kernel_lib.waiting import wait_until

_CLOCKS_DIFFER_MS = 5_000


class Topic(NamedTuple):
    """A topic by its short name; what open and aborted transactions wrote counts only when not `committed`."""

    name: str
    committed: bool = True


class Index(NamedTuple):
    """An index of Elasticsearch by its short name."""

    name: str


@dataclass(frozen=True)
class Figures:
    """A run against a topic; `missing` were acknowledged and are not there, `strangers` are other runs' records.

    `in_flight` are neither acknowledged yet nor there. While the producer is `running`, some of the missing are only on
    their way. `out_of_order` arrived after a later event in the same partition; a second arrival counts as `duplicate`
    only.
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
    def not_there(self) -> int:
        """How many of `sent` were not received; without those that are refused or in doubt."""
        return self.missing + self.in_flight

    @property
    def text(self) -> str:
        """One line that says the same."""
        doubt = f", {self.in_doubt:,} in doubt" if self.in_doubt else ""
        refused = f", {self.refused:,} refused" if self.refused else ""
        missing = "on the way or missing" if self.running else "missing"
        return (
            f"{self.topic}: {self.sent:,} sent{refused}{doubt}, {self.received:,} received, "
            f"{self.not_there:,} {missing}, {self.duplicate:,} duplicate, {self.out_of_order:,} out of order"
        )


class Ledger:
    """Reads where events arrive, as it grows, and ticks off what was sent."""

    def __init__(
        self,
        sent: Producer | str | Topic,
        received: str | Topic | Index,
        *,
        settings: Settings | None = None,
    ) -> None:
        """`sent` is a producer, the id of a run, or a topic; `received` a topic, by its name also, or an index.

        Raises NotFound for an unknown run, topic or index, ServiceUnavailable, AuthenticationFailed.
        """
        settings = settings or load()
        self._sent = _InTopic(sent, settings) if isinstance(sent, Topic) else _ByRun(sent)
        self._received = _arrivals(received, settings, self._sent.since_ms)
        self._tally = Tally(self._sent.run)

    def update(self) -> Figures:
        """Read what has arrived since the last call, at most 100,000 records, and return the figures.

        Raises ServiceUnavailable if the service does not answer; a later call goes on where this one ended.
        """
        # What was sent is read first: nothing can arrive that is not yet known to be sent, except by a race.
        self._sent.read()
        self._tally.add(self._received.read())
        return self.figures()

    def settle(self, timeout_seconds: float = 30.0) -> Figures:
        """Update until all that was acknowledged has arrived and nothing is in flight, or the time is up."""
        with suppress(WaitTimeout):  # the figures say what is missing
            wait_until(self._complete, timeout_seconds, "every acknowledged event to arrive")
        return self.figures()

    def figures(self) -> Figures:
        """Return the figures without reading more."""
        sent, tally = self._sent.outcomes(), self._tally
        return Figures(
            self._received.name,
            sent=sent.sent,
            acknowledged=sent.acknowledged,
            refused=sent.refused,
            in_doubt=sent.in_doubt,
            in_flight=missing(sent.in_flight_bits, tally.bits()),
            received=tally.received,
            missing=missing(sent.acknowledged_bits, tally.bits()),
            running=sent.running,
            duplicate=tally.duplicate,
            out_of_order=tally.out_of_order if self._received.ordered else 0,
            strangers=tally.strangers,
        )

    def close(self) -> None:
        """Leave the topics."""
        self._sent.close()
        self._received.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _complete(self) -> bool:
        figures = self.update()
        return not (figures.missing or figures.in_flight)


class _Outcomes(NamedTuple):
    sent: int
    acknowledged: int
    refused: int
    in_doubt: int
    running: bool
    acknowledged_bits: dict[str, Bits]
    in_flight_bits: dict[str, Bits]


class _ByRun:
    """What a producer's run has sent."""

    def __init__(self, run: Producer | str) -> None:
        self._run = runs.Run.open(run if isinstance(run, str) else run.run)
        self.run = self._run.id
        self.since_ms = self._run.identity.started_ms - _CLOCKS_DIFFER_MS

    def read(self) -> None:
        """The process writes it down by itself."""

    def outcomes(self) -> _Outcomes:
        alive = self._run.alive
        states = self._run.states().copy()  # the producer goes on writing
        outcome = np.bincount(states, minlength=runs.WITHHELD + 1).tolist()
        is_open = (states == 0) | (states == runs.IN_FLIGHT)
        return _Outcomes(
            sent=sum(outcome) - outcome[runs.WITHHELD],
            acknowledged=outcome[runs.ACKNOWLEDGED],
            refused=outcome[runs.REFUSED],
            in_doubt=outcome[runs.IN_DOUBT] + (0 if alive else int(is_open.sum())),
            running=alive,
            acknowledged_bits={self.run: np.packbits(states == runs.ACKNOWLEDGED, bitorder="little")},
            in_flight_bits={self.run: np.packbits(is_open, bitorder="little")} if alive else {},
        )

    def close(self) -> None:
        """Nothing is held open."""


class _InTopic:
    """What a topic holds, of any run."""

    run, since_ms = "", 0

    def __init__(self, topic: Topic, settings: Settings) -> None:
        self._arrivals = TopicArrivals(topic.name, committed=topic.committed, settings=settings)
        self._tally = Tally()

    def read(self) -> None:
        self._tally.add(self._arrivals.read())

    def outcomes(self) -> _Outcomes:
        received, bits = self._tally.received, self._tally.bits()
        return _Outcomes(received, received, 0, 0, running=False, acknowledged_bits=bits, in_flight_bits={})

    def close(self) -> None:
        self._arrivals.close()


def _arrivals(received: str | Topic | Index, settings: Settings, since_ms: int) -> Arrivals:
    if isinstance(received, Index):
        return IndexArrivals(received.name, settings=settings)
    topic = Topic(received) if isinstance(received, str) else received
    return TopicArrivals(topic.name, since_ms=since_ms, committed=topic.committed, settings=settings)
