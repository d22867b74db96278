from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_lib import knob_log
from kernel_lib.errors import ConfigurationError
from kernel_lib.knob_log import KnobLog, Knobs


def knobs(index: int, at_ms: float, rate: float) -> Knobs:
    return Knobs(index=index, at_ms=at_ms, events_per_second=rate)


def test_events_are_spaced_by_the_rate_from_the_time_of_its_setting() -> None:
    log = KnobLog([knobs(0, 1000, 10), knobs(3, 5000, 1)])
    assert log.due_ms(np.arange(5)).tolist() == [1000, 1100, 1200, 5000, 6000]


def test_of_two_settings_for_one_event_the_later_one_holds() -> None:
    log = KnobLog([knobs(0, 0, 10), knobs(2, 200, 0), knobs(2, 9000, 100)])
    assert log.due_ms(np.arange(1, 3)).tolist() == [100, 9000]


def test_a_setting_cannot_change_what_was_sent() -> None:
    with pytest.raises(ValueError, match="event 2 come after"):
        KnobLog([knobs(5, 0, 1), knobs(2, 0, 1)])


def test_a_paused_producer_has_nothing_due() -> None:
    assert KnobLog([knobs(7, 0, 0)]).due(60_000) == 7


@given(rate=st.floats(0.1, 200_000), elapsed_ms=st.floats(0, 3_600_000))
def test_no_event_is_due_before_its_time(rate: float, elapsed_ms: float) -> None:
    log = KnobLog([knobs(0, 0, rate)])
    due = log.due(elapsed_ms)
    assert log.due_ms(np.array([due - 1]))[0] <= elapsed_ms + 1


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "knobs.jsonl"
    path.write_bytes(KnobLog.line(knobs(0, 0, 1)) + KnobLog.line(knobs(4, 0, 2))[:-5])
    assert KnobLog.read(path).entries == (knobs(0, 0, 1),)


@given(indices=st.lists(st.integers(0, 30), min_size=1))
def test_events_in_any_order_have_the_times_that_they_have_alone(indices: list[int]) -> None:
    log = KnobLog([knobs(0, 1000, 10), knobs(3, 5000, 1), knobs(3, 5500, 2), knobs(9, 9000, 0), knobs(20, 9999, 5)])
    alone = [int(log.due_ms(np.array([index]))[0]) for index in indices]
    assert log.due_ms(np.array(indices)).tolist() == alone


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"events_per_second": -1}, "events_per_second = -1"),
        ({"events_per_second": float("nan")}, "events_per_second = nan"),
        ({"late_share": 1.1}, "between 0 and 1"),
        ({"keys": 100_001}, "up to 100,000"),
        ({"silent_partitions": 3}, "another kind"),
        ({"silent_partitions": [-1]}, "out of range"),
        ({"silent_keys": "sensor-0001"}, "a list of keys"),
        ({"delay_ms": "long"}, "another kind"),
        ({"late_shares": 0.1}, "late_share="),
        ({"index": 3}, "no knob 'index'"),
    ],
)
def test_a_wrong_knob_is_named_with_what_would_be_right(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        knob_log.checked(values)
    assert said in str(raised.value)


def test_a_knob_that_a_stream_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no knob 'fraud_share'"):
        knob_log.checked({"fraud_share": 0.1}, ["events_per_second"])
