"""Draw when events happened against when they arrived, with the watermark that the job itself reports.

Question: how far has event time come, and which events are too late for it? On the dashed diagonal an event arrives
as it happens; the further below, the later. Under the stairs of the watermark a window may already be closed.

Fault that changes it: silence a partition, and the watermark stands still until the partition counts as idle.
    before  "The watermark is at 12:00:05 UTC, 1.4 s behind the clock (Flink's figure, read 0.3 s ago). None of ..."
    then    "The watermark stands at 12:00:09 UTC since 4 s: it waits for partition 2. ..."
    at last "The watermark is at 12:00:31 UTC, 1.2 s behind the clock; it no longer waits for partition 2 (...). ..."

    >>> plots.EventTime(live.TopicTail("user-events"), job)
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import live, task_metrics, timestamps
from kernel_lib.job import Job
from kernel_lib.kafka_client import Record
from kernel_lib.plots import look
from kernel_lib.plots.view import View, first_reason, no_data_since, read_ago, stale_because
from kernel_lib.task_metrics import Reading

SECONDS_SHOWN = 30
SECONDS_BELOW = 12
MOST_POINTS = 1500
MOST_NEW_POINTS = 20
READ_SECONDS = 0.5
QUIET_AFTER_SECONDS = 6.0
STANDS_AFTER_SECONDS = 2.5
LEFT_BEHIND_MS = 2_000
Columns = dict[str, Any]


class Point(NamedTuple):
    """An event: when Kafka got it and when it happened (epoch ms), its partition, and whether it came too late."""

    arrived_ms: float
    happened_ms: float
    partition: int
    kind: str
    late: bool


class Progress(NamedTuple):
    """What the job reported at a time (epoch ms): its watermark and those of the partitions, None before the first."""

    at_ms: float
    watermark_ms: int | None
    partitions_ms: dict[int, int]


def points(records: Sequence[Record], progress: Sequence[Progress]) -> list[Point]:
    """Return the events among the records; late is what had happened before the last watermark that was read by then.

    The job's own watermark is never behind what was read of it, so that what is called late here is late.
    """
    found = []
    for record, happened_ms, kind in timestamps.stamped(records):
        known = next((p.watermark_ms for p in reversed(progress) if p.at_ms <= record.timestamp_ms), None)
        late = known is not None and happened_ms < known
        found.append(Point(record.timestamp_ms, happened_ms, record.partition, kind, late))
    return found


def thinned(fresh: Sequence[Point], most: int) -> list[Point]:
    """Return all late points, and of the others as many as there is room for, evenly chosen."""
    late = [point for point in fresh if point.late]
    timely = [point for point in fresh if not point.late]
    return late + timely[:: max(1, -(-len(timely) // most))]


def point_columns(shown: Sequence[Point]) -> Columns:
    """Return one row a point."""
    return {
        "arrived": np.array([p.arrived_ms for p in shown]),
        "happened": np.array([p.happened_ms for p in shown]),
        "delay": np.array([(p.arrived_ms - p.happened_ms) / 1000 for p in shown]),
        "partition": np.array([p.partition for p in shown]),
        "kind": [p.kind for p in shown],
        "verdict": ["behind the watermark" if p.late else "in time" for p in shown],
    }


def stair_columns(progress: Sequence[Progress], now_ms: float) -> Columns:
    """Return the watermark as stairs up to now: one line for each run of readings that have one.

    A job that takes another's place has none at first.
    """
    columns: Columns = {"at": [], "watermark": []}
    for known, each in groupby(progress, key=lambda p: p.watermark_ms is not None):
        readings = list(each)
        if known:
            until_ms = now_ms if readings[-1] is progress[-1] else readings[-1].at_ms
            at, marks = _stairs([p.at_ms for p in readings], [p.watermark_ms for p in readings], until_ms)
            columns["at"].append(at)
            columns["watermark"].append(marks)
    return columns


def partition_columns(progress: Sequence[Progress], now_ms: float) -> Columns:
    """Return one line a partition, as stairs that a multi-line can draw."""
    numbers = sorted({number for p in progress for number in p.partitions_ms})
    columns: Columns = {"partition": numbers, "at": [], "watermark": []}
    for number in numbers:
        known = [p for p in progress if number in p.partitions_ms]
        at, marks = _stairs([p.at_ms for p in known], [p.partitions_ms[number] for p in known], now_ms)
        columns["at"].append(at)
        columns["watermark"].append(marks)
    return columns


def _stairs(at_ms: Sequence[float], marks_ms: Sequence[float | None], until_ms: float) -> tuple[Any, Any]:
    """Return the corners of stairs: each mark holds up to the next one's time, the last `until_ms`."""
    return np.repeat([*at_ms, until_ms], 2)[1:-1], np.repeat(np.array(marks_ms, dtype=float), 2)


