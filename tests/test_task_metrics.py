from typing import Any

import pytest

from kernel_lib import cluster, flink_reader, task_metrics
from kernel_lib.job import Job
from kernel_lib.job_graph import Graph, Vertex
from kernel_lib.settings import Settings
from kernel_lib.task_metrics import INPUT_WATERMARK, NO_WATERMARK, Counted, Reading, Shares, Spent

GRAPH = Graph(
    (Vertex("a", "Source: events", 2, "RUNNING", 120), Vertex("b", "count", 2, "RUNNING", 120)), (("a", "b"),)
)
NOBODY = Settings(kafka_bootstrap_servers="", flink_jobmanager_url="http://127.0.0.1:1", elasticsearch_url="")


def reading(*subtasks: Spent, graph: Graph = GRAPH, **finer: dict[str, float]) -> Reading:
    return Reading(0.0, "RUNNING", graph, spent={"b": dict(enumerate(subtasks))}, finer=finer)


def vertex(key: str, parallelism: int = 1, *, complete: bool = True, status: str = "RUNNING") -> dict[str, Any]:
    """A task as GET /jobs/:id tells it: 12 records read, 34 written, 1 s busy, 2 s held back, 7 s idle."""
    times = {"accumulated-busy-time": 1000, "accumulated-backpressured-time": 2000, "accumulated-idle-time": 7000.0}
    records = {"read-records": 12, "write-records": 34}
    records |= {f"{name}-complete": complete for name in records}
    facts = {"id": key, "name": key, "parallelism": parallelism, "maxParallelism": 120, "status": status}
    return facts | {"metrics": records | times}


def details(*vertices: dict[str, Any], state: str = "RUNNING", edges: tuple[tuple[str, str], ...] = ()) -> Any:
    nodes = [{"id": each["id"], "inputs": [{"id": a} for a, b in edges if b == each["id"]]} for each in vertices]
    return {"state": state, "vertices": list(vertices), "plan": {"nodes": nodes}}


