"""Own what all seeded streams share: when events happen, and which come late, twice, malformed or not at all.

Event `i` is a pure function of seed, `i` and the knob log, so any stretch of a run can be made without the events
before it. `index` is the number of an event; `source` is the number of the event whose content it has: its own, or
an earlier one's for a planted duplicate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from kernel_lib.generators.json_texts import Column, fields, records
from kernel_lib.generators.malformed import KINDS as MALFORMED
from kernel_lib.generators.malformed import spoil
from kernel_lib.generators.partitioner import partition_of
from kernel_lib.generators.scramble import Dice
from kernel_lib.knob_log import MOST_KEYS, Indices, KnobLog, Knobs
from kernel_lib.records import PARTITIONS

_FARTHEST_DUPLICATE = 64
# Whoever asks for few events at a time gets them from a longer stretch that is made at once.
_FEW, _STRETCH = 64, 512
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


@dataclass(frozen=True)
class _Stretch:
    """Events from index `first` on, ready but for the moment at which they are sent, and on what they depend."""

    first: int
    run: str
    log: KnobLog
    last: Knobs
    batch: Batch
    drafts: list[bytes]
    keys: list[str]

    def holds(self, first: int, count: int, log: KnobLog, run: str) -> bool:
        """Whether events are among these; knobs that were added to the log since then make others of them."""
        inside = self.first <= first and first + count <= self.first + len(self.drafts)
        return inside and self.log is log and self.last is log.last and self.run == run


class SeededStream:
    """A stream whose content follows from a seed; subclasses say what an event is.

    `key_names` are the keys of users or devices, by number.
    """

    event_types: tuple[str, ...]
    key_names: NDArray[np.object_]
    truths: ClassVar[tuple[str, ...]]
    number_field: ClassVar[str]
    knobs: tuple[str, ...] = SEEDED_KNOBS

    def __init__(self, seed: int = 1, *, partitions: int = PARTITIONS) -> None:
        self.dice = Dice(seed)
        self._partitions = partitions
        self._partition_table = lru_cache(maxsize=2)(self._partitions_of_keys)
        self._stretch: _Stretch | None = None

    def content(self, index: Indices, time_ms: Indices, log: KnobLog, knobs: Knobs) -> dict[str, NDArray[Any]]:
        """Return `key`, `type`, `truth`, `episode`, `step`, `gone` and the stream's own columns, of one setting."""
        raise NotImplementedError

    def json(self, batch: Batch) -> list[Column]:
        """Return the fields of the events, in their order on the wire, without eventId and sentAt."""
        raise NotImplementedError

    def fields(self, batch: Batch) -> dict[str, list[Any]]:
        """Return the values of the events' fields by their names on the wire, without eventId and sentAt."""
        return fields(self.json(batch))

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
        stretch = self._stretch
        if not stretch or not stretch.holds(first, count, log, run):
            stretch = self._stretch = self._made(first, _STRETCH if count <= _FEW else count, log, run)
        which = slice(first - stretch.first, first - stretch.first + count)
        end = b"%d}" % sent_at
        ready = [draft + end for draft in stretch.drafts[which]]
        malformed = stretch.batch.malformed[which]
        for at in np.flatnonzero(malformed).tolist():
            ready[at] = spoil(ready[at], int(malformed[at]), self.number_field)
        return Emission(ready, stretch.keys[which], stretch.batch.type[which], stretch.batch.withheld[which])

    def _made(self, first: int, count: int, log: KnobLog, run: str) -> _Stretch:
        batch = self.batch(first, count, log)
        drafts = records(run, batch.index, self.json(batch))
        return _Stretch(first, run, log, log.last, batch, drafts, self.key_names[batch.key].tolist())

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
            # A power of two serves many batches.
            table = self._partition_table(min(MOST_KEYS, 1 << int(key.max()).bit_length()))
            silent |= np.isin(table[key], knobs.silent_partitions)
        if knobs.silent_keys:
            silent |= np.array([name in knobs.silent_keys for name in self.key_names[key]], bool)
        return silent

    def _partitions_of_keys(self, keys: int) -> Indices:
        return np.array([partition_of(name.encode(), self._partitions) for name in self.key_names[:keys]])


def no_truths(count: int) -> dict[str, NDArray[Any]]:
    """Return the columns of events that belong to no planted truth and are not withheld."""
    nothing = np.zeros(count, np.int64)
    return {"truth": nothing, "episode": nothing.copy(), "step": nothing.copy(), "gone": np.zeros(count, bool)}
