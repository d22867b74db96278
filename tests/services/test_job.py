import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import confluent_kafka
import pytest

from kernel_lib import groups, jobs, producer, services, task_metrics, topic_ends, topics, window_counts
from kernel_lib.errors import ConfigurationError, JobFailed, NoFreeSlots, WaitTimeout
from kernel_lib.ledger import Ledger
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

Event = dict[str, Any]


@pytest.fixture
def two_topics(settings: Settings) -> None:
    topics.create("events", partitions=2, settings=settings)
    topics.create("results", partitions=2, settings=settings)


@pytest.fixture
def shop(settings: Settings) -> Iterator[Producer]:
    for name in ("user-events", "metrics", "processed-events"):
        topics.create(name, partitions=2, settings=settings)
    with producer.start("user-events", events_per_second=0, settings=settings) as shop:
        yield shop


def send(settings: Settings, first: int, count: int, padding: str = "") -> None:
    events = ({"eventId": f"r-{n}", "padding": padding} for n in range(first, first + count))
    topics.write("events", *(json.dumps(event).encode() for event in events), key=b"key", settings=settings)


def results(settings: Settings, topic: str = "results") -> list[str]:
    return [record.json()["eventId"] for record in topics.read(topic, limit=1_000_000, settings=settings)]


def identity(event: Event) -> Event:
    return event


def slow(event: Event) -> Event:
    sum(range(400_000))
    return {"eventId": event["eventId"]}


def submit(settings: Settings, function: Callable[[Event], Event] = identity, **options: Any) -> jobs.Job:
    return jobs.submit(function, **{"source": "events", "sink": "results", **options}, settings=settings)


def has_closed_windows(shop: Producer, windows: int, settings: Settings) -> bool:
    return window_counts.compared(shop, settings=settings).windows >= windows


def test_what_is_counted_equals_what_is_sent_over_a_savepoint_and_rescaling(shop: Producer, settings: Settings) -> None:
    """Fails when the savepoint is not given to the restored job: the open windows' counts are in it."""
    job = jobs.submit("count_events", window_seconds=2, settings=settings).wait_running()
    shop.set(events_per_second=500)
    wait_until(lambda: has_closed_windows(shop, 2, settings), 60, "windows before the savepoint")
    location = job.stop_with_savepoint()
    assert job.state() == "FINISHED"
    job = jobs.submit("count_events", window_seconds=2, restore=location, settings=settings)
    for parallelism in (2, 1):
        closed = window_counts.compared(shop, settings=settings).windows
        job.rescale(parallelism)
        assert job.slots() == parallelism
        wait_until(lambda: has_closed_windows(shop, closed + 2, settings), 60, "windows after it")  # noqa: B023
    shop.stop()
    job.drain()
    comparison = window_counts.compared(shop, window=timedelta(seconds=2), drained=True, settings=settings)
    assert comparison.equal, comparison.text
    with Ledger(shop, "processed-events", settings=settings) as book:
        figures = book.settle()
    assert figures.exact, figures.text
    assert figures.received == figures.sent > 0


@pytest.mark.usefixtures("two_topics")
def test_a_drain_waits_for_what_a_restored_job_reads_again(settings: Settings) -> None:
    """Fails when a restored job is noted to begin where its topic ends at the submit."""
    job = submit(settings, name="copy")
    send(settings, 0, 5)
    wait_until(lambda: results(settings), 30, "the first results")
    location = job.savepoint()
    assert job.state() == "RUNNING"
    send(settings, 5, 600, padding="x" * 20_000)  # more than fits between source and function
    wait_until(lambda: len(results(settings)) == 605, 60, "the results of the first run")
    wait_until(lambda: not any(groups.lag("copy", "events", settings=settings).values()), 30, "its last commit")
    job.cancel()
    submit(settings, function=slow, name="copy", restore=location).drain()
    twice = Counter(results(settings))
    assert [twice[f"r-{n}"] for n in range(605)] == [1] * 5 + [2] * 600


@pytest.mark.usefixtures("two_topics")
def test_a_restored_job_with_nothing_to_read_is_drained(settings: Settings) -> None:
    """Fails when only records that this run has read count as read, and not what it was restored with."""
    job = submit(settings)
    send(settings, 0, 5)
    wait_until(lambda: results(settings), 30, "the first results")
    submit(settings, restore=job.stop_with_savepoint()).drain()
    assert len(results(settings)) == 5


