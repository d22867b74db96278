import numpy as np

from kernel_lib.plots import event_rate
from kernel_lib.window_counts import WindowCount

TYPES = ("page_view", "search")


def row(second: int, kind: str, count: int, seconds: int = 1) -> WindowCount:
    start, end = f"2026-01-01T00:00:{second:02}.000Z", f"2026-01-01T00:00:{second + seconds:02}.000Z"
    return WindowCount(start, end, kind, count)


def test_counts_become_rates_per_window_end() -> None:
    columns = event_rate.rate_columns([row(1, "page_view", 50), row(0, "page_view", 40)], TYPES)
    assert columns["page_view"].tolist() == [40, 50]
    assert np.diff(columns["window_end"]).tolist() == [1000]


def test_a_longer_window_is_still_events_per_second() -> None:
    assert event_rate.rate_columns([row(0, "search", 50, seconds=5)], TYPES)["search"].tolist() == [10]


def test_a_type_without_a_record_had_no_event() -> None:
    columns = event_rate.rate_columns([row(0, "search", 5), row(1, "page_view", 7)], TYPES)
    assert columns["search"].tolist() == [5, 0]
    assert columns["total"].tolist() == [5, 7]


def test_types_not_asked_for_are_other_and_in_the_total() -> None:
    columns = event_rate.rate_columns([row(0, "refund", 3)], TYPES)
    assert (columns["other"].tolist(), columns["total"].tolist()) == ([3], [3])


def test_no_counts_make_empty_columns() -> None:
    assert len(event_rate.rate_columns([], TYPES)["total"]) == 0
    assert len(event_rate.label_columns(event_rate.rate_columns([], TYPES), TYPES)["text"]) == 0


def test_labels_name_the_newest_rate_of_each_band() -> None:
    columns = event_rate.rate_columns([row(0, "page_view", 100), row(0, "search", 50)], TYPES)
    labels = event_rate.label_columns(columns, TYPES)
    assert labels["text"].tolist() == ["page_view 100", "search 50"]
    assert labels["y"].tolist() == [50, 125]


def test_labels_of_thin_bands_are_moved_apart() -> None:
    assert event_rate.apart(np.array([10.0, 11.0, 50.0]), 5.0).tolist() == [10, 15, 50]


def test_a_window_is_drawn_when_all_its_types_had_time_to_come() -> None:
    settling = event_rate.Settling()
    early, late, next_window = row(0, "page_view", 3), row(0, "search", 2), row(1, "page_view", 4)
    settling.add([early], now=10.0)
    settling.add([late, next_window], now=10.4)
    assert settling.settled(10.4) == []
    assert settling.settled(10.5) == [early, late]
    assert settling.settled(10.9) == [next_window]
    assert settling.settled(99.0) == []
