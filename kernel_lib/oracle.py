"""Say what the right answer is: replay a run from its seed and knob log, and compare with what a job counted.

    >>> sent = oracle.sent_by_window([shop], timedelta(seconds=1))
    >>> oracle.compare(oracle.window_counts(topics.read("metrics")), sent).text
    'counted equals sent: 6,000 events in 60 closed windows'

It shares no code with the jobs. Only acknowledged events count as sent; a run with events in doubt cannot
be compared exactly, and `compare` does not pretend otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernel_lib import generators, runs
from kernel_lib.errors import MalformedRecord
from kernel_lib.kafka_client import Record
from kernel_lib.producer import Producer

_SLICE = 1 << 16


class Window(NamedTuple):
    """A window and an event type; `start_ms` is the epoch."""

    start_ms: int
    event_type: str


class Difference(NamedTuple):
    """A window in which the job's count is not what was sent."""

    window: Window
    counted: int
    sent: int


@dataclass(frozen=True)
class Comparison:
    """Counted against sent, over the windows that were closed and in which the runs sent."""

    windows: int
    counted: Counter[str]
    sent: Counter[str]
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether windows were closed, and each holds what was sent."""
        return self.windows > 0 and not self.differences

    @property
    def text(self) -> str:
        """One line that says the same."""
        if not self.windows:
            return "no window is closed yet"
        if self.equal:
            return f"counted equals sent: {self.sent.total():,} events in {self.windows:,} closed windows"
        worst = max(self.differences, key=lambda each: abs(each.counted - each.sent))
        return (
            f"counted {self.counted.total():,}, sent {self.sent.total():,}: {len(self.differences):,} counts of "
            f"{self.windows:,} closed windows differ, most {worst.window.event_type} with {worst.counted:,} "
            f"counted and {worst.sent:,} sent"
        )


def sent_by_type(run: Producer | str) -> Counter[str]:
    """Return how many events of each type a run sent and had acknowledged."""
    counts: Counter[str] = Counter()
    for _, types, names in _replay(run):
        counts.update(dict(zip(names, np.bincount(types, minlength=len(names)).tolist(), strict=True)))
    return +counts


def sent_by_window(producers: Iterable[Producer | str], window: timedelta) -> Counter[Window]:
    """Return how many acknowledged events of each type fell into each tumbling window of event time."""
    counts: Counter[Window] = Counter()
    size_ms = window // timedelta(milliseconds=1)
    for run in producers:
        for times, types, names in _replay(run):
            pairs, sizes = np.unique(np.stack([times // size_ms * size_ms, types]), axis=1, return_counts=True)
            for start, kind, size in zip(*pairs.tolist(), sizes.tolist(), strict=True):
                counts[Window(start, names[kind])] += size
    return counts


def window_counts(records: Iterable[Record]) -> Counter[Window]:
    """Add up the records of a job that counts events by window and type; raises MalformedRecord."""
    counts: Counter[Window] = Counter()
    for record in records:
        row = record.json()
        try:
            start = datetime.fromisoformat(row["windowStart"])
            counts[Window(round(start.timestamp() * 1000), row["eventType"])] += row["count"]
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedRecord(
                f"Record {record.offset} of {record.topic}, partition {record.partition}, is no count: {row!r:.120}",
                cause=repr(error),
                remedy="read the topic that the counting job writes, `metrics`",
            ) from error
    return counts


def compare(counted: Mapping[Window, int], sent: Mapping[Window, int], *, drained: bool = False) -> Comparison:
    """Compare window by window, up to the one before the latest counted: later ones may still be open.

    After `jobs.drain` say `drained`: then every window is compared. Windows from before or after the runs are left
    out; within them, every event of the topic must be the runs'.
    """
    if not counted or not sent:
        return Comparison(0, Counter(), Counter(), ())
    first, last = min(window.start_ms for window in sent), max(window.start_ms for window in sent)
    if not drained:
        last = min(last, max(window.start_ms for window in counted) - 1)
    ours = Counter({window: count for window, count in counted.items() if first <= window.start_ms <= last})
    truth = Counter({window: count for window, count in sent.items() if first <= window.start_ms <= last})
    differences = (
        Difference(window, ours[window], truth[window])
        for window in sorted({*ours, *truth})
        if ours[window] != truth[window]
    )
    starts = {window.start_ms for window in truth}
    return Comparison(len(starts), _by_type(ours), _by_type(truth), tuple(differences))


def _by_type(counts: Mapping[Window, int]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for window, count in counts.items():
        totals[window.event_type] += count
    return totals


def _replay(run: Producer | str) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]]:
    """Yield event times, types and the names of the types, of acknowledged events."""
    folder = runs.Run.open(run if isinstance(run, str) else run.run)
    identity, log, states = folder.identity, folder.knob_log(), folder.states()
    stream = generators.stream(identity.topic, identity.seed)
    for first in range(0, len(states), _SLICE):
        acknowledged = states[first : first + _SLICE] == runs.ACKNOWLEDGED
        size = len(acknowledged)
        times, types = log.times_ms(first, size), stream.types(first, size, log)
        yield times[acknowledged], types[acknowledged], stream.event_types
