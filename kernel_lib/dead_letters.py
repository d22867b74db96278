"""Own how records that could not be used are kept: in the topic `dead-letters`, with the reason and their place.

>>> letters = DeadLetters("user-events", settings, threading.Event())
>>> letters.write([(message, "Input data was truncated")])
True
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from kernel_lib import kafka_client
from kernel_lib.live import in_one_line
from kernel_lib.records import DeadLetter
from kernel_lib.settings import Settings

TOPIC = "dead-letters"
RETRY_SECONDS = 0.5
# A letter is JSON, where one character may take six bytes, and a record of Kafka has at most a million.
MOST_CHARACTERS = 100_000


def dead_letter(topic: str, message: Message, reason: str) -> bytes:
    """Return the dead letter of a record of a topic (short name), its text cut to what fits into a record."""
    text = (message.value() or b"").decode(errors="replace")[:MOST_CHARACTERS]
    return msgspec.json.encode(DeadLetter(reason, topic, message.partition() or 0, message.offset() or 0, text))


def tuning() -> dict[str, Any]:
    """Return what makes a dead letter safe: it is tried for as long as it takes."""
    return {
        "acks": "all",
        "enable.idempotence": True,
        "message.timeout.ms": 0,
        "compression.type": "lz4",
        # The same partition for a key as Java clients, Flink among them.
        "partitioner": "murmur2_random",
        # How soon a topic is found that was missing.
        "topic.metadata.refresh.interval.ms": 5_000,
    }


class DeadLetters:
    """Writes the dead letters of a topic until somebody says stop; `problem` says in words why it takes long."""

    def __init__(self, source: str, settings: Settings, stopping: threading.Event) -> None:
        self.problem = ""
        self._source, self._settings, self._stopping = source, settings, stopping
        self._producer = Producer(kafka_client.config(settings, kafka_client.Heard(), **tuning()))
        self._open: list[bytes] = []

    def write(self, bad: Iterable[tuple[Message, str]]) -> bool:
        """Write a letter for each record and its reason, and return whether all in-sync replicas have all of them.

        They have, or somebody said stop before that.
        """
        self._open = [dead_letter(self._source, message, reason) for message, reason in bad]
        while self._open:
            self._send()
            while self._producer.flush(RETRY_SECONDS):
                if self._stopping.is_set():
                    return False
            if self._open and self._stopping.wait(RETRY_SECONDS):
                return False
        self.problem = ""
        return True

    def _send(self) -> None:
        letters, self._open = self._open, []
        topic = self._settings.named(TOPIC)
        for letter in letters:
            try:
                self._producer.produce(topic, letter, self._source, on_delivery=partial(self._delivered, letter))
            except KafkaException as error:
                self._delivered(letter, error.args[0])

    def _delivered(self, letter: bytes, error: KafkaError | None, _: Message | None = None) -> None:
        if error:
            self._open.append(letter)
            self.problem = in_one_line(kafka_client.error_for(error, self._settings, topic=TOPIC))
