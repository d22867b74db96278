"""Read what the tasks of a running job report of themselves: records, time, watermarks.

The figures are Flink's own, by its REST interface. One question tells the records and the time of all tasks of a job;
what is told of one task at a time is asked only by who draws it.

>>> reading = task_metrics.Reader(job, task_metrics.WATERMARKS)()
>>> reading.counted[vertex].read, reading.watermark_ms
(12043.0, 1767225600123)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, NamedTuple

from kernel_lib import cluster, flink_reader, job_graph
from kernel_lib.job import Job
from kernel_lib.job_graph import Graph, Vertex

CONTROL_SOURCE = "Source: control"
INPUT_WATERMARK = "currentInputWatermark"
# Before its first watermark a task reports the least number there is.
NO_WATERMARK = -(2**63)
OFFSET = re.compile(r"\.topic\.(?P<topic>[\w-]+)\.partition\.(?P<partition>\d+)\.currentOffset$")
SPLIT = re.compile(r"\.split\.(?P<topic>.+)-(?P<partition>\d+)\.watermark\.currentWatermark$")


class Counted(NamedTuple):
    """How many records a task has read and written; None as long as one of its subtasks has not told it."""

    read: float | None
    written: float | None


class Spent(NamedTuple):
    """How long a subtask was busy, held back and idle (milliseconds)."""

    busy: float
    backpressured: float
    idle: float


# Of one subtask, in the order of `Spent`.
_TIMES = ("accumulateBusyTimeMs", "accumulateBackPressuredTimeMs", "accumulateIdleTimeMs")


@dataclass(frozen=True)
class Finer:
    """What Flink tells of one task at a time: of the tasks that `tasks` chooses, the metrics that `metric` names.

    `metric` is a name or a pattern of names; of the values of several subtasks the one that `of_subtasks` says.
    """

    metric: str | re.Pattern[str]
    tasks: Callable[[Graph], Iterable[Vertex]]
    of_subtasks: str = "max"


@dataclass(frozen=True)
class Reading:
    """The metrics of a job at `at` (epoch seconds), by vertex id.

    `spent` is by subtask; where a reader does not ask for each one, number 0 is all of them together. `finer` has by
    name what was asked for beside.
    """

    at: float
    state: str
    graph: Graph
    counted: Mapping[str, Counted] = field(default_factory=dict)
    spent: Mapping[str, Mapping[int, Spent]] = field(default_factory=dict)
    finer: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def offsets(self, vertex: str) -> dict[tuple[str, int], float]:
        """Return, by topic (`cluster.in_metrics` of its name) and partition, the offset of the newest record read.

        It is -1 until the first record since the task began.
        """
        found = {}
        for name, value in self.finer.get(vertex, {}).items():
            place = OFFSET.search(name)
            if place:
                found[place["topic"], int(place["partition"])] = value
        return found

    @property
    def watermark_ms(self) -> int | None:
        """The watermark that the sources of events have given to the job (epoch ms); None before the first."""
        reported = [self.finer.get(vertex.id, {}).get(INPUT_WATERMARK) for vertex in _fed_by_events(self.graph)]
        reached = [int(value) for value in reported if value is not None]
        return None if NO_WATERMARK in reached else min(reached, default=None)

    @property
    def partition_watermarks_ms(self) -> dict[int, int]:
        """The watermark of each partition of the source, where the source makes them (epoch ms)."""
        found: dict[int, int] = {}
        for metrics in self.finer.values():
            for name, value in metrics.items():
                split = SPLIT.search(name)
                if split and value > NO_WATERMARK:
                    found[int(split["partition"])] = int(value)
        return found


def _sources_of_events(graph: Graph) -> list[Vertex]:
    return [vertex for vertex in graph.sources if vertex.name != CONTROL_SOURCE]


def _fed_by_events(graph: Graph) -> list[Vertex]:
    """Return the tasks after the sources: a source has no watermark, and later tasks hear of it some moments later."""
    sources = {vertex.id for vertex in _sources_of_events(graph)}
    fed = {target for source, target in graph.edges if source in sources}
    return [vertex for vertex in graph.vertices if vertex.id in fed]


WATERMARKS = Finer(INPUT_WATERMARK, _fed_by_events, "min")
PARTITION_WATERMARKS = Finer(SPLIT, _sources_of_events)


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
        subtasks = [each for each in _between(before, now, vertex.id) if sum(each) > 0]
        if subtasks and min(min(each) for each in subtasks) >= 0:
            busy = [each.busy / sum(each) for each in subtasks]
            backpressured = [each.backpressured / sum(each) for each in subtasks]
            found[vertex.id] = Shares(fmean(busy), fmean(backpressured), max(busy))
    return found


def _between(before: Reading, now: Reading, vertex: str) -> list[Spent]:
    old, new = before.spent.get(vertex, {}), now.spent.get(vertex, {})
    return [Spent(*(b - a for a, b in zip(old[n], new[n], strict=True))) for n in new if n in old]


class Reader:
    """Asks Flink for the metrics of a job at each call, and for finer ones that somebody draws.

    When the job has ended and another one has been submitted in its place, it goes on with that one.
    """

    def __init__(self, job: Job, *finer: Finer, each_subtask: bool = False) -> None:
        """Read with `each_subtask` how every subtask spends its time, and not only all of a task together."""
        self.job = job
        self._flink = flink_reader.of(job.settings)
        self._finer = finer
        self._each_subtask = each_subtask
        self._graph = Graph((), ())

    def __call__(self) -> Reading:
        """Return the metrics as Flink knows them now; raises NotFound and ServiceUnavailable."""
        at, body = self._flink.details(self.job.id)
        if body["state"] not in cluster.LIVE_STATES:
            self.job = successor(self.job)
            at, body = self._flink.details(self.job.id)
        self._graph = graph = self._with_edges(job_graph.of(body))
        counted, spent = {}, {}
        for vertex in body["vertices"]:
            counted[vertex["id"]] = _counted(vertex["metrics"])
            spent[vertex["id"]] = {0: _spent(vertex["metrics"])}
        if self._each_subtask:
            spent |= {vertex.id: self._spent_by_subtask(vertex) for vertex in graph.vertices if vertex.parallelism > 1}
        return Reading(at, body["state"], graph, counted, spent, self._finer_metrics(graph))

    def _with_edges(self, graph: Graph) -> Graph:
        """Return a graph with the edges known before: of a job that waits for slots Flink tells only the tasks."""
        same = {vertex.id for vertex in self._graph.vertices} == {vertex.id for vertex in graph.vertices}
        return replace(graph, edges=self._graph.edges) if same and not graph.edges else graph

    def _spent_by_subtask(self, vertex: Vertex) -> dict[int, Spent]:
        names = [f"{number}.{name}" for number in range(vertex.parallelism) for name in _TIMES]
        told = numbers(self._flink.metrics(f"{self._path(vertex)}/metrics", names), "value")
        return {
            n: Spent(*(told[f"{n}.{name}"] for name in _TIMES))
            for n in range(vertex.parallelism)
            if all(f"{n}.{name}" in told for name in _TIMES)
        }

    def _finer_metrics(self, graph: Graph) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for each in self._finer:
            for vertex in each.tasks(graph):
                path, agg = f"{self._path(vertex)}/subtasks/metrics", each.of_subtasks
                told = self._flink.metrics(path, self._names(path, each.metric), f"&agg={agg}")
                found.setdefault(vertex.id, {}).update(numbers(told, agg))
        return found

    def _names(self, path: str, metric: str | re.Pattern[str]) -> list[str]:
        if isinstance(metric, str):
            return [metric]
        return [name for name in self._flink.names(path) if metric.search(name)]

    def _path(self, vertex: Vertex) -> str:
        return f"/jobs/{self.job.id}/vertices/{vertex.id}"


def successor(job: Job) -> Job:
    """Return the live job that has taken the place of this one under its name, or else this one."""
    name = job.settings.named(job.name)
    entries = flink_reader.of(job.settings).jobs(live=True)
    ids = [entry["jid"] for entry in entries if entry["name"] == name]
    return Job(ids[0], job.name, job.settings) if ids else job


def _counted(metrics: Mapping[str, Any]) -> Counted:
    read, written = (
        float(metrics[f"{way}-records"]) if metrics[f"{way}-records-complete"] else None for way in ("read", "write")
    )
    return Counted(read, written)


def _spent(metrics: Mapping[str, Any]) -> Spent:
    return Spent(*(float(metrics[f"accumulated-{what}-time"]) for what in ("busy", "backpressured", "idle")))


def numbers(answer: Iterable[Mapping[str, Any]], field_name: str) -> dict[str, float]:
    """Return Flink's list of metrics by their names; what has no number there is left out."""
    found = {entry["id"]: float(entry.get(field_name, "nan")) for entry in answer}
    return {name: value for name, value in found.items() if value == value}
