import json
from typing import Any

import pytest

from flink_jobs import map_events

EVENT = '{"eventId": "run-1", "page": "/home"}'


def test_the_result_keeps_the_event_s_id() -> None:
    """Fails when the id of the event is not put before what the function returned."""
    assert map_events.apply(lambda event: {"path": event["page"]}, EVENT) == '{"eventId":"run-1","path":"/home"}'


def test_a_function_that_empties_the_event_does_not_take_its_id_away() -> None:
    """Fails when the id is read after the function has run."""

    def emptied(event: dict[str, Any]) -> dict[str, Any]:
        event.clear()
        return event

    assert map_events.apply(emptied, EVENT) == '{"eventId":"run-1"}'


def test_a_function_may_set_an_id_of_its_own() -> None:
    """Fails when the event's id wins over the function's."""
    assert json.loads(map_events.apply(lambda event: {"eventId": "mine"}, EVENT) or "") == {"eventId": "mine"}


def test_none_drops_the_event() -> None:
    """Fails when None becomes a result with nothing but the id."""
    assert map_events.apply(lambda event: None, EVENT) is None


@pytest.mark.parametrize("value", [None, "", "garbage", "[1]", "17", "null", '{"eventId":', '"text"'])
def test_what_is_no_json_object_is_skipped_and_never_reaches_the_function(value: str | None) -> None:
    """Fails when what cannot be parsed becomes an empty event, or a list or a number passes for one."""

    def never(event: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError(event)

    assert map_events.apply(never, value) is None


def test_an_error_names_the_function_the_place_and_the_event() -> None:
    """Fails when the place is where the function was called instead of where it raised."""

    def helper(event: dict[str, Any]) -> Any:
        return event["nope"]

    def enrich(event: dict[str, Any]) -> dict[str, Any]:
        return {"a": helper(event)}

    with pytest.raises(map_events.FunctionFailed) as failure:
        map_events.apply(enrich, EVENT)
    said = str(failure.value)
    assert said.startswith("enrich raised KeyError: 'nope', at File ")
    assert ", in helper, for the event " + EVENT in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (17, "TypeError: it returned int, and must return a dict or None, for the event"),
        ("text", "TypeError: it returned str, and must return a dict or None, for the event"),
        ([1], "TypeError: it returned list, and must return a dict or None, for the event"),
        ({"a": {1}}, "TypeError: Object of type set is not JSON serializable"),
        ({"a": float("nan")}, "ValueError: Out of range float values"),
    ],
)
def test_a_result_that_cannot_be_written_is_the_function_s_error(result: Any, said: str) -> None:
    """Fails when NaN is written as it is, or without the check that the result is a dict."""
    with pytest.raises(map_events.FunctionFailed, match=f"<lambda> raised {said}"):
        map_events.apply(lambda event: result, EVENT)


def test_a_long_event_is_shown_in_part() -> None:
    """Fails when the event is not cut."""

    def broken(event: dict[str, Any]) -> None:
        raise ValueError("two\nlines")

    with pytest.raises(map_events.FunctionFailed) as failure:
        map_events.apply(broken, json.dumps({"text": "x" * 10_000}))
    assert len(str(failure.value)) < 1000
    assert "ValueError: two lines" in str(failure.value)
