import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernel_lib.ledger import Figures
from kernel_lib.records import DeadLetter
from kernel_lib.tally import Arrival, Tally, missing


def event(number: int, run: str = "r1") -> bytes:
    return f'{{"eventId":"{run}-{number}","userId":"u"}}'.encode()


def bits(*numbers: int) -> dict[str, np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    marked = np.zeros(max(numbers) + 1, bool)
    marked[list(numbers)] = True
    return {"r1": np.packbits(marked, bitorder="little")}


def tally(*arrivals: tuple[int, int]) -> Tally:
    found = Tally("r1")
    found.add(Arrival(partition, event(number)) for partition, number in arrivals)
    return found


def test_what_was_sent_and_did_not_arrive_is_missing() -> None:
    assert missing(bits(0, 1, 2), tally((0, 0), (0, 2)).bits()) == 1
    assert missing(bits(3, 99_999), tally((0, 3)).bits()) == 1
    assert missing(bits(5), {}) == 1


def test_what_arrived_and_was_not_sent_is_not_missing() -> None:
    assert missing(bits(3), tally((0, 3), (0, 4), (0, 90_000)).bits()) == 0


def test_a_second_arrival_is_a_duplicate_also_in_one_batch() -> None:
    found = tally((0, 5), (0, 5), (1, 6))
    found.add([Arrival(1, event(6))])
    assert (found.received, found.duplicate, found.out_of_order) == (2, 2, 0)


def test_order_is_asked_for_within_a_partition_only() -> None:
    assert tally((0, 9), (1, 3), (0, 8)).out_of_order == 1


def test_order_is_remembered_between_batches() -> None:
    found = tally((0, 9))
    found.add([Arrival(0, event(3))])
    assert found.out_of_order == 1


def test_records_of_other_runs_are_strangers() -> None:
    found = Tally("r1")
    found.add([Arrival(0, event(1, "r10")), Arrival(0, b"not JSON"), Arrival(0, event(1, "xr1"))])
    assert (found.received, found.strangers) == (0, 3)


def test_json_with_spaces_is_understood() -> None:
    found = Tally("r1")
    found.add([Arrival(0, b'{"eventId": "r1-7"}')])
    assert found.received == 1


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 100_000)), max_size=200))
def test_the_bitmap_counts_what_a_set_would(arrivals: list[tuple[int, int]]) -> None:
    found = tally(*arrivals)
    distinct = {number for _, number in arrivals}
    assert (found.received, found.duplicate) == (len(distinct), len(arrivals) - len(distinct))
    assert missing(bits(*range(100_001)), found.bits()) == 100_001 - len(distinct)


def test_all_runs_are_told_apart_where_none_is_named() -> None:
    found = Tally()
    found.add([Arrival(0, event(1, "r1")), Arrival(0, event(1, "r2")), Arrival(0, event(1, "r2")), Arrival(0, b"{}")])
    assert (found.received, found.duplicate, found.strangers) == (2, 1, 1)
    assert set(found.bits()) == {"r1", "r2"}


def test_an_event_within_a_dead_letter_is_ticked_off() -> None:
    letter = DeadLetter("is not JSON", "user-events", 0, 7, event(4).decode()[:24])
    found = Tally("r1")
    found.add([Arrival(0, msgspec.json.encode(letter))])
    assert found.received == 1


def test_a_document_that_is_written_again_is_no_second_one() -> None:
    found = tally((0, 3))
    found.add([Arrival(0, event(3), rewritten=True)])
    assert (found.received, found.duplicate) == (1, 0)


def test_the_line_of_text_names_doubts_only_where_there_are_any() -> None:
    figures = Figures("t", 10, 10, 0, 0, 0, 9, 1, 0, 0, 0)
    assert figures.text == "t: 10 sent, 9 received, 1 missing, 0 duplicate, 0 out of order"


def test_a_million_events_take_megabytes_not_more() -> None:
    found = Tally()
    found.add(Arrival(0, b'"eventId":"r1-%d"' % number) for number in range(1_000_000))
    assert found.received == 1_000_000
    assert sum(bits.nbytes for bits in found.bits().values()) < 1_000_000
