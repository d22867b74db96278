"""What the views of a job's own reports say before and after a fault."""

from collections.abc import Iterator

import pytest

from kernel_lib import controls, jobs, live, producer, reference, topics
from kernel_lib.plots import Anomalies, KeyGroups, PatternStages, refresher
from kernel_lib.settings import Settings
from tests.services.saying import says


@pytest.fixture
def course(settings: Settings) -> Iterator[Settings]:
    """The topics; the views end before they go."""
    for name in ("user-events", "transactions", "iot-sensors"):
        topics.create(name, partitions=2, settings=settings)
    for name in ("metrics", "alerts", "processed-events", "acknowledgements"):
        topics.create(name, partitions=2, append_time=True, settings=settings)
    for name in ("control", "users", "merchants"):
        topics.create(name, partitions=2, compacted=True, settings=settings)
    yield settings
    refresher.stop()
    live.stop_all()
    producer.stop_all()


def test_a_rescaled_job_shows_as_key_groups_that_have_moved(course: Settings) -> None:
    """Fails when a group's earlier report outlives a later one, or one from another subtask is no move; when a
    TaskManager is named that does not run the job."""
    job = jobs.submit("count_users", ttl_seconds=5.0, settings=course)
    producer.start("user-events", events_per_second=100, keys=200, settings=course)
    view = KeyGroups(live.TopicTail("metrics", settings=course), job)
    found = says(
        view,
        r"^\d+ keys in \d+ key groups: \d+ in subtask 0 on (flink-taskmanager-\d) \(groups \d+ to 1\d\d\)\. "
        r"(flink-taskmanager-\d) holds \d+ key groups\. Created \d+, expired [1-9]\d*\.$",
    )
    assert [found.group(1)] == [found.group(2)] == job.taskmanagers()
    job.rescale(2)
    where = r"on flink-taskmanager-\d \(groups (\d+) to (\d+)\)"
    found = says(view, rf"\d+ in subtask 0 {where}, \d+ in subtask 1 {where}\. flink-taskmanager-\d holds \d+ key")
    first, last, other, end = map(int, found.groups())
    assert first <= last < 60 <= other <= end
    says(view, r"[1-9]\d* groups? moved at ")


def test_planted_anomalies_show_as_flags_and_alerts(course: Settings) -> None:
    """Fails when alerts on users count too, or the band is not that of the reading."""
    jobs.submit("detect_anomalies", missing_seconds=600.0, settings=course)
    home = producer.start("iot-sensors", events_per_second=100, keys=10, settings=course)
    tails = (live.TopicTail(name, settings=course) for name in ("metrics", "alerts"))
    view = Anomalies(*tails)
    says(view, r"^sensor-\d+: [\d.]+ .*, usual is [\d.]+ to [\d.]+\. No alert on any sensor in the last 60 s\.$")
    home.set(anomaly_share=0.1)
    says(view, r"; flagged: .* at .* UTC\. [1-9]\d* alerts? on [1-9]\d* sensors? in the last 60 s: ")
    controls.set("detect_anomalies", spike_z=0.5, settings=course)
    says(view, r"spike [1-9]\d+")


def test_planted_frauds_show_as_attempts_that_are_matched(course: Settings) -> None:
    """Fails when an attempt that has ended is still under way."""
    reference.publish(users=0, settings=course)
    jobs.submit("trace_fraud", settings=course)
    bank = producer.start("transactions", events_per_second=100, keys=200, settings=course)
    view = PatternStages(live.TopicTail("metrics", settings=course))
    says(view, r"^\d+ attempts? under way\. In the last 60 s: [\d,]+ (broken|timed out)")
    bank.set(fraud_share=0.2)
    says(view, r"In the last 60 s: [1-9]\d* matched, .* The last match: .* by user-\d+, \d stages\.$")
    assert {"matched", "under way"} & set(view.outcomes.data["text"])
