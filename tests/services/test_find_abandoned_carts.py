"""Abandoned carts found with timers against those that an oracle finds in what was sent."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from kernel_lib import controls, groups, jobs, oracle, oracle_sequences, producer, topics
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.timestamps import epoch_ms
from kernel_lib.waiting import wait_until

JOB = "find_abandoned_carts"
LIMIT = timedelta(seconds=1.6)
# However long a busy machine takes, no partition is taken for idle.
PATIENT: dict[str, Any] = {"idle_timeout_seconds": 600}
NOISE: dict[str, Any] = {"jitter_ms": 60, "malformed_share": 0.02, "duplicate_share": 0.05}

Abandoned = tuple[str, int, tuple[str, ...]]


@pytest.fixture(autouse=True)
def four_topics(settings: Settings) -> None:
    topics.create("user-events", settings=settings)
    topics.create("alerts", append_time=True, settings=settings)
    topics.create("acknowledgements", append_time=True, settings=settings)
    topics.create("control", compacted=True, settings=settings)


def expected(shop: Producer, limit: timedelta) -> list[Abandoned]:
    """Return the user, the end of the limit and the ids of what was added, of each cart that was abandoned."""
    rows = oracle_sequences.abandoned_carts(oracle.replay(shop), limit).itertuples(index=False, name=None)
    return sorted(
        (user, time_ms, tuple(f"{shop.run}-{number}" for number in numbers)) for user, time_ms, numbers in rows
    )


def found(settings: Settings) -> list[Abandoned]:
    """Return the same of each cart that the job found."""
    records = topics.read("alerts", limit=1_000_000, settings=settings)
    rows = [row for row in (record.json() for record in records) if row["alert"] == "abandoned cart"]
    return sorted((row["key"], round(epoch_ms(row["timestamp"])), tuple(row["eventIds"])) for row in rows)


def test_the_carts_found_are_those_that_were_abandoned(settings: Settings) -> None:
    """Fails when the out-of-orderness bound is 0, when repeated events count, and when an addition prolongs a cart."""
    job = jobs.submit(JOB, limit_seconds=LIMIT.total_seconds(), settings=settings, **PATIENT)
    shop = producer.start("user-events", events_per_second=8_000, count=20_000, keys=2_000, settings=settings, **NOISE)
    with shop:
        shop.wait(60)
    job.drain()
    truth = expected(shop, LIMIT)
    assert found(settings) == truth
    assert len(truth) > 200


def added(user: str) -> bytes:
    event = {
        "eventId": f"{user}-1",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "userId": user,
        "eventType": "add_to_cart",
        "sessionId": "s-1",
        "page": "/books/7",
        "duration": 1.5,
        "userAgent": "a browser",
        "location": {"lat": 52.52, "lon": 13.4},
        "sentAt": 17,
    }
    return json.dumps(event).encode()


def test_a_changed_limit_holds_for_the_carts_that_come_after_it(settings: Settings) -> None:
    """A cart keeps the limit with which it was opened; the alert in full. Fails when the limit stays the one with which
    the job began."""
    job = jobs.submit(JOB, limit_seconds=20, settings=settings, **PATIENT)

    def send(user: str) -> None:
        topics.write("user-events", added(user), key=user.encode(), settings=settings)
        wait_until(lambda: sum(groups.lag(JOB, "user-events", settings=settings).values()) == 0, 30, "it to be read")

    send("early")
    controls.set(JOB, limit_seconds=2.5, settings=settings)
    send("late")
    job.drain()
    late, early = sorted((r.json() for r in topics.read("alerts", settings=settings)), key=lambda row: row["timestamp"])
    assert (early["key"], early["timestamp"]) == ("early", "2026-01-01T00:00:20.000Z")
    assert late == {
        "alert": "abandoned cart",
        "severity": "low",
        "key": "late",
        "timestamp": "2026-01-01T00:00:02.500Z",
        "eventIds": ["late-1"],
        "explanation": "put into the cart: /books/7; no purchase within 2.5 s",
        "sentAt": 17,
    }
