import json
import os
import secrets
import socket
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]

from kernel_lib import groups, kafka_client, topic_ends, topic_owners, topics
from kernel_lib.errors import (
    AuthenticationFailed,
    CourseError,
    MalformedRecord,
    NotFound,
    ServiceUnavailable,
    WaitTimeout,
)
from kernel_lib.owners import Owner
from kernel_lib.records import TOPICS
from kernel_lib.settings import Settings, load


@pytest.fixture
def settings() -> Iterator[Settings]:
    settings = load(namespace=f"t-{secrets.token_hex(4)}")
    yield settings
    topics.delete(*topics.list_names(settings=settings), settings=settings)


@pytest.fixture
def topic(settings: Settings) -> str:
    topics.create("letters", partitions=2, settings=settings)
    return "letters"


def config(settings: Settings, name: str) -> dict[str, str]:
    admin = AdminClient(settings.kafka_client())
    resource = ConfigResource(ConfigResource.Type.TOPIC, settings.named(name))
    entries = next(iter(admin.describe_configs([resource]).values())).result(10)
    return {key: entry.value for key, entry in entries.items()}


def unreachable_within(seconds: float, settings: Settings) -> None:
    started = time.monotonic()
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        topics.list_names(settings=settings)
    assert time.monotonic() - started < seconds


def test_the_topics_of_the_course_are_created_once(settings: Settings) -> None:
    first, second = topics.create_all(settings=settings), topics.create_all(settings=settings)
    assert [each.created for each in first] == [True] * len(TOPICS)
    assert [(each.created, each.note) for each in second] == [(False, "")] * len(TOPICS)
    found = {spec.name: len(topics.describe(spec.name, settings=settings).partitions) for spec in TOPICS}
    assert found["user-events"] == 6
    assert found["control"] == 1
    assert found == {spec.name: spec.partitions for spec in TOPICS}


def test_a_topic_of_the_course_made_alone_has_the_same_number_of_partitions(settings: Settings) -> None:
    topics.create("metrics", append_time=True, settings=settings)
    assert len(topics.describe("metrics", settings=settings).partitions) == 1


def test_a_topic_has_six_partitions_with_three_replicas_in_sync(settings: Settings) -> None:
    topics.create("letters", settings=settings)
    partitions = topics.describe("letters", settings=settings).partitions
    assert [len(partition.in_sync) for partition in partitions] == [3] * 6
    assert {partition.leader for partition in partitions} <= {1, 2, 3}


def test_a_topic_is_bounded_on_disk_and_safe_against_one_lost_broker(settings: Settings) -> None:
    topics.create("letters", settings=settings)
    found = config(settings, "letters")
    wanted = {
        "cleanup.policy": "delete",
        "retention.ms": "604800000",
        "retention.bytes": "134217728",
        "segment.bytes": "16777216",
        "min.insync.replicas": "2",
        "message.timestamp.type": "CreateTime",
    }
    assert {key: found[key] for key in wanted} == wanted


def test_result_topics_carry_the_brokers_time_and_reference_topics_are_compacted(settings: Settings) -> None:
    topics.create("results", append_time=True, settings=settings)
    topics.create("people", compacted=True, settings=settings)
    assert config(settings, "results")["message.timestamp.type"] == "LogAppendTime"
    assert config(settings, "people")["cleanup.policy"] == "compact"


def test_an_existing_topic_with_another_number_of_partitions_is_left_and_named(settings: Settings, topic: str) -> None:
    creation = topics.create(topic, partitions=6, settings=settings)
    assert creation.note == f"{settings.named(topic)} exists with 2 partitions, not 6: left as it is"
    assert len(topics.describe(topic, settings=settings).partitions) == 2


def test_one_question_tells_how_many_records_were_ever_written_to_several_topics(
    settings: Settings, topic: str
) -> None:
    topics.create("notes", partitions=3, settings=settings)
    topics.write(topic, b"one", b"two", settings=settings)
    topics.write("notes", b"three", settings=settings)
    assert topics.ends(topic, "notes", settings=settings) == {topic: 2, "notes": 1}
    assert topics.ends(settings=settings) == {}
    with pytest.raises(NotFound, match="leters'"):
        topics.ends(topic, "leters", settings=settings)


def test_only_topics_of_the_namespace_are_seen(settings: Settings, topic: str) -> None:
    assert topics.list_names(settings=settings) == [topic]
    assert not topics.exists(topic, settings=load(namespace=settings.namespace + "x"))


