"""Answers as Flink 2.3 gave them, shortened."""

import pytest

from kernel_lib import placement
from kernel_lib.job_graph import Vertex


def subtask(number: int, status: str, taskmanager: str) -> dict[str, object]:
    return {"subtask": number, "status": status, "attempt": 0, "taskmanager-id": taskmanager}


def test_a_subtask_runs_on_the_taskmanager_that_flink_names_and_one_that_does_not_run_on_none() -> None:
    subtasks = [
        subtask(0, "RUNNING", "flink-taskmanager-2"),
        subtask(1, "INITIALIZING", "flink-taskmanager-1"),
        subtask(2, "SCHEDULED", "(unassigned)"),
    ]
    assert placement.running({"name": "report", "subtasks": subtasks}) == {0: "flink-taskmanager-2"}


@pytest.mark.parametrize(("names", "found"), [("report", 1), ("report -> reports: Writer", 1), ("reports: Writer", 0)])
def test_the_task_of_an_operator_is_found_alone_and_in_a_chain(names: str, found: int) -> None:
    vertices = tuple(Vertex(name, name, 2, "RUNNING", 120) for name in ("count", names))
    assert placement.task_of("report", vertices) == (vertices[1] if found else None)
