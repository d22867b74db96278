"""Own consumer groups: how far their commits are behind, and forgetting what they have committed.

>>> groups.lag("count_events", "user-events")
{0: 0, 1: 3, 2: 0, 3: 0, 4: 1, 5: 0}
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from kernel_lib import kafka_client, topics
from kernel_lib.kafka_client import ANSWER_SECONDS, Heard
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until

# A coordinator that has just come up reads what was committed first; one whose broker died is replaced.
COORDINATOR_SECONDS = 25.0
SESSION_SECONDS = 60.0  # the time-out of a member is 45 s, unless it says otherwise
_COORDINATING = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}
_STARTING = {*_COORDINATING, KafkaError._TRANSPORT, KafkaError._TIMED_OUT}


@dataclass(frozen=True)
class Position:
    """Where a group stands in a partition: the offset after the last commit (-1: none), and the topic's own bounds."""

    committed: int
    low: int
    high: int

    @property
    def lag(self) -> int:
        """Offsets between the commit, or the beginning without one, and the end."""
        return self.high - max(self.low, self.committed)


def lag(group: str, topic: str, *, settings: Settings | None = None) -> dict[int, int]:
    """Return, for each partition, how many offsets the group's commits are behind the end.

    A partition without a commit counts from its beginning. Transaction markers take offsets too, so a group that
    has read everything of a transactional topic may still show a lag of a few. Raises NotFound, ServiceUnavailable.
    """
    return {number: position.lag for number, position in positions(group, topic, settings=settings).items()}


def positions(group: str, topic: str, *, settings: Settings | None = None) -> dict[int, Position]:
    """Return, for each partition, where the group stands; raises NotFound, ServiceUnavailable, WaitTimeout."""
    settings = settings or load()
    with kafka_client.asking(settings, topic) as (_, metadata):
        numbers = metadata.topics[settings.named(topic)].partitions
    places = [TopicPartition(settings.named(topic), number) for number in numbers]
    reader, heard = _reader(tuple(sorted(settings.kafka_client().items())), settings.named(group))
    with kafka_client.translated(settings, heard, topic=topic):
        found = wait_until(lambda: _commits(reader, places), COORDINATOR_SECONDS, f"the coordinator of group {group}")
    committed = {place.partition: place.offset for place in found or []}
    # The ends come last: a commit is then never ahead of them.
    bounds = topics.offsets(topic, committed=False, settings=settings)
    return {n: Position(max(committed.get(n, -1), -1), low, high) for n, (low, high) in bounds.items()}


def names(*, settings: Settings | None = None) -> list[str]:
    """Return the short names of the groups of this namespace that Kafka knows, in order.

    Raises ServiceUnavailable, WaitTimeout.
    """
    settings = settings or load()
    with kafka_client.asking(settings) as (admin, _):
        found = wait_until(lambda: _listed(admin), COORDINATOR_SECONDS, "the groups of all brokers")
    prefix = settings.named("")
    return sorted(each.group_id.removeprefix(prefix) for each in found.valid if each.group_id.startswith(prefix))


def _listed(admin: AdminClient) -> Any:
    """Return what all brokers answer; None if one of them has just come up, or is not up yet."""
    try:
        found = admin.list_consumer_groups(request_timeout=ANSWER_SECONDS).result()
    except KafkaException as error:
        if error.args[0].code() not in _STARTING:
            raise
        return None
    return None if found.errors else found


def forget(group: str, *, settings: Settings | None = None) -> None:
    """Delete what a group has committed, when its last member is gone; harmless when there is no such group.

    The coordinator counts a killed member as gone after its session time-out. Raises WaitTimeout, ServiceUnavailable.
    """
    settings = settings or load()
    name = settings.named(group)
    with kafka_client.asking(settings) as (admin, _):
        wait_until(lambda: _forgotten(admin, name), SESSION_SECONDS, f"the coordinator of group {group} to forget it")


def _forgotten(admin: AdminClient, name: str) -> bool:
    try:
        admin.delete_consumer_groups([name], request_timeout=ANSWER_SECONDS)[name].result()
    except KafkaException as error:
        if error.args[0].code() in {*_COORDINATING, KafkaError.NON_EMPTY_GROUP}:
            return False
        if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
            raise
    return True


@lru_cache(maxsize=16)
def _reader(connection: tuple[tuple[str, object], ...], group: str) -> tuple[Consumer, Heard]:
    # A consumer that joins no group. The admin client's list_consumer_group_offsets ends the process when the broker
    # that it asks is not the coordinator (any more): https://github.com/confluentinc/librdkafka/issues/5040
    # Kept, as pictures ask once a second.
    heard = Heard()
    return Consumer(kafka_client.tuned(dict(connection) | {"group.id": group}, heard)), heard


def _commits(reader: Consumer, places: list[TopicPartition]) -> list[TopicPartition] | None:
    reader.poll(0)  # serves error_cb
    try:
        found = reader.committed(places, timeout=ANSWER_SECONDS)
    except KafkaException as error:
        if error.args[0].code() in _COORDINATING:
            return None
        raise
    for place in found:
        if place.error:
            raise KafkaException(place.error)
    return found
