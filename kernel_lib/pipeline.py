"""Own the course's pipeline: the producers and jobs that run together, started and stopped as one.

>>> pipeline.start(events_per_second=100)
'user-events at 100/s; job count_events runs'
>>> pipeline.stop()
"""

from __future__ import annotations

from kernel_lib import jobs, producer, topics
from kernel_lib.settings import Settings, load

JOBS = ("count_events",)
NAME = "pipeline"


def start(*, events_per_second: float = 100, seed: int = 1, settings: Settings | None = None) -> str:
    """Create the topics, submit the jobs, start the producers; return what runs, in words.

    The jobs belong to the course and outlive this kernel; the producers end with it.
    """
    settings = settings or load()
    topics.create_all(settings=settings)
    submitted = [jobs.submit(name, owner="course", settings=settings) for name in JOBS]
    producer.start("user-events", events_per_second=events_per_second, seed=seed, name=NAME, settings=settings)
    for job in submitted:
        job.wait_running()
    return f"user-events at {events_per_second:g}/s; job {' and '.join(JOBS)} runs"


def stop(*, settings: Settings | None = None) -> str:
    """Stop the producers, drain the jobs, and return what was done, in words."""
    settings = settings or load()
    stopped = [each.stop().sent for each in producer.running() if each.topic == "user-events"]
    for job in jobs.running(settings=settings):
        if job.name in JOBS:
            job.drain()
    return f"stopped after {sum(stopped):,} events" if stopped else "no producer of this notebook was running"
