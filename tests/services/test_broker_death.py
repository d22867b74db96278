"""What a reader of offsets sees while a broker is dead and its partitions get other leaders."""

import pytest

from kernel_lib import groups, producer, services, topics
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until
from tests.services.killing import killed

pytestmark = pytest.mark.alone


def test_offsets_never_go_back_while_a_broker_is_dead(settings: Settings) -> None:
    topics.create("user-events", settings=settings)
    with producer.start("user-events", events_per_second=200, count=2000, settings=settings) as shop:
        ends = [_end(settings)]
        services.kill("kafka-2", settings=settings)
        try:
            while shop.alive:
                ends.append(_end(settings))
        finally:
            services.start("kafka-2", settings=settings)
        assert shop.stats.acknowledged == 2000
    assert ends == sorted(ends)
    assert _end(settings) == 2000
    wait_until(lambda: _all_in_sync(settings), 30, "the broker to catch up")


def test_groups_are_asked_for_and_forgotten_while_the_coordinator_of_some_is_dead(settings: Settings) -> None:
    """Fails when a dead coordinator ends the question; asked by the admin client, it ends the process."""
    topics.create("user-events", settings=settings)
    names = [f"readers-{number}" for number in range(12)]  # each broker coordinates some
    with killed("kafka-3", settings):
        for name in names:
            assert sum(groups.lag(name, "user-events", settings=settings).values()) == 0
            groups.forget(name, settings=settings)
    wait_until(lambda: _all_in_sync(settings), 30, "the broker to catch up")


def _all_in_sync(settings: Settings) -> bool:
    partitions = topics.describe("user-events", settings=settings).partitions
    return all(len(partition.in_sync) == 3 for partition in partitions)


def _end(settings: Settings) -> int:
    return sum(high for _, high in topics.offsets("user-events", committed=False, settings=settings).values())
