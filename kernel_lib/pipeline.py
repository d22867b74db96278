"""Own the course's pipeline: the producers and jobs that run together, started and stopped as one.

>>> pipeline.start(events_per_second=100)
'100 events/s into 4 topics; 6 jobs run: count_events, dead_letters, ...'
>>> pipeline.stop()
'stopped after 1,204 events; 6 jobs were drained'

Six jobs at parallelism 1 take six of the eight slots; a lesson beside them has two.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from kernel_lib import jobs, producer, reference, slots, topics
from kernel_lib.settings import Settings, load

JOBS = (
    "count_events",
    "dead_letters",
    "track_sessions",
    "match_fraud",
    "enrich_transactions",
    "detect_anomalies",
)
# The share of all events that a stream sends, and what is planted in it for the jobs to find.
STREAMS: dict[str, tuple[float, dict[str, Any]]] = {
    "user-events": (0.6, {"malformed_share": 0.002}),
    "transactions": (0.2, {"fraud_share": 0.01}),
    "iot-sensors": (0.19, {"anomaly_share": 0.01}),
    "system-metrics": (0.01, {}),
}
NAME = "pipeline"
# Who presses a button while another one still works waits for it: two that drain a job restart it for each other.
_one_at_a_time = threading.Lock()
# Flink never forgets a restart, and learners kill services as often as they like.
RESTART_ATTEMPTS = 1_000
# Six jobs and four producers share two cores. What costs is less the events than how often something is done: sends,
# checkpoints with their transactions, flushes of buffers, watermarks. Nobody here waits for half a second.
TICK_SECONDS = 0.5
FLINK_OPTIONS = {
    "execution.checkpointing.interval": "3 s",
    "execution.buffer-timeout.interval": "100 ms",
    "pipeline.auto-watermark-interval": "200 ms",
    "python.fn-execution.bundle.time": "100",
}


def start(*, events_per_second: float = 100, seed: int = 1, settings: Settings | None = None) -> str:
    """Create the topics, publish the reference data, submit the jobs, start the producers; return what runs, in words.

    `events_per_second` are those of all four streams together. The jobs belong to the course and outlive this process;
    the producers end with it. Raises NoFreeSlots before anything is started, and as `jobs.submit` and
    `producer.start` do.
    """
    settings = settings or load()
    with _one_at_a_time:
        return _start(events_per_second, seed, settings)


def _start(events_per_second: float, seed: int, settings: Settings) -> str:
    _make_room(settings)
    topics.create_all(settings=settings)
    reference.publish(seed, settings=settings)
    submit = partial(
        jobs.submit,
        parallelism=1,
        restart_attempts=RESTART_ATTEMPTS,
        flink_options=FLINK_OPTIONS,
        owner="course",
        settings=settings,
    )
    with ThreadPoolExecutor(len(JOBS)) as side_by_side:  # some wait until each subtask has acknowledged its parameters
        submitted = list(side_by_side.map(submit, JOBS))
    for topic, (share, knobs) in STREAMS.items():
        rate = share * events_per_second
        options: dict[str, Any] = {"name": NAME, "tick_seconds": TICK_SECONDS, **knobs}
        producer.start(topic, events_per_second=rate, seed=seed, settings=settings, **options)
    for job in submitted:
        job.wait_running()
    return f"{events_per_second:g} events/s into {len(STREAMS)} topics; {len(JOBS)} jobs run: {', '.join(JOBS)}"


def _make_room(settings: Settings) -> None:
    """Make sure that all jobs have slots: one that runs gives its own to the one that takes its place."""
    ended = jobs.cancel_orphans(settings=settings)
    new = set(JOBS) - {job.name for job in jobs.running(settings=settings)}
    slots.wait_free(settings, "The pipeline", len(new), ended=bool(ended))


def stop(*, settings: Settings | None = None) -> str:
    """Stop the producers, drain the jobs, and return what was done, in words."""
    settings = settings or load()
    with _one_at_a_time:
        return _stop(settings)


def _stop(settings: Settings) -> str:
    stopped = [each.stop().sent for each in producer.running(NAME)]
    found = [job for job in jobs.running(settings=settings) if job.name in JOBS]
    with ThreadPoolExecutor(len(JOBS)) as side_by_side:
        drained = sum(side_by_side.map(_drain_the_course_s, found))
    sent = f"stopped after {sum(stopped):,} events" if stopped else "no producer of this notebook was running"
    return f"{sent}; {drained} {'job was' if drained == 1 else 'jobs were'} drained" if drained else sent


def _drain_the_course_s(job: jobs.Job) -> bool:
    """Drain a job and return True if it is the course's; it tells so when it has slots, which others leave to it."""
    if not job.parameters():
        job.wait_running()
    is_the_course_s = _is_the_course_s(job)
    if is_the_course_s:
        job.drain()
    return is_the_course_s


def _is_the_course_s(job: jobs.Job) -> bool:
    """Say whether the pipeline submitted the job: a lesson has jobs of the same names, and ends them itself."""
    owner = job.owner()
    return owner is not None and owner.kind == "course"
