"""Draw the checkpoints of a job: one bar each, from its trigger as high as it took, and where the job was restored.

Question: how often does the job save its state, what does it cost, and does it work? Fault that changes it: pause the
TaskManager that runs the job. The checkpoint that is under way grows and fails, and a dashed line shows where the job
went on from the one before. Kill it, and there may be no failed bar: nothing was under way.
    before  "Checkpoint 42 took 35 ms for 12 kB of state, 1.0 s after the one before (one is due every 1 s); its
            barriers were aligned within 4 ms, the longest in count per window; none of 42 failed."
    then    "...; 3 of 60 failed, the last that had begun because of: ...; the job was restored once, from checkpoint
            57 because of: ..."

The bars are on a logarithmic scale, so that 30 ms and 30 s are seen together. The duration is Flink's: from the
trigger to the last acknowledgement of a subtask; what the JobManager does after it is not in it.

    >>> plots.Checkpoints(job)
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, Range1d

from kernel_lib import live
from kernel_lib.checkpoints import Checkpoint, CheckpointReader, Reading, Restore, Spent
from kernel_lib.cluster import state_words
from kernel_lib.job import Job
from kernel_lib.plots import look
from kernel_lib.plots.view import View, no_data_since, stale_because

SECONDS_SHOWN, SECONDS_AHEAD = 90, 22
# A checkpoint that takes so many times as long as the last one, and at least so many seconds, is told of.
LONG_TIMES, LONG_SECONDS = 5, 3.0
LOWEST_MS = 1.0
SHARE_OF_INTERVAL, THINNEST_MS, WIDEST_MS = 0.7, 120.0, 4000.0
COLOURS = {"completed": look.PALETTE[0], "savepoint": look.PALETTE[3], "failed": look.BAD, "under way": look.WARN}
SIGNS = {"completed": "", "savepoint": "S", "failed": look.CROSS, "under way": "…"}
KEY = f"trigger time (UTC)\nS savepoint    {look.CROSS} failed    … under way    ↺ job restored"
Columns = dict[str, Any]


def merged(known: Mapping[int, Checkpoint], history: Iterable[Checkpoint], now: float) -> dict[int, Checkpoint]:
    """Return the checkpoints of the time shown by id: those known, and what is said of them now.

    One that was under way and is spoken of no more was lost together with its JobManager, and is dropped.
    """
    fresh = {each.id: each for each in history}
    kept = {n: c for n, c in known.items() if c.status != "under way" or n in fresh}
    found = kept | {n: c if c.tasks or n not in kept else replace(c, tasks=kept[n].tasks) for n, c in fresh.items()}
    return {n: c for n, c in sorted(found.items()) if c.triggered_at > now - SECONDS_SHOWN - 5}


def looks_like(checkpoint: Checkpoint) -> str:
    """Return how a checkpoint is drawn: completed, savepoint, failed or under way."""
    return "savepoint" if checkpoint.savepoint and checkpoint.status == "completed" else checkpoint.status


def took(checkpoint: Checkpoint, now: float) -> float:
    """Return the milliseconds that a checkpoint took, or has taken so far."""
    return (now - checkpoint.triggered_at) * 1000 if checkpoint.status == "under way" else checkpoint.milliseconds


def bar_columns(checkpoints: Sequence[Checkpoint], now: float) -> Columns:
    """Return one row a checkpoint; those that are not plain ones come last, on top of the others."""
    width = bar_width(sorted(each.triggered_at * 1000 for each in checkpoints))
    checkpoints = sorted(checkpoints, key=lambda each: looks_like(each) != "completed")
    kinds = [looks_like(each) for each in checkpoints]
    at = np.array([each.triggered_at * 1000 for each in checkpoints])
    heights = np.array([max(took(each, now), LOWEST_MS * 1.2) for each in checkpoints])
    return {
        "at": at,
        "left": at - width / 2,
        "right": at + width / 2,
        "top": heights,
        "bottom": np.full(len(at), LOWEST_MS),
        "sign_at": [max(heights[np.abs(at - each) < width]) for each in at],
        "id": [each.id for each in checkpoints],
        "what": [_what(each, kind) for each, kind in zip(checkpoints, kinds, strict=True)],
        "took": [duration_words(took(each, now)) for each in checkpoints],
        "size": [_sizes(each) for each in checkpoints],
        "flight": [f"{size_words(c.in_flight)} through alignment, {size_words(c.persisted)} kept" for c in checkpoints],
        "alignment": [alignment_words(c) if c.status == "completed" else "not complete" for c in checkpoints],
        "tasks": [f"{each.acknowledged} of {each.subtasks}" for each in checkpoints],
        "slowest": [slowest_words(each.slowest) for each in checkpoints],
        "colour": [COLOURS[kind] for kind in kinds],
        "sign": [SIGNS[kind] for kind in kinds],
    }


def bar_width(at: Sequence[float]) -> float:
    """Return how wide bars are drawn (ms), so that neighbours leave a gap."""
    usual = float(np.median(np.diff(at))) if len(at) > 1 else 1000.0
    return min(max(usual * SHARE_OF_INTERVAL, THINNEST_MS), WIDEST_MS)


def restore_columns(restores: Sequence[Restore], top: float) -> Columns:
    """Return one dashed line a restore; only the last one says from where, so that words do not overlap."""
    last = len(restores) - 1
    return {
        "at": [each.at * 1000 for each in restores],
        "bottom": [LOWEST_MS] * len(restores),
        "top": [top] * len(restores),
        "words": [f"↺ from\n{source_words(each)}" if n == last else "↺" for n, each in enumerate(restores)],
    }


def label_columns(newest: Checkpoint | None, right: float) -> Columns:
    """Return what to write of the newest complete checkpoint, at the right edge of the last bar."""
    rows = [newest] if newest else []
    return {
        "at": [right] * len(rows),
        "y": [max(each.milliseconds, LOWEST_MS * 1.2) for each in rows],
        "words": [f"{each.id}: {duration_words(each.milliseconds)}\n{size_words(each.state)}" for each in rows],
    }


def top_of_axis(highest: float) -> float:
    """Return where the axis ends (ms): in steps of half a decade, with room for words above the highest bar."""
    return float(10 ** (math.ceil(2 * math.log10(max(highest, 10.0)) + 1.6) / 2))


def ticks(top: float) -> dict[float, str]:
    """Return where a logarithmic axis up to `top` milliseconds has its ticks, and what they say."""
    decades = range(math.ceil(math.log10(top)) + 1)
    steps = (1, 2, 5) if len(decades) <= 4 else (1,)
    return {float(step * 10**n): duration_words(step * 10**n) for n in decades for step in steps}


def duration_words(milliseconds: float) -> str:
    """Return a duration with its unit."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.3g} s" if milliseconds < 1e6 else f"{milliseconds / 1000:,.0f} s"


