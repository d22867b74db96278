from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from kernel_lib import controls, jobs, oracle, oracle_patterns, producer, reference, topics
from kernel_lib.oracle_patterns import Limits, Match
from kernel_lib.producer import Producer
from kernel_lib.records import Transaction
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

START = datetime(2026, 1, 1, tzinfo=UTC)
# At 400 payments a second jitter changes the order of some frauds' steps: not all can be found.
NOISE: dict[str, Any] = {
    "keys": 500,
    "fraud_share": 0.05,
    "duplicate_share": 0.02,
    "malformed_share": 0.01,
    "delay_ms": 100,
    "jitter_ms": 1.5,
}
MOVED: dict[str, Any] = {"small_amount": 5.0, "large_amount": 650.0, "burst_seconds": 0.05}


@pytest.fixture(autouse=True)
def some_topics(settings: Settings) -> None:
    create_topics(settings)


def create_topics(settings: Settings) -> None:
    """Create what the job reads and writes, and publish the merchants."""
    topics.create("transactions", settings=settings)
    topics.create("one-partition", partitions=1, settings=settings)
    for name in ("alerts", "acknowledgements"):
        topics.create(name, append_time=True, settings=settings)
    for name in ("users", "merchants", "control"):
        topics.create(name, compacted=True, settings=settings)
    reference.publish(users=0, settings=settings)


def expected(run: Producer, limits: Limits = oracle_patterns.USUAL) -> list[Match]:
    """Return what a pandas oracle finds in the payments of a run."""
    return sorted(oracle_patterns.matches(run.run, oracle.replay(run), limits))


def found(settings: Settings) -> list[Match]:
    """Return what the job wrote."""
    return sorted(oracle_patterns.alerts(topics.read("alerts", limit=100_000, settings=settings)))


def sent(settings: Settings, count: int, events_per_second: float, seed: int, **knobs: Any) -> Producer:
    """Return a run that has sent all its payments."""
    with producer.start(
        "transactions", events_per_second=events_per_second, count=count, seed=seed, settings=settings, **knobs
    ) as run:
        run.wait(60)
    return run


def test_every_planted_fraud_is_found_and_nothing_else(settings: Settings) -> None:
    """Fails when a pattern takes another number of payments, e.g. BIG{2}, or the places of merchants are not read."""
    run = sent(settings, 3_200, 800, seed=3, fraud_share=0.05)
    job = jobs.submit("match_fraud", start="earliest", chaining=True, settings=settings)
    job.drain()
    score = oracle_patterns.score(found(settings), run)
    assert (score.precision, score.recall, score.complete) == (1, 1, 32), score.text
    assert found(settings) == expected(run)


def test_with_noise_and_other_thresholds_the_job_finds_what_matches_by_the_rules(settings: Settings) -> None:
    """Fails when payments wait by their eventId, so that duplicates are not dropped."""
    run = sent(settings, 2_400, 400, seed=7, **NOISE)
    job = jobs.submit("match_fraud", start="earliest", chaining=True, settings=settings, **MOVED)
    job.drain()
    assert found(settings) == expected(run, Limits(**MOVED))
    score = oracle_patterns.score(found(settings), run)
    assert 0.8 < score.precision < 0.95, score.text
    assert 0.55 < score.recall < 0.75, score.text


def card_testing(user: str, at: timedelta, large: float) -> Iterable[bytes]:
    """Yield the payments of a card testing, then one of somebody else, after which the watermark has passed them."""
    amounts = [(user, 1.5), (user, large), (user, 700.0), (user, 800.0), ("somebody", 20.0)]
    for step, (who, amount) in enumerate(amounts):
        when = START + at + timedelta(seconds=step)
        identity = f"{user}-{step}"
        stamp = when.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        event = Transaction(identity, stamp, identity, who, amount, "EUR", f"merchant-000{step}", "completed", 0.1)
        yield msgspec.json.encode(event)


def test_a_threshold_that_is_changed_while_the_job_runs_changes_what_is_found(settings: Settings) -> None:
    """Fails when the operator stamps the payments with the parameters that the job began with."""
    job = jobs.submit("match_fraud", source="one-partition", settings=settings)

    def send(user: str, minutes: int, large: float) -> None:
        payments = card_testing(user, timedelta(minutes=minutes), large)
        topics.write("one-partition", *payments, key=b"u", settings=settings)

    def keys() -> list[str]:
        return [each.key for each in found(settings)]

    send("first", 0, 600)
    wait_until(lambda: keys() == ["first"], 30, "the first alert")
    controls.set("match_fraud", large_amount=700, settings=settings)
    send("second", 1, 600)
    send("third", 2, 700)
    wait_until(lambda: keys() == ["first", "third"], 30, "the third one, but not the second")
    controls.set("match_fraud", large_amount=100, settings=settings)
    send("fourth", 3, 100)
    job.drain()
    assert keys() == ["first", "fourth", "third"]
    [alert] = [each.json() for each in topics.read("alerts", settings=settings) if each.key == b"first"]
    assert alert["eventIds"] == ["first-0", "first-1", "first-2", "first-3"]
    assert alert["explanation"] == "paid 1.50 EUR, then 600.00, 700.00 and 800.00 within 3.000 s"
    assert (alert["severity"], alert["timestamp"]) == ("high", "2026-01-01T00:00:03.000Z")
