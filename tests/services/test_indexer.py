"""The indexer on the real services; tests/test_indexer.py has what needs none."""

import os
import secrets
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]
from elasticsearch.helpers import scan

from kernel_lib import groups, indexer, indices, producer, services, topics
from kernel_lib.errors import (
    AuthenticationFailed,
    CourseError,
    IndexerFailed,
    NotFound,
    PermissionRefused,
    ServiceUnavailable,
    WaitTimeout,
)
from kernel_lib.indexer import Indexer
from kernel_lib.records import DeadLetter
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
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


@pytest.fixture(autouse=True)
def cleaned(settings: Settings) -> Iterator[None]:
    topics.create("user-events")
    yield
    producer.stop_all()
    indexer.stop_all()


def send(count: int, events_per_second: float = 5_000) -> None:
    assert (
        producer.start("user-events", events_per_second=events_per_second, count=count).wait(90).acknowledged == count
    )


def sent() -> dict[str, Any]:
    """What is in the topic, by id."""
    return {(event := record.json())["eventId"]: event for record in topics.read("user-events", limit=1_000_000)}


def found(settings: Settings, index: str = "user-events") -> dict[str, Any]:
    """What is in the index, by id."""
    indices.count(index)
    hits = scan(indices.client(settings), index=settings.index(index), size=5_000)
    return {hit["_id"]: hit["_source"] for hit in hits}


def event(**changes: object) -> bytes:
    return msgspec.json.encode(EVENT | changes)


def letters() -> dict[str, DeadLetter]:
    """The dead letters by their text, each of which must come once."""
    records = topics.read("dead-letters")
    decoded = [msgspec.json.decode(record.value or b"", type=DeadLetter) for record in records]
    assert len({(letter.topic, letter.partition, letter.offset) for letter in decoded}) == len(decoded)
    return {letter.value: letter for letter in decoded}


def until_busy(copy: Indexer) -> None:
    wait_until(lambda: copy.stats.indexed > 0, 30, "the first documents", interval_seconds=0.01)


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


def test_after_its_kill_the_next_one_indexes_every_event_once(settings: Settings) -> None:
    """Fails when a document has another id when it is written again."""
    send(60_000, 60_000)
    copy = indexer.start("user-events")
    until_busy(copy)
    copy.kill()
    assert 0 < indices.count("user-events") < 60_000
    again = indexer.start("user-events")
    until_busy(again)
    again.kill()
    last = indexer.start("user-events")
    last.wait_caught_up(60)
    assert found(settings) == sent()
    assert sum(groups.lag(last.group, "user-events").values()) == 0


@pytest.mark.alone
def test_every_event_is_there_after_elasticsearch_was_dead_for_20_seconds(settings: Settings) -> None:
    """Fails when a batch that could not be written is left out, or is not tried again for long enough."""
    shop = producer.start("user-events", events_per_second=1_000)
    copy = indexer.start("user-events")
    until_busy(copy)
    services.kill("elasticsearch")
    try:
        wait_until(lambda: copy.stats.outage_seconds > 20, 60, "an outage of 20 s")
        assert "Elasticsearch at http" in copy.stats.problem
        assert "does not answer" in copy.stats.problem
        assert copy.stats.lag > 10_000
    finally:
        services.start("elasticsearch")
    shop.stop()
    assert copy.wait_caught_up(60).problem == ""
    assert found(settings) == sent()


@pytest.mark.alone
def test_what_it_could_not_write_before_its_kill_the_next_one_writes(settings: Settings) -> None:
    """Fails when offsets are committed before Elasticsearch has the documents."""
    copy = indexer.start("user-events")
    services.kill("elasticsearch")
    try:
        send(2_000)
        wait_until(lambda: copy.stats.retries > 5, 20, "attempts to write")
        copy.kill()
    finally:
        services.start("elasticsearch")
    indexer.start("user-events").wait_caught_up(60)
    assert found(settings) == sent()


@pytest.mark.alone
def test_elasticsearch_that_is_frozen_is_told_and_waited_for(settings: Settings) -> None:
    """Fails when it is not told how long a request has been without an answer."""
    shop = producer.start("user-events", events_per_second=1_000)
    copy = indexer.start("user-events")
    until_busy(copy)
    services.pause("elasticsearch")
    try:
        wait_until(lambda: "has not answered for" in copy.stats.problem, 20, "the problem to be told")
    finally:
        services.resume("elasticsearch")
    shop.stop()
    assert copy.wait_caught_up(60).problem == ""
    assert found(settings) == sent()


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


