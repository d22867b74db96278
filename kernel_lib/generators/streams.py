"""Own what all seeded streams share: when events happen, and which come late, twice, malformed or not at all.

Event `i` is a pure function of seed, `i` and the knob log, so any stretch of a run can be made without the events
before it. `index` is the number of an event; `source` is the number of the event whose content it has: its own, or
an earlier one's for a planted duplicate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from kernel_lib.generators.malformed import KINDS as MALFORMED
from kernel_lib.generators.malformed import spoil
from kernel_lib.generators.partitioner import partition_of
from kernel_lib.generators.scramble import Dice
from kernel_lib.knob_log import Indices, KnobLog, Knobs
from kernel_lib.records import PARTITIONS

_FARTHEST_DUPLICATE = 64
_encode = msgspec.json.Encoder().encode
COMMON_KNOBS: tuple[str, ...] = ("events_per_second", "day_seconds", "silent_partitions", "silent_keys")
SEEDED_KNOBS: tuple[str, ...] = (
    *COMMON_KNOBS, "keys", "hot_share", "delay_ms", "jitter_ms", "late_share", "late_ms",
    "duplicate_share", "malformed_share",
)  # fmt: skip


@dataclass(frozen=True)
class Emission:
    """Records ready to send: values with their keys; those `withheld` are not sent. `types` indexes `event_types`."""

    values: list[bytes]
    keys: list[str]
    types: NDArray[np.int64]
    withheld: NDArray[np.bool_]


class Stream(Protocol):
    """A stream of events, numbered from 0; event times come from the knob log."""

    event_types: tuple[str, ...]
    knobs: tuple[str, ...]

    def emit(self, first: int, count: int, log: KnobLog, *, run: str, sent_at: int) -> Emission: ...


@dataclass(frozen=True)
class Batch:
    """Events as columns. `key`, `type` and `truth` are numbers; `columns` has what the stream adds, by name.

    `time_ms` is event time. `truth` is an index into the stream's `truths` (0: none), `episode` tells one planted truth
    of a kind from another, `step` counts within it. `malformed` is an index into `malformed.KINDS`.
    """

    index: Indices
    source: Indices
    time_ms: Indices
    late: NDArray[np.bool_]
    malformed: Indices
    withheld: NDArray[np.bool_]
    key: Indices
    type: Indices
    truth: Indices
    episode: Indices
    step: Indices
    columns: Mapping[str, NDArray[Any]]


class SeededStream:
    """A stream whose content follows from a seed; subclasses say what an event is."""

    event_types: tuple[str, ...]
    truths: ClassVar[tuple[str, ...]]
    number_field: ClassVar[str]
    knobs: tuple[str, ...] = SEEDED_KNOBS

    def __init__(self, seed: int = 1, *, partitions: int = PARTITIONS) -> None:
        self.dice = Dice(seed)
        self._partitions = partitions
        self._partition_table = lru_cache(maxsize=2)(self._partitions_of_keys)

    def content(self, index: Indices, time_ms: Indices, log: KnobLog, knobs: Knobs) -> dict[str, NDArray[Any]]:
        """Return `key`, `type`, `truth`, `episode`, `step`, `gone` and the stream's own columns, of one setting."""
        raise NotImplementedError

    def key_name(self, key: int) -> str:
        """Return the key of user or device number `key`."""
        raise NotImplementedError

    def fields(self, batch: Batch) -> dict[str, Sequence[Any]]:
        """Return the fields of the events, by their names on the wire, without eventId and sentAt."""
        raise NotImplementedError

    def events(self, batch: Batch, ids: Sequence[str], sent_at: int) -> list[Any]:
        """Return the events as Structs."""
        raise NotImplementedError

    def batch(self, first: int, count: int, log: KnobLog) -> Batch:
        """Return `count` events from index `first` on as columns."""
        index = np.arange(first, first + count)
        source, malformed = index.copy(), np.zeros(count, np.int64)
        for which, knobs in log.each(index) if count else ():
            source[which] = self._sources(index[which], knobs)
            malformed[which] = self._malformed(index[which], knobs)
        time_ms, late = log.due_ms(source), np.zeros(count, bool)
        parts: dict[str, NDArray[Any]] = {}
        for which, knobs in log.each(source) if count else ():
            late[which], delay_ms = self._delays(source[which], knobs)
            time_ms[which] -= delay_ms
            for name, values in self.content(source[which], time_ms[which], log, knobs).items():
                parts.setdefault(name, np.empty((count, *values.shape[1:]), values.dtype))[which] = values
        withheld = parts.pop("gone")
        for which, knobs in log.each(index) if count else ():
            withheld[which] |= self._silenced(parts["key"][which], knobs)
        shared = {name: parts.pop(name) for name in ("key", "type", "truth", "episode", "step")}
        return Batch(index, source, time_ms, late, malformed, withheld, **shared, columns=parts)

    def emit(self, first: int, count: int, log: KnobLog, *, run: str, sent_at: int) -> Emission:
        """Return `count` records from index `first` on; `run` and `sent_at` (epoch, ms) go into them as they are."""
        batch = self.batch(first, count, log)
        ids = [f"{run}-{number}" for number in range(first, first + count)]
        values = list(map(_encode, self.events(batch, ids, sent_at)))
        for at in np.flatnonzero(batch.malformed).tolist():
            values[at] = spoil(values[at], int(batch.malformed[at]), self.number_field)
        return Emission(values, [self.key_name(key) for key in batch.key.tolist()], batch.type, batch.withheld)

    def _sources(self, index: Indices, knobs: Knobs) -> Indices:
        if not knobs.duplicate_share:
            return index
        back = 1 + self.dice.below(_FARTHEST_DUPLICATE, "duplicate of", index)
        again = self.dice.share("duplicate", index) < knobs.duplicate_share
        # A duplicate repeats an original, never another duplicate.
        original = self.dice.share("duplicate", np.maximum(index - back, 0)) >= knobs.duplicate_share
        return np.where(again & original & (index >= back), index - back, index)

    def _malformed(self, index: Indices, knobs: Knobs) -> Indices:
        if not knobs.malformed_share:
            return np.zeros(len(index), np.int64)
        kind = 1 + self.dice.below(len(MALFORMED) - 1, "malformed kind", index)
        return np.where(self.dice.share("malformed", index) < knobs.malformed_share, kind, 0)

    def _delays(self, index: Indices, knobs: Knobs) -> tuple[NDArray[np.bool_], Indices]:
        if not (knobs.delay_ms or knobs.jitter_ms or knobs.late_share):
            return np.zeros(len(index), bool), np.zeros(len(index), np.int64)
        usual = np.maximum(0, knobs.delay_ms + knobs.jitter_ms * self.dice.normal("jitter", index))
        late = self.dice.share("late", index) < knobs.late_share
        extra = knobs.late_ms * (0.5 + self.dice.share("how late", index))
        return late, np.floor(usual + np.where(late, extra, 0)).astype(np.int64)

    def _silenced(self, key: Indices, knobs: Knobs) -> NDArray[np.bool_]:
        silent = np.zeros(len(key), bool)
        if knobs.silent_partitions:
            table = self._partition_table(1 << int(key.max()).bit_length())  # a power of two serves many batches
            silent |= np.isin(table[key], knobs.silent_partitions)
        if knobs.silent_keys:
            silent |= np.array([self.key_name(number) in knobs.silent_keys for number in key.tolist()], bool)
        return silent

    def _partitions_of_keys(self, keys: int) -> Indices:
        return np.array([partition_of(self.key_name(key).encode(), self._partitions) for key in range(keys)])


def no_truths(count: int) -> dict[str, NDArray[Any]]:
    """Return the columns of events that belong to no planted truth and are not withheld."""
    nothing = np.zeros(count, np.int64)
    return {"truth": nothing, "episode": nothing.copy(), "step": nothing.copy(), "gone": np.zeros(count, bool)}


def iso_stamps(times_ms: NDArray[np.int64]) -> list[str]:
    """Return epoch milliseconds as ISO-8601 in UTC with milliseconds."""
    distinct, which = np.unique(times_ms, return_inverse=True)  # many events share one at a high rate
    stamps = [stamp + "Z" for stamp in np.datetime_as_string(distinct.astype("datetime64[ms]"), unit="ms").tolist()]
    return list(map(stamps.__getitem__, which.tolist()))
