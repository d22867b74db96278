"""Draw how a job comes back from a failure: when its results stopped, when they came again, when it had caught up.

Question: how long does a failure last, and are its results lost or late? Fault that changes it: kill the TaskManager
that runs the job.
    before  "30 results/s; the job has not failed in the last 120 s."
    then    "30 results/s. Failure at 12:00:03 UTC (TaskManager ... is lost): no result for 6.2 s, all that was missed
            had come 8.4 s after the last one before it."

The gap is measured from the last result before the failure to the first one after it, by Kafka's append time. Caught
up is the first moment at which as many results have come as would have come without the failure at the rate of the
twenty seconds before it: change no rate while you watch.

    >>> plots.Recovery(live.TopicTail("processed-events"), job)
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import live
from kernel_lib.job import Failure, Job
from kernel_lib.plots import look
from kernel_lib.plots.view import View, first_reason, no_data_since

SECONDS_SHOWN = 120
SECONDS_BEFORE = 20
MOST_RESULTS = 200_000
QUIET_AFTER_SECONDS = 6.0
# Records come in batches, and with exactly-once semantics only at checkpoints.
SLACK = 0.97
Columns = dict[str, Any]


class Outage(NamedTuple):
    """A failure (epoch s) and what followed: the last result before, the first after it, when all had been caught up.

    None for what has not happened yet; `rate` is of the results per second before.
    """

    failed_at: float
    reason: str
    last_before: float
    rate: float
    first_after: float | None = None
    caught_up: float | None = None


def outage(failure: Failure, at: Any, rate_since: float) -> Outage | None:
    """Return what a failure did to the results that came `at` (sorted epoch s); None if none had come before it.

    `rate_since` is when the picture began to look: before that, results are not missing but not known.
    """
    before = at[at <= failure.at]
    if not len(before):
        return None
    last = float(before[-1])
    span = min(SECONDS_BEFORE, last - rate_since)
    rate = float(np.sum(before > last - span) / span) if span > 1 else 0.0
    after = at[at > failure.at]
    if not len(after):
        return Outage(failure.at, failure.reason, last, rate)
    missed = rate * (after - last) * SLACK
    enough = after[np.arange(1, len(after) + 1) >= missed]
    caught_up = float(enough[0]) if len(enough) and rate > 0 else None
    return Outage(failure.at, failure.reason, last, rate, float(after[0]), caught_up)


def bar_columns(at: Any) -> Columns:
    """Return one bar a second that has results: when it begins (epoch ms), and how many."""
    seconds, counts = np.unique(np.floor(at), return_counts=True)
    return {"at": seconds * 1000, "count": counts}


def gap_columns(outages: Sequence[Outage], now: float, top: float) -> Columns:
    """Return one band an outage: from the last result before it to the first after, and what to write on it."""
    ends = [each.first_after or now for each in outages]
    return {
        "left": [each.last_before * 1000 for each in outages],
        "right": [end * 1000 for end in ends],
        "failed": [each.failed_at * 1000 for each in outages],
        "caught": [(each.caught_up or now) * 1000 for each in outages],
        "top": [top] * len(outages),
        "words": [f"{look.CROSS} {end - each.last_before:.1f} s" for each, end in zip(outages, ends, strict=True)],
        "reason": [each.reason for each in outages],
    }


def recovery_sentence(rate: float, outages: Sequence[Outage]) -> str:
    """Return how many results come, and what the last failure did, in words."""
    if not outages:
        return f"{rate:,.0f} results/s; the job has not failed in the last {SECONDS_SHOWN} s."
    last = outages[-1]
    said = f"{rate:,.0f} results/s. Failure at {live.clock_time(last.failed_at)} ({last.reason.rstrip('.')}): "
    if last.first_after is None:
        return f"{said}no result since {live.clock_time(last.last_before)}."
    said += f"no result for {last.first_after - last.last_before:.1f} s, "
    if last.caught_up is None:
        return f"{said}and what was missed has not all come yet."
    return f"{said}all that was missed had come {last.caught_up - last.last_before:.1f} s after the last one before it."


class Recovery(View):
    """The results of a job per second over the last two minutes, with a band for each failure."""

    redraw_seconds = 0.5

    def __init__(
        self,
        tail: live.TopicTail,
        job: Job,
        *,
        name: str = "recovery",
    ) -> None:
        self.tail = tail
        self.poller = live.Poller(job.failures, every_seconds=1.0)
        self._at: deque[float] = deque(maxlen=MOST_RESULTS)
        self._since = time.time()
        self._failures: dict[float, Failure] = {}
        self.gaps = ColumnDataSource(gap_columns([], 0, 0))
        source = ColumnDataSource(bar_columns(np.array([])))
        super().__init__(self._figure(source), source, title=f"Failure and recovery of {tail.topic}", name=name)

    def draw(self) -> str:
        now = time.time()
        self._at.extend(record.timestamp_ms / 1000 for record in self.tail.poll())
        # Flink forgets its failures with the JobManager: keep those that it has told.
        self._failures |= {each.at: each for each in self.poller.poll() or () if each.at >= self._since}
        at = np.sort(np.array(self._at))
        found = [outage(each, at, self._since) for each in self._failures.values() if each.at > now - SECONDS_SHOWN]
        outages = [each for each in found if each is not None]
        self._show(at[at > now - SECONDS_SHOWN - 1], outages, now)
        rate = float(np.sum(at > now - 5)) / 5
        quiet = not len(at) or (now - at[-1] > QUIET_AFTER_SECONDS and not outages)
        self.quiet_because = first_reason(self.tail.problem, "no result comes" if quiet else "")
        if self.quiet_because and not outages:
            return no_data_since(self.tail.last_record_at, self.quiet_because)
        return recovery_sentence(rate, outages)

    def _show(self, at: Any, outages: Sequence[Outage], now: float) -> None:
        self.source.data = bar_columns(at)
        top = 1.15 * float(max(self.source.data["count"], default=1))
        self.gaps.data = gap_columns(outages, now, top)
        self.root.x_range.update(start=(now - SECONDS_SHOWN) * 1000, end=now * 1000)
        self.root.y_range.end = top

    def _figure(self, source: ColumnDataSource) -> Any:
        tips = [("second", "@at{%H:%M:%S}"), ("results", "@count{0,0}")]
        hover = HoverTool(tooltips=tips, formatters={"@at": "datetime"})
        plot = look.figure(
            title_of_x="appended to Kafka (UTC)", title_of_y="results / s", height=280, hover=hover,
            x_axis_type="datetime", x_range=Range1d(start=0, end=1), y_range=Range1d(start=0, end=1),
        )  # fmt: skip
        look.clock(plot.xaxis)
        box = {"bottom": 0, "top": "top", "source": self.gaps, "line_color": None}
        plot.quad(left="left", right="right", **box, fill_color=look.BAD, fill_alpha=0.22, legend_label="no result")
        plot.quad(left="right", right="caught", **box, fill_color=look.WARN, fill_alpha=0.18, legend_label="catches up")
        bars = plot.vbar(x="at", top="count", width=850, source=source, color=look.PALETTE[0], legend_label="results")
        plot.segment("failed", 0, "failed", "top", source=self.gaps, line_color=look.BAD, line_width=2)
        hover.renderers = [bars]
        look.text(
            plot, "left", "top", "words", self.gaps,
            text_color=look.BAD, text_align="left", text_baseline="top", x_offset=6, text_font_style="bold",
        )  # fmt: skip
        look.legend(plot)
        return plot
