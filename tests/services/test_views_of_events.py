"""What the views of events, services and the pipeline say before and after a fault."""

from collections.abc import Iterator

import pytest

from kernel_lib import jobs, live, producer, services, topics
from kernel_lib.plots import EventRate, Latency, Pipeline, ServicesBoard, Windows, WorldMap, refresher
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until
from tests.services.saying import says

TOPICS = ("user-events", "transactions", "iot-sensors", "system-metrics", "metrics", "processed-events")


@pytest.fixture
def shop(settings: Settings) -> Iterator[Producer]:
    """A producer of 60 user events a second; the views end before the topics go that they look at."""
    for name in TOPICS:
        topics.create(name, append_time=name == "processed-events", settings=settings)
    with producer.start("user-events", events_per_second=60, settings=settings) as started:
        yield started
    refresher.stop()


def tail(topic: str, settings: Settings) -> live.TopicTail:
    return live.TopicTail(topic, settings=settings)


def test_without_a_producer_no_window_closes_and_no_rate_is_shown(shop: Producer, settings: Settings) -> None:
    """Fails when the last windows are drawn as live for ever."""
    jobs.submit("count_events", passed="", settings=settings).wait_running()
    view = EventRate(tail("metrics", settings))
    says(view, r"^\d+ events/s: page_view \d+, .*\. The newest window closed [\d.]+ s ago \(event time\)\.$")
    shop.stop()
    says(view, r"^No data since .* because no window closes: a producer must send and the job must run\.$")
    assert "no data" in view.widget.children[0].value


def test_late_events_come_after_their_windows_have_closed(shop: Producer, settings: Settings) -> None:
    """Fails when the job waits for them (a bound of 20 s), or when they count as in time."""
    job = jobs.submit("count_events", passed="", settings=settings).wait_running()
    view = Windows(tail("user-events", settings), tail("metrics", settings), job, window_seconds=1)
    says(
        view, r"\d+ events counted\. Of the closed windows shown, 0 events are in no count\. \d+ windows? still open\.$"
    )
    shop.set(late_share=0.2, late_ms=5000)
    says(view, r"\d+ events counted\. Of the closed windows shown, \d\d+ events are in no count\.")
    assert view.source.data["uncounted"].sum() > 0


def test_a_hot_key_makes_one_city_of_the_world(shop: Producer, settings: Settings) -> None:
    """Fails when a place is drawn from the stream anew for each event of a user."""
    view = WorldMap(tail("user-events", settings))
    says(view, r"events in the last 30 s from [3-9]\d cities; most near [A-Z][^(]* \((\d|1\d)%\), ")
    shop.set(hot_share=0.95)
    says(view, r"most near [A-Z][^(]* \([6-9]\d%\), ")


def test_the_box_of_a_cancelled_job_goes_from_the_pipeline(shop: Producer, settings: Settings) -> None:
    """Fails when the boxes are those of all jobs that have ever run."""
    job = jobs.submit("count_events", passed="", settings=settings).wait_running()
    view = Pipeline(settings=settings)
    says(view, r"producers → user-events (5|6)\d/s; .*user-events → count_events (4|5|6)\d/s; count_events → metrics")
    assert "job count_events" in view.source.data["key"]
    job.cancel()
    wait_until(lambda: "job count_events" not in view.source.data["key"], 30, "the box to go")
    says(view, r"^producers → user-events (5|6)\d/s; .*system-metrics [\d.]+/s\.$")
    assert view.quiet_because == "no job is running"


@pytest.mark.alone
def test_a_killed_service_is_named_with_its_remedy(settings: Settings) -> None:
    """Fails when the board takes what was killed for what was never started."""
    name = "flink-taskmanager-2"
    view = ServicesBoard()
    well = says(view, r"^(\d+) of \1 services are healthy\.").group(1)
    view._rows[name].buttons["kill"].click()
    try:
        found = says(view, rf"^(\d+) of {well} services are healthy\. {name} is stopped: was stopped or killed \(try: ")
        assert int(found.group(1)) == int(well) - 1
    finally:
        wait_until(lambda: not view._rows[name].buttons["start"].disabled, 20, "the button")
        view._rows[name].buttons["start"].click()
    says(view, rf"^{well} of {well} services are healthy\.", 90)
    refresher.stop()


@pytest.mark.alone
@pytest.mark.timeout(300)  # a broker is away
def test_a_paused_broker_makes_the_slowest_of_a_hundred_wait(shop: Producer, settings: Settings) -> None:
    """Fails when latency is measured from when the event reached Kafka: what waits for a broker has not."""
    jobs.submit("relay", guarantee="at-least-once", settings=settings).wait_running()
    view = Latency(tail("processed-events", settings))
    says(view, r"^Half of the \d+ results of the last 10 s took at most \d+ ms, .* 99 % \d{1,3} ms \(append clock\)\.$")
    services.pause("kafka-3", settings=settings)
    try:
        says(view, r"99 % ([2-9]|\d\d),\d{3} ms \(append clock\)\.", 90)
    finally:
        services.resume("kafka-3", settings=settings)
    services.wait_healthy("kafka-3", settings=settings)
