"""Own the record of which knobs held from which event on, so that a run can be replayed exactly.

Event time follows from it alone: from its index on, a setting spaces events evenly from its own time.

    >>> log = KnobLog([Knobs(index=0, at_ms=0, events_per_second=10)])
    >>> log.append(Knobs(index=5, at_ms=1000, events_per_second=1))
    >>> log.times_ms(3, 4).tolist()
    [300, 400, 1000, 2000]
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray


class Knobs(msgspec.Struct, frozen=True):
    """What holds from event `index` on, which happens at `at_ms` (event time, epoch)."""

    index: int
    at_ms: float
    events_per_second: float


class KnobLog:
    """Settings in order of index; of two with the same index the later one holds."""

    def __init__(self, entries: Iterable[Knobs] = ()) -> None:
        self._entries: list[Knobs] = []
        self._indices: list[int] = []
        for entry in entries:
            self.append(entry)

    @classmethod
    def read(cls, path: Path) -> KnobLog:
        """Read what `line` wrote; a last line cut short by a kill is left out."""
        lines = path.read_bytes().splitlines(keepends=True)
        return cls(msgspec.json.decode(line, type=Knobs) for line in lines if line.endswith(b"\n"))

    @staticmethod
    def line(entry: Knobs) -> bytes:
        """Return an entry as a line of a file."""
        return msgspec.json.encode(entry) + b"\n"

    @property
    def entries(self) -> tuple[Knobs, ...]:
        """All entries, oldest first."""
        return tuple(self._entries)

    @property
    def last(self) -> Knobs:
        """The setting in force now."""
        return self._entries[-1]

    def append(self, entry: Knobs) -> None:
        """Add a setting; raises ValueError if it would change events before the last entry."""
        if self._entries and entry.index < self.last.index:
            raise ValueError(f"knobs for event {entry.index} come after knobs for event {self.last.index}")
        self._entries.append(entry)
        self._indices.append(entry.index)

    def at(self, index: int) -> Knobs:
        """Return the setting that held for an event."""
        return self._entries[bisect_right(self._indices, index) - 1]

    def segments(self, first: int, count: int) -> Iterator[tuple[int, int, Knobs]]:
        """Split `count` events from `first` on into (first, count, knobs) of one setting each."""
        end = first + count
        while first < end:
            position = bisect_right(self._indices, first)
            stop = min(end, self._indices[position]) if position < len(self._indices) else end
            yield first, stop - first, self._entries[position - 1]
            first = stop

    def times_ms(self, first: int, count: int) -> NDArray[np.int64]:
        """Return the event times of `count` events from `first` on, epoch in whole milliseconds."""
        parts = [_times(start, size, knobs) for start, size, knobs in self.segments(first, count)]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def due(self, at_ms: float) -> int:
        """Return how many events, from index 0 on, have happened by `at_ms`."""
        if self.last.events_per_second <= 0 or at_ms < self.last.at_ms:
            return self.last.index
        return self.last.index + 1 + int((at_ms - self.last.at_ms) * self.last.events_per_second / 1000)


def _times(first: int, count: int, knobs: Knobs) -> NDArray[np.int64]:
    step_ms = 1000 / knobs.events_per_second if knobs.events_per_second > 0 else 0.0
    offsets = np.arange(first - knobs.index, first - knobs.index + count)
    times: NDArray[np.int64] = np.floor(knobs.at_ms + offsets * step_ms).astype(np.int64)
    return times