def test_a_topic_of_a_notebook_ends_with_it_and_others_stay(settings: Settings, topic: str) -> None:
    """Fails when a topic without an owner, or of a process that lives, is taken for one that was left."""
    for name in ("mine", "left"):
        topics.create(name, partitions=1, owner="kernel", settings=settings)
    ended = Owner("kernel", socket.gethostname(), os.getpid(), "1.00")
    topic_owners.note(settings.named("left"), ended, settings)
    assert topics.delete_orphans(settings=settings) == ["left"]
    assert topics.list_names(settings=settings) == [topic, "mine"]
    topics.create(topic, owner="kernel", settings=settings)  # it was there, without an owner
    assert topics.delete_own(settings=settings) == ["mine"]
    assert topics.list_names(settings=settings) == [topic]
    assert not [name for name in topic_owners.owned(settings) if name.startswith(settings.namespace)]


def test_a_topic_that_somebody_else_deleted_is_no_orphan_any_more(settings: Settings) -> None:
    """Fails when its note stays, and raises NotFound at each look."""
    gone = settings.named("gone")
    topic_owners.note(gone, Owner("kernel", socket.gethostname(), os.getpid(), "1.00"), settings)
    assert topics.delete_orphans(settings=settings) == []
    assert gone not in topic_owners.owned(settings)


