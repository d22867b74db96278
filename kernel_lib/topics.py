"""Create, describe, read, write and delete topics.

Names are the short ones (`user-events`): the namespace of the settings is put before them.

    >>> topics.create_all()
    >>> topics.describe("user-events").partitions[0].in_sync
    (1, 2, 3)
    >>> [record.json()["eventType"] for record in topics.read("user-events", limit=3)]
    ['page_view', 'search', 'page_view']
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ClusterMetadata,
    NewTopic,
    OffsetSpec,
    TopicMetadata,
)

from kernel_lib import kafka_client
from kernel_lib.kafka_client import ANSWER_SECONDS, Record
from kernel_lib.records import MIN_INSYNC_REPLICAS, PARTITIONS, REPLICATION_FACTOR, RETENTION_DAYS, TOPICS, TopicSpec
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until

_PATIENCE: Any = {"operation_timeout": ANSWER_SECONDS, "request_timeout": ANSWER_SECONDS}
# A leader that has just died answers nothing; another is elected within seconds, and must be asked then.
# Measured after a broker's kill: 8-10 s, when the broker was the active controller too.
ATTEMPT_SECONDS = 1.5
ELECTION_SECONDS = 25.0
_ELECTING = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
}
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Partition:
    """A partition: its leader (-1 for none), broker ids, and offsets from `low` up to, without, `high`."""

    number: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    low: int
    high: int


@dataclass(frozen=True)
class TopicDescription:
    """A topic by its short name, and its partitions in order."""

    name: str
    partitions: tuple[Partition, ...]

    @property
    def size(self) -> int:
        """Offsets in use; transaction markers and aborted records count too."""
        return sum(partition.high - partition.low for partition in self.partitions)


@dataclass(frozen=True)
class Creation:
    """What became of a request to create a topic; `note` says what differs from the request."""

    name: str
    created: bool
    note: str = ""


def create_all(*, settings: Settings | None = None) -> list[Creation]:
    """Create the topics of the course that do not exist; leaves those that do as they are."""
    return _create(TOPICS, PARTITIONS, {}, settings or load())


def create(
    name: str,
    *,
    partitions: int = PARTITIONS,
    compacted: bool = False,
    append_time: bool = False,
    config: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> Creation:
    """Create one topic with 3 replicas; `config` wins over the course's own. An existing one is left as it is."""
    spec = TopicSpec(name, compacted, append_time)
    return _create([spec], partitions, config or {}, settings or load())[0]


def _create(
    specs: Iterable[TopicSpec], partitions: int, config: Mapping[str, str], settings: Settings
) -> list[Creation]:
    with kafka_client.asking(settings) as (admin, metadata):
        wanted = list(specs)
        missing = [spec for spec in wanted if settings.named(spec.name) not in metadata.topics]
        new = [_new_topic(spec, partitions, config, settings) for spec in missing]
        futures = admin.create_topics(new, **_PATIENCE) if new else {}
        created = {name for name, future in futures.items() if _was_created(future)}
        if created:
            ready = partial(_have_leaders, created)
            kafka_client.wait_everywhere(
                settings, metadata, ready, "all brokers to know the new topics and their leaders"
            )
        if created != {topic.topic for topic in new}:
            metadata = admin.list_topics(timeout=ANSWER_SECONDS)
    return [_creation(spec.name, settings.named(spec.name), created, metadata, partitions) for spec in wanted]


def _new_topic(spec: TopicSpec, partitions: int, config: Mapping[str, str], settings: Settings) -> NewTopic:
    return NewTopic(
        settings.named(spec.name),
        num_partitions=partitions,
        replication_factor=REPLICATION_FACTOR,
        config={**topic_config(spec), **config},
    )


def topic_config(spec: TopicSpec) -> dict[str, str]:
    """Return the course's configuration of a topic: bounded on disk, safe against the loss of one broker."""
    config = {"min.insync.replicas": str(MIN_INSYNC_REPLICAS), "segment.bytes": str(16 * _MIB)}
    if spec.append_time:
        config["message.timestamp.type"] = "LogAppendTime"
    if spec.compacted:
        return config | {"cleanup.policy": "compact"}
    retention_ms = RETENTION_DAYS * 24 * 60 * 60 * 1000
    return config | {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_ms),
        "retention.bytes": str(128 * _MIB),
    }


