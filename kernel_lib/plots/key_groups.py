"""Draw which subtask holds which key groups, and how much state is in each: what moves when a job is rescaled.

Question: where is the state of a key, and where does it go when there are more subtasks? A bar is a key group; its
height is how many keys live in it, its row the subtask that holds it. A group that has moved is orange for a while.

Fault that changes it: rescale the job.
    before  "43 keys in 36 key groups: 43 in subtask 0 on flink-taskmanager-1 (groups 0 to 118). flink-taskmanager-1
            holds 36 key groups. Created 57, expired 14."
    then    "43 keys in 36 key groups: 24 in subtask 0 on flink-taskmanager-1 (groups 0 to 58), 19 in subtask 1 on
            flink-taskmanager-2 (groups 60 to 118). flink-taskmanager-1 holds 19 key groups, flink-taskmanager-2 17.
            Created 60, expired 17. 17 groups moved at 12:00:05 UTC."

The job reports each group itself, each second while there are keys in it: Flink tells nobody. On which TaskManager, and
so in whose slot, a subtask runs is Flink's figure, read each second; without `job` it is left out.

    >>> plots.KeyGroups(live.TopicTail("metrics"), job)
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import live, placement
from kernel_lib.cluster import state_words
from kernel_lib.job import Job
from kernel_lib.kafka_client import Record
from kernel_lib.placement import Placement
from kernel_lib.plots import look
from kernel_lib.plots.view import View, first_reason, no_data_since, stale_because
from kernel_lib.timestamps import epoch_ms

KEY_GROUPS = 120
# The operator whose subtasks report their key groups.
REPORTER = "report"
READ_SECONDS = 1.0
# Who has keys reports each second, and is seen with the next checkpoint.
GONE_AFTER_SECONDS = 6.0
MOVED_SHOWN_SECONDS = 10.0
ROW_PIXELS = 90
Columns = dict[str, Any]
NOT_KNOWN = "no known TaskManager"
# The TaskManager of each subtask that runs; None where nobody asks for it.
Places = Mapping[int, str] | None


class Report(msgspec.Struct, frozen=True):
    """What a subtask says of a key group that it holds; `reportedAt` is ISO-8601 in UTC."""

    reportedAt: str
    keyGroup: int
    subtask: int
    parallelism: int
    users: int
    created: int
    expired: int


class Group(NamedTuple):
    """The newest report of a key group, when it was made and when the group came to this subtask (epoch s)."""

    report: Report
    at: float
    moved_at: float | None = None


def reports(records: Iterable[Record]) -> list[Report]:
    """Return the reports among the records; other records of the topic are passed over."""
    found = []
    for record in records:
        try:
            found.append(msgspec.json.decode(record.value or b"", type=Report))
        except msgspec.DecodeError:
            continue
    return found


def brought_up_to_date(groups: Mapping[int, Group], new: Iterable[Report]) -> dict[int, Group]:
    """Return the groups after some reports; of two reports of one group the later one counts."""
    found = dict(groups)
    for report in new:
        at, before = epoch_ms(report.reportedAt) / 1000, found.get(report.keyGroup)
        if before is None:
            found[report.keyGroup] = Group(report, at)
        elif at >= before.at:
            moved_at = at if report.subtask != before.report.subtask else before.moved_at
            found[report.keyGroup] = Group(report, at, moved_at)
    return found


def bar_columns(held: Sequence[Group], now: float, places: Places = None) -> Columns:
    """Return one bar a key group with keys: its subtask's row, the most keys fill it."""
    most = max((group.report.users for group in held), default=1)
    recently = [group.moved_at is not None and now - group.moved_at < MOVED_SHOWN_SECONDS for group in held]
    return {
        "group": [group.report.keyGroup for group in held],
        "bottom": np.array([group.report.subtask - 0.42 for group in held]),
        "top": np.array([group.report.subtask - 0.42 + 0.8 * group.report.users / most for group in held]),
        "users": [group.report.users for group in held],
        "holder": [holder_words(group.report.subtask, places) for group in held],
        "created": [group.report.created for group in held],
        "expired": [group.report.expired for group in held],
        "colour": [look.WARN if moved else look.PALETTE[0] for moved in recently],
    }


def holder_words(subtask: int, places: Places) -> str:
    """Return a subtask and, if that is asked for, on which TaskManager it runs."""
    return f"subtask {subtask}" if places is None else f"subtask {subtask} on {places.get(subtask, NOT_KNOWN)}"


def row_names(subtasks: int, places: Places) -> list[str]:
    """Return what to write beside the rows of the subtasks."""
    return [holder_words(number, places).replace(" on ", "\n") for number in range(subtasks)]


