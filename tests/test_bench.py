import json
from pathlib import Path

import pytest

from infra.bench import figures
from infra.bench.figures import Figure


@pytest.mark.parametrize(
    ("value", "goal", "reached"),
    [
        (120_000, "> 100,000", True),
        (99_999, "> 100,000", False),
        (80, "< 80", True),
        (81, "< 80", False),
        (5, "", True),
    ],
)
def test_a_goal_is_reached_or_missed(value: float, goal: str, reached: bool) -> None:
    assert Figure("x", value, goal).reached == reached


def test_the_json_is_one_flat_object_of_numbers(tmp_path: Path) -> None:
    figures.write_json([Figure("knob_p95_ms", 71.23456), Figure("submit_seconds", 1.0)], tmp_path / "bench.json")
    assert json.loads((tmp_path / "bench.json").read_text()) == {"knob_p95_ms": 71.2346, "submit_seconds": 1.0}


def test_a_quantile_is_one_of_the_values() -> None:
    assert [figures.quantile([4, 1, 3, 2], share) for share in (0, 0.5, 0.95, 1)] == [1, 3, 4, 4]


def test_the_machine_is_named_with_cores_memory_and_load() -> None:
    assert all(word in figures.machine() for word in ("cores of", "GiB", "Python 3", "load"))
