"""Windows of window_events, firing by firing, against a replay of the run in the order of sending."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any

from kernel_lib import jobs, oracle, oracle_windows, producer, timestamps, topics
from kernel_lib.oracle_windows import Counted, Firing
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings

KNOBS: dict[str, Any] = {"delay_ms": 40, "jitter_ms": 30, "malformed_share": 0.02, "duplicate_share": 0.02}
# From half of it to one and a half: some within the lateness that is allowed, some not.
LATE: dict[str, Any] = {"late_share": 0.1, "late_ms": 800}
FIELDS = ("key", "number", "firing", "count")
EARLY_EVERY_EVENTS = 25
WINDOWS: dict[str, Any] = {
    "size": timedelta(milliseconds=400),
    "allowed_lateness": timedelta(milliseconds=300),
    "out_of_orderness": timedelta(milliseconds=100),
}
SIZE, SLIDE, DAY = timedelta(milliseconds=900), timedelta(milliseconds=300), timedelta(seconds=3)
KINDS: dict[str, dict[str, Any]] = {
    "sliding": {"size_seconds": SIZE.total_seconds(), "slide_seconds": SLIDE.total_seconds()},
    "business hours": {"size_seconds": DAY.total_seconds(), "early_every_seconds": 0.3},
}


def expected(run: Producer, windows: str) -> Counter[Counted]:
    """Return the right count of each window: the last that it says."""
    sent = oracle.replay(run)
    if windows == "sliding":
        return oracle_windows.sliding_counts(sent, SIZE, SLIDE)
    return oracle_windows.business_counts(sent, DAY)


def found(settings: Settings, topic: str) -> dict[Counted, int]:
    """Return the count that each window said last."""
    return {Counted(*each[:3]): each.events for each in said(settings, topic)}


def said(settings: Settings, topic: str) -> list[Firing]:
    """Return all that the windows of the topic said."""
    rows = [record.json() for record in topics.read(topic, limit=1_000_000, settings=settings)]
    return sorted(
        Firing(epoch_ms(row["windowStart"]), epoch_ms(row["windowEnd"]), *(row[each] for each in FIELDS))
        for row in rows
        if "firing" in row
    )


def epoch_ms(timestamp: str) -> int:
    return round(timestamps.epoch_ms(timestamp))


def events(settings: Settings, topic: str) -> dict[str, Any]:
    """Return the records of a topic that are events, by id."""
    found = {}
    for record in topics.read(topic, limit=10_000, settings=settings):
        with suppress(ValueError):
            event = json.loads(record.value or b"")
            found[event["eventId"]] = event
    return found


def test_each_firing_says_the_count_so_far_and_what_is_too_late_goes_aside(settings: Settings) -> None:
    """Fails when no lateness is allowed, when a late firing is called on time, when the watermark does not follow each
    event, or when what is too late goes nowhere."""
    for name in ("user-events", "metrics", "late-events"):
        topics.create(name, partitions=1, settings=settings)
    options: dict[str, Any] = {f"{name}_seconds": value.total_seconds() for name, value in WINDOWS.items()}
    options["early_every_events"] = EARLY_EVERY_EVENTS
    job = jobs.submit("window_events", settings=settings, **options).wait_running()
    with producer.start(
        "user-events", events_per_second=1000, count=4000, seed=7, settings=settings, **KNOBS, **LATE
    ) as shop:
        shop.wait(60)
    job.drain()
    right, late = oracle_windows.firings(oracle.replay(shop), **WINDOWS, early_every_events=EARLY_EVERY_EVENTS)
    assert said(settings, "metrics") == right
    sent, aside = events(settings, "user-events"), events(settings, "late-events")
    assert sorted(int(event_id.rpartition("-")[2]) for event_id in aside) == late
    assert aside == {event_id: sent[event_id] for event_id in aside}
    assert min(Counter(each.firing for each in right).values()) > 20
    assert sum({each[:3]: each.events for each in right}.values()) + len(late) == len(oracle.replay(shop))


def test_sliding_windows_and_business_hours_count_each_event_also_when_they_fire_early(settings: Settings) -> None:
    """Fails when the opening hours begin or end at another hour, when a window starts anew after it fired early, or
    when late events are dropped because the bound for out-of-orderness is 50 ms."""
    for name in ("user-events", "late-events", *map(topic, KINDS)):
        topics.create(name, settings=settings)
    running = [
        jobs.submit("window_events", name=topic(kind), counts=topic(kind), windows=kind, settings=settings, **options)
        for kind, options in KINDS.items()
    ]
    for job in running:
        job.wait_running()
    with producer.start("user-events", events_per_second=1000, count=5000, seed=8, settings=settings, **KNOBS) as shop:
        shop.wait(60)
    for job in running:
        job.drain()
    for kind in KINDS:
        assert found(settings, topic(kind)) == expected(shop, kind)
    assert topics.read("late-events", settings=settings) == []
    business = said(settings, "business-hours")
    assert all(number == 1 for *_, number, firing, _ in said(settings, "sliding"))
    assert sum(each.firing == "early" for each in business) > 20


def topic(kind: str) -> str:
    return kind.replace(" ", "-")
