"""Say what the right answer is: replay a run from its seed and knob log, and compare with what a job counted.

    >>> sent = oracle.sent_by_window([shop], timedelta(seconds=1))
    >>> oracle.compare(oracle.window_counts(topics.read("metrics")), sent).text
    'counted equals sent: 6,000 events in 60 closed windows'
    >>> oracle.sessions(oracle.replay(shop), timedelta(seconds=30))

It shares no code with the jobs. Only acknowledged, valid events count as sent; a run with events in doubt cannot
be compared exactly, and `compare` does not pretend otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kernel_lib import generators, runs
from kernel_lib.errors import MalformedRecord
from kernel_lib.generators.malformed import KINDS as MALFORMED
from kernel_lib.generators.streams import Batch, SeededStream
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
    """Return how many valid events of each type a run sent and had acknowledged; raises NotFound for a measured one."""
    counts: Counter[str] = Counter()
    for _, types, names in _valid(run):
        counts.update(dict(zip(names, np.bincount(types, minlength=len(names)).tolist(), strict=True)))
    return +counts


def sent_by_window(producers: Iterable[Producer | str], window: timedelta) -> Counter[Window]:
    """Return how many acknowledged, valid events of each type fell into each tumbling window of event time."""
    counts: Counter[Window] = Counter()
    size_ms = window // timedelta(milliseconds=1)
    for run in producers:
        for times, types, names in _valid(run):
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


def replay(run: Producer | str, *, malformed: bool = False) -> pd.DataFrame:
    """Return what a run sent and had acknowledged, one row an event, in the order of sending.

    Columns: `number` (of the eventId), `timeMs` (event time, epoch), the fields of the event by their names, `late`,
    `repeats` (the number of the event that it repeats; its own otherwise), `truth` (the planted truth that it
    belongs to, or ""), `episode` and `step` within it, `malformed` (how, or ""). Malformed records are left out
    unless asked for: then their fields are those that were spoilt. Raises NotFound for a run whose events were
    measured.
    """
    parts = [_frame(stream, batch, acknowledged) for stream, batch, acknowledged in _replayed(run)]
    if not parts:
        return pd.DataFrame()
    frame = pd.concat(parts, ignore_index=True)
    return frame if malformed else frame[frame["malformed"] == ""].reset_index(drop=True)


def truths(run: Producer | str) -> pd.DataFrame:
    """Return the planted truths of a run, one row each, by time.

    Columns: `truth`, `key`, `episode`, `firstMs`, `lastMs` (event time, epoch), `numbers` (of the events), `steps`.
    A dropout has no events, because they were never sent: its numbers are those that are missing.
    """
    found = []
    for stream, batch, acknowledged in _replayed(run):
        # An event that says again what another one said is no truth of its own; one that was not sent may be a dropout.
        chosen = (batch.truth > 0) & (batch.source == batch.index) & (batch.malformed == 0)
        chosen &= acknowledged | np.array(["dropout" in name for name in stream.truths])[batch.truth]
        found.append(_truth_rows(stream, batch, chosen))
    rows = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=_TRUTH_COLUMNS)
    grouped = rows.groupby(["truth", "key", "episode"], as_index=False, sort=False).agg(
        firstMs=("timeMs", "min"), lastMs=("timeMs", "max"), numbers=("number", tuple), steps=("step", tuple)
    )
    return grouped.sort_values(["firstMs", "truth", "key"], ignore_index=True)


def sessions(frame: pd.DataFrame, gap: timedelta, *, by: str = "userId") -> pd.DataFrame:
    """Return the session windows of replayed events: `by`, `startMs`, `endMs` (last event plus gap), `events`.

    As in Flink, two events of one key belong together when at most `gap` lies between them: windows that touch merge.
    """
    gap_ms = gap // timedelta(milliseconds=1)
    ordered = frame.sort_values([by, "timeMs"], kind="stable")
    apart = ordered.groupby(by)["timeMs"].diff().fillna(gap_ms + 1) > gap_ms
    grouped = ordered.groupby([ordered[by], apart.cumsum().rename("session")], sort=False)["timeMs"]
    found = grouped.agg(startMs="min", endMs="max", events="size").reset_index()
    found["endMs"] += gap_ms
    return found.drop(columns="session").sort_values(["startMs", by], ignore_index=True)


def interval_join(
    left: pd.DataFrame, right: pd.DataFrame, *, earliest: timedelta, latest: timedelta, on: str = "userId"
) -> pd.DataFrame:
    """Return the pairs of one key in which the right event is from `earliest` to `latest` after the left one.

    Both bounds are included. Columns: `on`, `leftNumber`, `rightNumber`, `afterMs`.
    """
    columns = [on, "number", "timeMs"]
    pairs = left[columns].merge(right[columns], on=on, suffixes=("Left", "Right"))
    pairs["afterMs"] = pairs["timeMsRight"] - pairs["timeMsLeft"]
    low, high = (bound // timedelta(milliseconds=1) for bound in (earliest, latest))
    kept = pairs[pairs["afterMs"].between(low, high)].rename(
        columns={"numberLeft": "leftNumber", "numberRight": "rightNumber"}
    )
    return kept[[on, "leftNumber", "rightNumber", "afterMs"]].sort_values(
        ["leftNumber", "rightNumber"], ignore_index=True
    )


_TRUTH_COLUMNS = ["truth", "key", "episode", "timeMs", "number", "step"]


def _truth_rows(stream: SeededStream, batch: Batch, chosen: NDArray[np.bool_]) -> pd.DataFrame:
    keys = stream.key_names[batch.key[chosen]].tolist()
    names = map(stream.truths.__getitem__, batch.truth[chosen].tolist())
    numbers = (column[chosen] for column in (batch.episode, batch.time_ms, batch.index, batch.step))
    return pd.DataFrame(dict(zip(_TRUTH_COLUMNS, (list(names), keys, *numbers), strict=True)))


def _frame(stream: SeededStream, batch: Batch, acknowledged: NDArray[np.bool_]) -> pd.DataFrame:
    columns = {
        "number": batch.index,
        "timeMs": batch.time_ms,
        **stream.fields(batch),
        "late": batch.late,
        "repeats": batch.source,
        "truth": np.array(stream.truths)[batch.truth],
        "episode": batch.episode,
        "step": batch.step,
        "malformed": np.array(MALFORMED)[batch.malformed],
    }
    return pd.DataFrame(columns)[acknowledged]


def _valid(run: Producer | str) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]]:
    """Yield event times, types and the names of the types, of acknowledged events that are not malformed."""
    for stream, batch, acknowledged in _replayed(run):
        valid = acknowledged & (batch.malformed == 0)
        yield batch.time_ms[valid], batch.type[valid], stream.event_types


def _replayed(run: Producer | str) -> Iterator[tuple[SeededStream, Batch, NDArray[np.bool_]]]:
    """Yield the events of a run in slices, and which of them were acknowledged."""
    folder = runs.Run.open(run if isinstance(run, str) else run.run)
    identity, log, states = folder.identity, folder.knob_log(), folder.states()
    stream = generators.seeded(identity.topic, identity.seed, identity.partitions)
    for first in range(0, len(states), _SLICE):
        outcome = np.asarray(states[first : first + _SLICE])
        yield stream, stream.batch(first, len(outcome), log), outcome == runs.ACKNOWLEDGED