def test_when_another_notebook_was_faster_the_rest_of_what_was_left_goes_the_next_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when the notes are forgotten although nothing was deleted: the topics would stay for ever."""
    ended = Owner("kernel", socket.gethostname(), os.getpid(), "1.00")
    for name in ("first", "second"):
        topic_owners.note(settings.named(name), ended, settings)
    topics.create("second", partitions=1, settings=settings)
    with monkeypatch.context() as patched:
        patched.setattr(topics, "list_names", lambda **_: ["first", "second"])  # as they were a moment ago
        assert topics.delete_orphans(settings=settings) == []
    assert topics.delete_orphans(settings=settings) == ["second"]


def test_a_notebook_that_begins_again_takes_its_topic_over(settings: Settings) -> None:
    """Fails when the topic of a kernel that was restarted is deleted under the next one."""
    topics.create("again", partitions=1, owner="kernel", settings=settings)
    topic_owners.note(settings.named("again"), Owner("kernel", socket.gethostname(), os.getpid(), "1.00"), settings)
    topics.create("again", partitions=1, owner="kernel", settings=settings)
    assert topics.delete_orphans(settings=settings) == []


def test_a_deleted_topic_is_gone(settings: Settings, topic: str) -> None:
    topics.delete(topic, settings=settings)
    assert not topics.exists(topic, settings=settings)


def test_no_topic_is_deleted_when_one_of_them_does_not_exist(settings: Settings, topic: str) -> None:
    with pytest.raises(NotFound, match="leters"):
        topics.delete(topic, "leters", settings=settings)
    assert topics.exists(topic, settings=settings)


def test_an_unknown_topic_is_answered_with_names_that_look_like_it(settings: Settings, topic: str) -> None:
    with pytest.raises(NotFound, match=r"(?s)'t-\w+\.leters'.*letters.*\./course topics"):
        topics.read("leters", settings=settings)


def test_what_was_written_is_read_from_the_beginning(settings: Settings, topic: str) -> None:
    topics.write(topic, b"a", b"b", b"c", key=b"k", settings=settings)
    records = topics.read(topic, settings=settings)
    assert [record.value for record in records] == [b"a", b"b", b"c"]
    assert [record.offset for record in records] == [0, 1, 2]
    assert {(record.key, record.timestamp_type) for record in records} == {(b"k", "create")}


def test_a_limit_bounds_what_is_read(settings: Settings, topic: str) -> None:
    topics.write(topic, *[b"x"] * 10, settings=settings)
    assert len(topics.read(topic, limit=4, settings=settings)) == 4


def test_one_partition_can_be_read_by_itself(settings: Settings, topic: str) -> None:
    topics.write(topic, b"a", key=b"k", settings=settings)
    where = topics.read(topic, settings=settings)[0].partition
    assert len(topics.read(topic, partition=where, settings=settings)) == 1
    assert topics.read(topic, partition=1 - where, settings=settings) == []


def test_an_empty_topic_reads_as_nothing_at_once(settings: Settings, topic: str) -> None:
    assert topics.read(topic, settings=settings) == []


def test_aborted_records_are_read_only_when_asked_for(settings: Settings, topic: str) -> None:
    writer = Producer({**settings.kafka_client(), "transactional.id": settings.named("writer")})
    writer.init_transactions(20)
    for value, finish in ((b"kept", writer.commit_transaction), (b"aborted", writer.abort_transaction)):
        writer.begin_transaction()
        writer.produce(settings.named(topic), value, partition=0)
        writer.flush(10)
        finish(20)
    assert [record.value for record in topics.read(topic, settings=settings)] == [b"kept"]
    assert len(topics.read(topic, committed=False, settings=settings)) == 2


def test_records_are_committed_when_no_transaction_before_their_end_is_open(settings: Settings, topic: str) -> None:
    writer = Producer({**settings.kafka_client(), "transactional.id": settings.named("writer")})
    writer.init_transactions(20)
    writer.begin_transaction()
    writer.produce(settings.named(topic), b"{}", partition=0)
    writer.flush(20)
    with pytest.raises(WaitTimeout, match="the last results to be committed to letters"):
        topic_ends.wait_committed([topic], 0, settings=settings)
    writer.commit_transaction(20)
    topic_ends.wait_committed([topic], 20, settings=settings)
    assert len(topics.read(topic, settings=settings)) == 1


def test_a_poison_record_is_named_and_leaves_the_others_readable(settings: Settings, topic: str) -> None:
    topics.write(topic, b'{"n": 1}', b"\xff not JSON", json.dumps({"n": 3}).encode(), key=b"k", settings=settings)
    good, poison, last = topics.read(topic, settings=settings)
    assert (good.json(), last.json()) == ({"n": 1}, {"n": 3})
    with pytest.raises(MalformedRecord, match=rf"Record 1 of {settings.named(topic)}, partition [01], is not JSON"):
        poison.json()


def test_lag_counts_from_what_the_group_committed(settings: Settings, topic: str) -> None:
    topics.write(topic, *[b"x"] * 5, key=b"k", settings=settings)
    where = topics.read(topic, settings=settings)[0].partition
    assert groups.lag("readers", topic, settings=settings) == {where: 5, 1 - where: 0}
    reader = Consumer({**settings.kafka_client(), "group.id": settings.named("readers")})
    reader.commit(offsets=[TopicPartition(settings.named(topic), where, 3)], asynchronous=False)
    reader.close()
    assert groups.lag("readers", topic, settings=settings) == {where: 2, 1 - where: 0}


def test_a_record_that_a_broker_refuses_is_an_error(settings: Settings) -> None:
    topics.create("small", partitions=1, config={"max.message.bytes": "100"}, settings=settings)
    with pytest.raises(CourseError, match="MSG_SIZE_TOO_LARGE"):
        topics.write("small", secrets.token_bytes(500), settings=settings)


def test_a_wrong_password_is_named_within_ten_seconds() -> None:
    started = time.monotonic()
    with pytest.raises(AuthenticationFailed, match="SASL_PASSWORD") as caught:
        topics.list_names(settings=load(sasl_password="wrong-one"))
    assert time.monotonic() - started < 10
    assert "wrong-one" not in str(caught.value)


def test_a_closed_port_is_reported_within_ten_seconds() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        unreachable_within(10, load(kafka_bootstrap_servers=f"127.0.0.1:{unused.getsockname()[1]}"))


def test_a_broker_that_accepts_and_says_nothing_is_reported_within_ten_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        unreachable_within(10, load(kafka_bootstrap_servers=f"127.0.0.1:{silent.getsockname()[1]}"))


def test_reaching_a_broker_again_forgets_what_was_heard_before(settings: Settings, topic: str) -> None:
    heard = kafka_client.Heard()
    heard.all_down = True
    client = Producer(kafka_client.config(settings, heard))
    assert settings.named(topic) in kafka_client.reach(client, settings, heard, topic=topic).topics


def test_a_topic_can_be_made_again_under_the_name_of_a_deleted_one(settings: Settings) -> None:
    """Fails when `delete` keeps the admin client: librdkafka then crashes the process."""
    for _ in range(3):
        topics.create("letters", settings=settings)
        topics.write("letters", b"{}", settings=settings)
        assert len(topics.read("letters", settings=settings)) == 1
        assert topics.describe("letters", settings=settings).size == 1
        topics.delete("letters", settings=settings)
