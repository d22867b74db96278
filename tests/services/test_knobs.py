"""Knobs on what they really turn: a producer, a job with live parameters, a service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from kernel_lib import controls, jobs, knobs, producer, runs, services, topics
from kernel_lib.errors import WaitTimeout
from kernel_lib.knob import Knob
from kernel_lib.knob_log import Knobs
from kernel_lib.plots import refresher
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

JOB = "filter_events"
TASKMANAGER = "flink-taskmanager-2"


@pytest.fixture
def course(settings: Settings) -> Iterator[Settings]:
    topics.create("user-events", settings=settings)
    yield settings
    refresher.stop()
    producer.stop_all()


@pytest.fixture
def shop(course: Settings) -> Producer:
    return producer.start("user-events", events_per_second=100, settings=course)


def wait_for_words(knob: Knob[Any], pattern: str, seconds: float = 20) -> None:
    """Wait until a knob says something; the message of a failure has what it said instead."""
    try:
        wait_until(lambda: re.fullmatch(pattern, knob.text), seconds, "the words")
    except WaitTimeout:
        pytest.fail(f"not {pattern!r} in {seconds:g} s, but {knob.text!r}")


def in_force(shop: Producer) -> Knobs:
    return runs.Run.open(shop.run).knob_log().last


def test_a_producer_that_has_started_has_noted_its_knobs(course: Settings) -> None:
    """Fails, often, when its process answers before it has noted them: there was no last entry."""
    for number in range(10):
        with producer.start("user-events", events_per_second=number, settings=course) as started:
            assert in_force(started).events_per_second == number


def test_a_rate_is_acknowledged_by_its_producer_and_follows_it(shop: Producer) -> None:
    """Fails without the read of the producer's own knobs."""
    rate = knobs.rate(shop, most=1000)
    rate.control.value = 500
    wait_for_words(rate, r"In force: 500 events/s, acknowledged after [\d,.]+ ms\.")
    assert in_force(shop).events_per_second == 500
    shop.set(events_per_second=300)
    wait_for_words(rate, r"In force: 300 events/s\.")
    assert rate.control.value == 300
    assert [knobs.events_per_second for knobs in runs.Run.open(shop.run).knob_log().entries] == [100, 500, 300]


def test_a_share_and_a_silence_are_acknowledged_by_their_producer(shop: Producer) -> None:
    share, silence = knobs.share(shop, "late_share"), knobs.silence(shop, partition=2)
    share.control.value = 0.25
    wait_for_words(share, r"In force: 25%, acknowledged after [\d,.]+ ms\.")
    silence.control.value = True
    wait_for_words(silence, r"In force: silent, acknowledged after [\d,.]+ ms\.")
    assert (in_force(shop).late_share, in_force(shop).silent_partitions) == (0.25, (2,))
    shop.set(silent_partitions=[], late_share=0.1)
    wait_for_words(share, r"In force: 10%\.")
    wait_for_words(silence, r"In force: sending\.")


def test_knobs_of_a_producer_that_has_ended_say_so(shop: Producer) -> None:
    rate, share = knobs.rate(shop), knobs.share(shop, "late_share")
    shop.stop()
    for knob in (rate, share):
        wait_for_words(knob, r"Cannot be turned: its producer has ended: run the cell that starts one, .*")
        assert knob.control.disabled


def test_a_parameter_is_acknowledged_by_its_job_follows_it_and_ends_with_it(course: Settings) -> None:
    """Fails without the read of what the job's subtasks have acknowledged."""
    for name in ("processed-events", "acknowledgements"):
        topics.create(name, append_time=True, settings=course)
    topics.create("control", compacted=True, settings=course)
    job = jobs.submit(JOB, settings=course)
    duration = knobs.parameter(JOB, "minimum_duration", most=60, unit="s", settings=course)
    duration.control.value = 3
    wait_for_words(duration, r"In force: 3 s, acknowledged after [\d,.]+ ms\.")
    assert controls.get(JOB, settings=course)["minimum_duration"] == 3
    controls.set(JOB, minimum_duration=7, settings=course)
    wait_for_words(duration, r"In force: 7 s\.")
    assert duration.control.value == 7
    job.cancel()
    wait_for_words(duration, rf"Cannot be turned: Job {JOB} does not run any more: it is CANCELED.*")
    assert duration.control.disabled


@pytest.mark.alone
def test_a_service_is_killed_and_started_by_its_switch_which_follows_it(course: Settings) -> None:
    """Fails without the question to supervisor whether the service runs."""
    runs_now = knobs.service(TASKMANAGER, settings=course)
    runs_now.control.value = False
    wait_for_words(runs_now, r"In force: killed, acknowledged after [\d,.]+ ms\.")
    assert services.status(TASKMANAGER, settings=course).state == "stopped"
    runs_now.control.value = True
    wait_for_words(runs_now, r"In force: running, acknowledged after [\d,.]+ ms\.", seconds=90)
    assert services.status(TASKMANAGER, settings=course).healthy
    services.kill(TASKMANAGER, settings=course)
    wait_for_words(runs_now, r"In force: killed\.")
    services.start(TASKMANAGER, settings=course)
    wait_for_words(runs_now, r"In force: running\.")
