"""Draw end-to-end latency: from the moment an event was handed to its producer to the moment its result is there.

Question: how long does a result take, not on average but for the slowest of a hundred? Two clocks: "append" is when the
broker wrote the result (its LogAppendTime), exact to a millisecond. What an open transaction wrote cannot be
read yet: "reader" is when this kernel read the result, and asks four times a second.

Fault that changes it: pause a broker, and the slowest of a hundred takes seconds while the median hardly moves.
    before  "Half of the 998 results of the last 10 s took at most 48 ms, 95 % 95 ms, 99 % 120 ms (append clock)."
    then    "Half of the 902 results of the last 10 s took at most 55 ms, 95 % 2,480 ms, 99 % 9,310 ms (append clock)."

    >>> plots.Latency(live.TopicTail("processed-events"))
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from bokeh.layouts import row
from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import live
from kernel_lib.kafka_client import Record
from kernel_lib.plots import look
from kernel_lib.plots.view import View, first_reason, no_data_since

SECONDS_SHOWN = 60
SECONDS_TOLD = 10
MOST_RESULTS = 30_000
QUIET_AFTER_SECONDS = 6.0
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
# From a millisecond to a minute, eight bars for each factor of ten.
EDGES_MS = np.logspace(0, 5, 41)
Clock = Literal["append", "reader"]
Columns = dict[str, Any]


class Result(NamedTuple):
    """When a result was there (epoch ms), and how long that took from `sentAt`, in ms."""

    at_ms: float
    latency_ms: float


class _Sent(msgspec.Struct):
    sentAt: int


def results(records: Iterable[Record], read_ms: float, clock: Clock) -> list[Result]:
    """Return when each record was there and its latency; records without `sentAt` are passed over.

    Raises ValueError for the clock "append" if the topic does not stamp its records with the time of the append.
    """
    found = []
    for record in records:
        if clock == "append" and record.timestamp_type != "append":
            raise ValueError(f"{record.topic} does not stamp append time: its records bear the producer's time")
        try:
            sent_ms = msgspec.json.decode(record.value or b"", type=_Sent).sentAt
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        at_ms = record.timestamp_ms if clock == "append" else read_ms
        found.append(Result(at_ms, at_ms - sent_ms))
    return found


def quantile_columns(found: Sequence[Result]) -> Columns:
    """Return one row a second that has results: its middle (epoch ms) and the quantiles of its latencies."""
    seconds: dict[int, list[float]] = {}
    for result in found:
        seconds.setdefault(int(result.at_ms // 1000), []).append(result.latency_ms)
    order = sorted(seconds)
    columns: Columns = {"at": np.array([second * 1000 + 500 for second in order], dtype=float)}
    for name, share in QUANTILES.items():
        columns[name] = np.array([np.quantile(seconds[second], share) for second in order])
    return columns


def histogram_columns(found: Sequence[Result]) -> Columns:
    """Return one bar for each range of latencies: from `left` to `right` in ms, `count` results."""
    counts, _ = np.histogram([result.latency_ms for result in found], EDGES_MS)
    return {"left": EDGES_MS[:-1], "right": EDGES_MS[1:], "count": counts}


def latency_sentence(found: Sequence[Result], clock: Clock) -> str:
    """Return the quantiles of some results in words."""
    if not found:
        return "No result has come yet."
    p50, p95, p99 = np.quantile([result.latency_ms for result in found], list(QUANTILES.values()))
    return (
        f"Half of the {len(found):,} results of the last {SECONDS_TOLD} s took at most {p50:,.0f} ms, "
        f"95 % {p95:,.0f} ms, 99 % {p99:,.0f} ms ({clock} clock)."
    )


class Latency(View):
    """Quantiles of the latency over the last minute, and how the latest are spread."""

    def __init__(
        self,
        tail: live.TopicTail,
        *,
        clock: Clock = "append",
        because: Callable[[], str] | None = None,
        name: str = "latency",
    ) -> None:
        self.tail, self.clock = tail, clock
        self._because = because or (lambda: "no result comes: a producer must send and a job must run")
        self._draw_next_ms = 0.0
        self._results: deque[Result] = deque(maxlen=MOST_RESULTS)
        self.histogram = ColumnDataSource(histogram_columns([]))
        source = ColumnDataSource(quantile_columns([]))
        root = row(self._lines(source), self._bars(), sizing_mode="stretch_width")
        super().__init__(root, source, title=f"End-to-end latency of {tail.topic}", name=name, reads=[tail])

    def draw(self) -> str:
        now_ms = time.time() * 1000
        self._results.extend(results(self.tail.poll(), now_ms, self.clock))
        told = [result for result in self._results if result.at_ms >= now_ms - SECONDS_TOLD * 1000]
        if now_ms >= self._draw_next_ms:
            self._draw_next_ms = now_ms + 1000
            self._show(told, now_ms)
        quiet = time.time() - (self.tail.last_record_at or 0) > QUIET_AFTER_SECONDS
        self.quiet_because = first_reason(self.tail.problem, self._because if quiet else "")
        if self.quiet_because:
            return no_data_since(self.tail.last_record_at, self.quiet_because)
        return latency_sentence(told, self.clock)

    def _show(self, told: Sequence[Result], now_ms: float) -> None:
        since = now_ms - SECONDS_SHOWN * 1000
        self.source.data = quantile_columns([result for result in self._results if result.at_ms >= since])
        self.histogram.data = histogram_columns(told)
        self._plot.x_range.update(start=since, end=now_ms)

    def _lines(self, source: ColumnDataSource) -> Any:
        tips = [("second", "@at{%H:%M:%S}"), *((name, f"@{name}{{0,0}} ms") for name in QUANTILES)]
        hover = HoverTool(tooltips=tips, formatters={"@at": "datetime"}, mode="vline")
        self._plot = look.figure(
            title_of_x="time (UTC)", title_of_y="latency in ms", height=280, hover=hover, x_axis_type="datetime",
            y_axis_type="log", x_range=Range1d(start=0, end=1), y_range=Range1d(start=1, end=100_000),
        )  # fmt: skip
        look.clock(self._plot.xaxis)
        styles = {"p50": (look.PALETTE[0], "solid"), "p95": (look.WARN, "dashed"), "p99": (look.BAD, "dotted")}
        lines = [
            self._plot.line("at", name, source=source, color=colour, line_dash=dash, width=3, legend_label=name)
            for name, (colour, dash) in styles.items()
        ]
        hover.renderers = lines[:1]
        look.legend(self._plot)
        return self._plot

    def _bars(self) -> Any:
        hover = HoverTool(tooltips=[("latency", "@left{0,0} to @right{0,0} ms"), ("results", "@count{0,0}")])
        plot = look.figure(
            title_of_x=f"results of the last {SECONDS_TOLD} s", height=280, hover=hover, y_axis_type="log",
            y_range=self._plot.y_range, min_width=160, max_width=260,
        )  # fmt: skip
        plot.quad(
            left=0, right="count", bottom="left", top="right", source=self.histogram, fill_color=look.PALETTE[0],
            fill_alpha=0.7, line_color=None,
        )  # fmt: skip
        plot.x_range.start = 0
        return plot
