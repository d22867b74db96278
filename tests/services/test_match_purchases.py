"""Purchase sequences found by MATCH_RECOGNIZE against those that an oracle finds in what was sent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernel_lib import controls, groups, jobs, oracle, oracle_sequences, producer, topics
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.timestamps import epoch_ms
from kernel_lib.waiting import wait_until

JOB = "match_purchases"
LIMIT = timedelta(seconds=2.05)
# However long a busy machine takes, no partition is taken for idle.
PATIENT: dict[str, Any] = {"idle_timeout_seconds": 600}
NOISE: dict[str, Any] = {"jitter_ms": 60, "malformed_share": 0.02, "duplicate_share": 0.05}
START = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = (("page_view", "/books/7"), ("add_to_cart", "/books/7"), ("page_view", "/checkout"), ("purchase", "/checkout"))

Match = tuple[str, int, tuple[str, ...]]


@pytest.fixture(autouse=True)
def four_topics(settings: Settings) -> None:
    topics.create("user-events", settings=settings)
    topics.create("alerts", append_time=True, settings=settings)
    topics.create("acknowledgements", append_time=True, settings=settings)
    topics.create("control", compacted=True, settings=settings)


def expected(shop: Producer, limit: timedelta) -> list[Match]:
    """Return the user, the time of the purchase and the ids of the four events, of each sequence that was sent."""
    rows = oracle_sequences.purchases(oracle.replay(shop), limit).to_dict("records")
    steps = ("look", "cart", "checkout", "purchase")
    return sorted((row["userId"], row["timeMs"], tuple(f"{shop.run}-{row[step]}" for step in steps)) for row in rows)


def found(settings: Settings) -> list[Match]:
    """Return the same of each sequence that the job found."""
    records = topics.read("alerts", limit=1_000_000, settings=settings)
    rows = [row for row in (record.json() for record in records) if row["alert"] == "purchase sequence"]
    return sorted((row["key"], round(epoch_ms(row["timestamp"])), tuple(row["eventIds"])) for row in rows)


def test_the_sequences_found_are_those_that_were_sent(settings: Settings) -> None:
    """Fails with AFTER MATCH SKIP TO NEXT ROW, without the limit of purchase, when cart may be another product, and
    when till_cart may be a look."""
    job = jobs.submit(JOB, limit_seconds=LIMIT.total_seconds(), settings=settings, **PATIENT)
    shop = producer.start("user-events", events_per_second=8_000, count=24_000, keys=5_000, settings=settings, **NOISE)
    with shop:
        shop.wait(60)
    job.drain()
    truth = expected(shop, LIMIT)
    assert found(settings) == truth
    assert len(truth) > 20


def journey(user: str, seconds: float) -> Iterable[bytes]:
    """Return the records of a purchase whose steps lie some seconds apart."""
    for number, (kind, page) in enumerate(STEPS):
        when = START + number * timedelta(seconds=seconds)
        event = {
            "eventId": f"{user}-{number}",
            "timestamp": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "userId": user,
            "eventType": kind,
            "sessionId": "s-1",
            "page": page,
            "duration": 1.5,
            "userAgent": "a browser",
            "location": {"lat": 52.52, "lon": 13.4},
            "sentAt": 17,
        }
        yield json.dumps(event).encode()


def test_a_changed_limit_holds_for_the_events_that_come_after_it(settings: Settings) -> None:
    """The alert in full, and no second one: the limit was lowered before the same steps came again. Fails when
    steps are stamped with the limit that held first."""
    job = jobs.submit(JOB, limit_seconds=3, settings=settings, **PATIENT)

    def send(user: str) -> None:
        topics.write("user-events", *journey(user, 1.0), key=user.encode(), settings=settings)
        wait_until(lambda: sum(groups.lag(JOB, "user-events", settings=settings).values()) == 0, 30, "all to be read")

    send("early")
    controls.set(JOB, limit_seconds=2.9, settings=settings)
    send("late")
    job.drain()
    [alert] = [record.json() for record in topics.read("alerts", settings=settings)]
    assert alert == {
        "alert": "purchase sequence",
        "severity": "low",
        "key": "early",
        "timestamp": "2026-01-01T00:00:03.000Z",
        "eventIds": [f"early-{number}" for number in range(4)],
        "explanation": "looked at /books/7, put it into the cart, went to the checkout and purchased, "
        "all within 3.000 s",
        "sentAt": 17,
    }