def key_groups_sentence(known: Sequence[Group], held: Sequence[Group], places: Places = None) -> str:
    """Return who holds how many keys of which groups, and what has come, gone and moved, in words."""
    if not held:
        return "No keys are held."
    shares = []
    for subtask in sorted({group.report.subtask for group in held}):
        mine = [group.report for group in held if group.report.subtask == subtask]
        numbers = [report.keyGroup for report in mine]
        keys = sum(report.users for report in mine)
        shares.append(f"{keys:,} in {holder_words(subtask, places)} (groups {min(numbers)} to {max(numbers)})")
    users = sum(group.report.users for group in held)
    created, expired = (sum(getattr(group.report, name) for group in known) for name in ("created", "expired"))
    said = f"{users:,} keys in {len(held)} key groups: {', '.join(shares)}. {_taskmanagers(held, places)}"
    said += f"Created {created:,}, expired {expired:,}."
    moves = [group.moved_at for group in known if group.moved_at]
    if not moves:
        return said
    last = max(moves)
    moved = sum(last - at < MOVED_SHOWN_SECONDS for at in moves)
    return f"{said} {moved} group{'' if moved == 1 else 's'} moved at {live.clock_time(last)}."


def _taskmanagers(held: Sequence[Group], places: Places) -> str:
    """Return how many of the key groups each TaskManager holds; "" if nobody asks for it."""
    if places is None:
        return ""
    counts = Counter(places.get(group.report.subtask, NOT_KNOWN) for group in held)
    [(first, many), *others] = sorted(counts.items())
    begun = f"{first} holds {many} key group{'' if many == 1 else 's'}"
    return ", ".join([begun, *(f"{name} {count}" for name, count in others)]) + ". "


class KeyGroups(View):
    """The key groups of a job that reports them, such as count_users; with `job` also where its subtasks run."""

    def __init__(self, tail: live.TopicTail, job: Job | None = None, *, name: str = "key groups") -> None:
        self.tail, self.job = tail, job
        self.poller = live.Poller(partial(placement.read, job, REPORTER), every_seconds=READ_SECONDS) if job else None
        self._known: dict[int, Group] = {}
        source = ColumnDataSource(bar_columns([], 0))
        reads: list[live.Stoppable] = [tail, *([self.poller] if self.poller else [])]
        super().__init__(self._figure(source), source, title="Keyed state by key group", name=name, reads=reads)

    def draw(self) -> str:
        now = time.time()
        self._known = brought_up_to_date(self._known, reports(self.tail.poll()))
        newest = max((group.at for group in self._known.values()), default=None)
        held = [group for group in self._known.values() if group.report.users and now - group.at < GONE_AFTER_SECONDS]
        placed = self.poller.poll() if self.poller else None
        stale = stale_because(self.poller) if self.poller else ""
        places = self._places(placed, stale)
        self.source.data = bar_columns(held, now, places)
        if held:
            self._fit(row_names(max(group.report.parallelism for group in held), places))
        quiet = newest is None or now - newest > GONE_AFTER_SECONDS
        unreported = "no key group is reported" if quiet else ""
        self.quiet_because = first_reason(self.tail.problem, stale, self._not_running(placed), unreported)
        if self.quiet_because:
            return no_data_since(self.poller.answered_at if self.poller and stale else newest, self.quiet_because)
        return key_groups_sentence(list(self._known.values()), held, places)

    def _places(self, placed: Placement | None, stale: str) -> Places:
        if self.poller is None:
            return None
        return placed.taskmanagers if placed and not stale else {}

    def _not_running(self, placed: Placement | None) -> str:
        if self.job is None or placed is None or placed.state == "RUNNING":
            return ""
        return f"job {self.job.name} is {state_words(placed.state)}"

    def _fit(self, names: Sequence[str]) -> None:
        look.name_rows(self.root, names)
        self.root.height = 70 + ROW_PIXELS * len(names)

    def _figure(self, source: ColumnDataSource) -> Any:
        tips = [("key group", "@group of @holder"), ("keys", "@users{0,0}")]
        tips += [("created, expired so far", "@created{0,0}, @expired{0,0}")]
        hover = HoverTool(tooltips=tips, point_policy="follow_mouse")
        plot = look.figure(
            title_of_x="key group", hover=hover, height=160, x_range=Range1d(start=-1, end=KEY_GROUPS),
            y_range=Range1d(start=-0.6, end=0.4),
        )  # fmt: skip
        plot.ygrid.visible = False
        hover.renderers = [
            plot.vbar(x="group", bottom="bottom", top="top", width=0.8, source=source, color="colour", alpha=0.9)
        ]
        return plot
