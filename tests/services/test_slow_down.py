from collections.abc import Iterator

import pytest

from kernel_lib import controls, jobs, ledger, oracle, producer, task_metrics, topics
from kernel_lib.job import Job
from kernel_lib.plots.backpressure import judged
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until


@pytest.fixture
def course(settings: Settings) -> Iterator[Settings]:
    topics.create("user-events", settings=settings)
    for name in ("processed-events", "acknowledgements"):
        topics.create(name, append_time=True, settings=settings)
    topics.create("control", compacted=True, settings=settings)
    yield settings
    producer.stop_all()


def expected(run: Producer | str, event_type: str = "") -> list[str]:
    """Return the ids of the events that are to pass, all of them or those of a type, sorted."""
    name = run if isinstance(run, str) else run.run
    sent = oracle.replay(run)
    wanted = sent if not event_type else sent[sent["eventType"] == event_type]
    return sorted(f"{name}-{number}" for number in wanted["number"])


def found(settings: Settings) -> list[str]:
    """Return the ids of the events that passed."""
    return [record.json()["eventId"] for record in topics.read("processed-events", limit=100_000, settings=settings)]


def blamed(job: Job) -> tuple[str, bool]:
    """Return the step that slowed the job down over two seconds, "" if none, and whether it held back the source."""
    read = task_metrics.Reader(job, each_subtask=True)
    before = read()
    now = wait_until(lambda: (later := read()).at > before.at + 2 and later, 30, "another reading")
    assert now
    names = {vertex.id: vertex.name for vertex in now.graph.vertices}
    verdict = judged(now.graph, task_metrics.shares(before, now))
    held_back = [names[key] for key in verdict.held_back]
    return names.get(verdict.cause or "", ""), any(name.startswith("Source: KafkaSource") for name in held_back)


@pytest.mark.parametrize("python_mode", ["thread", "process"])
def test_the_step_that_waits_is_blamed_and_loses_nothing(course: Settings, python_mode: str) -> None:
    """Fails when the step does not wait, when it drops the events of all but the slow user, and when it passes events
    more than once."""
    options = {"python.fn-execution.bundle.size": "10"}
    job = jobs.submit("slow_down", start="earliest", python_mode=python_mode, flink_options=options, settings=course)
    with producer.start("user-events", events_per_second=100, seed=7, settings=course, malformed_share=0.02) as shop:
        wait_until(lambda: blamed(job) == ("", False), 40, "a job in which nobody is held back")
        controls.set("slow_down", delay_ms=5, settings=course)
        shop.set(events_per_second=1000)
        wait_until(lambda: blamed(job) == ("wait", True), 40, "the slow step to be blamed")
    controls.set("slow_down", slow_user="nobody", timeout_seconds=30, settings=course)
    job.drain()
    passed = found(course)
    assert sorted(passed) == expected(shop)
    with ledger.Ledger(shop, "processed-events", settings=course) as book:
        wait_until(lambda: book.update().received >= len(passed), 20, "the ledger to read what passed")
        figures = book.figures()
    malformed = shop.stats.acknowledged - len(passed)
    assert (figures.missing, figures.duplicate, figures.strangers) == (malformed, 0, 0)
