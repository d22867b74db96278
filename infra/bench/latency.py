"""Measure how long an event, a window's result, a metric, a change of a parameter and a submit take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from infra.bench.figures import Figure, middle, quantile, runs
from kernel_lib import controls, flink_reader, jobs, live, producer, task_metrics, topics
from kernel_lib.settings import Settings
from kernel_lib.timestamps import epoch_ms
from kernel_lib.waiting import wait_until

RATE = 1_000
CHECKPOINT_MS = 1_000
OUT_OF_ORDERNESS_SECONDS = 0.5
_LOOK_SECONDS = 0.005
_GLANCE_SECONDS = 0.1
SINKS = ("processed-events", "metrics", "acknowledgements")


def measure(
    settings: Settings, *, seconds: float, changes: int, submits: int, warm_up_seconds: float
) -> Iterator[Figure]:
    """Yield the latencies, each with its rate, bound, parallelism, jobs and clock."""
    for topic in ("user-events", *SINKS):
        topics.create(topic, append_time=topic in SINKS, settings=settings)
    topics.create("control", compacted=True, settings=settings)
    with producer.start("user-events", events_per_second=RATE, settings=settings):
        yield from _fast_lane(settings, seconds, warm_up_seconds)
        yield _exact_lane(settings, seconds, warm_up_seconds)
        yield _window(settings, seconds, warm_up_seconds)
        yield _metrics(settings, seconds, warm_up_seconds)
        yield from _knob(settings, changes)
        yield _submit(settings, submits)


def _conditions(clock: str, more: str = "") -> str:
    return f"{RATE:,} events/s{more}, parallelism 1, no other job, clock: {clock}"


def _fast_lane(settings: Settings, seconds: float, warm_up_seconds: float) -> Iterator[Figure]:
    job = jobs.submit("relay", guarantee="at-least-once", chaining=True, settings=settings).wait_running()
    since_ms = int((time.time() + warm_up_seconds) * 1000)
    let_run(since_ms / 1000 + seconds)
    job.cancel()
    records = topics.read("processed-events", since_ms=since_ms, limit=10_000_000, settings=settings)
    latencies = [record.timestamp_ms - record.json()["sentAt"] for record in records]
    conditions = f"fast lane, at-least-once, {_conditions('broker append minus sentAt')}, {len(latencies):,} events"
    yield Figure("latency_p50_ms", quantile(latencies, 0.5), "", conditions)
    yield Figure("latency_p95_ms", quantile(latencies, 0.95), "", conditions)
    yield Figure("latency_p99_ms", quantile(latencies, 0.99), "< 100", conditions)


def _exact_lane(settings: Settings, seconds: float, warm_up_seconds: float) -> Figure:
    job = jobs.submit("relay", guarantee="exactly-once", chaining=True, settings=settings).wait_running()
    latencies: list[float] = []
    begins = time.time() + warm_up_seconds
    with live.TopicTail("processed-events", max_records=20_000, settings=settings) as tail:

        def over() -> bool:
            records, now_ms = tail.poll(), time.time() * 1000
            if now_ms > begins * 1000:
                latencies.extend(now_ms - record.json()["sentAt"] for record in records)
            return now_ms > (begins + seconds) * 1000

        wait_until(over, seconds + 60, "the exact lane", interval_seconds=_LOOK_SECONDS)
    job.cancel()
    conditions = (
        f"exact lane, checkpoints every {CHECKPOINT_MS} ms, {_conditions('read_committed reader minus sentAt')}"
    )
    return Figure("exact_latency_p99_ms", quantile(latencies, 0.99), f"< {CHECKPOINT_MS + 300:,}", conditions)


def _window(settings: Settings, seconds: float, warm_up_seconds: float) -> Figure:
    options: dict[str, Any] = {"window_seconds": 1, "out_of_orderness_seconds": OUT_OF_ORDERNESS_SECONDS, "passed": ""}
    job = jobs.submit("count_events", settings=settings, **options).wait_running()
    since_ms = int((time.time() + warm_up_seconds) * 1000)
    let_run(since_ms / 1000 + seconds)
    job.cancel()
    records = topics.read("metrics", since_ms=since_ms, committed=False, settings=settings)
    # The watermark passes the end of a window when an event arrives that is later than it by the bound.
    waits = [
        record.timestamp_ms - epoch_ms(record.json()["windowEnd"]) - OUT_OF_ORDERNESS_SECONDS * 1000
        for record in records
    ]
    bound = f", 1 s windows, out-of-orderness bound {OUT_OF_ORDERNESS_SECONDS * 1000:.0f} ms"
    conditions = f"{_conditions('broker append minus window end and bound', bound)}, {len(waits):,} results"
    return Figure("window_p95_ms", quantile(waits, 0.95), "< 300", conditions)


def _metrics(settings: Settings, seconds: float, warm_up_seconds: float) -> Figure:
    options: dict[str, Any] = {"out_of_orderness_seconds": OUT_OF_ORDERNESS_SECONDS, "passed": ""}
    job = jobs.submit("count_events", settings=settings, **options).wait_running()
    read, begins = task_metrics.Reader(job, task_metrics.WATERMARKS), time.time() + warm_up_seconds
    ages: list[float] = []

    def over() -> bool:
        watermark_ms, now = read().watermark_ms, time.time()
        if watermark_ms is not None and now > begins:
            ages.append((now - OUT_OF_ORDERNESS_SECONDS) * 1000 - watermark_ms)
        return now > begins + seconds

    wait_until(over, seconds + 60, "the metrics", interval_seconds=_GLANCE_SECONDS)
    job.cancel()
    conditions = (
        f"age of the watermark that Flink's metrics show, bound taken off, {_conditions('this process')}, "
        f"{len(ages):,} looks; a reading is shared for {flink_reader.FRESH_SECONDS * 1000:.0f} ms"
    )
    return Figure("metrics_age_p95_ms", quantile(ages, 0.95), "< 1,000", conditions)


def _knob(settings: Settings, changes: int) -> Iterator[Figure]:
    job = jobs.submit("filter_events", settings=settings).wait_running()
    took = [
        controls.set("filter_events", minimum_duration=number / 10, settings=settings).milliseconds
        for number in range(changes + 5)
    ][5:]
    job.cancel()
    conditions = (
        f"{changes} changes back to back, no chaining, from the call to the last subtask's acknowledgement, "
        f"{_conditions('this process')}"
    )
    yield Figure("knob_p95_ms", quantile(took, 0.95), "< 80", conditions)
    yield Figure("knob_slowest_ms", max(took), "< 250", conditions)


def _submit(settings: Settings, submits: int) -> Figure:
    took = []
    for _ in range(submits + 1):
        begun = time.monotonic()
        job = jobs.submit("count_events", settings=settings).wait_running()
        took.append(time.monotonic() - begun)
        job.cancel()
    conditions = (
        f"from submit to every task RUNNING, gateway warm, {_conditions('this process')}; {runs(took[1:])}; "
        "limited by planning SQL in the gateway and by two transactional sinks that look for open transactions"
    )
    return Figure("submit_seconds", middle(took[1:]), "< 1.5", conditions)


def let_run(until: float) -> None:
    wait_until(lambda: time.time() > until, until - time.time() + 5, "the measurement to end", interval_seconds=0.2)
