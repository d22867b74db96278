"""What the views of flow, readers, recovery and machine say before and after a fault."""

from collections.abc import Iterator

import pytest

from kernel_lib import jobs, live, producer, services, topics
from kernel_lib.plots import (
    ErrorRate,
    EventCounters,
    RecordTape,
    Recovery,
    Resources,
    Throughput,
    Trends,
    refresher,
)
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until
from tests.services.killing import killed
from tests.services.saying import says


@pytest.fixture
def shop(settings: Settings) -> Iterator[Producer]:
    """A producer of 60 user events a second; the views end before the topics go that they look at."""
    for name in ("user-events", "metrics", "processed-events"):
        topics.create(name, append_time=name == "processed-events", settings=settings)
    with producer.start("user-events", events_per_second=60, settings=settings) as started:
        yield started
    refresher.stop()
    live.stop_all()


def test_a_stopped_producer_shows_as_nothing_that_moves(shop: Producer, settings: Settings) -> None:
    """Fails when a rate is taken over the whole run, or when a row that stands still goes away."""
    view = Throughput("user-events", "metrics", settings=settings)
    says(view, r"user-events (5|6)\d \(\d+\); metrics 0 \(0\)\.$")
    shop.stop()
    says(view, r"^Nothing has moved since .*; before, at most \d+ in user-events, records/s\.$")
    assert view.source.data["name"].count("metrics") > 2


def test_the_steps_of_a_job_have_their_rates(shop: Producer, settings: Settings) -> None:
    job = jobs.submit("count_events", settings=settings).wait_running()
    view = Throughput("user-events", job=job, settings=settings)
    says(view, r"user-events (5|6)\d .*; read user-events → \w.* (4|5|6)\d")


def test_records_that_are_no_events_are_counted_apart(shop: Producer, settings: Settings) -> None:
    """Fails when a malformed record counts as an event of no type, or not at all."""
    view = EventCounters(live.TopicTail("user-events", settings=settings), value="duration", unit="s")
    says(view, r"events of the last 60 s by eventType: page_view \d+ \(\d+%\)[^;]*\.$")
    shop.set(malformed_share=0.5)
    says(view, r"by eventType: page_view .*; \d+ records were no events\.$")
    wanted = "eventType = purchase"
    wait_until(lambda: wanted in [value for _, value in view.only.options], 30, "a purchase")
    view.only.value = wanted
    view.by.value = "page"
    says(view, r"^\d+ events with eventType = purchase of the last 60 s by page: /checkout \d+ \(100%\);")
    view.what.value = "mean"
    says(view, r"^Mean of duration of \d+ events? with .*: [\d.]+ s\. By page: /checkout [\d.]+ s \(\d+ events?\);")


def test_malformed_records_raise_the_error_rate(shop: Producer, settings: Settings) -> None:
    """Fails when dead letters are counted by what was sent, or when the share is of all that ever was."""
    for name in ("transactions", "iot-sensors", "system-metrics", "dead-letters"):
        topics.create(name, append_time=name == "dead-letters", settings=settings)
    jobs.submit("dead_letters", settings=settings).wait_running()
    view = ErrorRate(shop, live.TopicTail("dead-letters", settings=settings))
    says(view, r"^0\.0 errors/s, 0\.0% of (5|6)\d events/s sent\.$")
    shop.set(malformed_share=0.5)
    says(
        view, r"^[\d.]+ errors/s, [3-6]\d\.\d% of (5|6)\d events/s sent: .* 0\.0 sends refused/s\. .*\(user-events\)\.$"
    )
    shop.set(malformed_share=0.0)
    says(view, r"^0\.0 errors/s, 0\.0% of")


def test_a_device_that_breaks_down_ends_its_line(settings: Settings) -> None:
    """Fails when the values of other devices keep the line alive."""
    topics.create("iot-sensors", settings=settings)
    with producer.start("iot-sensors", events_per_second=50, keys=5, settings=settings) as sensors:
        view = Trends(live.TopicTail("iot-sensors", settings=settings), by="sensorId")
        says(view, r"^sensor-0000: [\d.]+ %, from [\d.]+ to [\d.]+ in the last 30 s\.$")
        sensors.set(silent_keys=("sensor-0000",))
        says(view, r"^No data since .* because no value of sensor-0000 comes\.$")
        view.which.value = "sensor-0001"
        says(view, r"^sensor-0001: [\d.]+ W, from")
    refresher.stop()
    live.stop_all()


def test_the_head_of_a_reader_that_stops_stays_behind(shop: Producer, settings: Settings) -> None:
    """Fails when the head is taken from the end of the partition, or from another partition."""
    job = jobs.submit("count_events", settings=settings).wait_running()
    view = RecordTape(live.TopicTail("user-events", settings=settings), partition=1, groups=["count_events"])
    says(view, r"^Partition 1 of user-events ends before offset [\d,]+\. count_events reads [\d,]+ next")
    wait_until(lambda: view.source.data["alpha"].count(0.85) == 20, 30, "a tape without empty places")
    job.cancel()
    # More than ever waits between two commits: ten a second come into the partition.
    stopped = says(view, r"count_events reads ([\d,]+) next, 1[0-4]\d behind")
    later = says(view, r"count_events reads ([\d,]+) next, 1[5-9]\d behind")
    assert later.group(1) == stopped.group(1)
    assert view.heads.data["text"][0].startswith("◀ count_events reads")


@pytest.mark.alone
@pytest.mark.timeout(300)  # a TaskManager dies and comes back
def test_a_killed_taskmanager_shows_as_a_gap_that_is_caught_up(shop: Producer, settings: Settings) -> None:
    """Fails when the gap begins where Flink noticed the failure, or when results that waited count as fresh."""
    job = jobs.submit("relay", restart_attempts=100, settings=settings).wait_running()
    view = Recovery(live.TopicTail("processed-events", settings=settings), job)
    says(view, r"^(5|6)\d results/s; the job has not failed")
    with killed(job.taskmanagers()[0], settings):
        says(view, r"Failure at .* \(.+\): no result ")
    found = says(view, r"no result for ([\d.]+) s; results were as fresh as before after ([\d.]+) s", 120)
    gap, caught_up = map(float, found.groups())
    assert 1 < gap <= caught_up
    assert view.gaps.data["reason"][0]


@pytest.mark.alone
def test_a_paused_service_is_said_to_be_frozen(settings: Settings) -> None:
    """Fails when the figures of a frozen process are drawn as those of an idle one."""
    view = Resources(settings=settings)
    says(view, r"^All together use [1-9]\d*% of a core and [1-9][\d.]* GB\. Most processor: ")
    services.pause("flink-taskmanager-2", settings=settings)
    try:
        says(view, r"^flink-taskmanager-2 is frozen\.")
    finally:
        services.resume("flink-taskmanager-2", settings=settings)
    services.wait_healthy("flink-taskmanager-2", settings=settings)
    says(view, "^All together use")
    refresher.stop()
