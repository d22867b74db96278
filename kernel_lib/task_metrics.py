"""Read what the subtasks of a running job report of themselves: records, time, watermarks.

The figures are Flink's own, by its REST interface. A question makes it fetch the newest ones of the TaskManagers, but
is answered from what it fetched before: so a reading asks, gives Flink a moment, and asks again.

>>> reading = task_metrics.of(job)()
>>> reading.total(vertex, "numRecordsIn"), reading.watermark_ms
(12043.0, 1767225600123)
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from kernel_lib import cluster
from kernel_lib.job import Graph, Job
from kernel_lib.waiting import wait_until

BUSY, BACKPRESSURED, IDLE = "accumulateBusyTimeMs", "accumulateBackPressuredTimeMs", "accumulateIdleTimeMs"
CONTROL_SOURCE = "Source: control"
_TIMES = (BUSY, BACKPRESSURED, IDLE)
READ_AGAIN_SECONDS = 0.4
# From the question to the answer of all TaskManagers; less than that, and a reading is one older.
FETCH_SECONDS = 0.05
MOST_READERS = 16
NAMES_SECONDS = 3.0
# Of one request, whose first line Flink takes up to 4,096 characters; a name has up to 150.
MOST_NAMES = 20
# Before its first watermark a task reports the least number there is.
NO_WATERMARK = -(2**63)
_TASK = {*_TIMES, "currentInputWatermark", "numRecordsIn", "numRecordsOut"}
_OFFSET = re.compile(r"\.topic\.(?P<topic>[\w-]+)\.partition\.(?P<partition>\d+)\.currentOffset$")
_SPLIT = re.compile(r"\.split\.(?P<topic>.+)-(?P<partition>\d+)\.watermark\.currentWatermark$")


@dataclass(frozen=True)
class Reading:
    """The metrics of a job at `at` (epoch seconds): by vertex id, then by subtask, then by name."""

    at: float
    state: str
    graph: Graph
    values: Mapping[str, Mapping[int, Mapping[str, float]]]

    def total(self, vertex: str, metric: str) -> float | None:
        """Return the sum of a metric over the subtasks of a vertex; None if it is not reported."""
        found = self.subtasks(vertex, metric)
        return sum(found.values()) if found else None

    def subtasks(self, vertex: str, metric: str) -> dict[int, float]:
        """Return a metric by subtask."""
        subtasks = self.values.get(vertex, {})
        return {number: metrics[metric] for number, metrics in subtasks.items() if metric in metrics}

    def offsets(self, vertex: str) -> dict[tuple[str, int], float]:
        """Return, by topic (`cluster.in_metrics` of its name) and partition, the offset of the newest record read.

        It is -1 until the first record since the task began.
        """
        found = {}
        for metrics in self.values.get(vertex, {}).values():
            for name, value in metrics.items():
                place = _OFFSET.search(name)
                if place:
                    found[place["topic"], int(place["partition"])] = value
        return found

    @property
    def watermark_ms(self) -> int | None:
        """The watermark that the sources of events have given to the job (epoch ms); None before the first."""
        fed = {vertex.id: [a for a, b in self.graph.edges if b == vertex.id] for vertex in self.graph.vertices}
        sources = {v.id for v in self.graph.vertices if not fed[v.id] and v.name != CONTROL_SOURCE}
        # The tasks after a source: a source itself reports none, and later tasks hear of it some moments later.
        reported = [self._least_watermark(vertex) for vertex in fed if sources & set(fed[vertex])]
        return None if None in reported else min(filter(None, reported), default=None)

    @property
    def partition_watermarks_ms(self) -> dict[int, int]:
        """The watermark of each partition of the source, where the source makes them (epoch ms)."""
        found: dict[int, int] = {}
        for metrics in (one for subtasks in self.values.values() for one in subtasks.values()):
            for name, value in metrics.items():
                split = _SPLIT.search(name)
                if split and value > NO_WATERMARK:
                    found[int(split["partition"])] = int(value)
        return found

    def _least_watermark(self, vertex: str) -> int | None:
        values = self.subtasks(vertex, "currentInputWatermark").values()
        reached = [int(value) for value in values if value > NO_WATERMARK]
        return min(reached) if reached and len(reached) == len(values) else None


@dataclass(frozen=True)
class Shares:
    """How a task spends its time: the mean of its subtasks, and the most that one of them is busy; from 0 to 1."""

    busy: float
    backpressured: float
    busiest: float

    @property
    def idle(self) -> float:
        """The rest: it waits for records."""
        return max(0.0, 1 - self.busy - self.backpressured)


def shares(before: Reading, now: Reading) -> dict[str, Shares]:
    """Return how each task has spent the time between two readings; one that was restarted in between is left out."""
    found = {}
    for vertex in now.graph.vertices:
        subtasks = [each for each in _spent(before, now, vertex.id) if sum(each) > 0]
        if subtasks and min(min(each) for each in subtasks) >= 0:
            busy = [each[0] / sum(each) for each in subtasks]
            backpressured = [each[1] / sum(each) for each in subtasks]
            found[vertex.id] = Shares(fmean(busy), fmean(backpressured), max(busy))
    return found


def _spent(before: Reading, now: Reading, vertex: str) -> list[tuple[float, ...]]:
    """Return, for each subtask, the milliseconds that it was busy, backpressured and idle."""
    old, new = before.values.get(vertex, {}), now.values.get(vertex, {})
    return [
        tuple(new[n][metric] - old[n][metric] for metric in _TIMES)
        for n in new
        if n in old and all(metric in new[n] and metric in old[n] for metric in _TIMES)
    ]


class Reader:
    """Asks Flink for the metrics of a job; calls close together, from several pictures, share an answer.

    When the job has ended and another one has been submitted in its place, it goes on with that one.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._lock = threading.Lock()
        self._last: Reading | None = None
        self._names: dict[str, list[str]] = {}
        self._names_due = 0.0

    def __call__(self) -> Reading:
        """Return the metrics as Flink knows them now; raises NotFound and ServiceUnavailable."""
        with self._lock:
            if self._last is None or time.time() - self._last.at > READ_AGAIN_SECONDS:
                self._last = self._read()
            return self._last

    def _read(self) -> Reading:
        state = self.job.state()
        if state not in cluster.LIVE_STATES:
            self.job = successor(self.job)
            state = self.job.state()
        self._let_fetch()
        graph = self._with_edges(self.job.graph())
        ids = [vertex.id for vertex in graph.vertices]
        if time.monotonic() >= self._names_due or set(ids) != set(self._names):
            # Splits and subtasks come and go.
            self._names = {vertex: self._wanted(vertex) for vertex in ids}
            self._names_due = time.monotonic() + NAMES_SECONDS
        return Reading(time.time(), state, graph, {vertex: self._values(vertex) for vertex in ids})

    def _with_edges(self, graph: Graph) -> Graph:
        """Return a graph with the edges known before: of a job that waits for slots Flink tells only the tasks."""
        before = self._last.graph if self._last else graph
        same = {vertex.id for vertex in before.vertices} == {vertex.id for vertex in graph.vertices}
        return replace(graph, edges=before.edges) if same and not graph.edges else graph

    def _let_fetch(self) -> None:
        cluster.get(self.job.settings, f"/jobs/{self.job.id}/metrics")
        due = time.monotonic() + FETCH_SECONDS
        wait_until(lambda: time.monotonic() > due, 1, "Flink to fetch metrics", interval_seconds=FETCH_SECONDS)

    def _wanted(self, vertex: str) -> list[str]:
        names = (entry["id"] for entry in cluster.get(self.job.settings, self._path(vertex)))
        return [name for name in names if is_wanted(name.partition(".")[2])]

    def _values(self, vertex: str) -> dict[int, dict[str, float]]:
        names, answer = self._names[vertex], []
        for first in range(0, len(names), MOST_NAMES):
            asked = ",".join(names[first : first + MOST_NAMES])
            answer += cluster.get(self.job.settings, self._path(vertex), get=asked)
        return by_subtask(answer)

    def _path(self, vertex: str) -> str:
        return f"/jobs/{self.job.id}/vertices/{vertex}/metrics"


