from typing import Any

import pytest

from flink_jobs import columns, trace_fraud
from flink_jobs.payments import PARAMETERS
from flink_jobs.trace_fraud import PATTERNS, Attempt, Told, advance, expire
from kernel_lib import oracle_patterns

CARD_TESTING, TWO_CITIES, BURST, FORCED = PATTERNS
BERLIN, TOKYO = {"lat": 52.52, "lon": 13.40}, {"lat": 35.68, "lon": 139.69}


def payment(at: int, **fields: Any) -> dict[str, Any]:
    usual = {"userId": "u", "amount": 20.0, "merchantId": "m", "status": "completed", "city": "Berlin", **BERLIN}
    return {"eventId": f"e-{at}", "timeMs": at, "sentAt": at, **usual, **PARAMETERS, **fields}


def told(pattern: trace_fraud.Pattern, *steps: dict[str, Any]) -> list[tuple[str, int]]:
    """Return what is told of each payment in turn: outcome and stage."""
    attempts: list[Attempt] = []
    said: list[Told] = []
    for step in steps:
        attempts, news = advance(pattern, attempts, step)
        said += news
    return [(each.outcome, len(each.attempt)) for each in said]


def test_patterns_have_the_stages_of_the_frauds() -> None:
    assert {pattern.name: pattern.stages for pattern in PATTERNS} == oracle_patterns.STEPS


def test_a_card_testing_lights_up_stage_by_stage() -> None:
    steps = [payment(0, amount=1.0), *(payment(at, amount=500.0) for at in (1, 2, 3))]
    assert told(CARD_TESTING, *steps) == [("advanced", 1), ("advanced", 2), ("advanced", 3), ("matched", 4)]


def test_a_payment_that_does_not_fit_breaks_an_attempt() -> None:
    assert told(CARD_TESTING, payment(0, amount=1.0), payment(1)) == [("advanced", 1), ("broken", 1)]


def test_an_attempt_lives_by_the_limits_of_its_first_payment() -> None:
    steps = [payment(at, amount=600.0, large_amount=1000.0) for at in (1, 2, 3)]
    assert told(CARD_TESTING, payment(0, amount=1.0), *steps)[-1] == ("matched", 4)
    slow = payment(0, amount=1.0, testing_seconds=1.0), payment(1_001, amount=600.0)
    assert told(CARD_TESTING, *slow) == [("advanced", 1), ("timed out", 1)]


def test_the_last_four_of_five_failures_count() -> None:
    failed = [payment(at, status="failed") for at in range(5)]
    assert told(FORCED, *failed, payment(5)) == [*(("advanced", n) for n in (1, 2, 3, 4, 4)), ("matched", 5)]


def test_a_match_ends_all_attempts() -> None:
    found = told(BURST, *(payment(at) for at in range(16)))
    assert [stage for outcome, stage in found if outcome == "matched"] == [8, 8]


def test_two_cities_are_told_only_when_they_match_and_payments_without_place_are_left_out() -> None:
    online = payment(1, lat=None, lon=None)
    assert told(TWO_CITIES, payment(0), online, payment(2, **TOKYO)) == [("matched", 2)]
    assert told(TWO_CITIES, payment(0), payment(1)) == []


@pytest.mark.parametrize(("now_ms", "left"), [(5_000, 1), (5_001, 0)])
def test_time_is_up_after_the_deadline(now_ms: int, left: int) -> None:
    attempts, said = expire(BURST, [[payment(0), payment(1)]], now_ms)
    assert len(attempts) == left
    assert [each.outcome for each in said] == [] if left else ["timed out"]


def test_the_distance_from_berlin_to_tokyo() -> None:
    assert round(trace_fraud.kilometres(payment(0), payment(1, **TOKYO))) == 8917


def test_a_row_says_the_stage_the_payments_and_what_did_it() -> None:
    attempt = [payment(0, status="failed"), payment(1, status="failed")]
    row = trace_fraud.stage_row(Told(FORCED, "advanced", attempt), attempt[-1])
    names = columns.names(trace_fraud.STAGE)
    assert dict(zip(names, row, strict=True)) == {
        "kind": "fraud stage",
        "pattern": "forced",
        "userId": "u",
        "outcome": "advanced",
        "stage": 2,
        "stages": 5,
        "eventId": "e-1",
        "timestamp": "1970-01-01T00:00:00.001Z",
        "eventIds": ["e-0", "e-1"],
        "sentAt": 1,
    }


def test_a_time_out_is_told_at_the_deadline_whatever_shows_it() -> None:
    first = payment(0, status="failed")
    late = trace_fraud.stage_row(Told(FORCED, "timed out", [first]), payment(99_999))
    assert (late[6], late[7]) == (None, "1970-01-01T00:00:10.001Z")


def test_attempts_that_time_out_are_told_one_by_one_as_each_becomes_the_longest() -> None:
    attempts = [[payment(0), payment(1), payment(2)], [payment(1), payment(2)], [payment(2)]]
    left, said = expire(BURST, attempts, 60_000)
    assert left == []
    assert [len(each.attempt) for each in said] == [3, 2]