def waited_for(progress: Progress) -> list[int]:
    """Return the partitions whose watermark is the overall one while others have gone on."""
    marks, overall = progress.partitions_ms, progress.watermark_ms
    if overall is None or not marks or max(marks.values()) - overall < LEFT_BEHIND_MS:
        return []
    return sorted(number for number, mark in marks.items() if abs(mark - overall) < LEFT_BEHIND_MS / 2)


def left_behind(progress: Progress) -> list[int]:
    """Return the partitions that the overall watermark has passed: idle ones, for which it does not wait."""
    overall = progress.watermark_ms
    return sorted(n for n, mark in progress.partitions_ms.items() if overall and overall - mark > LEFT_BEHIND_MS)


def standing_seconds(progress: Sequence[Progress]) -> float:
    """Return for how long, by the readings, the watermark has not moved."""
    newest = progress[-1]
    moved = [p.at_ms for p in progress if p.watermark_ms != newest.watermark_ms]
    since = moved[-1] if moved else progress[0].at_ms
    return (newest.at_ms - since) / 1000


def watermark_sentence(progress: Sequence[Progress], now: float) -> str:
    """Return where the watermark is at `now` (epoch s), and for which partitions it waits or does not."""
    newest = progress[-1] if progress else None
    if newest is None or newest.watermark_ms is None:
        return "The job has reported no watermark yet."
    clock = live.clock_time(newest.watermark_ms / 1000)
    stands = standing_seconds(progress)
    if stands >= STANDS_AFTER_SECONDS:
        waits = waited_for(newest)
        why = f": it waits for {partition_words(waits)}" if waits else ""
        return f"The watermark stands at {clock} since {stands:.0f} s{why}."
    passed = left_behind(newest)
    rest = f"; it no longer waits for {partition_words(passed)}" if passed else ""
    behind = (newest.at_ms - newest.watermark_ms) / 1000
    read = read_ago(newest.at_ms / 1000, now)
    return f"The watermark is at {clock}, {behind:.1f} s behind the clock{rest} (Flink's figure, {read})."


def partition_words(numbers: Sequence[int]) -> str:
    """Return "partition 2" or "partitions 2, 4"."""
    return f"partition{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


