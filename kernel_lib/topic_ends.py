"""Own where a topic ends for who reads committed records: after the last of them.

>>> topic_ends.readable("processed-events")
{0: 1204, 1: 1190}

Behind it are only markers of transactions and what aborted ones wrote. They take offsets too, but no reader
gets them, so that one who has read everything never stands at the end that brokers report.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from confluent_kafka import Consumer, TopicPartition

from kernel_lib import kafka_client, topics
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until

FIRST_STEP_BACK, WIDER = 2, 16


def readable(topic: str, *, settings: Settings | None = None) -> dict[int, int]:
    """Return, for each partition, the offset after the last committed record; its beginning if there is none.

    Raises NotFound, ServiceUnavailable.
    """
    settings = settings or load()
    heard = kafka_client.Heard()
    extra = {"enable.auto.commit": False, "enable.partition.eof": True, "isolation.level": "read_committed"}
    consumer = Consumer(kafka_client.config(settings, heard, **{"group.id": settings.named("reader")}, **extra))
    with kafka_client.translated(settings, heard, topic=topic), closing(consumer):
        kafka_client.reach(consumer, settings, heard, topic=topic)
        bounds = topics.offsets(topic, settings=settings)
        found = {number: low for number, (low, _) in bounds.items()}
        back = FIRST_STEP_BACK
        unseen = {number for number, (low, high) in bounds.items() if low < high}
        while unseen:
            starts = {number: max(bounds[number][0], bounds[number][1] - back) for number in unseen}
            consumer.assign([TopicPartition(settings.named(topic), n, start) for n, start in starts.items()])
            for record in topics.up_to(consumer, heard, settings, {n: bounds[n][1] for n in unseen}):
                found[record.partition] = max(found[record.partition], record.offset + 1)
                unseen.discard(record.partition)
            unseen = {number for number in unseen if starts[number] > bounds[number][0]}
            back *= WIDER
    return found


def wait_committed(names: Iterable[str], timeout_seconds: float, *, settings: Settings | None = None) -> None:
    """Wait until no transaction is open that wrote what the topics hold now: only then is it read.

    Brokers end a transaction some moments after they have promised to. Raises WaitTimeout, NotFound.
    """
    settings = settings or load()
    ends = {name: topics.offsets(name, committed=False, settings=settings) for name in names}
    wait_until(
        lambda: all(_committed(name, bounds, settings) for name, bounds in ends.items()),
        timeout_seconds,
        f"the last results to be committed to {', '.join(ends)}",
        remedy="a transaction that a killed job left open ends by its time-out",
    )


def _committed(name: str, ends: dict[int, tuple[int, int]], settings: Settings) -> bool:
    found = topics.offsets(name, settings=settings)
    return all(found[number][1] >= high for number, (_, high) in ends.items())
