"""Draw how many records per second go into each topic and through each step of a job, over the last minute.

Question: how much flows, where, and since when more or less? Each row has its own scale: its highest rate of the last
minute fills it. Fault that changes it: stop the producer.
    before  "Records/s, and the most of the last minute: user-events 60 (64); metrics 4.3 (6.0)."
    then    "Nothing has moved since 12:00:03 UTC; before, at most 64 in user-events, 6.0 in metrics, records/s."

    >>> plots.Throughput("user-events", "metrics", job=job)
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import dataflow, live
from kernel_lib.job import Job
from kernel_lib.plots import look
from kernel_lib.plots.view import View, no_data_since, stale_because
from kernel_lib.settings import Settings

READ_SECONDS = 1.0
# On a busy machine readings come late; a longer time without one stays empty.
LONGEST_SECONDS = 3.0
SECONDS_SHOWN = 60
ROW_PIXELS = 44
BAND = 0.8
Columns = dict[str, Any]


class Sample(NamedTuple):
    """The records per second by row, measured until `at` (epoch s)."""

    at: float
    rates: Mapping[str, float]


def since(samples: Sequence[Sample]) -> list[float]:
    """Return where the bar of each sample begins (epoch s): at the one before, unless that is too long ago."""
    before = [samples[0].at - READ_SECONDS, *(sample.at for sample in samples)] if samples else []
    return [max(at, sample.at - LONGEST_SECONDS) for at, sample in zip(before, samples, strict=False)]


def rows(samples: Sequence[Sample]) -> list[str]:
    """Return the names of the rows, the first on top, in the order of the newest sample."""
    return list(samples[-1].rates) if samples else []


def highest(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the highest rate of each row."""
    return {name: max(sample.rates.get(name, 0.0) for sample in samples) for name in rows(samples)}


def bar_columns(samples: Sequence[Sample]) -> Columns:
    """Return one bar a row and sample; the highest rate of a row fills it."""
    most = highest(samples)
    columns: Columns = {"left": [], "right": [], "bottom": [], "top": [], "name": [], "rate": []}
    for position, name in enumerate(reversed(rows(samples))):
        for begins, sample in zip(since(samples), samples, strict=True):
            rate = sample.rates.get(name, 0.0)
            columns["left"].append(begins * 1000)
            columns["right"].append(sample.at * 1000)
            columns["bottom"].append(position - BAND / 2)
            columns["top"].append(position - BAND / 2 + BAND * (rate / most[name] if most[name] else 0.0))
            columns["name"].append(name)
            columns["rate"].append(rate)
    return columns


def label_columns(samples: Sequence[Sample]) -> Columns:
    """Return what to write beside the newest bar of each row."""
    names, most = rows(samples)[::-1], highest(samples)
    return {
        "x": [samples[-1].at * 1000] * len(names) if samples else [],
        "y": list(range(len(names))),
        "text": [f"{look.rate(samples[-1].rates[name])} (most {look.rate(most[name])})" for name in names],
    }


def throughput_sentence(samples: Sequence[Sample]) -> str:
    """Return the newest and the highest rate of each row in words, or since when nothing has moved."""
    if not samples:
        return "No rate is known yet: it needs two readings."
    most = highest(samples)
    if not any(samples[-1].rates.values()):
        moved = [sample.at for sample in samples if any(sample.rates.values())]
        if not moved:
            return "Nothing has moved in the last minute."
        before = ", ".join(f"{look.rate(most[name])} in {name}" for name in most if most[name])
        return f"Nothing has moved since {live.clock_time(moved[-1])}; before, at most {before}, records/s."
    said = [f"{name} {look.rate(rate)} ({look.rate(most[name])})" for name, rate in samples[-1].rates.items()]
    return f"Records/s, and the most of the last minute: {'; '.join(said)}."


class Throughput(View):
    """One row a topic, and one for each step of `job` to the next."""

    def __init__(
        self,
        *topics: str,
        job: Job | None = None,
        read: Callable[[], Mapping[str, float]] | None = None,
        settings: Settings | None = None,
        name: str = "throughput",
    ) -> None:
        ask = read or dataflow.MeterReader(topics, job, settings=settings)
        self.poller = live.Poller(ask, every_seconds=READ_SECONDS)
        self._samples: deque[Sample] = deque(maxlen=int(SECONDS_SHOWN / READ_SECONDS))
        self.labels = ColumnDataSource(label_columns([]))
        source = ColumnDataSource(bar_columns([]))
        super().__init__(
            self._figure(source), source, title="Throughput, records per second", name=name, reads=[self.poller]
        )

    def draw(self) -> str:
        rates, at = self.poller.poll(), self.poller.answered_at
        if rates and at is not None and (not self._samples or at != self._samples[-1].at):
            self._samples.append(Sample(at, rates))
            self.source.data = bar_columns(self._samples)
            self.labels.data = label_columns(self._samples)
            self._fit(rows(self._samples))
        now_ms = time.time() * 1000
        self.root.x_range.update(start=now_ms - SECONDS_SHOWN * 1000, end=now_ms + SECONDS_SHOWN * 260)
        self.quiet_because = stale_because(self.poller)
        if self.quiet_because:
            return no_data_since(at, self.quiet_because)
        return throughput_sentence(self._samples)

    def _fit(self, names: Sequence[str]) -> None:
        look.name_rows(self.root, names[::-1])
        self.root.height = 60 + ROW_PIXELS * len(names)

    def _figure(self, source: ColumnDataSource) -> Any:
        tips = [("", "@name"), ("records/s", "@rate{0,0.0}"), ("until", "@right{%H:%M:%S}")]
        hover = HoverTool(tooltips=tips, formatters={"@right": "datetime"}, point_policy="follow_mouse")
        plot = look.figure(
            title_of_x="time (UTC); the highest rate of the last minute fills a row", hover=hover, height=200,
            x_axis_type="datetime", x_range=Range1d(start=0, end=1), y_range=Range1d(start=-0.6, end=0.4),
        )  # fmt: skip
        look.clock(plot.xaxis)
        plot.ygrid.visible = False
        plot.quad("left", "right", "top", "bottom", source=source, color=look.PALETTE[0], alpha=0.75, line_color=None)
        look.text(plot, "x", "y", "text", self.labels, text_color=look.INK, text_align="left", x_offset=8)
        return plot
