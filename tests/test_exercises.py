import math
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kernel_lib.errors import JobFailed
from kernel_lib.exercises import first_job, trial, watermarks
from kernel_lib.exercises.cockpit import judge_trouble
from kernel_lib.exercises.first_job import judge_carts
from kernel_lib.exercises.watermarks import judge_watermark
from kernel_lib.services import ServiceStatus
from tests.odd_values import NO_NUMBERS, NO_TEXTS


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
        ([RIGHT[0], answer(SENT[2], milliseconds=10**400)], "milliseconds = 1000"),
        ([RIGHT[0], answer(SENT[2], milliseconds=[1234])], "milliseconds = [1234]"),
        ([RIGHT[0], answer(SENT[2], milliseconds=None)], "milliseconds = None"),
        ([RIGHT[0], answer(SENT[2], milliseconds=True)], "milliseconds = True"),
        ([RIGHT[0], answer(SENT[2], userId=["user-2"], eventType={})], "userId or eventType is not the event's own"),
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


@pytest.mark.parametrize("odd", [None, 3, math.nan, "count_events", ["carts"], {}], ids=repr)
def test_what_is_no_function_is_refused_before_a_job_starts(odd: Any) -> None:
    refused = first_job.refusal(odd)
    assert refused is not None
    assert "is no function" in refused.words
    assert first_job.refusal(len) is None


def endless(event: dict[str, Any]) -> None:
    while event["eventType"] == "purchase":
        pass


def broken(event: dict[str, Any]) -> None:
    raise KeyError(event["type"])


@pytest.mark.parametrize(
    ("function", "comes_back"), [(endless, False), (broken, True), (dict, True), (str.upper, True), ({}.get, True)]
)
def test_a_function_that_does_not_return_is_found_out_before_it_takes_a_taskmanager(
    function: Any, comes_back: bool
) -> None:
    assert trial.comes_back(function, SENT, seconds=60 if comes_back else 1) is comes_back


def test_a_function_that_cannot_be_sent_says_why() -> None:
    lock = threading.Lock()
    with pytest.raises(JobFailed, match="cannot be sent to the cluster"):
        trial.comes_back(lambda event: {"locked": lock.locked()}, SENT, seconds=60)


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
    nothing = "Every service that should run does, so there is no trouble to name"
    assert f"{nothing}. Look at" in judge_trouble("kafka-1", "healthy", BOARD[:1]).words
    assert f"{nothing}; spare waits for a later lesson. Look" in judge_trouble("spare", "stopped", BOARD[::2]).words


@pytest.mark.parametrize("odd", NO_TEXTS, ids=repr)
def test_a_service_or_state_that_is_no_text_is_told_in_words(odd: Any) -> None:
    assert f"service = {odd!r} is no text" in judge_trouble(odd, "stopped", BOARD).words
    assert f"state = {odd!r} is no text" in judge_trouble("kafka-2", odd, BOARD).words


FLOWING = watermarks.Seen(
    partition=4, silent_at=1000.0, ended_at=1007.0, watermark_at=1003.0, waits=[4.9, 4.1], sent=500, dropped=0
)
FROZEN = replace(FLOWING, waits=[None, None], ended_at=1013.0)


@pytest.mark.parametrize(("bound", "idle", "slowest"), [(3.5, 3.0, 4.9), (4, 8, 9.9), (9.0, 0.5, 10.0)])
def test_windows_that_close_in_time_and_lose_nothing_are_right(bound: float, idle: float, slowest: float) -> None:
    verdict = judge_watermark(bound, idle, replace(FLOWING, waits=[4.0, slowest]))
    assert verdict.state == "right"
    assert "All 500 events" in verdict.words


@pytest.mark.parametrize(
    ("bound", "idle", "seen", "words"),
    [
        (1.0, None, FROZEN, "stands still at 00:16:43 UTC because partition 4 has been silent for 13 s"),
        (1.0, None, replace(FROZEN, watermark_at=None), "The job has no watermark because partition 4"),
        (1.0, 30.0, FROZEN, "no result within 10 s: the job waits 30 s for partition 4. Look at: idle_timeout"),
        (20.0, 3.0, FROZEN, "no result within 10 s: the job waits 20 s for events that might be late"),
        (3.5, 11.0, replace(FLOWING, waits=[12.04, 11.1]), "its result 12.0 s later: the job waits 11 s for part"),
        (0.5, 3.0, replace(FLOWING, dropped=41), "41 of 500 events came after their window had closed"),
    ],
)
def test_what_keeps_windows_open_or_loses_events_is_named(
    bound: float, idle: float | None, seen: watermarks.Seen, words: str
) -> None:
    verdict = judge_watermark(bound, idle, seen)
    assert verdict.state == "not yet"
    assert words in verdict.words


@pytest.mark.parametrize(
    ("bound", "idle", "seen"),
    [(3.5, 3.0, replace(FLOWING, waits=[4.0, 10.2])), (1.0, 6.0, replace(FLOWING, waits=[4.0, None]))],
)
def test_a_wait_that_the_settings_do_not_explain_is_not_the_learner_s(
    bound: float, idle: float, seen: watermarks.Seen
) -> None:
    verdict = judge_watermark(bound, idle, seen)
    assert verdict.state == "not checked"
    assert "your settings do not explain it: the cluster was slow. Try: ./course status" in verdict.words


@pytest.mark.parametrize("odd", [-1, None, *NO_NUMBERS], ids=repr)
def test_a_bound_that_no_job_can_have_is_refused_before_a_job_starts(odd: Any) -> None:
    refused = watermarks.refusal(odd, 3)
    assert refused is not None
    assert f"out_of_orderness_seconds = {odd!r} is no number of seconds" in refused.words


@pytest.mark.parametrize("odd", [0, -1, 1e-9, "never", *NO_NUMBERS], ids=repr)
def test_a_time_out_that_no_job_can_have_is_refused_before_a_job_starts(odd: Any) -> None:
    refused = watermarks.refusal(3, odd)
    assert refused is not None
    assert f"idle_timeout_seconds = {odd!r} is no time-out" in refused.words


@pytest.mark.parametrize(("bound", "idle"), [(0, None), (np.float64(3.5), np.int64(3)), (86_400, 0.001)])
def test_any_other_numbers_are_tried(bound: Any, idle: Any) -> None:
    assert watermarks.refusal(bound, idle) is None
