"""Draw how each task of a job spends its time: busy, held back by what comes after it, or idle.

Question: which task slows the whole job down? A task that is held back (backpressured) is not the slow one: it waits
for room in the buffers before the next. The cause is the first task on the way down that is not held back itself.

Fault that changes it: make one function slow.
    before  "No task is held back; the busiest is read user-events, busy 4%."
    then    "slow is the cause: busy 100%. It holds back read user-events (97% of its time)."

    >>> plots.Backpressure(job)
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import dataflow, live, task_metrics
from kernel_lib.cluster import state_words
from kernel_lib.job import Job
from kernel_lib.job_graph import Graph
from kernel_lib.plots import look
from kernel_lib.plots.view import View, first_reason, no_data_since, stale_because
from kernel_lib.task_metrics import Reading, Shares

SECONDS_SHOWN = 60
READ_SECONDS = 1.0
QUIET_AFTER_SECONDS = 5.0
HELD_BACK = 0.2
ROW_PIXELS = 44
BAND = 0.84
Columns = dict[str, Any]


class Sample(NamedTuple):
    """How the tasks, by vertex id, spent the time from `begin` to `end` (epoch ms)."""

    begin_ms: float
    end_ms: float
    tasks: Mapping[str, Shares]


class Verdict(NamedTuple):
    """The task that slows the job down, and those that it holds back, by vertex id; no cause if none is held back."""

    cause: str | None
    held_back: tuple[str, ...]


def in_order(graph: Graph) -> list[str]:
    """Return the ids of the tasks that move records, each after all that feed it."""
    left = [vertex.id for vertex in graph.vertices if not dataflow.is_committer(vertex.name)]
    found: list[str] = []
    while left:
        ready = [key for key in left if not any(a in left for a, b in graph.edges if b == key and a != key)]
        found += ready or left  # a circle has no beginning
        left = [key for key in left if key not in found]
    return found


def judged(graph: Graph, tasks: Mapping[str, Shares]) -> Verdict:
    """Return which task is the cause: it feeds on one that is held back and is not so itself; the busiest of those."""
    order = in_order(graph)
    held = [key for key in order if key in tasks and tasks[key].backpressured >= HELD_BACK]
    below = {b for a, b in graph.edges if a in held and b in tasks and b not in held and b in order}
    cause = max(below, key=lambda key: tasks[key].busiest, default=None)
    return Verdict(cause, tuple(held))


def verdict_sentence(verdict: Verdict, tasks: Mapping[str, Shares], labels: Mapping[str, str]) -> str:
    """Return in words which task slows the job down, or that none does."""
    if verdict.cause is None:
        busiest = max(tasks, key=lambda key: tasks[key].busiest, default=None)
        if busiest is None:
            return "No task has reported how it spends its time yet."
        return f"No task is held back; the busiest is {labels[busiest]}, {_busy(tasks[busiest])}."
    held = ", ".join(f"{labels[key]} ({tasks[key].backpressured:.0%} of its time)" for key in verdict.held_back)
    return f"{labels[verdict.cause]} is the cause: {_busy(tasks[verdict.cause])}. It holds back {held}."


def _busy(load: Shares) -> str:
    of_all, of_busiest = f"{load.busy:.0%}", f"{load.busiest:.0%}"
    return f"busy {of_all}" if of_all == of_busiest else f"busy {of_all}, its busiest subtask {of_busiest}"


def band_columns(samples: Sequence[Sample], order: Sequence[str], part: str) -> Columns:
    """Return one box a task and sample: `part` is "busy" or "backpressured", which stands on the busy part."""
    boxes = [
        (sample, row, sample.tasks[key])
        for sample in samples
        for row, key in enumerate(reversed(order))
        if key in sample.tasks
    ]
    floor = np.array([row - BAND / 2 for _, row, _ in boxes])
    busy = np.array([shares.busy for _, _, shares in boxes])
    height = np.array([getattr(shares, part) for _, _, shares in boxes])
    bottom = floor if part == "busy" else floor + BAND * busy
    return {
        "left": np.array([sample.begin_ms for sample, _, _ in boxes]),
        "right": np.array([sample.end_ms for sample, _, _ in boxes]),
        "bottom": bottom,
        "top": bottom + BAND * height,
        "share": height * 100,
    }


def label_columns(order: Sequence[str], tasks: Mapping[str, Shares], verdict: Verdict, now_ms: float) -> Columns:
    """Return what to write beside the newest box of each task."""
    texts = [load_words(tasks[key]) if key in tasks else "" for key in reversed(order)]
    marks = [" ◀ cause" if key == verdict.cause else "" for key in reversed(order)]
    return {
        "x": [now_ms] * len(order),
        "y": list(range(len(order))),
        "text": [text + mark for text, mark in zip(texts, marks, strict=True)],
    }


def load_words(load: Shares) -> str:
    """Return how a task spends its time in a few words."""
    held = f" · held back {load.backpressured:.0%}" if load.backpressured >= 0.01 else ""
    return f"busy {load.busy:.0%}{held}"


class Backpressure(View):
    """The tasks of one job over the last minute, from the source at the top to the sink."""

    def __init__(self, job: Job, *, name: str = "backpressure") -> None:
        self.job = job
        read = task_metrics.Reader(job, each_subtask=True)
        self.poller: live.Poller[Reading] = live.Poller(read, every_seconds=READ_SECONDS)
        self._parameters: live.Poller[dict[str, str]] = live.Poller(job.parameters, every_seconds=30)
        self._samples: deque[Sample] = deque(maxlen=int(SECONDS_SHOWN / READ_SECONDS) + 2)
        self._last: Reading | None = None
        self._verdict = Verdict(None, ())
        self.held_back = ColumnDataSource(band_columns([], [], "backpressured"))
        self.labels = ColumnDataSource(label_columns([], {}, self._verdict, 0))
        source = ColumnDataSource(band_columns([], [], "busy"))
        title, figure = f"Where the time of {job.name} goes", self._figure(source)
        super().__init__(figure, source, title=title, name=name, reads=[self.poller, self._parameters])

    def draw(self) -> str:
        reading = self.poller.poll()
        if reading is not None and reading is not self._last:
            self._take(reading)
        now_ms = time.time() * 1000
        self.root.x_range.update(start=now_ms - SECONDS_SHOWN * 1000, end=now_ms + SECONDS_SHOWN * 420)
        newest = self._samples[-1].end_ms / 1000 if self._samples else None
        self.quiet_because = first_reason(stale_because(self.poller), self._not_running(reading), _untold(newest))
        if newest is None or self.quiet_because:
            return no_data_since(newest, self.quiet_because)
        return verdict_sentence(self._verdict, self._samples[-1].tasks, self._labels_of(reading))

    def _not_running(self, reading: Reading | None) -> str:
        state = reading.state if reading else "RUNNING"
        return "" if state == "RUNNING" else f"job {self.job.name} is {state_words(state)}"

    def _take(self, reading: Reading) -> None:
        before, self._last = self._last, reading
        tasks = task_metrics.shares(before, reading) if before else {}
        if not before or not tasks:
            return
        self._samples.append(Sample(before.at * 1000, reading.at * 1000, tasks))
        self._verdict = judged(reading.graph, tasks)
        order = in_order(reading.graph)
        self.source.data = band_columns(self._samples, order, "busy")
        self.held_back.data = band_columns(self._samples, order, "backpressured")
        self.labels.data = label_columns(order, tasks, self._verdict, reading.at * 1000)
        self._fit(order, self._labels_of(reading))

    def _labels_of(self, reading: Reading | None) -> dict[str, str]:
        parameters = self._parameters.poll() or {}
        vertices = reading.graph.vertices if reading else ()
        return {vertex.id: dataflow.task_label(vertex.name, parameters) for vertex in vertices}

    def _fit(self, order: Sequence[str], labels: Mapping[str, str]) -> None:
        look.name_rows(self.root, [labels[key] for key in reversed(order)])
        self.root.height = 70 + ROW_PIXELS * len(order)

    def _figure(self, source: ColumnDataSource) -> Any:
        hover = HoverTool(tooltips=[("share of the time", "@share{0}%")], point_policy="follow_mouse")
        plot = look.figure(
            title_of_x="time (UTC); the height of a band is all of a task's time", hover=hover, height=200,
            x_axis_type="datetime", x_range=Range1d(start=0, end=1), y_range=Range1d(start=-0.6, end=0.4),
        )  # fmt: skip
        look.clock(plot.xaxis)
        plot.ygrid.visible = False
        box = {"left": "left", "right": "right", "bottom": "bottom", "top": "top", "line_color": None}
        plot.quad(**box, source=source, fill_color=look.PALETTE[1], legend_label="busy")
        plot.quad(
            **box, source=self.held_back, fill_color=look.PALETTE[3], legend_label="held back (backpressured)",
        )  # fmt: skip
        look.legend(plot)
        look.text(plot, "x", "y", "text", self.labels, text_color=look.INK, text_align="left", x_offset=8)
        return plot


def _untold(newest: float | None) -> str:
    quiet = newest is not None and time.time() - newest > QUIET_AFTER_SECONDS
    return "Flink does not say how its tasks spend their time" if quiet else ""
