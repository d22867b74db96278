"""Read which TaskManager runs each subtask of one operator of a job.

>>> placement.read(job, "report").taskmanagers
{0: 'flink-taskmanager-1', 1: 'flink-taskmanager-2'}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernel_lib import cluster, flink_reader, job_graph, task_metrics
from kernel_lib.errors import NotFound
from kernel_lib.job import Job
from kernel_lib.job_graph import Vertex


@dataclass(frozen=True)
class Placement:
    """A job's state, and by subtask the service that runs it in one of its slots; one that does not run is left out."""

    state: str
    taskmanagers: Mapping[int, str]


def read(job: Job, operator: str) -> Placement:
    """Return where the subtasks of an operator run now, of the job or of the live one that has taken its place.

    Raises ServiceUnavailable, NotFound for an unknown job and for one without the operator.
    """
    flink = flink_reader.of(job.settings)
    found = flink.details(job.id).body
    if found["state"] not in cluster.LIVE_STATES:
        job = task_metrics.successor(job)
        found = flink.details(job.id).body
    vertices = job_graph.of(found).vertices
    if not vertices:  # it is not scheduled yet
        return Placement(found["state"], {})
    vertex = task_of(operator, vertices)
    if vertex is None:
        raise NotFound(
            f"Job {job.name} has no operator {operator}.",
            cause=f"its tasks are {', '.join(each.name for each in vertices)}",
            remedy="name a job that has one",
        )
    return Placement(found["state"], running(flink.get(f"/jobs/{job.id}/vertices/{vertex.id}")))


def task_of(operator: str, vertices: tuple[Vertex, ...]) -> Vertex | None:
    """Return the task that runs an operator, alone or chained with others; None if no task does."""
    return next((vertex for vertex in vertices if operator in vertex.name.split(" -> ")), None)


def running(answer: Mapping[str, Any]) -> dict[int, str]:
    """Return what GET /jobs/:id/vertices/:vertex answers as the TaskManagers of the subtasks that run."""
    subtasks = [each for each in answer["subtasks"] if each["status"] == "RUNNING"]
    return {each["subtask"]: each["taskmanager-id"] for each in subtasks}
