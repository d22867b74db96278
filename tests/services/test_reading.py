"""Reading costs what the jobs cost, not what the pictures do."""

import re
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from kernel_lib import cluster, jobs, live, plots, topics
from kernel_lib.plots import refresher
from kernel_lib.plots.view import View
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

JOBS = ("count_events", "dead_letters")
READINGS = 8
# The list of jobs, the free slots, the request that has metrics fetched, the offsets of the source of several topics.
A_HANDFUL = 5


@pytest.fixture
def asked(settings: Settings) -> Iterator[list[str]]:
    """The paths of Flink that were asked for, as they come in; the pictures of a test end with it."""
    paths = list[str]()
    client = cluster.client(settings.flink_jobmanager_url)

    def note(request: httpx.Request) -> None:
        paths.append(request.url.path)

    client.event_hooks = {"request": [note]}
    yield paths
    refresher.stop()
    live.stop_all()
    client.event_hooks = {}


def test_many_pictures_ask_once_for_each_job_and_those_that_are_closed_ask_nothing(
    settings: Settings, asked: list[str]
) -> None:
    """Fails when a picture has a reader of its own, asks for metrics that it does not draw, or reads on when closed."""
    topics.create_all(settings=settings)
    running = [jobs.submit(job, settings=settings).wait_running() for job in JOBS]
    pictures: list[View] = [plots.Pipeline(settings=settings), plots.Jobs(settings=settings)]
    for job in running:
        pictures.append(plots.JobGraph(job, name=f"graph of {job.name}"))
        pictures.append(plots.Backpressure(job, name=f"time of {job.name}"))
        pictures.append(plots.Throughput("user-events", job=job, settings=settings, name=f"flow of {job.name}"))
        pictures.append(plots.Recovery(live.TopicTail("metrics", name=job.name, settings=settings), job, name=job.id))
    wait_until(lambda: all(each.text != "no data yet" for each in pictures), 60, "all pictures to be drawn")
    time_of_last = time.monotonic()
    wait_until(lambda: time.monotonic() > time_of_last + 5, 10, "what is asked only at first")
    asked.clear()
    begun = time.monotonic()
    details = [f"/jobs/{job.id}" for job in running]
    wait_until(lambda: all(asked.count(path) >= READINGS for path in details), 60, "some readings")
    # As many as seconds have passed, and the one that was under way.
    readings = time.monotonic() - begun + 1
    paths = Counter(asked)
    assert all(paths[path] <= readings for path in details), paths
    rest = sum(count for path, count in paths.items() if not re.fullmatch(r"/jobs/[0-9a-f]{32}", path))
    assert rest <= A_HANDFUL * readings, paths
    for each in pictures:
        each.close()
    wait_until(lambda: len(asked) == asked_a_while_later(asked), 60, "the pictures to ask no more")


def asked_a_while_later(asked: list[str]) -> int:
    """Return how many requests there have been after the time of a few readings."""
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() > begun + 3, 10, "a few readings")
    return len(asked)
