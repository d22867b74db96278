"""The views of a job, before and after a real fault: what their line of text says is what is the matter."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kernel_lib import crashes, jobs, knobs, ledger, live, plots, producer, topics
from kernel_lib.errors import WaitTimeout
from kernel_lib.plots import refresher
from kernel_lib.plots.view import View
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until
from tests.services.killing import killed

IDLE_SECONDS = 8


@pytest.fixture
def course(settings: Settings) -> Iterator[Settings]:
    for name in ("user-events", "processed-events", "metrics"):
        topics.create(name, append_time=name != "user-events", settings=settings)
    yield settings
    refresher.stop()
    live.stop_all()
    producer.stop_all()


@pytest.fixture
def shop(course: Settings) -> Producer:
    return producer.start("user-events", events_per_second=100, settings=course)


def wait_for_words(view: View, *words: str, seconds: float = 60) -> None:
    """Wait until the line of text has all the words; the message of a failure has what it said instead."""
    try:
        wait_until(lambda: all(word in view.text for word in words), seconds, "the words")
    except WaitTimeout:
        pytest.fail(f"not {words} in {seconds:g} s, but: {view!r}")


def test_a_silent_partition_stops_the_watermark_until_it_counts_as_idle(course: Settings, shop: Producer) -> None:
    """Fails when count_events has no idle time-out (the watermark stands for ever)."""
    job = jobs.submit("count_events", idle_timeout_seconds=IDLE_SECONDS, passed="", settings=course)
    view = plots.EventTime(live.TopicTail("user-events", settings=course), job)
    wait_for_words(view, "The watermark is at", "s behind the clock", "None of the")
    wait_until(lambda: len(view.partitions.data["partition"]) == 6, 20, "the watermarks of all partitions")
    assert len(view.source.data["arrived"]) > 0
    assert len(view.stairs.data["at"][0]) > 1
    shop.set(silent_partitions=[2])
    wait_for_words(view, "The watermark stands at", "it waits for partition 2")
    wait_for_words(view, "The watermark is at", "it no longer waits for partition 2")


def test_events_later_than_the_bound_come_behind_the_watermark(course: Settings, shop: Producer) -> None:
    """Fails when count_events has a bound for out-of-orderness of a minute: then none is late."""
    job = jobs.submit("count_events", passed="", settings=course)
    view = plots.EventTime(live.TopicTail("user-events", settings=course), job)
    wait_for_words(view, "None of the")
    shop.set(late_share=0.2, late_ms=8000)
    wait_until(lambda: len(view.late.data["arrived"]) > 20, 30, "late events to be drawn")
    assert min(list(view.late.data["delay"])) > 2
    assert "None of the" not in view.text


@pytest.mark.alone
@pytest.mark.parametrize("python_mode", ["thread", "process"])
def test_the_slow_task_is_blamed_and_not_those_that_wait_for_it(
    course: Settings, shop: Producer, python_mode: str
) -> None:
    def slow(event: dict[str, Any]) -> dict[str, Any]:
        until = time.perf_counter() + (0.02 if event["eventType"] != "logout" else 0)
        while time.perf_counter() < until:
            pass
        return event

    def quick(event: dict[str, Any]) -> dict[str, Any]:
        return event

    job = jobs.submit(quick, sink="processed-events", python_mode=python_mode, settings=course).wait_running()
    view, graph = plots.Backpressure(job), plots.JobGraph(job)
    wait_for_words(view, "No task is held back")
    wait_for_words(graph, "→ write processed-events")
    assert "held back" not in graph.text
    job.cancel()
    job = jobs.submit(slow, sink="processed-events", python_mode=python_mode, settings=course).wait_running()
    view, graph = plots.Backpressure(job), plots.JobGraph(job)
    shop.set(events_per_second=2000)
    wait_for_words(view, "slow is the cause", "It holds back", "read user-events")
    wait_for_words(graph, "read user-events is held back")


@pytest.mark.alone
def test_a_killed_taskmanager_repeats_events_of_the_fast_lane_before_ones_eyes(
    course: Settings, shop: Producer
) -> None:
    """Fails when the sink is exactly-once whatever it is told; the list of jobs, when it does not ask for failures."""
    job = jobs.submit("relay", guarantee="at-least-once", restart_attempts=100, settings=course).wait_running()
    name, listed = course.named("relay"), plots.Jobs(settings=course)
    wait_for_words(listed, f"{name} (1 slot, ")
    assert f"{name} failed" not in listed.text
    with ledger.Ledger(shop, "processed-events", settings=course) as book:
        view = plots.LedgerBoard(book)
        wait_until(lambda: view.source.data["not_there"].size > 5, 30, "a history")
        assert " 0 duplicate" in view.text
        with killed(job.taskmanagers()[0], course):
            wait_until(lambda: view.source.data["duplicate"][-1] > 0, 60, "duplicates to be drawn")
        assert " 0 duplicate" not in view.text
        assert "✗" in view._tiles.value
        wait_for_words(listed, f"{name} failed once in the last 5 minutes, the last at ", "because of: ")
        assert listed.failures.data["y"] == [list(listed.root.yaxis[0].major_label_overrides.values()).index(name)]
        refresher.stop()


@pytest.mark.alone
@pytest.mark.timeout(300)  # a TaskManager dies and comes back
def test_only_exactly_once_read_committed_shows_a_kill_to_no_reader(course: Settings, shop: Producer) -> None:
    """Fails when all sinks of relay have the first one's guarantee, or when the view reads on at the old level."""
    lanes = {"at-least-once": "fast", "exactly-once": "exact"}
    for topic in lanes.values():
        topics.create(topic, append_time=True, settings=course)
    sinks: dict[str, Any] = {"sink": ";".join(lanes.values()), "guarantee": ";".join(lanes)}
    job = jobs.submit("relay", restart_attempts=100, start="earliest", settings=course, **sinks).wait_running()
    view = plots.Guarantees(shop, lanes, settings=course)
    wait_for_words(view, "at-least-once: ", ", 0 duplicate; exactly-once: ", ", 0 duplicate. Readers: read_committed.")
    wait_until(lambda: view.figures["exactly-once"].received > 1_000, 60, "some checkpoints")
    assert "relay ran again after" in crashes.kill_taskmanager(job)
    shop.set(events_per_second=0)
    wait_for_words(view, "exactly-once: 0 missing, 0 duplicate")
    assert view.figures["at-least-once"].duplicate > 0
    assert view.figures["at-least-once"].missing == 0
    view.read(committed=False)
    wait_for_words(view, "Readers: read_uncommitted.")
    wait_until(lambda: view.figures["exactly-once"].duplicate, 20, "what the aborted transaction wrote")


