"""What the indexer makes of records, on the real services; tests/test_indexer.py has what needs none."""

import secrets
from collections import Counter

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

from kernel_lib import groups, indexer, indices, topics
from kernel_lib.errors import CourseError, PermissionRefused
from kernel_lib.records import DeadLetter
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until
from tests.services.indexing import found, send, sent

pytestmark = pytest.mark.usefixtures("indexed_topic")
EVENT = {
    "eventId": "hand-1",
    "timestamp": "2026-01-31T12:00:00.000Z",
    "userId": "ann",
    "eventType": "login",
    "sessionId": "s-1",
    "page": "/login",
    "duration": 1.5,
    "userAgent": "a hand",
    "location": {"lat": 52.5, "lon": 13.4},
    "sentAt": 0,
}


def event(**changes: object) -> bytes:
    return msgspec.json.encode(EVENT | changes)


def letters() -> dict[str, DeadLetter]:
    """The dead letters by their text, each of which must come once."""
    records = topics.read("dead-letters")
    decoded = [msgspec.json.decode(record.value or b"", type=DeadLetter) for record in records]
    assert len({(letter.topic, letter.partition, letter.offset) for letter in decoded}) == len(decoded)
    return {letter.value: letter for letter in decoded}


def test_every_event_becomes_one_document_with_all_its_fields(settings: Settings) -> None:
    """Fails when a batch leaves a record out, or when documents are not written as they are."""
    send(6_000)
    stats = indexer.start("user-events").wait_caught_up(60)
    assert (stats.indexed, stats.rejected, stats.retries, stats.lag, stats.problem) == (6_000, 0, 0, 0, "")
    assert found(settings) == sent()
    assert len(found(settings)) == 6_000


def test_what_is_sent_later_is_indexed_too(settings: Settings) -> None:
    """Fails when reading stops at the first end of a partition."""
    copy = indexer.start("user-events")
    send(500)
    assert copy.wait_caught_up(30).indexed == 500
    send(500)
    assert copy.wait_caught_up(30).indexed == 1_000
    assert found(settings) == sent()


def test_places_dates_and_keywords_can_be_searched_as_such(settings: Settings) -> None:
    """Fails when a field loses its explicit type: a distance needs a geo_point, a histogram a date, terms a keyword."""
    send(3_000)
    indexer.start("user-events").wait_caught_up(60)
    events = list(sent().values())
    home = events[0]["location"]
    assert indices.count("user-events") == 3_000
    near = indices.search("user-events", {"geo_distance": {"distance": "1m", "location": home}})
    assert near.total == sum(each["location"] == home for each in events)
    figures = indices.search(
        "user-events",
        aggregations={
            "seconds": {"date_histogram": {"field": "timestamp", "fixed_interval": "1s", "min_doc_count": 1}},
            "types": {"terms": {"field": "eventType"}},
            "duration": {"sum": {"field": "duration"}},
        },
    ).aggregations
    seconds = {bucket["key_as_string"][:19]: bucket["doc_count"] for bucket in figures["seconds"]["buckets"]}
    assert seconds == Counter(each["timestamp"][:19] for each in events)
    types = {bucket["key"]: bucket["doc_count"] for bucket in figures["types"]["buckets"]}
    assert types == Counter(each["eventType"] for each in events)
    assert figures["duration"]["value"] == pytest.approx(sum(each["duration"] for each in events))


MALFORMED = {
    event(eventId="p-1", timestamp="yesterday"): "failed to parse date field [yesterday]",
    event(eventId="p-2", location={"lat": 1000, "lon": 0}): "illegal latitude value [1000.0]",
    event(eventId="p-3", colour="red"): "dynamic introduction of [colour] within [_doc] is not allowed",
    event(eventId="p-4", page="x" * 40_000): "immense term",
    event(eventId="p-5", duration="long"): "Expected `float`, got `str` - at `$.duration`",
    event(eventId="p-6", location="here"): "Expected `object`, got `str` - at `$.location`",
    event(eventId="p-7")[:40]: "Input data was truncated",
    b"\x00\x01\xfe" + event(eventId="p-8"): "JSON is malformed: invalid character (byte 0)",
    b'{"eventId":"p-9"}': "Object missing required field `timestamp`",
    event(eventId="p-10").replace(b"ann", b"\xff"): "'utf-8' codec can't decode byte 0xff",
    b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}": "maximum recursion depth exceeded",
    b"[1, 2]": "Expected `object`, got `array`",
    b"   ": "Input data was truncated",
}


def test_what_elasticsearch_cannot_take_goes_to_the_dead_letters_and_the_rest_is_indexed(settings: Settings) -> None:
    """Fails when the place or the reason of another record is given, and when one bad record refuses its batch."""
    send(1_000)
    good = sent()
    topics.write("user-events", *MALFORMED)
    send(1_000)
    stats = indexer.start("user-events").wait_caught_up(60)
    assert (stats.indexed, stats.rejected, stats.problem) == (2_000, len(MALFORMED), "")
    buried = letters()
    assert len(buried) == len(MALFORMED)
    for value, reason in MALFORMED.items():
        letter = buried[value.decode(errors="replace")]
        assert reason in letter.reason
        (record,) = (r for r in topics.read("user-events", partition=letter.partition) if r.offset == letter.offset)
        assert (record.value, letter.topic) == (value, "user-events")
    assert good.items() <= found(settings).items()
    assert len(found(settings)) == 2_000


def test_the_largest_record_that_is_no_json_has_a_dead_letter(settings: Settings) -> None:
    """Fails when the text of a dead letter is not cut."""
    topics.write("user-events", b"\x00" * 900_000, event())
    assert indexer.start("user-events").wait_caught_up(60).rejected == 1
    assert "invalid character" in next(iter(letters().values())).reason
    assert found(settings) == {"hand-1": EVENT}


