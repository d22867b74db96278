import pytest

from kernel_lib import cluster, task_metrics
from kernel_lib.job import Graph, Job, Vertex
from kernel_lib.settings import Settings
from kernel_lib.task_metrics import BACKPRESSURED, BUSY, IDLE, NO_WATERMARK, Reading, Shares

GRAPH = Graph(
    (Vertex("a", "Source: events", 2, "RUNNING", 120), Vertex("b", "count", 2, "RUNNING", 120)), (("a", "b"),)
)


def reading(*subtasks: dict[str, float], vertex: str = "b") -> Reading:
    return Reading(0.0, "RUNNING", GRAPH, {vertex: dict(enumerate(subtasks))})


def spent(busy: float, backpressured: float, idle: float) -> dict[str, float]:
    return {BUSY: busy, BACKPRESSURED: backpressured, IDLE: idle}


def test_answers_of_flink_are_sorted_by_subtask_and_what_is_no_number_is_left_out() -> None:
    answer = [
        {"id": "0.numRecordsIn", "value": "12"},
        {"id": "1.Source__x.split.t-1.watermark.currentWatermark", "value": "7"},
        {"id": "1.busy", "value": "NaN"},
        {"id": "1.gone"},
    ]
    assert task_metrics.by_subtask(answer) == {
        0: {"numRecordsIn": 12.0},
        1: {"Source__x.split.t-1.watermark.currentWatermark": 7.0},
    }


def test_a_total_is_the_sum_of_the_subtasks_and_none_if_nothing_is_reported() -> None:
    found = reading({"numRecordsIn": 3}, {"numRecordsIn": 4})
    assert found.total("b", "numRecordsIn") == 7
    assert found.total("a", "numRecordsIn") is None


def test_the_watermark_is_that_of_the_slowest_subtask() -> None:
    assert reading({"currentInputWatermark": 500}, {"currentInputWatermark": 400}).watermark_ms == 400


def test_the_watermark_is_what_the_source_gives_not_what_later_tasks_have_heard_of_it() -> None:
    graph = Graph((*GRAPH.vertices, Vertex("c", "sink", 1, "RUNNING", 120)), (*GRAPH.edges, ("b", "c")))
    values = {"b": {0: {"currentInputWatermark": 500.0}}, "c": {0: {"currentInputWatermark": 400.0}}}
    assert Reading(0.0, "RUNNING", graph, values).watermark_ms == 500


@pytest.mark.parametrize("other", [NO_WATERMARK, 500])
def test_before_every_subtask_has_a_watermark_there_is_none(other: int) -> None:
    found = reading({"currentInputWatermark": NO_WATERMARK}, {"currentInputWatermark": other})
    assert found.watermark_ms is None


def test_watermarks_of_partitions_are_read_from_the_splits_of_the_source() -> None:
    name = "Source__x.split.t-91_user-events-{}.watermark.currentWatermark"
    found = reading({name.format(0): 100, name.format(12): NO_WATERMARK}, {name.format(3): 300}, vertex="a")
    assert found.partition_watermarks_ms == {0: 100, 3: 300}
    assert task_metrics.is_wanted(name.format(0))


def test_offsets_of_a_source_are_read_by_topic_and_partition() -> None:
    name = "Source__x.KafkaSourceReader.topic.t-91_user-events.partition.{}.currentOffset"
    found = reading({name.format(0): 41, name.format(2): -1}, {name.format(1): 7}, vertex="a")
    assert found.offsets("a") == {("t-91_user-events", 0): 41, ("t-91_user-events", 1): 7, ("t-91_user-events", 2): -1}
    assert task_metrics.is_wanted(name.format(0))


def test_shares_are_of_the_time_between_two_readings_whatever_its_length() -> None:
    before, now = reading(spent(100, 0, 900)), reading(spent(150, 25, 925))
    assert task_metrics.shares(before, now) == {"b": Shares(0.5, 0.25, 0.5)}
    assert task_metrics.shares(before, now)["b"].idle == 0.25


def test_of_several_subtasks_the_mean_and_the_busiest_are_told() -> None:
    before = reading(spent(0, 0, 0), spent(0, 0, 0))
    assert task_metrics.shares(before, reading(spent(100, 0, 0), spent(0, 0, 100))) == {"b": Shares(0.5, 0, 1.0)}


def test_a_task_that_was_restarted_has_no_shares() -> None:
    assert task_metrics.shares(reading(spent(500, 0, 500)), reading(spent(10, 0, 5))) == {}


def test_a_task_that_nothing_is_known_of_has_no_shares() -> None:
    assert task_metrics.shares(reading({}), reading(spent(1, 1, 1))) == {}


def test_of_a_job_that_waits_for_slots_flink_tells_no_edges_and_those_from_before_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [GRAPH, Graph(GRAPH.vertices[::-1], ()), Graph(GRAPH.vertices[:1], ())]
    monkeypatch.setattr(Job, "graph", lambda _: answers.pop(0))
    monkeypatch.setattr(Job, "state", lambda _: "CREATED")
    monkeypatch.setattr(cluster, "get", lambda *_, **__: [])
    monkeypatch.setattr(task_metrics, "READ_AGAIN_SECONDS", 0)
    nobody = Settings(kafka_bootstrap_servers="", flink_jobmanager_url="", elasticsearch_url="")
    read = task_metrics.Reader(Job("id", "own", nobody))
    assert [read().graph.edges for _ in range(3)] == [GRAPH.edges, GRAPH.edges, ()]
