from typing import Any

import pytest

from kernel_lib.exercises.cockpit import judge_trouble
from kernel_lib.exercises.first_job import judge_carts
from kernel_lib.services import ServiceStatus


def event(number: int, kind: str) -> dict[str, Any]:
    return {"eventId": f"run-{number}", "eventType": kind, "userId": f"user-{number}", "duration": 1.2345}


SENT = [event(0, "page_view"), event(1, "purchase"), event(2, "add_to_cart")]


def answer(sent: dict[str, Any], **changed: Any) -> dict[str, Any]:
    kept = {name: sent[name] for name in ("eventId", "userId", "eventType")}
    return kept | {"milliseconds": round(sent["duration"] * 1000)} | changed


RIGHT = [answer(SENT[1]), answer(SENT[2])]


def test_a_right_answer_is_right() -> None:
    assert judge_carts(SENT, RIGHT).state == "right"


def test_another_way_of_rounding_is_right_too() -> None:
    results = [answer(SENT[1], milliseconds=int(1.2345 * 1000 + 0.5)), answer(SENT[2])]
    assert judge_carts(SENT, results).state == "right"


@pytest.mark.parametrize(
    ("results", "words"),
    [
        (SENT, "1 of your 3 results come from other events, for example page_view"),
        (RIGHT[:1], "1 of the 2 carts and purchases are missing"),
        ([], "2 of the 2 carts and purchases are missing"),
        ([RIGHT[0], answer(SENT[2], page="/")], "has page too many"),
        ([RIGHT[0], answer(SENT[2], milliseconds=1.2345)], "A duration of 1.2345 s became milliseconds = 1.2345"),
        ([RIGHT[0], answer(SENT[2], milliseconds=1234.5)], "milliseconds = 1234.5"),
        ([RIGHT[0], answer(SENT[2], userId="somebody")], "userId or eventType is not the event's own"),
    ],
)
def test_a_wrong_answer_hears_what_is_wrong(results: list[dict[str, Any]], words: str) -> None:
    verdict = judge_carts(SENT, results)
    assert verdict.state == "not yet"
    assert words in verdict.words


def test_the_same_result_twice_is_not_right() -> None:
    verdict = judge_carts(SENT, [*RIGHT, RIGHT[0]])
    assert verdict.state == "not yet"
    assert "more than once" in verdict.words


def status(name: str, state: str, reason: str = "was stopped or killed") -> ServiceStatus:
    return ServiceStatus(name, state, "127.0.0.1:1", reason, "start it", 0, 0)


BOARD = [status("kafka-1", "healthy", ""), status("kafka-2", "stopped"), status("spare", "stopped", "not started")]


@pytest.mark.parametrize(
    ("service", "state", "words"),
    [
        ("kafka-1", "stopped", "'kafka-1' is not the one in trouble"),
        ("spare", "stopped", "'spare' is not the one in trouble"),
        ("kafka-2", "paused", "kafka-2 is not 'paused'"),
    ],
)
def test_a_wrong_name_or_state_is_not_yet(service: str, state: str, words: str) -> None:
    assert words in judge_trouble(service, state, BOARD).words


def test_the_service_in_trouble_and_its_state_are_right() -> None:
    assert judge_trouble("kafka-2", "stopped", BOARD).state == "right"


def test_there_is_nothing_to_name_while_all_is_well() -> None:
    assert "All services are healthy" in judge_trouble("kafka-1", "healthy", BOARD[:1]).words