def test_a_picture_goes_on_with_the_job_that_took_the_place_of_its_own(course: Settings, shop: Producer) -> None:
    """Fails when the reader of a job's metrics stays with the one that has ended, or the option is not passed on."""
    counting: dict[str, Any] = {"job": "count_events", "passed": "", "out_of_orderness_seconds": 0.5}
    job = jobs.submit(settings=course, **counting).wait_running()
    view = plots.EventTime(live.TopicTail("user-events", settings=course), job)
    wait_for_words(view, "0.", "s behind the clock")
    bound = knobs.option(counting, "out_of_orderness_seconds", least=0, most=30, unit="s", settings=course)
    bound.control.value = 20.0
    wait_until(lambda: bound.in_force == 20.0, 60, "the job to run with another bound")
    wait_until(lambda: re.search(r"2\d\.\d s behind the clock", view.text), 60, "the watermark of the new job")
    assert job.state() == "CANCELED"
    assert [each.name for each in jobs.running(settings=course)] == ["count_events"]
    assert counting["out_of_orderness_seconds"] == 20.0


def test_a_view_of_a_job_that_has_ended_says_so(course: Settings, shop: Producer) -> None:
    job = jobs.submit("relay", guarantee="none", settings=course).wait_running()
    view = plots.Backpressure(job)
    wait_for_words(view, "No task is held back")
    job.cancel()
    wait_for_words(view, "No data since", "job relay is CANCELED")
