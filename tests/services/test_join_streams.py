from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from kernel_lib import jobs, oracle, producer, topics
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings

JITTER: dict[str, Any] = {"delay_ms": 100, "jitter_ms": 60, "malformed_share": 0.1, "duplicate_share": 0.02}
RATES = {"user-events": 300, "transactions": 150}
SECONDS, USERS = 8, 400
EARLIEST, LATEST = timedelta(seconds=-0.4), timedelta(seconds=1.5)
Pairs = list[tuple[Any, ...]]


@pytest.fixture(autouse=True)
def three_topics(settings: Settings) -> None:
    for name in RATES:
        topics.create(name, partitions=2, settings=settings)
    topics.create("processed-events", append_time=True, settings=settings)


def send(settings: Settings) -> dict[str, Producer]:
    """Send both streams at the same time, out of order, with duplicates and malformed events among them."""
    with ExitStack() as both:
        sent = {
            topic: both.enter_context(
                producer.start(
                    topic, events_per_second=rate, count=rate * SECONDS, keys=USERS, settings=settings, **JITTER
                )
            )
            for topic, rate in RATES.items()
        }
        for each in sent.values():
            each.wait(60)
    return sent


def expected(purchases: Producer, payments: Producer) -> Pairs:
    """Return the pairs: the numbers of their events and the seconds between them; None if there is no payment."""
    left = oracle.replay(purchases)
    left = left[left["eventType"] == "purchase"]
    pairs = oracle.interval_join(left, oracle.replay(payments), earliest=EARLIEST, latest=LATEST)
    rows = pairs[["leftNumber", "rightNumber", "afterMs"]].itertuples(index=False, name=None)
    both = [(purchase, payment, after_ms / 1000) for purchase, payment, after_ms in rows]
    alone = set(left["number"]) - set(pairs["leftNumber"])
    return sorted([*both, *((purchase, None, None) for purchase in alone)])


def found(settings: Settings) -> Pairs:
    """Return the same of the results."""
    rows = [record.json() for record in topics.read("processed-events", settings=settings)]
    return sorted((number(row["eventId"]), number(row["paymentEventId"]), row["secondsBetween"]) for row in rows)


def number(event_id: str | None) -> Any:
    return None if event_id is None else int(event_id.rpartition("-")[2])


def test_the_pairs_are_those_of_the_interval_and_no_purchase_is_lost(settings: Settings) -> None:
    """Fails when a bound moves by a tenth of a second, invalid events take part, or the join is not an outer one."""
    early, late = EARLIEST.total_seconds(), LATEST.total_seconds()
    job = jobs.submit(
        "join_streams", earliest_seconds=early, latest_seconds=late, idle_timeout_seconds=600, settings=settings
    )
    sent = send(settings)
    job.drain()
    answer = found(settings)
    assert answer == expected(sent["user-events"], sent["transactions"])
    alone = [payment for _, payment, _ in answer if payment is None]
    assert 0 < len(alone) < len(answer)
    rows = [record.json() for record in topics.read("processed-events", settings=settings)]
    assert all(row["matched"] == (row["amount"] is not None) for row in rows)
