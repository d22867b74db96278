"""Draw all jobs of the cluster over the last minutes: one row a job, coloured by its state, a mark at each failure.

Question: which jobs run, whose are they, and which of them fail and start again? What is drawn was read, every two
seconds: a job's row begins when this picture first saw it.

Fault that changes it: kill the TaskManager that runs a job.
    before  "1 job runs in 1 of 8 slots: count_events (1 slot, the course). No failure in the last 5 minutes."
    then    "1 job runs in 1 of 4 slots: count_events (1 slot, the course). count_events failed once in the last 5
            minutes, the last at 12:00:03 UTC because of: TaskManager ... is lost."

    >>> plots.Jobs()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import job_states, live
from kernel_lib.cluster import state_words
from kernel_lib.job import Failure
from kernel_lib.job_states import JobState, Reading
from kernel_lib.plots import look
from kernel_lib.plots.view import View, no_data_since, stale_because
from kernel_lib.settings import Settings

READ_SECONDS = 2.0
SECONDS_SHOWN, SECONDS_AHEAD = 300, 90
ROW_PIXELS = 30
COLOURS = {
    "RUNNING": look.GOOD,
    "FINISHED": look.QUIET,
    "CANCELED": look.QUIET,
    "FAILED": look.BAD,
    "FAILING": look.BAD,
}
Columns = dict[str, Any]


class Span(NamedTuple):
    """How long a job was seen in a state: from the first to the last reading (epoch s)."""

    job: JobState
    begins: float
    ends: float


def lengthened(spans: Sequence[Span], reading: Reading) -> list[Span]:
    """Return the spans after one more reading, without what is older than is shown."""
    open_spans = {span.job.id: span for span in spans}  # of each job the last one
    kept = [span for span in spans if span.ends > reading.at - SECONDS_SHOWN]
    for job in reading.jobs:
        last = open_spans.get(job.id)
        if last in kept:
            ends = reading.at if job.live or last.job.live else last.ends
            kept[kept.index(last)] = last._replace(ends=ends)
        if last is None or last.job.state != job.state:
            kept.append(Span(job, reading.at, reading.at))
    return kept


def rows(jobs: Sequence[JobState]) -> list[str]:
    """Return the names of the rows, the first at the bottom: a job that was submitted again keeps its row."""
    return list(dict.fromkeys(job.name for job in reversed(jobs)))


def span_columns(spans: Sequence[Span], names: Sequence[str]) -> Columns:
    """Return one bar a span, in the row of its job."""
    shown = [span for span in spans if span.job.name in names]
    return {
        "y": [names.index(span.job.name) for span in shown],
        "left": [span.begins * 1000 for span in shown],
        "right": [max(span.ends, span.begins + READ_SECONDS) * 1000 for span in shown],
        "colour": [COLOURS.get(span.job.state, look.WARN) for span in shown],
        "state": [span.job.state for span in shown],
        "name": [span.job.name for span in shown],
        "owner": [span.job.owner for span in shown],
    }


def failure_columns(jobs: Sequence[JobState], names: Sequence[str], since: float) -> Columns:
    """Return one mark a failure."""
    found = [(job, failure) for job in jobs for failure in job.failures if failure.at > since]
    return {
        "x": [failure.at * 1000 for _, failure in found],
        "y": [names.index(job.name) for job, _ in found],
        "sign": [look.CROSS] * len(found),
        "reason": [failure.reason for _, failure in found],
    }


def label_columns(jobs: Sequence[JobState], names: Sequence[str], now: float) -> Columns:
    """Return what to write behind the newest bar of each row."""
    newest = {job.name: job for job in jobs}
    return {
        "x": [now * 1000] * len(names),
        "y": list(range(len(names))),
        "words": [_label(newest[name]) for name in names],
    }


def jobs_sentence(reading: Reading) -> str:
    """Return which jobs run, whose they are, and which have failed lately, in words."""
    running = [job for job in reading.jobs if job.holds_slots]
    taken, total = reading.slots_total - reading.slots_free, reading.slots_total
    count = f"{len(running)} job{' runs' if len(running) == 1 else 's run'} in {taken} of {total} slots"
    listed = ", ".join(f"{job.name} ({_slots(job)}, {job.owner})" for job in running)
    now = f"{count}: {listed}." if running else f"No job runs; {reading.slots_free} of {total} slots are free."
    told = [job for job in reading.jobs if job.state not in ("RUNNING", "CANCELED")]
    states = [f"{job.name} is {state_words(job.state)}." for job in told]
    since = reading.at - SECONDS_SHOWN
    failed = [
        _failures(job.name, recent)
        for job in reading.jobs
        if (recent := [failure for failure in job.failures if failure.at > since])
    ]
    said = failed or [f"No failure in the last {SECONDS_SHOWN // 60} minutes."]
    return " ".join([now, *states, *said])


def _failures(name: str, recent: Sequence[Failure]) -> str:
    times = "once" if len(recent) == 1 else f"{len(recent)} times"
    last = f"the last at {live.clock_time(recent[-1].at)} because of: {recent[-1].reason.rstrip('.')}"
    return f"{name} failed {times} in the last {SECONDS_SHOWN // 60} minutes, {last}."


def _label(job: JobState) -> str:
    return f"{job.state}, {_slots(job)}" if job.holds_slots else job.state


def _slots(job: JobState) -> str:
    return f"{job.slots} slot{'' if job.slots == 1 else 's'}"


class Jobs(View):
    """Every job of the cluster, of any namespace: they share its slots."""

    def __init__(
        self, *, read: Callable[[], Reading] | None = None, settings: Settings | None = None, name: str = "jobs"
    ) -> None:
        ask = read or job_states.Reader(seconds=SECONDS_SHOWN, settings=settings)
        self.poller = live.Poller(ask, every_seconds=READ_SECONDS)
        self._spans: list[Span] = []
        self._seen_at = 0.0
        self.failures = ColumnDataSource(failure_columns([], [], 0))
        self.labels = ColumnDataSource(label_columns([], [], 0))
        source = ColumnDataSource(span_columns([], []))
        super().__init__(self._figure(source), source, title="Jobs of the cluster", name=name, reads=[self.poller])

    def draw(self) -> str:
        reading = self.poller.poll()
        if reading is not None and reading.at != self._seen_at:
            self._seen_at = reading.at
            self._spans = lengthened(self._spans, reading)
            self._show(reading)
        self.quiet_because = stale_because(self.poller)
        if reading is None or self.quiet_because:
            return no_data_since(self.poller.answered_at, self.quiet_because)
        return jobs_sentence(reading)

    def _show(self, reading: Reading) -> None:
        names, since = rows(reading.jobs), reading.at - SECONDS_SHOWN
        self.source.data = span_columns(self._spans, names)
        self.failures.data = failure_columns(reading.jobs, names, since)
        self.labels.data = label_columns(reading.jobs, names, reading.at)
        self.root.x_range.update(start=since * 1000, end=(reading.at + SECONDS_AHEAD) * 1000)
        look.name_rows(self.root, names)
        self.root.height = 70 + ROW_PIXELS * max(1, len(names))

    def _figure(self, source: ColumnDataSource) -> Any:
        hover = HoverTool(tooltips=[("@name", "@state"), ("owner", "@owner")], point_policy="follow_mouse")
        why = HoverTool(tooltips=[("failed because of", "@reason")])
        plot = look.figure(
            title_of_x="read from Flink (UTC)", height=100, tools=[hover, why], x_axis_type="datetime",
            x_range=Range1d(start=0, end=1), y_range=Range1d(start=-0.6, end=0.6),
        )  # fmt: skip
        look.clock(plot.xaxis)
        plot.ygrid.visible = False
        hover.renderers = [plot.hbar("y", left="left", right="right", height=0.6, source=source, color="colour")]
        why.renderers = [
            plot.scatter("x", "y", source=self.failures, marker="circle", size=18, color=look.BAD, line_color="white")
        ]
        look.text(plot, "x", "y", "sign", self.failures, text_color=look.ink_on(look.BAD), text_font_style="bold")
        look.text(plot, "x", "y", "words", self.labels, text_color=look.INK, text_align="left", x_offset=8)
        return plot
