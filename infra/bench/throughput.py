"""Measure how many events a second each job takes from one topic to another, of a topic that is full already."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np

from infra.bench import ingest
from infra.bench.figures import Figure, middle, runs
from kernel_lib import jobs, topics
from kernel_lib.job import Job
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

PARALLELISM = 2
_EVERY_SECONDS = 0.1
# The first and the last part of a run are left out: compiling at first, empty partitions at the end.
_FROM, _TO = 0.15, 0.9
SINKS = ("processed-events", "metrics")


def measure(settings: Settings, *, events: int, rounds: int) -> Iterator[Figure]:
    """Yield events per second of relay, filter, window and Python function, each alone on the cluster."""
    topics.create("user-events", settings=settings)
    ingest.preload(settings, events)
    conditions = (
        f"{events:,} user events, parallelism {PARALLELISM}, chained, exactly-once, checkpoints every second, alone"
    )
    for name, goal, submit, limit in (
        ("relay_events_per_second", "> 100,000", _relay, ""),
        ("filter_events_per_second", "> 100,000", _filter, ""),
        ("tumbling_events_per_second", "> 100,000", _tumbling, ""),
        ("python_events_per_second", "> 30,000", _python, "; limited by the way between JVM and Python"),
    ):
        found = [_speed(submit, settings, events) for _ in range(rounds)]
        yield Figure(name, middle(found), goal, f"{conditions}; {runs(found)}{limit}")
    topics.delete("user-events", settings=settings)


def _submit(job: Any, settings: Settings, **options: Any) -> Job:
    return jobs.submit(job, start="earliest", parallelism=PARALLELISM, chaining=True, settings=settings, **options)


def _relay(settings: Settings) -> Job:
    return _submit("relay", settings)


def _filter(settings: Settings) -> Job:
    return _submit("relay", settings, where="eventType = 'purchase'")


def _tumbling(settings: Settings) -> Job:
    return _submit("count_events", settings, window_seconds=timedelta(minutes=1).total_seconds(), passed="")


def _python(settings: Settings) -> Job:
    def longer(event: dict[str, Any]) -> dict[str, Any]:
        return event | {"duration": event["duration"] * 2}

    return _submit(longer, settings)


def _speed(submit: Callable[[Settings], Job], settings: Settings, events: int) -> float:
    for sink in SINKS:
        topics.create(sink, append_time=True, settings=settings)
    job = submit(settings)
    samples: list[tuple[float, int]] = []

    def at_the_end() -> bool:
        samples.append((time.monotonic(), sum(job.positions("user-events").values())))
        return samples[-1][1] >= events

    wait_until(at_the_end, 600, f"job {job.name} to read {events:,} events", interval_seconds=_EVERY_SECONDS)
    job.cancel()
    for sink in SINKS:
        topics.delete(sink, settings=settings)
    inner = [sample for sample in samples if _FROM * events <= sample[1] <= _TO * events]
    seconds, done = zip(*inner, strict=True)
    return float(np.polyfit(seconds, done, 1)[0])
