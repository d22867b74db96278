"""Draw how a job comes back from a failure: when its results stopped, when they came again, when it had caught up.

Question: for how long does a failure keep results away, and when are they as fresh as before? Fault that changes it:
kill the TaskManager that runs the job.
    before  "30 results/s; the job has not failed in the last 120 s."
    then    "30 results/s. Failure at 12:00:03 UTC (TaskManager ... is lost): no result for 6.2 s; results were as fresh
            as before after 8.4 s."

The gap is measured from the last result before the failure to the first one after it, by Kafka's append time. Caught
up is the job when no result is older than they were in the twenty seconds before: its age is the append time minus
`sentAt`. Whether results are lost, `LedgerBoard` tells.

    >>> plots.Recovery(live.TopicTail("processed-events"), job)
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from bokeh.models import ColumnDataSource

from kernel_lib import flink_reader, live
from kernel_lib.job import Failure, Job
from kernel_lib.plots import latency, look
from kernel_lib.plots.latency import Result
from kernel_lib.plots.view import View, first_reason, no_data_since, stale_because

SECONDS_SHOWN = 120
SECONDS_BEFORE = 20
MOST_RESULTS = 200_000
QUIET_AFTER_SECONDS = 6.0
# How much older than usual a result may be and still be called as fresh as before.
SLACK_SECONDS = 0.5
Columns = dict[str, Any]
# A row that is drawn nowhere: the legend takes its colours from the first row.
NO_GAP: Columns = {name: [math.nan] for name in ("left", "right", "failed", "caught", "top")} | {
    "words": [""],
    "reason": [""],
}


class Outage(NamedTuple):
    """A failure (epoch s) and what followed: the last result before, the first after it, when results were fresh again.

    None for what has not happened yet.
    """

    failed_at: float
    reason: str
    last_before: float
    first_after: float | None = None
    caught_up: float | None = None


def remembered(known: Sequence[Failure], told: Sequence[Failure], since: float) -> list[Failure]:
    """Return the failures after `since` (epoch s), those that are known and those that Flink tells now.

    Flink forgets its failures with the JobManager.
    """
    return list({each.at: each for each in (*known, *told) if each.at >= since}.values())


def outages(failures: Sequence[Failure], at: Any, age: Any) -> list[Outage]:
    """Return what the failures did to the results that came `at` (sorted epoch s) and were `age` seconds old then.

    A failure with no result since the one before belongs to that one; one before the first result is left out.
    """
    firsts: list[Failure] = []
    for failure in sorted(failures, key=lambda each: each.at):
        since = firsts[-1].at if firsts else float("-inf")
        if np.any((at > since) & (at <= failure.at)):
            firsts.append(failure)
    ends = [*(failure.at for failure in firsts[1:]), float("inf")]
    return [_outage(failure, end, at, age) for failure, end in zip(firsts, ends, strict=False)]


def _outage(failure: Failure, end: float, at: Any, age: Any) -> Outage:
    """Return what one failure did until `end`."""
    last = float(at[at <= failure.at][-1])
    usual = np.max(age[(at > last - SECONDS_BEFORE) & (at <= last)]) + SLACK_SECONDS
    after = (at > failure.at) & (at <= end)
    if not np.any(after):
        return Outage(failure.at, failure.reason, last)
    stale = at[after & (age > usual)]
    fresh = at[after & (at > (stale[-1] if len(stale) else failure.at))]
    caught_up = float(fresh[0]) if len(fresh) else None
    return Outage(failure.at, failure.reason, last, float(at[after][0]), caught_up)


def bar_columns(at: Any) -> Columns:
    """Return one bar a second that has results: when it begins (epoch ms), and how many."""
    seconds, counts = np.unique(np.floor(at), return_counts=True)
    return {"at": seconds * 1000, "count": counts}


def gap_columns(found: Sequence[Outage], now: float, top: float) -> Columns:
    """Return one band an outage: from the last result before it to the first after, and what to write on it."""
    ends = [each.first_after or now for each in found]
    return {
        "left": [each.last_before * 1000 for each in found],
        "right": [end * 1000 for end in ends],
        "failed": [each.failed_at * 1000 for each in found],
        "caught": [(each.caught_up or now) * 1000 for each in found],
        "top": [top] * len(found),
        "words": [f"{look.CROSS} {end - each.last_before:.1f} s" for each, end in zip(found, ends, strict=True)],
        "reason": [each.reason for each in found],
    }


def recovery_sentence(rate: float, found: Sequence[Outage], seconds: float, *, unknown: str = "") -> str:
    """Return how many results come, and what the last failure of so many seconds did, in words.

    `unknown` says why Flink's failures are not known now.
    """
    said = f"{rate:,.0f} results/s"
    if unknown:
        said += f"; whether the job has failed is not known because {unknown.rstrip('.')}"
    if not found:
        return f"{said}." if unknown else f"{said}; the job has not failed in the last {seconds:.0f} s."
    last = found[-1]
    said += f". Failure at {live.clock_time(last.failed_at)} ({last.reason.rstrip('.')}): "
    if last.first_after is None:
        return f"{said}no result since {live.clock_time(last.last_before)}."
    said += f"no result for {last.first_after - last.last_before:.1f} s; "
    if last.caught_up is None:
        return f"{said}results are still older than before."
    return f"{said}results were as fresh as before after {last.caught_up - last.last_before:.1f} s."


class Recovery(View):
    """The results of a job per second over the last two minutes, with a band for each failure."""

    def __init__(self, tail: live.TopicTail, job: Job, *, name: str = "recovery") -> None:
        self.tail = tail
        self.poller = live.Poller(partial(flink_reader.of(job.settings).failures, job.id), every_seconds=1.0)
        self._results: deque[Result] = deque(maxlen=MOST_RESULTS)
        self._since = time.time()
        self._failures: Sequence[Failure] = ()
        self.gaps = ColumnDataSource(NO_GAP)
        source = ColumnDataSource(bar_columns(np.array([])))
        title = f"Failure and recovery of {tail.topic}"
        super().__init__(self._figure(source), source, title=title, name=name, reads=[tail, self.poller])

    def draw(self) -> str:
        now = time.time()
        self._results.extend(latency.results(self.tail.poll(), now * 1000, "append"))
        while self._results and self._results[0].at_ms / 1000 < now - SECONDS_SHOWN - SECONDS_BEFORE:
            self._results.popleft()
        self._failures = remembered(self._failures, self.poller.poll() or (), max(self._since, now - SECONDS_SHOWN))
        ordered = np.array(sorted(self._results)).reshape(-1, 2) / 1000
        at, age = ordered[:, 0], ordered[:, 1]
        found = outages(self._failures, at, age)
        self._show(at[at > now - SECONDS_SHOWN - 1], found, now)
        rate = float(np.sum(at > now - 5)) / 5
        quiet = not len(at) or (now - at[-1] > QUIET_AFTER_SECONDS and not found)
        stale = stale_because(self.poller)
        self.quiet_because = first_reason(self.tail.problem, "no result comes" if quiet else "", stale)
        if (self.tail.problem or quiet) and not found:
            return no_data_since(self.tail.last_record_at, self.quiet_because)
        unknown = stale or ("" if self.poller.answered_at else "Flink has not answered yet")
        return recovery_sentence(rate, found, min(now - self._since, SECONDS_SHOWN), unknown=unknown)

    def _show(self, at: Any, found: Sequence[Outage], now: float) -> None:
        self.source.data = bar_columns(at)
        top = 1.15 * float(max(self.source.data["count"], default=1))
        self.gaps.data = gap_columns(found, now, top) if found else NO_GAP
        self.root.x_range.update(start=(now - SECONDS_SHOWN) * 1000, end=now * 1000)
        self.root.y_range.end = top

    def _figure(self, source: ColumnDataSource) -> Any:
        plot, hover = look.timeline(
            [("results", "@count{0,0}")], title_of_x="appended to Kafka (UTC)", title_of_y="results / s", height=280
        )
        box = {"bottom": 0, "top": "top", "source": self.gaps, "line_color": None}
        plot.quad(left="left", right="right", **box, fill_color=look.BAD, fill_alpha=0.22, legend_label="no result")
        plot.quad(left="right", right="caught", **box, fill_color=look.WARN, fill_alpha=0.18, legend_label="catches up")
        bars = plot.vbar(x="at", top="count", width=850, source=source, color=look.PALETTE[0], legend_label="results")
        plot.segment("failed", 0, "failed", "top", source=self.gaps, line_color=look.BAD, line_width=2)
        hover.renderers = [bars]
        look.text(
            plot, "left", "top", "words", self.gaps,
            text_color=look.INK, text_align="left", text_baseline="top", x_offset=6, text_font_style="bold",
        )  # fmt: skip
        look.legend(plot)
        return plot
