import json
from collections import Counter

import pytest

from kernel_lib import oracle
from kernel_lib.errors import MalformedRecord
from kernel_lib.kafka_client import Record
from kernel_lib.oracle import Window


def record(**row: object) -> Record:
    return Record("metrics", 0, 3, None, json.dumps(row).encode(), 0, "append")


SENT = Counter({Window(0, "search"): 5, Window(1000, "search"): 4, Window(2000, "login"): 1})


def test_windows_before_the_latest_counted_are_compared() -> None:
    comparison = oracle.compare({Window(0, "search"): 5, Window(1000, "search"): 1}, SENT)
    assert comparison.equal
    assert comparison.text == "counted equals sent: 5 events in 1 closed windows"


def test_after_a_drain_every_window_is_compared() -> None:
    comparison = oracle.compare({Window(0, "search"): 5, Window(1000, "search"): 4}, SENT, drained=True)
    assert [each.window for each in comparison.differences] == [Window(2000, "login")]


def test_a_window_counted_short_is_a_difference() -> None:
    counted = Counter(SENT) + Counter({Window(0, "search"): -1})
    assert [(each.counted, each.sent) for each in oracle.compare(counted, SENT).differences] == [(4, 5)]


def test_events_that_nobody_sent_are_a_difference() -> None:
    counted = Counter(SENT) + Counter({Window(0, "logout"): 2})
    assert not oracle.compare(counted, SENT).equal


def test_windows_of_other_runs_are_left_out() -> None:
    counted = Counter(SENT) + Counter({Window(-5000, "search"): 70, Window(9000, "search"): 70})
    assert oracle.compare(counted, SENT, drained=True).equal


def test_no_closed_window_is_not_called_equal() -> None:
    assert not oracle.compare({}, SENT).equal


def test_counts_of_one_window_in_several_records_add_up() -> None:
    start = "2026-09-21T14:13:20.000Z"
    rows = [record(windowStart=start, windowEnd="", eventType="search", count=n) for n in (2, 3)]
    assert oracle.window_counts(rows) == {Window(1_790_000_000_000, "search"): 5}


def test_a_record_that_is_no_count_is_named() -> None:
    with pytest.raises(MalformedRecord, match="Record 3 of metrics, partition 0"):
        oracle.window_counts([record(eventType="search")])
