"""Payments, what is known about who paid whom, and what became of them; for the tests of both enriching jobs."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from kernel_lib import oracle_enrichment, producer, reference, topics
from kernel_lib.job import Job
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

ADDED = oracle_enrichment.ADDED
KNOWN_USERS, USERS = 80, 100
Added = list[tuple[Any, ...]]


def prepare(settings: Settings) -> None:
    """Create the topics, and publish all merchants but only some of the users who pay."""
    topics.create("transactions", partitions=2, settings=settings)
    topics.create("processed-events", append_time=True, settings=settings)
    for name in reference.KINDS:
        topics.create(name, compacted=True, settings=settings)
    reference.publish(users=KNOWN_USERS, settings=settings)


def send(settings: Settings) -> Producer:
    """Send payments out of order, with duplicates and malformed ones among them."""
    knobs: dict[str, Any] = {"jitter_ms": 80, "delay_ms": 100, "malformed_share": 0.02, "duplicate_share": 0.02}
    with producer.start(
        "transactions", events_per_second=1000, count=3000, keys=USERS, settings=settings, **knobs
    ) as sent:
        sent.wait(60)
    return sent


def found(settings: Settings) -> Added:
    """Return what was added to each payment: the event's number, then the columns ADDED."""
    events = [record.json() for record in topics.read("processed-events", settings=settings)]
    return sorted((int(event["eventId"].rpartition("-")[2]), *(event[name] for name in ADDED)) for event in events)


def pay(settings: Settings, event_id: str, when_ms: int) -> None:
    """Send a payment of user-00001 at the first bakery of Berlin."""
    event = {
        "eventId": event_id,
        "timestamp": datetime.fromtimestamp(when_ms / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "transactionId": f"tx-{event_id}",
        "userId": "user-00001",
        "amount": 5.0,
        "currency": "EUR",
        "merchantId": "merchant-0001",
        "status": "completed",
        "riskScore": 0.1,
    }
    topics.write("transactions", json.dumps(event).encode(), key=b"user-00001", settings=settings)


def categories_around_a_change(job: Job, settings: Settings) -> dict[str, str]:
    """Change a merchant, with an event from before the change that comes after it, and the other way round."""
    change_ms = time.time_ns() // 1_000_000
    known = len(reference.merchants())
    wait_until(lambda: sum(job.positions("merchants").values()) == known, 30, "the merchants to be read")
    pay(settings, "from-after", change_ms + 100)
    wait_until(lambda: sum(job.positions("transactions").values()) == 1, 30, "the first payment to be read")
    reference.change("merchants", "merchant-0001", valid_from_ms=change_ms, category="books", settings=settings)
    wait_until(lambda: sum(job.positions("merchants").values()) == known + 1, 30, "the change to be read")
    pay(settings, "from-before", change_ms - 100)
    job.drain()
    events = [record.json() for record in topics.read("processed-events", settings=settings)]
    return {event["eventId"]: event["category"] for event in events}
