import json
import math
from pathlib import Path

import pytest

from infra.bench import figures, throughput
from infra.bench.figures import Figure


@pytest.mark.parametrize(
    ("value", "goal", "reached"),
    [
        (120_000, "> 100,000", True),
        (99_999, "> 100,000", False),
        (80, "< 80", True),
        (81, "< 80", False),
        (5, "", True),
        (math.nan, "< 80", False),
    ],
)
def test_a_goal_is_reached_or_missed(value: float, goal: str, reached: bool) -> None:
    assert Figure("x", value, goal).reached == reached


def test_the_json_is_one_flat_object_of_numbers(tmp_path: Path) -> None:
    found = [Figure("knob_p95_ms", 71.23456), Figure("submit_seconds", 1.0), Figure("cep_p95_ms", math.nan)]
    figures.write_json(found, tmp_path / "bench.json")
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written == {"knob_p95_ms": 71.2346, "submit_seconds": 1.0, "cep_p95_ms": None}


def test_a_quantile_is_one_of_the_values() -> None:
    assert [figures.quantile([4, 1, 3, 2], share) for share in (0, 0.5, 0.95, 1)] == [1, 3, 4, 4]
    assert math.isnan(figures.quantile([], 0.5))


def test_a_rate_leaves_out_the_beginning_and_the_end_and_samples_that_repeat() -> None:
    middle = [(second, 20 + 10 * second) for second in range(7)]
    repeated = [(second + part, read) for second, read in middle for part in (0.0, 0.1)]
    samples = [(-9.0, 0), (-1.0, 10), *repeated, (30.0, 100)]
    assert throughput.rate(samples) == pytest.approx(10)


def test_what_was_read_at_once_has_no_rate() -> None:
    assert math.isnan(throughput.rate([(0.0, 0), (1.0, 0), (2.0, 100), (2.1, 100)]))


def test_the_machine_is_named_with_cores_memory_and_load() -> None:
    assert all(word in figures.machine() for word in ("cores of", "GiB", "Python 3", "load"))
