"""Own the way to a job's parameters: write a version to the control topic, and gather its acknowledgements.

One producer and one consumer are kept open, so that a change takes tens of milliseconds.

    >>> channel = control_topic.channel(settings)
    >>> version = channel.publish("filter_events", {"minimum_duration": 0.0}, {"minimum_duration": 2.5})
    >>> channel.gather(version, timeout_seconds=10)
    (Acknowledgement(job='filter_events', version=1789221600000000, subtask=0, parallelism=1, ...),)
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka import Producer as KafkaProducer

from kernel_lib import kafka_client, topics
from kernel_lib.errors import ConfigurationError, WaitTimeout
from kernel_lib.kafka_client import Record
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

CONTROL, ACKNOWLEDGEMENTS = "control", "acknowledgements"
MOST_RECORDS = 1_000_000
_POLL_SECONDS = 0.05
_KINDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}

Value = bool | int | float | str
Parameters = dict[str, Value]


class Version(msgspec.Struct, frozen=True):
    """All parameters of a job; `version` is when they were asked for, in microseconds of the epoch."""

    job: str
    version: int
    parameters: Parameters


class Acknowledgement(msgspec.Struct, frozen=True):
    """One of a job's `parallelism` subtasks says what is in force in it."""

    job: str
    version: int
    subtask: int
    parallelism: int
    parameters: Parameters


Said = TypeVar("Said", Version, Acknowledgement)


class Channel:
    """A producer of versions and a consumer of acknowledgements; threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._heard = settings, kafka_client.Heard()
        self._publishing, self._polling = threading.Lock(), threading.Lock()
        self._newest: dict[str, Version] = {}
        self._gathered: dict[int, dict[tuple[int, int], Acknowledgement]] = {}
        self._refused: dict[int, KafkaError] = {}
        self._last = 0
        sends = {"linger.ms": 0, "enable.idempotence": True, "delivery.timeout.ms": 8_000}
        group = settings.named("controls")
        reads = {"group.id": group, "enable.auto.commit": False, "queued.max.messages.kbytes": 1024}
        ends = topics.offsets(ACKNOWLEDGEMENTS, committed=False, settings=settings)
        for each in parsed(topics.read(CONTROL, limit=MOST_RECORDS, settings=settings), Version):
            self._newest[each.job] = each
        self._producer = KafkaProducer(kafka_client.config(settings, self._heard, **sends))
        self._consumer = Consumer(kafka_client.config(settings, self._heard, **reads))
        with kafka_client.translated(settings, self._heard, topic=CONTROL):
            kafka_client.reach(self._producer, settings, self._heard, topic=CONTROL)
            name = settings.named(ACKNOWLEDGEMENTS)
            self._consumer.assign([TopicPartition(name, number, high) for number, (_, high) in ends.items()])

    @property
    def broken(self) -> bool:
        """Whether a version was refused, so that it is not known what the control topic holds."""
        return bool(self._refused)

    def publish(self, job: str, declared: Parameters, changes: Parameters) -> Version:
        """Write what is to be in force: `changes` over the job's newest parameters over those `declared`."""
        with self._publishing, kafka_client.translated(self._settings, self._heard, topic=CONTROL):
            self._take_waiting()
            newest = self._newest[job].parameters if job in self._newest else {}
            kept = {name: value for name, value in newest.items() if type(value) is type(declared.get(name))}
            self._last = number = max(self._last + 1, time.time_ns() // 1000)
            version = self._newest[job] = Version(job, number, {**declared, **kept, **changes})
            self._gathered[number] = {}
            self._producer.produce(
                self._settings.named(CONTROL),
                msgspec.json.encode(version),
                job,
                on_delivery=lambda error, _: self._refused.update({number: error} if error else {}),
            )
            return version

    def gather(self, version: Version, *, timeout_seconds: float) -> tuple[Acknowledgement, ...]:
        """Return a version's acknowledgements: of all subtasks, or those that came before the time was up.

        Raises ServiceUnavailable if Kafka is down.
        """
        number, what = version.version, f"all subtasks of {version.job} to acknowledge"
        with suppress(WaitTimeout), kafka_client.translated(self._settings, self._heard, topic=CONTROL):
            wait_until(lambda: self._is_complete(number), timeout_seconds, what, interval_seconds=0)
        return tuple(each for _, each in sorted(self._gathered.pop(number).items()))

    def close(self) -> None:
        """Leave Kafka."""
        self._consumer.close()

    def _is_complete(self, number: int) -> bool:
        self._producer.poll(0)
        if number in self._refused:
            raise KafkaException(self._refused[number])
        self._heard.check_once(self._settings)
        with self._polling:  # another thread may have taken what this one waits for
            if not complete(self._gathered[number].values()):
                self._take(self._consumer.poll(_POLL_SECONDS))
        return complete(self._gathered[number].values())

    def _take_waiting(self) -> None:
        """Take what other processes have set since the last call."""
        with self._polling:
            while self._take(self._consumer.poll(0)):
                pass

    def _take(self, message: Message | None) -> bool:
        if message is None:
            return False
        for each in parsed([Record.from_message(message)] if not message.error() else [], Acknowledgement):
            if each.version in self._gathered:
                self._gathered[each.version][each.parallelism, each.subtask] = each
            elif each.job not in self._newest or each.version > self._newest[each.job].version:
                self._newest[each.job] = Version(each.job, each.version, each.parameters)
        return True


_opening = threading.Lock()
_channels: dict[tuple[object, ...], Channel] = {}


def channel(settings: Settings) -> Channel:
    """Return this process's channel, opened at the first call; raises NotFound, ServiceUnavailable."""
    key = (settings.namespace, *sorted(settings.kafka_client().items()))
    with _opening:
        if key not in _channels or _channels[key].broken:
            while _channels:
                _channels.popitem()[1].close()
            _channels[key] = Channel(settings)
        return _channels[key]


def checked(job: str, declared: Parameters, name: str, value: Value) -> Value:
    """Return `value` as the job takes it; raises ConfigurationError, naming what there is."""
    if name not in declared:
        raise ConfigurationError(
            f"Job {job} has no parameter {name!r}.",
            cause=f"its parameters: {', '.join(declared)}",
            remedy=f"controls.get({job!r}) shows them with their values",
        )
    kind = type(declared[name])
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        raise ConfigurationError(
            f"Parameter {name} of job {job} cannot be {value!r}.",
            cause=f"it takes {_KINDS[kind]}",
            remedy=f"controls.set({job!r}, {name}={declared[name]!r})",
        )
    return value


def complete(found: Iterable[Acknowledgement]) -> bool:
    """Say whether every subtask has acknowledged, at one parallelism: a job may be rescaled meanwhile."""
    subtasks = {(each.parallelism, each.subtask) for each in found}
    return any(sum(p == parallelism for p, _ in subtasks) == parallelism for parallelism, _ in subtasks)


def parsed(records: Iterable[Record], kind: type[Said]) -> list[Said]:
    """Return what the records say; other records of the topic are passed over."""
    found = []
    for record in records:
        with suppress(msgspec.DecodeError):
            found.append(msgspec.json.decode(record.value or b"", type=kind))
    return found
