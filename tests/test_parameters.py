import json

import pytest

from flink_jobs.parameters import fitting, version_for

DECLARED: dict[str, bool | int | float | str] = {"limit": 5.0, "name": "", "strict": False, "attempts": 3}


def test_a_version_is_for_the_job_that_it_names() -> None:
    record = {"job": "a", "version": 7, "parameters": {"limit": 1.0}}
    assert version_for("a", json.dumps(record)) == record
    assert version_for("b", json.dumps(record)) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "garbage",
        "[1]",
        "null",
        '{"job": "a", "version": 1}',
        '{"job": "a", "parameters": {}}',
        '{"job": "a", "version": 1, "parameters": [1]}',
    ],
)
def test_an_unreadable_record_asks_nothing(value: str | None) -> None:
    assert version_for("a", value) is None


def test_values_of_another_type_and_unknown_names_change_nothing() -> None:
    wanted = {"limit": "many", "name": 7, "strict": 1, "attempts": True, "other": 1}
    assert fitting(DECLARED, wanted) == DECLARED


def test_values_of_the_declared_types_are_taken() -> None:
    wanted = {"limit": 1.5, "name": "x", "strict": True, "attempts": 1}
    assert fitting(DECLARED, wanted) == wanted
