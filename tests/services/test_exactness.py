"""Exactly-once is exact over kills, and the instruments that say so can also say the opposite."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from kernel_lib import jobs, oracle, producer, topics
from kernel_lib.job import Job
from kernel_lib.ledger import Ledger
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until
from tests.services.killing import killed

pytestmark = pytest.mark.alone

RATE = 500
# The producer sends before the jobs are submitted; and a job that is killed again and again comes back each time.
FROM_THE_FIRST: dict[str, Any] = {"start": "earliest", "restart_attempts": 100}
SINKS = ("processed-events", "metrics", "relayed")


@pytest.fixture
def shop(settings: Settings) -> Iterator[Producer]:
    """A producer with delays within the bound of the windows, so that the oracle knows every window's count."""
    topics.create("user-events", settings=settings)
    for sink in SINKS:
        topics.create(sink, append_time=True, settings=settings)
    knobs: dict[str, Any] = {"delay_ms": 100, "jitter_ms": 50, "malformed_share": 0.01, "duplicate_share": 0.01}
    with producer.start("user-events", events_per_second=RATE, settings=settings, **knobs) as shop:
        yield shop


def submit(settings: Settings, guarantee: str) -> Job:
    return jobs.submit("relay", sink="relayed", guarantee=guarantee, settings=settings, **FROM_THE_FIRST).wait_running()


def wait_for_more(book: Ledger, seconds: float, *, timeout_seconds: float = 90) -> None:
    """Wait until as many more events as are sent in some seconds have arrived."""
    enough = book.update().received + seconds * RATE
    wait_until(lambda: book.update().received >= enough, timeout_seconds, "the relay to go on")


@pytest.mark.timeout(420)  # three services die and come back
def test_exactly_once_is_exact_over_kills_of_taskmanager_jobmanager_and_broker(
    shop: Producer, settings: Settings
) -> None:
    """Fails when the sink of relay is at-least-once (duplicates), when count_events counts windows of another size
    than it is told, or when its bound for out-of-orderness is dropped to zero (late events are not counted)."""
    relay = submit(settings, "exactly-once")
    # A partition whose broker is dead must hold the windows back, however long that takes on a busy machine.
    windows = jobs.submit("count_events", idle_timeout_seconds=600, settings=settings, **FROM_THE_FIRST).wait_running()
    with Ledger(shop, "relayed", settings=settings) as book:
        wait_for_more(book, 4)
        for name in (relay.taskmanagers()[0], "flink-jobmanager", "kafka-2"):
            with killed(name, settings):
                if name.startswith("kafka"):
                    wait_for_more(book, 4)
            wait_for_more(book, 4)
        shop.stop()
        relay.drain(120)
        windows.drain(120)
        figures = book.settle(60)
    assert figures.exact, figures.text
    assert figures.in_doubt == 0
    assert figures.received == figures.sent
    counted = oracle.window_counts(topics.read("metrics", limit=1_000_000, settings=settings))
    comparison = oracle.compare(counted, oracle.sent_by_window([shop], timedelta(seconds=1)), drained=True)
    assert comparison.equal, (comparison.text, comparison.differences[:30])


@pytest.mark.parametrize("guarantee", ["at-least-once", "none"])
def test_without_transactions_a_killed_taskmanager_is_seen_in_the_ledger(
    guarantee: str, shop: Producer, settings: Settings
) -> None:
    """The negative control: fails when the sink is exactly-once whatever it is told, or the ledger is blind."""
    relay = submit(settings, guarantee)
    with Ledger(shop, "relayed", settings=settings) as book:
        wait_for_more(book, 3)
        with killed(relay.taskmanagers()[0], settings):
            pass
        wait_for_more(book, 3)
        shop.stop()
        relay.drain(120)
        figures = book.settle(10)
    assert not figures.exact, figures.text
    if guarantee == "at-least-once":
        assert figures.duplicate > 0, figures.text
        assert figures.missing == 0, figures.text


@pytest.mark.timeout(300)  # a TaskManager dies and comes back
def test_a_new_run_aborts_the_transaction_that_a_killed_one_left_open(shop: Producer, settings: Settings) -> None:
    """Fails when transactional ids are others in each run: readers then wait ten minutes for what was left open."""
    relay = submit(settings.model_copy(update={"flink_checkpoint_interval": 600_000}), "exactly-once")
    wait_until(lambda: topics.read("relayed", committed=False, settings=settings), 30, "uncommitted results")
    with killed(relay.taskmanagers()[0], settings):
        relay.cancel()
    shop.stop()
    submit(settings, "exactly-once").drain(120)
    with Ledger(shop, "relayed", settings=settings) as book:
        figures = book.settle(30)
    assert figures.exact, figures.text