def test_dead_letters_wait_for_their_topic_and_offsets_for_the_dead_letters(settings: Settings) -> None:
    """Fails when offsets are committed before the dead letters are written."""
    copy = indexer.start("user-events")
    topics.delete("dead-letters")
    topics.write("user-events", b"no JSON")
    wait_until(lambda: "dead-letters" in copy.stats.problem, 60, "the problem to be told")
    assert sum(groups.lag(copy.group, "user-events").values()) == 1
    topics.create("dead-letters")
    assert copy.wait_caught_up(60).problem == ""
    assert list(letters()) == ["no JSON"]


def test_a_pretty_printed_record_is_a_document(settings: Settings) -> None:
    """Fails when line breaks are sent as they are."""
    topics.write("user-events", b" \n" * 20 + msgspec.json.format(event(), indent=2))
    indexer.start("user-events").wait_caught_up(30)
    assert found(settings) == {"hand-1": EVENT}


def test_records_without_an_id_of_their_own_are_known_by_their_place(settings: Settings) -> None:
    """Fails when the first number that comes decides that all are whole."""
    topics.create("letters", partitions=2)
    topics.write("letters", b'{"count":5}', b'{"count":5.5}', key=b"a")
    indexer.start("letters").wait_caught_up(30)
    (partition,) = {record.partition for record in topics.read("letters")}
    assert found(settings, "letters") == {
        f"letters-{partition}-0": {"count": 5},
        f"letters-{partition}-1": {"count": 5.5},
    }
    assert indices.search("letters", {"range": {"count": {"gt": 5}}}).total == 1


def test_records_of_transactions_are_indexed_when_committed_and_markers_leave_no_lag(settings: Settings) -> None:
    """Fails when aborted records are read, or when the end behind a transaction's marker is never reached."""
    topics.create("letters", partitions=1)
    writer = Producer(settings.kafka_client() | {"transactional.id": settings.named("writer")})
    writer.init_transactions(10)
    for number, end in enumerate([writer.commit_transaction, writer.abort_transaction, writer.commit_transaction]):
        writer.begin_transaction()
        writer.produce(settings.named("letters"), b'{"eventId":"t-%d"}' % number)
        writer.flush(10)  # else an aborted record might never leave this process
        end(10)
    copy = indexer.start("letters")
    assert copy.wait_caught_up(30).lag == 0
    assert set(found(settings, "letters")) == {"t-0", "t-2"}


def test_partitions_that_are_added_are_read_from_their_beginning(settings: Settings) -> None:
    """Fails when nobody looks for new partitions."""
    topics.create("letters", partitions=1)
    topics.write("letters", b'{"eventId":"old"}')
    copy = indexer.start("letters")
    copy.wait_caught_up(30)
    name = settings.named("letters")
    admin = AdminClient(settings.kafka_client())
    admin.create_partitions([NewPartitions(name, 2)])[name].result(10)
    wait_until(lambda: len(topics.offsets("letters")) == 2, 10, "the new partition")
    writer = Producer(settings.kafka_client())
    writer.produce(name, b'{"eventId":"new"}', partition=1)
    writer.flush(10)
    assert copy.wait_caught_up(30).indexed == 2
    assert set(found(settings, "letters")) == {"old", "new"}


def test_a_deleted_index_is_made_again_by_the_next_document_with_its_types(settings: Settings) -> None:
    """Fails when the index has no template that may make it."""
    copy = indexer.start("user-events")
    indices.delete("user-events")
    topics.write("user-events", event())
    copy.wait_caught_up(30)
    assert indices.count("user-events") == 1
    assert indices.search("user-events", {"geo_distance": {"distance": "1m", "location": EVENT["location"]}}).total == 1


def test_an_index_that_is_gone_is_filled_from_the_beginning_of_the_topic(settings: Settings) -> None:
    """Fails when the offsets of the documents that are gone are kept."""
    topics.write("user-events", event())
    with indexer.start("user-events") as copy:
        copy.wait_caught_up(30)
    indices.delete("user-events")
    with indexer.start("user-events") as copy:
        assert copy.wait_caught_up(30).indexed == 1
    with indexer.start("user-events") as copy:
        assert copy.wait_caught_up(30).indexed == 0
    assert found(settings) == {"hand-1": EVENT}


def test_two_indices_of_a_topic_are_filled_each_from_where_it_was(settings: Settings) -> None:
    """Fails when both indexers have the same group."""
    topics.write("user-events", event(eventId="hand-1"))
    with indexer.start("user-events") as first, indexer.start("user-events", "copies") as second:
        first.wait_caught_up(30)
        second.wait_caught_up(30)
        first.stop()
        topics.write("user-events", event(eventId="hand-2"))
        second.wait_caught_up(30)
    with indexer.start("user-events") as first:
        first.wait_caught_up(30)
    assert found(settings) == found(settings, "copies") == sent()


def test_an_index_with_other_types_is_told_in_elasticsearchs_words() -> None:
    """Fails when an index that exists is left as it is."""
    indices.put("user-events", {"duration": {"type": "date"}})
    with pytest.raises(CourseError) as caught:
        indexer.start("user-events")
    assert "cannot be changed from type [date] to [double]" in caught.value.cause


def test_an_index_outside_the_prefix_is_refused_and_leaves_no_template(settings: Settings) -> None:
    """Fails when the template is made before the index."""
    outside = load(elasticsearch_index_prefix=f"{secrets.token_hex(4)}-")
    with pytest.raises(PermissionRefused):
        indexer.start("user-events", settings=outside)
    templates = indices.client(settings).indices.get_index_template()["index_templates"]
    assert outside.index("user-events") not in {template["name"] for template in templates}
