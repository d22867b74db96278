"""Read which brokers are up, which of them leads each partition, and which replicas are in sync.

    >>> read = brokers.ClusterReader(["user-events"])
    >>> [broker.up for broker in read().brokers]
    [True, True, True]
    >>> brokers.needed_in_sync(["user-events"])
    {'user-events': 2}

A broker answers with what it last heard from the controllers, who leave out a broker that does not report to them.
While they have no majority nobody corrects that answer; so a broker is up only if its own port answers, too.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka.admin import ConfigResource, TopicMetadata  # type: ignore[attr-defined]

from kernel_lib import kafka_client
from kernel_lib.kafka_client import ANSWER_SECONDS
from kernel_lib.settings import Settings, load

PORT_SECONDS = 1.0
AWAY, REFUSES = "the controllers do not hear from it", "its port does not answer"


@dataclass(frozen=True)
class Broker:
    """A broker; `reason` says why it is not up, `address` is empty for one that was never seen up."""

    id: int
    address: str
    reason: str = ""

    @property
    def up(self) -> bool:
        return not self.reason


@dataclass(frozen=True)
class Partition:
    """A partition: its leader (-1 for none), and broker ids; the first of `replicas` should lead it."""

    topic: str
    number: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


@dataclass(frozen=True)
class Cluster:
    """The brokers by id, those that are away too, and the partitions by topic and number."""

    brokers: tuple[Broker, ...]
    partitions: tuple[Partition, ...]

    @property
    def up(self) -> set[int]:
        """The ids of the brokers that are up."""
        return {broker.id for broker in self.brokers if broker.up}

    def leader(self, partition: Partition) -> int:
        """Return who leads a partition and is up, or -1."""
        return partition.leader if partition.leader in self.up else -1

    def in_sync(self, partition: Partition) -> int:
        """Return how many replicas are in sync and up."""
        return len(self.up.intersection(partition.in_sync))

    def of(self, topic: str) -> list[Partition]:
        """Return the partitions of one topic."""
        return [partition for partition in self.partitions if partition.topic == topic]


class ClusterReader:
    """Read the cluster as it is at each call; remembers the brokers that it has seen, so that they can be missed."""

    def __init__(self, topics: Sequence[str], *, settings: Settings | None = None) -> None:
        self.topics = tuple(topics)
        self.settings = settings or load()
        self._addresses: dict[int, str] = {}

    def __call__(self) -> Cluster:
        """Return brokers and partitions; raises NotFound for an unknown topic, ServiceUnavailable."""
        partitions: list[Partition] = []
        listed: dict[int, str] = {}
        for topic in self.topics:
            # By name: a client that once knew a topic may crash the process when others make it anew.
            with kafka_client.asking(self.settings, topic) as (_, metadata):
                partitions += _partitions(topic, metadata.topics[self.settings.named(topic)])
                listed = {broker.id: f"{broker.host}:{broker.port}" for broker in metadata.brokers.values()}
        self._addresses |= listed
        known = sorted({*self._addresses, *(number for part in partitions for number in part.replicas)})
        return Cluster(tuple(self._broker(number, number in listed) for number in known), tuple(partitions))

    def _broker(self, number: int, listed: bool) -> Broker:
        address = self._addresses.get(number, "")
        return Broker(number, address, ("" if _answers(address) else REFUSES) if listed else AWAY)


def needed_in_sync(topics: Sequence[str], *, settings: Settings | None = None) -> dict[str, int]:
    """Return each topic's `min.insync.replicas`: with fewer in sync, brokers refuse writes that ask for all of them.

    Raises NotFound, PermissionRefused, ServiceUnavailable.
    """
    settings = settings or load()
    resources = {topic: ConfigResource(ConfigResource.Type.TOPIC, settings.named(topic)) for topic in topics}
    with kafka_client.asking(settings, topics[0]) as (admin, _):
        futures = admin.describe_configs(list(resources.values()), request_timeout=ANSWER_SECONDS)
        entries = {topic: futures[resource].result() for topic, resource in resources.items()}
    return {topic: int(found["min.insync.replicas"].value) for topic, found in entries.items()}


def _partitions(topic: str, metadata: TopicMetadata) -> list[Partition]:
    return [
        Partition(topic, number, each.leader, tuple(each.replicas), tuple(sorted(each.isrs)))
        for number, each in sorted(metadata.partitions.items())
    ]


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), PORT_SECONDS).close()
    except OSError:
        return False
    return True
