from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_lib.knob_log import KnobLog, Knobs


def knobs(index: int, at_ms: float, rate: float) -> Knobs:
    return Knobs(index=index, at_ms=at_ms, events_per_second=rate)


def test_events_are_spaced_by_the_rate_from_the_time_of_its_setting() -> None:
    log = KnobLog([knobs(0, 1000, 10), knobs(3, 5000, 1)])
    assert log.times_ms(0, 5).tolist() == [1000, 1100, 1200, 5000, 6000]


def test_of_two_settings_for_one_event_the_later_one_holds() -> None:
    log = KnobLog([knobs(0, 0, 10), knobs(2, 200, 0), knobs(2, 9000, 100)])
    assert log.times_ms(1, 2).tolist() == [100, 9000]


def test_a_setting_cannot_change_what_was_sent() -> None:
    with pytest.raises(ValueError, match="event 2 come after"):
        KnobLog([knobs(5, 0, 1), knobs(2, 0, 1)])


def test_a_paused_producer_has_nothing_due() -> None:
    assert KnobLog([knobs(7, 0, 0)]).due(60_000) == 7


@given(rate=st.floats(0.1, 200_000), elapsed_ms=st.floats(0, 3_600_000))
def test_no_event_is_due_before_its_time(rate: float, elapsed_ms: float) -> None:
    log = KnobLog([knobs(0, 0, rate)])
    due = log.due(elapsed_ms)
    assert log.times_ms(due - 1, 1)[0] <= elapsed_ms + 1


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "knobs.jsonl"
    path.write_bytes(KnobLog.line(knobs(0, 0, 1)) + KnobLog.line(knobs(4, 0, 2))[:-5])
    assert KnobLog.read(path).entries == (knobs(0, 0, 1),)
