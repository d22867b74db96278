import json
from itertools import chain

import msgspec
import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from kernel_lib import indices, mappings
from kernel_lib.dead_letters import MOST_CHARACTERS, dead_letter
from kernel_lib.indexer_process import IndexerStats, document
from kernel_lib.records import EVENT_TYPES, DeadLetter


def message(value: bytes | None) -> Message:
    return Message(topic="course.letters", partition=3, offset=41, value=value)


def identity(value: bytes | None) -> str:
    return document("letters", message(value))[0]


def test_a_document_has_the_id_of_its_event() -> None:
    assert identity(b'{"userId":"ann", "eventId" : "r1-7"}') == "r1-7"


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"\xff\x00 not JSON",
        b'{"eventId":7}',
        b'{"eventId":""}',
        b'{"eventId":"a\\"b"}',
        b'{"eventId":"\xc3\xa9"}',
        b'{"eventId":"%s"}' % (b"x" * 513),
    ],
)
def test_a_record_without_a_usable_event_id_has_the_id_of_its_place(value: bytes | None) -> None:
    assert identity(value) == "letters-3-41"


@given(st.lists(st.tuples(st.from_regex(r"[!#-\[\]-~]{1,20}", fullmatch=True), st.binary(max_size=200)), max_size=30))
def test_no_document_can_break_the_frame_of_a_bulk_request(documents: list[tuple[str, bytes]]) -> None:
    placed = sorted(chain.from_iterable(indices._lanes(documents)))
    lines = b"".join(line.text for line in placed).split(b"\n")
    assert [json.loads(line)["index"]["_id"] for line in lines[:-1:2]] == [identity for identity, _ in documents]
    assert len(lines) == 2 * len(documents) + 1


def test_documents_are_shared_out_evenly_and_those_with_one_id_stay_in_order() -> None:
    documents = [(f"r-{n % 1_000}", b"%d" % n) for n in range(2_000)]
    lanes = indices._lanes(documents)
    for lane in lanes:
        assert len(lane) > 2_000 / len(lanes) * 0.9
        assert lane == sorted(lane)
        assert len({documents[line.position][0] for line in lane}) == len(lane) / 2


def test_documents_are_sent_in_requests_of_bounded_size() -> None:
    lines = [indices._Line(n, b"x" * 1_000_000) for n in range(12)]
    parts = list(indices._bounded(lines))
    assert [line for part in parts for line in part] == lines
    assert [len(part) for part in parts] == [5, 5, 2]


def test_a_dead_letter_says_where_the_record_is_and_what_was_in_it() -> None:
    letter = msgspec.json.decode(dead_letter("letters", message(b"\xff broken"), "no JSON"), type=DeadLetter)
    assert letter == DeadLetter("no JSON", "letters", 3, 41, "\ufffd broken")


def test_the_dead_letter_of_the_largest_record_fits_into_a_record() -> None:
    letter = dead_letter("letters", message(b"\x00" * 1_000_000), "no JSON")
    assert len(letter) < 1_000_000
    assert len(msgspec.json.decode(letter, type=DeadLetter).value) == MOST_CHARACTERS


@pytest.mark.parametrize("topic", EVENT_TYPES)
def test_every_field_of_an_event_is_typed_and_no_other_is_taken(topic: str) -> None:
    mapping = mappings.of_topic(topic)
    assert mapping["dynamic"] == "strict"
    assert tuple(mapping["properties"]) == EVENT_TYPES[topic].__struct_fields__


def test_places_dates_and_numbers_are_typed_as_such() -> None:
    fields = {name: kind["type"] for name, kind in mappings.of_topic("iot-sensors")["properties"].items()}
    assert fields == {
        "eventId": "keyword",
        "timestamp": "date",
        "sensorId": "keyword",
        "deviceType": "keyword",
        "value": "double",
        "unit": "keyword",
        "location": "geo_point",
        "batteryLevel": "double",
        "sentAt": "date",
    }


def test_figures_are_told_in_one_line() -> None:
    stats = IndexerStats(12_345, 2, 0, 0.0, 7, 1_500.4, "", {})
    assert stats.text == "12,345 indexed, 2 rejected, 7 behind, 1,500 documents/s"
    away = IndexerStats(12_345, 2, 31, 20.4, 7, 0.0, "Elasticsearch does not answer.", {})
    assert "7 behind, 20 s without Elasticsearch, 0 documents/s; Elasticsearch does not answer." in away.text