def successor(job: Job) -> Job:
    """Return the live job that has taken the place of this one under its name, or else this one."""
    name = job.settings.named(job.name)
    ids = [entry["jid"] for entry in cluster.jobs(job.settings, live=True) if entry["name"] == name]
    return Job(ids[0], job.name, job.settings) if ids else job


def is_wanted(metric: str) -> bool:
    """Say whether a metric, without its subtask, is one that pictures need."""
    return metric in _TASK or any(pattern.search(metric) for pattern in (_SPLIT, _OFFSET))


def by_subtask(answer: list[dict[str, Any]]) -> dict[int, dict[str, float]]:
    """Return Flink's list of `<subtask>.<metric>` as metrics by subtask; what is no number is left out."""
    found: dict[int, dict[str, float]] = {}
    for entry in answer:
        subtask, _, metric = entry["id"].partition(".")
        value = float(entry.get("value", "nan"))
        if value == value:
            found.setdefault(int(subtask), {})[metric] = value
    return found


_readers: dict[str, Reader] = {}


def of(job: Job) -> Reader:
    """Return the reader of a job, the same for every picture of it."""
    if job.id not in _readers:
        while len(_readers) >= MOST_READERS:
            _readers.pop(next(iter(_readers)))
        _readers[job.id] = Reader(job)
    return _readers[job.id]
