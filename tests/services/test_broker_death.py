"""What a reader of offsets sees while a broker is dead and its partitions get other leaders."""

import pytest

from kernel_lib import producer, services, topics
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

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


def _all_in_sync(settings: Settings) -> bool:
    partitions = topics.describe("user-events", settings=settings).partitions
    return all(len(partition.in_sync) == 3 for partition in partitions)


def _end(settings: Settings) -> int:
    return sum(high for _, high in topics.offsets("user-events", committed=False, settings=settings).values())
