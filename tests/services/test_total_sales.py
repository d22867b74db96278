"""Totals of total_sales in both modes, against those of the replayed run and against each other."""

from __future__ import annotations

from typing import Any

from kernel_lib import jobs, oracle, oracle_windows, producer, topics
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings

KNOBS: dict[str, Any] = {"malformed_share": 0.02, "duplicate_share": 0.02}
Totals = dict[str, tuple[int, float]]


def expected(run: Producer) -> Totals:
    """Return payments and sales of each currency."""
    return oracle_windows.total_sales(oracle.replay(run))


def found(settings: Settings, topic: str = "metrics") -> Totals:
    """Return payments and sales of each currency as the job said them last."""
    return {currency: steps[-1] for currency, steps in told(settings, topic).items()}


def told(settings: Settings, topic: str) -> dict[str, list[tuple[int, float]]]:
    """Return all totals of each currency, in the order in which the job said them."""
    steps: dict[str, list[tuple[int, float]]] = {}
    for record in topics.read(topic, limit=1_000_000, settings=settings):
        row = record.json()
        if "sales" in row:
            assert record.key == row["currency"].encode()
            steps.setdefault(row["currency"], []).append((row["payments"], row["sales"]))
    return steps


def test_the_stream_s_last_totals_are_those_that_the_batch_says_once(settings: Settings) -> None:
    """Fails when failed payments count too, when the mode is streaming whatever is asked for, when the batch reads on
    after the end that is asked for, or when the amounts are added up as doubles."""
    for name in ("transactions", "metrics", "once"):
        topics.create(name, settings=settings)
    streaming = jobs.submit("total_sales", settings=settings).wait_running()
    knobs = KNOBS | {"settings": settings, "events_per_second": 2000}
    with producer.start("transactions", count=2000, seed=3, **knobs) as first:
        first.wait(60)
    ends = {number: high for number, (_, high) in topics.offsets("transactions", settings=settings).items()}
    with producer.start("transactions", count=1000, seed=4, **knobs) as second:
        second.wait(60)
    batch = jobs.submit(
        "total_sales", name="batch", totals="once", mode="batch", start="earliest", until=ends, settings=settings
    )
    batch.wait_finished()
    assert told(settings, "once") == {currency: [total] for currency, total in expected(first).items()}
    streaming.drain()
    right = added(expected(first), expected(second))
    assert found(settings) == right
    steps = told(settings, "metrics")
    assert {currency: [payments for payments, _ in each] for currency, each in steps.items()} == {
        currency: [*range(1, payments + 1)] for currency, (payments, _) in right.items()
    }


def added(one: Totals, other: Totals) -> Totals:
    """Return the totals of two runs together."""
    pairs = ((currency, one.get(currency, (0, 0.0)), other.get(currency, (0, 0.0))) for currency in {*one, *other})
    return {currency: (a[0] + b[0], round(a[1] + b[1], 2)) for currency, a, b in pairs}
