from collections.abc import Callable

import pytest

from kernel_lib import controls
from kernel_lib.control_topic import Acknowledgement, Parameters, Value, checked, complete
from kernel_lib.controls import Applied
from kernel_lib.errors import ConfigurationError, ServiceUnavailable
from kernel_lib.settings import Settings, load

DECLARED: Parameters = {"limit": 5.0, "name": "", "strict": False, "attempts": 3}


def said(subtask: int, parallelism: int) -> Acknowledgement:
    return Acknowledgement("a", 1, subtask, parallelism, {})


@pytest.mark.parametrize(
    ("found", "enough"),
    [
        ([], False),
        ([said(0, 1)], True),
        ([said(1, 2)], False),
        ([said(1, 2), said(1, 2)], False),
        ([said(1, 2), said(0, 2)], True),
        ([said(0, 2), said(1, 3), said(2, 3)], False),
        ([said(0, 2), said(0, 3), said(1, 3), said(2, 3)], True),
    ],
)
def test_a_change_is_in_force_when_every_subtask_has_said_so(found: list[Acknowledgement], enough: bool) -> None:
    assert complete(found) is enough


@pytest.mark.parametrize(("name", "value"), [("limit", 1.5), ("name", "x"), ("strict", True), ("attempts", 0)])
def test_a_value_of_the_declared_type_is_taken(name: str, value: Value) -> None:
    assert checked("a", DECLARED, name, value) == value


def test_a_whole_number_is_a_number() -> None:
    assert repr(checked("a", DECLARED, "limit", 2)) == "2.0"


@pytest.mark.parametrize(
    ("name", "value", "cause"),
    [
        ("limit", "many", "it takes a number"),
        ("limit", float("nan"), "it takes a number"),
        ("limit", float("inf"), "it takes a number"),
        ("limit", True, "it takes a number"),
        ("name", 7, "it takes a text"),
        ("strict", 1, "it takes True or False"),
        ("attempts", 1.5, "it takes a whole number"),
        ("limmit", 1.0, "its parameters: limit, name, strict, attempts"),
    ],
)
def test_what_the_job_does_not_take_is_refused_in_words(name: str, value: Value, cause: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as refusal:
        checked("a", DECLARED, name, value)
    assert cause in refusal.value.cause


def test_a_change_says_in_one_line_what_is_in_force_where_and_how_fast() -> None:
    applied = Applied("a", {"limit": 2.0}, {"limit": 2.0, "name": ""}, 7, 48.4, 2)
    assert applied.text == "limit = 2.0: in force in 2 subtasks after 48 ms"


@pytest.mark.parametrize(
    "call", [lambda s: controls.set("a", limit=1, settings=s), lambda s: controls.get("a", settings=s)]
)
def test_flink_down_is_said(empty_home: object, unused_port: int, call: Callable[[Settings], object]) -> None:
    url = f"http://127.0.0.1:{unused_port}"
    with pytest.raises(ServiceUnavailable, match="Flink at"):
        call(load(kafka_bootstrap_servers="b:1", flink_jobmanager_url=url, elasticsearch_url="http://e"))
