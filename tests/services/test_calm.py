"""Two busy cores are no failure: nothing is given up, nothing turns red, and all of it is exact afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from kernel_lib import jobs, oracle, pipeline, producer, services, topics
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

pytestmark = pytest.mark.alone

BUSY_SECONDS = 60
SILENT_SECONDS = 8


@contextmanager
def busy_cores() -> Iterator[None]:
    """Let as many processes as there are cores compute for nothing."""
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for each in burning:
            each.kill()
            each.wait()


def troubles_within(seconds: float, settings: Settings) -> list[str]:
    """Return what was wrong with a service in any of the looks of so many seconds."""
    ends, found = time.monotonic() + seconds, list[str]()

    def over() -> bool:
        found.extend(f"{each.name}: {each.reason}" for each in services.statuses(settings=settings) if each.in_trouble)
        return time.monotonic() > ends

    wait_until(over, seconds + 60, "the looks at the services", interval_seconds=1)
    return found


@pytest.fixture
def senders(settings: Settings) -> Iterator[dict[str, Producer]]:
    """The producers of a running pipeline, by topic; they are asked for what they sent when they have stopped."""
    pipeline.start(events_per_second=300, settings=settings)
    yield {each.topic: each for each in producer.running(pipeline.NAME)}
    pipeline.stop(settings=settings)


@pytest.mark.timeout(420)  # a busy minute, and the start and end of six jobs
def test_the_pipeline_runs_on_while_others_use_all_cores(senders: dict[str, Producer], settings: Settings) -> None:
    """Fails where a slow answer counts as none: with a heartbeat time-out of 3 s, on the slower machines."""
    with busy_cores():
        assert troubles_within(BUSY_SECONDS, settings) == []
        failures = {job.name: job.failures() for job in jobs.running(settings=settings)}
    assert failures == {name: [] for name in pipeline.JOBS}
    pipeline.stop(settings=settings)
    users, payments = senders["user-events"], senders["transactions"]
    # Sessions and judged readings are in the topic too.
    results = topics.read("metrics", limit=1_000_000, settings=settings)
    counted = oracle.window_counts(each for each in results if {"windowStart", "eventType"} <= each.json().keys())
    comparison = oracle.compare(counted, oracle.sent_by_window([users], timedelta(seconds=1)), drained=True)
    assert comparison.equal, (comparison.text, comparison.differences[:30])
    malformed = users.stats.acknowledged - oracle.sent_by_type(users).total()
    assert malformed > 0
    assert len(topics.read("dead-letters", limit=100_000, settings=settings)) == malformed
    written = topics.read("processed-events", limit=1_000_000, settings=settings)
    ids = [str(record.json()["eventId"]) for record in written]
    assert len(ids) == len(set(ids))
    assert len(ids) == oracle.sent_by_type(users).total() + payments.stats.acknowledged


@pytest.mark.timeout(240)
def test_a_taskmanager_that_is_silent_for_some_seconds_is_not_given_up(settings: Settings) -> None:
    """Fails with a heartbeat time-out of 3 s: the job is restarted although all its tasks live."""
    for name in ("user-events", "processed-events"):
        topics.create(name, settings=settings)
    job = jobs.submit("relay", settings=settings).wait_running()
    [runs_it] = job.taskmanagers()
    services.pause(runs_it, settings=settings)
    resumes = time.monotonic() + SILENT_SECONDS
    try:
        wait_until(lambda: time.monotonic() > resumes, SILENT_SECONDS + 60, "some seconds of silence")
    finally:
        services.resume(runs_it, settings=settings)
    topics.write("user-events", b'{"eventId": "after-1"}', settings=settings)
    job.drain()
    assert job.failures() == []
    assert len(topics.read("processed-events", settings=settings)) == 1
