"""Read the checkpoints of a Flink job: how long each took, how large it was, why it failed, what was restored.

    >>> read = checkpoints.CheckpointReader(job)
    >>> read().counts.completed
    42

Flink tells the last ten checkpoints, so that a reader is called at least every ten. Its counts begin anew when
the JobManager is lost; the reader adds up what it was told before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from kernel_lib import cluster, flink_reader, job_graph
from kernel_lib.dataflow import task_label
from kernel_lib.errors import NotFound
from kernel_lib.job import Job
from kernel_lib.job_graph import Graph

# A job that waits to be restarted is CREATED again.
BROKEN = ("FAILED", "FAILING", "RESTARTING", "CREATED")
STATUSES = {"COMPLETED": "completed", "FAILED": "failed", "IN_PROGRESS": "under way"}


@dataclass(frozen=True)
class Spent:
    """How long a task took for a checkpoint, and what the time went to (milliseconds); the most of its subtasks.

    `start_delay` is how long the barrier was on its way to the task, `alignment` how long it waited for the barriers of
    its other inputs; `sync` stops the task, `parallel` (Flink's "async") does not.
    """

    task: str
    duration: float
    start_delay: float
    alignment: float
    sync: float
    parallel: float


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint or savepoint; times are epoch seconds, sizes bytes. `failure` says why it failed.

    `status` is "completed", "failed" or "under way"; `milliseconds` go from the trigger to the last acknowledgement.
    `written` is less than `state` where a checkpoint builds on the one before. `in_flight` went through alignment,
    and `persisted` of it is in the checkpoint (unaligned ones only). `tasks` are those that were asked for.
    """

    id: int
    status: str
    savepoint: bool
    kind: str
    triggered_at: float
    milliseconds: float
    state: int
    written: int
    in_flight: int
    persisted: int
    acknowledged: int
    subtasks: int
    failure: str = ""
    tasks: tuple[Spent, ...] = ()

    @property
    def unaligned(self) -> bool:
        """Whether barriers overtook records in at least one subtask, which are then in the checkpoint."""
        return self.kind == "unaligned checkpoint"

    @property
    def slowest(self) -> Spent | None:
        """The task that took longest; None if no task was asked for."""
        return max(self.tasks, key=lambda task: task.duration, default=None)

    @property
    def longest_aligned(self) -> Spent | None:
        """The task that waited longest between its first and its last barrier; None if no task was asked for."""
        return max(self.tasks, key=lambda task: task.alignment, default=None)


@dataclass(frozen=True)
class Restore:
    """When a job went on from a checkpoint or savepoint (epoch seconds), from which, and what had broken it."""

    at: float
    checkpoint: int
    savepoint: bool
    reason: str = ""


@dataclass(frozen=True)
class Counts:
    """How many checkpoints were tried, completed and failed, and how often the job was restored.

    Those count as failed, too, that could not begin because a task was not running: Flink keeps no record of them.
    """

    total: int = 0
    completed: int = 0
    failed: int = 0
    restored: int = 0

    def plus(self, other: Counts) -> Counts:
        """Return the sum."""
        return Counts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


@dataclass(frozen=True)
class Reading:
    """What Flink says now: the job's state and why it is in it, and its checkpoints; `history` is by id.

    One is due every `interval_ms`.
    """

    state: str
    reason: str
    counts: Counts
    history: tuple[Checkpoint, ...]
    last_completed: Checkpoint | None = None
    last_failed: Checkpoint | None = None
    restore: Restore | None = None
    interval_ms: float | None = None


class CheckpointReader:
    """Read a job's checkpoints at each call; the newest complete one comes with its tasks."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._flink = flink_reader.of(job.settings)
        self._parameters: dict[str, str] = {}
        self._tasks: tuple[int, tuple[Spent, ...]] = (0, ())
        self._interval_ms: float | None = None
        self._base, self._last = Counts(), Counts()
        self._restore: Restore | None = None

    def __call__(self) -> Reading:
        """Return the checkpoints as they are now; raises ServiceUnavailable, and NotFound for an unknown job."""
        path = f"/jobs/{self.job.id}/checkpoints"
        answer = self._flink.get(path)
        if self._interval_ms is None:
            self._interval_ms = float(self._flink.get(f"{path}/config")["interval"])
        details = self._flink.details(self.job.id).body
        state = details["state"]
        found = parsed(answer, state, self.job.failure() if state in BROKEN else "")
        newest = max((each.id for each in found.history if each.status == "completed"), default=0)
        if newest != self._tasks[0]:
            self._tasks = (newest, self._ask_tasks(f"{path}/details/{newest}", job_graph.of(details)))
        history = tuple(replace(c, tasks=self._tasks[1]) if c.id == newest else c for c in found.history)
        restore = self._with_reason(found.restore) if found.restore else None
        counts = self._added(found.counts)
        return replace(found, history=history, restore=restore, counts=counts, interval_ms=self._interval_ms)

    def _added(self, now: Counts) -> Counts:
        if now.total < self._last.total:
            self._base = self._base.plus(self._last)
        self._last = now
        return self._base.plus(now)

    def _with_reason(self, restore: Restore) -> Restore:
        if self._restore is None or self._restore.at != restore.at:
            self._restore = replace(restore, reason=self.job.failure())
        return self._restore

    def _ask_tasks(self, path: str, graph: Graph) -> tuple[Spent, ...]:
        try:
            return tuple(self._summaries(path, graph))
        except NotFound:  # Flink has dropped its details meanwhile
            return ()

    def _summaries(self, path: str, graph: Graph) -> Iterator[Spent]:
        took = {vertex: task["end_to_end_duration"] for vertex, task in self._flink.get(path)["tasks"].items()}
        self._parameters = self._parameters or self.job.parameters()
        names = {vertex.id: task_label(vertex.name, self._parameters) for vertex in graph.vertices}
        for vertex in telling(took, graph):
            summary = self._flink.get(f"{path}/subtasks/{vertex}")["summary"]
            if summary:
                yield spent(names.get(vertex, vertex), summary)


def telling(took: Mapping[str, float], graph: Graph) -> list[str]:
    """Return the tasks to ask for what their time went to: the slowest, and those that may wait for barriers."""
    subtasks = {vertex.id: vertex.parallelism for vertex in graph.vertices}
    inputs = {vertex: sum(subtasks[a] for a, b in graph.edges if b == vertex) for vertex in took}
    slowest = max(took, key=lambda vertex: took[vertex], default=None)
    return [vertex for vertex in took if vertex == slowest or inputs[vertex] > 1]


def parsed(answer: Mapping[str, Any], state: str, reason: str) -> Reading:
    """Return what GET /jobs/:id/checkpoints answers as a Reading."""
    latest, counts = answer["latest"], answer["counts"]
    restored = latest["restored"]
    return Reading(
        state,
        reason,
        Counts(counts["total"], counts["completed"], counts["failed"], counts["restored"]),
        tuple(sorted(map(_checkpoint, answer["history"]), key=lambda each: each.id)),
        last_completed=_checkpoint(latest["completed"]) if latest["completed"] else None,
        last_failed=_checkpoint(latest["failed"]) if latest["failed"] else None,
        restore=Restore(restored["restore_timestamp"] / 1000, restored["id"], restored["is_savepoint"])
        if restored
        else None,
    )


def spent(task: str, summary: Mapping[str, Any]) -> Spent:
    """Return the summary of a task's subtasks; of each figure the largest, at least 0."""
    duration = summary["checkpoint_duration"]
    figures = (summary["end_to_end_duration"], summary["start_delay"], summary["alignment"]["duration"])
    return Spent(task, *(max(float(each["max"]), 0.0) for each in (*figures, duration["sync"], duration["async"])))


def _checkpoint(entry: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(
        id=entry["id"],
        status=STATUSES[entry["status"]],
        savepoint=entry["is_savepoint"],
        kind=entry["checkpoint_type"].replace("_", " ").lower(),
        triggered_at=entry["trigger_timestamp"] / 1000,
        milliseconds=max(float(entry["end_to_end_duration"]), 0.0),
        state=entry["state_size"],
        written=entry["checkpointed_size"],
        in_flight=entry["processed_data"],
        persisted=entry["persisted_data"],
        acknowledged=entry["num_acknowledged_subtasks"],
        subtasks=entry["num_subtasks"],
        failure=cluster.root_cause(entry.get("failure_message") or ""),
    )
