"""Draw windows of event time as boxes that fill as events arrive, and close when the watermark has passed their end.

Question: when is a window complete, and what becomes of events that come after that? A box is light as it fills; when
the job's result for it is there, it is closed and bears the job's count. What has arrived and is in no count is red.

Fault that changes it: let a share of the events be late.
    before  "The newest closed window ends at 12:00:05 UTC: 100 events counted. Of the closed windows shown, 0 events
            are in no count. 3 windows still open."
    then    "The newest closed window ends at 12:00:31 UTC: 81 events counted. Of the closed windows shown, 214
            events are in no count. 3 windows still open."

    >>> plots.Windows(live.TopicTail("user-events"), live.TopicTail("metrics"), job, window_seconds=2)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import live, task_metrics, timestamps, window_counts
from kernel_lib.job import Job
from kernel_lib.plots import look
from kernel_lib.plots.view import View, first_reason, no_data_since, stale_because
from kernel_lib.task_metrics import Reading
from kernel_lib.window_counts import WindowCount

WINDOWS_SHOWN = 12
WINDOWS_KEPT = 60
READ_SECONDS = 0.5
QUIET_AFTER_SECONDS = 6.0
Columns = dict[str, Any]


@dataclass
class Box:
    """A window: the events that have come for it, and the job's count, None until it is seen."""

    start_ms: float
    arrived: int = 0
    counted: int | None = None

    @property
    def uncounted(self) -> int:
        """How many events have come that are not in the job's count; none before that is seen."""
        return 0 if self.counted is None else max(0, self.arrived - self.counted)


class Boxes:
    """The windows of one size, from the first that was seen from its beginning on."""

    def __init__(self, window_ms: float) -> None:
        self.window_ms = window_ms
        self._boxes: dict[float, Box] = {}
        self._first_ms: float | None = None

    def arrive(self, happened: Iterable[float]) -> None:
        """Put events, by when they happened (epoch ms), into their windows."""
        for moment in happened:
            if self._first_ms is None:
                # Of the windows that are open now, events may have come before anybody looked.
                self._first_ms = self._start(moment) + self.window_ms
            box = self._box(self._start(moment))
            if box is not None:
                box.arrived += 1

    def close(self, counts: Iterable[WindowCount]) -> None:
        """Note the job's results; the types of a window are added up."""
        for row in counts:
            box = self._box(timestamps.epoch_ms(row.windowStart))
            if box is not None:
                box.counted = (box.counted or 0) + row.count

    def newest(self) -> list[Box]:
        """Return the windows that are shown, in order."""
        for start in sorted(self._boxes)[:-WINDOWS_KEPT]:
            del self._boxes[start]
            self._first_ms = start + self.window_ms
        return [self._boxes[start] for start in sorted(self._boxes)[-WINDOWS_SHOWN:]]

    def _box(self, start_ms: float) -> Box | None:
        if self._first_ms is None or start_ms < self._first_ms:
            return None
        return self._boxes.setdefault(start_ms, Box(start_ms))

    def _start(self, moment_ms: float) -> float:
        return moment_ms // self.window_ms * self.window_ms


def box_columns(boxes: Sequence[Box], window_ms: float) -> Columns:
    """Return one row a window: its edges, how high its parts are, and what to write in it."""
    gap = window_ms * 0.04
    return {
        "left": np.array([box.start_ms + gap for box in boxes]),
        "right": np.array([box.start_ms + window_ms - gap for box in boxes]),
        "middle": np.array([box.start_ms + window_ms / 2 for box in boxes]),
        "timely": np.array([box.arrived - box.uncounted for box in boxes]),
        "arrived": np.array([box.arrived for box in boxes]),
        "uncounted": np.array([box.uncounted for box in boxes]),
        "alpha": np.array([0.25 if box.counted is None else 0.85 for box in boxes]),
        "state": ["still open" if box.counted is None else "closed" for box in boxes],
        "counted": ["—" if box.counted is None else f"{box.counted:,}" for box in boxes],
        "text": [f"{box.arrived:,} …" if box.counted is None else f"{box.counted:,}" for box in boxes],
    }


