from types import SimpleNamespace
from typing import Any, cast

from kernel_lib.kafka_client import Record
from kernel_lib.plots import look, record_tape, refresher
from kernel_lib.plots.record_tape import CELLS, Cell, Head
from kernel_lib.waiting import wait_until

VIEW = Cell(7, "page_view", "user-1", 0)
BUY = Cell(9, "purchase", "user-2", 0)


def record(value: bytes, key: bytes | None = b"user-1") -> Record:
    return Record("user-events", 0, 7, key, value, 5, "append")


def test_a_record_is_shown_by_its_kind_and_key() -> None:
    assert record_tape.cell(record(b'{"eventType": "login"}')) == Cell(7, "login", "user-1", 5)
    assert record_tape.cell(record(b'{"status": "failed"}', None)) == Cell(7, "failed", "", 5)
    assert record_tape.cell(record(b"[1]")).kind == "record"
    assert record_tape.cell(record(b"no json")).kind == "malformed"


def test_a_topic_of_endless_kinds_does_not_fill_the_memory() -> None:
    many = [record(f'{{"status": "kind {n}"}}'.encode()) for n in range(10_000)]
    tail = SimpleNamespace(topic="user-events", problem="", last_record_at=None, poll=lambda: many, stop=int)
    shown = record_tape.RecordTape(cast(Any, tail))
    wait_until(lambda: "kind 9980 1" in shown.text, 10, "the tape")
    assert len(shown._kinds) == record_tape.MOST_KINDS
    assert shown.source.data["colour"][-1] == look.INK
    refresher.remove("record tape")


def test_an_offset_without_a_record_is_an_empty_place() -> None:
    columns = record_tape.cell_columns([VIEW, BUY], 10, ["page_view", "purchase"])
    assert columns["x"] == list(range(10))
    assert columns["kind"][7:] == ["page_view", "no record", "purchase"]
    assert columns["initials"][7:] == ["pv", "", "p"]
    assert columns["alpha"][8] == 0
    assert columns["colour"][7] == look.PALETTE[0]


def test_only_the_newest_places_are_shown() -> None:
    columns = record_tape.cell_columns([], 1_000, [])
    assert columns["x"] == list(range(1_000 - CELLS, 1_000))
    assert columns["offset"][0] == "980"


def test_a_head_stands_before_the_record_that_it_reads_next() -> None:
    heads = record_tape.head_columns([Head("ann", 8, 10), Head("bob", 10, 10)], 10)
    assert heads["x"] == [7.5, 9.5]
    assert heads["text"] == ["ann reads 8 next, 2 behind", "bob reads 10 next, at the end"]


def test_a_head_that_is_far_behind_is_at_the_edge_and_says_so() -> None:
    heads = record_tape.head_columns([Head("ann", 5, 100), Head("new", -1, 100)], 100)
    assert heads["x"] == [79.5, 79.5]
    assert heads["text"] == ["◀ ann reads 5 next, 95 behind", "◀ new has not committed yet"]


def test_end_readers_and_newest_records_are_said_in_words() -> None:
    said = record_tape.tape_sentence("user-events", 2, [VIEW, BUY], [Head("ann", 8, 12)])
    assert said == (
        "Partition 2 of user-events ends before offset 12. ann reads 8 next, 4 behind. "
        "The newest 2 records: page_view 1, purchase 1."
    )
    assert record_tape.tape_sentence("user-events", 0, [], []) == "Partition 0 of user-events ends before offset 0."
