from typing import Any

import pytest

from kernel_lib.cluster import ended_sources

INPUTS = {"events": [], "reference": [], "rows": ["reference"], "join": ["events", "rows"], "sink": ["join"]}


def answer(*finished: str) -> dict[str, Any]:
    """Return what Flink says of a job in which these tasks have finished."""
    nodes = [{"id": task, "inputs": [{"id": each} for each in fed]} for task, fed in INPUTS.items()]
    vertices = [{"id": task, "status": "FINISHED" if task in finished else "RUNNING"} for task in INPUTS]
    return {"plan": {"nodes": nodes}, "vertices": vertices}


@pytest.mark.parametrize(
    ("finished", "sources"),
    [((), 0), (("reference",), None), (("reference", "rows"), 1), (("reference", "rows", "events"), None)],
)
def test_a_source_has_ended_when_the_tasks_fed_by_it_alone_have_too(
    finished: tuple[str, ...], sources: int | None
) -> None:
    assert ended_sources(answer(*finished)) == sources