def window_sentence(boxes: Sequence[Box], window_ms: float) -> str:
    """Return what the newest closed window has counted, and how many events of those shown are in no count."""
    closed = [box for box in boxes if box.counted is not None]
    waiting = sum(box.counted is None for box in boxes)
    still = f"{waiting} window{'' if waiting == 1 else 's'} still open."
    if not closed:
        return f"No window has closed yet; {still}"
    newest, uncounted = closed[-1], sum(box.uncounted for box in closed)
    events = f"{uncounted:,} event{' is' if uncounted == 1 else 's are'}"
    end = live.clock_time((newest.start_ms + window_ms) / 1000)
    said = f"The newest closed window ends at {end}: {newest.counted:,} events counted"
    return f"{said}. Of the closed windows shown, {events} in no count. {still}"


class Windows(View):
    """The newest windows, and the watermark that closes them."""

    def __init__(
        self,
        events: live.TopicTail,
        results: live.TopicTail,
        job: Job,
        *,
        window_seconds: float,
        because: Callable[[], str] | None = None,
        name: str = "windows",
    ) -> None:
        self.events, self.results = events, results
        read = task_metrics.Reader(job, task_metrics.WATERMARKS)
        self.poller: live.Poller[Reading] = live.Poller(read, every_seconds=READ_SECONDS)
        self.boxes = Boxes(window_seconds * 1000)
        self._because = because or (lambda: "no event arrives")
        self.clocks = ColumnDataSource({"now": [], "watermark": []})
        source = ColumnDataSource(box_columns([], 1))
        title, figure = f"Windows of {window_seconds:g} s in {job.name}", self._figure(source)
        super().__init__(figure, source, title=title, name=name, reads=[events, results, self.poller])

    def draw(self) -> str:
        self.boxes.close(window_counts.parsed(self.results.poll()))
        self.boxes.arrive(event.happened_ms for event in timestamps.stamped(self.events.poll()))
        shown = self.boxes.newest()
        self.source.data = box_columns(shown, self.boxes.window_ms)
        self._move(self.poller.poll())
        quiet = time.time() - (self.events.last_record_at or 0) > QUIET_AFTER_SECONDS
        problems = (self.events.problem, self.results.problem, stale_because(self.poller))
        self.quiet_because = first_reason(*problems, self._because if quiet else "")
        if self.quiet_because:
            return no_data_since(self.events.last_record_at, self.quiet_because)
        return window_sentence(shown, self.boxes.window_ms)

    def _move(self, reading: Reading | None) -> None:
        now_ms = time.time() * 1000
        span_ms = WINDOWS_SHOWN * self.boxes.window_ms
        self.root.x_range.update(start=now_ms - span_ms, end=now_ms + span_ms * 0.08)
        watermark = reading.watermark_ms if reading else None
        self.clocks.data = {"now": [now_ms], "watermark": [float("nan") if watermark is None else watermark]}

    def _figure(self, source: ColumnDataSource) -> Any:
        tips = [("window", "@left{%H:%M:%S} to @right{%H:%M:%S}, @state"), ("arrived", "@arrived{0,0}")]
        tips += [("of these in no count", "@uncounted{0,0}"), ("counted by the job", "@counted")]
        hover = HoverTool(tooltips=tips, formatters={"@left": "datetime", "@right": "datetime"})
        plot = look.figure(
            title_of_x="event time (UTC)", title_of_y="events in the window", hover=hover, x_axis_type="datetime",
            x_range=Range1d(start=0, end=1),
        )  # fmt: skip
        look.clock(plot.xaxis)
        plot.y_range.update(start=0, range_padding=0.2)
        box: Mapping[str, Any] = {"left": "left", "right": "right", "source": source}
        hover.renderers = [
            plot.quad(**box, bottom=0, top="timely", fill_color=look.PALETTE[0], fill_alpha="alpha",
                      line_color=look.PALETTE[0], line_width=2),
            plot.quad(**box, bottom="timely", top="arrived", fill_color=look.BAD, fill_alpha=0.9, line_color=None),
        ]  # fmt: skip
        look.text(plot, "middle", "arrived", "text", source, text_color=look.INK, text_baseline="bottom", y_offset=-4)
        plot.vspan("now", source=self.clocks, line_color=look.INK, line_dash=[6, 6])
        plot.vspan("watermark", source=self.clocks, line_color=look.GOOD, line_width=3)
        return plot
