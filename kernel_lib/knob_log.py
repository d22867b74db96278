"""Own the knobs of a producer, and the record of which held from which event on, so that a run can be replayed.

When an event is due follows from the log alone: from its index on, a setting spaces events evenly from its
own time. When it happened, by the event's own account, is that less a delay, which is a knob too.

    >>> log = KnobLog([Knobs(index=0, at_ms=0, events_per_second=10)])
    >>> log.append(Knobs(index=5, at_ms=1000, events_per_second=1))
    >>> log.due_ms(np.arange(3, 7)).tolist()
    [300, 400, 1000, 2000]
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from kernel_lib.errors import ConfigurationError

MOST_KEYS = 100_000
# The rate of a day goes up and down by this share of itself, in so many steps.
_RHYTHM, _STEPS_A_DAY = 0.6, 96

Indices = NDArray[np.int64]


class Knobs(msgspec.Struct, frozen=True, omit_defaults=True):
    """What holds from event `index` on, which is due at `at_ms` (epoch). Shares are between 0 and 1.

    `day_seconds`: the length of a day in which the rate rises and falls around `events_per_second`; 0 keeps it even.
    `keys`: how many users or devices take part; 0 leaves it to the stream. `hot_share`: the share of events that belong
    to the first of them. `delay_ms` (mean) and `jitter_ms` (standard deviation): how long before it is sent an event
    happened; `late_share` of them happened another `late_ms` earlier, give or take a half. `duplicate_share`: events
    that say again what one before them said. `fraud_share`, `anomaly_share`: events that belong to a planted truth.
    `malformed_share`: records that are no valid event. `silent_partitions`, `silent_keys`: whose events are withheld.
    """

    index: int
    at_ms: float
    events_per_second: float
    day_seconds: float = 0.0
    keys: int = 0
    hot_share: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    late_share: float = 0.0
    late_ms: float = 10_000.0
    duplicate_share: float = 0.0
    malformed_share: float = 0.0
    fraud_share: float = 0.0
    anomaly_share: float = 0.0
    silent_partitions: tuple[int, ...] = ()
    silent_keys: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Events per second from here on, with the time of day taken into account."""
        if self.day_seconds <= 0:
            return self.events_per_second
        return self.events_per_second * (1 + _RHYTHM * math.sin(2 * math.pi * self.at_ms / 1000 / self.day_seconds))

    @property
    def ends_ms(self) -> float:
        """When a producer notes its knobs anew, because the time of day has changed; never without a day."""
        return self.at_ms + self.day_seconds * 1000 / _STEPS_A_DAY if self.day_seconds > 0 else math.inf


NAMES = tuple(name for name in Knobs.__struct_fields__ if name not in ("index", "at_ms"))


def checked(values: Mapping[str, Any], known: Iterable[str] = NAMES) -> dict[str, Any]:
    """Return the values of knobs as they go into `Knobs`; raises ConfigurationError naming what is wrong."""
    allowed = sorted(known)
    for name in values:
        if name not in allowed:
            near = get_close_matches(name, allowed, n=1) or allowed
            raise ConfigurationError(
                f"This producer has no knob {name!r}.",
                cause=f"its knobs are {', '.join(allowed)}",
                remedy=f"set({near[0]}=...)",
            )
    return {name: _value(name, value) for name, value in values.items()}


def _value(name: str, value: Any) -> Any:
    valid, wanted, convert = _rule(name)
    try:
        converted = convert(value)
        if valid(converted):
            return converted
        problem = "out of range"
    except (TypeError, ValueError, OverflowError):
        problem = "of another kind"
    if name == "events_per_second":
        wanted += "; 0 pauses, a laptop sends up to about 100,000"
    raise ConfigurationError(
        f"A producer cannot have {name} = {value!r}.", cause=f"it is {problem}", remedy=f"give {wanted}"
    )


def _rule(name: str) -> tuple[Callable[[Any], bool], str, Callable[[Any], Any]]:
    if name.endswith("_share"):
        return lambda share: 0 <= share <= 1, "a share between 0 and 1", float
    if name == "keys":
        return (
            lambda keys: 0 <= keys <= MOST_KEYS,
            f"a whole number up to {MOST_KEYS:,}; 0 leaves it to the stream",
            int,
        )
    if name == "silent_partitions":
        return lambda numbers: min(numbers, default=0) >= 0, "a list of partition numbers", lambda v: tuple(map(int, v))
    if name == "silent_keys":
        return lambda keys: True, "a list of keys", _texts
    return lambda number: 0 <= number < math.inf, "a finite number, not below 0", float


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError("one text is no list of keys")
    return tuple(map(str, value))


class KnobLog:
    """The settings of one run in the order of their indices; of two for one index, the later one holds."""

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
        return self._entries[self._position(index)]

    def each(self, indices: Indices) -> Iterator[tuple[slice | NDArray[np.bool_], Knobs]]:
        """Split events, in any order, into those of one setting: yields which ones, and the setting."""
        first, last = self._position(int(indices.min())), self._position(int(indices.max()))
        if first == last:
            yield slice(None), self._entries[first]
            return
        positions = np.searchsorted(self._indices, indices, side="right") - 1
        for position in np.unique(positions).tolist():
            yield positions == position, self._entries[position]

    def due_ms(self, indices: Indices) -> Indices:
        """Return when events are due to be sent, epoch in whole milliseconds."""
        due = np.empty(len(indices), np.int64)
        if len(indices):
            for which, knobs in self.each(indices):
                step_ms = 1000 / knobs.rate if knobs.rate > 0 else 0.0
                due[which] = np.floor(knobs.at_ms + (indices[which] - knobs.index) * step_ms)
        return due

    def due(self, at_ms: float) -> int:
        """Return how many events, from index 0 on, are due by `at_ms`."""
        if self.last.rate <= 0 or at_ms < self.last.at_ms:
            return self.last.index
        return self.last.index + 1 + int((at_ms - self.last.at_ms) * self.last.rate / 1000)

    def _position(self, index: int) -> int:
        return max(0, bisect_right(self._indices, index) - 1)
