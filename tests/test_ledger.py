import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernel_lib import runs
from kernel_lib.ledger import Figures, Tally


def event(number: int, run: str = "r1") -> bytes:
    return f'{{"eventId":"{run}-{number}","userId":"u"}}'.encode()


def states(*values: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.array(values, np.uint8)


def tally(*arrivals: tuple[int, int]) -> Tally:
    found = Tally("r1")
    found.add((partition, event(number)) for partition, number in arrivals)
    return found


def test_an_acknowledged_event_that_did_not_arrive_is_missing() -> None:
    assert tally((0, 0), (0, 2)).missing(states(2, 2, 2)) == 1


def test_events_in_doubt_refused_or_in_flight_are_not_missing() -> None:
    assert tally().missing(states(runs.IN_DOUBT, runs.REFUSED, runs.IN_FLIGHT)) == 0


def test_a_second_arrival_is_a_duplicate_also_in_one_batch() -> None:
    found = tally((0, 5), (0, 5), (1, 6))
    found.add([(1, event(6))])
    assert (found.received, found.duplicate, found.out_of_order) == (2, 2, 0)


def test_order_is_asked_for_within_a_partition_only() -> None:
    assert tally((0, 9), (1, 3), (0, 8)).out_of_order == 1


def test_order_is_remembered_between_batches() -> None:
    found = tally((0, 9))
    found.add([(0, event(3))])
    assert found.out_of_order == 1


def test_records_of_other_runs_are_strangers() -> None:
    found = Tally("r1")
    found.add([(0, event(1, "r10")), (0, b"not JSON"), (0, event(1, "xr1"))])
    assert (found.received, found.strangers) == (0, 3)


def test_json_with_spaces_is_understood() -> None:
    found = Tally("r1")
    found.add([(0, b'{"eventId": "r1-7"}')])
    assert found.received == 1


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 100_000)), max_size=200))
def test_the_bitmap_counts_what_a_set_would(arrivals: list[tuple[int, int]]) -> None:
    found = tally(*arrivals)
    distinct = {number for _, number in arrivals}
    assert (found.received, found.duplicate) == (len(distinct), len(arrivals) - len(distinct))
    assert found.missing(np.full(100_001, runs.ACKNOWLEDGED, np.uint8)) == 100_001 - len(distinct)


def test_the_line_of_text_names_doubts_only_where_there_are_any() -> None:
    figures = Figures("t", 10, 10, 0, 0, 0, 9, 1, 0, 0, 0)
    assert figures.text == "t: 10 sent, 9 received, 1 missing, 0 duplicate, 0 out of order"
