from typing import Any

from flink_jobs import event_time

EVENT: dict[str, Any] = {"eventId": "r-1", "sentAt": 1, "page": "/books/1"}


def test_an_event_waits_beside_others_of_its_time() -> None:
    other = {**EVENT, "page": "/books/2"}
    assert event_time.with_event([[EVENT, 5]], other, 7) == [[EVENT, 5], [other, 7]]


def test_an_event_that_says_the_same_again_is_left_out() -> None:
    assert event_time.with_event([[EVENT, 5]], {**EVENT, "eventId": "r-9", "sentAt": 9}, 7) == [[EVENT, 5]]