class EventTime(View):
    """Event time against arrival over the last half minute, with the job's watermark."""

    def __init__(
        self,
        tail: live.TopicTail,
        job: Job,
        *,
        because: Callable[[], str] | None = None,
        name: str = "event time",
    ) -> None:
        self.tail = tail
        read = task_metrics.Reader(job, task_metrics.WATERMARKS, task_metrics.PARTITION_WATERMARKS)
        self.poller: live.Poller[Reading] = live.Poller(read, every_seconds=READ_SECONDS)
        self._because = because or (lambda: "no event arrives")
        self._progress: deque[Progress] = deque(maxlen=int(SECONDS_SHOWN / READ_SECONDS * 1.2))
        self._points: deque[Point] = deque(maxlen=MOST_POINTS)
        self._tallies: deque[tuple[float, int, int]] = deque()
        self._reading: Reading | None = None
        self.late = ColumnDataSource(point_columns([]))
        self.stairs = ColumnDataSource(stair_columns([], 0))
        self.partitions = ColumnDataSource(partition_columns([], 0))
        self.labels = ColumnDataSource({"x": [], "y": [], "text": [], "colour": []})
        self.diagonal = ColumnDataSource({"at": [], "floor": []})
        source = ColumnDataSource(point_columns([]))
        title = f"Event time against arrival, with the watermark of {job.name}"
        super().__init__(self._figure(source), source, title=title, name=name, reads=[tail, self.poller])

    def draw(self) -> str:
        now_ms = time.time() * 1000
        self._read_progress()
        self._read_events(now_ms)
        self._show(now_ms)
        quiet = time.time() - (self.tail.last_record_at or 0) > QUIET_AFTER_SECONDS
        self.quiet_because = first_reason(self.tail.problem, stale_because(self.poller), self._because if quiet else "")
        if quiet or self.quiet_because:
            words = no_data_since(self.tail.last_record_at, self.quiet_because)
            return f"{words} {watermark_sentence(self._progress, now_ms / 1000)}"
        return f"{watermark_sentence(self._progress, now_ms / 1000)} {self._late_sentence()}"

    def _read_progress(self) -> None:
        reading = self.poller.poll()
        if reading is not None and reading is not self._reading:
            self._reading = reading
            marks = reading.partition_watermarks_ms
            self._progress.append(Progress(reading.at * 1000, reading.watermark_ms, marks))

    def _read_events(self, now_ms: float) -> None:
        fresh = points(self.tail.poll(), self._progress)
        if fresh:
            self._tallies.append((now_ms, len(fresh), sum(point.late for point in fresh)))
            self._points.extend(thinned(fresh, MOST_NEW_POINTS))
        while self._tallies and self._tallies[0][0] < now_ms - SECONDS_SHOWN * 1000:
            self._tallies.popleft()

    def _late_sentence(self) -> str:
        arrived, late = (sum(tally[i] for tally in self._tallies) for i in (1, 2))
        which = f"{late:,}" if late else "None"
        return f"{which} of the {arrived:,} events of the last {SECONDS_SHOWN} s came behind it."

    def _show(self, now_ms: float) -> None:
        since = now_ms - SECONDS_SHOWN * 1000
        shown = [point for point in self._points if point.arrived_ms >= since]
        self.source.data = point_columns([point for point in shown if not point.late])
        self.late.data = point_columns([point for point in shown if point.late])
        self.stairs.data = stair_columns(self._progress, now_ms)
        self.partitions.data = partition_columns(self._progress, now_ms)
        self.root.x_range.update(start=since, end=now_ms + SECONDS_SHOWN * 130)
        self.root.y_range.update(start=since - SECONDS_BELOW * 1000, end=now_ms + 2000)
        self.diagonal.data = {"at": [since, now_ms], "floor": [since - SECONDS_BELOW * 1000] * 2}
        self._label(now_ms)

    def _label(self, now_ms: float) -> None:
        ends = [(now_ms, "no delay")]
        newest = self._progress[-1].watermark_ms if self._progress else None
        if newest is not None:
            ends.append((min(newest, now_ms - 2600), "watermark"))  # not onto the other label
        y, text = zip(*ends, strict=True)
        self.labels.data = {"x": [now_ms] * len(ends), "y": list(y), "text": list(text)}

    def _figure(self, source: ColumnDataSource) -> Any:
        tips = [("event", "@kind in partition @partition"), ("delay", "@delay{0.0} s, @verdict")]
        tips += [("happened", "@happened{%H:%M:%S.%3N}"), ("arrived", "@arrived{%H:%M:%S.%3N}")]
        hover = HoverTool(tooltips=tips, formatters={"@happened": "datetime", "@arrived": "datetime"})
        plot = look.figure(
            title_of_x="arrived in Kafka (UTC)", title_of_y="happened (UTC)", height=380, hover=hover,
            x_axis_type="datetime", y_axis_type="datetime",
            x_range=Range1d(start=0, end=1), y_range=Range1d(start=0, end=1),
        )  # fmt: skip
        look.clock(plot.xaxis, plot.yaxis)
        plot.line("at", "at", source=self.diagonal, color=look.INK, line_dash=[6, 6], width=1.5)
        plot.multi_line("at", "watermark", source=self.partitions, color=look.GOOD, alpha=0.35, width=1)
        timely = plot.scatter("arrived", "happened", source=source, color=look.PALETTE[0], size=5, alpha=0.55)
        plot.multi_line("at", "watermark", source=self.stairs, color=look.GOOD, width=3)
        late = plot.scatter(
            "arrived", "happened", source=self.late, color=look.BAD, size=9, marker="x", line_width=2
        )  # fmt: skip
        hover.renderers = [timely, late]
        look.text(plot, "x", "y", "text", self.labels, text_color=look.INK, text_align="left", x_offset=6)
        return plot
