"""Own what a job's tasks are and how they are connected, as Flink tells it.

>>> graph = job_graph.of(cluster.get(settings, f"/jobs/{job.id}"))
>>> [vertex.name for vertex in graph.sources]
['Source: user-events']
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Vertex:
    """A task of a running job, as Flink runs it; `status` is that of its subtasks taken together."""

    id: str
    name: str
    parallelism: int
    status: str
    maximum_parallelism: int


@dataclass(frozen=True)
class Graph:
    """A job's tasks and the edges between them, as pairs of vertex ids in the direction of the data."""

    vertices: tuple[Vertex, ...]
    edges: tuple[tuple[str, str], ...]

    @property
    def sources(self) -> tuple[Vertex, ...]:
        """The tasks that no other one feeds."""
        fed = {target for _, target in self.edges}
        return tuple(vertex for vertex in self.vertices if vertex.id not in fed)

    @property
    def slots(self) -> int:
        """How many slots the job takes: its widest task, because tasks share slots."""
        return max((vertex.parallelism for vertex in self.vertices), default=0)


def of(answer: Mapping[str, Any]) -> Graph:
    """Return what GET /jobs/:id answers as a graph; of a job that waits for slots Flink tells only the tasks."""
    vertices = (
        Vertex(v["id"], v["name"], v["parallelism"], v["status"], v["maxParallelism"]) for v in answer["vertices"]
    )
    edges = ((i["id"], node["id"]) for node in answer["plan"]["nodes"] for i in node.get("inputs", []))
    return Graph(tuple(vertices), tuple(edges))
