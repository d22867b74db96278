"""Create, describe, read, write and delete topics.

Names are the short ones (`user-events`): the namespace of the settings is put before them.

    >>> topics.create_all()
    >>> topics.describe("user-events").partitions[0].in_sync
    (1, 2, 3)
    >>> [record.json()["eventType"] for record in topics.read("user-events", limit=3)]
    ['page_view', 'search', 'page_view']
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    ClusterMetadata,
    NewTopic,
    TopicMetadata,
)

from kernel_lib import kafka_client, offset_bounds, topic_owners
from kernel_lib.errors import NotFound
from kernel_lib.kafka_client import ANSWER_SECONDS, Record
from kernel_lib.owners import Kind, Owner
from kernel_lib.records import MIN_INSYNC_REPLICAS, PARTITIONS, REPLICATION_FACTOR, RETENTION_DAYS, TOPICS, TopicSpec
from kernel_lib.settings import Settings, load

_PATIENCE: Any = {"operation_timeout": ANSWER_SECONDS, "request_timeout": ANSWER_SECONDS}
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
    return _create(TOPICS, {}, settings or load())


def create(
    name: str,
    *,
    partitions: int | None = None,
    compacted: bool = False,
    append_time: bool = False,
    config: Mapping[str, str] | None = None,
    owner: Kind = "course",
    settings: Settings | None = None,
) -> Creation:
    """Create one topic with 3 replicas; `config` wins over the course's own. An existing one is left as it is.

    Without `partitions` it has as many as the course's topic of that name, and 6 if there is none. With `owner`
    "kernel" it is this process's: `lessons.closing` deletes it, and so does `delete_orphans` when the process is gone.
    """
    settings = settings or load()
    usual = next((spec.partitions for spec in TOPICS if spec.name == name), PARTITIONS)
    spec = TopicSpec(name, compacted, append_time, usual if partitions is None else partitions)
    creation = _create([spec], config or {}, settings)[0]
    full_name = settings.named(name)
    if owner == "kernel" and (creation.created or full_name in topic_owners.owned(settings)):
        topic_owners.note(full_name, Owner.this_process(), settings)
    return creation


def _create(specs: Iterable[TopicSpec], config: Mapping[str, str], settings: Settings) -> list[Creation]:
    with kafka_client.asking(settings) as (admin, metadata):
        wanted = list(specs)
        missing = [spec for spec in wanted if settings.named(spec.name) not in metadata.topics]
        new = [_new_topic(spec, config, settings) for spec in missing]
        futures = admin.create_topics(new, **_PATIENCE) if new else {}
        created = {name for name, future in futures.items() if _was_created(future)}
        if created:
            ready = partial(_have_leaders, created)
            kafka_client.wait_everywhere(
                settings, metadata, ready, "all brokers to know the new topics and their leaders"
            )
        if created != {topic.topic for topic in new}:
            metadata = admin.list_topics(timeout=ANSWER_SECONDS)
    return [_creation(spec, settings.named(spec.name), created, metadata) for spec in wanted]


def _new_topic(spec: TopicSpec, config: Mapping[str, str], settings: Settings) -> NewTopic:
    return NewTopic(
        settings.named(spec.name),
        num_partitions=spec.partitions,
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


def _creation(spec: TopicSpec, full_name: str, created: set[str], metadata: ClusterMetadata) -> Creation:
    if full_name in created:
        return Creation(spec.name, created=True)
    found = len(metadata.topics[full_name].partitions)
    differs = f"{full_name} exists with {found} partitions, not {spec.partitions}: left as it is"
    return Creation(spec.name, created=False, note=differs if found != spec.partitions else "")


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
        bounds = offset_bounds.ask(admin, settings.named(name), list(partitions))
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
        return offset_bounds.ask(admin, settings.named(name), partitions, committed=committed)


def ends(*names: str, settings: Settings | None = None) -> dict[str, int]:
    """Return how many records were ever written to each topic, those of open and aborted transactions too.

    One question for all of them. Raises NotFound.
    """
    settings = settings or load()
    full_names = {settings.named(name): name for name in names}
    with kafka_client.asking(settings) as (admin, metadata):
        for full_name, name in full_names.items():
            if full_name not in metadata.topics:
                raise kafka_client.unknown_topic(settings, name, metadata)
        found = offset_bounds.ends(admin, {name: list(metadata.topics[name].partitions) for name in full_names})
    return {full_names[full_name]: end for full_name, end in found.items()}


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
    topic_owners.forget(full_names)


def delete_own(*, settings: Settings | None = None) -> list[str]:
    """Delete the topics that this process made for itself, and return their names. Raises ServiceUnavailable."""
    return _delete_those(lambda owner: owner == Owner.this_process(lesson=owner.lesson), settings)


def delete_orphans(*, settings: Settings | None = None) -> list[str]:
    """Delete the topics of processes of this host that are gone, and return their names. Raises ServiceUnavailable."""
    return _delete_those(Owner.is_gone, settings)


def _delete_those(chosen: Callable[[Owner], bool], settings: Settings | None) -> list[str]:
    if not topic_owners.any_noted():
        return []
    settings = settings or load()
    full_names = [full_name for full_name, owner in topic_owners.owned(settings).items() if chosen(owner)]
    if not full_names:
        return []
    there = [name for name in list_names(settings=settings) if settings.named(name) in full_names]
    try:
        delete(*there, settings=settings)
    except NotFound:  # another notebook has just deleted one of them; the rest goes the next time
        return []
    topic_owners.forget(name for name in full_names if name.startswith(settings.named("")))
    return there


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
        first = offset_bounds.starts(consumer, settings.named(name), wanted, since_ms)
        ends = {n: high for n, (_, high) in wanted.items() if high > first[n]}
        consumer.assign([TopicPartition(settings.named(name), n, first[n]) for n in ends])
        records = list(islice(up_to(consumer, heard, settings, ends), limit))
    return sorted(records, key=lambda record: (record.timestamp_ms, record.partition, record.offset))


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
