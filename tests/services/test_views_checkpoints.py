"""What the view of checkpoints says before and after the death of what they need."""

import re
from collections.abc import Iterator

import pytest

from kernel_lib import cluster, jobs, producer, services, topics
from kernel_lib.job import Job
from kernel_lib.plots import Checkpoints, refresher
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

pytestmark = pytest.mark.alone

WELL = (
    r"^Checkpoint \d+ took [\d.]+ m?s for [\d.]+ \w+ of state, [\d.]+ s after the one before \(one is due every 1 s\); "
    r"its barriers were aligned( at once| within [\d.]+ m?s, the longest in [^;]+); "
    r"none of ([5-9]|\d\d+) failed( \(\d+ more could not begin: a task was not running\))?\.$"
)


@pytest.fixture
def job(settings: Settings) -> Iterator[Job]:
    for name in ("user-events", "metrics", "processed-events"):
        topics.create(name, settings=settings)
    with producer.start("user-events", events_per_second=100, settings=settings):
        yield jobs.submit("count_events", restart_attempts=100, settings=settings).wait_running()
    refresher.stop()


def says(view: Checkpoints, words: str, timeout_seconds: float = 60) -> None:
    wait_until(lambda: re.search(words, view.text), timeout_seconds, f"the view to say {words!r}, not {view.text!r}")


def taskmanager_of(job: Job) -> str:
    vertex = job.graph().vertices[0].id
    return str(cluster.get(job.settings, f"/jobs/{job.id}/vertices/{vertex}")["subtasks"][0]["taskmanager-id"])


def drawn(view: Checkpoints, what: str) -> list[str]:
    return [words for words in view.source.data["what"] if what in words]


def completed(view: Checkpoints) -> set[int]:
    return {int(words.split()[1]) for words in drawn(view, "completed")}


@pytest.mark.timeout(300)  # a TaskManager dies and comes back
def test_a_killed_taskmanager_shows_as_a_restore(job: Job, settings: Settings) -> None:
    """Fails when what Flink has forgotten is dropped, or when the mark of the restore is left out."""
    view = Checkpoints(job)
    says(view, WELL)
    wait_until(lambda: len(view.source.data["id"]) > 12, 60, "more bars than Flink remembers")
    assert any(words.startswith(("read", "count", "write", "select")) for words in view.source.data["slowest"])
    job.savepoint()
    wait_until(lambda: drawn(view, "savepoint"), 20, "the savepoint's bar")
    name = taskmanager_of(job)
    services.kill(name, settings=settings)
    try:
        says(view, r"; the job was restored once, from \w+ \d+ because of: .+\.$")
    finally:
        services.start(name, settings=settings)
    assert len(view.restored.data["words"]) == 1
    restored = int(re.findall(r"restored once, from \w+ (\d+)", view.text)[0])
    assert int(re.findall(r"^Checkpoint (\d+) took", view.text)[0]) > restored


@pytest.mark.timeout(300)  # a TaskManager is frozen until it is given up
def test_a_paused_taskmanager_shows_as_a_failed_checkpoint(job: Job, settings: Settings) -> None:
    """Fails when a checkpoint that is under way is drawn as complete, or its failure without the reason."""
    view = Checkpoints(job)
    says(view, WELL)
    name = taskmanager_of(job)
    services.pause(name, settings=settings)
    try:
        wait_until(lambda: drawn(view, "under way"), 20, "a checkpoint that waits for the frozen tasks")
        says(view, r"[1-9]\d* of \d+ failed, the last that had begun because of: .+; the job was restored once, from")
        assert drawn(view, "failed: ")
    finally:
        services.resume(name, settings=settings)
    services.wait_healthy(name, settings=settings)


@pytest.mark.timeout(300)  # the JobManager dies and comes back
def test_a_dead_jobmanager_is_named_and_its_checkpoints_stay_on_the_picture(job: Job, settings: Settings) -> None:
    view = Checkpoints(job)
    says(view, WELL)
    known = completed(view)
    services.kill("flink-jobmanager", settings=settings)
    try:
        says(view, r"^No data since \d\d:\d\d:\d\d UTC \(\d+ s ago\) because Flink at .* does not answer")
        assert view.quiet_because
        assert known <= completed(view)
    finally:
        services.start("flink-jobmanager", settings=settings)
    says(view, "; the job was restored once, from checkpoint", 120)
    assert view.quiet_because == ""
    wait_until(lambda: max(completed(view)) > max(known), 60, "the next checkpoint")


def test_an_ended_job_is_told_from_a_silent_flink(job: Job) -> None:
    view = Checkpoints(job)
    says(view, "^Checkpoint")
    job.cancel()
    says(view, "^No data since .* because job count_events is CANCELED")
    assert view.quiet_because
