"""What the views of Kafka say before, during and after a fault."""

import re
from collections.abc import Iterator

import pytest

from kernel_lib import jobs, producer, services, topics
from kernel_lib.errors import CourseError
from kernel_lib.plots import ConsumerLag, KafkaCluster, View, refresher
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

WELL = "3 of 3 brokers are up; all 18 replicas of user-events are in sync"


@pytest.fixture(autouse=True)
def closed_views(settings: Settings) -> Iterator[None]:
    """Ends the views before the topics go that they look at."""
    yield
    refresher.stop()


def says(view: View, words: str, timeout_seconds: float = 45) -> None:
    wait_until(lambda: re.search(words, view.text), timeout_seconds, f"the view to say {words!r}, not {view.text!r}")


def states(view: KafkaCluster, broker: int) -> set[str]:
    cells = zip(view.source.data["broker"], view.source.data["state"], strict=True)
    return {state for number, state in cells if number == broker}


@pytest.mark.alone
@pytest.mark.timeout(300)  # a broker dies and comes back
def test_a_killed_broker_is_missed_its_leaderships_move_and_it_catches_up(settings: Settings) -> None:
    """Fails when a broker that is away is dropped from the picture, or its last leaderships are taken for living."""
    topics.create("user-events", settings=settings)
    topics.create("strict", partitions=2, config={"min.insync.replicas": "3"}, settings=settings)
    view = KafkaCluster("user-events", "strict", settings=settings)
    says(view, f"^{WELL}; all 6 replicas of strict are in sync; leaders: ")
    services.kill("kafka-2", settings=settings)
    try:
        says(view, "^Broker 2 is away; 6 of 6 partitions of user-events have 2 of 3 replicas in sync, writes go on")
        says(view, "2 of 2 partitions of strict have 2 of 3 replicas in sync, writes are refused .3 are needed.")
        says(view, r"leaders: broker 1: [\d]+, broker 3: [\d]+[ .]")
        wait_until(lambda: view.source.data["state"].count("leads") == 8, 30, "eight leaders")
        assert states(view, 2) == {"out of sync"}
        assert any("← 2" in sign for sign in view.source.data["sign"])
        topics.write("user-events", b"{}", settings=settings)
        with pytest.raises(CourseError):
            topics.write("strict", b"{}", settings=settings)
    finally:
        services.start("kafka-2", settings=settings)
    says(view, f"^{WELL}; all 6 replicas of strict are in sync", 60)
    assert states(view, 2) <= {"leads", "follows in sync"}


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_a_paused_broker_is_missed_although_its_port_answers(settings: Settings) -> None:
    topics.create("user-events", settings=settings)
    view = KafkaCluster(settings=settings)
    says(view, WELL)
    services.pause("kafka-3", settings=settings)
    try:
        says(view, "^Broker 3 is away; 6 of 6 partitions of user-events have 2 of 3 replicas in sync", 60)
    finally:
        services.resume("kafka-3", settings=settings)
    says(view, WELL, 60)


def test_a_topic_that_is_not_there_is_named_and_found_when_it_comes(settings: Settings) -> None:
    view = KafkaCluster("user-events", settings=settings)
    says(view, "No data yet because There is no topic")
    assert view.quiet_because
    topics.create("user-events", settings=settings)
    says(view, WELL)
    assert view.quiet_because == ""


def test_a_cluster_that_is_down_is_named(settings: Settings, unused_port: int) -> None:
    away = settings.model_copy(update={"kafka_bootstrap_servers": f"127.0.0.1:{unused_port}"})
    views: list[View] = [KafkaCluster(settings=away), ConsumerLag(settings=away)]
    for view in views:
        says(view, f"No data yet because Kafka at 127.0.0.1:{unused_port} does not answer")
        assert view.quiet_because


@pytest.mark.timeout(300)  # a job starts twice
def test_the_lag_grows_while_the_job_is_away_and_falls_when_it_is_back(settings: Settings) -> None:
    """Fails when growth is told by the ends alone, or when a sawtooth of commits is taken for a trend."""
    for name in ("user-events", "metrics", "processed-events"):
        topics.create(name, settings=settings)
    view = ConsumerLag(("count_events", "user-events"), settings=settings)
    says(view, "committed (nothing on|all of) user-events")
    with producer.start("user-events", events_per_second=200, settings=settings):
        job = jobs.submit("count_events", settings=settings).wait_running()
        says(
            view,
            r"^count_events keeps up with user-events: [\d,]+ records? behind, the most recent [\d.]+ s' worth",
            60,
        )
        job.cancel()
        says(view, r"records behind on user-events, growing by (1\d\d|2\d\d)/s \(.*\): never clear at this pace\.$", 60)
        assert view.labels.data["text"][0].startswith("count_events ")
        jobs.submit("count_events", start="committed", settings=settings).wait_running()
        says(view, r"falling by [\d,.]+/s \(.*\): clear in \d+ s\.$|keeps up", 60)
        says(view, "keeps up with user-events", 60)
