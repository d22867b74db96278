"""The right windows, on frames small enough to be checked by eye."""

from datetime import timedelta
from typing import Any

import pandas as pd

from kernel_lib import oracle_windows


def test_a_visit_counts_its_events_its_different_pages_and_its_purchases() -> None:
    rows = [
        ("a", 0, "search", "/search"),
        ("b", 1, "page_view", "/"),
        ("a", 1_000, "purchase", "/checkout"),
        ("a", 900, "page_view", "/checkout"),
        ("a", 2_001, "page_view", "/"),
    ]
    frame = pd.DataFrame(rows, columns=["userId", "timeMs", "eventType", "page"])
    found = oracle_windows.visits(frame, timedelta(seconds=1)).to_dict("records")
    assert found == [
        {"userId": "a", "startMs": 0, "endMs": 2_000, "events": 3, "pages": 2, "purchases": 1},
        {"userId": "b", "startMs": 1, "endMs": 1_001, "events": 1, "pages": 1, "purchases": 0},
        {"userId": "a", "startMs": 2_001, "endMs": 3_001, "events": 1, "pages": 1, "purchases": 0},
    ]


def events(*times_and_keys: tuple[int, str]) -> pd.DataFrame:
    frame = pd.DataFrame(times_and_keys, columns=["timeMs", "eventType"])
    return frame.assign(number=range(len(frame)))


def test_an_event_is_in_every_sliding_window_over_it() -> None:
    counts = oracle_windows.sliding_counts(events((2_500, "a")), timedelta(seconds=2), timedelta(seconds=1))
    assert counts == {(1_000, 3_000, "a"): 1, (2_000, 4_000, "a"): 1}


def test_a_moving_average_is_of_every_sliding_window_over_a_reading() -> None:
    rows = [(100, "power", 1.5, "W"), (1_100, "power", 2.5, "W"), (1_200, "humidity", 50.0, "%")]
    frame = pd.DataFrame(rows, columns=["timeMs", "deviceType", "value", "unit"])
    assert oracle_windows.moving_averages(frame, timedelta(seconds=2), timedelta(seconds=1)) == {
        (-1_000, 1_000, "power"): ("W", 1, 1.5, 1.5, 1.5),
        (0, 2_000, "power"): ("W", 2, 1.5, 2.5, 2.0),
        (0, 2_000, "humidity"): ("%", 1, 50, 50, 50),
        (1_000, 3_000, "power"): ("W", 1, 2.5, 2.5, 2.5),
        (1_000, 3_000, "humidity"): ("%", 1, 50, 50, 50),
    }


def test_an_event_is_in_its_opening_hours_or_its_night() -> None:
    counts = oracle_windows.business_counts(
        events((8_999, "a"), (9_000, "a"), (17_000, "a"), (40_999, "a")), timedelta(seconds=24)
    )
    assert counts == {
        (-7_000, 9_000, "a"): 1,
        (9_000, 17_000, "a"): 1,
        (17_000, 33_000, "a"): 1,
        (33_000, 41_000, "a"): 1,
    }


def test_windows_say_their_counts_early_on_time_and_late() -> None:
    sent = events((0, "a"), (500, "a"), (1_200, "a"), (900, "a"), (800, "b"), (1_600, "a"), (100, "a"))
    bounds: dict[str, Any] = {
        "allowed_lateness": timedelta(milliseconds=500),
        "out_of_orderness": timedelta(milliseconds=100),
    }
    said, late = oracle_windows.firings(sent, size=timedelta(seconds=1), early_every_events=2, **bounds)
    assert said == [
        (0, 1_000, "a", 1, "early", 2),
        (0, 1_000, "a", 2, "on time", 2),
        (0, 1_000, "a", 3, "late", 3),
        (0, 1_000, "b", 1, "late", 1),
        (1_000, 2_000, "a", 1, "early", 2),
        (1_000, 2_000, "a", 2, "on time", 2),
    ]
    assert late == [6]


def test_only_completed_payments_are_added_up() -> None:
    rows = [("EUR", 0.1, "completed"), ("EUR", 0.2, "completed"), ("EUR", 9.0, "failed"), ("JPY", 7.0, "pending")]
    frame = pd.DataFrame(rows, columns=["currency", "amount", "status"])
    assert oracle_windows.total_sales(frame) == {"EUR": (2, 0.3)}
