"""Draw measured values over their own time: the mean of each second, and from the least to the most of it.

Question: how does a figure develop, and is what I see now usual? Choose the series and how far to look back. Fault that
changes it: let a device drift or break down, its band widens or the line ends.
    before  "cpu: 12.3 percent, from 3.1 to 48.0 in the last 30 s."
    then    "No data since 12:00:03 UTC (7 s ago) because no value of cpu comes."

    >>> plots.Trends(live.TopicTail("system-metrics"), by="metric")
    >>> plots.Trends(live.TopicTail("iot-sensors"), by="deviceType")
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import ipywidgets as widgets
import msgspec
import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import live
from kernel_lib.kafka_client import Record
from kernel_lib.plots import look
from kernel_lib.plots.view import View, first_reason, no_data_since
from kernel_lib.timestamps import epoch_ms

RANGES = {"last 30 s": 30.0, "last 2 min": 120.0, "last 10 min": 600.0}
MOST_KEPT = 50_000  # of each series
MOST_SERIES = 100
QUIET_AFTER_SECONDS = 8.0
Columns = dict[str, Any]


class _Measured(msgspec.Struct):
    timestamp: str
    value: float
    unit: str = ""


class Point(NamedTuple):
    """A value of a series, in `unit`, and when it was measured (epoch s)."""

    series: str
    at: float
    value: float
    unit: str


def points(records: Iterable[Record], by: str) -> list[Point]:
    """Return the values in records; those without a value, a time or the field `by` are passed over."""
    found = []
    for record in records:
        try:
            fields = msgspec.json.decode(record.value or b"", type=dict[str, Any])
            measured, series = msgspec.convert(fields, _Measured), fields[by]
            at = epoch_ms(measured.timestamp) / 1000
        except (ValueError, OverflowError, KeyError):  # no JSON, no number, no time, or none that this calendar has
            continue
        found.append(Point(str(series), at, measured.value, measured.unit))
    return found


def trend_columns(series: Sequence[Point], since: float) -> Columns:
    """Return one row a second that has values: its middle (epoch ms), its mean, its least and its most."""
    seconds: dict[int, list[float]] = defaultdict(list)
    for point in series:
        if point.at >= since:
            seconds[int(point.at)].append(point.value)
    order = sorted(seconds)
    return {
        "at": np.array([second * 1000 + 500 for second in order], dtype=float),
        "mean": np.array([np.mean(seconds[second]) for second in order]),
        "least": np.array([min(seconds[second]) for second in order]),
        "most": np.array([max(seconds[second]) for second in order]),
        "count": [len(seconds[second]) for second in order],
    }


def label_columns(columns: Columns, unit: str) -> Columns:
    """Return the newest mean, and where to write it."""
    newest = slice(-1, None)
    words = [f"{mean:,.4g} {unit}".rstrip() for mean in columns["mean"][newest]]
    return {"at": columns["at"][newest], "mean": columns["mean"][newest], "text": words}


def trend_sentence(name: str, unit: str, columns: Columns, within: str) -> str:
    """Return the newest mean, and the least and the most of the range, in words."""
    if not len(columns["at"]):
        return f"No value of {name} in the {within}."
    low, high = float(np.min(columns["least"])), float(np.max(columns["most"]))
    newest = f"{columns['mean'][-1]:,.4g} {unit}".rstrip()
    return f"{name}: {newest}, from {low:,.4g} to {high:,.4g} in the {within}."


class Trends(View):
    """One series of a topic over a range, both to choose; series are the first 100 values of the field `by`."""

    def __init__(self, tail: live.TopicTail, *, by: str, name: str = "trends") -> None:
        self.tail, self._by = tail, by
        self._series: dict[str, deque[Point]] = {}
        self.which = widgets.Dropdown(description=by, options=[])
        self.range = widgets.Dropdown(description="range", options=list(RANGES), value="last 30 s")
        nothing = trend_columns([], 0)
        source = ColumnDataSource(nothing)
        self.labels = ColumnDataSource(label_columns(nothing, ""))
        controls = widgets.HBox([self.which, self.range], layout=widgets.Layout(flex_flow="row wrap"))
        title = f"Trends in {tail.topic}"
        super().__init__(self._figure(source), source, title=title, name=name, reads=[tail], above=controls)

    def draw(self) -> str:
        for point in points(self.tail.poll(), self._by):
            if point.series in self._series or len(self._series) < MOST_SERIES:
                self._series.setdefault(point.series, deque(maxlen=MOST_KEPT)).append(point)
        if len(self._series) > len(self.which.options):
            chosen = self.which.value
            self.which.options = sorted(self._series)
            self.which.value = chosen or self.which.options[0]
        now, seconds = time.time(), RANGES[self.range.value]
        series = self._series.get(self.which.value or "", deque())
        unit = series[-1].unit if series else ""
        columns = trend_columns(series, now - seconds)
        self.source.data, self.labels.data = columns, label_columns(columns, unit)
        self.root.x_range.update(start=(now - seconds) * 1000, end=(now + seconds * 0.15) * 1000)
        self.root.yaxis[0].axis_label = unit
        newest = max((point.at for point in series), default=None)
        quiet = newest is None or now - newest > QUIET_AFTER_SECONDS
        silent = f"no value of {self.which.value or 'any ' + self._by} comes" if quiet else ""
        self.quiet_because = first_reason(self.tail.problem, silent)
        if self.quiet_because:
            return no_data_since(newest, self.quiet_because)
        return trend_sentence(self.which.value, unit, columns, self.range.value)

    def _figure(self, source: ColumnDataSource) -> Any:
        tips = [
            ("second", "@at{%H:%M:%S}"),
            ("mean of @count", "@mean{0.00}"),
            ("from, to", "@least{0.00}, @most{0.00}"),
        ]
        hover = HoverTool(tooltips=tips, formatters={"@at": "datetime"}, mode="vline")
        plot = look.figure(
            title_of_x="measured (UTC)", title_of_y="", height=280, hover=hover, x_axis_type="datetime",
            x_range=Range1d(start=0, end=1),
        )  # fmt: skip
        look.clock(plot.xaxis)
        plot.varea("at", "least", "most", source=source, fill_color=look.PALETTE[4], fill_alpha=0.35)
        hover.renderers = [plot.line("at", "mean", source=source, color=look.PALETTE[0], width=2.5)]
        look.text(plot, "at", "mean", "text", self.labels, text_color=look.INK, text_align="left", x_offset=8)
        return plot
