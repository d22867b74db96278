"""Purchases and payments of two topics, paired and alone, against those that an oracle finds in what was sent."""

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

JOB = "correlate_payments"
LIMIT = timedelta(seconds=0.3)
# However long a busy machine takes, no partition is taken for idle.
PATIENT: dict[str, Any] = {"idle_timeout_seconds": 600}
NOISE: dict[str, Any] = {"jitter_ms": 60, "malformed_share": 0.02, "duplicate_share": 0.05}
NAMES = {"purchase": "unpaid purchase", "payment": "payment without purchase"}

Pair = tuple[str, int, str, str]
Missing = tuple[str, str, int, tuple[str, ...]]


@pytest.fixture(autouse=True)
def six_topics(settings: Settings) -> None:
    for name in ("user-events", "transactions"):
        topics.create(name, settings=settings)
    for name in ("processed-events", "alerts", "acknowledgements"):
        topics.create(name, append_time=True, settings=settings)
    topics.create("control", compacted=True, settings=settings)


def expected(
    shop: Producer, bank: Producer, limit: timedelta, merchant: str = oracle_sequences.SHOP
) -> tuple[list[Pair], list[Missing]]:
    """Return the pairs by user, time and ids, and what is alone by alert, user, end of the limit and id."""
    frames = oracle.replay(shop), oracle.replay(bank)
    pairs, alone = oracle_sequences.correlated(*frames, limit, merchant=merchant)
    runs = {"purchase": shop.run, "payment": bank.run}
    return (
        sorted(
            (user, time_ms, f"{shop.run}-{purchase}", f"{bank.run}-{payment}")
            for user, purchase, payment, time_ms in pairs.itertuples(index=False, name=None)
        ),
        sorted(
            (NAMES[kind], user, time_ms, (f"{runs[kind]}-{number}",))
            for user, kind, number, time_ms in alone.itertuples(index=False, name=None)
        ),
    )


def found(settings: Settings) -> tuple[list[Pair], list[Missing]]:
    """Return the same of what the job found."""
    rows, missing = (
        [record.json() for record in topics.read(name, limit=1_000_000, settings=settings)]
        for name in ("processed-events", "alerts")
    )
    return (
        sorted((r["userId"], round(epoch_ms(r["timestamp"])), r["purchaseId"], r["paymentId"]) for r in rows),
        sorted(
            (r["alert"], r["key"], round(epoch_ms(r["timestamp"])), tuple(r["eventIds"]))
            for r in missing
            if r["alert"] in NAMES.values()
        ),
    )


def test_what_is_paired_and_what_is_alone_is_what_was_sent(settings: Settings) -> None:
    """Fails when the newest that waits is taken, and not the oldest."""
    options: dict[str, Any] = {"limit_seconds": LIMIT.total_seconds(), "paid": "`status` = 'completed'", **PATIENT}
    job = jobs.submit(JOB, settings=settings, **options)
    # A process takes a while to start; both begin to send at the same time.
    waiting: dict[str, Any] = {"events_per_second": 0, "keys": 60, "settings": settings, **NOISE}
    with (
        producer.start("user-events", count=8_000, **waiting) as shop,
        producer.start("transactions", count=200, **waiting) as bank,
    ):
        shop.set(events_per_second=2_000)
        bank.set(events_per_second=50)
        shop.wait(60)
        bank.wait(60)
    job.drain()
    pairs, missing = expected(shop, bank, LIMIT, merchant="")
    assert found(settings) == (pairs, missing)
    assert len(pairs) > 30
    assert {alert for alert, *_ in missing} == set(NAMES.values())


def purchase(user: str) -> dict[str, Any]:
    return {
        "eventId": f"{user}-1",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "userId": user,
        "eventType": "purchase",
        "sessionId": "s-1",
        "page": "/checkout",
        "duration": 1.5,
        "userAgent": "a browser",
        "location": {"lat": 52.52, "lon": 13.4},
        "sentAt": 17,
    }


def payment(user: str, second: int, merchant: str = oracle_sequences.SHOP, status: str = "completed") -> dict[str, Any]:
    return {
        "eventId": f"{user}-2",
        "timestamp": f"2026-01-01T00:00:{second:02}.000Z",
        "transactionId": f"tx-{user}",
        "userId": user,
        "amount": 9.5,
        "currency": "EUR",
        "merchantId": merchant,
        "status": status,
        "riskScore": 0.1,
        "sentAt": 18,
    }


def test_payments_to_the_shop_count_within_the_limit_in_force(settings: Settings) -> None:
    """Says in full what a pair and an alert look like, by the condition for payments and the limit in force."""
    job = jobs.submit(JOB, limit_seconds=3, settings=settings, **PATIENT)

    def send(topic: str, *rows: dict[str, Any]) -> None:
        topics.write(topic, *(json.dumps(row).encode() for row in rows), settings=settings)
        wait_until(lambda: sum(groups.lag(JOB, topic, settings=settings).values()) == 0, 30, "all to be read")

    send("user-events", *map(purchase, ("quick", "elsewhere", "failed")))
    send("transactions", payment("elsewhere", 1, merchant="merchant-0001"), payment("failed", 1, status="failed"))
    controls.set(JOB, limit_seconds=2, settings=settings)
    send("user-events", purchase("slow"))
    send("transactions", payment("quick", 3), payment("slow", 3))
    job.drain()
    [pair] = [record.json() for record in topics.read("processed-events", settings=settings)]
    assert pair == {
        "userId": "quick",
        "timestamp": "2026-01-01T00:00:03.000Z",
        "purchaseId": "quick-1",
        "paymentId": "quick-2",
        "transactionId": "tx-quick",
        "amount": 9.5,
        "currency": "EUR",
        "afterSeconds": 3.0,
        "sentAt": 18,
    }
    alerts = {tuple(r["eventIds"]): r for r in (record.json() for record in topics.read("alerts", settings=settings))}
    assert {ids: (r["alert"], r["timestamp"][17:19]) for ids, r in alerts.items()} == {
        ("elsewhere-1",): ("unpaid purchase", "03"),
        ("failed-1",): ("unpaid purchase", "03"),
        ("slow-1",): ("unpaid purchase", "02"),
        ("slow-2",): ("payment without purchase", "05"),
    }
    assert alerts["slow-2",] == {
        "alert": "payment without purchase",
        "severity": "high",
        "key": "slow",
        "timestamp": "2026-01-01T00:00:05.000Z",
        "eventIds": ["slow-2"],
        "explanation": "paid 9.50 EUR to the shop, and no purchase within 2 s",
        "sentAt": 18,
    }
