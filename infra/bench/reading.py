"""Measure what it costs to read Flink for live pictures while the pipeline runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil

from infra.bench.figures import Figure, quantile
from infra.bench.latency import let_run
from kernel_lib import cluster, dataflow, jobs, live, pipeline, services
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

READ_SECONDS = 1.0
_LOOK_SECONDS = 0.1
_WARM_UP_SECONDS = 5.0
# The picture of the pipeline, and the graph of one of its jobs.
DRAWN = "count_events"


def measure(settings: Settings, *, seconds: float) -> Iterator[Figure]:
    """Yield the requests of a reading, the time of its answers and the JobManager's part of a core."""
    manager = psutil.Process(services.processes(settings=settings)["flink-jobmanager"][0])
    unread = _cpu_percent(manager, lambda: let_run(time.time() + seconds))
    took, asked = list[float](), list[httpx.Request]()
    readers = (dataflow.PipelineReader(settings), dataflow.JobReader(jobs.find(DRAWN, settings=settings)))
    pictures = [live.Poller(_timed(read, took), every_seconds=READ_SECONDS) for read in readers]
    _poll(pictures, _WARM_UP_SECONDS)
    took.clear()
    client = cluster.client(settings.flink_jobmanager_url)
    client.event_hooks = {"request": [asked.append]}
    percent = _cpu_percent(manager, lambda: _poll(pictures, seconds))
    client.event_hooks = {}
    conditions = (
        f"{len(pipeline.JOBS)} jobs run; the pictures of the pipeline and of {DRAWN}, read every {READ_SECONDS:g} s "
        f"for {seconds:.0f} s"
    )
    yield Figure("reading_requests", len(asked) * READ_SECONDS / seconds, "< 12", f"to Flink; {conditions}")
    yield Figure("reading_p50_ms", quantile(took, 0.5), "", conditions)
    yield Figure("reading_p95_ms", quantile(took, 0.95), "< 300", f"{conditions}; {len(took)} answers")
    words = f"of one core, {unread:.1f} without pictures; {conditions}"
    yield Figure("reading_jobmanager_percent", percent, "< 15", words)


def _timed(read: Callable[[], Any], took: list[float]) -> Callable[[], Any]:
    def timed() -> Any:
        begun = time.monotonic()
        found = read()
        took.append((time.monotonic() - begun) * 1000)
        return found

    return timed


def _poll(pictures: list[live.Poller[Any]], seconds: float) -> None:
    until = time.monotonic() + seconds

    def over() -> bool:
        for picture in pictures:
            picture.poll()
        return time.monotonic() > until

    wait_until(over, seconds + 60, "the readings", interval_seconds=_LOOK_SECONDS)


def _cpu_percent(process: psutil.Process, let: Callable[[], None]) -> float:
    before, begun = sum(process.cpu_times()[:2]), time.monotonic()
    let()
    return float(100 * (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - begun))