@pytest.mark.usefixtures("two_topics")
def test_a_drain_returns_only_when_its_results_can_be_read(settings: Settings) -> None:
    """Fails when a job that has finished is taken for one whose results are committed: brokers do that later."""
    other = confluent_kafka.Producer({**settings.kafka_client(), "transactional.id": settings.named("other")})
    other.init_transactions(20)
    other.begin_transaction()
    for partition in (0, 1):
        other.produce(settings.named("results"), b'{"eventId": "other"}', partition=partition)
    other.flush(20)
    job = submit(settings)
    send(settings, 0, 1)
    with pytest.raises(WaitTimeout, match="the last results to be committed to results"):
        job.drain(timeout_seconds=15)
    other.commit_transaction(20)
    topic_ends.wait_committed(["results"], 20, settings=settings)
    assert sorted(results(settings)) == ["other", "other", "r-0"]


@pytest.mark.usefixtures("two_topics")
def test_draining_again_is_harmless(settings: Settings) -> None:
    job = submit(settings)
    job.drain()
    job.drain()
    assert job.state() == "FINISHED"


@pytest.mark.usefixtures("two_topics")
def test_a_topic_that_ends_with_a_transaction_s_marker_is_read_to_the_end(settings: Settings) -> None:
    """Fails when a drain waits for the end that brokers report, which no reader reaches."""
    job = submit(settings)
    send(settings, 0, 5)
    job.drain()
    topics.create("copies", partitions=2, settings=settings)
    submit(settings, source="results", sink="copies", start="earliest").drain(timeout_seconds=30)
    assert len(results(settings, "copies")) == 5


@pytest.mark.usefixtures("two_topics")
def test_a_savepoint_that_is_not_there_or_does_not_fit_is_refused_in_words(settings: Settings) -> None:
    with pytest.raises(JobFailed, match="identity cannot go on from file:/nowhere") as missing:
        submit(settings, restore="file:/nowhere")
    assert "nowhere" in missing.value.cause
    send(settings, 0, 5)
    location = submit(settings).stop_with_savepoint()
    for name in ("user-events", "metrics", "processed-events"):
        topics.create(name, partitions=2, settings=settings)
    with pytest.raises(JobFailed, match="count_events cannot go on from") as misfit:
        jobs.submit("count_events", restore=location, settings=settings)
    assert misfit.value.cause
    assert "restore what wrote the savepoint" in misfit.value.remedy


@pytest.mark.usefixtures("two_topics")
def test_a_parallelism_that_cannot_be_is_refused_with_the_reason(settings: Settings) -> None:
    """Fails without the check of the free slots: the job would wait for them a minute."""
    job = submit(settings).wait_running()
    for parallelism in (0, 121):
        with pytest.raises(ConfigurationError, match=f"cannot run with {parallelism} subtasks") as refusal:
            job.rescale(parallelism)
        assert refusal.value.remedy == "choose from 1 to 120"
    with pytest.raises(NoFreeSlots, match="needs 99 free slots") as full:
        job.rescale(100)
    assert f"{settings.named('identity')} (1) of" in full.value.cause
    assert job.slots() == 1


@pytest.mark.usefixtures("two_topics")
def test_an_ended_job_writes_no_savepoint_and_is_not_rescaled(settings: Settings) -> None:
    job = submit(settings).wait_running()
    job.cancel()
    for call in (job.savepoint, job.stop_with_savepoint, lambda: job.rescale(2)):
        with pytest.raises(JobFailed, match="ended as CANCELED"):
            call()


@pytest.mark.alone
@pytest.mark.usefixtures("two_topics")
def test_a_taskmanager_that_freezes_does_not_stop_the_metrics_of_the_others_for_long(settings: Settings) -> None:
    """Fails when Flink waits its ten minutes for the answer of the frozen one."""
    job = submit(settings).wait_running()
    read, source = task_metrics.Reader(job), job.graph().vertices[0].id
    [other] = {"flink-taskmanager-1", "flink-taskmanager-2"} - set(job.taskmanagers())

    def idle_ms() -> float:
        return read().spent[source][0].idle

    services.pause(other, settings=settings)
    try:
        wait_until(lambda: services.status(other, settings=settings).state == "paused", 10, "the pause")
        stuck = wait_until(lambda: idle_ms(), 10, "a figure")
        wait_until(lambda: idle_ms() > stuck + 12_000, 40, "the figures to go on, ten seconds later")
    finally:
        services.resume(other, settings=settings)
        services.wait_healthy(other, settings=settings)
