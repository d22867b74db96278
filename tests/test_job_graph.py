from typing import Any

from kernel_lib import job_graph
from kernel_lib.job_graph import Graph, Vertex


def task(key: str, parallelism: int) -> dict[str, Any]:
    return {"id": key, "name": f"task {key}", "parallelism": parallelism, "status": "RUNNING", "maxParallelism": 120}


def test_edges_go_with_the_data_and_what_nobody_feeds_is_a_source() -> None:
    nodes = [{"id": "a"}, {"id": "p"}, {"id": "b", "inputs": [{"id": "a"}, {"id": "p"}]}]
    graph = job_graph.of({"vertices": [task("a", 2), task("p", 1), task("b", 1)], "plan": {"nodes": nodes}})
    assert graph.edges == (("a", "b"), ("p", "b"))
    assert [vertex.id for vertex in graph.sources] == ["a", "p"]
    assert graph.vertices[0] == Vertex("a", "task a", 2, "RUNNING", 120)


def test_tasks_share_slots_so_that_the_widest_one_counts() -> None:
    assert Graph((Vertex("a", "a", 2, "RUNNING", 9), Vertex("b", "b", 3, "RUNNING", 9)), ()).slots == 3
    assert Graph((), ()).slots == 0