class Flink:
    """Answers by path, in place of a cluster, and notes what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> None:
        self.answers, self.asked = answers, list[str]()
        monkeypatch.setattr(cluster, "get", self.get)
        monkeypatch.setattr(flink_reader, "_readers", {})
        monkeypatch.setattr(flink_reader, "READING_SECONDS", 0.0)

    def get(self, settings: Settings, path: str, **query: str) -> Any:
        self.asked.append(path)
        found = self.answers.get(path, [])
        return found.pop(0) if path == "/jobs/1" and isinstance(found, list) else found


def test_one_question_tells_the_records_and_the_time_of_every_task(monkeypatch: pytest.MonkeyPatch) -> None:
    flink = Flink(monkeypatch, {"/jobs/1": details(vertex("a"), vertex("b", 2), edges=(("a", "b"),))})
    found = task_metrics.Reader(Job("1", "own", NOBODY))()
    assert found.counted == {"a": Counted(12, 34), "b": Counted(12, 34)}
    assert found.spent["b"] == {0: Spent(1000, 2000, 7000)}
    assert flink.asked == ["/jobmanager/metrics", "/jobs/1"]


def test_what_not_every_subtask_has_told_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    Flink(monkeypatch, {"/jobs/1": details(vertex("a", complete=False))})
    assert task_metrics.Reader(Job("1", "own", NOBODY))().counted == {"a": Counted(None, None)}


def test_each_subtask_is_asked_for_only_where_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{n}.{name}" for n in (0, 1) for name in task_metrics._TIMES]
    path = f"/jobs/1/vertices/b/metrics?get={','.join(names)}"
    values = [{"id": name, "value": str(number)} for number, name in enumerate(names)]
    flink = Flink(monkeypatch, {"/jobs/1": details(vertex("a"), vertex("b", 2)), path: values})
    found = task_metrics.Reader(Job("1", "own", NOBODY), each_subtask=True)()
    assert found.spent == {"a": {0: Spent(1000, 2000, 7000)}, "b": {0: Spent(0, 1, 2), 1: Spent(3, 4, 5)}}
    assert flink.asked == ["/jobmanager/metrics", "/jobs/1", path]


def test_finer_metrics_are_asked_of_the_tasks_that_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, names = "/jobs/1/vertices/a/subtasks/metrics", "/jobs/1/vertices/b/subtasks/metrics", ["0", "12"]
    splits = [f"Source__x.split.t-91_user-events-{n}.watermark.currentWatermark" for n in names]
    flink = Flink(
        monkeypatch,
        {
            "/jobs/1": details(vertex("a"), vertex("b"), vertex("c"), edges=(("a", "b"), ("b", "c"))),
            f"{b}?get={INPUT_WATERMARK}&agg=min": [{"id": INPUT_WATERMARK, "min": 500.0}],
            a: [{"id": name} for name in (*splits, "numRecordsIn")],
            f"{a}?get={','.join(splits)}&agg=max": [{"id": splits[0], "max": 700.0}, {"id": splits[1]}],
        },
    )
    wanted = (task_metrics.WATERMARKS, task_metrics.PARTITION_WATERMARKS)
    read = task_metrics.Reader(Job("1", "own", NOBODY), *wanted)
    found = read()
    assert (found.watermark_ms, found.partition_watermarks_ms) == (500, {0: 700})
    assert len(flink.asked) == 5
    monkeypatch.setattr(flink_reader, "FRESH_SECONDS", -1.0)
    read()
    assert flink.asked.count(a) == 1, "the names of metrics change rarely"


def test_the_watermark_is_what_the_source_gives_not_what_later_tasks_have_heard_of_it() -> None:
    graph = Graph((*GRAPH.vertices, Vertex("c", "sink", 1, "RUNNING", 120)), (*GRAPH.edges, ("b", "c")))
    assert reading(graph=graph, b={INPUT_WATERMARK: 500.0}, c={INPUT_WATERMARK: 400.0}).watermark_ms == 500


def test_the_watermark_of_several_sources_is_the_least_and_parameters_have_none() -> None:
    control = Vertex("p", task_metrics.CONTROL_SOURCE, 1, "RUNNING", 120)
    graph = Graph((*GRAPH.vertices, control, Vertex("c", "apply", 1, "RUNNING", 120)), (("a", "b"), ("a", "c")))
    assert reading(graph=graph, b={INPUT_WATERMARK: 500.0}, c={INPUT_WATERMARK: 400.0}).watermark_ms == 400


@pytest.mark.parametrize("least", [{INPUT_WATERMARK: float(NO_WATERMARK)}, {}])
def test_before_every_subtask_has_a_watermark_there_is_none(least: dict[str, float]) -> None:
    assert reading(b=least).watermark_ms is None


def test_watermarks_of_partitions_are_read_from_the_splits_of_the_source() -> None:
    name = "Source__x.split.t-91_user-events-{}.watermark.currentWatermark"
    found = reading(a={name.format(0): 100, name.format(12): float(NO_WATERMARK), name.format(3): 300})
    assert found.partition_watermarks_ms == {0: 100, 3: 300}


def test_offsets_of_a_source_are_read_by_topic_and_partition() -> None:
    name = "Source__x.KafkaSourceReader.topic.t-91_user-events.partition.{}.currentOffset"
    found = reading(a={name.format(0): 41, name.format(2): -1, name.format(1): 7})
    assert found.offsets("a") == {("t-91_user-events", 0): 41, ("t-91_user-events", 1): 7, ("t-91_user-events", 2): -1}


def test_what_is_no_number_is_left_out() -> None:
    assert task_metrics.numbers([{"id": "x", "max": 7}, {"id": "y", "max": "NaN"}, {"id": "z"}], "max") == {"x": 7.0}


def test_shares_are_of_the_time_between_two_readings_whatever_its_length() -> None:
    before, now = reading(Spent(100, 0, 900)), reading(Spent(150, 25, 925))
    assert task_metrics.shares(before, now) == {"b": Shares(0.5, 0.25, 0.5)}
    assert task_metrics.shares(before, now)["b"].idle == 0.25


def test_of_several_subtasks_the_mean_and_the_busiest_are_told() -> None:
    before, now = reading(Spent(0, 0, 0), Spent(0, 0, 0)), reading(Spent(100, 0, 0), Spent(0, 0, 100))
    assert task_metrics.shares(before, now) == {"b": Shares(0.5, 0, 1.0)}


def test_a_task_that_was_restarted_has_no_shares() -> None:
    assert task_metrics.shares(reading(Spent(500, 0, 500)), reading(Spent(10, 0, 5))) == {}


def test_a_task_that_nothing_is_known_of_has_no_shares() -> None:
    assert task_metrics.shares(reading(), reading(Spent(1, 1, 1))) == {}


def test_of_a_job_that_waits_for_slots_flink_tells_no_edges_and_those_from_before_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b, edges = vertex("a"), vertex("b"), (("a", "b"),)
    Flink(monkeypatch, {"/jobs/1": [details(a, b, edges=edges), details(b, a, state="CREATED"), details(a)]})
    read = task_metrics.Reader(Job("1", "own", NOBODY))
    assert [read().graph.edges for _ in range(3)] == [edges, edges, ()]


def test_a_job_that_has_ended_is_followed_by_the_one_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {"jobs": [{"jid": n, "name": "own", "state": state} for n, state in (("1", "CANCELED"), ("2", "RUNNING"))]}
    answers = {"/jobs/1": details(state="CANCELED"), "/jobs/2": details(vertex("a")), "/jobs/overview": listed}
    Flink(monkeypatch, answers)
    read = task_metrics.Reader(Job("1", "own", NOBODY))
    assert (read().state, read.job.id) == ("RUNNING", "2")
