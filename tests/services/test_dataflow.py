from collections.abc import Iterator

import pytest

from kernel_lib import dataflow, jobs, pipeline, topics, window_counts
from kernel_lib import producer as producers
from kernel_lib.errors import NoFreeSlots
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until
from tests.services.killing import killed


@pytest.fixture
def running(settings: Settings) -> Iterator[Settings]:
    pipeline.start(events_per_second=100, settings=settings)
    yield settings
    producers.stop_all()


def alerts(settings: Settings) -> int:
    return len(topics.read("alerts", settings=settings))


@pytest.mark.alone  # it leaves two slots
@pytest.mark.timeout(400)  # six jobs start, are drained and end
def test_the_pipeline_carries_what_is_sent_and_stops_with_every_event_counted(running: Settings) -> None:
    read = dataflow.PipelineReader(running)
    shop = next(each for each in producers.running() if each.topic == "user-events")

    def flows() -> bool:
        rates = {(edge.source, edge.target): edge.per_second or 0 for edge in read().edges}
        letters = [rates.get((f"topic {topic}", "job dead_letters"), 0) for topic in pipeline.STREAMS]
        produced = rates[("producers", "topic user-events")]
        counted = rates.get(("job count_events", "topic processed-events"), 0)
        return produced > 50 and counted > 50 and all(letters)

    wait_until(flows, 60, "records on every arrow", interval_seconds=1)
    wait_until(lambda: alerts(running) > 3, 60, "frauds and anomalies to be found")
    assert pipeline.stop(settings=running).endswith("events; 6 jobs were drained")
    book = window_counts.compared(shop, drained=True, settings=running)
    assert book.equal, book.text


@pytest.mark.alone
@pytest.mark.timeout(300)  # both TaskManagers die and come back
def test_a_job_without_slots_keeps_its_arrows_and_says_what_it_waits_for(settings: Settings) -> None:
    """Fails most times when what Flink tells then is drawn: tasks without edges, as if each read topics."""
    topics.create_all(settings=settings)
    job = jobs.submit("count_events", settings=settings).wait_running()
    read, of_all = dataflow.JobReader(job), dataflow.PipelineReader(settings)
    arrows = {(edge.source, edge.target) for edge in read().edges}
    assert not of_all().reason
    with killed("flink-taskmanager-1", settings), killed("flink-taskmanager-2", settings):
        wait_until(lambda: "waits for slots" in read().reason, 30, "the job to lose its slots")
        assert {(edge.source, edge.target) for edge in read().edges} == arrows
        assert "job count_events is CREATED: it waits for slots" in of_all().reason
        with pytest.raises(NoFreeSlots, match="flink-taskmanager-1 is down") as refusal:
            jobs.submit("relay", settings=settings)
        with pytest.raises(NoFreeSlots, match="The pipeline needs 5 free slots"):  # it has count_events
            pipeline.start(settings=settings)
        assert [each.name for each in jobs.running(settings=settings)] == ["count_events"]
        assert 'services.start("flink-taskmanager-2")' in refusal.value.remedy
    job.wait_running()
    wait_until(lambda: not read().reason, 30, "the reason to be gone")