def _was_created(future: Any) -> bool:
    try:
        future.result()
    except KafkaException as error:
        # Somebody else was faster: what `create` promises is true all the same.
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        return False
    return True


def _have_leaders(names: Iterable[str], metadata: ClusterMetadata) -> bool:
    topics = [metadata.topics.get(name) for name in names]
    return all(topic and topic.partitions and _led(topic) for topic in topics)


def _led(topic: TopicMetadata) -> bool:
    return all(partition.leader >= 0 for partition in topic.partitions.values())


def _creation(name: str, full_name: str, created: set[str], metadata: ClusterMetadata, partitions: int) -> Creation:
    if full_name in created:
        return Creation(name, created=True)
    found = len(metadata.topics[full_name].partitions)
    differs = f"{full_name} exists with {found} partitions, not {partitions}: left as it is"
    return Creation(name, created=False, note=differs if found != partitions else "")


def list_names(*, settings: Settings | None = None) -> list[str]:
    """Return the short names of the topics of this namespace, in order."""
    settings = settings or load()
    with kafka_client.asking(settings) as (_, metadata):
        return kafka_client.visible_topics(settings, metadata)


def exists(name: str, *, settings: Settings | None = None) -> bool:
    """Say whether there is such a topic."""
    return name in list_names(settings=settings)


def describe(name: str, *, settings: Settings | None = None) -> TopicDescription:
    """Return leaders, replicas, in-sync replicas and offsets of each partition; raises NotFound."""
    settings = settings or load()
    with kafka_client.asking(settings, name) as (admin, metadata):
        partitions = metadata.topics[settings.named(name)].partitions
        bounds = _offsets(admin, settings.named(name), list(partitions))
        return TopicDescription(
            name,
            tuple(
                Partition(n, p.leader, tuple(sorted(p.replicas)), tuple(sorted(p.isrs)), *bounds[n])
                for n, p in sorted(partitions.items())
            ),
        )


def offsets(name: str, *, committed: bool = True, settings: Settings | None = None) -> dict[int, tuple[int, int]]:
    """Return {partition: (first offset, offset after the last one)}; `committed` ends before open transactions."""
    settings = settings or load()
    with kafka_client.asking(settings, name) as (admin, metadata):
        partitions = list(metadata.topics[settings.named(name)].partitions)
        return _offsets(admin, settings.named(name), partitions, committed=committed)


def _offsets(
    admin: AdminClient, full_name: str, partitions: list[int], *, committed: bool = False
) -> dict[int, tuple[int, int]]:
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED

    def ask(spec: OffsetSpec) -> dict[int, int] | None:
        wanted = {TopicPartition(full_name, number): spec for number in partitions}
        futures = admin.list_offsets(wanted, isolation_level=level, request_timeout=ATTEMPT_SECONDS)
        try:
            found = {place.partition: future.result().offset for place, future in futures.items()}
        except KafkaException as error:
            if error.args[0].code() not in _ELECTING:
                raise
            found = {}
        if found and min(found.values()) >= 0:  # some answers of a dead leader are negative, without an error
            return found
        # Without this, the client goes on asking the leaders that it knew, also when they are dead.
        admin.list_topics(full_name, timeout=ANSWER_SECONDS)
        return None

    def answer(spec: OffsetSpec) -> dict[int, int]:
        found = wait_until(lambda: ask(spec), ELECTION_SECONDS, f"the leaders of {full_name}")
        return found or {}

    low, high = answer(OffsetSpec.earliest()), answer(OffsetSpec.latest())  # type: ignore[no-untyped-call]
    return {number: (low[number], high[number]) for number in partitions}


def delete(*names: str, settings: Settings | None = None) -> None:
    """Delete topics and wait until they are gone; raises NotFound, and deletes nothing, if one does not exist."""
    settings = settings or load()
    full_names = {settings.named(name): name for name in names}
    if not full_names:
        return
    with kafka_client.asking(settings) as (admin, metadata):
        for full_name, name in full_names.items():
            if full_name not in metadata.topics:
                raise kafka_client.unknown_topic(settings, name, metadata)
        for future in admin.delete_topics(list(full_names), **_PATIENCE).values():
            future.result()
        kafka_client.wait_everywhere(
            settings, metadata, lambda view: not full_names.keys() & view.topics, f"{', '.join(full_names)} to be gone"
        )
    kafka_client.forget_clients()