def size_words(size: float) -> str:
    """Return a size with its unit (1 kB = 1000 bytes)."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return ""


def slowest_words(slowest: Spent | None) -> str:
    """Return which task took longest and what the time went to."""
    if slowest is None:
        return "not asked"
    spent = {
        "barrier on its way": slowest.start_delay,
        "alignment": slowest.alignment,
        "sync": slowest.sync,
        "async": slowest.parallel,
    }
    words = ", ".join(f"{what} {duration_words(milliseconds)}" for what, milliseconds in spent.items())
    return f"{slowest.task}, {duration_words(slowest.duration)}: {words}"


def alignment_words(checkpoint: Checkpoint) -> str:
    """Return how the barriers of a complete checkpoint met: whether it is aligned, how long that took, and where."""
    task = checkpoint.longest_aligned
    apart = f"{duration_words(task.alignment)}, the longest in {task.task}" if task and task.alignment else ""
    if checkpoint.unaligned:
        kept = f"it is unaligned, with {size_words(checkpoint.persisted)} of records in flight"
        return kept + (f", its barriers came within {apart}" if apart else "")
    return "its barriers were aligned" + (f" within {apart}" if apart else " at once" if task else "")


def source_words(restore: Restore) -> str:
    """Return what a job was restored from."""
    return f"{'savepoint' if restore.savepoint else 'checkpoint'} {restore.checkpoint}"


def checkpoint_sentence(reading: Reading, shown: Sequence[Checkpoint], now: float) -> str:
    """Return the newest checkpoint in words, how many failed and why, and whether the job was restored."""
    newest = newest_completed(reading, shown)
    alignment = alignment_words(newest) if newest else ""
    parts = [_newest(newest, shown, reading.interval_ms), alignment, _failures(reading), _restores(reading)]
    return _pending(shown, newest, now) + "; ".join(filter(None, parts)) + "."


def newest_completed(reading: Reading, shown: Sequence[Checkpoint]) -> Checkpoint | None:
    """Return the newest complete checkpoint, also when it is older than what is shown."""
    completed = [each for each in shown if each.status == "completed"]
    return completed[-1] if completed else reading.last_completed


def _newest(newest: Checkpoint | None, shown: Sequence[Checkpoint], interval_ms: float | None) -> str:
    due = f"one is due every {duration_words(interval_ms)}" if interval_ms else ""
    if newest is None:
        return "No checkpoint is complete so far" + (f", {due}" if due else "")
    before = [each for each in shown if each.status == "completed" and each.id < newest.id]
    after = f"{newest.triggered_at - before[-1].triggered_at:.1f} s after the one before" if before else ""
    interval = f"{after} ({due})" if after and due else after or due
    kind = "Savepoint" if newest.savepoint else "Checkpoint"
    took_words = f"{duration_words(newest.milliseconds)} for {size_words(newest.state)} of state"
    return f"{kind} {newest.id} took {took_words}" + (f", {interval}" if interval else "")


def _pending(shown: Sequence[Checkpoint], newest: Checkpoint | None, now: float) -> str:
    pending = next((each for each in shown if each.status == "under way"), None)
    usual = newest.milliseconds / 1000 if newest else 0.0
    if pending is None or now - pending.triggered_at < max(LONG_SECONDS, LONG_TIMES * usual):
        return ""
    acknowledged = f"{pending.acknowledged} of {pending.subtasks} subtasks have acknowledged it"
    return f"Checkpoint {pending.id} has been under way for {now - pending.triggered_at:.0f} s, {acknowledged}. "


def _failures(reading: Reading) -> str:
    counts, last = reading.counts, reading.last_failed
    if last is not None:
        why = f", the last that had begun because of: {last.failure.rstrip('.')}" if last.failure else ""
        return f"{counts.failed} of {counts.total} failed{why}"
    late = f" ({counts.failed} more could not begin: a task was not running)" if counts.failed else ""
    return f"none of {counts.completed} failed{late}" if counts.completed else ""


def _restores(reading: Reading) -> str:
    times = {0: "", 1: "once", 2: "twice"}.get(reading.counts.restored, f"{reading.counts.restored} times")
    if not times or not reading.restore:
        return ""
    last = "" if reading.counts.restored == 1 else " the last time"
    why = f" because of: {reading.restore.reason.rstrip('.')}" if reading.restore.reason else ""
    return f"the job was restored {times},{last} from {source_words(reading.restore)}{why}"


def _what(checkpoint: Checkpoint, kind: str) -> str:
    words = kind if kind != "savepoint" else "completed"
    return f"{checkpoint.kind} {checkpoint.id} {words}" + (f": {checkpoint.failure}" if checkpoint.failure else "")


def _sizes(checkpoint: Checkpoint) -> str:
    return f"{size_words(checkpoint.state)}, of them new {size_words(checkpoint.written)}"


class Checkpoints(View):
    """The checkpoints of a job over the last minute and a half, asked once a second."""

    def __init__(self, job: Job, *, read: Callable[[], Reading] | None = None, name: str = "checkpoints") -> None:
        self.job = job
        self.poller = live.Poller(read or CheckpointReader(job), every_seconds=1.0)
        self._known: dict[int, Checkpoint] = {}
        self._restores: deque[Restore] = deque(maxlen=20)
        self.restored = ColumnDataSource(restore_columns([], 1.0))
        self.labels = ColumnDataSource(label_columns(None, 0.0))
        source = ColumnDataSource(bar_columns([], 0.0))
        title = f"Checkpoints of {job.name}"
        super().__init__(self._figure(source), source, title=title, name=name, reads=[self.poller])

    def draw(self) -> str:
        now = time.time()
        self.root.x_range.update(start=(now - SECONDS_SHOWN) * 1000, end=(now + SECONDS_AHEAD) * 1000)
        reading = self.poller.poll()
        if reading is None:
            self.quiet_because = self.poller.problem
            return no_data_since(None, self.poller.problem)
        self._known = merged(self._known, reading.history, now)
        if reading.restore and reading.restore not in self._restores:
            self._restores.append(reading.restore)
        shown, read_at = list(self._known.values()), self.poller.answered_at or now
        newest = newest_completed(reading, shown)
        self._show(shown, newest, read_at)  # what was under way then may be complete by now
        self.quiet_because = stale_because(self.poller) or self._not_running(reading)
        if self.quiet_because:
            return no_data_since(_done_at(newest), self.quiet_because)
        return checkpoint_sentence(reading, shown, read_at)

    def _not_running(self, reading: Reading) -> str:
        if reading.state == "RUNNING":
            return ""
        said = f"job {self.job.name} is {state_words(reading.state)}"
        return f"{said}: {reading.reason}" if reading.reason else said

    def _show(self, shown: Sequence[Checkpoint], newest: Checkpoint | None, now: float) -> None:
        columns = bar_columns(shown, now)
        top = top_of_axis(max(columns["top"], default=0.0))
        if not _same(columns, self.source.data):
            self.source.data = columns
        labels = label_columns(newest, max(columns["right"], default=now * 1000))
        restored = restore_columns(self._restores, top)
        if labels != self.labels.data:
            self.labels.data = labels
        if restored != self.restored.data:
            self.restored.data = restored
        if self.root.y_range.end != top:
            self.root.y_range.update(start=LOWEST_MS, end=top)
            marks = ticks(top)
            self.root.yaxis.ticker = FixedTicker(ticks=list(marks))
            self.root.yaxis.major_label_overrides = marks

    def _figure(self, source: ColumnDataSource) -> Any:
        tips = [
            ("", "@what"),
            ("triggered", "@at{%H:%M:%S.%3N}"),
            ("duration", "@took"),
            ("state", "@size"),
            ("alignment", "@alignment"),
            ("in flight", "@flight"),
            ("acknowledged", "@tasks subtasks"),
            ("slowest task", "@slowest"),
        ]
        hover = HoverTool(tooltips=tips, formatters={"@at": "datetime"}, point_policy="follow_mouse")
        ranges: Any = {"x_range": Range1d(start=0, end=1), "y_range": Range1d(start=LOWEST_MS, end=10)}
        axes: Any = {"title_of_x": KEY, "title_of_y": "duration (log scale)", "y_axis_type": "log"}
        plot = look.figure(hover=hover, x_axis_type="datetime", **ranges, **axes)
        bars = plot.quad(
            left="left", right="right", top="top", bottom="bottom", source=source,
            fill_color="colour", line_color="colour",
        )  # fmt: skip
        hover.renderers = [bars]
        ink: Any = {"text_color": look.INK, "text_font_style": "bold"}
        look.text(plot, "at", "sign_at", "sign", source, text_baseline="bottom", y_offset=-2, **ink)
        look.text(plot, "at", "y", "words", self.labels, text_align="left", x_offset=8, **ink)
        line = {"x0": "at", "x1": "at", "y0": "bottom", "y1": "top"}
        plot.segment(**line, source=self.restored, line_color=look.INK, line_dash=[6, 4], line_width=2)
        look.text(plot, "at", "top", "words", self.restored, text_align="left", text_baseline="top", x_offset=6, **ink)
        look.clock(plot.xaxis)
        return plot


def _done_at(checkpoint: Checkpoint | None) -> float | None:
    return checkpoint.triggered_at + checkpoint.milliseconds / 1000 if checkpoint else None


def _same(columns: Columns, drawn: Mapping[str, Any]) -> bool:
    return all(np.array_equal(column, drawn[name]) for name, column in columns.items())