def test_starting_again_replaces_the_predecessor() -> None:
    """Fails when the predecessor is not stopped."""
    first = indexer.start("user-events")
    second = indexer.start("user-events")
    assert not first.alive
    assert indexer.running() == [second]
    indexer.stop_all()
    assert indexer.running() == []
    assert second.stats.problem == ""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_an_indexer_ends_with_the_process_that_started_it(settings: Settings, ending: signal.Signals) -> None:
    """Fails when neither the end of standard input nor of the parent is heard."""
    program = "import signal; from kernel_lib import indexer; print(indexer.start('user-events').pid, flush=True); "
    parent = subprocess.Popen(
        [sys.executable, "-c", program + "signal.pause()"], stdout=subprocess.PIPE, cwd=ROOT, env=dict(os.environ)
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    parent.send_signal(ending)
    parent.wait(10)
    parent.stdout.close()
    wait_until(lambda: not psutil.pid_exists(pid), 10, "the indexer to end")


def test_no_password_is_on_the_command_line_or_in_the_environment(settings: Settings) -> None:
    """Fails when the order is an argument."""
    copy = indexer.start("user-events")
    process = psutil.Process(copy.pid)
    shown = " ".join([*process.cmdline(), *process.environ().values(), repr(copy), copy.stats.text])
    passwords = (settings.sasl_password, settings.elasticsearch_password, settings.supervisor_password)
    assert not any(password.get_secret_value() in shown for password in passwords)


def test_an_indexer_that_is_gone_says_so(settings: Settings) -> None:
    """Fails when the code with which the process ended is not told."""
    copy = indexer.start("user-events")
    os.kill(copy.pid, signal.SIGKILL)
    wait_until(lambda: not copy.alive, 10, "its end")
    assert "ended with code -9" in copy.stats.problem
    with pytest.raises(IndexerFailed, match="does not run any more"):
        copy.wait_caught_up(10)


def test_who_waits_in_vain_is_told_how_far_it_is(settings: Settings) -> None:
    """Fails when the figures are not part of the error."""
    copy = indexer.start("user-events")
    topics.delete("dead-letters")
    topics.write("user-events", b"no JSON")
    with pytest.raises(WaitTimeout, match="the indexer of user-events to catch up") as caught:
        copy.wait_caught_up(1)
    assert "0 indexed, 0 rejected" in caught.value.cause


def test_a_missing_topic_is_not_found() -> None:
    """Fails when the index is made before the topic is looked for."""
    with pytest.raises(NotFound, match="nowhere"):
        indexer.start("nowhere")
    assert indices.list_names() == []


def test_an_index_with_other_types_is_told_in_elasticsearchs_words() -> None:
    """Fails when an index that exists is left as it is."""
    indices.put("user-events", {"duration": {"type": "date"}})
    with pytest.raises(CourseError) as caught:
        indexer.start("user-events")
    assert "cannot be changed from type [date] to [double]" in caught.value.cause


@pytest.mark.parametrize("password", ["sasl_password", "elasticsearch_password"])
def test_a_wrong_password_starts_no_indexer(password: str) -> None:
    """Fails when the process alone meets what Kafka and Elasticsearch say."""
    with pytest.raises(AuthenticationFailed):
        indexer.start("user-events", settings=load(**{password: "wrong"}))
    assert indexer.running() == []


def test_an_index_outside_the_prefix_is_refused_and_leaves_no_template(settings: Settings) -> None:
    """Fails when the template is made before the index."""
    outside = load(elasticsearch_index_prefix=f"{secrets.token_hex(4)}-")
    with pytest.raises(PermissionRefused):
        indexer.start("user-events", settings=outside)
    templates = indices.client(settings).indices.get_index_template()["index_templates"]
    assert outside.index("user-events") not in {template["name"] for template in templates}


@pytest.mark.parametrize("address", ["kafka_bootstrap_servers", "elasticsearch_url"])
def test_a_closed_port_starts_no_indexer(address: str, unused_port: int) -> None:
    """Fails when the process alone meets what Kafka and Elasticsearch say."""
    closed = f"127.0.0.1:{unused_port}"
    with pytest.raises(ServiceUnavailable, match=closed):
        indexer.start("user-events", settings=load(**{address: f"http://{closed}" if "url" in address else closed}))
