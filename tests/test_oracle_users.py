from datetime import timedelta

import pandas as pd

from kernel_lib import oracle_users

TTL = timedelta(milliseconds=100)


def frame(*events: tuple[str, int]) -> pd.DataFrame:
    return pd.DataFrame(events, columns=["userId", "timeMs"])


def test_a_user_is_created_counted_and_expires_after_the_last_event() -> None:
    found = oracle_users.changes(frame(("a", 60), ("a", 0), ("b", 10), ("a", 60)), TTL)
    assert found.values.tolist() == [
        ["a", 0, "created", 1],
        ["a", 60, "counted", 3],
        ["a", 160, "expired", 3],
        ["b", 10, "created", 1],
        ["b", 110, "expired", 1],
    ]


def test_an_event_at_the_moment_of_expiry_comes_in_time_and_one_after_it_begins_anew() -> None:
    found = oracle_users.changes(frame(("a", 0), ("a", 100), ("a", 201)), TTL)
    assert found["change"].tolist() == ["created", "counted", "expired", "created", "expired"]
    assert found["timeMs"].tolist() == [0, 100, 200, 201, 301]
    assert found["count"].tolist() == [1, 2, 2, 1, 1]
