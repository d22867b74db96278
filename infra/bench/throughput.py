"""Measure how many events a second each job takes from one topic to another, of topics that are full already."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
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
    for name, goal, start, limit in (
        ("relay_events_per_second", "> 100,000", _relay, ""),
        ("filter_events_per_second", "> 100,000", _filter, ""),
        ("tumbling_events_per_second", "> 100,000", _tumbling, ""),
        ("python_events_per_second", "> 30,000", _python, "; limited by the way between JVM and Python"),
    ):
        found = [speed(start, settings, ("user-events",), SINKS) for _ in range(rounds)]
        yield Figure(name, middle(found), goal, f"{conditions}; {runs(found)}{limit}")
    topics.delete("user-events", settings=settings)


def submit(job: Any, settings: Settings, **options: Any) -> Job:
    """Start a job on all that its topics hold, as it is measured."""
    return jobs.submit(job, start="earliest", parallelism=PARALLELISM, chaining=True, settings=settings, **options)


def speed(
    start: Callable[[Settings], Job],
    settings: Settings,
    sources: tuple[str, ...],
    sinks: tuple[str, ...],
    *,
    most_seconds: float = 600,
) -> float:
    """Return the events per second that a job reads from full topics, in the middle of its run.

    The run is over when the job has read all, or after `most_seconds`.
    """
    for sink in sinks:
        topics.create(sink, append_time=True, settings=settings)
    events = sum(end for source in sources for _, end in topics.offsets(source, settings=settings).values())
    job = start(settings)
    job.wait_running()
    until, samples = time.monotonic() + most_seconds, list[tuple[float, int]]()

    def over() -> bool:
        read = sum(sum(job.positions(source).values()) for source in sources)
        samples.append((time.monotonic(), read))
        return read >= events or time.monotonic() > until

    wait_until(over, most_seconds + 60, f"job {job.name} to read {events:,} events", interval_seconds=_EVERY_SECONDS)
    job.cancel()
    topics.delete(*sinks, settings=settings)
    return rate(samples)


def rate(samples: Sequence[tuple[float, int]]) -> float:
    """Return the events per second between the first and the last part of what was read, NaN if too little was.

    Of samples that read the same, Flink's figures being a second old, only the first counts.
    """
    last = samples[-1][1]
    new = [now for before, now in pairwise(samples) if now[1] > before[1]]
    inner = [sample for sample in new if _FROM * last <= sample[1] <= _TO * last]
    if len(inner) < 2:
        return math.nan
    seconds, done = zip(*inner, strict=True)
    return float(np.polyfit(seconds, done, 1)[0])


def _relay(settings: Settings) -> Job:
    return submit("relay", settings)


def _filter(settings: Settings) -> Job:
    return submit("relay", settings, where="eventType = 'purchase'")


def _tumbling(settings: Settings) -> Job:
    return submit("count_events", settings, window_seconds=timedelta(minutes=1).total_seconds(), passed="")


def _python(settings: Settings) -> Job:
    def longer(event: dict[str, Any]) -> dict[str, Any]:
        return event | {"duration": event["duration"] * 2}

    return submit(longer, settings)
