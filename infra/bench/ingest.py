"""Measure how fast a producer of the course sends, beside Kafka's own performance tool with the same payload.

Both send the same number of user events with acks=all to a topic with six partitions and three replicas, one after
the other, so that they meet the same machine; who is first takes turns, because brokers get faster as they warm up.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from infra.bench import kafka_tool
from infra.bench.figures import Figure, middle, runs
from infra.layout import Layout
from kernel_lib import generators, producer, topics
from kernel_lib.errors import CourseError
from kernel_lib.knob_log import KnobLog, Knobs
from kernel_lib.runs import Run
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

AS_FAST_AS_POSSIBLE = 1e9
TOPIC, PAYLOADS = "user-events", 20_000


def measure(where: Layout, settings: Settings, *, events: int, pairs: int) -> Iterator[Figure]:
    """Yield events per second and their ratio to Kafka's tool, medians over `pairs` of runs side by side."""
    ours: list[float] = []
    theirs: list[float] = []
    for pair in range(pairs):
        both = [(theirs, partial(_kafka_tool, where, settings, events)), (ours, partial(preload, settings, events))]
        for speeds, send in reversed(both) if pair % 2 else both:
            topics.create(TOPIC, settings=settings)
            speeds.append(send())
            topics.delete(TOPIC, settings=settings)
    conditions = f"{events:,} user events of about 350 bytes, acks=all, 3 replicas, 6 partitions, nothing else runs"
    yield Figure("ingest_events_per_second", middle(ours), "> 100,000", f"{conditions}; {runs(ours)}")
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    yield Figure("ingest_ratio_to_kafka_tool", middle(ratios), "> 0.8", f"the tool: {runs(theirs)} events/s")


def preload(settings: Settings, events: int, topic: str = TOPIC) -> float:
    """Send so many events and return how many were acknowledged in a second, from the first one to the last."""
    sender = producer.start(topic, events_per_second=AS_FAST_AS_POSSIBLE, count=events, settings=settings)
    wait_until(
        lambda: sender.stats.acknowledged >= events or not sender.alive,
        600,
        f"{events:,} acknowledgements",
        interval_seconds=0.02,
    )
    ended = time.time()
    stats = sender.wait(60)
    started_ms = Run.open(sender.run).knob_log().entries[0].at_ms
    if stats.acknowledged < events:
        raise CourseError(
            f"Only {stats.acknowledged:,} of {events:,} events were acknowledged.", cause=stats.last_error
        )
    return events / (ended - started_ms / 1000)


def _kafka_tool(where: Layout, settings: Settings, events: int) -> float:
    with tempfile.NamedTemporaryFile() as payload:
        Path(payload.name).write_bytes(b"\n".join(_payload()))
        words, tuned = ["--payload-file", payload.name], kafka_tool.as_tuned()
        return kafka_tool.records_per_second(where, settings, TOPIC, events, words, tuned)


def _payload() -> list[bytes]:
    log = KnobLog([Knobs(0, time.time() * 1000, 100_000)])
    return generators.stream(TOPIC, 1).emit(0, PAYLOADS, log, run="payload", sent_at=int(time.time() * 1000)).values
