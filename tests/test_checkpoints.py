"""Answers as Flink 2.3 gave them, shortened."""

from dataclasses import replace
from typing import Any

import pytest

from kernel_lib import checkpoints
from kernel_lib.checkpoints import Checkpoint, CheckpointReader, Counts, Restore, Spent
from kernel_lib.job import Job
from kernel_lib.job_graph import Graph, Vertex
from kernel_lib.settings import load

COMPLETED: dict[str, Any] = {
    "className": "completed",
    "id": 67,
    "status": "COMPLETED",
    "is_savepoint": False,
    "trigger_timestamp": 1795395098213,
    "latest_ack_timestamp": 1795395098282,
    "checkpointed_size": 9065,
    "state_size": 9065,
    "end_to_end_duration": 69,
    "alignment_buffered": 0,
    "processed_data": 0,
    "persisted_data": 0,
    "num_subtasks": 11,
    "num_acknowledged_subtasks": 11,
    "checkpoint_type": "CHECKPOINT",
}
FAILED = COMPLETED | {"id": 68, "status": "FAILED", "failure_message": "Checkpoint expired before completing."}
SAVEPOINT = COMPLETED | {"id": 66, "is_savepoint": True, "checkpoint_type": "SAVEPOINT"}
UNALIGNED = COMPLETED | {"checkpoint_type": "UNALIGNED_CHECKPOINT", "processed_data": 900, "persisted_data": 700}
PENDING = COMPLETED | {"id": 69, "status": "IN_PROGRESS", "end_to_end_duration": -1, "num_acknowledged_subtasks": 3}
RESTORED = {"id": 25, "restore_timestamp": 1795395053183, "is_savepoint": False}


def answer(*history: dict[str, Any], failed: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "counts": {"restored": 1, "total": 73, "in_progress": 0, "completed": 67, "failed": 6},
        "latest": {"completed": COMPLETED, "savepoint": None, "failed": failed, "restored": RESTORED},
        "history": list(history),
    }


def statistics(most: float) -> dict[str, Any]:
    return {"min": 0, "max": most, "avg": most, "p50": "NaN"}


def test_an_answer_becomes_counts_checkpoints_by_id_and_the_last_restore() -> None:
    found = checkpoints.parsed(answer(COMPLETED, SAVEPOINT), "RUNNING", "")
    assert found.counts == Counts(total=73, completed=67, failed=6, restored=1)
    assert [each.id for each in found.history] == [66, 67]
    assert found.restore == Restore(1795395053.183, 25, False)
    assert found.history[1] == Checkpoint(
        67, "completed", False, "checkpoint", 1795395098.213, 69.0, 9065, 9065, 0, 0, 11, 11
    )


def test_a_savepoint_a_failure_and_one_under_way_are_told_apart() -> None:
    savepoint, failed, pending = checkpoints.parsed(answer(SAVEPOINT, FAILED, PENDING), "RUNNING", "").history
    assert (savepoint.savepoint, savepoint.kind) == (True, "savepoint")
    assert (failed.status, failed.failure) == ("failed", "Checkpoint expired before completing.")
    assert (pending.status, pending.milliseconds, pending.acknowledged) == ("under way", 0.0, 3)


def test_an_unaligned_checkpoint_is_told_from_an_aligned_one() -> None:
    aligned, savepoint, unaligned = (
        checkpoints.parsed(answer(entry), "RUNNING", "").history[0] for entry in (COMPLETED, SAVEPOINT, UNALIGNED)
    )
    assert (aligned.unaligned, savepoint.unaligned, unaligned.unaligned) == (False, False, True)
    assert (unaligned.in_flight, unaligned.persisted) == (900, 700)


def test_the_slowest_task_need_not_be_the_one_that_aligned_longest() -> None:
    tasks = (Spent("read", 20, 1, 0, 2, 3), Spent("count", 30, 1, 25, 2, 3), Spent("write", 60, 50, 0, 2, 3))
    found = replace(checkpoints.parsed(answer(COMPLETED), "RUNNING", "").history[0], tasks=tasks)
    assert (found.slowest, found.longest_aligned) == (tasks[2], tasks[1])


def test_the_last_failure_is_known_when_it_has_left_the_history() -> None:
    last = checkpoints.parsed(answer(COMPLETED, failed=FAILED), "RUNNING", "").last_failed
    assert last
    assert last.failure == "Checkpoint expired before completing."


def test_a_task_s_time_is_taken_apart() -> None:
    summary = {
        "end_to_end_duration": statistics(92),
        "start_delay": statistics(15),
        "alignment": {"duration": statistics(-1)},
        "checkpoint_duration": {"sync": statistics(1), "async": statistics(3)},
    }
    assert checkpoints.spent("count", summary) == Spent("count", 92.0, 15.0, 0.0, 1.0, 3.0)


@pytest.mark.usefixtures("empty_home")
def test_counts_go_on_where_a_lost_jobmanager_left_them() -> None:
    away = load(kafka_bootstrap_servers="b:1", flink_jobmanager_url="http://f", elasticsearch_url="http://e")
    reader = CheckpointReader(Job("1", "count_events", away))
    assert reader._added(Counts(10, 9, 1, 0)) == Counts(10, 9, 1, 0)
    assert reader._added(Counts(2, 2, 0, 1)) == Counts(12, 11, 1, 1)
    assert reader._added(Counts(3, 3, 0, 1)) == Counts(13, 12, 1, 1)


def test_only_the_slowest_task_is_asked_and_those_where_barriers_meet() -> None:
    names = {"source": 2, "control": 1, "count": 1, "map": 1, "write": 1}
    vertices = tuple(Vertex(name, name, parallelism, "RUNNING", 120) for name, parallelism in names.items())
    graph = Graph(vertices, (("source", "count"), ("count", "map"), ("map", "write")))
    took = {"source": 4.0, "count": 5.0, "map": 6.0, "write": 90.0}
    assert checkpoints.telling(took, graph) == ["count", "write"], "of one input there is one barrier"
    joined = Graph(vertices, (("count", "map"), ("control", "map"), ("map", "write")))
    assert checkpoints.telling(took, joined) == ["map", "write"]
    assert checkpoints.telling({}, graph) == []