def read(
    name: str,
    *,
    partition: int | None = None,
    since_ms: int = 0,
    limit: int = 10_000,
    committed: bool = True,
    settings: Settings | None = None,
) -> list[Record]:
    """Return the records from the beginning up to the end at the time of the call, at most `limit`, by timestamp.

    `since_ms` leaves out what has an older timestamp (epoch); `committed` what open and aborted transactions
    wrote. Raises NotFound.
    """
    settings = settings or load()
    heard = kafka_client.Heard()
    level = "read_committed" if committed else "read_uncommitted"
    extra = {"enable.auto.commit": False, "enable.partition.eof": True, "isolation.level": level}
    consumer = Consumer(kafka_client.config(settings, heard, **{"group.id": settings.named("reader")}, **extra))
    with kafka_client.translated(settings, heard, topic=name), closing(consumer):
        kafka_client.reach(consumer, settings, heard, topic=name)
        bounds = offsets(name, committed=committed, settings=settings)
        wanted = {n: bound for n, bound in bounds.items() if partition in (None, n)}
        first = starts(consumer, settings.named(name), wanted, since_ms)
        ends = {n: high for n, (_, high) in wanted.items() if high > first[n]}
        consumer.assign([TopicPartition(settings.named(name), n, first[n]) for n in ends])
        records = list(islice(up_to(consumer, heard, settings, ends), limit))
    return sorted(records, key=lambda record: (record.timestamp_ms, record.partition, record.offset))


def starts(consumer: Consumer, full_name: str, bounds: Mapping[int, tuple[int, int]], since_ms: int) -> dict[int, int]:
    """Return for each partition of `bounds` the offset of its first record that is as young as `since_ms` (epoch).

    A partition without one starts at its end; 0 is the beginning. `bounds` are `offsets` as the consumer sees them,
    asked for before this: one that reads committed records only has its end before open transactions.
    """
    if not since_ms:
        return {n: low for n, (low, _) in bounds.items()}
    places = [TopicPartition(full_name, n, since_ms) for n in bounds]
    found = {place.partition: place.offset for place in consumer.offsets_for_times(places, ANSWER_SECONDS)}
    # -1 says that nothing is that young.
    return {n: found[n] if found[n] >= 0 else high for n, (_, high) in bounds.items()}


def up_to(consumer: Consumer, heard: kafka_client.Heard, settings: Settings, ends: dict[int, int]) -> Iterator[Record]:
    """Yield the records before `ends`, an offset a partition; the consumer is assigned and reports ends."""
    open_partitions = set(ends)
    while open_partitions:
        message = consumer.poll(1.0)
        if message is None:
            heard.check(settings)
            continue
        error, number = message.error(), message.partition() or 0
        if error and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        # Transaction markers take offsets but are never delivered: only the end-of-partition event is certain.
        if (message.offset() or 0) >= ends[number] - (not error):
            open_partitions.discard(number)
        if not error and (message.offset() or 0) < ends[number]:
            yield Record.from_message(message)


def write(name: str, *values: bytes, key: bytes | None = None, settings: Settings | None = None) -> None:
    """Write values as they are, JSON or not, and return when all in-sync replicas have them.

    Raises NotFound, PermissionRefused, ServiceUnavailable, and CourseError if a broker refused a record.
    """
    settings = settings or load()
    heard = kafka_client.Heard()
    outcomes: list[KafkaError | None] = []
    with kafka_client.translated(settings, heard, topic=name):
        producer = Producer(kafka_client.config(settings, heard, **{"linger.ms": 0, "delivery.timeout.ms": 8_000}))
        kafka_client.reach(producer, settings, heard, topic=name)
        for value in values:
            producer.produce(settings.named(name), value, key, on_delivery=lambda error, _: outcomes.append(error))
        producer.flush(ANSWER_SECONDS)
        errors = [error for error in outcomes if error]
        if errors or len(outcomes) < len(values):
            raise KafkaException(errors[0] if errors else KafkaError(KafkaError._TIMED_OUT))
