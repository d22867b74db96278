"""Say what the right windows of replayed events are: visits, counts, firings with late events, averages; and totals.

    >>> oracle_windows.visits(oracle.replay(shop), timedelta(seconds=30))["purchases"].sum()
    17

It shares no code with the jobs: pandas and plain loops over `oracle.replay` in the order of sending.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd

from kernel_lib import oracle


def visits(frame: pd.DataFrame, gap: timedelta) -> pd.DataFrame:
    """Return the visits of user events: `userId`, `startMs`, `endMs`, `events`, `pages` (distinct), `purchases`."""
    found = oracle.sessions(frame, gap)
    placed = pd.merge_asof(
        frame.sort_values("timeMs"),
        found.sort_values("startMs"),
        left_on="timeMs",
        right_on="startMs",
        by="userId",
    )
    told = placed.assign(bought=placed["eventType"] == "purchase").groupby(["userId", "startMs"], as_index=False)
    return found.merge(told.agg(pages=("page", "nunique"), purchases=("bought", "sum")), on=["userId", "startMs"])


class Counted(NamedTuple):
    """A window, and a key of which it has events."""

    start_ms: int
    end_ms: int
    key: str


def sliding_counts(frame: pd.DataFrame, size: timedelta, slide: timedelta, by: str = "eventType") -> Counter[Counted]:
    """Return how many events of each key fall into each sliding window that has any."""
    return Counter(_windowed(frame, size, slide, by))


def moving_averages(
    frame: pd.DataFrame, size: timedelta, slide: timedelta, by: str = "deviceType"
) -> dict[Counted, tuple[str, int, float, float, float]]:
    """Return unit, number of readings, lowest, highest and average value in each sliding window that has any."""
    readings: dict[Counted, list[float]] = {}
    units: dict[Counted, str] = {}
    repeated = size // slide
    each = zip(frame["value"].repeat(repeated), frame["unit"].repeat(repeated), strict=True)
    for window, (value, unit) in zip(_windowed(frame, size, slide, by), each, strict=True):
        readings.setdefault(window, []).append(value)
        units[window] = unit
    return {
        window: (units[window], len(values), min(values), max(values), math.fsum(values) / len(values))
        for window, values in readings.items()
    }


def _windowed(frame: pd.DataFrame, size: timedelta, slide: timedelta, by: str) -> Iterator[Counted]:
    """Yield for each event, in order, each sliding window that it is in; the size is a whole number of slides."""
    size_ms, slide_ms = (each // timedelta(milliseconds=1) for each in (size, slide))
    for time_ms, key in zip(frame["timeMs"].tolist(), frame[by], strict=True):
        last_ms = time_ms // slide_ms * slide_ms
        for start_ms in range(last_ms, last_ms - size_ms, -slide_ms):
            yield Counted(start_ms, start_ms + size_ms, key)


def business_counts(frame: pd.DataFrame, day: timedelta, by: str = "eventType") -> Counter[Counted]:
    """Return how many events of each key fall into opening hours, 9 to 17 o'clock, and nights of days so long."""
    day_ms = day // timedelta(milliseconds=1)
    days = np.arange(frame["timeMs"].min() // day_ms - 1, frame["timeMs"].max() // day_ms + 2)
    edges = np.sort(np.concatenate([days * day_ms + day_ms * hour // 24 for hour in (9, 17)]))
    after = np.searchsorted(edges, frame["timeMs"], side="right")
    return Counter(map(Counted, edges[after - 1].tolist(), edges[after].tolist(), frame[by]))


class Firing(NamedTuple):
    """What a window said: its `number`, from 1, why ("early", "on time" or "late"), and how many events it had."""

    start_ms: int
    end_ms: int
    key: str
    number: int
    firing: str
    events: int


def firings(
    frame: pd.DataFrame,
    *,
    size: timedelta,
    allowed_lateness: timedelta,
    out_of_orderness: timedelta,
    early_every_events: int = 0,
    by: str = "eventType",
) -> tuple[list[Firing], list[int]]:
    """Return all that tumbling windows say, sorted, and the numbers of the events that come too late for theirs.

    Exact for events of one partition, read in the order of `frame`, with a watermark after each; and drained.
    """
    size_ms, lateness_ms, bound_ms = (
        each // timedelta(milliseconds=1) for each in (size, allowed_lateness, out_of_orderness)
    )
    windows = _Windows(size_ms, lateness_ms, early_every_events)
    for number, time_ms, key in zip(frame["number"], frame["timeMs"].tolist(), frame[by], strict=True):
        windows.event(number, time_ms, key)
        windows.advance(time_ms - bound_ms)
    windows.advance(math.inf)
    return sorted(windows.said), sorted(windows.late)


class _Windows:
    """Tumbling windows as Flink keeps them, told event by event and watermark by watermark."""

    def __init__(self, size_ms: int, lateness_ms: int, early_every_events: int) -> None:
        self.said: list[Firing] = []
        self.late: list[int] = []
        self._size_ms, self._lateness_ms, self._early = size_ms, lateness_ms, early_every_events
        self._watermark = -math.inf
        self._open: set[Counted] = set()
        self._counts: Counter[Counted] = Counter()
        self._unheard: Counter[Counted] = Counter()
        self._numbers: Counter[Counted] = Counter()

    def event(self, number: int, time_ms: int, key: str) -> None:
        start_ms = time_ms // self._size_ms * self._size_ms
        window = Counted(start_ms, start_ms + self._size_ms, key)
        if window.end_ms - 1 + self._lateness_ms <= self._watermark:
            self.late.append(number)
            return
        self._counts[window] += 1
        self._unheard[window] += 1
        if window.end_ms - 1 <= self._watermark:
            self._say(window, "late")
            return
        self._open.add(window)
        if self._unheard[window] == self._early:
            self._say(window, "early")

    def advance(self, watermark: float) -> None:
        self._watermark = max(self._watermark, watermark)
        passed = {window for window in self._open if window.end_ms - 1 <= self._watermark}
        self._open -= passed
        for window in passed:
            self._say(window, "on time")

    def _say(self, window: Counted, why: str) -> None:
        self._numbers[window] += 1
        self._unheard[window] = 0
        self.said.append(Firing(*window, self._numbers[window], why, self._counts[window]))


def total_sales(frame: pd.DataFrame) -> dict[str, tuple[int, float]]:
    """Return the number and the sum of the completed payments in each currency."""
    completed = frame[frame["status"] == "completed"]
    cents = (completed["amount"] * 100).round().astype(int).groupby(completed["currency"])
    return {str(currency): (len(amounts), sum(amounts) / 100) for currency, amounts in cents}
